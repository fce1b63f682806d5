"""The directory: names and addresses of people, kept beside the ledger so that they can go."""

from __future__ import annotations

from uuid import UUID

from app.events.store import Connection


async def enter(
    conn: Connection, org_id: UUID, person_id: UUID, name: str, email: str | None
) -> None:
    """Enter a person, in the transaction of their event."""
    await conn.execute(
        "INSERT INTO directory (org_id, person_id, name, email) VALUES ($1, $2, $3, $4)",
        org_id,
        person_id,
        name,
        email,
    )
