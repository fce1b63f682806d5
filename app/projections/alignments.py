"""What contributes to what. A withdrawn alignment stays, as withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.alignment import AlignmentAgreed, AlignmentWithdrawn
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert, json_column


class AlignmentRow(SQLModel, table=True):
    __tablename__ = "alignments"
    __table_args__ = (
        Index("ix_alignments_objective", "org_id", "objective_id"),
        Index("ix_alignments_cycle", "org_id", "cycle_id", "position"),
    )

    org_id: UUID = Field(primary_key=True)
    alignment_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    cycle_id: UUID
    objective_id: UUID
    target_kind: str
    target_id: UUID
    target_objective_id: UUID
    rationale: str
    why_now: str | None = None
    agreed_by: Any = json_column()
    agreed_at: datetime = moment()
    withdrawn: bool = False
    withdrawn_reason: str | None = None
    previous_id: UUID | None = None


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case AlignmentAgreed() as event:
            yield insert(
                AlignmentRow,
                org_id=recorded.org_id,
                alignment_id=event.alignment_id,
                position=recorded.position,
                version=recorded.version,
                cycle_id=event.cycle_id,
                objective_id=event.objective_id,
                target_kind=event.target.kind,
                target_id=event.target.id,
                target_objective_id=event.target_objective_id,
                rationale=event.rationale,
                why_now=event.why_now,
                agreed_by=[str(person) for person in event.agreed_by],
                agreed_at=recorded.recorded_at,
                previous_id=event.previous_id,
            )
        case AlignmentWithdrawn() as event:
            yield Update(
                AlignmentRow,
                (event.alignment_id,),
                {
                    "withdrawn": True,
                    "withdrawn_reason": event.reason,
                    "version": recorded.version,
                },
            )


projection = Projection(AlignmentRow, project, heeds=(AlignmentAgreed, AlignmentWithdrawn))
