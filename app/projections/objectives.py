"""Objectives. Their figures are roll-ups of key results, made when they are read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.objective import (
    ObjectiveClosed,
    ObjectiveCommitted,
    ObjectiveDrafted,
    ObjectiveEvent,
    ObjectiveHandedOver,
    ObjectiveProposed,
    ObjectiveResultReported,
    ObjectiveRevised,
    ObjectiveTerms,
    Status,
)
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert


class ObjectiveRow(SQLModel, table=True):
    __tablename__ = "objectives"
    __table_args__ = (Index("ix_objectives_cycle", "org_id", "cycle_id", "position"),)

    org_id: UUID = Field(primary_key=True)
    objective_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    cycle_id: UUID
    owner_kind: str
    owner_id: UUID
    title: str
    why: str | None = None
    why_now: str | None = None
    origin: str
    status: str
    outcome: str | None = None
    outcome_reason: str | None = None
    result_text: str | None = None
    previous_id: UUID | None = None
    drafted_at: datetime = moment()
    drafted_by: str
    committed_at: datetime | None = moment(default=None, nullable=True)


def _terms(terms: ObjectiveTerms) -> dict[str, Any]:
    return {
        "title": terms.title,
        "why": terms.why,
        "why_now": terms.why_now,
        "origin": terms.origin,
    }


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, ObjectiveEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case ObjectiveDrafted():
            yield insert(
                ObjectiveRow,
                org_id=recorded.org_id,
                objective_id=event.objective_id,
                position=recorded.position,
                version=recorded.version,
                cycle_id=event.cycle_id,
                owner_kind=event.owner.kind,
                owner_id=event.owner.id,
                **_terms(event.terms),
                status=Status.DRAFT,
                previous_id=event.previous_id,
                drafted_at=recorded.recorded_at,
                drafted_by=recorded.meta.actor,
            )
            return
        case ObjectiveRevised():
            changed = _terms(event.terms)
        case ObjectiveHandedOver():
            changed = {"owner_kind": event.owner.kind, "owner_id": event.owner.id}
        case ObjectiveProposed():
            changed = {"status": Status.PROPOSED}
        case ObjectiveCommitted():
            changed = {"status": Status.COMMITTED, "committed_at": recorded.recorded_at}
        case ObjectiveResultReported():
            changed = {"result_text": event.text}
        case ObjectiveClosed():
            changed = {
                "status": Status.CLOSED,
                "outcome": event.outcome,
                "outcome_reason": event.reason,
            }
    yield Update(ObjectiveRow, (event.objective_id,), {**changed, "version": recorded.version})


projection = Projection(ObjectiveRow, project, heeds=ObjectiveEvent)
