"""One commit for many: what arrives while a transaction is under way goes into the next one.

Each request is decided by itself, with an answer or an error of its own, and answered after the
commit. Whatever makes a transaction fail as a whole is found by deciding its requests once more,
each in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from app.application.idempotency import (
    KEYS,
    Answer,
    Given,
    Keeping,
    Kept,
    KeyInFlight,
    Once,
    commit_safely,
    find_all,
    lock_and_find,
)
from app.application.unit_of_work import OpenLedger, UnitOfWork, flush_all
from app.domain.errors import NotFound
from app.events import store
from app.events.envelope import Meta
from app.events.statements import Connection
from app.events.store import Head, LedgerMissing
from app.transactions import Work, transaction, work_at_hand

MOST_TOGETHER = 256
_AT_ONCE = 2
"""Transactions under way, of different ledgers: one is decided while the other is written."""
_SLOW_SECONDS = 0.5
"""Whatever takes longer keeps the others from nothing any more."""
_ATTEMPTS = 4
_RETRY = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# The database's own state, which is the same for whoever asks again by itself.
_OUTAGES = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
)

Job = Callable[[UnitOfWork], Awaitable[Answer]]
Opening = Callable[[Connection, UUID, Head], Awaitable[OpenLedger]]
_Known = Mapping[tuple[UUID, Once], Kept | None]


@dataclass(slots=True, eq=False)
class Wish:
    """What a request wants to be done to a ledger, and where it waits to hear of it."""

    org_id: UUID
    meta: Meta
    job: Job
    once: Once | None
    work: Work
    answered: asyncio.Future[Answer]
    is_begun: bool = False

    @property
    def is_given_up(self) -> bool:
        return self.answered.done()

    def hear(self, outcome: Answer | BaseException) -> None:
        if self.answered.done():
            return
        if isinstance(outcome, BaseException):
            self.answered.set_exception(outcome)
        else:
            self.answered.set_result(outcome)


@dataclass(slots=True)
class _Batch:
    wishes: list[Wish]
    waits: bool = False
    """Whether it waits for a lock that another process holds; then it is of one ledger."""
    is_slow: bool = False
    is_decided: bool = False

    @property
    def org_ids(self) -> list[UUID]:
        return list(dict.fromkeys(wish.org_id for wish in self.wishes))


@dataclass(slots=True)
class _Done:
    """What became of the wishes of a transaction, and what is kept with them."""

    outcomes: list[tuple[Wish, Answer | Exception]] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    has_replayed: bool = False


class GroupCommit:
    """Decides the wishes of one process, of all ledgers, in as few transactions as there can be.

    Those of one ledger are decided in the order in which they came. Other processes have the same
    ledgers: their heads' locks are the truth, and no transaction waits for one while it holds
    another. With `spans` false a transaction is of one ledger only, for databases that keep
    ledgers on several nodes. `statement_seconds` bounds each statement.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        opened: Opening,
        committed: Callable[[OpenLedger], None],
        *,
        spans: bool = True,
        statement_seconds: float | None = None,
    ) -> None:
        """`committed` is told of each ledger of a transaction, once that is committed."""
        self._pool = pool
        self._opened = opened
        self._committed = committed
        self._spans = spans
        self._statement_seconds = statement_seconds
        self._waiting: OrderedDict[UUID, deque[Wish]] = OrderedDict()
        self._busy: set[UUID] = set()
        self._keys: set[tuple[str, ...]] = set()
        self._tasks: dict[asyncio.Task[None], _Batch] = {}
        self._is_called = False

    async def write(self, org_id: UUID, meta: Meta, job: Job, once: Once | None) -> Answer:
        """Have a job done and committed, once per key.

        Raises whatever the job does, NotFound, KeyInFlight, KeyReused, and what the driver says.
        """
        loop = asyncio.get_running_loop()
        work = work_at_hand.get() or Work()
        wish = Wish(org_id, meta, job, once, work, loop.create_future())
        if once is not None:
            self._hold(once, wish)
        self._waiting.setdefault(org_id, deque()).append(wish)
        self._call(loop)
        try:
            return await wish.answered
        except asyncio.CancelledError:
            if wish.is_begun:
                # It goes on without whoever asked for it.
                work.committing = True
            raise

    def _hold(self, once: Once, wish: Wish) -> None:
        """Two requests with one key are never under way together. Raises KeyInFlight."""
        key = (str(wish.org_id), once.credential, once.route, once.key)
        if key in self._keys:
            raise KeyInFlight(once.key)
        self._keys.add(key)
        wish.answered.add_done_callback(lambda _: self._keys.discard(key))

    async def close(self) -> None:
        """Cut short whatever is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Batches ------------------------------------------------------------------------------

    def _call(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin when all that is ready to run has run: it may bring more."""
        if not self._is_called:
            self._is_called = True
            loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._is_called = False
        while self._has_room() and (wishes := self._next()):
            self._start(_Batch(wishes))

    def _has_room(self) -> bool:
        """To decide two at once would take each of them as long, and make both of them smaller."""
        under_way = [batch for batch in self._tasks.values() if not batch.is_slow]
        return len(under_way) < _AT_ONCE and all(batch.is_decided for batch in under_way)

    def _next(self) -> list[Wish]:
        """Wishes of ledgers that no transaction is at, those that wait longest first."""
        taken: list[Wish] = []
        for org_id in [one for one in self._waiting if one not in self._busy]:
            queue = self._waiting[org_id]
            while queue and len(taken) < MOST_TOGETHER:
                wish = queue.popleft()
                if not wish.is_given_up:
                    taken.append(wish)
            if not queue:
                del self._waiting[org_id]
            if len(taken) >= MOST_TOGETHER or (taken and not self._spans):
                break
        return taken

    def _start(self, batch: _Batch) -> None:
        self._busy.update(batch.org_ids)
        batch.is_slow = batch.waits
        loop = asyncio.get_running_loop()
        # Nothing of the request that happens to be the first is to be found in it.
        task = loop.create_task(self._run(batch), context=contextvars.Context())
        self._tasks[task] = batch
        slow = loop.call_later(_SLOW_SECONDS, self._slow, batch)

        def ended(_: asyncio.Task[None]) -> None:
            slow.cancel()
            del self._tasks[task]
            self._busy.difference_update(batch.org_ids)
            if self._waiting:
                self._call(loop)

        task.add_done_callback(ended)

    def _slow(self, batch: _Batch) -> None:
        batch.is_slow = True
        self._begin()

    async def _run(self, batch: _Batch) -> None:
        """Decide a batch; everybody in it hears of it."""
        try:
            await self._decided(batch)
        except BaseException as error:
            cut = (
                error if isinstance(error, Exception) else TimeoutError("the server is told to go")
            )
            for wish in batch.wishes:
                wish.hear(cut)
            if not isinstance(error, Exception):
                raise

    async def _decided(self, batch: _Batch) -> None:
        for attempt in range(_ATTEMPTS):
            work = Work(self._statement_seconds)
            work_at_hand.set(work)
            try:
                await self._transaction(batch, work)
                return
            except _OUTAGES:
                raise
            except Exception as error:
                if _may_pass(error):
                    if attempt == _ATTEMPTS - 1:
                        raise
                    await asyncio.sleep(0.01 * 2**attempt)
                    continue
                if work.committing or len(batch.wishes) == 1:
                    raise
                for wish in batch.wishes:
                    if not wish.is_given_up:
                        await self._run(_Batch([wish], waits=True))
                return

    async def _transaction(self, batch: _Batch, work: Work) -> None:
        done = _Done()
        async with transaction(self._pool, of=batch.org_ids) as conn:
            ledgers, held, kept = await self._locked(conn, batch)
            if batch.waits or ledgers:
                wishes = [wish for wish in batch.wishes if wish.org_id not in held]
                work.shared_by = [wish.work for wish in wishes]
                done = await self._judged(ledgers, wishes, kept)
                batch.is_decided = True
                self._begin()
                keeping = Keeping(done.given)
                await flush_all(conn, list(ledgers.values()), keeping.parts())
                await keeping.forget(conn)
                if done.has_replayed:
                    await commit_safely(conn)
        for ledger in ledgers.values():
            self._committed(ledger)
        if held:
            self._wait_for(batch, held)
        for wish, outcome in done.outcomes:
            wish.hear(outcome)

    async def _locked(
        self, conn: Connection, batch: _Batch
    ) -> tuple[dict[UUID, OpenLedger], set[UUID], _Known]:
        """The ledgers that are this transaction's now, those that another one holds, and answers.

        The answers are those that were given before.
        """
        org_ids = batch.org_ids
        named = [(wish.org_id, wish.once) for wish in batch.wishes if wish.once is not None]
        if batch.waits:
            heads = {}
            for org_id in org_ids:
                try:
                    heads[org_id] = await store.lock_head(conn, org_id)
                except LedgerMissing:
                    continue
            held = set[UUID]()
            kept = await find_all(conn, named)
        else:
            heads, kept = await lock_and_find(conn, org_ids, named)
            held = set(org_ids) - set(heads)
        ledgers = {id: await self._opened(conn, id, head) for id, head in heads.items()}
        known = dict(zip(named, kept, strict=True))
        if not batch.waits:
            # What another process answered as the statement began is not seen by it.
            again = [one for one in named if one[0] in ledgers and ledgers[one[0]].has_moved]
            known |= zip(again, await find_all(conn, again), strict=True)
        return ledgers, held, known

    def _wait_for(self, batch: _Batch, held: set[UUID]) -> None:
        """Each ledger that another process holds is waited for by itself."""
        waiting = [wish for wish in batch.wishes if wish.org_id in held]
        batch.wishes = [wish for wish in batch.wishes if wish.org_id not in held]
        for org_id in held:
            self._start(_Batch([wish for wish in waiting if wish.org_id == org_id], waits=True))

    async def _judged(
        self, ledgers: dict[UUID, OpenLedger], wishes: Sequence[Wish], kept: _Known
    ) -> _Done:
        """Each wish by itself, in the order in which they came."""
        done = _Done()
        for wish in wishes:
            if wish.is_given_up:
                continue
            wish.is_begun = True
            before = None if wish.once is None else kept[wish.org_id, wish.once]
            outcome: Answer | Exception
            if wish.org_id not in ledgers:
                outcome = NotFound("organisation", wish.org_id)
            elif before is not None and wish.once is not None:
                done.has_replayed = True
                outcome = before.to(wish.once)
            else:
                outcome = await _outcome(wish, ledgers[wish.org_id], done)
            done.outcomes.append((wish, outcome))
        return done


def _may_pass(error: Exception) -> bool:
    """Whether nothing was kept, and another try may well do."""
    if isinstance(error, asyncpg.UniqueViolationError):
        # Another process has just answered the same request.
        return error.table_name == KEYS
    return isinstance(error, _RETRY)


async def _outcome(wish: Wish, ledger: OpenLedger, done: _Done) -> Answer | Exception:
    """What comes of a job. Raises what concerns the whole transaction."""
    unit = UnitOfWork(ledger, wish.meta)
    try:
        made = await wish.job(unit)
    except (asyncpg.PostgresError, *_OUTAGES):
        raise
    except Exception as refused:
        if unit.has_written:
            # Only with the transaction can it be taken back.
            raise
        return refused
    unit.settle()
    answer = made.led_to(unit.position)
    if wish.once is not None:
        done.given.append(Given(wish.org_id, wish.once, answer, unit.at))
    return answer
