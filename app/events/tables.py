"""The tables that are the truth: ledgers and events; and beside them, what must not be in them.

Read models live in `app.projections`. Every key starts with `org_id`: it is the key of row-level
security and the distribution column.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Index,
    LargeBinary,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel


def moment(**options: Any) -> Any:
    """A column for a moment, with its time zone."""
    return Field(sa_type=DateTime(timezone=True), **options)


class LedgerRow(SQLModel, table=True):
    """The head of an organisation's ledger. Its lock, held to the commit, makes positions gapless.

    `recorded_at` is that of the last event, so that recorded times never run backwards;
    `head_event_id` tells whether what was kept of the ledger is still all of it.
    """

    __tablename__ = "ledgers"

    org_id: UUID = Field(primary_key=True)
    head: int = Field(sa_type=BigInteger)
    recorded_at: datetime = moment()
    text_keys_version: int = 0
    head_event_id: UUID | None = None


class EventRow(SQLModel, table=True):
    """Insert-only. `data` is json, not jsonb: the exact text is what is hashed."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("org_id", "category", "stream_id", "version"),
        UniqueConstraint("org_id", "event_id"),
        Index("ix_events_cycle", "org_id", "cycle_id", "position"),
        Index("ix_events_recorded_at", "org_id", "recorded_at"),
    )

    org_id: UUID = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInteger)
    category: str
    stream_id: UUID
    version: int
    event_id: UUID
    type: str
    schema_version: int
    cycle_id: UUID | None = None
    data: Any = Field(sa_column=Column(JSON, nullable=False))
    actor: str
    source: str
    correlation_id: UUID
    causation_id: UUID | None = None
    occurred_at: datetime = moment()
    recorded_at: datetime = moment()
    leaf_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class DirectoryRow(SQLModel, table=True):
    """Names and addresses of people: beside the ledger, because they must be erasable."""

    __tablename__ = "directory"

    org_id: UUID = Field(primary_key=True)
    person_id: UUID = Field(primary_key=True)
    name: str
    email: str | None = None


class TextKeyRow(SQLModel, table=True):
    """The key that an author's free text is sealed with. Deleting it erases what they wrote."""

    __tablename__ = "text_keys"

    org_id: UUID = Field(primary_key=True)
    author: str = Field(primary_key=True)
    key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SurveyParticipantRow(SQLModel, table=True):
    """Who answered the survey of a cycle, so that nobody does twice; not what they said."""

    __tablename__ = "survey_participants"

    org_id: UUID = Field(primary_key=True)
    cycle_id: UUID = Field(primary_key=True)
    person_id: UUID = Field(primary_key=True)


class CheckpointRow(SQLModel, table=True):
    """What a ledger was at a size, signed: the root of its tree, and what the next root needs."""

    __tablename__ = "checkpoints"

    org_id: UUID = Field(primary_key=True)
    size: int = Field(primary_key=True, sa_type=BigInteger)
    root: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    frontier: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    note: str
    made_at: datetime = moment()


class CredentialRow(SQLModel, table=True):
    """The digest of an API key. What the key may do is in the ledger; the key itself nowhere."""

    __tablename__ = "credentials"

    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    org_id: UUID = Field(index=True)
    key_id: UUID


class IdentityRow(SQLModel, table=True):
    """Who somebody is at an OpenID Connect provider, as a digest of issuer and subject."""

    __tablename__ = "identities"

    org_id: UUID = Field(primary_key=True)
    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True, index=True))
    person_id: UUID


class OperatorRow(SQLModel, table=True):
    """The digest of an operator's key: it founds organisations, and may act in each of them."""

    __tablename__ = "operators"

    digest: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    operator_id: UUID
    created_at: datetime = moment()


class IdempotencyRow(SQLModel, table=True):
    """The answer to a request, kept in the transaction of its events."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_age", "org_id", "created_at"),)

    org_id: UUID = Field(primary_key=True)
    credential: str = Field(primary_key=True)
    route: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: int
    headers: Any = Field(sa_column=Column(JSONB, nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = moment()


# Webhooks: how sending goes. What is sent, and to whom, is in the ledger.


class WebhookSecretRow(SQLModel, table=True):
    """What messages to a webhook are signed with; one that was replaced, `until` a moment."""

    __tablename__ = "webhook_secrets"

    org_id: UUID = Field(primary_key=True)
    webhook_id: UUID = Field(primary_key=True)
    secret: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    made_at: datetime = moment()
    until: datetime | None = moment(default=None, nullable=True)


class WebhookCursorRow(SQLModel, table=True):
    """Up to which position of the ledger deliveries were made. No row: nothing is sent."""

    __tablename__ = "webhook_cursors"

    org_id: UUID = Field(primary_key=True)
    webhook_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    looked_at: datetime = moment()
    failing_since: datetime | None = moment(default=None, nullable=True)


class WebhookDeliveryRow(SQLModel, table=True):
    """One message to one webhook. It is due at `due_at`, or at the end of somebody's lease.

    `number` is its place in the webhook's log. `attempts` were begun in all; `tries` have failed
    since it was last asked for. A test has no `position` in the ledger.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("org_id", "webhook_id", "number"),
        Index("ix_webhook_deliveries_due", "org_id", "webhook_id", "due_at"),
        Index("ix_webhook_deliveries_event", "org_id", "webhook_id", "position"),
        Index("ix_webhook_deliveries_age", "finished_at"),
    )

    org_id: UUID = Field(primary_key=True)
    delivery_id: UUID = Field(primary_key=True)
    webhook_id: UUID
    number: int = Field(sa_type=BigInteger)
    event_id: UUID
    type: str
    position: int | None = Field(default=None, sa_type=BigInteger)
    status: str
    attempts: int = 0
    tries: int = 0
    made_at: datetime = moment()
    due_at: datetime | None = moment(default=None, nullable=True)
    leased_until: datetime | None = moment(default=None, nullable=True)
    finished_at: datetime | None = moment(default=None, nullable=True)


class WebhookAttemptRow(SQLModel, table=True):
    """One attempt. Where it has no `milliseconds`, it is under way, or its process was killed."""

    __tablename__ = "webhook_attempts"

    org_id: UUID = Field(primary_key=True)
    delivery_id: UUID = Field(primary_key=True)
    number: int = Field(primary_key=True)
    began_at: datetime = moment()
    status: int | None = None
    error: str | None = None
    milliseconds: int | None = None
    answer: str | None = None
