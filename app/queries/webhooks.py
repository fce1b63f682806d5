"""Webhooks: what they are, how sending goes, and the messages that are sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.application.webhooks.outbox import TEST, DeliveryStatus
from app.domain.errors import NotFound
from app.domain.webhook import Because, Status
from app.events.envelope import Recorded
from app.projections.webhooks import WebhookRow
from app.queries.history import EventView, event_view
from app.queries.views import Resource, View

# Webhooks ---------------------------------------------------------------------------------


class WebhookView(Resource):
    """Whom events are sent to. `event_types` null stands for all that there are, and will be."""

    url: str = Field(examples=["https://hooks.example.org/okr"])
    event_types: list[str] | None
    description: str | None
    status: Status
    because: Because | None = Field(
        description="Why it is disabled: `asked` by somebody, `gone` as the receiver says (410), "
        "or `given_up` after the last attempt of a delivery."
    )
    reason: str | None = Field(description="What somebody said to that, or to its removal.")
    has_secret: bool = Field(
        description="Whether there is a secret to sign with, now. There is none in a ledger that "
        "was brought here from elsewhere: nothing is sent until the secret is rotated."
    )
    registered_at: datetime
    changed_at: datetime
    rotated_at: datetime


async def webhook_views(reader: Reader, rows: Sequence[WebhookRow]) -> list[WebhookView]:
    found = await reader.conn.fetch(
        "SELECT webhook_id FROM webhook_secrets "
        "WHERE org_id = $1 AND webhook_id = ANY($2) AND until IS NULL",
        reader.org_id,
        [row.webhook_id for row in rows],
    )
    signed = {one["webhook_id"] for one in found}
    return [
        WebhookView(
            id=row.webhook_id,
            version=row.version,
            url=row.url,
            event_types=row.event_types,
            description=row.description,
            status=Status(row.status),
            because=row.because and Because(row.because),
            reason=row.reason,
            has_secret=row.webhook_id in signed,
            registered_at=row.registered_at,
            changed_at=row.changed_at,
            rotated_at=row.rotated_at,
        )
        for row in rows
    ]


async def webhook(reader: Reader, webhook_id: UUID) -> WebhookView:
    row = await reader.rows.get(WebhookRow, webhook_id)
    if row is None:
        raise NotFound("webhook", webhook_id)
    return (await webhook_views(reader, [row]))[0]


class WebhookStatusView(View):
    """How sending goes at this moment. Where nothing is sent, there is no `position`."""

    webhook_id: UUID
    state: Literal["sending", "no_secret", "disabled", "removed"]
    position: int | None = Field(
        description="Deliveries are made of all events up to this position of the ledger."
    )
    behind: int | None = Field(description="How many events of the ledger come after that.")
    waiting: int = Field(description="Deliveries that are under way, or tried again later.")
    failed: int = Field(description="Deliveries in the log that have failed.")
    delivered: int = Field(description="Deliveries in the log that have arrived.")
    failing_since: datetime | None = Field(
        description="When the first of the attempts failed that failed one after the other."
    )


async def webhook_status(reader: Reader, webhook_id: UUID) -> WebhookStatusView:
    shown = await webhook(reader, webhook_id)
    cursor = await reader.conn.fetchrow(
        "SELECT position, failing_since FROM webhook_cursors WHERE org_id = $1 AND webhook_id = $2",
        reader.org_id,
        webhook_id,
    )
    counted = await reader.conn.fetch(
        "SELECT status, count(*) AS many FROM webhook_deliveries "
        "WHERE org_id = $1 AND webhook_id = $2 GROUP BY status",
        reader.org_id,
        webhook_id,
    )
    counts = {row["status"]: row["many"] for row in counted}
    state: Any = shown.status.value
    if shown.status is Status.ENABLED:
        state = "sending" if shown.has_secret else "no_secret"
    return WebhookStatusView(
        webhook_id=webhook_id,
        state=state,
        position=cursor and cursor["position"],
        behind=cursor and reader.position - cursor["position"],
        waiting=counts.get("pending", 0),
        failed=counts.get("failed", 0),
        delivered=counts.get("delivered", 0),
        failing_since=cursor and cursor["failing_since"],
    )


# The log ----------------------------------------------------------------------------------


class DeliveryView(View):
    """One message. `event_id` is its `webhook-id`, the same in every attempt."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    type: str = Field(examples=["check_in.recorded"])
    position: int | None = Field(description="The event's in the ledger; null for a test.")
    status: DeliveryStatus
    attempts: int = Field(ge=0, description="Begun so far, those of earlier rounds included.")
    made_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None


