"""Who took part in a survey: beside the ledger, which does not say who answered what."""

from __future__ import annotations

from uuid import UUID

from app.application.unit_of_work import UnitOfWork


async def take_part(unit: UnitOfWork, cycle_id: UUID, person_id: UUID | None) -> None:
    """Remember that a person answered, in the transaction of their answer."""
    if person_id is not None:
        await unit.conn.execute(
            "INSERT INTO survey_participants (org_id, cycle_id, person_id) VALUES ($1, $2, $3)",
            unit.org_id,
            cycle_id,
            person_id,
        )
