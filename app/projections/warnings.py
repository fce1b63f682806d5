"""What decisions in `warn` mode had to say, and of what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.values import Finding
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, insert, saying


class WarningRow(SQLModel, table=True):
    __tablename__ = "warnings"
    __table_args__ = (Index("ix_warnings_cycle", "org_id", "cycle_id", "position"),)

    org_id: UUID = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInteger)
    rule: str = Field(primary_key=True)
    cycle_id: UUID | None = None
    subject_kind: str
    subject_id: UUID
    decision: str
    message: str
    recorded_at: datetime = moment()


def project(recorded: Recorded) -> Iterator[Change]:
    findings: tuple[Finding, ...] = getattr(recorded.event, "warnings", ())
    for finding in findings:
        yield insert(
            WarningRow,
            org_id=recorded.org_id,
            position=recorded.position,
            rule=finding.rule,
            cycle_id=recorded.cycle_id,
            subject_kind=recorded.stream.category,
            subject_id=recorded.stream.id,
            decision=finding.decision,
            message=finding.message,
            recorded_at=recorded.recorded_at,
        )


projection = Projection(WarningRow, project, heeds=saying("warnings"))
