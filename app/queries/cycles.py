"""Cycles, their reflections and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.calendar import Step, Timing, Windows, timing
from app.domain.cycle import NEXT_STEP, Phase
from app.domain.deployment import Scoring
from app.domain.errors import NotFound
from app.domain.readiness import Override
from app.domain.values import Level
from app.projections.cycles import CycleRow
from app.projections.reflections import ReflectionRow
from app.projections.warnings import WarningRow
from app.queries.views import Resource, View, settled


class WindowsView(View):
    """When what belongs to the cycle is to happen, as decided when its dates were.

    Each is a first day; scoring goes on to `ends_on`. They warn and lock nothing.
    """

    drafting_from: date
    starts_on: date
    scoring_from: date
    reflection_announced_on: date
    ends_on: date
    check_in_every_days: int


class CycleView(Resource):
    """`scoring` is the decision it was opened under; `next_step` says what may follow.

    `override` says who opened the first cycle before all was ready, and why. `early` and `late`
    name the steps taken before or after their window, or still to be taken after it.
    """

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
    override: Override | None
    levels: list[Level]
    windows: WindowsView | None
    early: list[Step]
    late: list[Step]
    cancelled_reason: str | None


class PlannedView(View):
    """What was planned in one go; a cycle that holds the others comes first."""

    items: list[CycleView]


class ReflectionView(View):
    id: UUID
    cycle_id: UUID
    team_id: UUID | None
    worked: list[str]
    did_not_work: list[str]
    change: list[str]
    minutes: int | None = Field(description="How long it took.")
    participants: list[UUID]
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


def cycle_view(row: CycleRow, at: datetime) -> CycleView:
    """`at` is the moment shown: what is late is late by it, from one day to the next."""
    phase = Phase(row.phase)
    kept = None if row.windows is None else Windows.model_validate(row.windows)
    held = Timing((), ()) if kept is None else _timing(row, kept, at)
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
        override=row.override,
        levels=row.levels or [],
        windows=None
        if kept is None
        else WindowsView(starts_on=row.starts_on, ends_on=row.ends_on, **dict(kept)),
        early=list(held.early),
        late=list(held.late),
        cancelled_reason=row.cancelled_reason,
    )


def _timing(row: CycleRow, kept: Windows, at: datetime) -> Timing:
    if row.phase == Phase.CANCELLED:
        return Timing((), ())
    begun = {
        Step.DRAFTING: row.drafting_begun_at,
        Step.EXECUTION: row.opened_at,
        Step.SCORING: row.scoring_begun_at,
    }
    days = {step: moment.date() for step, moment in begun.items() if moment is not None}
    return timing(row.starts_on, row.ends_on, kept, days, at.date())


def end_of_day(at: datetime) -> datetime:
    return datetime.combine(at.date(), time.max, UTC)


@settled
async def cycle_views(reader: Reader, rows: list[CycleRow]) -> list[CycleView]:
    reader.horizon.lower(end_of_day(reader.at))
    return [cycle_view(row, reader.at) for row in rows]


async def planned(reader: Reader, ids: Sequence[UUID]) -> PlannedView:
    rows = await reader.rows.select(CycleRow, {"cycle_id": list(ids)})
    return PlannedView(items=await cycle_views(reader, rows))


async def row(reader: Reader, cycle_id: UUID) -> CycleRow:
    """Raises NotFound."""
    found = await reader.rows.get(CycleRow, cycle_id)
    if found is None:
        raise NotFound("cycle", cycle_id)
    return found


@settled
async def cycle(reader: Reader, cycle_id: UUID) -> CycleView:
    reader.horizon.lower(end_of_day(reader.at))
    return cycle_view(await row(reader, cycle_id), reader.at)


def reflection_view(row: ReflectionRow) -> ReflectionView:
    return ReflectionView(
        id=row.reflection_id,
        cycle_id=row.cycle_id,
        team_id=row.team_id,
        worked=row.worked,
        did_not_work=row.did_not_work,
        change=row.change,
        minutes=row.minutes,
        participants=row.participants,
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
