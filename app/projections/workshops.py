"""Workshops: who was asked, who came, what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.workshop import (
    AttendanceRecorded,
    OutcomeRecorded,
    PeopleInvited,
    WorkshopCancelled,
    WorkshopCompleted,
    WorkshopEvent,
    WorkshopRescheduled,
    WorkshopScheduled,
    WorkshopStatus,
)
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert, json_column


class WorkshopRow(SQLModel, table=True):
    __tablename__ = "workshops"

    org_id: UUID = Field(primary_key=True)
    workshop_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    kind: str
    title: str
    scheduled_at: datetime = moment()
    agenda: Any = json_column()
    team_id: UUID | None = None
    quorum: Any = json_column(default=None, nullable=True)
    status: str
    invited: Any = json_column()
    attended: Any = json_column()
    outcome: Any = json_column()
    completed_at: datetime | None = moment(default=None, nullable=True)
    needed: int | None = None
    quorum_reached: bool | None = None
    cancelled_reason: str | None = None


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, WorkshopEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case WorkshopScheduled():
            yield insert(
                WorkshopRow,
                org_id=recorded.org_id,
                workshop_id=event.workshop_id,
                position=recorded.position,
                version=recorded.version,
                kind=event.kind,
                title=event.title,
                scheduled_at=event.scheduled_at,
                agenda=list(event.agenda),
                team_id=event.team_id,
                quorum=event.quorum and event.quorum.model_dump(mode="json"),
                status=WorkshopStatus.SCHEDULED,
                invited=[],
                attended=[],
                outcome=[],
            )
            return
        case PeopleInvited():
            changed = {"invited": [str(id) for id in event.invited]}
        case WorkshopRescheduled():
            changed = {"scheduled_at": event.scheduled_at}
        case AttendanceRecorded():
            changed = {"attended": [str(id) for id in event.attended]}
        case OutcomeRecorded():
            changed = {"outcome": list(event.outcome)}
        case WorkshopCompleted():
            changed = {
                "status": WorkshopStatus.COMPLETED,
                "completed_at": event.completed_at,
                "needed": event.needed,
                "quorum_reached": event.quorum_reached,
            }
        case WorkshopCancelled():
            changed = {"status": WorkshopStatus.CANCELLED, "cancelled_reason": event.reason}
    yield Update(WorkshopRow, (event.workshop_id,), {**changed, "version": recorded.version})


projection = Projection(WorkshopRow, project, heeds=WorkshopEvent)
