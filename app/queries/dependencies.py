"""Dependencies between teams, as they are shown."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from app.application.ledgers import Reader
from app.domain.dependency import DependencyStatus, OtherSide
from app.domain.errors import NotFound
from app.projections.dependencies import DependencyRow
from app.queries.views import Resource


class DependencyView(Resource):
    """`answer` is the note of who accepted, or the reason of who declined.

    `on_team_id` is null where an objective of a person is depended on. `previous_id` leads to what
    was declared in the cycle before, where a reset took it over.
    """

    cycle_id: UUID
    objective_id: UUID
    on: OtherSide
    on_team_id: UUID | None
    needed: str
    needed_by: date
    risk_owner_id: UUID | None
    status: DependencyStatus
    declared_at: datetime
    answered_by: UUID | None
    answer: str | None
    answered_at: datetime | None
    delivered_at: datetime | None
    delivery_note: str | None
    withdrawn_reason: str | None
    previous_id: UUID | None


def dependency_view(row: DependencyRow) -> DependencyView:
    kind = row.on_kind
    return DependencyView(
        id=row.dependency_id,
        version=row.version,
        cycle_id=row.cycle_id,
        objective_id=row.objective_id,
        on=OtherSide(kind="team" if kind == "team" else "objective", id=row.on_id),
        on_team_id=row.on_team_id,
        needed=row.needed,
        needed_by=row.needed_by,
        risk_owner_id=row.risk_owner_id,
        status=DependencyStatus(row.status),
        declared_at=row.declared_at,
        answered_by=row.answered_by,
        answer=row.answer,
        answered_at=row.answered_at,
        delivered_at=row.delivered_at,
        delivery_note=row.delivery_note,
        withdrawn_reason=row.withdrawn_reason,
        previous_id=row.previous_id,
    )


async def dependency(reader: Reader, dependency_id: UUID) -> DependencyView:
    """Raises NotFound."""
    row = await reader.rows.get(DependencyRow, dependency_id)
    if row is None:
        raise NotFound("dependency", dependency_id)
    return dependency_view(row)
