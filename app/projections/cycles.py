"""Cycles, their dates and phases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.cycle import (
    CycleCancelled,
    CycleClosed,
    CycleContinued,
    CycleDraftingBegun,
    CycleEvent,
    CycleOpened,
    CyclePlanned,
    CycleReflectionBegun,
    CycleRenamed,
    CycleRescheduled,
    CycleScoringBegun,
    Phase,
    ReflectionRecorded,
)
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert, json_column


class CycleRow(SQLModel, table=True):
    __tablename__ = "cycles"

    org_id: UUID = Field(primary_key=True)
    cycle_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    name: str
    starts_on: date
    ends_on: date
    phase: str
    parent_id: UUID | None = None
    previous_id: UUID | None = None
    next_id: UUID | None = None
    opened_at: datetime | None = moment(default=None, nullable=True)
    scoring: Any = json_column(default=None, nullable=True)
    levels: Any = json_column(default=None, nullable=True)
    windows: Any = json_column(default=None, nullable=True)
    dated_at: datetime | None = moment(default=None, nullable=True)
    drafting_begun_at: datetime | None = moment(default=None, nullable=True)
    scoring_begun_at: datetime | None = moment(default=None, nullable=True)
    cancelled_reason: str | None = None
    override: Any = json_column(default=None, nullable=True)


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, CycleEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case CyclePlanned():
            yield insert(
                CycleRow,
                org_id=recorded.org_id,
                cycle_id=event.cycle_id,
                position=recorded.position,
                version=recorded.version,
                name=event.name,
                starts_on=event.starts_on,
                ends_on=event.ends_on,
                phase=Phase.PLANNED,
                parent_id=event.parent_id,
                previous_id=event.previous_id,
                levels=event.levels and list(event.levels),
                windows=event.windows and event.windows.model_dump(mode="json"),
                dated_at=recorded.recorded_at,
            )
            return
        case CycleRenamed():
            changed = {"name": event.name, "dated_at": recorded.recorded_at}
        case CycleRescheduled():
            changed = {
                "starts_on": event.starts_on,
                "ends_on": event.ends_on,
                "windows": event.windows.model_dump(mode="json"),
                "dated_at": recorded.recorded_at,
            }
        case CycleCancelled():
            changed = {"phase": Phase.CANCELLED, "cancelled_reason": event.reason}
        case CycleDraftingBegun():
            changed = {"phase": Phase.DRAFTING, "drafting_begun_at": recorded.recorded_at}
        case CycleOpened():
            changed = {
                "phase": Phase.ACTIVE,
                "opened_at": event.opened_at,
                "scoring": event.scoring.model_dump(mode="json"),
                "override": event.override and event.override.model_dump(mode="json"),
            }
        case CycleScoringBegun():
            changed = {"phase": Phase.SCORING, "scoring_begun_at": recorded.recorded_at}
        case CycleReflectionBegun():
            changed = {"phase": Phase.REFLECTING}
        case CycleContinued():
            changed = {"previous_id": event.previous_id}
        case CycleClosed():
            changed = {"phase": Phase.CLOSED, "next_id": event.next_cycle_id}
        case ReflectionRecorded():
            pass
    yield Update(CycleRow, (event.cycle_id,), {**changed, "version": recorded.version})


projection = Projection(CycleRow, project, heeds=CycleEvent)
