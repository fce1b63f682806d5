"""Events in Postgres. All of it runs inside a transaction that somebody else opens and commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import to_json

from app.domain.messages import Stream
from app.events.envelope import Meta, Recorded
from app.events.statements import Connection, Part, run_all
from app.events.texts import Texts

_COLUMNS = (
    "org_id, position, category, stream_id, version, event_id, type, schema_version, cycle_id, "
    "data, actor, source, correlation_id, causation_id, occurred_at, recorded_at"
)

# Any number of events of any ledgers are one document: the driver takes long over arrays, and those
# of many columns longest.
_APPEND = """
INSERT INTO events (org_id, position, category, stream_id, version, event_id, type,
    schema_version, cycle_id, data, actor, source, correlation_id, causation_id, occurred_at,
    recorded_at, leaf_hash)
SELECT org_id, position, category, stream_id, version, event_id, type, schema_version,
    cycle_id, data::json, actor, source, correlation_id, causation_id, occurred_at,
    recorded_at, decode(leaf_hash, 'hex')
FROM json_to_recordset({0}::text::json) AS stated (
    org_id uuid, position bigint, category text, stream_id uuid, version int, event_id uuid,
    type text, schema_version int, cycle_id uuid, data text, actor text, source text,
    correlation_id uuid, causation_id uuid, occurred_at timestamptz, recorded_at timestamptz,
    leaf_hash text)
RETURNING 1
"""
_MOVE = """
UPDATE ledgers
SET head = moved.head, head_event_id = moved.event_id, recorded_at = moved.recorded_at
FROM json_to_recordset({0}::text::json) AS moved (
    org_id uuid, before bigint, head bigint, event_id uuid, recorded_at timestamptz)
WHERE ledgers.org_id = moved.org_id AND ledgers.head = moved.before
RETURNING 1
"""


MOST_AT_ONCE = 2_000
"""Events of streams that are read together."""
_PREFETCH = 500


class LedgerMissing(Exception):
    """The organisation has no ledger here."""


class WrongExpectedVersion(Exception):
    """Somebody else appended to the stream since it was read."""

    def __init__(self, stream: Stream, expected: int, actual: int) -> None:
        super().__init__(f"{stream} is at version {actual}, not {expected}")
        self.stream = stream
        self.expected = expected
        self.actual = actual


@dataclass(frozen=True, slots=True)
class Head:
    """The last position of a ledger (0 when empty) and the moment, by the database's clock.

    `text_keys_version` changes with the keys of free text: whatever was opened by others is stale.
    `event_id` is that of the last event; None of an empty ledger.
    """

    position: int
    at: datetime
    text_keys_version: int
    event_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events of a ledger to read; all that is None does not matter."""

    after: int = 0
    up_to: int | None = None
    cycle_id: UUID | None = None
    types: Sequence[str] | None = None
    actor: str | None = None
    stream: Stream | None = None
    streams: Sequence[Stream] | None = None
    categories: Sequence[str] | None = None


async def as_organization(conn: Connection, *org_ids: UUID) -> None:
    """Show row-level security which organisation, or which ones, this transaction speaks for."""
    await conn.execute("SELECT set_config('app.org_id', $1, true)", ",".join(map(str, org_ids)))


async def create_ledger(conn: Connection, org_id: UUID) -> None:
    await conn.execute(
        "INSERT INTO ledgers (org_id, head, recorded_at) VALUES ($1, 0, clock_timestamp())", org_id
    )


_HEADS = """
SELECT org_id, head, greatest(clock_timestamp(), recorded_at) AS at, text_keys_version,
    head_event_id
FROM ledgers WHERE org_id = ANY({0}::uuid[])
"""
_HEAD = _HEADS.format("$1")
FREE_HEADS = f"{_HEADS} ORDER BY org_id FOR UPDATE SKIP LOCKED"
"""Like `lock_head`, of several ledgers: those that are there and that nobody else holds.

It waits for none, so that no two transactions ever wait for each other.
"""


async def lock_head(conn: Connection, org_id: UUID) -> Head:
    """Take the ledger's lock until the end of the transaction. Raises LedgerMissing.

    The database's clock is the one clock of a ledger, clamped so that it never runs backwards.
    """
    return _head(org_id, await conn.fetchrow(f"{_HEAD} FOR UPDATE", [org_id]))


