"""What is to be sent, and what came of it: the tables beside the ledger.

Locks are taken in one order: the ledger's head, the webhook's cursor, its deliveries. A webhook
that nothing is sent to has no cursor, so that it has a place in nobody's round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from app.domain.errors import InvalidState, NotFound
from app.events import store
from app.events.statements import Connection
from app.events.store import Filter
from app.events.texts import Texts
from app.projections.webhooks import WebhookRow

TEST = "webhook.test"
LARGEST_BACKLOG = 1_000
"""Deliveries of one webhook that wait. The rest of the ledger waits in the ledger."""
KEPT = timedelta(days=30)
"""For so long the log shows what came of a delivery."""
OVERLAP = timedelta(hours=24)
"""For so long a secret that was replaced goes on signing, beside the new one."""
_SECRETS = 3
_PAGE = 200
_TIDIED = 500

DeliveryStatus = Literal["pending", "delivered", "failed"]
Message = tuple[UUID, str, int | None]
"""An event's id, type and position; a test has no position."""


# Secrets ----------------------------------------------------------------------------------


async def keep_secret(conn: Connection, org_id: UUID, webhook_id: UUID, secret: bytes) -> None:
    """Sign with this one from now on, and for a while with those before it, too."""
    await conn.execute(
        "UPDATE webhook_secrets SET until = clock_timestamp() + $3::interval "
        "WHERE org_id = $1 AND webhook_id = $2 AND until IS NULL",
        org_id,
        webhook_id,
        OVERLAP,
    )
    await conn.execute(
        "INSERT INTO webhook_secrets (org_id, webhook_id, secret, made_at) "
        "VALUES ($1, $2, $3, clock_timestamp())",
        org_id,
        webhook_id,
        secret,
    )
    # Each is a signature more in every message.
    await conn.execute(
        "DELETE FROM webhook_secrets WHERE org_id = $1 AND webhook_id = $2 AND secret NOT IN ("
        "SELECT secret FROM webhook_secrets WHERE org_id = $1 AND webhook_id = $2 "
        "ORDER BY until DESC NULLS FIRST, made_at DESC LIMIT $3)",
        org_id,
        webhook_id,
        _SECRETS,
    )


async def secrets_of(conn: Connection, org_id: UUID, webhook_id: UUID) -> list[bytes]:
    """What signs messages at the moment, the newest first."""
    rows = await conn.fetch(
        "SELECT secret FROM webhook_secrets WHERE org_id = $1 AND webhook_id = $2 "
        "AND (until IS NULL OR until > clock_timestamp()) ORDER BY made_at DESC",
        org_id,
        webhook_id,
    )
    return [row["secret"] for row in rows]


async def forget_secrets(conn: Connection, org_id: UUID, webhook_id: UUID) -> None:
    await conn.execute(
        "DELETE FROM webhook_secrets WHERE org_id = $1 AND webhook_id = $2", org_id, webhook_id
    )


# Beginning and ending ---------------------------------------------------------------------


async def start(conn: Connection, org_id: UUID, webhook_id: UUID, position: int) -> None:
    """Send what follows a position, unless sending goes on already."""
    await conn.execute(
        "INSERT INTO webhook_cursors (org_id, webhook_id, position, looked_at) "
        "VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT DO NOTHING",
        org_id,
        webhook_id,
        position,
    )


