"""Transactions that end: no one waits for a connection, a statement or a dead server for ever.

A piece of work that is cut short leaves its connection in the middle of something. Such a
connection is ended, not waited for: its server may never answer again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import asyncpg

from app.events.statements import Connection

CONNECTION_SECONDS = 2.0
"""For one of the pool's connections, a new one included."""
PING_SECONDS = 0.5
LONG_IDLE = "60s"
"""How long a transaction of long work may compute between two statements."""

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection


@dataclass(slots=True)
class Work:
    """What one request may take, and how far it came.

    `statement_seconds` bounds each statement; None leaves it to the pool. `begun` is called when
    a server has answered, of `is_long` work alone. `committing` says that a commit was sent, so
    that, without a word of how it ended, something may have been recorded; of the requests whose
    transaction it is (`shared_by`), too.
    """

    statement_seconds: float | None = None
    is_long: bool = False
    begun: Callable[[], None] = lambda: None
    committing: bool = False
    shared_by: Sequence[Work] = ()

    def commits(self, now: bool) -> None:
        for work in (self, *self.shared_by):
            work.committing = now


work_at_hand: ContextVar[Work | None] = ContextVar("work_at_hand", default=None)
"""The request's; None outside of one."""


class Link(_Connection):
    """A connection that knows when its server last answered."""

    __slots__ = ("_pool_seconds", "_speaks_for", "answered_at")
    if TYPE_CHECKING:
        _config: Any

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._pool_seconds: float | None = self._config.command_timeout
        self._speaks_for: Collection[UUID] = ()
        self.answered()

    @contextmanager
    def speaking_for(self, org_ids: Collection[UUID]) -> Iterator[None]:
        """Have row-level security show these organisations to what begins meanwhile."""
        self._speaks_for = org_ids
        try:
            yield
        finally:
            self._speaks_for = ()

    async def execute(
        self,
        query: str,
        *arguments: Any,
        timeout: float | None = None,  # noqa: ASYNC109 (the driver's own)
    ) -> str:
        """Run a statement. What begins a transaction says for whom it speaks, too."""
        if self._speaks_for and query.startswith("BEGIN"):
            named = ",".join(map(str, self._speaks_for))
            query = f"{query} SET LOCAL app.org_id = '{named}'"
        return await super().execute(query, *arguments, timeout=timeout)

    def answered(self) -> None:
        """Note that the server has just been heard of."""
        self.answered_at = time.monotonic()

    def bound(self, seconds: float | None) -> None:
        """Give up statements after so long; None means the pool's own bound."""
        # The driver lets a bound be given to a connection, or to each of its calls, but not to
        # what happens between two moments.
        given = [one for one in (seconds, self._pool_seconds) if one is not None]
        self._config = self._config._replace(command_timeout=min(given, default=None))


class _Suspicion:
    """When this process last met a server that did not answer, or is none to write to.

    A connection that has not been heard of since then is asked first. One for all pools: to ask
    once more costs a round trip.
    """

    since = float("-inf")

    def rise(self) -> None:
        self.since = time.monotonic()


_suspicion = _Suspicion()

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # A server that was a primary, and takes no more writes, is as good as gone.
    asyncpg.ReadOnlySQLTransactionError,
    OSError,  # and with it TimeoutError
)
# After these, nobody has said what became of a commit.
_UNTOLD = (
    asyncio.CancelledError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    # A shutdown while a commit waits for its replica: it is there, and not yet safe.
    asyncpg.OperatorInterventionError,
    OSError,
)


@asynccontextmanager
async def transaction(
    pool: asyncpg.Pool[asyncpg.Record],
    *,
    of: Collection[UUID] = (),
    isolation: Literal["repeatable_read"] | None = None,
    readonly: bool = False,
    dry: bool = False,
) -> AsyncIterator[Connection]:
    """A transaction on a connection of the pool, committed in the end; `dry` rolls it back.

    `of` are the organisations that row-level security shows to it. Raises TimeoutError, or what the
    driver says, when the database does not answer in time. A request takes one connection at a
    time, or all of them could wait for another.
    """
    work = work_at_hand.get()
    conn = await _connection(pool, work)
    try:
        running = conn.transaction(isolation=isolation, readonly=readonly)
        with conn.speaking_for(of):
            await running.start()
        if work is not None and work.is_long:
            await conn.execute(
                "SELECT set_config('idle_in_transaction_session_timeout', $1, true)", LONG_IDLE
            )
            work.begun()
        try:
            yield conn
        except (*_LOST, asyncio.CancelledError):
            raise
        except Exception:
            await _rolled_back(running)
            raise
        if dry:
            await running.rollback()
        elif readonly or work is None:
            await running.commit()
        else:
            await _commit(running, work)
    except (*_LOST, asyncio.CancelledError):
        # Work that waits for a lock, or for a slow query, is cut short as well: it is a doubt.
        _suspicion.rise()
        conn.terminate()
        raise
    except BaseException:
        await _released(pool, conn)
        raise
    conn.answered()
    await _released(pool, conn)


async def _rolled_back(running: asyncpg.transaction.Transaction) -> None:
    # Where the connection is gone, its transaction is, too; the first error tells more.
    with suppress(*_LOST, asyncpg.PostgresError):
        await running.rollback()


async def _commit(running: asyncpg.transaction.Transaction, work: Work) -> None:
    before = work.committing
    work.commits(True)
    try:
        await running.commit()
    except _UNTOLD:
        raise
    except asyncpg.PostgresError:
        # The server says that it kept nothing.
        work.commits(before)
        raise


async def _connection(pool: asyncpg.Pool[asyncpg.Record], work: Work | None) -> Any:
    """A Link whose server is there, as far as anybody knows. Raises TimeoutError."""
    async with asyncio.timeout(CONNECTION_SECONDS):
        while True:
            # A timeout of the pool's own would also be one for giving the connection back.
            conn: Any = await pool.acquire()
            if conn.answered_at >= _suspicion.since or await _answers(conn):
                conn.bound(None if work is None else work.statement_seconds)
                return conn


async def _answers(conn: Any) -> bool:
    """Whether the server answers, and takes writes; a connection that does not is ended."""
    try:
        is_read_only = await conn.fetchval("SHOW transaction_read_only", timeout=PING_SECONDS)
    except (*_LOST, asyncpg.PostgresError):
        is_read_only = "on"
    except BaseException:
        conn.terminate()
        raise
    if is_read_only == "on":
        conn.terminate()
        return False
    conn.answered()
    return True


async def _released(pool: asyncpg.Pool[asyncpg.Record], conn: Any) -> None:
    """Give a connection back. What is wrong with it is the next one's to hear."""
    try:
        await pool.release(conn, timeout=CONNECTION_SECONDS)
    except (*_LOST, asyncpg.PostgresError):
        _suspicion.rise()
        conn.terminate()
