"""The goals of a cycle as a tree shows them, kept from one read to the next.

What is kept is what the events up to a position made; a read asks the ledger what happened between
that and its own, and makes those goals anew, with those that time has changed. A look back does the
same with what the look before it left.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from app.application.ledgers import Reader
from app.application.marks import Mark
from app.domain.objective import Outcome, Status
from app.domain.values import OwnerKind
from app.events import store
from app.events.store import Filter
from app.garbage import undisturbed
from app.projections.alignments import AlignmentRow
from app.projections.changes import Row
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.warnings import WarningRow
from app.queries.discretion import unseen
from app.queries.goals import Frame, ObjectiveView, Terms, is_hidden, owners_of, shown
from app.queries.views import OwnerView, Ref, owners

MOST_GOALS = 10_000
"""Kept by a process, about 5 kB each."""
_AT_ONCE = 200
_MOST_EVENTS = 1_000
"""After more, all is made anew."""


@dataclass(frozen=True, slots=True)
class Part:
    """A key result: what its figures add up to, and its JSON, an object that is not closed yet."""

    id: UUID
    title: str
    removed: bool
    weight: Decimal
    progress: Decimal | None
    score: Decimal | None
    health: str
    written: bytes


@dataclass(frozen=True, slots=True)
class Link:
    target_id: UUID
    target_objective_id: UUID


@dataclass(frozen=True, slots=True)
class Goal:
    """An objective, like `Part`; its JSON is without its key results.

    It is shown so at moments after `after` and up to `until`.
    """

    id: UUID
    owner: OwnerView
    title: str
    status: Status
    outcome: Outcome | None
    health: str
    progress: Decimal | None
    score: Decimal | None
    key_results: tuple[Part, ...]
    contributes_to: tuple[Link, ...]
    written: bytes
    after: datetime
    until: datetime

    @classmethod
    def of(cls, view: ObjectiveView, at: datetime) -> Goal:
        """`at` is the moment that the view shows."""
        dues = [part.check_in_due_at for part in view.key_results if part.check_in_due_at]
        return cls(
            id=view.id,
            owner=view.owner,
            title=view.title,
            status=view.status,
            outcome=view.outcome,
            health=view.health,
            progress=view.progress,
            score=view.score,
            key_results=tuple(
                Part(
                    id=part.id,
                    title=part.title,
                    removed=part.removed,
                    weight=part.weight,
                    progress=part.progress,
                    score=part.score,
                    health=part.health,
                    written=b"" if part.removed else part.model_dump_json().encode()[:-1],
                )
                for part in view.key_results
            ),
            contributes_to=tuple(
                Link(link.target.id, link.target_objective_id) for link in view.contributes_to
            ),
            written=view.model_dump_json(exclude={"key_results"}).encode()[:-1],
            after=max((due for due in dues if due < at), default=_EVER[0]),
            until=min((due for due in dues if due >= at), default=_EVER[1]),
        )


_EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cycle:
    """The goals of a cycle by id, and whether somebody's scores in them are withheld."""

    mark: Mark | None
    terms: Terms
    named: dict[Ref, OwnerView] = field(default_factory=dict)
    places: dict[UUID, tuple[int, Ref]] = field(default_factory=dict)
    made: dict[tuple[UUID, bool], Goal] = field(default_factory=dict)
    warnings: int = 0

    @property
    def position(self) -> int:
        return 0 if self.mark is None else self.mark.position


_Place = tuple[UUID, UUID, datetime | None]
"""A ledger, a cycle, and as of which moment that occurred."""


class Shelf:
    """The cycles that were read last."""

    def __init__(self) -> None:
        self._cycles: OrderedDict[_Place, Cycle] = OrderedDict()

    def get(self, place: _Place) -> Cycle | None:
        return self._cycles.get(place)

    def put(self, place: _Place, cycle: Cycle) -> None:
        self._cycles[place] = cycle
        self._cycles.move_to_end(place)
        while len(self._cycles) > 1 and self._size() > MOST_GOALS:
            self._cycles.popitem(last=False)

    def _size(self) -> int:
        return sum(len(cycle.made) for cycle in self._cycles.values())


SHELVES = {False: Shelf(), True: Shelf()}
"""Of what is now, and of looks back: neither makes the other forget."""


