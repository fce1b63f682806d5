"""People, by id. Their names are joined from the directory when they are read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.person import (
    IdentityLinked,
    IdentityUnlinked,
    PersonCorrected,
    PersonErased,
    PersonLeft,
    PersonRegistered,
)
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert


class PersonRow(SQLModel, table=True):
    __tablename__ = "people"

    org_id: UUID = Field(primary_key=True)
    person_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    active: bool
    erased: bool = False
    issuer: str | None = None
    registered_at: datetime = moment()


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case PersonRegistered() as event:
            yield insert(
                PersonRow,
                org_id=recorded.org_id,
                person_id=event.person_id,
                position=recorded.position,
                version=recorded.version,
                active=True,
                erased=False,
                registered_at=recorded.recorded_at,
            )
        case PersonLeft() as event:
            yield Update(
                PersonRow, (event.person_id,), {"active": False, "version": recorded.version}
            )
        case PersonErased() as event:
            yield Update(
                PersonRow,
                (event.person_id,),
                {"erased": True, "issuer": None, "version": recorded.version},
            )
        case IdentityLinked() | IdentityUnlinked() as event:
            issuer = event.issuer if isinstance(event, IdentityLinked) else None
            yield Update(
                PersonRow, (event.person_id,), {"issuer": issuer, "version": recorded.version}
            )
        case PersonCorrected() as event:
            yield Update(PersonRow, (event.person_id,), {"version": recorded.version})


projection = Projection(
    PersonRow,
    project,
    heeds=(
        PersonRegistered,
        PersonLeft,
        PersonErased,
        IdentityLinked,
        IdentityUnlinked,
        PersonCorrected,
    ),
)
