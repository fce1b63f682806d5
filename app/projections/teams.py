"""The tree of teams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.team import (
    MemberJoined,
    MemberLeft,
    TeamDisbanded,
    TeamEvent,
    TeamFormed,
    TeamMoved,
    TeamRenamed,
)
from app.events.envelope import Recorded
from app.projections.changes import Change, Projection, Update, insert


class TeamRow(SQLModel, table=True):
    __tablename__ = "teams"
    __table_args__ = (Index("ix_teams_parent", "org_id", "parent_id"),)

    org_id: UUID = Field(primary_key=True)
    team_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    name: str
    level: str
    parent_id: UUID | None = None
    active: bool


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, TeamEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case TeamFormed():
            yield insert(
                TeamRow,
                org_id=recorded.org_id,
                team_id=event.team_id,
                position=recorded.position,
                version=recorded.version,
                name=event.name,
                level=event.level,
                parent_id=event.parent_id,
                active=True,
            )
            return
        case TeamRenamed():
            changed = {"name": event.name}
        case TeamMoved():
            changed = {"parent_id": event.parent_id}
        case TeamDisbanded():
            changed = {"active": False}
        case MemberJoined() | MemberLeft():
            pass
    yield Update(TeamRow, (event.team_id,), {**changed, "version": recorded.version})


projection = Projection(TeamRow, project, heeds=TeamEvent)
