"""The directory: names and addresses of people, kept beside the ledger so that they can go."""

from __future__ import annotations

from uuid import UUID

from app.application.unit_of_work import UnitOfWork
from app.domain.person import CorrectPerson, Entry, EntryField, PersonCorrected
from app.events.statements import Connection


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


_CORRECT: dict[EntryField, str] = {
    "name": "UPDATE directory SET name = $3 WHERE org_id = $1 AND person_id = $2",
    "email": "UPDATE directory SET email = $3 WHERE org_id = $1 AND person_id = $2",
}


async def correct(
    unit: UnitOfWork, person_id: UUID, stated: Entry, *, expected: int | None
) -> None:
    """Correct a person's entry, and record that it was, in one transaction.

    Raises Refusal, WrongExpectedVersion.
    """
    command = CorrectPerson(person_id=person_id, stated=stated)
    for recorded in await unit.execute(command, expected=expected):
        assert isinstance(recorded.event, PersonCorrected)
        for name in recorded.event.corrected:
            await unit.conn.execute(_CORRECT[name], unit.org_id, person_id, stated[name])
