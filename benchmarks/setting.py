"""What is measured on: a throw-away but durable Postgres, and a server."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from app import migrate
from app.database import APPLICATION_ROLE
from app.embedded import EmbeddedPostgres
from benchmarks.common import HOST, ROOT, BenchmarkFailed

_DATABASE = "okr"
_READY_SECONDS = 30
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Cluster:
    """A migrated database: as the application sees it, and as the owner of its tables."""

    url: str
    owner_url: str
    version: str


# Postgres ---------------------------------------------------------------------------------


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Durable as it comes: a commit is on disk before it is told. Removed when it is left."""
    with (
        tempfile.TemporaryDirectory(prefix="okr-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        owner_url = server.url(_DATABASE)
        version = asyncio.run(_migrated(server.url("postgres"), owner_url))
        yield Cluster(server.url(_DATABASE, APPLICATION_ROLE), owner_url, version)


async def _migrated(admin_url: str, owner_url: str) -> str:
    """Make the database; returns the version of Postgres."""
    admin = await asyncpg.connect(admin_url)
    try:
        if await admin.fetchval("SHOW fsync") != "on":
            raise BenchmarkFailed("fsync is off: commits cost nothing, and figures mean nothing.")
        await admin.execute(f"CREATE DATABASE {_DATABASE}")
        await migrate.migrate(owner_url)
        await admin.execute(f"ALTER ROLE {APPLICATION_ROLE} LOGIN")
        return str(await admin.fetchval("SHOW server_version"))
    finally:
        await admin.close()


# Server -----------------------------------------------------------------------------------


@contextmanager
def server(url: str) -> Iterator[int]:
    """One worker, as the product is served, in a process of its own; gives its port."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app"]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--loop", "uvloop", "--http", "httptools"]
    command += ["--log-level", "warning", "--no-server-header"]
    # The settings measured are the product's own, whatever the environment says.
    environment = {name: text for name, text in os.environ.items() if not name.startswith("OKR_")}
    environment["DATABASE_URL"] = url
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
        try:
            _until_ready(process, port)
            yield port
        except BenchmarkFailed as failure:
            log.seek(0)
            raise BenchmarkFailed(f"{failure}\n{log.read()[-4000:].decode()}".rstrip()) from failure
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"http://{HOST}:{port}/health/ready", timeout=2).status_code == 200:
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
