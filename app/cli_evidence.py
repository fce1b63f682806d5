"""`okr signing-key, checkpoint, export, audit, restore`: evidence, made and checked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app.terminal import (
    FileUnreadable,
    Organization,
    complaints,
    console,
    progress_bar,
    read_text,
)

if TYPE_CHECKING:
    from app.application.ledgers import Ledgers
    from app.application.unit_of_work import UnitOfWork
    from app.audit import Verdict
    from app.evidence.notes import SigningKey
    from app.place import Place

evidence = typer.Typer()

Bundle = Annotated[Path, typer.Argument(help="A bundle, as `okr export` writes it.")]
KeyText = Annotated[
    str | None,
    typer.Option(help="The signer's verifier key, or a file with it, from elsewhere."),
]


@evidence.command("signing-key")
def make_signing_key(
    name: Annotated[str, typer.Argument(help="Who signs: a name without spaces, as a host's.")],
    file: Annotated[Path, typer.Option(help="Where to keep the key.")] = Path("signing.key"),
) -> None:
    """Make the key that checkpoints are signed with, and show the one that verifies them."""
    from app.evidence.notes import NotANote
    from app.signing import make_key_file

    try:
        key = make_key_file(file, name)
    except FileExistsError as error:
        raise FileUnreadable(f"{file} is there already; a key is never overwritten.") from error
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be written: {error.strerror}.") from error
    except NotANote as error:
        raise FileUnreadable(f"{name!r} cannot be a key's name: {error}.") from error
    console.print(f"{file}: keep it secret, and set OKR_SIGNING_KEY_FILE to it.", soft_wrap=True)
    console.print(f"Verifier key, for everybody: {key.verifier}", soft_wrap=True)


def _key(here: Place) -> SigningKey:
    from app.application.evidence import NoSigningKey
    from app.signing import signing_key

    key = signing_key(here.settings)
    if key is None:
        raise NoSigningKey
    return key


@evidence.command()
def checkpoint(organization: Organization = None) -> None:
    """Sign what each ledger is now, keep it, and print the notes: give them to somebody else."""
    from app.application.evidence import keep_checkpoint
    from app.place import meta, with_ledgers

    async def work(ledgers: Ledgers, here: Place) -> None:
        key = _key(here)
        for org_id in [organization] if organization else await here.organizations():

            async def keep(unit: UnitOfWork) -> str:
                signed = await keep_checkpoint(unit.conn, unit.org_id, unit.position, key, unit.at)
                return signed.note

            print(await ledgers.run(org_id, meta("checkpoint"), keep))

    with_ledgers(work)


@evidence.command("export")
def export_bundle(
    organization: Annotated[UUID, typer.Argument(help="Whose ledger.")],
    file: Annotated[Path, typer.Argument(help="Where to write the bundle; not overwritten.")],
    cycle: Annotated[UUID | None, typer.Option(help="Only this cycle.")] = None,
    with_text: Annotated[
        bool, typer.Option(help="With the keys that notes and other free text are sealed with.")
    ] = False,
) -> None:
    """Write a ledger, or a cycle of it, as a bundle that `okr audit` checks without a server."""
    from app.application.bundle import export
    from app.place import with_ledgers

    async def work(ledgers: Ledgers, here: Place) -> int:
        key, count = _key(here), 0
        with progress_bar() as progress:
            async with ledgers.read(organization) as reader:
                task = progress.add_task(str(file), total=None)
                with file.open("xb") as out:
                    async for text in export(reader, key, cycle_id=cycle, with_text=with_text):
                        out.write(text)
                        count += 1
                        progress.update(task, completed=count)
        return count

    try:
        lines = with_ledgers(work)
    except FileExistsError as error:
        raise FileUnreadable(f"{file} is there already; name another.") from error
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be written: {error.strerror}.") from error
    console.print(f"{file}: {lines} lines. Check it with: okr audit {file}", soft_wrap=True)


@evidence.command("audit")
def audit_bundle(
    file: Bundle,
    key: KeyText = None,
    earlier: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that you kept; may be repeated.")
    ] = None,
) -> None:
    """Check a bundle with no server and no database: signature, proofs, replay and every score."""
    from app.application.bundle_format import NotABundle
    from app.audit import audit
    from app.evidence.notes import NotANote, VerifierKey

    notes = [read_text(path) for path in earlier or ()]
    try:
        verifier = None if key is None else VerifierKey.parse(_text_or_file(key))
        with progress_bar(of_bytes=True) as progress:
            task = progress.add_task(file.name, total=_size(file))
            verdict = audit(
                _lines(file),
                key=verifier,
                earlier=notes,
                progress=lambda done: progress.update(task, advance=done),
            )
    except (NotABundle, NotANote) as error:
        raise FileUnreadable(str(error)) from error
    _print_verdict(verdict)
    if verdict.findings:
        sys.exit(1)


@evidence.command("restore")
def restore_bundle(file: Bundle) -> None:
    """Take a whole ledger in from a bundle, as it was kept, where there is none of it yet."""
    from app.application.bundle_format import NotABundle
    from app.application.restore import restore
    from app.place import with_ledgers

    async def work(ledgers: Ledgers, here: Place) -> tuple[UUID, int]:
        return await restore(ledgers, _lines(file))

    try:
        org_id, count = with_ledgers(work)
    except NotABundle as error:
        raise FileUnreadable(str(error)) from error
    console.print(f"{org_id}: {count} events taken in. Check with: okr verify", soft_wrap=True)


def _print_verdict(verdict: Verdict) -> None:
    for finding in verdict.findings:
        console.print(finding, markup=False, soft_wrap=True)
    what = "the whole ledger" if verdict.cycle_id is None else f"cycle {verdict.cycle_id}"
    console.print(
        f"{verdict.checkpoint.origin}: {what} up to event {verdict.checkpoint.size}; "
        f"{verdict.events} events, {verdict.scores} scores recomputed.",
        soft_wrap=True,
    )
    if not verdict.vouched_for:
        complaints.print(
            "The signature was checked with the key that the bundle itself names: bring the "
            "signer's key (--key) to know whose it is.",
            soft_wrap=True,
        )
    if verdict.findings:
        console.print(f"[red]{len(verdict.findings)} finding(s).[/red]")
    else:
        console.print("[green]Nothing was altered.[/green]")


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as lines:
            yield from lines
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be read: {error.strerror}.") from error


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise FileUnreadable(f"{file} cannot be read: {error.strerror}.") from error


def _text_or_file(text: str) -> str:
    """A key is written with plus signs, and a file's name seldom is; a file that is there wins."""
    path = Path(text)
    return read_text(path) if path.exists() else text
