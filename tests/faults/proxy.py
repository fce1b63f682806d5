"""A network between a server and its database, which can be slow, be silent, or be cut."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.conftest import Database
from tests.faults.cluster import Place, Server
from tests.server import OKR, environment, free_port


@dataclass(eq=False)
class _Pair:
    """A connection, from here to the server and from here to Postgres."""

    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    is_dead: bool = False

    def abort(self) -> None:
        for task in self.tasks:
            task.cancel()
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Listens on loopback, and hands everything on to a Postgres's socket."""

    def __init__(self, socket: Path) -> None:
        self.port = free_port()
        self.delay = 0.0
        """Seconds that every packet takes, in either direction."""
        self._socket = socket
        self._open = asyncio.Event()
        self._open.set()
        self._pairs: set[_Pair] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def blackhole(self) -> None:
        """From now on nothing arrives, and nobody is told: connections stay open."""
        self._open.clear()

    def heal(self, *, resume: bool) -> None:
        """Let everything through again: what was held back too, or new connections only.

        The latter is what a firewall does that has forgotten of the old ones.
        """
        if not resume:
            for pair in self._pairs:
                pair.is_dead = True
        self._open.set()

    def cut(self) -> None:
        """Break all connections; new ones are let through."""
        for pair in list(self._pairs):
            pair.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepting = asyncio.current_task()
        assert accepting is not None
        pair = _Pair([accepting], [writer])
        self._pairs.add(pair)
        try:
            await self._open.wait()
            back, forth = await asyncio.open_unix_connection(str(self._socket))
            pair.writers.append(forth)
            passing = [
                asyncio.create_task(self._pass(pair, reader, forth)),
                asyncio.create_task(self._pass(pair, back, writer)),
            ]
            pair.tasks += passing
            await asyncio.wait(passing)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._pairs.discard(pair)

    async def _pass(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._through(pair)
                writer.write(data)
                await writer.drain()
        await self._through(pair)
        writer.close()

    async def _through(self, pair: _Pair) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._open.wait()
        if pair.is_dead:
            await asyncio.Event().wait()


class SetServer(Server):
    """`okr serve` with settings of its own."""

    def __init__(self, folder: Path, database: Database, **settings: str) -> None:
        super().__init__(folder, database)
        self._settings = settings

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [OKR, "serve", "--port", str(self.port)],
                cwd=self._folder,
                env=environment(DATABASE_URL=self._database.url, **self._settings),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


@asynccontextmanager
async def served(place: Place, database: Database, **settings: str) -> AsyncIterator[Place]:
    """The same place, with a server on this database, and with these settings, as its only one."""
    server = SetServer(place.folder, database, **settings)
    try:
        await server.start()
        yield replace(place, database=database, servers=[server])
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def proxied(place: Place, **settings: str) -> AsyncIterator[tuple[Place, Proxy]]:
    """A server whose database is behind a proxy. Everybody else reaches it directly."""
    proxy = Proxy(place.postgres.data / ".s.PGSQL.5432")
    await proxy.start()
    name = place.database.owner_url.split("/")[3].split("?")[0]
    url = f"postgresql://okr_app@127.0.0.1:{proxy.port}/{name}"
    try:
        async with served(place, replace(place.database, url=url), **settings) as here:
            yield here, proxy
    finally:
        proxy.stop()
