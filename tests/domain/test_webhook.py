"""Webhooks as the ledger has them: what may become of one, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.access import Scope
from app.domain.errors import InvalidState, NotFound, Refusal
from app.domain.webhook import (
    MOST,
    Because,
    ChangeWebhook,
    DisableWebhook,
    EnableWebhook,
    RegisterWebhook,
    RemoveWebhook,
    RotateWebhookSecret,
    SendThroughWebhook,
    WebhookChanged,
    WebhookCommand,
    WebhookDisabled,
    WebhookEnabled,
    WebhookRegistered,
    WebhookRemoved,
    WebhookSecretRotated,
)
from tests.domain.builders import NOW, uid
from tests.given import given

WEBHOOK = uid(59)
URL = "https://hooks.example.org/okr"
HELD = frozenset({Scope.HISTORY_READ, Scope.WEBHOOKS_WRITE})
REGISTERED = WebhookRegistered(webhook_id=WEBHOOK, url=URL)
DISABLED = WebhookDisabled(webhook_id=WEBHOOK, because=Because.GIVEN_UP)
REMOVED = WebhookRemoved(webhook_id=WEBHOOK)
REGISTER = RegisterWebhook(webhook_id=WEBHOOK, url=URL, held=HELD, others=0, at=NOW)
CHANGE = ChangeWebhook(webhook_id=WEBHOOK, url=URL, held=HELD, at=NOW)
DISABLE = DisableWebhook(webhook_id=WEBHOOK, at=NOW)
ENABLE = EnableWebhook(webhook_id=WEBHOOK, at=NOW)
ROTATE = RotateWebhookSecret(webhook_id=WEBHOOK, at=NOW)
REMOVE = RemoveWebhook(webhook_id=WEBHOOK, reason="Nobody listens.", at=NOW)
SEND = SendThroughWebhook(webhook_id=WEBHOOK, at=NOW)


def test_a_webhook_is_registered_for_types_in_one_order_each_once() -> None:
    wanted = replace(REGISTER, event_types=("team.formed", "cycle.closed", "team.formed"))
    given().when(wanted).then(
        WebhookRegistered(webhook_id=WEBHOOK, url=URL, event_types=("cycle.closed", "team.formed"))
    )


def test_nobody_has_sent_what_they_may_not_read() -> None:
    less = frozenset({Scope.WEBHOOKS_WRITE, Scope.READ})
    given().when(replace(REGISTER, held=less)).then_raises(Refusal, saying="history:read")
    elsewhere = replace(CHANGE, url="https://elsewhere.example.org/", held=less)
    given(REGISTERED).when(elsewhere).then_raises(Refusal, saying="history:read")
    more = replace(CHANGE, event_types=("team.formed",), held=less)
    given(REGISTERED).when(more).then_raises(Refusal, saying="history:read")
    # What it is called gives nothing away.
    described = replace(CHANGE, description="The warehouse.", held=less)
    given(REGISTERED).when(described).then(
        WebhookChanged(webhook_id=WEBHOOK, url=URL, description="The warehouse.")
    )


def test_there_is_an_end_to_how_many_there_are() -> None:
    given().when(replace(REGISTER, others=MOST - 1)).then(REGISTERED)
    given().when(replace(REGISTER, others=MOST)).then_raises(Refusal, saying=str(MOST))


def test_a_change_that_changes_nothing_is_none() -> None:
    given(REGISTERED).when(CHANGE).then_nothing()
    changed = WebhookChanged(webhook_id=WEBHOOK, url=URL, event_types=("a", "b"))
    same = replace(CHANGE, event_types=("b", "a"))
    given(REGISTERED, changed).when(same).then_nothing()


def test_it_is_disabled_and_enabled_in_turn() -> None:
    asked = WebhookDisabled(webhook_id=WEBHOOK, because=Because.ASKED)
    given(REGISTERED).when(DISABLE).then(asked)
    given(REGISTERED, DISABLED).when(DISABLE).then_raises(InvalidState)
    given(REGISTERED).when(ENABLE).then_raises(InvalidState)
    enabled = WebhookEnabled(webhook_id=WEBHOOK)
    given(REGISTERED, DISABLED).when(ENABLE).then(enabled)
    given(REGISTERED, DISABLED, enabled).when(DISABLE).then(asked)


def test_the_sender_says_why_it_disables() -> None:
    given(REGISTERED).when(replace(DISABLE, because=Because.GONE)).then(
        WebhookDisabled(webhook_id=WEBHOOK, because=Because.GONE)
    )


def test_a_secret_is_rotated_in_whatever_state_and_is_no_part_of_the_event() -> None:
    rotated = WebhookSecretRotated(webhook_id=WEBHOOK)
    given(REGISTERED).when(ROTATE).then(rotated)
    given(REGISTERED, DISABLED).when(ROTATE).then(rotated)
    assert set(WebhookSecretRotated.model_fields) == {"webhook_id"}


def test_only_what_is_enabled_is_sent_through_and_that_leaves_no_event() -> None:
    given(REGISTERED).when(SEND).then_nothing()
    given(REGISTERED, DISABLED).when(SEND).then_raises(InvalidState, saying="Enable it")


def test_what_is_removed_stays_removed() -> None:
    removed = WebhookRemoved(webhook_id=WEBHOOK, reason="Nobody listens.")
    given(REGISTERED).when(REMOVE).then(removed)
    given(REGISTERED, DISABLED).when(REMOVE).then(removed)
    for command in (CHANGE, DISABLE, ENABLE, ROTATE, REMOVE, SEND):
        given(REGISTERED, REMOVED).when(command).then_raises(InvalidState, saying="removed")


@pytest.mark.parametrize("command", [CHANGE, DISABLE, ENABLE, ROTATE, REMOVE, SEND])
def test_what_was_never_registered_is_not_found(command: WebhookCommand) -> None:
    given().when(command).then_raises(NotFound)
