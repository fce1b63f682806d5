"""KPIs, each with its latest reading and the key result that it feeds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.kpi import (
    KpiEvent,
    KpiFocused,
    KpiLeftRange,
    KpiRegistered,
    KpiRetired,
    KpiReturned,
    KpiReturnedToRange,
    KpiRevised,
    ReadingRecorded,
)
from app.domain.kpi_terms import KpiTerms, Proposal
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, decimal_column, insert, json_column


class KpiRow(SQLModel, table=True):
    """`value` and `measured_at` are those of the latest reading; `proposal`, of the time outside
    the range.
    """

    __tablename__ = "kpis"
    __table_args__ = (Index("ix_kpis_owner", "org_id", "owner_id"),)

    org_id: UUID = Field(primary_key=True)
    kpi_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    name: str
    unit: str
    owner_kind: str
    owner_id: UUID
    direction: str
    low: Decimal | None = decimal_column(default=None, nullable=True)
    high: Decimal | None = decimal_column(default=None, nullable=True)
    description: str | None = None
    registered_at: datetime = moment()
    value: Decimal | None = decimal_column(default=None, nullable=True)
    measured_at: datetime | None = moment(default=None, nullable=True)
    in_range: bool | None = None
    proposal: Any = json_column(default=None, nullable=True)
    in_focus: bool = False
    key_result_id: UUID | None = None
    objective_id: UUID | None = None
    cycle_id: UUID | None = None
    retired: bool = False
    retired_reason: str | None = None


def _terms(terms: KpiTerms) -> dict[str, Any]:
    return {
        "name": terms.name,
        "unit": terms.unit,
        "owner_kind": terms.owner.kind,
        "owner_id": terms.owner.id,
        "direction": terms.direction,
        "low": terms.healthy.low,
        "high": terms.healthy.high,
        "description": terms.description,
    }


def _proposed(proposal: Proposal | None) -> dict[str, Any]:
    """A proposal, where there is a new one."""
    return {} if proposal is None else {"proposal": proposal.model_dump(mode="json")}


def _read(event: ReadingRecorded) -> dict[str, Any]:
    """What of a reading becomes the KPI's standing: never what an older one says."""
    if not event.latest:
        return {}
    standing = {
        "value": event.value,
        "measured_at": event.occurred_at,
        "in_range": event.in_range,
    }
    return standing | _proposed(event.proposal)


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, KpiEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case KpiRegistered():
            yield insert(
                KpiRow,
                org_id=recorded.org_id,
                kpi_id=event.kpi_id,
                position=recorded.position,
                version=recorded.version,
                **_terms(event.terms),
                registered_at=recorded.recorded_at,
            )
            return
        case KpiRevised():
            changed = {
                **_terms(event.terms),
                "in_range": event.in_range,
                **_proposed(event.proposal),
            }
        case KpiRetired():
            changed = {"retired": True, "retired_reason": event.reason}
        case ReadingRecorded():
            changed = _read(event)
        case KpiLeftRange():
            changed = _proposed(event.proposal)
        case KpiReturnedToRange():
            changed = {"proposal": None}
        case KpiFocused():
            changed = {
                "in_focus": True,
                "key_result_id": event.key_result_id,
                "objective_id": event.objective_id,
                "cycle_id": event.cycle_id,
            }
        case KpiReturned():
            changed = {
                "in_focus": False,
                "key_result_id": None,
                "objective_id": None,
                "cycle_id": None,
            }
    yield Update(KpiRow, (event.kpi_id,), {**changed, "version": recorded.version})


projection = Projection(KpiRow, project, heeds=KpiEvent)
