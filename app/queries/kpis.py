"""KPIs as they stand, and what was read of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.errors import NotFound
from app.domain.kpi_terms import Direction, HealthyRange, Proposal
from app.domain.values import Number
from app.projections.kpi_readings import KpiReadingRow
from app.projections.kpis import KpiRow
from app.queries.views import OwnerView, Ref, Resource, View, owners

Role = Literal["health_metric", "key_result"]
Status = Literal["in_range", "out_of_range", "unknown"]


class KpiFocusView(View):
    """The key result that the KPI feeds."""

    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID


class KpiView(Resource):
    """`role` tells whether it is only watched, or in focus as a key result.

    `proposal` is an objective that would bring it back, while it is out of range and not in focus.
    """

    name: str
    unit: str
    owner: OwnerView
    direction: Direction
    healthy: HealthyRange
    description: str | None
    registered_at: datetime
    role: Role
    focus: KpiFocusView | None
    status: Status = Field(description="Of the latest reading; unknown without one.")
    value: Number | None
    measured_at: datetime | None
    proposal: Proposal | None
    retired: bool
    retired_reason: str | None


class KpiReadingView(View):
    """`in_range` was judged by the healthy range of the time.

    `check_in_id` is the check-in that it became on the key result in focus, if it did.
    """

    id: UUID
    kpi_id: UUID
    value: Number
    in_range: bool
    note: str | None
    check_in_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    source: str
    position: int


def _status(row: KpiRow) -> Status:
    if row.in_range is None:
        return "unknown"
    return "in_range" if row.in_range else "out_of_range"


def _focus(row: KpiRow) -> KpiFocusView | None:
    if row.key_result_id is None or row.objective_id is None or row.cycle_id is None:
        return None
    return KpiFocusView(
        key_result_id=row.key_result_id, objective_id=row.objective_id, cycle_id=row.cycle_id
    )


def _proposal(row: KpiRow) -> Proposal | None:
    if row.proposal is None or row.in_focus or row.retired:
        return None
    return Proposal.model_validate(row.proposal)


def _kpi(row: KpiRow, known: dict[Ref, OwnerView]) -> KpiView:
    return KpiView(
        id=row.kpi_id,
        version=row.version,
        name=row.name,
        unit=row.unit,
        owner=known[row.owner_kind, row.owner_id],
        direction=Direction(row.direction),
        healthy=HealthyRange.model_construct(low=row.low, high=row.high),
        description=row.description,
        registered_at=row.registered_at,
        role="key_result" if row.in_focus else "health_metric",
        focus=_focus(row),
        status=_status(row),
        value=row.value,
        measured_at=row.measured_at,
        proposal=_proposal(row),
        retired=row.retired,
        retired_reason=row.retired_reason,
    )


async def kpis(reader: Reader, rows: Sequence[KpiRow]) -> list[KpiView]:
    known = await owners(reader, {(row.owner_kind, row.owner_id) for row in rows})
    return [_kpi(row, known) for row in rows]


async def kpi_row(reader: Reader, kpi_id: UUID) -> KpiRow:
    """Raises NotFound."""
    row = await reader.rows.get(KpiRow, kpi_id)
    if row is None:
        raise NotFound("KPI", kpi_id)
    return row


async def kpi(reader: Reader, kpi_id: UUID) -> KpiView:
    return (await kpis(reader, [await kpi_row(reader, kpi_id)]))[0]


def reading_view(row: KpiReadingRow) -> KpiReadingView:
    return KpiReadingView(
        id=row.reading_id,
        kpi_id=row.kpi_id,
        value=row.value,
        in_range=row.in_range,
        note=row.note,
        check_in_id=row.check_in_id,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        actor=row.actor,
        source=row.source,
        position=row.position,
    )


async def reading(reader: Reader, kpi_id: UUID, reading_id: UUID) -> KpiReadingView:
    """Raises NotFound, for a reading of another KPI too."""
    row = await reader.rows.get(KpiReadingRow, reading_id)
    if row is None or row.kpi_id != kpi_id:
        raise NotFound("reading", reading_id)
    return reading_view(row)
