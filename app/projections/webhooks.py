"""Whom events are sent to, as it was said; how sending goes is told beside the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from app.domain.webhook import (
    Status,
    WebhookChanged,
    WebhookDisabled,
    WebhookEnabled,
    WebhookEvent,
    WebhookRegistered,
    WebhookRemoved,
    WebhookSecretRotated,
)
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert, json_column


class WebhookRow(SQLModel, table=True):
    __tablename__ = "webhooks"

    org_id: UUID = Field(primary_key=True)
    webhook_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    url: str
    event_types: Any = json_column(default=None, nullable=True)
    description: str | None = None
    status: str
    because: str | None = None
    reason: str | None = None
    removed: bool = False
    registered_at: datetime = moment()
    changed_at: datetime = moment()
    rotated_at: datetime = moment()


def _stated(event: WebhookRegistered | WebhookChanged) -> dict[str, Any]:
    types = event.event_types
    return {
        "url": event.url,
        "event_types": None if types is None else list(types),
        "description": event.description,
    }


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    assert isinstance(event, WebhookEvent), "it heeds no other"
    changed: dict[str, Any] = {"version": recorded.version, "changed_at": recorded.recorded_at}
    match event:
        case WebhookRegistered():
            yield insert(
                WebhookRow,
                org_id=recorded.org_id,
                webhook_id=event.webhook_id,
                position=recorded.position,
                status=Status.ENABLED.value,
                registered_at=recorded.recorded_at,
                rotated_at=recorded.recorded_at,
                **changed,
                **_stated(event),
            )
            return
        case WebhookChanged():
            changed |= _stated(event)
        case WebhookDisabled():
            changed |= {
                "status": Status.DISABLED.value,
                "because": event.because.value,
                "reason": event.reason,
            }
        case WebhookEnabled():
            changed |= {"status": Status.ENABLED.value, "because": None, "reason": None}
        case WebhookSecretRotated():
            changed |= {"rotated_at": recorded.recorded_at}
        case WebhookRemoved():
            changed |= {
                "status": Status.REMOVED.value,
                "because": None,
                "reason": event.reason,
                "removed": True,
            }
    yield Update(WebhookRow, (event.webhook_id,), changed)


projection = Projection(WebhookRow, project, heeds=WebhookEvent)
