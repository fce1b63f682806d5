"""Cycles, their reflections and warnings."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from app.application.ledgers import Reader
from app.domain.cycle import NEXT_STEP, Phase
from app.domain.deployment import Scoring
from app.domain.errors import NotFound
from app.projections.cycles import CycleRow
from app.projections.reflections import ReflectionRow
from app.projections.warnings import WarningRow
from app.queries.views import Resource, View


class CycleView(Resource):
    """`scoring` is the decision it was opened under; `next_step` says what may follow."""

    name: str
    starts_on: date
    ends_on: date
    phase: Phase
    next_step: str
    parent_id: UUID | None
    previous_id: UUID | None
    next_id: UUID | None
    opened_at: datetime | None
    scoring: Scoring | None


class ReflectionView(View):
    id: UUID
    cycle_id: UUID
    team_id: UUID | None
    worked: list[str]
    did_not_work: list[str]
    change: list[str]
    actor: str
    recorded_at: datetime


class WarningView(View):
    """What a decision in `warn` mode had to say, and of what."""

    position: int
    rule: str
    decision: str
    message: str
    subject_kind: str
    subject_id: UUID
    recorded_at: datetime


def cycle_view(row: CycleRow) -> CycleView:
    phase = Phase(row.phase)
    return CycleView(
        id=row.cycle_id,
        version=row.version,
        name=row.name,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        phase=phase,
        next_step=NEXT_STEP[phase],
        parent_id=row.parent_id,
        previous_id=row.previous_id,
        next_id=row.next_id,
        opened_at=row.opened_at,
        scoring=row.scoring,
    )


async def row(reader: Reader, cycle_id: UUID) -> CycleRow:
    """Raises NotFound."""
    found = await reader.rows.get(CycleRow, cycle_id)
    if found is None:
        raise NotFound("cycle", cycle_id)
    return found


async def cycle(reader: Reader, cycle_id: UUID) -> CycleView:
    return cycle_view(await row(reader, cycle_id))


def reflection_view(row: ReflectionRow) -> ReflectionView:
    return ReflectionView(
        id=row.reflection_id,
        cycle_id=row.cycle_id,
        team_id=row.team_id,
        worked=row.worked,
        did_not_work=row.did_not_work,
        change=row.change,
        actor=row.actor,
        recorded_at=row.recorded_at,
    )


async def reflection(reader: Reader, reflection_id: UUID) -> ReflectionView:
    found = await reader.rows.get(ReflectionRow, reflection_id)
    if found is None:
        raise NotFound("reflection", reflection_id)
    return reflection_view(found)


def warning_view(row: WarningRow) -> WarningView:
    return WarningView(
        position=row.position,
        rule=row.rule,
        decision=row.decision,
        message=row.message,
        subject_kind=row.subject_kind,
        subject_id=row.subject_id,
        recorded_at=row.recorded_at,
    )
