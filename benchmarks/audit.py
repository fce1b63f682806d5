"""After the load: nothing acknowledged is lost, and live rows are what the events say."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.application import verification
from app.application.ledgers import Ledgers
from app.database import open_pool
from benchmarks.common import BenchmarkFailed


async def heads(owner_url: str, org_ids: list[UUID]) -> list[int]:
    """The last position of each ledger."""
    owner = await asyncpg.connect(owner_url)
    try:
        rows = await owner.fetch("SELECT org_id, head FROM ledgers")
        found = {row["org_id"]: int(row["head"]) for row in rows}
        return [found[org_id] for org_id in org_ids]
    finally:
        await owner.close()


async def check_heads(owner_url: str, org_ids: list[UUID], expected: list[int]) -> None:
    """Raises BenchmarkFailed when a ledger has more or fewer events than were acknowledged."""
    for org_id, head, wanted in zip(
        org_ids, await heads(owner_url, org_ids), expected, strict=True
    ):
        if head != wanted:
            raise BenchmarkFailed(f"ledger {org_id} ends at {head}, acknowledged were {wanted}")


async def verify(url: str, org_ids: list[UUID]) -> int:
    """Replay ledgers, as `okr verify` does; returns how many events. Raises BenchmarkFailed."""
    pool = await open_pool(url, size=1, command_timeout=300)
    try:
        events = 0
        for org_id in org_ids:
            async with Ledgers(pool).read(org_id) as reader:
                verdict = await verification.verify(reader.conn, org_id)
            if verdict.differences:
                shown = "\n".join(verdict.differences[:10])
                raise BenchmarkFailed(f"ledger {org_id}: live != rebuilt\n{shown}")
            events += verdict.position
        return events
    finally:
        await pool.close()


async def settle(owner_url: str) -> None:
    """What autovacuum would do in its time is done, and what was written is on disk."""
    await _alone(owner_url, "VACUUM ANALYZE", "CHECKPOINT")


async def cleaned(owner_url: str) -> None:
    """Rows that were deleted are in nobody's way."""
    await _alone(owner_url, "VACUUM")


async def _alone(owner_url: str, *statements: str) -> None:
    owner = await asyncpg.connect(owner_url)
    try:
        for statement in statements:
            await owner.execute(statement)
    finally:
        await owner.close()
