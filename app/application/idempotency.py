"""One effect per key: the answer is kept in the transaction of its events, and given again."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from app.events.store import Connection

KEPT_FOR = timedelta(hours=48)
"""How long a key is remembered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with, byte for byte."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Once:
    """What makes two requests the same one, and a fingerprint that tells whether they are."""

    credential: str
    route: str
    key: str
    fingerprint: bytes


class KeyReused(Exception):
    """The key was used for another request."""


class KeyInFlight(Exception):
    """A request with this key is under way."""


async def find(conn: Connection, org_id: UUID, once: Once) -> Answer | None:
    """The kept answer, or None and this transaction owns the key. Raises KeyReused, KeyInFlight."""
    lock = f"{org_id}\n{once.credential}\n{once.route}\n{once.key}"
    if not await conn.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", lock):
        raise KeyInFlight(once.key)
    row = await conn.fetchrow(
        "SELECT fingerprint, status, headers, body FROM idempotency_keys "
        "WHERE org_id = $1 AND credential = $2 AND route = $3 AND key = $4",
        org_id,
        once.credential,
        once.route,
        once.key,
    )
    if row is None:
        return None
    if row["fingerprint"] != once.fingerprint:
        raise KeyReused(once.key)
    return Answer(row["status"], row["body"], {**row["headers"], "Idempotency-Replayed": "true"})


# A few of the forgotten go with each new one: none pile up, and nobody waits for it.
_KEEP = """
WITH forgotten AS (
    DELETE FROM idempotency_keys WHERE org_id = $1 AND (credential, route, key) IN (
        SELECT credential, route, key FROM idempotency_keys
        WHERE org_id = $1 AND created_at < $10 ORDER BY created_at LIMIT 10
    )
)
INSERT INTO idempotency_keys (org_id, credential, route, key, fingerprint, status, headers, body,
    created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


async def keep(conn: Connection, org_id: UUID, once: Once, answer: Answer, at: datetime) -> None:
    """Keep an answer for `KEPT_FOR`, in the transaction of what it tells of."""
    await conn.execute(
        _KEEP,
        org_id,
        once.credential,
        once.route,
        once.key,
        once.fingerprint,
        answer.status,
        answer.headers,
        answer.body,
        at,
        at - KEPT_FOR,
    )
