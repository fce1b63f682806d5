"""Who sends what: a delivery is claimed for as long as an attempt may take, and then reported on.

Whoever is killed meanwhile leaves a lease that ends, and the message is sent again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from app.application.webhooks import outbox
from app.application.webhooks.outbox import Cursor
from app.application.webhooks.posting import Outcome
from app.application.webhooks.schedule import next_attempt
from app.domain.webhook import Status
from app.events import store
from app.events.envelope import Recorded
from app.events.statements import Connection
from app.events.store import Filter
from app.events.texts import TextKeys
from app.projections.rows import PostgresRows
from app.projections.webhooks import WebhookRow

LEASE = timedelta(seconds=20)
"""Longer than an attempt takes, with what is said of it to the database."""
AT_ONCE = 8
"""Messages that one process has under way to one webhook. Those of a process that was killed
meanwhile take no place from others."""
AT_ONCE_FAILING = 1
"""Of one whose last attempt failed: it may take long to fail again."""


@dataclass(frozen=True, slots=True)
class Messages:
    """What makes the body of a message: of an event, and of a test."""

    event: Callable[[Recorded], bytes]
    test: Callable[[UUID, UUID, datetime], bytes]
    """From organisation, webhook and moment."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message to be sent now, and by nobody else."""

    org_id: UUID
    webhook_id: UUID
    delivery_id: UUID
    event_id: UUID
    attempt: int
    tries: int
    is_test: bool
    is_failing: bool
    url: str
    secrets: tuple[bytes, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Room:
    """How many messages a process can take on, of these to webhooks that fail, and how many it
    has under way to one webhook."""

    free: int
    free_for_failing: int
    under_way: int

    def of(self, cursor: Cursor) -> int:
        if cursor.failing_since is None:
            return min(self.free, AT_ONCE - self.under_way)
        return min(self.free_for_failing, AT_ONCE_FAILING - self.under_way)


async def claim(
    conn: Connection,
    org_id: UUID,
    webhook_id: UUID,
    keys: TextKeys,
    messages: Messages,
    room: Room,
) -> tuple[list[Claimed], bool]:
    """What is due to a webhook, and whether its ledger goes on; nothing where another has it."""
    await store.as_organization(conn, org_id)
    cursor = await outbox.lock_cursor(conn, org_id, webhook_id, skip=True)
    if cursor is None:
        return [], False
    row = await PostgresRows(conn, org_id).get(WebhookRow, webhook_id)
    secrets = await outbox.secrets_of(conn, org_id, webhook_id)
    if row is None or row.status != Status.ENABLED or not secrets:
        await outbox.stop(conn, org_id, webhook_id)
        return [], False
    head = await store.read_head(conn, org_id)
    has_more = await outbox.advance(conn, cursor, row, head.position)
    due = await _lease(conn, cursor, room.of(cursor))
    texts = await keys.of(conn, org_id, head.text_keys_version) if due else None
    claimed = []
    for one in due:
        if one["position"] is None:
            body = messages.test(org_id, webhook_id, one["made_at"].astimezone(UTC))
        else:
            assert texts is not None
            at = Filter(after=one["position"] - 1, up_to=one["position"])
            (recorded,) = await store.read_page(conn, texts, at, 1)
            body = messages.event(recorded)
        claimed.append(
            Claimed(
                org_id=org_id,
                webhook_id=webhook_id,
                delivery_id=one["delivery_id"],
                event_id=one["event_id"],
                attempt=one["attempts"],
                tries=one["tries"],
                is_test=one["position"] is None,
                is_failing=cursor.failing_since is not None,
                url=row.url,
                secrets=tuple(secrets),
                body=body,
            )
        )
    return claimed, has_more


async def _lease(conn: Connection, cursor: Cursor, room: int) -> list[asyncpg.Record]:
    """Take on what is due, what was due first before the rest, and note that it is begun."""
    if room <= 0:
        return []
    # Materialized: a plan may run a subquery more than once, and take more than its limit.
    due = await conn.fetch(
        "WITH taken AS MATERIALIZED (SELECT delivery_id FROM webhook_deliveries "
        "WHERE org_id = $1 AND webhook_id = $2 AND due_at <= clock_timestamp() "
        "AND (leased_until IS NULL OR leased_until <= clock_timestamp()) "
        "ORDER BY due_at, number LIMIT $3 FOR UPDATE SKIP LOCKED) "
        "UPDATE webhook_deliveries AS d SET attempts = attempts + 1, "
        "leased_until = clock_timestamp() + $4::interval "
        "FROM taken WHERE d.org_id = $1 AND d.delivery_id = taken.delivery_id "
        "RETURNING d.delivery_id, event_id, position, attempts, tries, made_at, number",
        cursor.org_id,
        cursor.webhook_id,
        room,
        LEASE,
    )
    await conn.executemany(
        "INSERT INTO webhook_attempts (org_id, delivery_id, number, began_at) "
        "VALUES ($1, $2, $3, clock_timestamp())",
        [(cursor.org_id, one["delivery_id"], one["attempts"]) for one in due],
    )
    return sorted(due, key=lambda one: one["number"])


async def report(conn: Connection, claimed: Claimed, outcome: Outcome) -> bool:
    """Note what came of an attempt; whether the webhook has to be disabled for it."""
    await store.as_organization(conn, claimed.org_id)
    if not claimed.is_test:
        await conn.execute(
            "UPDATE webhook_cursors SET failing_since = "
            "CASE WHEN $3 THEN NULL ELSE coalesce(failing_since, clock_timestamp()) END "
            "WHERE org_id = $1 AND webhook_id = $2",
            claimed.org_id,
            claimed.webhook_id,
            outcome.has_arrived,
        )
    await _log(conn, claimed, outcome)
    if outcome.has_arrived:
        # Even where somebody else has it by now: it has arrived.
        await conn.execute(
            "UPDATE webhook_deliveries SET status = 'delivered', due_at = NULL, "
            "leased_until = NULL, finished_at = clock_timestamp() "
            "WHERE org_id = $1 AND delivery_id = $2 AND status <> 'delivered'",
            claimed.org_id,
            claimed.delivery_id,
        )
        return False
    return await _failed(conn, claimed, outcome)


async def begin_again(conn: Connection, claimed: Claimed, outcome: Outcome) -> None:
    """Note an attempt that failed where the webhook is no more: the next one is due at once."""
    await store.as_organization(conn, claimed.org_id)
    await _log(conn, claimed, outcome)
    await conn.execute(
        "UPDATE webhook_deliveries SET due_at = clock_timestamp(), leased_until = NULL "
        "WHERE org_id = $1 AND delivery_id = $2 AND attempts = $3 AND status = 'pending'",
        claimed.org_id,
        claimed.delivery_id,
        claimed.attempt,
    )


async def _log(conn: Connection, claimed: Claimed, outcome: Outcome) -> None:
    await conn.execute(
        "UPDATE webhook_attempts SET status = $4, error = $5, milliseconds = $6, answer = $7 "
        "WHERE org_id = $1 AND delivery_id = $2 AND number = $3",
        claimed.org_id,
        claimed.delivery_id,
        claimed.attempt,
        outcome.status,
        outcome.error,
        outcome.milliseconds,
        outcome.answer,
    )


async def _failed(conn: Connection, claimed: Claimed, outcome: Outcome) -> bool:
    tries = claimed.tries + 1
    due_at = None
    if not (outcome.is_gone or claimed.is_test):
        chance = random.random()  # noqa: S311 (nobody gains by guessing it)
        due_at = next_attempt(tries, datetime.now(UTC), chance, outcome.retry_after)
    # Whoever took it on since, or asked for it anew, has the say.
    noted = await conn.execute(
        "UPDATE webhook_deliveries SET tries = $4, due_at = $5, leased_until = NULL, "
        "status = CASE WHEN $5::timestamptz IS NULL THEN 'failed' ELSE 'pending' END, "
        "finished_at = CASE WHEN $5::timestamptz IS NULL THEN clock_timestamp() END "
        "WHERE org_id = $1 AND delivery_id = $2 AND attempts = $3 AND status = 'pending' "
        "AND leased_until IS NOT NULL",
        claimed.org_id,
        claimed.delivery_id,
        claimed.attempt,
        tries,
        due_at,
    )
    is_over = due_at is None and noted == "UPDATE 1"
    return outcome.is_gone or (is_over and not claimed.is_test)


async def due(conn: Connection, most: int) -> list[tuple[UUID, UUID]]:
    """Organisations and webhooks that there is something to do for, in whatever organisation."""
    rows = await conn.fetch("SELECT org_id, webhook_id FROM webhooks_due($1)", most)
    return [(row["org_id"], row["webhook_id"]) for row in rows]


async def standing(conn: Connection, most: int) -> dict[UUID, float | None]:
    """Up to `most` organisations that anything is sent to, and when something of what waits there
    is due: in how many seconds; None where nothing waits.
    """
    rows = await conn.fetch("SELECT org_id, seconds FROM webhooks_standing($1)", most)
    return {row["org_id"]: row["seconds"] for row in rows}


async def untidy(conn: Connection, most: int) -> list[UUID]:
    """Organisations that keep something for longer than it is needed."""
    rows = await conn.fetch(
        "SELECT org_id FROM webhooks_to_tidy(clock_timestamp() - $1::interval, $2)",
        outbox.KEPT,
        most,
    )
    return [row["org_id"] for row in rows]
