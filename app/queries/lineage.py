"""Lineage: a goal through the cycles, from the first one it was set in to the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.errors import NotFound
from app.domain.key_result import Choice
from app.domain.objective import Outcome
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.queries import goals
from app.queries.goals import KeyResultView
from app.queries.views import Figure, View

R = TypeVar("R", ObjectiveRow, KeyResultRow)

# Health is shown as the outcome once there is one.
_ENDS = ("removed", *(outcome.value for outcome in Outcome))


class KeyResultStep(View):
    """A key result in one cycle: what it was scored, what was chosen for it, and what learnt."""

    id: UUID
    cycle_id: UUID
    cycle_name: str
    objective_id: UUID
    title: str
    score: Figure
    outcome: str | None = Field(examples=["achieved"])
    choice: Choice | None
    learning: str | None
    previous_id: UUID | None


class ObjectiveStep(View):
    """An objective in one cycle; its score is the roll-up of its key results."""

    id: UUID
    cycle_id: UUID
    cycle_name: str
    title: str
    score: Figure
    outcome: Outcome | None
    previous_id: UUID | None
    key_results: list[KeyResultStep]


class KeyResultLineageView(View):
    """Oldest first; the key result asked for is one of them."""

    id: UUID
    steps: list[KeyResultStep]


class ObjectiveLineageView(View):
    """Oldest first; the objective asked for is one of them."""

    id: UUID
    steps: list[ObjectiveStep]


async def _chain(
    table: type[R], start: R, id_of: Callable[[R], UUID], reader: Reader
) -> Sequence[R]:
    """What a goal came from and what came of it, in the order in which the ledger made them."""
    found = {id_of(start): start}
    here = start
    while here.previous_id is not None and here.previous_id not in found:
        earlier = await reader.rows.get(table, here.previous_id)
        if earlier is None:
            break
        found[id_of(earlier)] = here = earlier
    latest = [id_of(start)]
    while latest:
        later: list[R] = await reader.rows.select(table, {"previous_id": latest})
        latest = [id_of(row) for row in later if id_of(row) not in found]
        found |= {id_of(row): row for row in later}
    return sorted(found.values(), key=lambda row: row.position)


async def _cycle_names(reader: Reader, rows: Sequence[Any]) -> dict[UUID, str]:
    ids = list({row.cycle_id for row in rows})
    cycles = await reader.rows.select(CycleRow, {"cycle_id": ids})
    return {cycle.cycle_id: cycle.name for cycle in cycles}


def _step(view: KeyResultView, names: dict[UUID, str]) -> KeyResultStep:
    return KeyResultStep(
        id=view.id,
        cycle_id=view.cycle_id,
        cycle_name=names[view.cycle_id],
        objective_id=view.objective_id,
        title=view.title,
        score=view.score,
        outcome=view.health if view.health in _ENDS else None,
        choice=view.choice,
        learning=view.learning,
        previous_id=view.previous_id,
    )


async def of_objective(reader: Reader, objective_id: UUID) -> ObjectiveLineageView:
    """Raises NotFound."""
    row = await reader.rows.get(ObjectiveRow, objective_id)
    if row is None:
        raise NotFound("objective", objective_id)
    rows = await _chain(ObjectiveRow, row, lambda one: one.objective_id, reader)
    names = await _cycle_names(reader, rows)
    steps = [
        ObjectiveStep(
            id=view.id,
            cycle_id=view.cycle_id,
            cycle_name=names[view.cycle_id],
            title=view.title,
            score=view.score,
            outcome=view.outcome,
            previous_id=view.previous_id,
            key_results=[_step(part, names) for part in view.key_results],
        )
        for view in await goals.objectives(reader, rows)
    ]
    return ObjectiveLineageView(id=objective_id, steps=steps)


async def of_key_result(reader: Reader, key_result_id: UUID) -> KeyResultLineageView:
    """Raises NotFound."""
    row = await goals.key_result_row(reader, key_result_id)
    rows = await _chain(KeyResultRow, row, lambda one: one.key_result_id, reader)
    names = await _cycle_names(reader, rows)
    views = await goals.key_results(reader, rows)
    return KeyResultLineageView(id=key_result_id, steps=[_step(view, names) for view in views])
