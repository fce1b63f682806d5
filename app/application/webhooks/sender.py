"""Sends what is due, for all organisations, as long as this process serves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from app import logs
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.application.webhooks import leases, outbox, signing
from app.application.webhooks.leases import Claimed, Messages, Room
from app.application.webhooks.posting import Outcome, Poster
from app.application.webhooks.schedule import DELAYS
from app.domain.errors import NotFound
from app.domain.webhook import Because, DisableWebhook, Status, Webhook
from app.events.envelope import Meta
from app.events.texts import TextKeys
from app.transactions import transaction

SOURCE = "webhooks"
"""As what the ledger notes who disabled a webhook."""
PLACES = 32
"""Messages that one process has under way at once."""
PLACES_FOR_FAILING = PLACES // 2
"""Of these, those to webhooks whose last attempt failed: the rest is for those that work."""
PLACES_OF_ONE = 24
"""Of these, those of one organisation: whichever of its receivers hang, others are sent theirs."""
IDLE_SECONDS = 5.0
"""Between two looks, at most, where nothing is due: for what other processes leave to this one."""
POLL_SECONDS = 1.0
"""Between two looks, at most, where what is due could not be taken on; and after an outage."""
_GATHER_SECONDS = 0.05
"""What is recorded within this time is looked for in one go."""
_GOING_SECONDS = 1.0
"""For what is under way when the process is told to go. The rest is sent again by another."""
_TIDY_SECONDS = 60.0
_LOOKED_AT = 200
_KNOWN = 1_000
"""Organisations whose growth wakes it. Where anything is sent to more of them, everybody's does."""
_LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_log = logging.getLogger(__name__)


class _Everybody(Container[UUID]):
    def __contains__(self, _: object) -> bool:
        return True


_EVERYBODY = _Everybody()


