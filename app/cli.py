"""`okr`: serve, migrate, import, verify, rebuild."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import asyncpg
import typer
import uvicorn
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from uuid_utils.compat import uuid7

from app import __version__, demo, migrate
from app.application import keys, replay
from app.application.import_document import DocumentInvalid, ImportDocument, parse
from app.application.importing import ImportReport, run_import
from app.application.ledgers import Ledgers
from app.config import Settings
from app.database import APPLICATION_ROLE, DatabaseUnfit, check, open_pool
from app.domain.access import IssueApiKey, Scope
from app.domain.errors import Refusal
from app.domain.organization import FoundOrganization
from app.domain.values import ExternalRef
from app.embedded import EmbeddedPostgres, EmbeddedPostgresError
from app.events import store
from app.events.envelope import Meta
from app.main import create_app
from app.projections.external_ids import ExternalIdRow
from app.projections.rows import PostgresRows

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    help="Run an OKR programme with a history that can be trusted.",
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)
DATABASE = "okr"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data is: `owner_url` logs in as the owner of the tables."""

    settings: Settings
    owner_url: str
    embedded: bool

    @property
    def url(self) -> str:
        assert self.settings.database_url is not None
        return self.settings.database_url


def main() -> None:
    try:
        app()
    except (DatabaseUnfit, EmbeddedPostgresError, Refusal, store.LedgerMissing) as error:
        console.print(f"[red]{error}[/red]")
        for one in getattr(error, "facts", {}).get("errors", [])[:20]:
            console.print(f"  {one['pointer'] or '/'}: {one['detail']}", markup=False)
        sys.exit(1)


@contextmanager
def _place() -> Iterator[Place]:
    """The database of DATABASE_URL as it is; without one the embedded one, migrated."""
    settings = Settings()
    if settings.database_url is not None:
        yield Place(settings, settings.database_url, embedded=False)
        return
    with EmbeddedPostgres(settings.data_dir / "postgres") as server:
        owner_url = server.url(DATABASE)
        asyncio.run(_prepare_embedded(server.url("postgres"), owner_url))
        app_url = server.url(DATABASE, user=APPLICATION_ROLE)
        yield Place(settings.model_copy(update={"database_url": app_url}), owner_url, embedded=True)


async def _prepare_embedded(admin_url: str, owner_url: str) -> None:
    admin = await asyncpg.connect(admin_url)
    try:
        known = "SELECT 1 FROM pg_database WHERE datname = $1"
        if not await admin.fetchval(known, DATABASE):
            await admin.execute(f"CREATE DATABASE {DATABASE}")
        await migrate.migrate(owner_url)
        # Only the embedded server, which nobody reaches but through its own socket.
        await admin.execute(f"ALTER ROLE {APPLICATION_ROLE} LOGIN")
    finally:
        await admin.close()


@asynccontextmanager
async def _ledgers(place: Place) -> AsyncIterator[Ledgers]:
    pool = await open_pool(place.url, size=2, command_timeout=300)
    try:
        async with pool.acquire() as conn:
            await check(
                conn,
                migrate.newest(),
                allow_undurable=place.settings.allow_undurable_database,
            )
        yield Ledgers(pool)
    finally:
        await pool.close()


def _with_ledgers(work: Callable[[Ledgers, Place], Coroutine[Any, Any, T]]) -> T:
    async def run(place: Place) -> T:
        async with _ledgers(place) as ledgers:
            return await work(ledgers, place)

    with _place() as place:
        return asyncio.run(run(place))


@contextmanager
def _progress() -> Iterator[Progress]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        yield progress


def _step(progress: Progress, task: TaskID, done: int) -> None:
    progress.update(task, completed=done)


def _meta(source: str) -> Meta:
    return Meta("operator/cli", source, uuid7())


async def _all_ledgers(place: Place) -> list[UUID]:
    owner = await asyncpg.connect(place.owner_url)
    try:
        rows = await owner.fetch("SELECT org_id FROM ledgers ORDER BY org_id")
        return [row["org_id"] for row in rows]
    finally:
        await owner.close()


async def _new_operator(place: Place, *, first_only: bool) -> str | None:
    owner = await asyncpg.connect(place.owner_url)
    try:
        make = keys.bootstrap if first_only else keys.make_operator
        return await make(owner, uuid7())
    finally:
        await owner.close()


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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _place() as place:
        settings = place.settings
        host, port = host or settings.host, settings.port if port is None else port
        base = f"http://{host}:{port}"
        if place.embedded:
            key = asyncio.run(_new_operator(place, first_only=True))
            if key:
                console.print(f"Operator's key, shown only now: [bold]{key}[/bold]", soft_wrap=True)
        if demonstrate:
            _demonstrate(place, base)
        console.print(f"Documentation: {base}/docs", soft_wrap=True)
        uvicorn.run(
            create_app(settings),
            host=host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=10,
            server_header=False,
        )


def _demonstrate(place: Place, base: str) -> None:
    """Import the demonstration once, and leave a note of how to reach it."""
    note = place.settings.data_dir / "demo.env"

    async def work() -> tuple[UUID, UUID | None, str | None]:
        async with _ledgers(place) as ledgers:
            document = demo.document(date.today())
            org_id = await _organization_for(ledgers, place, document)
            report = await run_import(ledgers, org_id, document, meta=_meta("demo"))
            key = None if note.exists() else await _demo_key(ledgers, org_id)
            return org_id, report.cycle_id, key

    org_id, cycle_id, key = asyncio.run(work())
    if key:
        place.settings.data_dir.mkdir(parents=True, exist_ok=True)
        note.touch(mode=0o600)
        note.write_text(f"OKR_KEY={key}\nOKR={base}/v1/organizations/{org_id}\nCYCLE={cycle_id}\n")
    console.print("The demonstration's tree, from another terminal:")
    console.print(
        f'  . {note} && curl -s -H "Authorization: Bearer $OKR_KEY" $OKR/cycles/$CYCLE/tree',
        soft_wrap=True,
    )


