"""`okr serve`: the API on an address, until it is told to go."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import suppress
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvicorn
from uuid_utils.compat import uuid7

from app import demo, garbage
from app.api.streams import Streams
from app.application.importing import organization_of, run_import
from app.config import Settings
from app.main import create_app
from app.place import Place, meta, place
from app.terminal import CannotDo, console, show_key

FINISH_SECONDS = 7
"""For what is in flight when the server is told to go; the rest of 10 is to let go of the database.

Most supervisors kill whoever is not gone after 10 seconds.
"""


class CannotServe(CannotDo):
    """The address cannot be listened on."""


def serve(host: str | None, port: int | None, *, demonstrate: bool) -> None:
    """Serve until a signal says otherwise; what is None, the settings say. Raises CannotServe."""
    # The server raises the signal once more when it is done; Postgres must be stopped after it.
    signal.signal(signal.SIGTERM, _leave)
    with place() as here:
        settings = here.settings
        listening = _listen(host or settings.host, settings.port if port is None else port)
        base = "http://{}:{}".format(*listening.getsockname()[:2])
        key = asyncio.run(_ready(here))
        show_key(key)
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