class Sender:
    """One loop that claims, and a task for each message that is under way.

    It sleeps until something is due, and is woken by what this process records for those who are
    sent anything, and by whatever `wake` is called for.
    """

    def __init__(
        self, ledgers: Ledgers, messages: Messages, poster: Poster, *, connections: int
    ) -> None:
        """`connections` of the pool are used at once, at most."""
        self._ledgers = ledgers
        self._messages = messages
        self._poster = poster
        self._keys = TextKeys()
        self._connections = asyncio.Semaphore(connections)
        self._woken = asyncio.Event()
        self._sent_to: Container[UUID] = _EVERYBODY
        self._grown: set[UUID] | None = None
        """What grows while it is asked whom anything is sent to."""
        self._under_way: dict[asyncio.Task[None], Claimed] = {}
        self._tidied_at = time.monotonic()
        self._is_told = False

    def wake(self) -> None:
        """Look now: something is due that was not, or somebody is sent something from now on."""
        self._woken.set()

    def grown(self, org_id: UUID) -> None:
        """A ledger has grown, and is committed: look, if anything of it is sent to anybody."""
        if self._grown is not None:
            self._grown.add(org_id)
        elif org_id in self._sent_to:
            self.wake()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Around the time in which it works."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=_GOING_SECONDS)
            for one in (left := list(self._under_way)):
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            pause = POLL_SECONDS
            try:
                pause = await self._round()
                if time.monotonic() - self._tidied_at > _TIDY_SECONDS:
                    if await self._tidy():
                        pause = 0.0
                    else:
                        self._tidied_at = time.monotonic()
                self._is_told = False
            except _LOST as error:
                self._complain(error)
            if pause:
                # Not `wait_for`, which in Python 3.11 may take a cancellation for an answer.
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
                        await asyncio.sleep(_GATHER_SECONDS)

    def _complain(self, error: Exception) -> None:
        """Once for each outage."""
        if not self._is_told:
            logs.report(_log, "webhooks", error)
        self._is_told = True

    @property
    def _free(self) -> int:
        return PLACES - len(self._under_way)

    def _room(self, org_id: UUID, webhook_id: UUID) -> Room:
        under_way = self._under_way.values()
        failing = sum(one.is_failing for one in under_way)
        ours = sum(one.org_id == org_id for one in under_way)
        here = sum(one.webhook_id == webhook_id for one in under_way)
        # Whichever others of the organisation hang, a webhook with none under way may send one.
        free = min(self._free, max(PLACES_OF_ONE - ours, 0 if here else 1))
        return Room(free, min(free, PLACES_FOR_FAILING - failing), here)

    async def _round(self) -> float:
        """Take on what there is room for; in how many seconds to look again."""
        if self._free <= 0:
            # Whatever ends wakes it.
            return IDLE_SECONDS
        found, pause = await self._look()
        moved = False
        for org_id, webhook_id in found:
            if self._free <= 0:
                return IDLE_SECONDS
            try:
                moved |= await self._claim(org_id, webhook_id)
            except _LOST:
                raise
            except Exception as error:
                # What one webhook meets keeps no other one waiting.
                self._complain(error)
        return 0.0 if moved else pause

    async def _look(self) -> tuple[list[tuple[UUID, UUID]], float]:
        """What there is to do something for, and in how many seconds there is something else."""
        self._grown = set()
        try:
            async with self._connections, transaction(self._ledgers.pool, readonly=True) as conn:
                found = await leases.due(conn, _LOOKED_AT)
                standing = await leases.standing(conn, _KNOWN)
            self._sent_to = standing.keys() if len(standing) < _KNOWN else _EVERYBODY
            if any(org_id in self._sent_to for org_id in self._grown):
                self.wake()
        finally:
            self._grown = None
        waits = [seconds for seconds in standing.values() if seconds is not None]
        return found, POLL_SECONDS if found else min([IDLE_SECONDS, *waits])

    async def _claim(self, org_id: UUID, webhook_id: UUID) -> bool:
        async with self._connections, transaction(self._ledgers.pool) as conn:
            claimed, has_more = await leases.claim(
                conn, org_id, webhook_id, self._keys, self._messages, self._room(org_id, webhook_id)
            )
        for one in claimed:
            task = asyncio.create_task(self._send(one))
            self._under_way[task] = one
            task.add_done_callback(self._ended)
        return has_more or bool(claimed)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self.wake()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._complain(error)

    # One message --------------------------------------------------------------------------

    async def _send(self, claimed: Claimed) -> None:
        at = datetime.now(UTC)
        headers = signing.headers(claimed.secrets, str(claimed.event_id), at, claimed.body)
        outcome = await self._poster.post(claimed.url, headers, claimed.body)
        try:
            await self._report_on(claimed, outcome)
        except _LOST:
            # Once more; if that fails too, the lease ends, and the message is sent again.
            await asyncio.sleep(POLL_SECONDS)
            await self._report_on(claimed, outcome)

    async def _report_on(self, claimed: Claimed, outcome: Outcome) -> None:
        is_last = claimed.tries + 1 >= len(DELAYS) and not claimed.is_test
        if outcome.is_gone or (is_last and not outcome.has_arrived):
            await self._report_in_ledger(claimed, outcome)
            return
        async with self._connections, transaction(self._ledgers.pool) as conn:
            await leases.report(conn, claimed, outcome)

    async def _report_in_ledger(self, claimed: Claimed, outcome: Outcome) -> None:
        """Like any report, and what follows for the webhook, in one transaction.

        What was said at an address that it has no more says nothing of it.
        """
        id = claimed.webhook_id

        async def work(unit: UnitOfWork) -> None:
            state: Webhook | None = await unit.state("webhook", id)
            has_moved = state is not None and state.url != claimed.url
            if has_moved and not claimed.is_test:
                await leases.begin_again(unit.conn, claimed, outcome)
                return
            is_over = await leases.report(unit.conn, claimed, outcome)
            if has_moved or state is None or state.status is not Status.ENABLED:
                return
            if is_over:
                because = Because.GONE if outcome.is_gone else Because.GIVEN_UP
                await unit.execute(DisableWebhook(webhook_id=id, because=because))
                await outbox.stop(unit.conn, unit.org_id, id)

        cause = None if claimed.is_test else claimed.event_id
        meta = Meta(f"webhook/{id}", SOURCE, uuid7(), cause)
        async with self._connections:
            with suppress(NotFound):
                await self._ledgers.run(claimed.org_id, meta, work)

    async def _tidy(self) -> bool:
        """Drop some of what is too old; whether there may be more of it."""
        has_dropped = False
        async with self._connections, transaction(self._ledgers.pool, readonly=True) as conn:
            found = await leases.untidy(conn, _LOOKED_AT)
        for org_id in found:
            async with self._connections, transaction(self._ledgers.pool, of=[org_id]) as conn:
                has_dropped |= await outbox.tidy(conn, org_id)
        return has_dropped