def heads_in(rows: Sequence[asyncpg.Record]) -> dict[UUID, Head]:
    """What `FREE_HEADS` returns."""
    return {row["org_id"]: _head(row["org_id"], row) for row in rows}


async def read_head(conn: Connection, org_id: UUID) -> Head:
    """The head as this transaction sees it, and now. Raises LedgerMissing."""
    return _head(org_id, await conn.fetchrow(_HEAD, [org_id]))


def _head(org_id: UUID, row: asyncpg.Record | None) -> Head:
    if row is None:
        raise LedgerMissing(org_id)
    at = row["at"].astimezone(UTC)
    return Head(row["head"], at, row["text_keys_version"], row["head_event_id"])


async def append(conn: Connection, head: Head, events: Sequence[Recorded]) -> None:
    """Append events that continue `head`, whose lock is held. Raises WrongExpectedVersion."""
    await append_all(conn, [(head.position, events)])


async def append_all(
    conn: Connection,
    grown: Sequence[tuple[int, Sequence[Recorded]]],
    others: Sequence[Part] = (),
) -> None:
    """Append to several ledgers, whose locks are held. Raises WrongExpectedVersion.

    Told of each is its last position, and the events that continue it. `others` are run with it.
    """
    grown = [(before, events) for before, events in grown if events]
    if not grown:
        await run_all(conn, others)
        return
    events = [event for _, of_one in grown for event in of_one]
    moved = [
        {
            "org_id": of_one[-1].org_id,
            "before": before,
            "head": of_one[-1].position,
            "event_id": of_one[-1].event_id,
            "recorded_at": of_one[-1].recorded_at,
        }
        for before, of_one in grown
    ]
    stated = to_json([_stated(event) for event in events])
    appending = (
        Part(_APPEND, (stated.decode(),), _expect(len(events))),
        Part(_MOVE, (to_json(moved).decode(),), _expect(len(grown))),
    )
    try:
        await run_all(conn, [*appending, *others])
    except asyncpg.UniqueViolationError as clash:
        if clash.table_name != "events":
            raise
        first = events[0]
        raise WrongExpectedVersion(first.stream, first.version - 1, first.version) from clash


def _expect(wanted: int) -> Callable[[int], None]:
    def heard(count: int) -> None:
        if count != wanted:
            raise RuntimeError(f"a ledger moved under its lock: {count} of {wanted} are there")

    return heard


def _stated(event: Recorded) -> dict[str, Any]:
    return {
        "org_id": event.org_id,
        "position": event.position,
        "category": event.stream.category,
        "stream_id": event.stream.id,
        "version": event.version,
        "event_id": event.event_id,
        "type": event.type,
        "schema_version": event.schema_version,
        "cycle_id": event.cycle_id,
        "data": event.data,
        "actor": event.meta.actor,
        "source": event.meta.source,
        "correlation_id": event.meta.correlation_id,
        "causation_id": event.meta.causation_id,
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "leaf_hash": event.leaf_hash().hex(),
    }


async def read_streams(
    conn: Connection, texts: Texts, category: str, versions: Mapping[UUID, int]
) -> AsyncIterator[Recorded]:
    """The events of streams of one category after a version of each, in ledger order.

    One round trip, unless there are very many of them: those come in bounded memory.
    """
    # The streams' index is what finds them: without OFFSET 0, a LIMIT could have the planner go
    # through the whole ledger in its order.
    sql = (
        f"SELECT * FROM (SELECT {_COLUMNS} FROM unnest($3::uuid[], $4::int[]) AS known (id, upto) "  # noqa: S608 (constant columns)
        "JOIN events ON org_id = $1 AND category = $2 AND stream_id = id AND version > upto "
        "OFFSET 0) AS found WHERE position > $5 ORDER BY position"
    )
    told = (texts.org_id, category, list(versions), list(versions.values()))
    rows = await conn.fetch(f"{sql} LIMIT {MOST_AT_ONCE}", *told, 0)
    for row in rows:
        yield _recorded(row, texts)
    if len(rows) == MOST_AT_ONCE:
        async for row in conn.cursor(sql, *told, rows[-1]["position"], prefetch=_PREFETCH):
            yield _recorded(row, texts)


async def read_page(conn: Connection, texts: Texts, wanted: Filter, limit: int) -> list[Recorded]:
    """Up to `limit` events in ledger order, after a position."""
    sql, arguments = _select(texts.org_id, wanted)
    rows = await conn.fetch(f"{sql} LIMIT {limit:d}", *arguments)
    return [_recorded(row, texts) for row in rows]