class AttemptView(View):
    """One attempt. Without `milliseconds` it is under way, or its process went away meanwhile."""

    number: int
    began_at: datetime
    status: int | None = Field(description="Of the answer; null where there was none.")
    error: str | None = Field(description="What went wrong; null where the message arrived.")
    milliseconds: int | None
    answer: str | None = Field(description="What the answer's body began with: at most 1 kB.")


class DeliveryDetailView(DeliveryView):
    log: list[AttemptView]


_DELIVERY = (
    "delivery_id AS id, webhook_id, event_id, type, position, status, attempts, made_at, "
    "due_at AS next_attempt_at, finished_at"
)
Numbered = tuple[int, DeliveryView]


async def deliveries(
    reader: Reader,
    webhook_id: UUID,
    before: int,
    limit: int,
    *,
    status: DeliveryStatus | None,
    type: str | None,
) -> list[Numbered]:
    """The log of a webhook before a number (0: all of it), the latest first."""
    await webhook(reader, webhook_id)
    rows = await reader.conn.fetch(
        f"SELECT number, {_DELIVERY} FROM webhook_deliveries "  # noqa: S608 (constant columns)
        "WHERE org_id = $1 AND webhook_id = $2 AND ($3 = 0 OR number < $3) "
        "AND ($4::text IS NULL OR status = $4) AND ($5::text IS NULL OR type = $5) "
        "ORDER BY number DESC LIMIT $6",
        reader.org_id,
        webhook_id,
        before,
        status,
        type,
        limit,
    )
    shown = [dict(row) for row in rows]
    return [(row.pop("number"), DeliveryView(**row)) for row in shown]


async def delivery(reader: Reader, webhook_id: UUID, delivery_id: UUID) -> DeliveryDetailView:
    row = await reader.conn.fetchrow(
        f"SELECT {_DELIVERY} FROM webhook_deliveries "  # noqa: S608 (constant columns)
        "WHERE org_id = $1 AND webhook_id = $2 AND delivery_id = $3",
        reader.org_id,
        webhook_id,
        delivery_id,
    )
    if row is None:
        raise NotFound("delivery", delivery_id)
    attempts = await reader.conn.fetch(
        "SELECT number, began_at, status, error, milliseconds, answer FROM webhook_attempts "
        "WHERE org_id = $1 AND delivery_id = $2 ORDER BY number",
        reader.org_id,
        delivery_id,
    )
    return DeliveryDetailView(**row, log=[AttemptView(**attempt) for attempt in attempts])


# Messages ---------------------------------------------------------------------------------


class SentEventView(EventView):
    """What GET .../events shows of an event, and whose it is."""

    organization_id: UUID


class MessageView(View):
    """A message as Standard Webhooks has them. `timestamp` is when its event was recorded."""

    type: str
    timestamp: datetime
    data: SentEventView


class _Tested(View):
    organization_id: UUID
    webhook_id: UUID


class _TestView(View):
    type: str = TEST
    timestamp: datetime
    data: _Tested


def event_message(recorded: Recorded) -> bytes:
    """The body of a message; what is erased by now, is not in it."""
    shown = dict(event_view(recorded))
    data = SentEventView(organization_id=recorded.org_id, **shown)
    view = MessageView(type=recorded.type, timestamp=recorded.recorded_at, data=data)
    return view.model_dump_json().encode()


def sample_message(org_id: UUID, webhook_id: UUID, at: datetime) -> bytes:
    """The body of a test."""
    data = _Tested(organization_id=org_id, webhook_id=webhook_id)
    return _TestView(timestamp=at, data=data).model_dump_json().encode()
