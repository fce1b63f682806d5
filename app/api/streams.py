"""Event streams: a ledger as Server-Sent Events, for as long as the caller may read it.

An open stream holds no place among the requests and no connection of the database. Whenever its
ledger grows, it reads on from where it stands, page by page, as whoever the caller is by then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.problems import OUTAGES, ApiProblem
from app.application.bell import Bell, Ear
from app.application.keys import Caller
from app.config import Settings
from app.domain.errors import Refusal
from app.queries.history import ChangeView, EventView

PAGE = 100
MEDIA_TYPE = "text/event-stream"
_AGAIN_SECONDS = 1.0
"""After a database that did not answer, and for whom no ledger tells that they may no more."""
_RETRY_AFTER = {"Retry-After": "5"}


class Streams:
    """The streams that one process has open: so many in all, and so many of one credential."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: Counter[bytes] = Counter()
        self._ears: set[Ear] = set()
        self.is_closing = False
        # Streams that are woken at once leave most of the connections to requests.
        self.reading = asyncio.Semaphore(max(1, settings.pool_size // 4))

    def __len__(self) -> int:
        return len(self._ears)

    def close(self) -> None:
        """End all of them, in order; the process is told to go."""
        self.is_closing = True
        for ear in self._ears:
            ear.wake()

    @contextmanager
    def place(self, caller: Caller, ear: Ear) -> Iterator[None]:
        """A place for one more. Raises ApiProblem where there is none."""
        most, own = self._settings.max_streams, self._settings.max_streams_per_caller
        if self._open[caller.digest] >= own:
            raise ApiProblem(
                "too-many-streams",
                f"This key has {own} event streams open already.",
                headers=_RETRY_AFTER,
            )
        if self.is_closing or len(self) >= most:
            raise ApiProblem(
                "overloaded",
                f"All {most} places for event streams are taken.",
                headers=_RETRY_AFTER,
            )
        self._open[caller.digest] += 1
        self._ears.add(ear)
        try:
            yield
        finally:
            self._ears.discard(ear)
            self._open[caller.digest] -= 1
            if not self._open[caller.digest]:
                del self._open[caller.digest]


Told = EventView | ChangeView


@dataclass(frozen=True, slots=True)
class Found:
    """Events after a position, and up to which one the ledger was looked through for them."""

    events: Sequence[Told]
    seen: int
    caller: Caller


Look = Callable[[int], Awaitable[Found]]
"""Up to PAGE events after a position. Raises ApiProblem or Refusal where the caller may no more."""


class EventStream(Response):
    """Tells the events after a position, and goes on unless it is not to follow."""

    def __init__(
        self, app: Any, org: Any, caller: Caller, look: Look, after: int, *, follow: bool
    ) -> None:
        # Proxies are asked to hand on each part as it comes.
        super().__init__(None, 200, {"X-Accel-Buffering": "no"}, MEDIA_TYPE)
        del self.headers["content-length"]
        self._streams: Streams = app.state.streams
        self._bell: Bell = app.state.bell
        self._settings: Settings = app.state.settings
        self._org, self._caller, self._look = org, caller, look
        self._position = after
        self._follow = follow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with (
            self._bell.follow(self._org) as ear,
            self._streams.place(self._caller, ear),
        ):
            ear.seen = self._position
            gone = asyncio.create_task(_gone(receive))
            gone.add_done_callback(lambda _: ear.wake())
            out = _Out(send, gone, self._settings.stream_stall)
            try:
                await out.begin(self.raw_headers)
                if not scope.get("is_head"):
                    await self._tell(out, ear)
                await out.end()
            except _Stalled:
                # Whoever takes nothing would not take the end of it either.
                scope.get("hang_up", lambda: None)()
                await asyncio.wait({gone}, timeout=1)
            except OSError:
                # Some servers say by that that the client is gone.
                pass
            finally:
                gone.cancel()

    async def _tell(self, out: _Out, ear: Ear) -> None:
        await out.send(f"retry: {round(_AGAIN_SECONDS * 1000)}\n\n")
        while not (out.is_over or self._streams.is_closing):
            pause = 0.0
            try:
                async with self._streams.reading:
                    found = await self._look(self._position)
            except (ApiProblem, Refusal):
                await out.send(": the key may not read this any more\n\n")
                return
            except OUTAGES:
                pause = _AGAIN_SECONDS
            else:
                for event in found.events:
                    await out.send(_message(event))
                    if out.is_over or self._streams.is_closing:
                        return
                self._position = ear.seen = found.seen
                if len(found.events) < PAGE:
                    if not self._follow:
                        return
                    pause = self._pause(found.caller)
            if out.silent_for() >= self._settings.stream_heartbeat:
                await out.send(": still here\n\n")
            if pause:
                await ear.wait(min(pause, self._settings.stream_heartbeat - out.silent_for()))

    def _pause(self, caller: Caller) -> float:
        """How long the caller may be believed if the ledger does not grow, in seconds.

        What becomes of keys, roles and people is in it; not what becomes of operators.
        """
        seconds = self._settings.stream_heartbeat
        if caller.is_operator:
            seconds = min(seconds, _AGAIN_SECONDS)
        if caller.expires_at is not None:
            left = (caller.expires_at - datetime.now(UTC)).total_seconds()
            seconds = max(0.05, min(seconds, left))
        return seconds


class _Stalled(Exception):
    """The client has taken nothing for too long."""


class _Out:
    """What is sent to a client, who may be slow or gone."""

    def __init__(self, send: Send, gone: asyncio.Task[None], stall_seconds: float) -> None:
        self._send = send
        self._gone = gone
        self._stall_seconds = stall_seconds
        self._clock = asyncio.get_running_loop().time
        self._sent_at = self._clock()

    @property
    def is_over(self) -> bool:
        return self._gone.done()

    def silent_for(self) -> float:
        """Seconds since anything was sent."""
        return self._clock() - self._sent_at

    async def begin(self, headers: list[tuple[bytes, bytes]]) -> None:
        await self._put({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(self, text: str) -> None:
        """Raises _Stalled."""
        body = text.encode()
        await self._put({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self) -> None:
        if not self.is_over:
            await self._put({"type": "http.response.body", "body": b"", "more_body": False})

    async def _put(self, message: Any) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self._send(message)
        except TimeoutError:
            raise _Stalled from None
        self._sent_at = self._clock()


async def _gone(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _message(event: Told) -> str:
    # JSON has no line break but escaped, so that one line of data holds it.
    return f"id: {event.position}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
