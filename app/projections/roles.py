"""The roles that were granted to people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.roles import RoleGranted, RoleWithdrawn
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Delete, Projection, insert


class RoleRow(SQLModel, table=True):
    __tablename__ = "roles"

    org_id: UUID = Field(primary_key=True)
    person_id: UUID = Field(primary_key=True)
    role: str = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    granted_at: datetime = moment()
    reason: str | None = None


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case RoleGranted() as event:
            yield insert(
                RoleRow,
                org_id=recorded.org_id,
                person_id=event.person_id,
                role=event.role,
                position=recorded.position,
                granted_at=recorded.recorded_at,
                reason=event.reason,
            )
        case RoleWithdrawn() as event:
            yield Delete(RoleRow, (event.person_id, event.role))


projection = Projection(RoleRow, project, heeds=(RoleGranted, RoleWithdrawn))
