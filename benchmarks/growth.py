"""A table of events of any size, filled quickly: copies of a real event, by plain SQL.

Half of them continue one large ledger, the others are in ledgers of their own. Only the table of
events grows, with all its indexes; no read model knows of the copies.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from benchmarks import audit
from benchmarks.common import BenchmarkFailed

BYTES_AN_EVENT = 2_000
"""On disk, with indexes and with what Postgres writes beside them: more than it takes."""
LEDGERS = 50
"""Beside the large one."""
_CHUNK = 50_000
_EVENTS_PER_STREAM = 50

_COPIES = """
INSERT INTO events (org_id, position, category, stream_id, version, event_id, type,
    schema_version, cycle_id, data, actor, source, correlation_id, causation_id, occurred_at,
    recorded_at, leaf_hash)
SELECT $1, n, e.category,
    ('00000000-0000-7000-8000-' || lpad(to_hex(n / $6::bigint), 12, '0'))::uuid,
    n % $6::bigint + 1, uuidv7(),
    e.type, e.schema_version, e.cycle_id, e.data, e.actor, e.source, uuidv7(), e.causation_id,
    e.occurred_at, e.recorded_at + n * interval '1 microsecond', sha256(int8send(n))
FROM events e, generate_series($2::bigint, $3::bigint) n
WHERE e.org_id = $4 AND e.position = $5
"""
_HEAD = """
INSERT INTO ledgers (org_id, head, recorded_at, text_keys_version)
SELECT $1, $2::bigint, recorded_at + $2::bigint * interval '1 microsecond', text_keys_version
FROM ledgers WHERE org_id = $3
ON CONFLICT (org_id) DO UPDATE SET head = excluded.head, recorded_at = excluded.recorded_at
"""


def demand_room(folder: Path, events: int) -> None:
    """Raises BenchmarkFailed when the disk may be too small for so many events."""
    free, needed = shutil.disk_usage(folder).free, events * BYTES_AN_EVENT
    if free < 2 * needed:
        raise BenchmarkFailed(
            f"{events:,} events may take {needed / 2**30:.0f} GiB of the {free / 2**30:.0f} GiB "
            f"that are free where {folder} is; measure fewer, or set TMPDIR to another disk."
        )


async def fill(owner_url: str, large: UUID, total: int, told: Callable[[int], None]) -> int:
    """Let the table have `total` events; returns the head of the large ledger.

    That ledger's last event is the one that is copied. `told` hears how many were written.
    """
    owner = await asyncpg.connect(owner_url)
    try:
        head = int(await owner.fetchval("SELECT head FROM ledgers WHERE org_id = $1", large))
        missing = total - int(await owner.fetchval("SELECT count(*) FROM events"))
        others = missing // 2 // LEDGERS
        grown = head + missing - others * LEDGERS
        parts = [(large, head + 1, grown)]
        parts += [(uuid4(), 1, others) for _ in range(LEDGERS if others else 0)]
        for org_id, first, last in parts:
            for begin in range(first, last + 1, _CHUNK):
                end = min(begin + _CHUNK - 1, last)
                await owner.execute(_COPIES, org_id, begin, end, large, head, _EVENTS_PER_STREAM)
                told(end - begin + 1)
            await owner.execute(_HEAD, org_id, last, large)
        found = int(await owner.fetchval("SELECT count(*) FROM events"))
        if found != total:
            raise BenchmarkFailed(f"The table has {found:,} events, and not {total:,}.")
    finally:
        await owner.close()
    await audit.settle(owner_url)
    return grown
