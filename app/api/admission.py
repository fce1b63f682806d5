"""Who may come in, and for how long: at most so many requests at work, so many waiting, no more.

What is turned away is told so at once, and when to come back. What was let in has a deadline, so
that a database which says nothing is told as that, and its place goes to somebody else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.demands import Demanding
from app.api.heads import headers_of
from app.api.problems import render, unavailable
from app.config import Settings
from app.transactions import Work, work_at_hand

RETRY_SECONDS = 1
_READS = ("GET", "HEAD", "OPTIONS")
_ALWAYS_LET_IN = ("/health/live", "/health/ready", "/metrics")
_INTO_THE_PAST = (b"as_of", b"effective_at")
_BODY_AT_ONCE_SECONDS = 0.05
_READ_ON_BYTES = 65_536


class Overloaded(Exception):
    """There is no place, and none became free in time."""


@dataclass
class Lane:
    """Places for requests of one kind; whoever waits for one is let in in turn."""

    places: int
    most_waiting: int
    wait_seconds: float
    waiting: int = 0
    refused: int = 0
    _free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.places)

    async def enter(self) -> None:
        """Take a place. Raises Overloaded."""
        if not self._free.locked():
            await self._free.acquire()
            return
        if self.waiting >= self.most_waiting:
            self.refused += 1
            raise Overloaded
        self.waiting += 1
        try:
            async with asyncio.timeout(self.wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            self.refused += 1
            raise Overloaded from None
        finally:
            self.waiting -= 1

    def leave(self) -> None:
        self._free.release()


@dataclass
class _Place:
    """A request's place in a lane, which it may give back and take again."""

    lane: Lane | None
    is_taken: bool = False

    async def take(self) -> None:
        if self.lane is not None:
            await self.lane.enter()
            self.is_taken = True

    def give_back(self) -> None:
        if self.lane is not None and self.is_taken:
            self.is_taken = False
            self.lane.leave()


class Lanes:
    """One for reading, one for writing, and one for long work, with half the connections.

    So however much of one kind is asked for, the others have a place and a connection.
    """

    def __init__(self, settings: Settings) -> None:
        waiting, seconds = settings.max_waiting, settings.max_wait
        self.reading = Lane(settings.max_at_work, waiting, seconds)
        # Writes wait for a transaction that they share, and not for a connection each.
        self.writing = Lane(settings.max_writing, waiting, seconds)
        self.long = Lane(max(1, settings.pool_size // 2), waiting, seconds)
        # Of streams, which are held open: they do their work in places of the long lane.
        self.streams = Lane(settings.max_at_work, waiting, seconds)


class Admission:
    """Lets requests in by lanes, and holds them to a deadline.

    An ordinary request has `request_timeout` seconds in all. Long work has them until a database
    has begun to answer, and then `long_request_timeout`; each of its statements has no more than
    `request_timeout`, or `command_timeout` where statements are long themselves.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, lanes: Lanes, demanding: Demanding
    ) -> None:
        self.app = app
        self._settings = settings
        self._lanes = lanes
        self._demanding = demanding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        demanded = self._demanding.of(scope)
        if demanded.by_line:
            await self._streaming(scope, receive, send)
            return
        is_long = demanded.long or demanded.long_statements or _asks_for_much(scope)
        seconds = None if demanded.long_statements else self._settings.request_timeout
        work = Work(seconds, is_long=is_long)
        await self._held(scope, receive, send, work, _Place(self._lane(scope, is_long)))

    def _lane(self, scope: Scope, is_long: bool) -> Lane | None:
        if is_long:
            return self._lanes.long
        if scope["path"] in _ALWAYS_LET_IN:
            return None
        return self._lanes.reading if scope["method"] in _READS else self._lanes.writing

    async def _streaming(self, scope: Scope, receive: Receive, send: Send) -> None:
        """No deadline for the whole: whoever answers bounds each transaction and each pause.

        Each of its transactions takes a place among long work by itself.
        """
        held = work_at_hand.set(Work(self._settings.request_timeout))
        place = _Place(self._lanes.streams)
        try:
            await place.take()
            await self.app(scope, receive, send)
        except Overloaded:
            await _overloaded(scope)(scope, receive, send)
        finally:
            place.give_back()
            work_at_hand.reset(held)

    async def _held(
        self, scope: Scope, receive: Receive, send: Send, work: Work, place: _Place
    ) -> None:
        started = False
        clock = asyncio.get_running_loop().time
        long_ends = clock() + self._settings.long_request_timeout
        body = _has_body(scope)

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                # The work is done. How fast it is taken is the client's affair.
                started = True
                deadline.reschedule(None)
                place.give_back()
                place.lane = None
            await send(message)

        async def receiving() -> Message:
            nonlocal body
            if not body:
                return await receive()
            message = await self._received(receive, deadline, place)
            body = bool(message.get("more_body", False))
            return message

        held = work_at_hand.set(work)
        try:
            await place.take()
            async with asyncio.timeout(self._settings.request_timeout) as deadline:
                work.begun = lambda: None if started else deadline.reschedule(long_ends)
                await self.app(scope, receiving, sending)
        except Overloaded:
            await _overloaded(scope)(scope, receive, send)
        except (TimeoutError, asyncio.CancelledError):
            # Cut short by the deadline, or by a server that is told to go.
            if started:
                raise
            await unavailable(scope["path"])(scope, receive, send)
        finally:
            place.give_back()
            work_at_hand.reset(held)

    async def _received(
        self, receive: Receive, deadline: asyncio.Timeout, place: _Place
    ) -> Message:
        """A part of the body. Whoever takes long to send it keeps nobody from work meanwhile."""
        loop, ends = asyncio.get_running_loop(), deadline.when()
        is_slow, began = False, loop.time()

        def step_aside() -> None:
            nonlocal is_slow
            is_slow = True
            deadline.reschedule(None)
            place.give_back()

        slow = loop.call_later(_BODY_AT_ONCE_SECONDS, step_aside)
        try:
            message = await receive()
        finally:
            slow.cancel()
        if is_slow:
            try:
                await place.take()
            except Overloaded:
                # The one kind of error that goes through whoever reads the body.
                raise HTTPException(503, _TOLD, {"Retry-After": str(RETRY_SECONDS)}) from None
            deadline.reschedule(None if ends is None else ends + loop.time() - began)
        return message


def _asks_for_much(scope: Scope) -> bool:
    """A look into the past replays all that came before it; a sheet has all pages of a list."""
    query: bytes = scope["query_string"]
    if any(name in query for name in _INTO_THE_PAST):
        return True
    return b"format=csv" in query or "text/csv" in headers_of(scope).get("accept", "").lower()


_TOLD = "There are more requests than the server can take at the moment. Nothing was recorded."


def _overloaded(scope: Scope) -> Response:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    told = headers_of(scope).get("content-length", "")
    if _has_body(scope) and not (told.isdigit() and int(told) <= _READ_ON_BYTES):
        # Nobody waits for the rest of a long body.
        headers["Connection"] = "close"
    return render("overloaded", _TOLD, instance=scope["path"], headers=headers)


def _has_body(scope: Scope) -> bool:
    headers = headers_of(scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
