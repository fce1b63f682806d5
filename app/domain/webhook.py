"""Webhooks: whom the ledger's events are sent to. What they are signed with is not in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, ClassVar, assert_never
from uuid import UUID

from pydantic import StringConstraints

from app.domain.access import Scope
from app.domain.errors import InvalidState, NotFound, Refusal
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.values import Key, Prose

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"

Url = Annotated[
    str,
    StringConstraints(
        max_length=2000,
        pattern=rf"^https?://({_LABEL}(\.{_LABEL}){{0,20}}|\[[0-9A-Fa-f:.]{{2,45}}\])(:{_PORT})?"
        r"(/[!$-;=?-Z_a-z~]*)?$",
    ),
]
"""Where to send: http or https, a host, a port, a path; no user, password or fragment."""

MOST = 100
"""Webhooks of one organisation that are not removed."""


class Because(StrEnum):
    """Why a webhook is disabled."""

    ASKED = "asked"
    GONE = "gone"
    """The receiver said so: 410."""
    GIVEN_UP = "given_up"
    """The last attempt of a delivery failed."""


# Events -----------------------------------------------------------------------------------


class WebhookEvent(Event, stream="webhook", key="webhook_id"):
    webhook_id: UUID


class WebhookRegistered(WebhookEvent, type="webhook.registered"):
    """`event_types` None stands for all, those that are yet to come included."""

    url: Url
    event_types: tuple[Key, ...] | None = None
    description: Prose | None = None


class WebhookChanged(WebhookEvent, type="webhook.changed"):
    """What it is from now on, all of it."""

    url: Url
    event_types: tuple[Key, ...] | None = None
    description: Prose | None = None


class WebhookDisabled(WebhookEvent, type="webhook.disabled"):
    because: Because
    reason: Prose | None = None


class WebhookEnabled(WebhookEvent, type="webhook.enabled"):
    pass


class WebhookSecretRotated(WebhookEvent, type="webhook.secret_rotated"):
    pass


class WebhookRemoved(WebhookEvent, type="webhook.removed"):
    reason: Prose | None = None


WebhookEvents = (
    WebhookRegistered
    | WebhookChanged
    | WebhookDisabled
    | WebhookEnabled
    | WebhookSecretRotated
    | WebhookRemoved
)


# State ------------------------------------------------------------------------------------


class Status(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Webhook:
    webhook_id: UUID
    url: str
    event_types: tuple[str, ...] | None
    description: str | None
    status: Status = Status.ENABLED


def evolve(state: Webhook | None, event: WebhookEvents) -> Webhook | None:
    match event:
        case WebhookRegistered():
            return Webhook(event.webhook_id, event.url, event.event_types, event.description)
        case WebhookChanged():
            return state and replace(
                state,
                url=event.url,
                event_types=event.event_types,
                description=event.description,
            )
        case WebhookDisabled():
            return state and replace(state, status=Status.DISABLED)
        case WebhookEnabled():
            return state and replace(state, status=Status.ENABLED)
        case WebhookSecretRotated():
            return state
        case WebhookRemoved():
            return state and replace(state, status=Status.REMOVED)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookCommand(Command):
    category: ClassVar[str] = "webhook"
    webhook_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.webhook_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterWebhook(WebhookCommand):
    """`held` are the scopes of whoever asks: nobody has events sent that they may not read.

    `others` is how many webhooks there are. Raises Refusal.
    """

    url: str
    event_types: tuple[str, ...] | None = None
    description: str | None = None
    held: frozenset[Scope]
    others: int = looked_up("webhooks_there", lambda _, c: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeWebhook(WebhookCommand):
    """What it shall be, all of it. Raises NotFound, InvalidState, Refusal."""

    url: str
    event_types: tuple[str, ...] | None = None
    description: str | None = None
    held: frozenset[Scope]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableWebhook(WebhookCommand):
    because: Because = Because.ASKED
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableWebhook(WebhookCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateWebhookSecret(WebhookCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveWebhook(WebhookCommand):
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendThroughWebhook(WebhookCommand):
    """Send a test, or something once more: nothing that the ledger keeps, where it is enabled."""


WebhookCommands = (
    RegisterWebhook
    | ChangeWebhook
    | DisableWebhook
    | EnableWebhook
    | RotateWebhookSecret
    | RemoveWebhook
    | SendThroughWebhook
)


def _demand_readable(held: frozenset[Scope]) -> None:
    """Raises Refusal."""
    if Scope.HISTORY_READ not in held:
        raise Refusal(
            f"A webhook sends what {Scope.HISTORY_READ} lets you read, and your key lacks that."
        )


def decide(state: Webhook | None, command: WebhookCommands) -> list[WebhookEvents]:
    if isinstance(command, RegisterWebhook):
        _demand_readable(command.held)
        if command.others >= MOST:
            raise Refusal(f"There are {MOST} webhooks already: remove one that is not needed.")
        return [
            WebhookRegistered(
                webhook_id=command.webhook_id,
                url=command.url,
                event_types=_types(command.event_types),
                description=command.description,
            )
        ]
    name = type(command).__name__
    if state is None:
        raise NotFound("webhook", command.webhook_id)
    if state.status is Status.REMOVED:
        raise InvalidState("webhook", "removed", name, "Register another one.")
    return _decide_on(state, command, name)


def _decide_on(
    state: Webhook,
    command: ChangeWebhook
    | DisableWebhook
    | EnableWebhook
    | RotateWebhookSecret
    | RemoveWebhook
    | SendThroughWebhook,
    name: str,
) -> list[WebhookEvents]:
    id = state.webhook_id
    is_enabled = state.status is Status.ENABLED
    match command:
        case ChangeWebhook():
            types = _types(command.event_types)
            if (command.url, types) != (state.url, state.event_types):
                _demand_readable(command.held)
            elif command.description == state.description:
                return []
            return [
                WebhookChanged(
                    webhook_id=id,
                    url=command.url,
                    event_types=types,
                    description=command.description,
                )
            ]
        case DisableWebhook():
            if not is_enabled:
                raise InvalidState("webhook", "disabled", name, "There is nothing to do.")
            return [WebhookDisabled(webhook_id=id, because=command.because, reason=command.reason)]
        case EnableWebhook():
            if is_enabled:
                raise InvalidState("webhook", "enabled", name, "There is nothing to do.")
            return [WebhookEnabled(webhook_id=id)]
        case RotateWebhookSecret():
            return [WebhookSecretRotated(webhook_id=id)]
        case RemoveWebhook():
            return [WebhookRemoved(webhook_id=id, reason=command.reason)]
        case SendThroughWebhook():
            if not is_enabled:
                raise InvalidState("webhook", "disabled", name, "Enable it first.")
            return []
        case _:
            assert_never(command)


def _types(stated: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """In one order, each once, so that saying the same again changes nothing."""
    return None if stated is None else tuple(sorted(set(stated)))


decider: Decider[Webhook | None, WebhookCommands, WebhookEvents] = Decider(
    category="webhook", initial=None, evolve=evolve, decide=decide
)
