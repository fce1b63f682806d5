"""What readiness is judged by, read from rows: those of now, or those of any moment."""

from __future__ import annotations

from uuid import UUID

from pydantic import TypeAdapter

from app.domain.readiness import (
    ActiveCoach,
    CoachedTeam,
    FirstCycle,
    LeadershipWorkshop,
    Override,
    Preparation,
)
from app.domain.values import Level
from app.domain.workshop import NumberQuorum, Quorum, ShareQuorum, WorkshopKind, WorkshopStatus
from app.projections.coaches import CoachRow
from app.projections.cycles import CycleRow
from app.projections.decisions import DecisionRow
from app.projections.rows import Rows
from app.projections.teams import TeamRow
from app.projections.workshops import WorkshopRow

_quorum: TypeAdapter[NumberQuorum | ShareQuorum] = TypeAdapter(Quorum)


async def prepared(rows: Rows) -> Preparation:
    """The facts of one organisation at the moment of these rows."""
    teams = await rows.select(TeamRow, {"active": True, "level": Level.TEAM})
    return Preparation(
        answered=frozenset(row.question for row in await rows.select(DecisionRow)),
        workshops=await _leadership(rows),
        coaches=await _coaches(rows),
        teams=tuple(CoachedTeam(row.team_id, row.name) for row in teams),
        first_cycle=await _first_cycle(rows),
    )


async def _leadership(rows: Rows) -> tuple[LeadershipWorkshop, ...]:
    standing = (WorkshopStatus.SCHEDULED, WorkshopStatus.COMPLETED)
    wanted = {"kind": WorkshopKind.LEADERSHIP, "status": standing}
    return tuple(
        LeadershipWorkshop(
            workshop_id=row.workshop_id,
            completed=row.status == WorkshopStatus.COMPLETED,
            attended=len(row.attended),
            needed=_quorum.validate_python(row.quorum).needed(len(row.invited)),
        )
        for row in await rows.select(WorkshopRow, wanted)
    )


async def _coaches(rows: Rows) -> tuple[ActiveCoach, ...]:
    return tuple(
        ActiveCoach(row.person_id, row.expires_on, frozenset(map(UUID, row.teams)))
        for row in await rows.select(CoachRow, {"active": True})
    )


async def _first_cycle(rows: Rows) -> FirstCycle | None:
    """The first that was not over when it was opened."""
    opened = [
        (row.opened_at, row)
        for row in await rows.select(CycleRow)
        if row.opened_at is not None and row.opened_at.date() <= row.ends_on
    ]
    if not opened:
        return None
    moment, first = min(opened, key=lambda one: one[0])
    override = first.override and Override.model_validate(first.override)
    return FirstCycle(first.cycle_id, moment, override)
