"""Where a figure comes from: the formula, the decision in force, and the events behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain import scoring
from app.domain.deployment import AnyScoring, Scoring
from app.domain.errors import NotFound, Refusal
from app.domain.measures import Measure, Rung, Told, measure_of
from app.domain.scoring import Computed, compute, roll_up
from app.domain.values import Number
from app.projections.check_ins import CheckInRow
from app.projections.cycles import CycleRow
from app.projections.decisions import DecisionRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.queries import check_ins, cycles, goals
from app.queries.discretion import ScoresWithheld, unseen_owners
from app.queries.views import Figure, View


class ReadingView(View):
    """A reading that a figure was computed from, and the event that told it."""

    position: int
    check_in_id: UUID
    occurred_at: datetime
    value: bool | Rung | Number


class ExplanationView(View):
    """Why a key result has its score, or would have this one if it were scored now."""

    key_result_id: UUID
    version: int
    measure: Measure
    formula: str = Field(examples=["measure-what-matters/1"])
    because: str
    computed: Figure
    as_committed: Figure
    final: Figure
    adjustment_reason: str | None
    rules: Scoring
    rules_in_force_since: int | None = Field(
        description="The ledger position of the decision; null where the default stands."
    )
    readings: list[ReadingView]
    scored_position: int | None


class PartView(View):
    key_result_id: UUID
    title: str
    weight: Number
    figure: Figure


class RollUpView(View):
    """An objective's score: the weighted mean of its key results' scores, and never its own."""

    objective_id: UUID
    version: int
    formula: str = Field(examples=[scoring.ROLL_UP])
    score: Figure
    parts: list[PartView]


class WhatIfPart(View):
    """A key result as it was scored, and as another system would have."""

    key_result_id: UUID
    objective_id: UUID
    title: str
    scored: Figure
    computed: Figure
    what_if: Figure
    because: str


class WhatIfView(View):
    """A cycle under another scoring system. Nothing of it is recorded."""

    cycle_id: UUID
    rules: Scoring
    formula: str
    score: Figure = Field(description="The weighted mean over the cycle as it was scored.")
    what_if: Figure
    key_results: list[WhatIfPart]
    withheld: int = Field(description="Key results left out, as you may not see their scores.")


def _until(reader: Reader, cycle: CycleRow) -> datetime:
    """Thresholds are judged up to the moment shown, and no further than the cycle."""
    return min(reader.at, datetime.combine(cycle.ends_on, time.max, UTC))


def _readings(rows: Sequence[CheckInRow]) -> list[ReadingView]:
    """What counts, in the order of what it speaks of."""
    counted = [row for row in rows if not row.retracted and row.value is not None]
    counted.sort(key=lambda row: row.occurred_at)
    return [
        ReadingView.model_construct(
            position=row.position,
            check_in_id=row.check_in_id,
            occurred_at=row.occurred_at,
            value=value,
        )
        for row in counted
        if (value := check_ins.check_in_reading(row)) is not None
    ]


def _computed(
    rules: AnyScoring, measure: Any, readings: Sequence[ReadingView], until: datetime
) -> Computed:
    told = [Told(one.value, one.occurred_at) for one in readings]
    return compute(rules, measure_of.validate_python(measure), told, until)


async def score(reader: Reader, key_result_id: UUID) -> ExplanationView:
    """Raises NotFound, ScoresWithheld."""
    row = await goals.key_result_row(reader, key_result_id)
    if await goals.scores_hidden(reader, row.objective_id):
        raise ScoresWithheld
    cycle = await cycles.row(reader, row.cycle_id)
    rules = goals.rules_of(cycle)
    readings = _readings(await reader.rows.select(CheckInRow, {"key_result_id": key_result_id}))
    until = _until(reader, cycle)
    found = _computed(rules, row.measure, readings, until)
    as_committed = None
    if row.committed_measure is not None:
        as_committed = _computed(rules, row.committed_measure, readings, until).score
    return ExplanationView.model_construct(
        key_result_id=key_result_id,
        version=row.version,
        measure=measure_of.validate_python(row.measure),
        formula=row.score_formula or found.formula,
        because=found.because,
        computed=found.score if row.computed_score is None else row.computed_score,
        as_committed=as_committed,
        final=row.score,
        adjustment_reason=row.adjustment_reason,
        rules=rules,
        rules_in_force_since=await _decided_at(reader, cycle),
        readings=readings,
        scored_position=row.scored_position,
    )


async def _decided_at(reader: Reader, cycle: CycleRow) -> int | None:
    """Where the scoring decision that the cycle was opened under was made."""
    if cycle.opened_at is None:
        return None
    made = await reader.rows.select(DecisionRow, {"question": "scoring"})
    before = [row.position for row in made if row.decided_at <= cycle.opened_at]
    return max(before, default=None)


async def objective(reader: Reader, objective_id: UUID) -> RollUpView:
    row = await reader.rows.get(ObjectiveRow, objective_id)
    if row is None:
        raise NotFound("objective", objective_id)
    if await goals.scores_hidden(reader, objective_id):
        raise ScoresWithheld
    parts = await reader.rows.select(KeyResultRow, {"objective_id": objective_id, "removed": False})
    return RollUpView(
        objective_id=objective_id,
        version=row.version,
        formula=scoring.ROLL_UP,
        score=roll_up((part.score, part.weight) for part in parts),
        parts=[
            PartView(
                key_result_id=part.key_result_id,
                title=part.title,
                weight=part.weight,
                figure=part.score,
            )
            for part in parts
        ],
    )


async def what_if(reader: Reader, cycle_id: UUID, rules: AnyScoring) -> WhatIfView:
    """Re-score a cycle by other rules, as far as the caller may see its scores.

    Raises Refusal before it was opened.
    """
    cycle = await cycles.row(reader, cycle_id)
    if cycle.opened_at is None:
        raise Refusal("The cycle was not opened yet, so there is nothing to score anew.")
    until = _until(reader, cycle)
    rows = await reader.rows.select(KeyResultRow, {"cycle_id": cycle_id, "removed": False})
    hidden = await _hidden(reader, cycle_id)
    withheld = sum(row.objective_id in hidden for row in rows)
    rows = [row for row in rows if row.objective_id not in hidden]
    told: dict[UUID, list[CheckInRow]] = {row.key_result_id: [] for row in rows}
    for check_in in await reader.rows.select(CheckInRow, {"cycle_id": cycle_id}):
        if check_in.key_result_id in told:
            told[check_in.key_result_id].append(check_in)
    own = goals.rules_of(cycle)
    parts, figures = [], []
    for row in rows:
        readings = _readings(told[row.key_result_id])
        other = _computed(rules, row.measure, readings, until)
        figures.append((other.score, row.weight))
        parts.append(
            WhatIfPart(
                key_result_id=row.key_result_id,
                objective_id=row.objective_id,
                title=row.title,
                scored=row.score,
                computed=_computed(own, row.measure, readings, until).score,
                what_if=other.score,
                because=other.because,
            )
        )
    return WhatIfView(
        cycle_id=cycle_id,
        rules=rules,
        formula=scoring.FORMULAS[rules.system],
        score=roll_up((row.score, row.weight) for row in rows),
        what_if=roll_up(figures),
        key_results=parts,
        withheld=withheld,
    )


async def _hidden(reader: Reader, cycle_id: UUID) -> set[UUID]:
    """The objectives of a cycle whose scores the caller may not see."""
    objectives = await reader.rows.select(ObjectiveRow, {"cycle_id": cycle_id})
    unseen = await unseen_owners(reader, objectives)
    return {row.objective_id for row in objectives if goals.is_hidden(row, unseen)}
