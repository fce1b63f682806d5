"""What objectives need from other teams, and how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.dependency import (
    DependencyAccepted,
    DependencyDeclared,
    DependencyDeclined,
    DependencyDelivered,
    DependencyEvent,
    DependencyPassedOn,
    DependencyStatus,
    DependencyWithdrawn,
)
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert


class DependencyRow(SQLModel, table=True):
    """`answer` is the note of who accepted, or the reason of who declined."""

    __tablename__ = "dependencies"
    __table_args__ = (
        Index("ix_dependencies_cycle", "org_id", "cycle_id", "position"),
        Index("ix_dependencies_objective", "org_id", "objective_id"),
    )

    org_id: UUID = Field(primary_key=True)
    dependency_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    cycle_id: UUID
    objective_id: UUID
    on_kind: str
    on_id: UUID
    on_team_id: UUID | None = None
    needed: str
    needed_by: date
    risk_owner_id: UUID | None = None
    status: str
    declared_at: datetime = moment()
    answered_by: UUID | None = None
    answer: str | None = None
    answered_at: datetime | None = moment(default=None, nullable=True)
    delivered_at: datetime | None = moment(default=None, nullable=True)
    delivery_note: str | None = None
    withdrawn_reason: str | None = None
    previous_id: UUID | None = None


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, DependencyEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case DependencyDeclared():
            yield insert(
                DependencyRow,
                org_id=recorded.org_id,
                dependency_id=event.dependency_id,
                position=recorded.position,
                version=recorded.version,
                cycle_id=event.cycle_id,
                objective_id=event.objective_id,
                on_kind=event.on.kind,
                on_id=event.on.id,
                on_team_id=event.on_team_id,
                needed=event.needed,
                needed_by=event.needed_by,
                risk_owner_id=event.risk_owner_id,
                status=DependencyStatus.OPEN,
                declared_at=recorded.recorded_at,
                previous_id=event.previous_id,
            )
            return
        case DependencyAccepted() | DependencyDeclined():
            accepted = isinstance(event, DependencyAccepted)
            changed = {
                "status": DependencyStatus.ACCEPTED if accepted else DependencyStatus.DECLINED,
                "answered_by": event.person_id,
                "answer": event.note if isinstance(event, DependencyAccepted) else event.reason,
                "answered_at": recorded.recorded_at,
            }
        case DependencyPassedOn():
            changed = {
                "on_team_id": event.on_team_id,
                "status": DependencyStatus.OPEN,
                "answered_by": None,
                "answer": None,
                "answered_at": None,
            }
        case DependencyDelivered():
            changed = {
                "status": DependencyStatus.DELIVERED,
                "delivered_at": recorded.recorded_at,
                "delivery_note": event.note,
            }
        case DependencyWithdrawn():
            changed = {"status": DependencyStatus.WITHDRAWN, "withdrawn_reason": event.reason}
    yield Update(DependencyRow, (event.dependency_id,), {**changed, "version": recorded.version})


projection = Projection(DependencyRow, project, heeds=DependencyEvent)
