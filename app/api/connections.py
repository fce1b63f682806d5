"""Connections of `okr serve`: what reaches no application is bounded, and answered as a problem.

uvicorn waits for the head of a request for as long as it takes, of whatever size, and tells in
plain text of what is no HTTP. What an application can see is bounded in `app.api.middleware`,
whatever the server.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from uuid_utils.compat import uuid7
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.problems import render
from app.config import Settings

_HELD_BYTES = 65_536
"""More than that is not held back for what may follow."""


class Together:
    """A transport that sends what is written at once in one piece: an answer's head with its body.

    Each piece is a system call here, and a read at the other end.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._waiting: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(data)
        self._size += len(data)
        if self._size > _HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            waiting, self._waiting, self._size = self._waiting, [], 0
            self._transport.write(b"".join(waiting))

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        self._waiting.clear()
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """One whose requests' heads must be short, and there in time."""

    def __init__(self, *arguments: Any, settings: Settings, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._settings = settings
        self._in_head = True
        self._head_bytes = 0
        self._has_ended = False
        """Whether a request came to its end in what is being received."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Together(transport, self.loop))  # type: ignore[arg-type]
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head and self._timer is None:
            self._wait_for_head()
        self._has_ended = False
        super().data_received(data)
        # What ended a body is no head; the little of one that came with it is not counted.
        if self._in_head and not self._has_ended and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > self._settings.max_header_bytes:
                long_url = len(getattr(self, "url", b"")) > self._settings.max_url_bytes
                self._refuse(
                    *("uri-too-long", "The address is too long.")
                    if long_url
                    else ("headers-too-large", "The headers are too large.")
                )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # For an answer that nobody takes: to close in order would wait for them.
        self.scope["hang_up"] = self.transport.abort  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._has_ended, self._head_bytes = True, True, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse("bad-request", "This is no HTTP that can be read.")

    def _wait_for_head(self) -> None:
        self._timer = self.loop.call_later(self._settings.head_seconds, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            seconds = self._settings.head_seconds
            self._refuse("request-timeout", f"The headers did not arrive in {seconds:g} seconds.")

    def _refuse(self, name: str, detail: str) -> None:
        """Answer in place of the application, unless it is at it, and hang up."""
        free = self.cycle is None or self.cycle.response_complete
        if free or not (self._in_head or self.cycle.response_started):
            answer = render(
                name,
                detail,
                headers={
                    "Connection": "close",
                    "Cache-Control": "no-store",
                    "X-Content-Type-Options": "nosniff",
                    "X-Correlation-Id": str(uuid7()),
                },
            )
            head = b"".join(b"%b: %b\r\n" % pair for pair in answer.raw_headers)
            status = STATUS_LINE[answer.status_code]
            self.transport.write(b"".join((status, head, b"\r\n", bytes(answer.body))))
        self.transport.close()


def connections(settings: Settings) -> Any:
    """What uvicorn makes its connections with."""
    return partial(Connection, settings=settings)
