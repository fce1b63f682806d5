"""Who follows a ledger is woken when it grows, by whichever process it was that wrote.

Nothing here says what was recorded: whoever is woken reads it from the ledger, so that whatever
this loses is only late. A notification takes a lock of the whole database at its commit. So it is
sent beside the writes and not within them, for many of them at once, and in a transaction that
waits for no disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from uuid import UUID

import asyncpg

from app import logs
from app.events import store
from app.events.statements import Connection

CHANNEL = "okr_ledgers"
POLL_SECONDS = 1.0
"""Between two looks at the heads of the ledgers that somebody follows."""
_GATHER_SECONDS = 0.02
"""Ledgers that grow within this time are told of in one go."""
_AGAIN_SECONDS = 1.0
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_log = logging.getLogger(__name__)


class Ear:
    """What one follower of a ledger hears: that the ledger goes on beyond what it has seen."""

    def __init__(self) -> None:
        self.seen = 0
        """Up to which position; what lies before it wakes nobody."""
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    def hear(self, position: int) -> None:
        """The ledger has come so far."""
        if position > self.seen:
            self.wake()

    async def wait(self, seconds: float) -> bool:
        """Until it is woken (True), or so many seconds are over."""
        try:
            # Not `wait_for`, which in Python 3.11 may take a cancellation for an answer.
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class Bell:
    """One connection of a process that tells of what was written here, and hears of the rest.

    It asks for the heads of ledgers too, so that a lost notification is a delay of a second.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._ears: dict[UUID, set[Ear]] = defaultdict(set)
        self._untold: dict[UUID, int] = {}
        self._woken = asyncio.Event()
        self.is_down = True
        """Whether it has no connection at the moment."""
        self._is_told = False

    def ring(self, org_id: UUID, position: int) -> None:
        """A ledger has grown, and is committed: tell those who follow it, here and elsewhere."""
        self._untold[org_id] = max(position, self._untold.get(org_id, 0))
        self._woken.set()
        self._tell_here(org_id, position)

    @contextmanager
    def follow(self, org_id: UUID) -> Iterator[Ear]:
        """An Ear for as long as it is held."""
        ear = Ear()
        self._ears[org_id].add(ear)
        self._woken.set()
        try:
            yield ear
        finally:
            self._ears[org_id].discard(ear)
            if not self._ears[org_id]:
                del self._ears[org_id]

    @asynccontextmanager
    async def ringing(self) -> AsyncIterator[None]:
        """Around the time in which it works."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self._at_work()
            except _LOST as error:
                self.is_down = True
                if not self._is_told:
                    logs.report(_log, "feed", error)
                self._is_told = True
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _at_work(self) -> None:
        conn: Any = await self._connect()
        try:
            # A connection that breaks is noticed at once; the next statement says so.
            conn.add_termination_listener(lambda _: self._woken.set())
            await conn.add_listener(CHANNEL, self._heard)
            while True:
                self._woken.clear()
                await self._tell(conn)
                await self._look(conn)
                self.is_down = self._is_told = False
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS if self._ears else None):
                        await self._woken.wait()
                await asyncio.sleep(_GATHER_SECONDS)
        finally:
            conn.terminate()

    async def _tell(self, conn: Connection) -> None:
        untold, self._untold = self._untold, {}
        if not untold:
            return
        told = [f"{org_id} {position}" for org_id, position in untold.items()]
        try:
            await conn.execute("SELECT pg_notify($1, t) FROM unnest($2::text[]) t", CHANNEL, told)
        except BaseException:
            for org_id, position in untold.items():
                self._untold[org_id] = max(position, self._untold.get(org_id, 0))
            raise

    async def _look(self, conn: Connection) -> None:
        followed = list(self._ears)
        if not followed:
            return
        if await conn.fetchval("SHOW transaction_read_only") == "on":
            raise ConnectionError("this was a primary, and is none any more")
        async with conn.transaction(readonly=True):
            for org_id in followed:
                await store.as_organization(conn, org_id)
                with suppress(store.LedgerMissing):
                    self._tell_here(org_id, (await store.read_head(conn, org_id)).position)

    def _heard(self, *heard: Any) -> None:
        org_id, _, position = str(heard[-1]).partition(" ")
        with suppress(ValueError):
            self._tell_here(UUID(org_id), int(position))

    def _tell_here(self, org_id: UUID, position: int) -> None:
        for ear in self._ears.get(org_id, ()):
            ear.hear(position)
