"""One effect per key: the answer is kept in the transaction of its events, and given again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from pydantic_core import to_json

from app.events.store import Connection

KEPT_FOR = timedelta(hours=48)
"""How long a key is remembered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with, byte for byte."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def led_to(self, position: int) -> Answer:
        """The answer, with the position that the ledger came to by it."""
        headers = {"Ledger-Position": str(position), **self.headers}
        return Answer(self.status, self.body, headers)


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
    (kept,) = await find_all(conn, [(org_id, once)])
    again = None if kept is None else kept.to(once)
    if isinstance(again, KeyReused):
        raise again
    return again


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, and a fingerprint of the request that it was given to."""

    answer: Answer
    fingerprint: bytes

    def to(self, once: Once) -> Answer | KeyReused:
        """The answer given again, if the request is the same one."""
        if self.fingerprint != once.fingerprint:
            return KeyReused(once.key)
        headers = {**self.answer.headers, "Idempotency-Replayed": "true"}
        return Answer(self.answer.status, self.answer.body, headers)


_FIND = """
SELECT n, fingerprint, status, headers, body
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
    WITH ORDINALITY AS asked (org_id, credential, route, key, n)
JOIN idempotency_keys USING (org_id, credential, route, key)
"""


async def find_all(conn: Connection, asked: Sequence[tuple[UUID, Once]]) -> list[Kept | None]:
    """The answers that are kept, in order. Whoever asks holds the ledgers' locks, or the keys'."""
    if not asked:
        return []
    rows = await conn.fetch(
        _FIND,
        [org_id for org_id, _ in asked],
        [once.credential for _, once in asked],
        [once.route for _, once in asked],
        [once.key for _, once in asked],
    )
    found: list[Kept | None] = [None] * len(asked)
    for row in rows:
        answer = Answer(row["status"], row["body"], row["headers"])
        found[row["n"] - 1] = Kept(answer, row["fingerprint"])
    return found


async def commit_safely(conn: Connection) -> None:
    """Have the commit of a transaction that only gives answers again wait for a standby, too.

    Where an answer's own commit was cut short as it waited for one, it is here only. A commit that
    has something to say waits for all that came before it.
    """
    await conn.execute("SELECT pg_logical_emit_message(true, 'okr', '')")


# It says whether there are any to be forgotten. To delete none takes long where nothing is known of
# the table yet: all keys of an organisation are gone through.
_KEEP = """
WITH kept AS (
    INSERT INTO idempotency_keys (org_id, credential, route, key, fingerprint, status, headers,
        body, created_at)
    SELECT org_id, credential, route, key, decode(fingerprint, 'hex'), status, headers,
        convert_to(body, 'UTF8'), created_at
    FROM json_to_recordset($1::text::json) AS stated (org_id uuid, credential text, route text,
        key text, fingerprint text, status int, headers jsonb, body text, created_at timestamptz)
)
SELECT EXISTS (
    SELECT FROM unnest($2::uuid[]) AS of (org_id), LATERAL (
        SELECT FROM idempotency_keys WHERE org_id = of.org_id AND created_at < $3
        ORDER BY created_at LIMIT 1
    ) AS old
)
"""
# A few of them go with each new one: none pile up, and nobody waits for it.
_FORGET = """
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT old.ctid FROM unnest($1::uuid[]) AS of (org_id), LATERAL (
        SELECT ctid FROM idempotency_keys WHERE org_id = of.org_id AND created_at < $2
        ORDER BY created_at LIMIT $3
    ) AS old
))
"""
_FORGOTTEN_EACH = 10


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that is to be kept, and when it was given."""

    org_id: UUID
    once: Once
    answer: Answer
    at: datetime


async def keep(conn: Connection, given: Sequence[Given]) -> None:
    """Keep answers for `KEPT_FOR`, in the transaction of what they tell of."""
    if not given:
        return
    stated = [
        {
            "org_id": one.org_id,
            "credential": one.once.credential,
            "route": one.once.route,
            "key": one.once.key,
            "fingerprint": one.once.fingerprint.hex(),
            "status": one.answer.status,
            "headers": one.answer.headers,
            "body": one.answer.body.decode(),
            "created_at": one.at,
        }
        for one in given
    ]
    org_ids = list({one.org_id for one in given})
    before = min(one.at for one in given) - KEPT_FOR
    if await conn.fetchval(_KEEP, to_json(stated).decode(), org_ids, before):
        await conn.execute(_FORGET, org_ids, before, _FORGOTTEN_EACH * len(given))
