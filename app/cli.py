"""`okr`: serve, migrate, import, verify, rebuild."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
import uvicorn
from pydantic import ValidationError
from rich.progress import Progress, TaskID
from rich.table import Table
from uuid_utils.compat import uuid7

from app import __version__, demo, garbage, migrate
from app.api.streams import Streams
from app.application import replay
from app.application.bundle import NotABundle
from app.application.import_csv_table import CsvInvalid
from app.application.import_document import DocumentInvalid
from app.application.importing import ImportReport, organization_of, run_import
from app.application.ledgers import Ledgers
from app.application.restore import NotRestorable
from app.cli_check_in import CannotCheckIn, check_in
from app.cli_csv import ExampleMapping, Mapping, ShowDocument, complain_of, documents_of, show
from app.cli_evidence import evidence
from app.cli_webhooks import webhooks
from app.config import Settings
from app.database import DatabaseUnfit
from app.domain.errors import Refusal
from app.embedded import EmbeddedPostgresError
from app.events import store
from app.evidence.notes import Checkpoint, NotANote, text_of
from app.main import create_app
from app.place import Place, place
from app.signing import SigningKeyUnfit, signing_key
from app.terminal import (
    FileUnreadable,
    Organization,
    complain,
    console,
    meta,
    progress_bar,
    read_text,
    step,
    with_ledgers,
)

FINISH_SECONDS = 7
"""For what is in flight when the server is told to go; the rest of 10 is to let go of the database.

Most supervisors kill whoever is not gone after 10 seconds.
"""

app = typer.Typer(
    no_args_is_help=True,
    help="Run an OKR programme with a history that can be trusted.",
    pretty_exceptions_enable=False,
)
app.add_typer(evidence)
app.add_typer(check_in)
app.add_typer(webhooks, name="webhooks")


def main() -> None:
    try:
        app()
    except ValidationError as invalid:
        for one in invalid.errors():
            name = "_".join(str(part) for part in one["loc"]).upper()
            name = name if name == "DATABASE_URL" else f"OKR_{name}"
            complain(f"{name}: {one['msg']}")
        sys.exit(1)
    except CsvInvalid as invalid_csv:
        complain_of(invalid_csv)
        sys.exit(1)
    except DocumentInvalid as invalid_document:
        for one in invalid_document.facts["errors"][:20]:  # type: ignore[index]
            complain(f"{one['pointer'] or 'the document'}: {one['detail']}")
        sys.exit(1)
    except (
        CannotCheckIn,
        CannotServe,
        DatabaseUnfit,
        EmbeddedPostgresError,
        FileUnreadable,
        NotABundle,
        NotANote,
        NotRestorable,
        Refusal,
        SigningKeyUnfit,
        store.LedgerMissing,
    ) as error:
        complain(str(error))
        sys.exit(1)


class CannotServe(Exception):
    """The address cannot be listened on."""


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
    # The server raises the signal once more when it is done; Postgres must be stopped after it.
    signal.signal(signal.SIGTERM, _leave)
    with place() as here:
        settings = here.settings
        listening = _listen(host or settings.host, settings.port if port is None else port)
        base = "http://{}:{}".format(*listening.getsockname()[:2])
        key = asyncio.run(_ready(here))
        _show_key(key)
        if demonstrate:
            note = asyncio.run(_demonstrate(here, base))
            console.print("The demonstration's tree, from another terminal:")
            console.print(
                f'  . {note} && curl -s -H "Authorization: Bearer $OKR_KEY" '
                "$OKR/cycles/$CYCLE/tree",
                soft_wrap=True,
            )
        console.print(f"Documentation: {base}/docs", soft_wrap=True)
        served = create_app(settings)
        config = uvicorn.Config(
            served,
            http=_connections(settings),
            # Every request has its line already, with less in it: see app/logs.py.
            log_config=None,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=settings.keep_alive_seconds,
            timeout_graceful_shutdown=FINISH_SECONDS,
            h11_max_incomplete_event_size=settings.max_header_bytes,
            server_header=False,
        )
        garbage.settled()
        # Whoever connects from here on waits for the server, and is not turned away.
        with suppress(KeyboardInterrupt):
            _Server(config, served.state.streams).run(sockets=[listening])


class _Server(uvicorn.Server):
    """One that ends the event streams when it is told to go: by themselves they never would."""

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.close()
        await super().shutdown(sockets)


def _connections(settings: Settings) -> Any:
    """What speaks HTTP; where httptools is not to be had, uvicorn's own choice."""
    if find_spec("httptools") is None:
        return "auto"
    from app.api.connections import connections

    return connections(settings)


def _leave(*_: object) -> None:
    """Go in order. Whoever says so again does not break in on that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _listen(host: str, port: int) -> socket.socket:
    """A socket on this address; port 0 means any free one. Raises CannotServe."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise CannotServe(
            f"Cannot listen on {host}:{port} ({error}); choose another with --host and --port."
        ) from error


async def _ready(here: Place) -> str | None:
    """Whether the database is fit to serve from; on an embedded new one, the operator's key."""
    async with here.ledgers():
        return await here.first_operator() if here.embedded else None


async def _demonstrate(here: Place, base: str) -> Path:
    """Import the demonstration once, and leave a note of how to reach it."""
    note = here.settings.data_dir / "demo.env"
    noted = dict(line.split("=", 1) for line in note.read_text().split()) if note.exists() else {}
    document = demo.document(date.today())
    async with here.ledgers() as ledgers:
        known = await organization_of(ledgers, document, await here.organizations())
        org_id = known or uuid7()
        report = await run_import(
            ledgers, org_id, document, meta=meta("demo"), founding=known is None
        )
        is_noted = noted.get("OKR", "").endswith(str(org_id))
        key = noted["OKR_KEY"] if is_noted else await demo.issue_key(ledgers, org_id)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.touch(mode=0o600)
    note.write_text(
        f"OKR_KEY={key}\nOKR={base}/v1/organizations/{org_id}\nCYCLE={report.cycle_id}\n"
    )
    return note


def _show_key(key: str | None) -> None:
    if key is not None:
        console.print(f"Operator's key, shown only now: [bold]{key}[/bold]", soft_wrap=True)


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
                    verdict = await replay.verify(
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

    async def work(here: Place) -> str | None:
        await here.migrate()
        return await here.first_operator()

    with place() as here:
        key = asyncio.run(work(here))
    console.print(f"At migration {migrate.newest()}.")
    _show_key(key)


OnlyKey = Annotated[bool, typer.Option("--only", help="Retire the keys of all other operators.")]


@app.command("operator-key")
def operator_key(only: OnlyKey = False) -> None:
    """Make another operator's key; it founds organisations and may act in each of them."""
    with place() as here:
        _show_key(asyncio.run(here.another_operator(only=only)))


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


if __name__ == "__main__":
    main()
