"""Every check-in, as it was said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.check_in import CheckInTerms
from app.domain.key_result import CheckInCorrected, CheckInRecorded, CheckInRetracted
from app.domain.measures import Rung, as_number
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, decimal_column, insert


class CheckInRow(SQLModel, table=True):
    """What it says now. `value` is a number; 1 and 0 for a milestone reached and not; or the rank
    of its level. A retracted one counts no more.
    """

    __tablename__ = "check_ins"
    __table_args__ = (Index("ix_check_ins_key_result", "org_id", "key_result_id", "position"),)

    org_id: UUID = Field(primary_key=True)
    check_in_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID
    value: Decimal | None = decimal_column(default=None, nullable=True)
    is_milestone: bool
    level: str | None = None
    increment: Decimal | None = decimal_column(default=None, nullable=True)
    progress: Decimal | None = decimal_column(default=None, nullable=True)
    confidence: Decimal | None = decimal_column(default=None, nullable=True)
    health: str | None = None
    note: str | None = None
    next_steps: str | None = None
    occurred_at: datetime = moment()
    recorded_at: datetime = moment()
    actor: str
    source: str
    tracking: str | None = None
    corrected_at: datetime | None = moment(default=None, nullable=True)
    retracted: bool = False
    reason: str | None = None


def _said(terms: CheckInTerms) -> dict[str, Any]:
    return {
        "value": as_number(terms.value),
        "is_milestone": isinstance(terms.value, bool),
        "level": terms.value if isinstance(terms.value, Rung) else None,
        "increment": terms.increment,
        "confidence": terms.confidence,
        "health": terms.health,
        "note": terms.note,
        "next_steps": terms.next_steps,
    }


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case CheckInRecorded(terms=terms) as event:
            yield insert(
                CheckInRow,
                org_id=recorded.org_id,
                check_in_id=event.check_in_id,
                position=recorded.position,
                version=recorded.version,
                key_result_id=event.key_result_id,
                objective_id=event.objective_id,
                cycle_id=event.cycle_id,
                **_said(terms),
                progress=event.progress,
                occurred_at=event.occurred_at,
                recorded_at=recorded.recorded_at,
                actor=recorded.meta.actor,
                source=recorded.meta.source,
                tracking=event.tracking,
            )
        case CheckInCorrected(terms=terms) as event:
            changed = {
                **_said(terms),
                "progress": event.progress,
                "occurred_at": event.occurred_at,
                "corrected_at": recorded.recorded_at,
                "reason": event.reason,
                "version": recorded.version,
            }
            yield Update(CheckInRow, (event.check_in_id,), changed)
        case CheckInRetracted() as event:
            changed = {
                "retracted": True,
                "reason": event.reason,
                "version": recorded.version,
            }
            yield Update(CheckInRow, (event.check_in_id,), changed)


projection = Projection(
    CheckInRow, project, heeds=(CheckInRecorded, CheckInCorrected, CheckInRetracted)
)
