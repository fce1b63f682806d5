"""Bundles over HTTP: a ledger that proves itself, in parts, to whoever takes it however slowly.

A bundle under way holds no transaction and no connection, but a page of events in memory, and comes
back to the database for each: so only so many are. Events up to its size never change, and are read
some at a time, each time as whoever the caller is by then. What fails after the beginning cuts the
answer: it is not ended as HTTP ends one, and its last line is missing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.admission import Lane, Overloaded
from app.api.middleware import AnswerCut
from app.api.problems import OUTAGES, ApiProblem
from app.application.bundle import BLOCK, Plan
from app.application.keys import Caller
from app.config import Settings
from app.domain.errors import Refusal
from app.events.envelope import Recorded

MEDIA_TYPE = "application/x-ndjson"
TOGETHER = 2 * BLOCK
"""Events of one transaction."""
_AGAIN_SECONDS = 1.0
_RETRY_AFTER = {"Retry-After": "30"}
_NOT_NOW: tuple[type[Exception], ...] = (Overloaded, *OUTAGES)

Look = Callable[[int, int], Awaitable[Sequence[Recorded]]]
"""The events after a position, up to another. Raises ApiProblem, Refusal where it may no more."""


class Bundles:
    """The bundles that one process is sending: so many in all, and so many to one credential."""

    def __init__(self, settings: Settings) -> None:
        self._most, self._own = settings.max_bundles, settings.max_bundles_per_caller
        self._open: Counter[bytes] = Counter()

    def __len__(self) -> int:
        return self._open.total()

    def require_place(self, caller: Caller) -> None:
        """Raises ApiProblem where there is no place for one more."""
        if self._open[caller.digest] >= self._own:
            told = f"This key takes {self._own} bundles already."
        elif len(self) >= self._most:
            told = f"All {self._most} places for bundles are taken."
        else:
            return
        raise ApiProblem("overloaded", told, headers=_RETRY_AFTER)

    @contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        """A place for one more. Raises ApiProblem where there is none."""
        self.require_place(caller)
        self._open[caller.digest] += 1
        try:
            yield
        finally:
            self._open[caller.digest] -= 1
            # Whoever was here once is not counted for ever.
            self._open = +self._open


class BundleResponse(StreamingResponse):
    """Tells a bundle line by line. A client that takes nothing for long is hung up on."""

    def __init__(self, request: Request, caller: Caller, plan: Plan, look: Look) -> None:
        named = plan.org_id if plan.cycle_id is None else plan.cycle_id
        headers = {
            "Ledger-Position": str(plan.size),
            "Content-Disposition": f'attachment; filename="{named}-{plan.size}.ndjson"',
            "X-Accel-Buffering": "no",
        }
        settings: Settings = request.app.state.settings
        lines = _lines(plan, look, request.app.state.lanes.long, settings)
        super().__init__(lines, 200, headers, MEDIA_TYPE)
        self._stall_seconds = settings.stream_stall
        self._bundles: Bundles = request.app.state.bundles
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            try:
                async with asyncio.timeout(self._stall_seconds):
                    await send(message)
            except TimeoutError:
                raise _Stalled from None

        if scope.get("is_head"):
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            await send({"type": "http.response.body"})
            return
        with self._bundles.place(self._caller):
            try:
                await super().__call__(scope, receive, sending)
            except _Stalled:
                scope.get("hang_up", lambda: None)()


class _Stalled(Exception):
    """The client has taken nothing for too long."""


async def _lines(plan: Plan, look: Look, lane: Lane, settings: Settings) -> AsyncIterator[bytes]:
    """Parts of some lines each. Raises AnswerCut."""
    yield b"".join(plan.opening())
    count = 0
    for after in range(0, plan.size, TOGETHER):
        up_to = min(after + TOGETHER, plan.size)
        events = await _read(look, after, up_to, lane, settings)
        for begin in range(0, len(events), BLOCK):
            lines = plan.events(events[begin : begin + BLOCK])
            count += len(lines)
            yield b"".join(lines)
    yield plan.ending(count)


async def _read(
    look: Look, after: int, up_to: int, lane: Lane, settings: Settings
) -> Sequence[Recorded]:
    """Some events, in a place among long work, with patience for a database that is away."""
    clock = asyncio.get_running_loop().time
    ends = clock() + settings.long_request_timeout
    while True:
        try:
            await lane.enter()
            try:
                async with asyncio.timeout(settings.request_timeout):
                    events = await look(after, up_to)
            finally:
                lane.leave()
        except (ApiProblem, Refusal) as refused:
            raise AnswerCut("a bundle's reader may not read on") from refused
        except _NOT_NOW as outage:
            if clock() >= ends:
                raise AnswerCut("the rest of a bundle could not be read") from outage
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            if [event.position for event in events] != list(range(after + 1, up_to + 1)):
                # It was restored to an earlier point, and went on from there.
                raise AnswerCut("the ledger is not the one that the bundle began with")
            return events
