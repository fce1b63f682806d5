"""Where the data is: the Postgres of DATABASE_URL as it is, or the embedded one, made ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from app import migrate
from app.application import keys
from app.application.ledgers import Ledgers
from app.config import Settings
from app.database import APPLICATION_ROLE, DatabaseUnfit, as_owner, checked_pool
from app.embedded import EmbeddedPostgres
from app.events.envelope import Meta
from app.signing import make_key_file

T = TypeVar("T")

DATABASE = "okr"
_SEES_ALL = (
    "SELECT pg_has_role(relowner, 'MEMBER') FROM pg_class WHERE oid = to_regclass('ledgers')"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A database: `settings.database_url` logs in to serve, `owner_url` as the tables' owner."""

    settings: Settings
    owner_url: str
    embedded: bool

    @asynccontextmanager
    async def ledgers(self) -> AsyncIterator[Ledgers]:
        """All ledgers, for work that may take long. Raises DatabaseUnfit."""
        async with checked_pool(self.settings, size=2, command_timeout=300) as pool:
            yield Ledgers(pool)

    async def organizations(self) -> list[UUID]:
        """All organisations that have a ledger here. Raises DatabaseUnfit for another's login.

        Row-level security would show it none, and to verify none of them is no verification.
        """
        async with as_owner(self.owner_url) as owner:
            if not await owner.fetchval(_SEES_ALL):
                raise DatabaseUnfit(
                    "The login of DATABASE_URL does not own the tables, so it sees no organisation "
                    "by itself: name one with --organization, or log in as the owner."
                )
            rows = await owner.fetch("SELECT org_id FROM ledgers ORDER BY org_id")
            return [row["org_id"] for row in rows]

    async def migrate(self) -> None:
        async with as_owner(self.owner_url):
            await migrate.migrate(self.owner_url)

    async def first_operator(self) -> str | None:
        """The first operator's key; None where there is an operator already."""
        async with as_owner(self.owner_url) as owner:
            return await keys.bootstrap(owner, uuid7())

    async def another_operator(self, *, only: bool = False) -> str:
        """A new operator's key; with `only`, the keys of all others stop working."""
        async with as_owner(self.owner_url) as owner, owner.transaction():
            if only:
                await owner.execute("DELETE FROM operators")
            return await keys.make_operator(owner, uuid7())


@contextmanager
def place() -> Iterator[Place]:
    """The place that the environment names. Only the embedded database is migrated unasked."""
    settings = Settings()
    if settings.database_url is not None:
        yield Place(settings, settings.database_url, embedded=False)
        return
    with EmbeddedPostgres(settings.data_dir / "postgres") as server:
        serving = {
            "database_url": server.url(DATABASE, APPLICATION_ROLE),
            "signing_key_file": settings.signing_key_file or _own_key(settings.data_dir),
        }
        here = Place(
            settings.model_copy(update=serving),
            server.url(DATABASE),
            embedded=True,
        )
        asyncio.run(_prepare(here, server.url("postgres")))
        yield here


def with_ledgers(work: Callable[[Ledgers, Place], Coroutine[Any, Any, T]]) -> T:
    """Run something on the ledgers of the place that the environment names."""

    async def run(here: Place) -> T:
        async with here.ledgers() as ledgers:
            return await work(ledgers, here)

    with place() as here:
        return asyncio.run(run(here))


def meta(source: str) -> Meta:
    """Of what a command records."""
    return Meta("operator/cli", source, uuid7())


def _own_key(data_dir: Path) -> Path:
    """The embedded database's own signing key, made with it."""
    path = data_dir / "signing.key"
    with suppress(FileExistsError):
        make_key_file(path, "okr-ledger.localhost")
    return path


async def _prepare(here: Place, admin_url: str) -> None:
    async with as_owner(admin_url) as admin:
        known = "SELECT 1 FROM pg_database WHERE datname = $1"
        if not await admin.fetchval(known, DATABASE):
            await admin.execute(f"CREATE DATABASE {DATABASE}")
        await here.migrate()
        # Only on the embedded server, which nobody reaches but through its own socket.
        await admin.execute(f"ALTER ROLE {APPLICATION_ROLE} LOGIN")
