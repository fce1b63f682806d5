"""A Postgres and servers that may be killed: real processes in a folder of their own."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
from uuid_utils.compat import uuid7

from app.application import keys
from app.embedded import EmbeddedPostgres
from app.events.statements import Connection
from app.signing import make_key_file
from tests.api.programme import Api
from tests.conftest import Database, clone
from tests.server import OKR, environment, free_port, wait_until_ready

_READY_SECONDS = 60
_STOP_SECONDS = 30
PATIENT = httpx.Timeout(60)
"""More than any answer takes: what hangs for longer has failed."""


class Postgres:
    """A durable server, as Postgres comes, whose postmaster is a child of this process."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "postgres"
        self._log = folder / "postgres.log"
        self._postmaster: subprocess.Popen[bytes] | None = None

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.data}&port=5432"

    def create(self) -> None:
        with EmbeddedPostgres(self.data, {"max_connections": "200"}):
            pass

    async def start(self) -> None:
        """Start, after a crash too: children of a killed postmaster take a moment to go."""
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end:
            if self._postmaster is None or self._postmaster.poll() is not None:
                self._postmaster = self._started()
            try:
                await (await asyncpg.connect(self.url("postgres"), timeout=5)).close()
            except (OSError, TimeoutError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
            else:
                return
        raise AssertionError(f"Postgres is not up again after {_READY_SECONDS} s: {self.said()}")

    def _started(self) -> subprocess.Popen[bytes]:
        # Whoever owns the data folder runs it: Postgres refuses to be run by root.
        owner, is_root = self.data.stat(), os.geteuid() == 0
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [
                    str(EmbeddedPostgres.binary("postgres")),
                    *("-D", str(self.data), "-k", str(self.data), "-c", "listen_addresses="),
                ],
                cwd=self.data,
                stdout=log,
                stderr=log,
                # A terminal's Ctrl-C is for whoever runs the tests, and stops this in order.
                start_new_session=True,
                user=owner.st_uid if is_root else None,
                group=owner.st_gid if is_root else None,
                extra_groups=[] if is_root else None,
            )

    def kill(self) -> None:
        """As a crash would: no word to any backend, nothing written."""
        assert self._postmaster is not None
        self._postmaster.kill()
        self._postmaster.wait()

    async def kill_backend(self, rng: random.Random) -> None:
        """Kill a backend that serves the application, and see Postgres restart all of them."""
        conn = await asyncpg.connect(self.url("postgres"), timeout=10)
        try:
            for _ in range(1_000):
                rows = await conn.fetch(
                    "SELECT pid FROM pg_stat_activity "
                    "WHERE application_name = 'okr-ledger' AND state <> 'idle' ORDER BY pid"
                )
                if rows:
                    with suppress(ProcessLookupError):
                        os.kill(rng.choice(rows)["pid"], signal.SIGKILL)
                        await self._restarts(conn)
                        return
                await asyncio.sleep(0.005)
        finally:
            conn.terminate()
        raise AssertionError("no backend was at work")

    async def _restarts(self, conn: Connection) -> None:
        """Until Postgres has ended this connection, too."""
        end = time.monotonic() + _READY_SECONDS
        while not conn.is_closed():
            assert time.monotonic() < end, "Postgres goes on as if no backend had been killed"
            await asyncio.sleep(0.005)

    async def until_committed(self) -> None:
        """Until a commit of the application has just ended."""
        conn = await asyncpg.connect(self.url("postgres"), timeout=10)
        try:
            for _ in range(10_000):
                if await conn.fetchval(
                    "SELECT bool_or(clock_timestamp() - state_change < '5 ms') "
                    "FROM pg_stat_activity WHERE application_name = 'okr-ledger' "
                    "AND state = 'idle' AND query ILIKE 'commit%'"
                ):
                    return
        finally:
            conn.terminate()
        raise AssertionError("no commit ended")

    def stop(self) -> None:
        if self._postmaster is not None and self._postmaster.poll() is None:
            self._postmaster.send_signal(signal.SIGINT)
            try:
                self._postmaster.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


class Server:
    """`okr serve` on a database, at one address for as long as it is started again."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._database = database
        self._log = folder / f"server-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, unless it runs; ready when this returns."""
        if not self.is_gone:
            return
        self._process = self._started()
        try:
            await asyncio.to_thread(wait_until_ready, self.base, self._process, _READY_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.said()}") from error

    def _signing_key(self) -> Path:
        path = self._folder / "signing.key"
        with suppress(FileExistsError):
            make_key_file(path, "okr-ledger.faults")
        return path

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [OKR, "serve", "--port", str(self.port)],
                cwd=self._folder,
                # One credential is all the load there is: its rate is not what is tried here.
                env=environment(
                    DATABASE_URL=self._database.url,
                    OKR_RATE_PER_MINUTE="0",
                    OKR_SIGNING_KEY_FILE=str(self._signing_key()),
                ),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        assert self._process is not None
        self._process.terminate()

    @property
    def is_gone(self) -> bool:
        return self._process is None or self._process.poll() is not None

    async def ended(self, seconds: float) -> int:
        """The exit status, once it has gone by itself."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, seconds)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


@dataclass
class Place:
    """A database with servers on it: two, so that what they agree on is in no one's memory."""

    folder: Path
    postgres: Postgres
    database: Database
    operator_key: str
    servers: list[Server] = field(default_factory=list)

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[Connection]:
        """The owner of the tables, a superuser."""
        conn: Connection = await asyncpg.connect(self.database.owner_url, timeout=20)
        try:
            yield conn
        finally:
            await conn.close()

    @asynccontextmanager
    async def client(self, number: int = 0) -> AsyncIterator[httpx.AsyncClient]:
        """A client of one of the servers."""
        base = self.servers[number % len(self.servers)].base
        async with httpx.AsyncClient(base_url=base, timeout=PATIENT) as client:
            yield client

    @asynccontextmanager
    async def clients(self, count: int) -> AsyncIterator[list[httpx.AsyncClient]]:
        """Clients with a connection each, of one server after the other."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.client(n)) for n in range(count)]

    @asynccontextmanager
    async def founded(self) -> AsyncIterator[Api]:
        """A fresh organisation."""
        async with self.client() as client:
            yield await Api.found(client, self.operator_key)


@asynccontextmanager
async def made_place(servers: int = 2) -> AsyncIterator[Place]:
    """All of it, gone in the end. The folder is not pytest's: see `tests.conftest.cluster`."""
    folder = Path(tempfile.mkdtemp(prefix="okr-faults-"))
    postgres = Postgres(folder)
    here: list[Server] = []
    try:
        postgres.create()
        await postgres.start()
        database = await clone(postgres, "okr")
        owner = await asyncpg.connect(database.owner_url)
        key = await keys.make_operator(owner, uuid7())
        await owner.close()
        here += [Server(folder, database) for _ in range(servers)]
        await asyncio.gather(*(server.start() for server in here))
        yield Place(folder, postgres, database, key, here)
    finally:
        for server in here:
            server.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
