"""Every reading of a KPI, as it was said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.kpi import ReadingRecorded
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, decimal_column, insert


class KpiReadingRow(SQLModel, table=True):
    """`in_range` is judged by the range of the time; `check_in_id` is what it became, in focus."""

    __tablename__ = "kpi_readings"
    __table_args__ = (Index("ix_kpi_readings_kpi", "org_id", "kpi_id", "position"),)

    org_id: UUID = Field(primary_key=True)
    reading_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    kpi_id: UUID
    value: Decimal = decimal_column()
    in_range: bool
    note: str | None = None
    check_in_id: UUID | None = None
    occurred_at: datetime = moment()
    recorded_at: datetime = moment()
    actor: str
    source: str


def project(recorded: Recorded) -> Iterator[Change]:
    match recorded.event:
        case ReadingRecorded() as event:
            yield insert(
                KpiReadingRow,
                org_id=recorded.org_id,
                reading_id=event.reading_id,
                position=recorded.position,
                kpi_id=event.kpi_id,
                value=event.value,
                in_range=event.in_range,
                note=event.note,
                check_in_id=event.check_in_id,
                occurred_at=event.occurred_at,
                recorded_at=recorded.recorded_at,
                actor=recorded.meta.actor,
                source=recorded.meta.source,
            )


projection = Projection(KpiReadingRow, project, heeds=ReadingRecorded)
