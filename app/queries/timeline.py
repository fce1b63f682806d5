"""Every event that concerns one thing, oldest first: who did what, and who knew what when."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.errors import NotFound
from app.domain.messages import Stream
from app.events import store
from app.events.envelope import Recorded
from app.events.store import Filter
from app.projections.alignments import AlignmentRow
from app.projections.blockers import BlockerRow
from app.projections.dependencies import DependencyRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.rows import MemoryRows
from app.queries import cycles, goals
from app.queries.discretion import WITHHELD, unseen_owners
from app.queries.telling import (
    SCORES,
    FieldView,
    Names,
    Step,
    ids_in,
    names,
    sentence,
    take,
)
from app.queries.views import View

CATEGORIES = ("cycle", "objective", "key_result", "alignment", "dependency", "blocker")
"""The streams that a cycle's timeline is made of. What was answered in surveys is not told."""


class ResourceChangeView(View):
    """A resource that an event changed, and its fields before and after."""

    kind: str = Field(examples=["key_result"])
    id: UUID
    fields: list[FieldView]


class TimelineEventView(View):
    """An event in words, and what it changed.

    `occurred_at` is when it was true, `recorded_at` when the ledger learnt it.
    """

    position: int
    type: str = Field(examples=["check_in.recorded"])
    kind: str = Field(description="Of what it happened to.", examples=["key_result"])
    id: UUID
    words: str = Field(
        examples=["Ada Park moved 'Active customers' from 120 to 150 (progress 0.2 to 0.5)."]
    )
    changes: list[ResourceChangeView]
    actor: str
    source: str
    occurred_at: datetime
    recorded_at: datetime
    lag_seconds: float = Field(ge=0, description="From when it was true to when it was recorded.")
    told_late: bool = Field(description="It was recorded later than it occurred.")
    withheld: str | None = Field(description="Why its scores are not shown to you; else null.")


@dataclass(frozen=True, slots=True)
class Told:
    """An event with what it changed, among the events of one timeline."""

    recorded: Recorded
    steps: list[Step]


Wanted = Callable[[Reader, UUID], Awaitable[Filter]]


async def of_objective(reader: Reader, objective_id: UUID) -> Filter:
    """The events of an objective, its key results, and what it is tied to. Raises NotFound."""
    if await reader.rows.get(ObjectiveRow, objective_id) is None:
        raise NotFound("objective", objective_id)
    rows = reader.rows
    streams = {Stream("objective", objective_id)}
    parts = await rows.select(KeyResultRow, {"objective_id": objective_id})
    ids = [part.key_result_id for part in parts]
    streams |= {Stream("key_result", id) for id in ids}
    for where in ({"objective_id": objective_id}, {"target_objective_id": objective_id}):
        links = await rows.select(AlignmentRow, where)
        streams |= {Stream("alignment", link.alignment_id) for link in links}
    for needs in ({"objective_id": objective_id}, {"on_id": objective_id}):
        found = await rows.select(DependencyRow, needs)
        streams |= {Stream("dependency", one.dependency_id) for one in found}
    blockers = await rows.select(BlockerRow, {"key_result_id": ids}) if ids else []
    streams |= {Stream("blocker", one.blocker_id) for one in blockers}
    return Filter(up_to=reader.position, streams=sorted(streams))


async def of_key_result(reader: Reader, key_result_id: UUID) -> Filter:
    """The events of a key result, its blockers, and what contributes to it. Raises NotFound."""
    await goals.key_result_row(reader, key_result_id)
    streams = {Stream("key_result", key_result_id)}
    for link in await reader.rows.select(AlignmentRow, {"target_id": key_result_id}):
        streams.add(Stream("alignment", link.alignment_id))
    for one in await reader.rows.select(BlockerRow, {"key_result_id": key_result_id}):
        streams.add(Stream("blocker", one.blocker_id))
    return Filter(up_to=reader.position, streams=sorted(streams))


async def of_cycle(reader: Reader, cycle_id: UUID) -> Filter:
    """The events of a cycle and of all goals in it. Raises NotFound."""
    await cycles.row(reader, cycle_id)
    return Filter(up_to=reader.position, cycle_id=cycle_id, categories=CATEGORIES)


async def events(reader: Reader, wanted: Filter, after: int, limit: int) -> list[Told]:
    """Up to `limit` events after a position, with what they changed.

    What was before is known from the events before, so all up to the page's end are folded.
    """
    rows, found = MemoryRows(), list[Told]()
    async for recorded in store.read_all(reader.conn, reader.texts, wanted):
        steps = take(rows, recorded)
        if recorded.position > after:
            found.append(Told(recorded, steps))
            if len(found) == limit:
                break
    return found


async def show(reader: Reader, told: list[Told]) -> list[TimelineEventView]:
    """Events in words and in data, as far as the caller may see the scores in them."""
    ids = ids_in(
        (step for one in told for step in one.steps), (one.recorded.meta.actor for one in told)
    )
    called = await names(reader, ids)
    hidden = await _hidden(reader, [step for one in told for step in one.steps])
    return [_view(one, called, hidden) for one in told]


async def _hidden(reader: Reader, steps: Sequence[Step]) -> set[UUID]:
    """The objectives whose scores the caller may not see."""
    ids = {step.row["objective_id"] for step in steps if step.table is KeyResultRow}
    if not ids:
        return set()
    found = await reader.rows.select(ObjectiveRow, {"objective_id": list(ids)})
    unseen = await unseen_owners(reader, found)
    return {row.objective_id for row in found if goals.is_hidden(row, unseen)}


def _view(one: Told, called: Names, hidden: set[UUID]) -> TimelineEventView:
    recorded = one.recorded
    changes, withheld = list[ResourceChangeView](), False
    for step in one.steps:
        fields = step.fields()
        if step.table is KeyResultRow and step.row["objective_id"] in hidden:
            seen = [field for field in fields if field.field not in SCORES]
            withheld = withheld or len(seen) < len(fields)
            fields = seen
        if fields:
            id: Any = step.key[0]
            changes.append(ResourceChangeView(kind=step.kind, id=id, fields=fields))
    lag = (recorded.recorded_at - recorded.occurred_at).total_seconds()
    return TimelineEventView(
        position=recorded.position,
        type=recorded.type,
        kind=recorded.stream.category,
        id=recorded.stream.id,
        words=sentence(recorded, one.steps, called, withheld=withheld),
        changes=changes,
        actor=recorded.meta.actor,
        source=recorded.meta.source,
        occurred_at=recorded.occurred_at,
        recorded_at=recorded.recorded_at,
        lag_seconds=max(lag, 0.0),
        told_late=lag > 0,
        withheld=WITHHELD if withheld else None,
    )