async def _demo_key(ledgers: Ledgers, org_id: UUID) -> str:
    key = keys.make_key("demo")
    digested = keys.digest(key)
    assert digested is not None, "a made key has the shape of one"

    async def work(unit: Any) -> None:
        id = unit.new_id("api_key")
        scopes = tuple(Scope)
        await unit.execute(
            IssueApiKey(key_id=id, name="Demonstration", scopes=scopes, held=frozenset(scopes))
        )
        await keys.keep_digest(unit.conn, org_id, id, digested)

    await ledgers.run(org_id, _meta("demo"), work)
    return key


# import -----------------------------------------------------------------------------------


async def _organization_for(ledgers: Ledgers, place: Place, document: ImportDocument) -> UUID:
    """The organisation that this document's source was imported to, or a new one."""
    for org_id in await _all_ledgers(place):
        async with ledgers.read(org_id) as reader:
            rows = PostgresRows(reader.conn, org_id)
            if await rows.get(ExternalIdRow, "organization", "import", document.source):
                return org_id
    fresh: UUID = uuid7()

    async def found(unit: Any) -> None:
        await unit.execute(
            FoundOrganization(
                organization_id=fresh,
                name=document.organization or document.source,
                external=ExternalRef(source="import", external_id=document.source),
            )
        )

    await ledgers.run(fresh, _meta("import"), found, founding=True)
    return fresh


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="An import document; see docs/import.md.")],
    organization: Annotated[
        UUID | None, typer.Option(help="Import to this organisation; else to the source's own.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would happen; record nothing.")] = False,
) -> None:
    """Import owners, objectives, key results and scores from a JSON document. Repeatable."""
    try:
        document = parse(file.read_bytes())
    except OSError as error:
        raise DocumentInvalid(f"{file} cannot be read: {error.strerror}", errors=[]) from error

    async def work(ledgers: Ledgers, place: Place) -> tuple[UUID, ImportReport]:
        org_id = organization or await _organization_for(ledgers, place, document)
        with _progress() as progress:
            tasks: dict[str, Any] = {}

            def step(kind: str, done: int, total: int) -> None:
                if kind not in tasks:
                    tasks[kind] = progress.add_task(kind, total=total)
                progress.update(tasks[kind], completed=done)

            report = await run_import(
                ledgers,
                org_id,
                document,
                meta=_meta("import"),
                dry_run=dry_run,
                progress=step,
            )
        return org_id, report

    org_id, report = _with_ledgers(work)
    _print_report(org_id, report)
    if any(count.refused for count in report.counts.values()):
        sys.exit(2)


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

Organization = Annotated[
    UUID | None, typer.Option(help="Only this organisation; else all of them.")
]


@app.command()
def verify(organization: Organization = None) -> None:
    """Replay every event, and compare with every live row and every hash."""

    async def work(ledgers: Ledgers, place: Place) -> bool:
        identical = True
        for org_id in [organization] if organization else await _all_ledgers(place):
            with _progress() as progress:
                async with ledgers.read(org_id) as reader:
                    task = progress.add_task(str(org_id), total=reader.position)
                    verdict = await replay.verify(
                        reader.conn, org_id, partial(_step, progress, task)
                    )
            for line in verdict.differences:
                console.print(f"  {line}", markup=False)
            identical &= not verdict.differences
            answer = "live == rebuilt" if not verdict.differences else "live != rebuilt"
            console.print(f"{org_id}: {verdict.position} events, {verdict.rows} rows: {answer}")
        return identical

    if not _with_ledgers(work):
        sys.exit(1)


@app.command()
def rebuild(organization: Organization = None) -> None:
    """Make the read models anew from the events. Readers see the old ones until it is done."""

    async def work(ledgers: Ledgers, place: Place) -> None:
        for org_id in [organization] if organization else await _all_ledgers(place):
            with _progress() as progress:
                async with ledgers.pool.acquire() as conn, conn.transaction():
                    await store.as_organization(conn, org_id)
                    head = await store.read_head(conn, org_id)
                    task = progress.add_task(str(org_id), total=head.position)
                    rows = await replay.rebuild(conn, org_id, partial(_step, progress, task))
            console.print(f"{org_id}: {rows} rows rebuilt from {head.position} events")

    _with_ledgers(work)


# migrate, operators -----------------------------------------------------------------------


@app.command("migrate")
def migrate_database() -> None:
    """Bring the database to this version's schema. On a new one, shows the operator's key."""

    async def work(place: Place) -> str | None:
        if not place.embedded:
            await migrate.migrate(place.owner_url)
        return await _new_operator(place, first_only=True)

    with _place() as place:
        key = asyncio.run(work(place))
    console.print(f"At migration {migrate.newest()}.")
    if key:
        console.print(f"Operator's key, shown only now: [bold]{key}[/bold]", soft_wrap=True)


@app.command("operator-key")
def operator_key() -> None:
    """Make another operator's key; it founds organisations and may act in each of them."""
    with _place() as place:
        key = asyncio.run(_new_operator(place, first_only=False))
    console.print(f"Operator's key, shown only now: [bold]{key}[/bold]", soft_wrap=True)


@app.command()
def version() -> None:
    """Print the version."""
    console.print(__version__)


if __name__ == "__main__":
    main()
