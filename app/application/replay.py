"""Replay: rows from nothing but events, to look back, to rebuild, and to verify."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import get_args
from uuid import UUID

from app.application.projecting import projected
from app.application.shadows import Shadows
from app.domain.deployment import scoring_of
from app.domain.key_result import KeyResult, KeyResultEvents, evolve
from app.events import store
from app.events.envelope import Recorded
from app.events.statements import Connection
from app.events.store import Filter
from app.events.texts import TextKeys, Texts
from app.garbage import undisturbed
from app.projections.changes import Delete, Update
from app.projections.check_ins import CheckInRow
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow, stands
from app.projections.registry import project
from app.projections.rows import MemoryRows

_AT_ONCE = 100
"""Events: how near to one another `passed` may be."""


async def replay(
    conn: Connection,
    texts: Texts,
    *,
    up_to: int | None = None,
    onto: MemoryRows | None = None,
    after: int = 0,
    passed: Callable[[Recorded, MemoryRows], None] = lambda last, rows: None,
) -> MemoryRows:
    """The rows of an organisation as its events up to a position make them.

    It goes on from `onto`, what the events up to `after` made, which stays as it is. `passed` is
    shown the rows as of some of the events on the way.
    """
    rows = MemoryRows() if onto is None else onto.copy()
    together = projected(conn, texts, after=after, up_to=up_to, at_once=_AT_ONCE)
    async for last, changes in together:
        with undisturbed():
            rows.apply(changes)
        passed(last, rows)
    return rows


# How a goal ended, and that its cycle did: told after the fact, of what was before.
_ENDS = frozenset(
    {
        "cycle.cancelled",
        "cycle.scoring_begun",
        "cycle.reflection_begun",
        "cycle.closed",
        "objective.result_reported",
        "objective.closed",
        "key_result.scored",
        "key_result.reset",
    }
)


async def replay_then(
    conn: Connection, texts: Texts, moment: datetime, *, up_to: int
) -> MemoryRows:
    """What was true at a moment that occurred, as it is known at a position.

    Check-ins that occurred later are left out, in what they say now: corrected ones as corrected,
    retracted ones as retracted. So is what was recorded later of how a goal or its cycle ended.
    All else is as it is known at the position.
    """
    rows = MemoryRows()
    told: dict[UUID, KeyResult | None] = {}
    async for recorded in store.read_all(conn, texts, Filter(up_to=up_to)):
        if recorded.type in _ENDS and recorded.recorded_at > moment:
            continue
        event = recorded.event
        rows.apply(project(recorded))
        if isinstance(event, get_args(KeyResultEvents)):
            told[event.key_result_id] = evolve(told.get(event.key_result_id), event)
    _forget_later(rows, told, moment)
    return rows


def _forget_later(
    rows: MemoryRows, told: Mapping[UUID, KeyResult | None], moment: datetime
) -> None:
    said = rows.tables.get(CheckInRow, {})
    later = {key: row for key, row in said.items() if row.occurred_at > moment}
    rows.apply(Delete(CheckInRow, key) for key in later)
    for id in {row.key_result_id for row in later.values()}:
        key_result = told[id]
        assert key_result is not None, "it was checked in on"
        scoring = rows.tables[CycleRow][(key_result.cycle_id,)].scoring
        rules = None if scoring is None else scoring_of.validate_python(scoring)
        standing = key_result.known_at(moment).standing(rules)
        rows.apply([Update(KeyResultRow, (id,), stands(standing))])


async def rebuild(
    conn: Connection, org_id: UUID, progress: Callable[[int], None] | None = None
) -> int:
    """Replace live rows by rebuilt ones; returns how many. Readers see the old until the commit.

    Rows are made beside the live ones, while others write. Only what they appended is taken in
    under the ledger's lock, and then whatever differs is exchanged.

    Needs a transaction in which reads are not repeatable.
    """
    head = await store.read_head(conn, org_id)
    texts = await TextKeys().of(conn, org_id, head.text_keys_version)
    shadows = Shadows(conn, org_id)
    await shadows.begin()
    await shadows.take(texts, after=0, up_to=head.position, progress=progress)
    locked = await store.lock_head(conn, org_id)
    keys = await TextKeys().of(conn, org_id, locked.text_keys_version)
    after = head.position
    if not texts.keys.keys() <= keys.keys.keys():
        # Somebody was erased meanwhile, and is not to come back.
        await shadows.end()
        await shadows.begin()
        after = 0
    await shadows.take(keys, after=after, up_to=locked.position, progress=progress)
    count = await shadows.exchange()
    await shadows.end()
    # Whatever a process keeps of the rows is made anew.
    await conn.execute(
        "UPDATE ledgers SET text_keys_version = text_keys_version + 1 WHERE org_id = $1", org_id
    )
    return count
