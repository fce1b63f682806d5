"""The answers to the ten questions, each with all its earlier ones: the last is in force."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.deployment import DecisionMade
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, insert, json_column


class DecisionRow(SQLModel, table=True):
    __tablename__ = "decisions"

    org_id: UUID = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInteger)
    version: int
    question: str
    decision: Any = json_column()
    rationale: str
    decided_by: UUID | None = None
    actor: str
    decided_at: datetime = moment()


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case DecisionMade() as event:
            yield insert(
                DecisionRow,
                org_id=recorded.org_id,
                position=recorded.position,
                version=recorded.version,
                question=event.decision.question,
                decision=event.decision.model_dump(mode="json"),
                rationale=event.rationale,
                decided_by=event.decided_by,
                actor=recorded.meta.actor,
                decided_at=recorded.recorded_at,
            )


projection = Projection(DecisionRow, project, heeds=DecisionMade)
