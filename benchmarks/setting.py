"""What is measured on: a throw-away but durable Postgres, and servers in processes of their own."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from app import migrate
from app.database import APPLICATION_ROLE
from app.embedded import EmbeddedPostgres
from benchmarks.common import HOST, ROOT, BenchmarkFailed

EMPTY = "template1"
"""A database without anything in it."""
_MIGRATED = "migrated"
_READY_SECONDS = 60
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database: as the application sees it, and as the owner of its tables."""

    url: str
    owner_url: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Postgres with its durable defaults, in a folder that is removed in the end."""

    server: EmbeddedPostgres
    folder: Path
    version: str

    @contextmanager
    def database(self, name: str, *, like: str = _MIGRATED) -> Iterator[Database]:
        """A copy of a database that nobody is connected to, as long as it is not left."""
        asyncio.run(_executed(self.server, f"CREATE DATABASE {name} TEMPLATE {like}"))
        try:
            yield Database(self.server.url(name, APPLICATION_ROLE), self.server.url(name))
        finally:
            asyncio.run(_executed(self.server, f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Durable as it comes: a commit is on disk before it is told. Removed when it is left."""
    with (
        tempfile.TemporaryDirectory(prefix="okr-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        version = asyncio.run(_version(server))
        asyncio.run(_executed(server, f"CREATE DATABASE {_MIGRATED}"))
        asyncio.run(migrate.migrate(server.url(_MIGRATED)))
        asyncio.run(_executed(server, f"ALTER ROLE {APPLICATION_ROLE} LOGIN"))
        yield Cluster(server, Path(folder), version)


async def _executed(server: EmbeddedPostgres, sql: str) -> None:
    admin = await asyncpg.connect(server.url("postgres"))
    try:
        await admin.execute(sql)
    finally:
        await admin.close()


async def _version(server: EmbeddedPostgres) -> str:
    """Raises BenchmarkFailed unless commits are durable."""
    admin = await asyncpg.connect(server.url("postgres"))
    try:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            if await admin.fetchval(f"SHOW {setting}") != "on":
                raise BenchmarkFailed(
                    f"{setting} is off: commits cost nothing, and figures mean nothing."
                )
        return str(await admin.fetchval("SHOW server_version"))
    finally:
        await admin.close()


# Servers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    """A process that answers on a port of this machine."""

    port: int
    pid: int


@contextmanager
def server(url: str) -> Iterator[Server]:
    """The product as it is served: default settings, whatever the environment says."""
    command = ("app.cli", "serve", "--host", HOST)
    with _serving(*command, ready="/health/ready", environment={"DATABASE_URL": url}) as here:
        yield here


@contextmanager
def naive_server(owner_url: str) -> Iterator[Server]:
    """The plain endpoint that the product is held against."""
    command = ("uvicorn", "benchmarks.peers.naive:app", "--host", HOST, *_PLAIN)
    with _serving(*command, ready="/ready", environment={"NAIVE_URL": owner_url}) as here:
        yield here


_PLAIN = ("--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log")


@contextmanager
def _serving(*module: str, ready: str, environment: Mapping[str, str]) -> Iterator[Server]:
    port = _free_port()
    bare = {name: text for name, text in os.environ.items() if not name.startswith("OKR_")}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *module, "--port", str(port)],
            env={**bare, **environment},
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            _until_ready(process, f"http://{HOST}:{port}{ready}")
            yield Server(port, process.pid)
        except BenchmarkFailed as failure:
            log.seek(0)
            raise BenchmarkFailed(f"{failure}\n{log.read()[-4000:].decode()}".rstrip()) from failure
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise BenchmarkFailed("The server does not start.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
