"""The bulk side: a batch of check-ins as one statement, with all rows in arrays (`unnest`)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
from uuid_utils.compat import uuid7

from benchmarks.common import NOTE, BenchmarkFailed
from benchmarks.goals import Goals

_STATEMENT = Path(__file__).with_name("bulk.sql").read_text()
_HEAD = """
SELECT head, greatest(clock_timestamp(), recorded_at) AS at FROM ledgers
WHERE org_id = $1 FOR UPDATE
"""
# What the product wrote for a batch that is there already.
_SAID = """
SELECT e.stream_id, e.schema_version, e.data::text, e.actor, c.progress
FROM check_ins c JOIN events e ON e.org_id = c.org_id AND e.position = c.position
WHERE c.org_id = $1 ORDER BY c.position DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Bulk:
    """Batches for one organisation, whose last so many events are check-ins of a batch."""

    runner: asyncio.Runner
    conn: asyncpg.Connection[asyncpg.Record]
    goals: Goals
    said: list[asyncpg.Record]

    def record(self) -> float:
        """Seconds for a batch, in a transaction of its own. What is sent is made before."""
        values = [random.randrange(100, 200) for _ in self.said]
        last = self.said[0]
        arrays = (
            [one["stream_id"] for one in self.said],
            [uuid7() for _ in self.said],
            values,
            [one["data"] for one in self.said],
        )
        rest = last["progress"], last["schema_version"], last["actor"], uuid4(), NOTE

        async def work() -> int:
            async with self.conn.transaction():
                head = await self.conn.fetchrow(_HEAD, self.goals.org_id)
                assert head is not None, "the organisation has a ledger"
                grown = await self.conn.fetchval(
                    _STATEMENT, self.goals.org_id, *arrays, head["head"], head["at"], *rest
                )
            return int(grown) - int(head["head"])

        began = time.perf_counter()
        written = self.runner.run(work())
        took = time.perf_counter() - began
        if written != len(self.said):
            raise BenchmarkFailed(f"The bulk statement wrote {written} of {len(self.said)} rows.")
        return took


@contextmanager
def bulk(owner_url: str, goals: Goals, batch: int) -> Iterator[Bulk]:
    """For an organisation with a batch of check-ins in it."""
    with asyncio.Runner() as runner:
        conn = runner.run(_connected(owner_url))
        try:
            said = runner.run(conn.fetch(_SAID, goals.org_id, batch))
            yield Bulk(runner, conn, goals, said)
        finally:
            runner.run(conn.close())


async def _connected(url: str) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(url)
