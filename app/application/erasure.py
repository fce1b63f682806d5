"""Erasure: a person's name, address and texts are gone, and every proof still holds."""

from __future__ import annotations

from uuid import UUID

from app.application import identities, replay
from app.application.unit_of_work import UnitOfWork
from app.domain.person import ErasePerson
from app.events import texts


async def erase(
    unit: UnitOfWork, person_id: UUID, reason: str | None, *, expected: int | None
) -> None:
    """Erase a person, all in one transaction. Raises Refusal, WrongExpectedVersion.

    Read models hold text in plain, so they are made anew from what is still readable. That takes
    as long as a rebuild, during which the ledger takes no other write.
    """
    await unit.execute(ErasePerson(person_id=person_id, reason=reason), expected=expected)
    await unit.flush()
    await unit.conn.execute(
        "DELETE FROM directory WHERE org_id = $1 AND person_id = $2", unit.org_id, person_id
    )
    await identities.forget(unit, person_id)
    # Answers that are kept for retries hold names and texts: the retries of this organisation that
    # were answered before are told anew.
    await unit.conn.execute("DELETE FROM idempotency_keys WHERE org_id = $1", unit.org_id)
    await unit.conn.execute(
        "DELETE FROM survey_participants WHERE org_id = $1 AND person_id = $2",
        unit.org_id,
        person_id,
    )
    # What receivers of webhooks answered may repeat what they were sent.
    await unit.conn.execute(
        "UPDATE webhook_attempts SET answer = NULL WHERE org_id = $1", unit.org_id
    )
    await texts.destroy(unit.conn, unit.org_id, f"person/{person_id}")
    await replay.rebuild(unit.conn, unit.org_id)
