"""Verification: whether every live row, every hash and every checkpoint is what the events say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.application import evidence
from app.application.scratch import MOST_ROWS, Scratch, scratch
from app.events import store
from app.events.codec import UnreadableEvent
from app.events.envelope import Recorded
from app.events.statements import Connection
from app.events.texts import TextKeys
from app.evidence.merkle import Frontier
from app.evidence.notes import Checkpoint, NotANote, VerifierKey, open_note, text_of
from app.garbage import undisturbed
from app.projections.changes import Change, Key, Row, place_of, table_name
from app.projections.registry import PROJECTIONS, project
from app.projections.rows import column_list, key_of, record
from app.projections.writing import ProjectionMismatch

MOST_TOLD = 1_000
"""Differences; of more it is told how many there are."""
_EVENTS_AT_ONCE = 500
_ROWS_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found: no difference means that live rows are what the events say."""

    position: int
    rows: int
    differences: tuple[str, ...]


@dataclass(slots=True)
class _Found:
    """What is not as it should be, the first of it in words."""

    lines: list[str] = field(default_factory=list)
    untold: int = 0

    def add(self, *lines: str) -> None:
        for line in lines:
            if len(self.lines) < MOST_TOLD:
                self.lines.append(line)
            else:
                self.untold += 1

    def told(self) -> tuple[str, ...]:
        more = (f"and {self.untold:,} more",) if self.untold else ()
        return (*self.lines, *more)


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
    checked with `key`, and to those given. What is rebuilt is kept on this machine's disk, where it
    is much.

    Needs a transaction in which reads are repeatable.
    """
    head = await store.read_head(conn, org_id)
    found = _Found()
    signed: dict[int, set[bytes]] = {}
    for one in [*await _kept(conn, org_id, key, found), *checkpoints]:
        signed.setdefault(one.size, set()).add(one.root)
    with scratch(MOST_ROWS) as rebuilt:
        await _replay(conn, org_id, head, signed, rebuilt, found, progress)
        count = 0
        for projection in PROJECTIONS:
            count += await _compare(conn, org_id, projection.table, rebuilt, found)
    return Verdict(head.position, count, found.told())


async def _replay(
    conn: Connection,
    org_id: UUID,
    head: store.Head,
    signed: dict[int, set[bytes]],
    rebuilt: Scratch,
    found: _Found,
    progress: Callable[[int], None] | None,
) -> None:
    """Hold every event to its hash, its place and what was signed of it; and make the rows."""
    texts = await TextKeys().of(conn, org_id, head.text_keys_version)
    frontier, expected = Frontier(), 0
    waiting = list[Recorded]()
    async for recorded, kept_hash in store.read_with_hashes(conn, texts):
        expected += 1
        if recorded.position != expected:
            found.add(f"events: position {expected} is missing")
            expected = recorded.position
        if recorded.leaf_hash() != kept_hash:
            found.add(f"events {recorded.position}: the content is not what its hash says")
        frontier.add(kept_hash)
        if frontier.size in signed and signed[frontier.size] != {frontier.root()}:
            found.add(f"checkpoints: the first {frontier.size} events are not those signed then")
        waiting.append(recorded)
        if len(waiting) == _EVENTS_AT_ONCE:
            _fold(waiting, rebuilt, found)
            waiting.clear()
        if progress:
            progress(recorded.position)
    _fold(waiting, rebuilt, found)
    found.add(
        *(
            f"checkpoints: one was signed of {size} events, and there are {frontier.size}"
            for size in signed
            if size > frontier.size
        )
    )
    if expected != head.position:
        found.add(f"ledgers: the head is {head.position}, the last event {expected}")


def _fold(events: Sequence[Recorded], rebuilt: Scratch, found: _Found) -> None:
    """Take in what some events change."""
    with undisturbed():
        changed = [(recorded.position, _changes(recorded, found)) for recorded in events]
        places: dict[Row, set[Key]] = {}
        for _, changes in changed:
            for change in changes:
                table, key = place_of(change)
                places.setdefault(table, set()).add(key)
        rows = rebuilt.load(places)
        for position, changes in changed:
            try:
                rows.apply(changes)
            except ProjectionMismatch as error:
                found.add(f"events {position}: {error}")
        rebuilt.save(places, rows)


def _changes(recorded: Recorded, found: _Found) -> list[Change]:
    try:
        return list(project(recorded))
    except UnreadableEvent as error:
        found.add(f"events {recorded.position}: {error}")
        return []


async def _compare(
    conn: Connection, org_id: UUID, table: Row, rebuilt: Scratch, found: _Found
) -> int:
    """Take from what is rebuilt whatever is live, too; returns how many rows are live."""
    count = 0
    live = list[Any]()
    sql = f"SELECT {column_list(table)} FROM {table_name(table)} WHERE org_id = $1"  # noqa: S608
    async for row in conn.cursor(sql, org_id, prefetch=_ROWS_AT_ONCE):
        live.append(record(table, row))
        if len(live) == _ROWS_AT_ONCE:
            count += len(live)
            found.add(*_differences(table, live, rebuilt))
            live.clear()
    count += len(live)
    found.add(*_differences(table, live, rebuilt))
    found.add(
        *(f"{_label(table, key)}: is missing, the ledger made it" for key in rebuilt.left(table))
    )
    return count


def _differences(table: Row, live: Sequence[Any], rebuilt: Scratch) -> Iterator[str]:
    by_key = {key_of(table, one): one for one in live}
    wanted = rebuilt.take(table, by_key)
    for key, here in by_key.items():
        there = wanted.get(key)
        if there is None:
            yield f"{_label(table, key)}: is live, but no event made it"
        elif here != there:
            for name, is_, said in zip(here._fields, here, there, strict=True):
                if is_ != said:
                    yield f"{_label(table, key)}: {name} is {is_!r}, the ledger says {said!r}"


def _label(table: Row, key: Key) -> str:
    return f"{table_name(table)} {'/'.join(map(str, key))}"


async def _kept(
    conn: Connection, org_id: UUID, key: VerifierKey | None, found: _Found
) -> list[Checkpoint]:
    """The checkpoints in the database; what is not signed by this key is told in `found`."""
    kept = []
    for note, _ in await evidence.kept_notes(conn, org_id):
        try:
            # What was signed is what counts, and not what stands beside it.
            text = text_of(note) if key is None else open_note(note, key)
            kept.append(Checkpoint.parse(text))
        except NotANote as error:
            found.add(f"checkpoints: {error}")
    return kept