async def read_all(conn: Connection, texts: Texts, wanted: Filter) -> AsyncIterator[Recorded]:
    """Events in ledger order through a cursor, in bounded memory."""
    sql, arguments = _select(texts.org_id, wanted)
    async for row in conn.cursor(sql, *arguments, prefetch=_PREFETCH):
        yield _recorded(row, texts)


async def position_at(conn: Connection, org_id: UUID, moment: datetime) -> int:
    """The last position recorded at or before a moment; 0 when there is none."""
    position = await conn.fetchval(
        "SELECT position FROM events WHERE org_id = $1 AND recorded_at <= $2 "
        "ORDER BY recorded_at DESC, position DESC LIMIT 1",
        org_id,
        moment,
    )
    return int(position or 0)


async def event_at(conn: Connection, org_id: UUID, position: int) -> tuple[UUID, datetime]:
    """The id of the event at a position, and when it was recorded. Raises LedgerMissing."""
    row = await conn.fetchrow(
        "SELECT event_id, recorded_at FROM events WHERE org_id = $1 AND position = $2",
        org_id,
        position,
    )
    if row is None:
        raise LedgerMissing(position)
    return row["event_id"], _utc(row["recorded_at"])


def _select(org_id: UUID, wanted: Filter) -> tuple[str, list[Any]]:
    arguments: list[Any] = [org_id, wanted.after]
    conditions = ["org_id = $1", "position > $2"]

    def need(condition: str, *stated: Any) -> None:
        first = len(arguments) + 1
        arguments.extend(stated)
        slots = (f"${number}" for number in range(first, first + len(stated)))
        conditions.append(condition.format(*slots))

    if wanted.up_to is not None:
        need("position <= {}", wanted.up_to)
    if wanted.cycle_id is not None:
        need("cycle_id = {}", wanted.cycle_id)
    if wanted.types is not None:
        need("type = ANY({}::text[])", list(wanted.types))
    if wanted.actor is not None:
        need("actor = {}", wanted.actor)
    if wanted.stream is not None:
        need("category = {}", wanted.stream.category)
        need("stream_id = {}", wanted.stream.id)
    if wanted.streams is not None:
        need(
            "(category, stream_id) IN (SELECT * FROM unnest({}::text[], {}::uuid[]))",
            [stream.category for stream in wanted.streams],
            [stream.id for stream in wanted.streams],
        )
    if wanted.categories is not None:
        need("category = ANY({}::text[])", list(wanted.categories))
    where = " AND ".join(conditions)
    return f"SELECT {_COLUMNS} FROM events WHERE {where} ORDER BY position", arguments  # noqa: S608


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _recorded(row: asyncpg.Record, texts: Texts) -> Recorded:
    return Recorded(
        org_id=row["org_id"],
        position=row["position"],
        stream=Stream(row["category"], row["stream_id"]),
        version=row["version"],
        event_id=row["event_id"],
        type=row["type"],
        schema_version=row["schema_version"],
        cycle_id=row["cycle_id"],
        data=row["data"],
        meta=Meta(row["actor"], row["source"], row["correlation_id"], row["causation_id"]),
        occurred_at=_utc(row["occurred_at"]),
        recorded_at=_utc(row["recorded_at"]),
        texts=texts,
    )


async def read_leaf_hashes(
    conn: Connection, org_id: UUID, *, after: int = 0, up_to: int
) -> AsyncIterator[bytes]:
    """The hashes of events in ledger order, in bounded memory."""
    sql = (
        "SELECT leaf_hash FROM events WHERE org_id = $1 AND position > $2 AND position <= $3 "
        "ORDER BY position"
    )
    async for row in conn.cursor(sql, org_id, after, up_to, prefetch=2_000):
        yield row["leaf_hash"]


async def read_with_hashes(conn: Connection, texts: Texts) -> AsyncIterator[tuple[Recorded, bytes]]:
    """All events in ledger order, each with the hash that was kept of it, in bounded memory."""
    sql, arguments = _select(texts.org_id, Filter())
    sql = sql.replace(" FROM events", ", leaf_hash FROM events", 1)
    async for row in conn.cursor(sql, *arguments, prefetch=_PREFETCH):
        yield _recorded(row, texts), row["leaf_hash"]
