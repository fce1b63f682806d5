"""The front door: one transaction per request, committed before anybody hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import asyncpg

from app.application.group_commit import GroupCommit
from app.application.idempotency import Answer, Given, Once, commit_safely, find, keep
from app.application.keys import Caller
from app.application.lookback import Lookback
from app.application.states import MOST_FOLDED, States
from app.application.unit_of_work import OpenLedger, UnitOfWork
from app.domain.errors import NotFound, Refusal
from app.events import store
from app.events.envelope import Meta
from app.events.statements import Connection
from app.events.store import Head, LedgerMissing
from app.events.texts import TextKeys, Texts
from app.projections.rows import PostgresRows, Rows
from app.transactions import transaction, work_at_hand

T = TypeVar("T")

INSTALLATION = UUID(int=0)
"""Stands where an organisation would, in what belongs to none of them."""

# Both mean "run the whole transaction again": nothing of it was kept.
_RETRY = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_ATTEMPTS = 4


class OutsideLedger(Refusal):
    """The moment or position asked for is not in the ledger (yet)."""

    name = "outside-ledger"


@dataclass(slots=True)
class Horizon:
    """Until when, and including which moment, time alone changes nothing of what was read."""

    until: datetime = datetime.max.replace(tzinfo=UTC)

    def lower(self, moment: datetime) -> None:
        self.until = min(self.until, moment)


@dataclass(frozen=True, slots=True)
class Reader:
    """An organisation at one point of its ledger.

    `at` is the moment shown: now, or the one asked for; what is overdue is overdue by it.
    `present` are the live rows, for what has no history, and for what `caller` may see. Without
    a caller, what is not for everybody stays unseen. `horizon` is told of what time will change.
    """

    conn: Connection
    texts: Texts
    rows: Rows
    present: PostgresRows
    position: int
    at: datetime
    is_past: bool
    caller: Caller | None = None
    horizon: Horizon = field(default_factory=Horizon)
    effective_at: datetime | None = None
    """The moment that occurred, where one was asked for."""

    @property
    def org_id(self) -> UUID:
        return self.texts.org_id


def _demand_past(now: Reader, moment: datetime, pointer: str) -> None:
    # A client's clock may run a little ahead of the database's.
    if moment > now.at + timedelta(seconds=5):
        raise OutsideLedger(f"{pointer} lies in the future.", pointer=pointer)


class Ledgers:
    """All ledgers of one database."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        grown: Callable[[UUID, int], None] = lambda org_id, position: None,
        *,
        spans: bool = True,
        statement_seconds: float | None = None,
        most_folded: int = MOST_FOLDED,
    ) -> None:
        """`grown` is told of each ledger that was appended to, once that is committed.

        `spans` and `statement_seconds` are GroupCommit's, `most_folded` is that of States.
        """
        self.pool = pool
        self._grown = grown
        self._states = States(most_folded)
        self._lookback = Lookback()
        self._text_keys = TextKeys()
        self._group = GroupCommit(
            pool,
            self._opened,
            self._committed_to,
            spans=spans,
            statement_seconds=statement_seconds,
        )

    async def close(self) -> None:
        """Cut short whatever is being written."""
        await self._group.close()

    async def write(
        self,
        org_id: UUID,
        meta: Meta,
        work: Callable[[UnitOfWork], Awaitable[Answer]],
        *,
        once: Once | None = None,
        founding: bool = False,
    ) -> Answer:
        """Have `work` done and committed, once per key. Raises NotFound, Refusal.

        It may share its transaction with others, unless it is long work.
        """
        at_hand = work_at_hand.get()
        if founding or (at_hand is not None and at_hand.is_long):
            return await self._write_alone(org_id, meta, work, once, founding=founding)
        return await self._group.write(org_id, meta, work, once)

    async def _write_alone(
        self,
        org_id: UUID,
        meta: Meta,
        work: Callable[[UnitOfWork], Awaitable[Answer]],
        once: Once | None,
        *,
        founding: bool,
    ) -> Answer:
        opened: OpenLedger | None = None
        scope = INSTALLATION if founding else org_id

        async def once_only(conn: Connection) -> Answer:
            nonlocal opened
            opened = None
            kept = once and await find(conn, scope, once)
            if kept:
                await commit_safely(conn)
                return kept
            async with self._unit_of_work(conn, org_id, meta, founding=founding) as (ledger, unit):
                made = await work(unit)
            opened, answer = ledger, made.led_to(unit.position)
            if once:
                await keep(conn, Given(scope, once, answer, unit.at))
            return answer

        answer = await self._committed(once_only, of={scope, org_id})
        self._committed_to(opened)
        return answer

    async def in_transaction(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run and commit what takes care of everything itself: a ledger that is taken in whole."""
        return await self._committed(work)

    async def run(
        self,
        org_id: UUID,
        meta: Meta,
        work: Callable[[UnitOfWork], Awaitable[T]],
        *,
        founding: bool = False,
        dry: bool = False,
    ) -> T:
        """Like `write`, for callers inside the program; `dry` rolls everything back."""

        opened: OpenLedger | None = None

        async def on_unit(conn: Connection) -> T:
            nonlocal opened
            async with self._unit_of_work(conn, org_id, meta, founding=founding) as (ledger, unit):
                done = await work(unit)
            opened = ledger
            return done

        done = await self._committed(on_unit, of={org_id}, dry=dry)
        if not dry:
            self._committed_to(opened)
        return done

    @asynccontextmanager
    async def _unit_of_work(
        self, conn: Connection, org_id: UUID, meta: Meta, *, founding: bool
    ) -> AsyncIterator[tuple[OpenLedger, UnitOfWork]]:
        if founding:
            await store.create_ledger(conn, org_id)
        try:
            head = await store.lock_head(conn, org_id)
        except LedgerMissing as missing:
            raise NotFound("organisation", org_id) from missing
        ledger = await self._opened(conn, org_id, head)
        unit = UnitOfWork(ledger, meta)
        yield ledger, unit
        await unit.flush()

    async def _opened(self, conn: Connection, org_id: UUID, head: Head) -> OpenLedger:
        """A ledger whose lock is held, with what is known of it already."""
        texts = await self._text_keys.of(conn, org_id, head.text_keys_version)
        has_moved = not self._states.is_at(org_id, head)
        kept = await self._states.current(conn, texts, head)
        return OpenLedger(conn, head, texts, kept, has_moved=has_moved)

    def _committed_to(self, ledger: OpenLedger | None) -> None:
        """Remember what a transaction read and changed, and tell whoever follows the ledger."""
        if ledger is None:
            return
        self._states.keep(
            ledger.org_id, ledger.kept, ledger.head_after, ledger.fresh, ledger.grants
        )
        if ledger.has_grown:
            self._grown(ledger.org_id, ledger.last)

    async def _committed(
        self,
        work: Callable[[Connection], Awaitable[T]],
        *,
        of: Collection[UUID] = (),
        dry: bool = False,
    ) -> T:
        for attempt in range(_ATTEMPTS):
            try:
                async with transaction(self.pool, of=of, dry=dry) as conn:
                    return await work(conn)
            except _RETRY:
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(0.01 * 2**attempt)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def read(
        self,
        org_id: UUID,
        as_of: int | datetime | None = None,
        effective_at: datetime | None = None,
    ) -> AsyncIterator[Reader]:
        """One consistent view. Raises NotFound, OutsideLedger.

        `as_of` is when it was known, now by default, and `effective_at` when it was true.
        """
        async with transaction(
            self.pool, of=[org_id], isolation="repeatable_read", readonly=True
        ) as conn:
            try:
                head = await store.read_head(conn, org_id)
            except LedgerMissing as missing:
                raise NotFound("organisation", org_id) from missing
            present = PostgresRows(conn, org_id)
            texts = await self._text_keys.of(conn, org_id, head.text_keys_version)
            now = Reader(conn, texts, present, present, head.position, head.at, is_past=False)
            if as_of is None and effective_at is None:
                yield now
                return
            yield await self.back(now, as_of, effective_at)

    async def back(
        self,
        now: Reader,
        as_of: int | datetime | None,
        effective_at: datetime | None = None,
        *,
        pointer: str = "as_of",
    ) -> Reader:
        """The same organisation at an earlier point of its ledger. Raises OutsideLedger.

        `pointer` is the parameter that states `as_of`.
        """
        position = now.position
        if isinstance(as_of, int):
            if not 1 <= as_of <= position:
                raise OutsideLedger(
                    f"{pointer} must be a position from 1 to {position}, the ledger's head.",
                    pointer=pointer,
                )
            position = as_of
        elif as_of is not None:
            _demand_past(now, as_of, pointer)
            position = await store.position_at(now.conn, now.org_id, as_of)
            if position == 0:
                raise OutsideLedger(
                    f"{pointer} lies before the organisation was founded.", pointer=pointer
                )
        if effective_at is not None:
            _demand_past(now, effective_at, "effective_at")
        event_id, recorded_at = await store.event_at(now.conn, now.org_id, position)
        moment = as_of if isinstance(as_of, datetime) else recorded_at
        if as_of is None:
            moment = now.at
        if effective_at is not None:
            # What is silent is silent by the moment that is shown.
            moment = min(moment, effective_at)
        past = await self._lookback.rows(now.conn, now.texts, position, event_id, effective_at)
        return replace(
            now,
            rows=past,
            position=position,
            at=moment,
            is_past=True,
            effective_at=effective_at,
        )
