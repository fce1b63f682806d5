"""Organisations with thousands of goals: some are imported, the others are copies of their events.

A copy has ids, positions and hashes of its own, and all rows are rebuilt from the events at the
end, so that what is measured is what thousands of imported goals would have left behind.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.application import replay
from app.database import open_pool
from app.domain.messages import Stream
from app.events import store
from app.events.envelope import Recorded
from app.events.statements import Connection
from app.events.store import Filter
from app.events.texts import TextKeys
from benchmarks.common import NOTE
from benchmarks.one_by_one import client

_ALL = "/v1/organizations"
_SCOPES = ["read", "history:read", "check-ins:write"]
_COPIED = ("objective", "key_result", "alignment")
_BRANCHES = 5
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_EXTERNAL = re.compile(r'("external_id":"[^"]*)"')


@dataclass(frozen=True, slots=True)
class Goals:
    """An organisation with one active cycle, and a key that may read it and check in."""

    org_id: UUID
    cycle_id: UUID
    key: str
    key_results: tuple[UUID, ...]
    events: int

    @property
    def path(self) -> str:
        return f"{_ALL}/{self.org_id}"

    @property
    def tree(self) -> str:
        return f"{self.path}/cycles/{self.cycle_id}/tree"


async def make(
    port: int,
    url: str,
    operator: str,
    *,
    objectives: int,
    copies: int,
    told: Callable[[], None] = lambda: None,
) -> Goals:
    """So many objectives, times so many copies; each with two key results, five check-ins in all.

    An objective contributes to another, five to one. `told` hears of every copy.
    """
    document = _document(objectives)
    with client(port, operator) as asking:
        founded = asking.post(_ALL, {"name": document["organization"]}).json()
        path = f"{_ALL}/{founded['id']}"
        report = asking.post(f"{path}/imports", document, wanted=200).json()
        key = asking.post(f"{path}/api-keys", {"name": "Benchmark", "scopes": _SCOPES}).json()
    told()
    org_id, cycle_id = UUID(founded["id"]), UUID(report["cycle_id"])
    pool = await open_pool(url, size=1, command_timeout=300)
    try:
        async with pool.acquire() as conn, conn.transaction():
            await store.as_organization(conn, org_id)
            events = await _multiplied(conn, org_id, copies, told)
            await replay.rebuild(conn, org_id)
            rows = await conn.fetch(
                "SELECT key_result_id FROM key_results WHERE org_id = $1 ORDER BY position", org_id
            )
            key_results = tuple(row["key_result_id"] for row in rows)
            return Goals(org_id, cycle_id, key["key"], key_results, events)
    finally:
        await pool.close()


def _document(objectives: int) -> dict[str, Any]:
    """An import of a running cycle."""
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=30), today + timedelta(days=60)
    return {
        "source": "benchmark",
        "organization": "Harbour & Sons",
        "cycle": {
            "name": "This quarter",
            "starts_on": first.isoformat(),
            "ends_on": last.isoformat(),
            "phase": "active",
            "override": {"by": "ada", "reason": "A benchmark trains nobody."},
        },
        "people": [{"key": "ada", "name": "Ada Park"}],
        "owners": [{"key": f"T{n}", "name": f"Region {n}"} for n in range(objectives // 4 + 1)],
        "objectives": [_objective(number) for number in range(objectives)],
    }


def _objective(number: int) -> dict[str, Any]:
    measure = {"kind": "metric", "unit": "customers", "baseline": 100, "target": 200}
    said = {"confidence": 0.6, "health": "on_track", "note": NOTE}
    made: dict[str, Any] = {
        "key": f"O{number}",
        "owner": f"T{number // 4}",
        "title": f"Customers of region {number} stay because they succeed",
        "key_results": [
            {
                "key": f"O{number}.{part}",
                "title": f"Active customers in region {number}, segment {part}",
                "measure": measure,
                "check_ins": [{"value": 110 + 10 * n + part, **said} for n in range(2 + part)],
            }
            for part in range(2)
        ],
    }
    if number:
        made["supports"] = f"O{(number - 1) // _BRANCHES}"
        made["rationale"] = "What holds in the regions holds as a whole."
    return made


# Copies -----------------------------------------------------------------------------------


async def _multiplied(conn: Connection, org_id: UUID, copies: int, told: Callable[[], None]) -> int:
    """Append copies of all events about goals; returns how many events there are then."""
    head = await store.lock_head(conn, org_id)
    texts = await TextKeys().of(conn, org_id, head.text_keys_version)
    there = [one async for one in store.read_all(conn, texts, Filter())]
    goals = [one for one in there if one.stream.category in _COPIED]
    stay = {one.stream.id for one in there if one.stream.category not in _COPIED}
    for number in range(1, copies):
        copied = list(_copies(goals, stay, number, head))
        await store.append(conn, head, copied)
        head = replace(head, position=copied[-1].position)
        told()
    return head.position


def _copies(
    goals: list[Recorded], stay: set[UUID], number: int, head: store.Head
) -> Iterator[Recorded]:
    """The same events of other goals, by the same people and in the same cycle."""

    def other(id: UUID) -> UUID:
        seed = id.bytes + number.to_bytes(4)
        return UUID(bytes=hashlib.md5(seed, usedforsecurity=False).digest())

    def renamed(found: re.Match[str]) -> str:
        id = UUID(found[0])
        return found[0] if id in stay or id == head_org else str(other(id))

    head_org = goals[0].org_id
    for position, one in enumerate(goals, head.position + 1):
        data = _EXTERNAL.sub(rf'\1/{number}"', _UUID.sub(renamed, one.data))
        yield replace(
            one,
            position=position,
            stream=Stream(one.stream.category, other(one.stream.id)),
            event_id=uuid7(),
            data=data,
            recorded_at=head.at,
        )