async def stop(conn: Connection, org_id: UUID, webhook_id: UUID) -> None:
    """Send nothing any more. What waited has failed, and can be asked for later."""
    await conn.execute(
        "DELETE FROM webhook_cursors WHERE org_id = $1 AND webhook_id = $2", org_id, webhook_id
    )
    await conn.execute(
        "UPDATE webhook_deliveries SET status = 'failed', due_at = NULL, leased_until = NULL, "
        "finished_at = clock_timestamp() "
        "WHERE org_id = $1 AND webhook_id = $2 AND status = 'pending'",
        org_id,
        webhook_id,
    )


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far sending has come; its lock is held."""

    org_id: UUID
    webhook_id: UUID
    position: int
    failing_since: datetime | None


async def lock_cursor(
    conn: Connection, org_id: UUID, webhook_id: UUID, *, skip: bool = False
) -> Cursor | None:
    """None where nothing is sent, or, to `skip`, where somebody else has it."""
    locked = "FOR UPDATE SKIP LOCKED" if skip else "FOR UPDATE"
    row = await conn.fetchrow(
        "SELECT position, failing_since FROM webhook_cursors "  # noqa: S608 (constants)
        f"WHERE org_id = $1 AND webhook_id = $2 {locked}",
        org_id,
        webhook_id,
    )
    if row is None:
        return None
    return Cursor(org_id, webhook_id, row["position"], row["failing_since"])


# From the ledger to deliveries ------------------------------------------------------------


async def advance(conn: Connection, cursor: Cursor, row: WebhookRow, head: int) -> bool:
    """Make deliveries of what follows in the ledger; whether there may be more of it."""
    position = cursor.position
    has_more = False
    if position < head and await _waiting(conn, cursor) < LARGEST_BACKLOG:
        wanted = Filter(after=position, up_to=head, types=row.event_types)
        # Nothing of it is read but which they are.
        page = await store.read_page(conn, Texts(cursor.org_id, {}), wanted, _PAGE)
        has_more = len(page) == _PAGE
        position = page[-1].position if has_more else head
        await add(conn, cursor, [(one.event_id, one.type, one.position) for one in page])
    await conn.execute(
        "UPDATE webhook_cursors SET position = $3, looked_at = clock_timestamp() "
        "WHERE org_id = $1 AND webhook_id = $2",
        cursor.org_id,
        cursor.webhook_id,
        position,
    )
    return has_more


async def _waiting(conn: Connection, cursor: Cursor) -> int:
    found = await conn.fetchval(
        "SELECT count(*) FROM (SELECT FROM webhook_deliveries "
        "WHERE org_id = $1 AND webhook_id = $2 AND due_at IS NOT NULL LIMIT $3) AS waiting",
        cursor.org_id,
        cursor.webhook_id,
        LARGEST_BACKLOG,
    )
    return int(found)


async def add(conn: Connection, cursor: Cursor, messages: Sequence[Message]) -> list[UUID]:
    """Deliveries that are due at once, in this order; their ids."""
    if not messages:
        return []
    ids = [uuid7() for _ in messages]
    await conn.execute(
        "INSERT INTO webhook_deliveries (org_id, delivery_id, webhook_id, number, event_id, type, "
        "position, status, attempts, tries, made_at, due_at) "
        "SELECT $1, id, $2, last + place, event_id, type, position, 'pending', 0, 0, now, now "
        "FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::bigint[]) "
        "WITH ORDINALITY AS made (id, event_id, type, position, place), "
        "(SELECT coalesce(max(number), 0) AS last, clock_timestamp() AS now "
        "FROM webhook_deliveries WHERE org_id = $1 AND webhook_id = $2) AS log",
        cursor.org_id,
        cursor.webhook_id,
        ids,
        [event_id for event_id, _, _ in messages],
        [type for _, type, _ in messages],
        [position for _, _, position in messages],
    )
    return ids


# Once more --------------------------------------------------------------------------------


async def again(conn: Connection, cursor: Cursor, delivery_id: UUID) -> None:
    """Begin a delivery anew, whatever came of it. Raises NotFound, InvalidState."""
    status = await conn.fetchval(
        "SELECT status FROM webhook_deliveries "
        "WHERE org_id = $1 AND webhook_id = $2 AND delivery_id = $3 FOR UPDATE",
        cursor.org_id,
        cursor.webhook_id,
        delivery_id,
    )
    if status is None:
        raise NotFound("delivery", delivery_id)
    if status == "pending":
        raise InvalidState(
            "delivery", "pending", "Redeliver", "It is tried again as its next_attempt_at says."
        )
    await _begin_anew(conn, cursor, [delivery_id])


async def all_again(
    conn: Connection, cursor: Cursor, row: WebhookRow, after: int, most: int
) -> tuple[int, int, bool]:
    """Send what follows a position and has not arrived: what failed, and what was never tried.

    Up to `most` of each, in ledger order: how many failed ones, how many others, and whether there
    may be more.
    """
    failed = await conn.fetch(
        "SELECT delivery_id FROM webhook_deliveries "
        "WHERE org_id = $1 AND webhook_id = $2 AND status = 'failed' AND position > $3 "
        "ORDER BY position LIMIT $4",
        cursor.org_id,
        cursor.webhook_id,
        after,
        most,
    )
    await _begin_anew(conn, cursor, [one["delivery_id"] for one in failed])
    # Nobody is sent what was recorded before they asked for it.
    missed = await conn.fetch(
        "SELECT event_id, type, position FROM events AS e "
        "WHERE org_id = $1 AND position > $3 AND position <= $4 "
        "AND ($5::text[] IS NULL OR type = ANY($5)) AND NOT EXISTS (SELECT FROM "
        "webhook_deliveries d WHERE d.org_id = $1 AND d.webhook_id = $2 "
        "AND d.position = e.position) ORDER BY position LIMIT $6",
        cursor.org_id,
        cursor.webhook_id,
        max(after, row.position),
        cursor.position,
        row.event_types,
        most,
    )
    await add(conn, cursor, [(one["event_id"], one["type"], one["position"]) for one in missed])
    return len(failed), len(missed), most in (len(failed), len(missed))


async def _begin_anew(conn: Connection, cursor: Cursor, ids: Sequence[UUID]) -> None:
    await conn.execute(
        "UPDATE webhook_deliveries SET status = 'pending', tries = 0, due_at = clock_timestamp(), "
        "leased_until = NULL, finished_at = NULL WHERE org_id = $1 AND delivery_id = ANY($2)",
        cursor.org_id,
        ids,
    )


# Tidying up -------------------------------------------------------------------------------


async def tidy(conn: Connection, org_id: UUID) -> bool:
    """Drop some of what is too old to be shown, and secrets that have had their time.

    Whether there was any of that, which tells nothing of the rest.
    """
    # Materialized: a plan may run a subquery more than once, and take more than its limit.
    dropped = await conn.fetchval(
        "WITH old AS MATERIALIZED (SELECT delivery_id FROM webhook_deliveries WHERE org_id = $1 "
        "AND finished_at < clock_timestamp() - $2::interval LIMIT $3 FOR UPDATE SKIP LOCKED), "
        "deliveries AS (DELETE FROM webhook_deliveries "
        "WHERE org_id = $1 AND delivery_id IN (SELECT delivery_id FROM old)), "
        "attempts AS (DELETE FROM webhook_attempts "
        "WHERE org_id = $1 AND delivery_id IN (SELECT delivery_id FROM old)) "
        "SELECT count(*) FROM old",
        org_id,
        KEPT,
        _TIDIED,
    )
    await conn.execute(
        "DELETE FROM webhook_secrets WHERE org_id = $1 AND until <= clock_timestamp()", org_id
    )
    return bool(dropped)
