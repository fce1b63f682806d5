"""One effect per key: the answer is kept in the transaction of its events, and given again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import to_json

from app.events import store
from app.events.statements import Connection, Part, run_all
from app.events.store import Head

KEYS = "idempotency_keys"
"""The table of what is kept."""
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


_KEPT = """
SELECT org_id, n, fingerprint, status, headers, body
FROM unnest({0}::uuid[], {1}::text[], {2}::text[], {3}::text[])
    WITH ORDINALITY AS asked (org_id, credential, route, key, n)
JOIN idempotency_keys USING (org_id, credential, route, key)
"""
_FIND = _KEPT.format("$1", "$2", "$3", "$4")
_LOCK_AND_FIND = f"""
WITH heads AS ({store.FREE_HEADS.format("$1")}),
kept AS MATERIALIZED ({_KEPT.format("$2", "$3", "$4", "$5")})
SELECT * FROM heads LEFT JOIN kept USING (org_id)
"""  # noqa: S608 (statements from code)


async def find_all(conn: Connection, asked: Sequence[tuple[UUID, Once]]) -> list[Kept | None]:
    """The answers that are kept, in order. Whoever asks holds the ledgers' locks, or the keys'."""
    if not asked:
        return []
    return _found(await conn.fetch(_FIND, *_stated(asked)), asked)


async def lock_and_find(
    conn: Connection, org_ids: Sequence[UUID], asked: Sequence[tuple[UUID, Once]]
) -> tuple[dict[UUID, Head], list[Kept | None]]:
    """Lock the heads that nobody else holds (`FREE_HEADS`), and `find_all`, as one statement.

    An answer that another process committed as the statement began may not be among those found.
    """
    rows = await conn.fetch(_LOCK_AND_FIND, sorted(org_ids), *_stated(asked))
    return store.heads_in(rows), _found(rows, asked)


def _stated(asked: Sequence[tuple[UUID, Once]]) -> tuple[list[Any], ...]:
    return (
        [org_id for org_id, _ in asked],
        [once.credential for _, once in asked],
        [once.route for _, once in asked],
        [once.key for _, once in asked],
    )


def _found(rows: Sequence[asyncpg.Record], asked: Sequence[tuple[UUID, Once]]) -> list[Kept | None]:
    found: list[Kept | None] = [None] * len(asked)
    for row in rows:
        if row["n"] is not None:
            answer = Answer(row["status"], row["body"], row["headers"])
            found[row["n"] - 1] = Kept(answer, row["fingerprint"])
    return found


async def commit_safely(conn: Connection) -> None:
    """Have the commit of a transaction that only gives answers again wait for a standby, too.

    Where an answer's own commit was cut short as it waited for one, it is here only. A commit that
    has something to say waits for all that came before it.
    """
    await conn.execute("SELECT pg_logical_emit_message(true, 'okr', '')")


_KEEP = """
INSERT INTO idempotency_keys (org_id, credential, route, key, fingerprint, status, headers, body,
    created_at)
SELECT org_id, credential, route, key, decode(fingerprint, 'hex'), status, headers,
    convert_to(body, 'UTF8'), created_at
FROM json_to_recordset({0}::text::json) AS stated (org_id uuid, credential text, route text,
    key text, fingerprint text, status int, headers jsonb, body text, created_at timestamptz)
RETURNING 1
"""
# Whether there are any to be forgotten. To delete none takes long where nothing is known of the
# table yet: all keys of an organisation are gone through.
_OLD = """
SELECT FROM unnest({0}::uuid[]) AS of (org_id), LATERAL (
    SELECT FROM idempotency_keys WHERE org_id = of.org_id AND created_at < {1}
    ORDER BY created_at LIMIT 1
) AS old
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


class Keeping:
    """Keeps answers for `KEPT_FOR`, in the transaction of what they tell of.

    `parts` do it, with whatever else is written; then `forget` is to be called.
    """

    def __init__(self, given: Sequence[Given]) -> None:
        self._given = given
        self._has_old = False
        if given:
            self._org_ids = list({one.org_id for one in given})
            self._before = min(one.at for one in given) - KEPT_FOR

    def parts(self) -> Sequence[Part]:
        if not self._given:
            return ()
        return (
            Part(_KEEP, (_document(self._given),), lambda kept: None),
            Part(_OLD, (self._org_ids, self._before), self._heard),
        )

    def _heard(self, old: int) -> None:
        self._has_old = old > 0

    async def forget(self, conn: Connection) -> None:
        """Some that are too old, where there are any."""
        if self._has_old:
            most = _FORGOTTEN_EACH * len(self._given)
            await conn.execute(_FORGET, self._org_ids, self._before, most)


async def keep(conn: Connection, given: Given) -> None:
    """Keep one by itself."""
    keeping = Keeping([given])
    await run_all(conn, keeping.parts())
    await keeping.forget(conn)


def _document(given: Sequence[Given]) -> str:
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
    return to_json(stated).decode()
