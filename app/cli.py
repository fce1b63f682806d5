"""`okr`: serve, migrate, import, verify, rebuild.

A command imports what it needs when it is run: the whole of it takes seconds, and `okr --help`
needs none of it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from app import __version__
from app.cli_check_in import check_in
from app.cli_csv import ExampleMapping, Mapping, ShowDocument, documents_of, show
from app.cli_evidence import evidence
from app.cli_webhooks import webhooks
from app.terminal import (
    CannotDo,
    Organization,
    complain,
    console,
    progress_bar,
    read_text,
    show_key,
    step,
)

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from app.application.importing import ImportReport
    from app.application.ledgers import Ledgers
    from app.place import Place

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(evidence)
app.add_typer(check_in)
app.add_typer(webhooks, name="webhooks")


def main() -> None:
    try:
        app()
    except CannotDo as error:
        complain(str(error))
        sys.exit(1)
    except Exception as error:
        from app.cli_failures import told

        lines = told(error)
        if not lines:
            raise
        for line in lines:
            complain(line)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def okr(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Run an OKR programme with a history that can be trusted."""


# serve ------------------------------------------------------------------------------------


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    demonstrate: Annotated[
        bool, typer.Option("--demo", help="Make a demonstration organisation.")
    ] = False,
) -> None:
    """Serve the API. Without DATABASE_URL, from an embedded Postgres in OKR_DATA_DIR."""
    from app import serving

    serving.serve(host, port, demonstrate=demonstrate)


# import -----------------------------------------------------------------------------------


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="An import document, or CSV; see docs/import.md.")],
    organization: Annotated[
        UUID | None, typer.Option(help="Import to this organisation; else to the source's own.")
    ] = None,
    mapping: Mapping = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would happen; record nothing.")] = False,
    show_document: ShowDocument = False,
    example_mapping: ExampleMapping = False,
) -> None:
    """Import owners, objectives, key results and scores from JSON, or from CSV. Repeatable."""
    documents = documents_of(file, mapping)
    if show_document:
        show(documents)
        return
    from uuid_utils.compat import uuid7

    from app.application.importing import organization_of, run_import
    from app.place import meta, with_ledgers

    async def work(ledgers: Ledgers, here: Place) -> tuple[UUID, list[ImportReport]]:
        # All documents of a file are of one source.
        source, among = documents[0], await here.organizations()
        known = organization or await organization_of(ledgers, source, among)
        org_id = known or uuid7()
        reports: list[ImportReport] = []
        for document in documents:
            with progress_bar() as progress:
                report = await run_import(
                    ledgers,
                    org_id,
                    document,
                    meta=meta("import"),
                    # A dry run founds nothing that the next document could go on from.
                    founding=known is None and (dry_run or not reports),
                    dry_run=dry_run,
                    progress=_shown_in(progress),
                )
            reports.append(report)
        return org_id, reports

    org_id, reports = with_ledgers(work)
    for report in reports:
        _print_report(org_id, report)
    if any(count.refused for report in reports for count in report.counts.values()):
        sys.exit(2)


def _shown_in(progress: Progress) -> Callable[[str, int, int], None]:
    """What shows how far an import is, a bar for each kind of item."""
    tasks: dict[str, TaskID] = {}

    def told(kind: str, done: int, total: int) -> None:
        if kind not in tasks:
            tasks[kind] = progress.add_task(kind, total=total)
        progress.update(tasks[kind], completed=done)

    return told


def _print_report(org_id: UUID, report: ImportReport) -> None:
    from rich.table import Table

    outcomes = ("total", "created", "unchanged", "differs", "refused", "warned")
    table = Table("", *outcomes, title="Dry run: nothing recorded" if report.dry_run else None)
    for kind, counts in report.counts.items():
        table.add_row(kind, *(str(getattr(counts, outcome)) for outcome in outcomes))
    console.print(table)
    for item in report.items:
        if item.problem is not None:
            console.print(f"{item.kind} {item.key}: {item.problem.detail}", markup=False)
        for warning in item.warnings:
            console.print(f"{item.kind} {item.key}: warning: {warning}", markup=False)
    console.print(
        f"Organisation {org_id}, cycle {report.cycle_id}, ledger position {report.position}",
        soft_wrap=True,
    )


# verify, rebuild --------------------------------------------------------------------------


@app.command()
def verify(
    organization: Organization = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint that you kept; may be repeated.")
    ] = None,
) -> None:
    """Replay every event, and compare with every live row, every hash and every checkpoint."""
    from app.application import verification
    from app.evidence.notes import Checkpoint, text_of
    from app.place import with_ledgers
    from app.signing import signing_key

    notes = [read_text(path) for path in checkpoint or ()]

    async def work(ledgers: Ledgers, here: Place) -> bool:
        identical = True
        signer = signing_key(here.settings)
        key = None if signer is None else signer.verifier
        given = [Checkpoint.parse(text_of(note)) for note in notes]
        for org_id in [organization] if organization else await here.organizations():
            with progress_bar() as progress:
                async with ledgers.read(org_id) as reader:
                    task = progress.add_task(str(org_id), total=reader.position)
                    verdict = await verification.verify(
                        reader.conn,
                        org_id,
                        partial(step, progress, task),
                        key=key,
                        checkpoints=[one for one in given if one.origin.endswith(f"/{org_id}")],
                    )
            for line in verdict.differences:
                console.print(f"  {line}", markup=False)
            identical &= not verdict.differences
            answer = "live == rebuilt" if not verdict.differences else "live != rebuilt"
            console.print(f"{org_id}: {verdict.position} events, {verdict.rows} rows: {answer}")
        return identical

    if not with_ledgers(work):
        sys.exit(1)


@app.command()
def rebuild(organization: Organization = None) -> None:
    """Make the read models anew from the events. Readers see the old ones until it is done."""
    from app.application import replay
    from app.events import store
    from app.place import with_ledgers

    async def work(ledgers: Ledgers, here: Place) -> None:
        for org_id in [organization] if organization else await here.organizations():
            with progress_bar() as progress:
                async with ledgers.pool.acquire() as conn, conn.transaction():
                    await store.as_organization(conn, org_id)
                    head = await store.read_head(conn, org_id)
                    task = progress.add_task(str(org_id), total=head.position)
                    rows = await replay.rebuild(conn, org_id, partial(step, progress, task))
            console.print(f"{org_id}: {rows} rows rebuilt from {head.position} events")

    with_ledgers(work)


# migrate, operators -----------------------------------------------------------------------


@app.command("migrate")
def migrate_database() -> None:
    """Bring the database to this version's schema. On a new one, shows the operator's key."""
    from app import migrate
    from app.place import place

    async def work(here: Place) -> str | None:
        await here.migrate()
        return await here.first_operator()

    with place() as here:
        key = asyncio.run(work(here))
    console.print(f"At migration {migrate.newest()}.")
    show_key(key)


OnlyKey = Annotated[bool, typer.Option("--only", help="Retire the keys of all other operators.")]


@app.command("operator-key")
def operator_key(only: OnlyKey = False) -> None:
    """Make another operator's key; it founds organisations and may act in each of them."""
    from app.place import place

    with place() as here:
        show_key(asyncio.run(here.another_operator(only=only)))


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


if __name__ == "__main__":
    main()
