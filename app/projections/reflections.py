"""What worked, what did not, what to change: per cycle and team."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.cycle import ReflectionRecorded
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, insert, json_column


class ReflectionRow(SQLModel, table=True):
    __tablename__ = "reflections"
    __table_args__ = (Index("ix_reflections_cycle", "org_id", "cycle_id", "position"),)

    org_id: UUID = Field(primary_key=True)
    reflection_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    cycle_id: UUID
    team_id: UUID | None = None
    worked: Any = json_column()
    did_not_work: Any = json_column()
    change: Any = json_column()
    minutes: int | None = None
    participants: Any = json_column()
    actor: str
    recorded_at: datetime = moment()


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case ReflectionRecorded() as event:
            yield insert(
                ReflectionRow,
                org_id=recorded.org_id,
                reflection_id=event.reflection_id,
                position=recorded.position,
                cycle_id=event.cycle_id,
                team_id=event.team_id,
                worked=list(event.worked),
                did_not_work=list(event.did_not_work),
                change=list(event.change),
                minutes=event.minutes,
                participants=[str(id) for id in event.participants],
                actor=recorded.meta.actor,
                recorded_at=recorded.recorded_at,
            )


projection = Projection(ReflectionRow, project, heeds=ReflectionRecorded)
