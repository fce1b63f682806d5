"""Replay: rows from nothing but events, to look back, to rebuild, and to verify."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from app.application import evidence
from app.application.projecting import projected
from app.application.shadows import Shadows
from app.domain.deployment import scoring_of
from app.domain.key_result import KeyResult, KeyResultEvents, evolve
from app.events import store
from app.events.codec import UnreadableEvent
from app.events.envelope import Recorded
from app.events.statements import Connection
from app.events.store import Filter
from app.events.texts import TextKeys, Texts
from app.evidence.merkle import Frontier
from app.evidence.notes import Checkpoint, NotANote, VerifierKey, open_note, text_of
from app.garbage import undisturbed
from app.projections.changes import Delete, Row, Update, table_name
from app.projections.check_ins import CheckInRow
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow, stands
from app.projections.registry import PROJECTIONS, project
from app.projections.rows import Comparison, MemoryRows, column_list
from app.projections.writing import ProjectionMismatch

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: no difference means that live rows are what the events say."""

    position: int
    rows: int
    differences: tuple[str, ...]


async def verify(
    conn: Connection,
    org_id: UUID,
    progress: Callable[[int], None] | None = None,
    *,
    key: VerifierKey | None = None,
    checkpoints: Sequence[Checkpoint] = (),
) -> Verdict:
    """Compare live rows with rebuilt ones, and every event with its hash, in one snapshot.

    The ledger is held to the checkpoints that were kept in the database, whose signatures are
    checked with `key`, and to those given.

    Needs a transaction in which reads are repeatable.
    """
    head = await store.read_head(conn, org_id)
    texts = await TextKeys().of(conn, org_id, head.text_keys_version)
    found: list[str] = []
    signed: dict[int, set[bytes]] = {}
    for one in [*await _kept(conn, org_id, key, found), *checkpoints]:
        signed.setdefault(one.size, set()).add(one.root)
    frontier = Frontier()
    rebuilt = MemoryRows()
    expected = 0
    async for recorded, kept_hash in store.read_with_hashes(conn, texts):
        expected += 1
        if recorded.position != expected:
            found.append(f"events: position {expected} is missing")
            expected = recorded.position
        if recorded.leaf_hash() != kept_hash:
            found.append(f"events {recorded.position}: the content is not what its hash says")
        try:
            rebuilt.apply(project(recorded))
        except (UnreadableEvent, ProjectionMismatch) as error:
            found.append(f"events {recorded.position}: {error}")
        frontier.add(kept_hash)
        if frontier.size in signed and signed[frontier.size] != {frontier.root()}:
            found.append(f"checkpoints: the first {frontier.size} events are not those signed then")
        if progress:
            progress(recorded.position)
    found += [
        f"checkpoints: one was signed of {size} events, and there are {frontier.size}"
        for size in signed
        if size > frontier.size
    ]
    if expected != head.position:
        found.append(f"ledgers: the head is {head.position}, the last event {expected}")
    count = 0
    for projection in PROJECTIONS:
        compared = Comparison(rebuilt, projection.table)
        async for row in _live(conn, org_id, projection.table):
            found += compared.add(row)
        found += compared.missing()
        count += compared.count
    return Verdict(head.position, count, tuple(found))


async def _kept(
    conn: Connection, org_id: UUID, key: VerifierKey | None, found: list[str]
) -> list[Checkpoint]:
    """The checkpoints in the database; what is not signed by this key is told in `found`."""
    kept = []
    for note, _ in await evidence.kept_notes(conn, org_id):
        try:
            # What was signed is what counts, and not what stands beside it.
            text = text_of(note) if key is None else open_note(note, key)
            kept.append(Checkpoint.parse(text))
        except NotANote as error:
            found.append(f"checkpoints: {error}")
    return kept


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


async def _live(conn: Connection, org_id: UUID, table: Row) -> AsyncIterator[Iterable[Any]]:
    sql = f"SELECT {column_list(table)} FROM {table_name(table)} WHERE org_id = $1"  # noqa: S608
    async for row in conn.cursor(sql, org_id, prefetch=2_000):
        yield row
