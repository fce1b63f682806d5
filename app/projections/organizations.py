"""The organisation itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.domain.organization import OrganizationFounded, OrganizationRenamed
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert


class OrganizationRow(SQLModel, table=True):
    __tablename__ = "organizations"

    org_id: UUID = Field(primary_key=True)
    organization_id: UUID = Field(primary_key=True)
    name: str
    version: int
    founded_at: datetime = moment()


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case OrganizationFounded() as event:
            yield insert(
                OrganizationRow,
                org_id=recorded.org_id,
                organization_id=event.organization_id,
                name=event.name,
                version=recorded.version,
                founded_at=recorded.recorded_at,
            )
        case OrganizationRenamed() as event:
            yield Update(
                OrganizationRow,
                (event.organization_id,),
                {"name": event.name, "version": recorded.version},
            )


projection = Projection(OrganizationRow, project, heeds=(OrganizationFounded, OrganizationRenamed))
