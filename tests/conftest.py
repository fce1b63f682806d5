"""One embedded Postgres per run, and per worker a database cloned from a migrated template."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from app import migrate
from app.application import keys
from app.application.ledgers import Ledgers
from app.config import Settings
from app.database import APPLICATION_ROLE, Pool, open_pool
from app.domain.organization import FoundOrganization
from app.embedded import EmbeddedPostgres
from app.events.envelope import Meta
from app.main import create_app
from app.signing import make_key_file
from tests.answers import Answers
from tests.api.programme import Api

# The cluster is thrown away after the run, so it need not survive a crash.
_THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_ANY_LOCK = 7


@dataclass(frozen=True)
class Database:
    """A migrated database of this worker's own: as the application sees it, and as its owner."""

    url: str
    owner_url: str


class Server(Protocol):
    """A Postgres whose superuser and application role log in without a password."""

    def url(self, database: str, user: str = "postgres") -> str: ...


@dataclass(frozen=True)
class OtherServer:
    """One that runs already, at `host:port`: for a version other than the embedded one's."""

    address: str

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@{self.address}/{database}"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Server]:
    """The run's server; all workers of it share one. The last to leave takes the folder along.

    The folder is not pytest's: another run would close that one to Postgres's own user.
    """
    if "OKR_TEST_SERVER" in os.environ:
        yield OtherServer(os.environ["OKR_TEST_SERVER"])
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid7().hex)
    folder = Path(tempfile.gettempdir()) / f"okr-tests-{run}"
    settings = {**_THROW_AWAY, "max_connections": "200"}
    with EmbeddedPostgres(folder / "postgres", settings) as server:
        yield server
    if not (folder / "postgres" / "postmaster.pid").exists():
        shutil.rmtree(folder)


async def clone(server: Server, name: str) -> Database:
    """A migrated database of that name, copied from the run's template."""
    admin = await asyncpg.connect(server.url("postgres"))
    try:
        # Workers that come at the same time wait for the first one's template.
        await admin.execute("SELECT pg_advisory_lock($1)", _ANY_LOCK)
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = 'template_okr'"):
            await admin.execute("CREATE DATABASE template_okr")
            await migrate.migrate(server.url("template_okr"))
            await admin.execute(f"ALTER ROLE {APPLICATION_ROLE} LOGIN")
        await admin.execute(f"DROP DATABASE IF EXISTS {name}")
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template_okr")
        await admin.execute("SELECT pg_advisory_unlock($1)", _ANY_LOCK)
    finally:
        await admin.close()
    return Database(server.url(name, APPLICATION_ROLE), server.url(name))


async def clone_of_worker(server: Server, *of: str) -> Database:
    """Like `clone`, for one process that runs tests, and for `of`."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return await clone(server, "_".join(["okr", *of, worker]))


@asynccontextmanager
async def owning(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of the tables' owner, which the application never has."""
    conn = await asyncpg.connect(database.owner_url)
    try:
        yield conn
    finally:
        await conn.close()


@pytest.fixture(scope="session")
async def database(cluster: Server) -> Database:
    return await clone_of_worker(cluster)


@pytest.fixture(scope="session")
async def pool(database: Database) -> AsyncIterator[Pool]:
    pool = await open_pool(database.url, size=20)
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    async with owning(database) as conn:
        yield conn


@pytest.fixture(scope="session")
def ledgers(pool: Pool) -> Ledgers:
    return Ledgers(pool)


@pytest.fixture
async def founded(ledgers: Ledgers) -> UUID:
    """A freshly founded organisation."""
    org_id = uuid7()

    async def found(unit: object) -> None:
        await unit.execute(FoundOrganization(organization_id=org_id, name="Test"))  # type: ignore[attr-defined]

    await ledgers.run(org_id, Meta("operator/test", "test", uuid7()), found, founding=True)
    return org_id


@pytest.fixture(scope="session")
async def operator_key(owner: asyncpg.Connection[asyncpg.Record]) -> str:
    return await keys.make_operator(owner, uuid7())


@pytest.fixture(scope="session")
async def app(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FastAPI]:
    key = tmp_path_factory.mktemp("signing") / "signing.key"
    make_key_file(key, "ledger.example.org")
    settings = Settings().model_copy(
        update={
            "database_url": database.url,
            "allow_undurable_database": True,
            "signing_key_file": key,
        }
    )
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture(scope="session")
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, straight into the application."""
    answers = Answers(app)
    served = answers if "OKR_KEEP_ANSWERS" in os.environ else app
    transport = httpx.ASGITransport(served, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
    if served is answers:
        answers.write(app)


@pytest.fixture
async def api(http: httpx.AsyncClient, operator_key: str) -> Api:
    """A freshly founded organisation, and an operator's key to it."""
    return await Api.found(http, operator_key)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A working folder whose parents nobody closes: as root, Postgres runs as another user."""
    made = Path(tempfile.mkdtemp(prefix="okr-cli-"))
    yield made
    shutil.rmtree(made)
