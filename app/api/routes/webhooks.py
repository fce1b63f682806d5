"""Webhooks: events sent to whoever asks for them, as Standard Webhooks has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, WithJsonSchema
from uuid_utils.compat import uuid7

from app.api.bodies.common import OptionalReasonBody
from app.api.bodies.webhooks import ChangeWebhookBody, RedeliverBody, RegisterWebhookBody
from app.api.lists import Listing, lists
from app.api.problems import LISTING, READING, WRITES, ApiProblem, declared
from app.api.reading import Read, reads, reads_between
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.ledgers import Reader
from app.application.unit_of_work import UnitOfWork
from app.application.webhooks import outbox, signing
from app.application.webhooks.outbox import TEST, Cursor, DeliveryStatus
from app.application.webhooks.targets import Targets
from app.domain.access import Scope
from app.domain.catalog import EVENTS
from app.domain.errors import InvalidState, NotFound
from app.domain.webhook import (
    ChangeWebhook,
    DisableWebhook,
    EnableWebhook,
    RegisterWebhook,
    RemoveWebhook,
    RotateWebhookSecret,
    SendThroughWebhook,
    Status,
    Webhook,
)
from app.events import store
from app.projections.webhooks import WebhookRow
from app.queries import webhooks
from app.queries.views import Page, View
from app.queries.webhooks import DeliveryDetailView, DeliveryView, WebhookStatusView, WebhookView

router = APIRouter(prefix="/v1/organizations/{organization_id}/webhooks", tags=["webhooks"])
CreateWebhooks = Annotated[Write, creates(Scope.WEBHOOKS_WRITE)]
WriteWebhooks = Annotated[Write, writes(Scope.WEBHOOKS_WRITE)]
ReadWebhooks = Annotated[Read, reads(Scope.HISTORY_READ)]
ReadNow = Annotated[Read, reads_between(Scope.HISTORY_READ)]
ListWebhooks = Annotated[Listing, lists(Scope.HISTORY_READ)]
ListLog = Annotated[Listing, lists(Scope.HISTORY_READ, reads_between)]

AT_ONCE = 500
"""Failed deliveries that one request asks for again, and as many that were never made."""


class SignedWebhookView(WebhookView):
    """The one time that the secret is shown."""

    secret: str | None = Field(
        description="What messages are signed with: `whsec_` and Base64. Keep it now; null in a "
        "repeated answer.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )


class RedeliveredView(View):
    failed: int = Field(description="Failed deliveries that begin anew.")
    missed: int = Field(description="Events that nothing was sent of so far, and is now.")
    more: bool = Field(description="Whether to ask again: there may be more.")


# What they are ----------------------------------------------------------------------------


@router.post(
    "",
    operation_id="register_webhook",
    status_code=201,
    response_model=SignedWebhookView,
    responses=declared(*WRITES, "target-refused"),
)
async def register_webhook(
    organization_id: UUID, body: RegisterWebhookBody, request: Request, write: CreateWebhooks
) -> Response:
    """Have events sent from now on. The secret is shown in this answer only.

    It takes `history:read` as well: what is sent is what GET .../events shows.
    """
    secret = signing.make_secret()
    targets: Targets = request.app.state.targets

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("webhook")
        await unit.execute(
            RegisterWebhook(
                webhook_id=id,
                url=body.url,
                event_types=body.event_types,
                description=body.description,
                held=write.caller.scopes,
            )
        )
        targets.admit(body.url)
        await outbox.keep_secret(unit.conn, organization_id, id, secret)
        await outbox.start(unit.conn, organization_id, id, unit.position)
        location = f"/v1/organizations/{organization_id}/webhooks/{id}"
        return await _unsigned(unit, id, status=201, location=location)

    return _signed(_woken(request, await write(work)), secret)


@router.get(
    "",
    operation_id="list_webhooks",
    response_model=Page[WebhookView],
    responses=LISTING,
)
async def list_webhooks(
    organization_id: UUID,
    page: ListWebhooks,
    removed: Annotated[bool, Query(description="Show those that were removed, too.")] = False,
) -> Response:
    """The webhooks of the organisation, without their secrets."""
    return await page.rows(WebhookRow, webhooks.webhook_views, removed=None if removed else False)


@router.get(
    "/{webhook_id:id}",
    operation_id="get_webhook",
    response_model=WebhookView,
    responses=READING,
)
async def get_webhook(organization_id: UUID, webhook_id: UUID, read: ReadWebhooks) -> Response:
    """One webhook, without its secret."""
    return await read(webhooks.webhook, webhook_id)


@router.get(
    "/{webhook_id:id}/status",
    operation_id="get_webhook_status",
    response_model=WebhookStatusView,
    responses=READING,
)
async def get_webhook_status(organization_id: UUID, webhook_id: UUID, read: ReadNow) -> Response:
    """How sending goes: how far behind it is, what waits, and since when it fails."""
    return await read(webhooks.webhook_status, webhook_id)


@router.patch(
    "/{webhook_id:id}",
    operation_id="change_webhook",
    response_model=WebhookView,
    responses=declared(*WRITES, "version-required", "target-refused"),
)
async def change_webhook(
    organization_id: UUID,
    webhook_id: UUID,
    body: ChangeWebhookBody,
    request: Request,
    write: WriteWebhooks,
) -> Response:
    """Change where events are sent, or which. What is waiting goes to the new address."""
    expected = write.require_version()
    targets: Targets = request.app.state.targets

    async def work(unit: UnitOfWork) -> Answer:
        current: Webhook | None = await unit.state("webhook", webhook_id)
        if current is None:
            raise NotFound("webhook", webhook_id)
        stated = {name: getattr(body, name) for name in body.model_fields_set}
        known = {
            "url": current.url,
            "event_types": current.event_types,
            "description": current.description,
        }
        command = ChangeWebhook(
            webhook_id=webhook_id, held=write.caller.scopes, **{**known, **stated}
        )
        await unit.execute(command, expected=expected)
        if "url" in stated:
            targets.admit(body.url)
        return await answer(unit, webhooks.webhook, webhook_id)

    return await write(work)


# Their states -----------------------------------------------------------------------------


@router.post(
    "/{webhook_id:id}:disable",
    operation_id="disable_webhook",
    response_model=WebhookView,
    responses=declared(*WRITES),
)
async def disable_webhook(
    organization_id: UUID,
    webhook_id: UUID,
    write: WriteWebhooks,
    body: OptionalReasonBody | None = None,
) -> Response:
    """Send nothing any more. What was waiting has failed, and may be asked for later."""
    reason = body.reason if body else None

    async def work(unit: UnitOfWork) -> Answer:
        command = DisableWebhook(webhook_id=webhook_id, reason=reason)
        await unit.execute(command, expected=write.expected)
        await outbox.stop(unit.conn, organization_id, webhook_id)
        return await answer(unit, webhooks.webhook, webhook_id)

    return await write(work)


@router.post(
    "/{webhook_id:id}:enable",
    operation_id="enable_webhook",
    response_model=WebhookView,
    responses=declared(*WRITES),
)
async def enable_webhook(
    organization_id: UUID, webhook_id: UUID, request: Request, write: WriteWebhooks
) -> Response:
    """Send what is recorded from now on. For what was missed meanwhile, ask with `:redeliver`."""

    async def work(unit: UnitOfWork) -> Answer:
        await unit.execute(EnableWebhook(webhook_id=webhook_id), expected=write.expected)
        await outbox.start(unit.conn, organization_id, webhook_id, unit.position)
        return await answer(unit, webhooks.webhook, webhook_id)

    return _woken(request, await write(work))


@router.post(
    "/{webhook_id:id}:rotate-secret",
    operation_id="rotate_webhook_secret",
    response_model=SignedWebhookView,
    responses=declared(*WRITES),
)
async def rotate_webhook_secret(
    organization_id: UUID, webhook_id: UUID, request: Request, write: WriteWebhooks
) -> Response:
    """Sign with a new secret, shown in this answer only. The one before signs for 24 h more."""
    secret = signing.make_secret()

    async def work(unit: UnitOfWork) -> Answer:
        command = RotateWebhookSecret(webhook_id=webhook_id)
        await unit.execute(command, expected=write.expected)
        await outbox.keep_secret(unit.conn, organization_id, webhook_id, secret)
        state: Webhook | None = await unit.state("webhook", webhook_id)
        if state is not None and state.status is Status.ENABLED:
            # It may be from elsewhere, and have had none.
            await outbox.start(unit.conn, organization_id, webhook_id, unit.position)
        return await _unsigned(unit, webhook_id)

    return _signed(_woken(request, await write(work)), secret)


@router.post(
    "/{webhook_id:id}:remove",
    operation_id="remove_webhook",
    response_model=WebhookView,
    responses=declared(*WRITES),
)
async def remove_webhook(
    organization_id: UUID,
    webhook_id: UUID,
    write: WriteWebhooks,
    body: OptionalReasonBody | None = None,
) -> Response:
    """Send nothing any more, and forget the secret. Its history stays."""
    reason = body.reason if body else None

    async def work(unit: UnitOfWork) -> Answer:
        command = RemoveWebhook(webhook_id=webhook_id, reason=reason)
        await unit.execute(command, expected=write.expected)
        await outbox.stop(unit.conn, organization_id, webhook_id)
        await outbox.forget_secrets(unit.conn, organization_id, webhook_id)
        return await answer(unit, webhooks.webhook, webhook_id)

    return await write(work)


# What was sent ----------------------------------------------------------------------------


_Type = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted((*EVENTS, TEST))})]


@router.get(
    "/{webhook_id:id}/deliveries",
    operation_id="list_deliveries",
    response_model=Page[DeliveryView],
    responses=LISTING,
)
async def list_deliveries(
    organization_id: UUID,
    webhook_id: UUID,
    page: ListLog,
    status: Annotated[DeliveryStatus | None, Query(description="Only such ones.")] = None,
    type: Annotated[
        _Type | None, Query(max_length=100, description="Only events of this type.")
    ] = None,
) -> Response:
    """What was sent, or is about to be, the latest first. It is kept for 30 days."""
    if type is not None and type not in (*EVENTS, TEST):
        raise ApiProblem("invalid", f"There are no events of type {type!r}.", pointer="type")

    async def fetch(reader: Reader, before: int, limit: int) -> list[webhooks.Numbered]:
        return await webhooks.deliveries(
            reader, webhook_id, before, limit, status=status, type=type
        )

    async def show(_: Reader, found: list[webhooks.Numbered]) -> list[DeliveryView]:
        return [view for _, view in found]

    return await page(fetch, show, lambda one: one[0])


@router.get(
    "/{webhook_id:id}/deliveries/{delivery_id:id}",
    operation_id="get_delivery",
    response_model=DeliveryDetailView,
    responses=READING,
)
async def get_delivery(
    organization_id: UUID, webhook_id: UUID, delivery_id: UUID, read: ReadNow
) -> Response:
    """One message, with every attempt to deliver it."""
    return await read(webhooks.delivery, webhook_id, delivery_id)


@router.post(
    "/{webhook_id:id}:test",
    operation_id="test_webhook",
    status_code=201,
    response_model=DeliveryDetailView,
    responses=declared(*WRITES),
)
async def test_webhook(
    organization_id: UUID, webhook_id: UUID, request: Request, write: CreateWebhooks
) -> Response:
    """Send a message of type `webhook.test`, once: its delivery shows what came of it."""

    async def send(unit: UnitOfWork, cursor: Cursor) -> Answer:
        (id,) = await outbox.add(unit.conn, cursor, [(uuid7(), TEST, None)])
        location = f"/v1/organizations/{organization_id}/webhooks/{webhook_id}/deliveries/{id}"
        return await answer(unit, webhooks.delivery, webhook_id, id, status=201, location=location)

    return await _sent(request, write, webhook_id, send)


@router.post(
    "/{webhook_id:id}/deliveries/{delivery_id:id}:redeliver",
    operation_id="redeliver",
    response_model=DeliveryDetailView,
    responses=declared(*WRITES),
)
async def redeliver(
    organization_id: UUID,
    webhook_id: UUID,
    delivery_id: UUID,
    request: Request,
    write: CreateWebhooks,
) -> Response:
    """Send a message once more, with the same `webhook-id`, whether it arrived or not."""

    async def send(unit: UnitOfWork, cursor: Cursor) -> Answer:
        await outbox.again(unit.conn, cursor, delivery_id)
        return await answer(unit, webhooks.delivery, webhook_id, delivery_id)

    return await _sent(request, write, webhook_id, send)


@router.post(
    "/{webhook_id:id}:redeliver",
    operation_id="redeliver_all",
    response_model=RedeliveredView,
    responses=declared(*WRITES),
)
async def redeliver_all(
    organization_id: UUID,
    webhook_id: UUID,
    request: Request,
    write: CreateWebhooks,
    body: RedeliverBody | None = None,
) -> Response:
    """Send what did not arrive: what failed, and what was recorded while it was disabled.

    At most 500 of each at once, in the order of the ledger; of nothing that is older than the log
    (30 days), or than the webhook.
    """
    stated = body or RedeliverBody()

    async def send(unit: UnitOfWork, cursor: Cursor) -> Answer:
        moments = [unit.at - outbox.KEPT, *([stated.since] if stated.since else [])]
        begin = await store.position_at(unit.conn, organization_id, max(moments))
        row = await (await unit.rows()).get(WebhookRow, webhook_id)
        assert row is not None, "it was decided on"
        failed, missed, more = await outbox.all_again(
            unit.conn, cursor, row, max(stated.after, begin), AT_ONCE
        )

        async def view(_: Reader) -> RedeliveredView:
            return RedeliveredView(failed=failed, missed=missed, more=more)

        return await answer(unit, view)

    return await _sent(request, write, webhook_id, send)


async def _sent(
    request: Request,
    write: Write,
    webhook_id: UUID,
    send: Callable[[UnitOfWork, Cursor], Awaitable[Answer]],
) -> Response:
    """Have something sent that the ledger does not tell of. Raises InvalidState, NotFound."""

    async def work(unit: UnitOfWork) -> Answer:
        await unit.execute(SendThroughWebhook(webhook_id=webhook_id))
        cursor = await outbox.lock_cursor(unit.conn, unit.org_id, webhook_id)
        if cursor is None:
            raise InvalidState(
                "webhook", "without a secret", "SendThroughWebhook", "Rotate its secret first."
            )
        return await send(unit, cursor)

    return _woken(request, await write(work))


def _woken(request: Request, response: Response) -> Response:
    """The answer, of which the sender of this process knows: others see it in some seconds."""
    request.app.state.sender.wake()
    return response


# Secrets ----------------------------------------------------------------------------------


async def _unsigned(unit: UnitOfWork, id: UUID, **more: Any) -> Answer:
    """What may be kept for a retry: a webhook without its secret."""

    async def view(reader: Reader) -> SignedWebhookView:
        return SignedWebhookView(**dict(await webhooks.webhook(reader, id)), secret=None)

    shown = await answer(unit, webhooks.webhook, id, **more)
    return replace(shown, body=(await answer(unit, view)).body)


def _signed(response: Response, secret: bytes) -> Response:
    """The answer with the secret, unless it repeats an earlier one."""
    if "Idempotency-Replayed" in response.headers:
        return response
    view = SignedWebhookView.model_validate_json(bytes(response.body))
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    shown = view.model_copy(update={"secret": signing.shown(secret)})
    return Response(shown.model_dump_json(), response.status_code, headers, "application/json")