async def goals_of(reader: Reader, cycle_id: UUID) -> tuple[list[Goal], int]:
    """All goals of a cycle in ledger order, and how many warnings there are of it."""
    terms = await Terms.of(reader, [cycle_id])
    shelf, place = SHELVES[reader.is_past], (reader.org_id, cycle_id, reader.effective_at)
    kept = shelf.get(place)
    changed = None if kept is None else await _changed_since(reader, kept, terms)
    if kept is None or changed is None:
        kept, changed = Cycle(None, terms), None
    rows = await _rows(reader, cycle_id, changed)
    placed = {row.objective_id: (row.position, (row.owner_kind, row.owner_id)) for row in rows}
    before = {id: one for id, one in kept.places.items() if one[0] <= reader.position}
    places = {**before, **placed}
    people = {id for _, (kind, id) in places.values() if kind == OwnerKind.PERSON}
    hidden = await unseen(reader, people)
    keys = [
        (id, owner in hidden)
        for id, (_, (_, owner)) in sorted(places.items(), key=lambda item: item[1][0])
    ]
    made = {
        key: goal for key, goal in kept.made.items() if key[0] in before and key[0] not in placed
    }
    missing = [id for id, withheld in keys if not _fits(made.get((id, withheld)), reader.at)]
    told = kept if kept.position <= reader.position else Cycle(None, terms)
    fresh = await reader.rows.select(WarningRow, {"cycle_id": cycle_id}, after=told.position)
    warnings = told.warnings + len(fresh)
    mark = kept.mark
    if kept.position != reader.position:
        mark = await Mark.at(reader.conn, reader.texts, reader.position)
    named = dict(kept.named)
    try:
        if missing:
            if changed is not None:
                rows = await reader.rows.select(ObjectiveRow, {"objective_id": missing})
            here = {"objective_id": missing} if kept.made else {"cycle_id": cycle_id}
            await _make(reader, rows, here, Frame(terms, reader.at, hidden), named, made)
    finally:
        # What was made in time is there for the next one, even where all of it takes too long.
        shelf.put(place, Cycle(mark, terms, named, places, made, warnings))
    goals = [made[key] for key in keys]
    reader.horizon.lower(min((goal.until for goal in goals), default=_EVER[1]))
    return goals, warnings


def _fits(goal: Goal | None, at: datetime) -> bool:
    return goal is not None and goal.after < at <= goal.until


async def _changed_since(reader: Reader, kept: Cycle, terms: Terms) -> set[UUID] | None:
    """The objectives that may be others than they are kept; None where all may be."""
    if kept.mark is None or kept.terms != terms:
        return None
    if await owners(reader, kept.named) != kept.named:
        return None
    if not await kept.mark.is_in(reader.conn, reader.texts):
        return None
    first, last = sorted((kept.position, reader.position))
    if first != last and reader.effective_at is not None:
        # What was told of later moments is in neither.
        return None
    between = Filter(first, last, categories=list(_ABOUT))
    events = await store.read_page(reader.conn, reader.texts, between, _MOST_EVENTS + 1)
    if len(events) > _MOST_EVENTS:
        return None
    ids = defaultdict[str, list[UUID]](list)
    for recorded in events:
        ids[recorded.stream.category].append(recorded.stream.id)
    changed = set(ids.pop("objective", ()))
    for category, streams in ids.items():
        table, key = _ABOUT[category]
        # What is not there yet is there now, and its objective is ever the same.
        found: Sequence[Any] = await reader.present.select(table, {key: list(set(streams))})
        changed |= {row.objective_id for row in found}
    return changed


# Where the objective is found that a stream is about. Nothing else that happens changes goals, but
# through terms and names.
_ABOUT: dict[str, tuple[Row, str]] = {
    "objective": (ObjectiveRow, "objective_id"),
    "key_result": (KeyResultRow, "key_result_id"),
    "alignment": (AlignmentRow, "alignment_id"),
}


async def _rows(reader: Reader, cycle_id: UUID, changed: set[UUID] | None) -> list[ObjectiveRow]:
    """The cycle's objectives, or those of it that changed."""
    if changed is None:
        return await reader.rows.select(ObjectiveRow, {"cycle_id": cycle_id})
    if not changed:
        return []
    rows = await reader.rows.select(ObjectiveRow, {"objective_id": list(changed)})
    return [row for row in rows if row.cycle_id == cycle_id]


async def _make(
    reader: Reader,
    rows: Sequence[ObjectiveRow],
    here: Mapping[str, Any],
    frame: Frame,
    named: dict[Ref, OwnerView],
    made: dict[tuple[UUID, bool], Goal],
) -> None:
    """Put the goals of these rows into `made`, and whoever is named into `named`."""
    key_rows = await reader.rows.select(KeyResultRow, here)
    links = await reader.rows.select(AlignmentRow, {**here, "withdrawn": False})
    new = owners_of(rows, key_rows) - named.keys()
    named |= await owners(reader, new)
    views = zip(rows, shown(rows, key_rows, links, frame, named), strict=True)
    while several := list(islice(views, _AT_ONCE)):
        with undisturbed():
            for row, view in several:
                made[view.id, is_hidden(row, frame.unseen)] = Goal.of(view, frame.at)
        # Others are served in between.
        await asyncio.sleep(0)
