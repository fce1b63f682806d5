"""OKR coaches: their certificates, and the teams that they cover."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.coach import (
    CoachCertified,
    CoachDesignated,
    CoachEvent,
    CoachRelieved,
    TeamsCovered,
)
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert, json_column


class CoachRow(SQLModel, table=True):
    __tablename__ = "coaches"

    org_id: UUID = Field(primary_key=True)
    person_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    active: bool
    designated_at: datetime = moment()
    workshop_id: UUID | None = None
    certified_on: date | None = None
    expires_on: date | None = None
    teams: Any = json_column()
    relieved_reason: str | None = None


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, CoachEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case CoachDesignated():
            if recorded.version == 1:
                yield insert(
                    CoachRow,
                    org_id=recorded.org_id,
                    person_id=event.person_id,
                    position=recorded.position,
                    version=recorded.version,
                    active=True,
                    designated_at=recorded.recorded_at,
                    teams=[],
                )
                return
            changed = {
                "active": True,
                "designated_at": recorded.recorded_at,
                "relieved_reason": None,
            }
        case CoachCertified():
            changed = {
                "workshop_id": event.workshop_id,
                "certified_on": event.certified_on,
                "expires_on": event.expires_on,
            }
        case TeamsCovered():
            changed = {"teams": [str(id) for id in event.teams]}
        case CoachRelieved():
            changed = {"active": False, "teams": [], "relieved_reason": event.reason}
    yield Update(CoachRow, (event.person_id,), {**changed, "version": recorded.version})


projection = Projection(CoachRow, project, heeds=CoachEvent)
