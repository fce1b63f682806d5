"""What changed between two moments of a ledger, and by whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Ledgers, Reader
from app.domain.errors import NotFound
from app.events import store
from app.events.store import Filter
from app.projections.blockers import BlockerRow
from app.projections.changes import Key, Row
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.rows import MemoryRows
from app.queries.telling import FieldView, Names, Step, Values, ids_in, names, summary, touched
from app.queries.views import Page, View


class MentionView(View):
    """An event that changed a resource."""

    position: int
    type: str = Field(examples=["check_in.recorded"])
    actor: str
    recorded_at: datetime


class ChangeView(View):
    """A resource that is not what it was. `id` joins the ids of what has several with a slash."""

    change: Literal["added", "removed", "changed"]
    kind: str = Field(examples=["key_result"])
    id: str
    words: str = Field(
        examples=["Ada Park moved 'Active customers' from 120 to 150 (progress 0.2 to 0.5)."]
    )
    fields: list[FieldView]
    by: list[MentionView] = Field(description="The events between, at most the last 50.")
    by_left_off: int


class DiffView(Page[ChangeView]):
    """What is different at `to_position` from what was at `from_position`.

    Resources come in the order in which they were first touched. What was changed and changed back
    is no difference.
    """

    from_position: int
    to_position: int
    total: int
    left_off: int = Field(description="How many differences come after this page.")


MOST_MENTIONS = 50


@dataclass(frozen=True, slots=True)
class Difference:
    step: Step
    by: Sequence[MentionView]


@dataclass(frozen=True, slots=True)
class Found:
    """All differences, between a reader of the first moment and one of the second."""

    before: Reader
    after: Reader
    differences: list[Difference]


async def find(
    ledgers: Ledgers,
    now: Reader,
    begin: int | datetime | None,
    end: int | datetime | None,
    *,
    cycle_id: UUID | None = None,
    objective_id: UUID | None = None,
) -> Found:
    """Compare what two replays show; nothing differs where the first is the later.

    Raises OutsideLedger, NotFound.
    """
    before = await ledgers.back(now, begin, pointer="from")
    after = await ledgers.back(now, now.position if end is None else end, pointer="to")
    old, new = before.rows, after.rows
    assert isinstance(old, MemoryRows), "it was replayed"
    assert isinstance(new, MemoryRows), "it was replayed"
    if cycle_id is not None and (cycle_id,) not in new.tables.get(CycleRow, {}):
        raise NotFound("cycle", cycle_id)
    if objective_id is not None and (objective_id,) not in new.tables.get(ObjectiveRow, {}):
        raise NotFound("objective", objective_id)
    by: dict[tuple[Row, Key], list[MentionView]] = defaultdict(list)
    between = Filter(after=before.position, up_to=after.position)
    async for recorded in store.read_all(now.conn, now.texts, between):
        mention = MentionView(
            position=recorded.position,
            type=recorded.type,
            actor=recorded.meta.actor,
            recorded_at=recorded.recorded_at,
        )
        for place in dict.fromkeys(touched(recorded)):
            by[place].append(mention)
    differences = []
    for (table, key), mentions in by.items():
        step = Step(table, key, old.values(table, key), new.values(table, key))
        if step.before is None and step.after is None:
            continue  # it came and went
        if not _concerns(step, cycle_id, objective_id, (new, old)):
            continue
        if (step.before is None) != (step.after is None) or step.fields():
            differences.append(Difference(step, mentions))
    return Found(before, after, differences)


def _concerns(
    step: Step, cycle_id: UUID | None, objective_id: UUID | None, known: Sequence[MemoryRows]
) -> bool:
    row: Values = step.row
    if cycle_id is not None and row.get("cycle_id") != cycle_id:
        return False
    if objective_id is None:
        return True
    if step.table is BlockerRow:
        part = (row["key_result_id"],)
        parts = (one.tables.get(KeyResultRow, {}).get(part) for one in known)
        return any(one is not None and one.objective_id == objective_id for one in parts)
    there = (row.get("objective_id"), row.get("target_objective_id"), row.get("on_id"))
    return objective_id in there


async def show(found: Found, differences: Sequence[Difference]) -> list[ChangeView]:
    """Differences in data and in words; what is called something by the later moment's names."""
    steps = [one.step for one in differences]
    actors = [mention.actor for one in differences for mention in one.by]
    ids = ids_in(steps, actors)
    known = await names(found.before, ids)
    later = await names(found.after, ids)
    called = Names({**known.things, **later.things}, later.people)
    return [_view(one, called) for one in differences]


def _view(one: Difference, called: Names) -> ChangeView:
    step = one.step
    change: Literal["added", "removed", "changed"] = "changed"
    if step.before is None:
        change = "added"
    elif step.after is None:
        change = "removed"
    return ChangeView(
        change=change,
        kind=step.kind,
        id=step.id,
        words=summary(step, called.actors([mention.actor for mention in one.by]), called),
        fields=step.fields(),
        by=list(one.by[-MOST_MENTIONS:]),
        by_left_off=max(len(one.by) - MOST_MENTIONS, 0),
    )
