"""Who belongs to which team, and who leads it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.team import MemberJoined, MemberLeft, MemberRoleChanged
from app.events.envelope import Recorded
from app.projections.changes import Change, Delete, Projection, Update, insert


class MemberRow(SQLModel, table=True):
    __tablename__ = "members"

    org_id: UUID = Field(primary_key=True)
    team_id: UUID = Field(primary_key=True)
    person_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    role: str


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case MemberJoined() as event:
            yield insert(
                MemberRow,
                org_id=recorded.org_id,
                team_id=event.team_id,
                person_id=event.person_id,
                position=recorded.position,
                role=event.role,
            )
        case MemberRoleChanged() as event:
            yield Update(MemberRow, (event.team_id, event.person_id), {"role": event.role})
        case MemberLeft() as event:
            yield Delete(MemberRow, (event.team_id, event.person_id))


projection = Projection(MemberRow, project, heeds=(MemberJoined, MemberRoleChanged, MemberLeft))
