"""Who people are at an OpenID Connect provider: kept as digests, beside the ledger."""

from __future__ import annotations

from uuid import UUID

from app.application.tokens import identity_digest
from app.application.unit_of_work import UnitOfWork
from app.domain.person import LinkIdentity, UnlinkIdentity


async def link(unit: UnitOfWork, person_id: UUID, issuer: str, subject: str) -> None:
    """Link an identity in place of any before, in the transaction of its event. Raises Refusal."""
    digest = identity_digest(issuer, subject)
    command = LinkIdentity(person_id=person_id, issuer=issuer, digest=digest)
    if await unit.execute(command):
        await forget(unit, person_id)
        await unit.conn.execute(
            "INSERT INTO identities (org_id, digest, person_id) VALUES ($1, $2, $3)",
            unit.org_id,
            digest,
            person_id,
        )


async def unlink(unit: UnitOfWork, person_id: UUID) -> None:
    """Raises Refusal."""
    await unit.execute(UnlinkIdentity(person_id=person_id))
    await forget(unit, person_id)


async def forget(unit: UnitOfWork, person_id: UUID) -> None:
    await unit.conn.execute(
        "DELETE FROM identities WHERE org_id = $1 AND person_id = $2", unit.org_id, person_id
    )
