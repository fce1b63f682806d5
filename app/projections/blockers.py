"""Blockers, open and resolved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from app.domain.blocker import BlockerEvent, BlockerHandedOver, BlockerRaised, BlockerResolved
from app.events.envelope import Recorded
from app.events.tables import moment
from app.projections.changes import Change, Projection, Update, insert


class BlockerRow(SQLModel, table=True):
    __tablename__ = "blockers"
    __table_args__ = (Index("ix_blockers_cycle", "org_id", "cycle_id", "position"),)

    org_id: UUID = Field(primary_key=True)
    blocker_id: UUID = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    version: int
    key_result_id: UUID
    cycle_id: UUID
    kind: str
    what: str
    owner_id: UUID
    next_action: str
    raised_at: datetime = moment()
    resolved: bool = False
    resolved_at: datetime | None = moment(default=None, nullable=True)
    how: str | None = None


def project(recorded: Recorded) -> Iterator[Change]:
    event = recorded.event
    if not isinstance(event, BlockerEvent):
        return
    changed: dict[str, Any] = {}
    match event:
        case BlockerRaised():
            yield insert(
                BlockerRow,
                org_id=recorded.org_id,
                blocker_id=event.blocker_id,
                position=recorded.position,
                version=recorded.version,
                key_result_id=event.key_result_id,
                cycle_id=event.cycle_id,
                kind=event.kind,
                what=event.what,
                owner_id=event.owner_id,
                next_action=event.next_action,
                raised_at=recorded.recorded_at,
            )
            return
        case BlockerHandedOver():
            changed = {"owner_id": event.owner_id, "next_action": event.next_action}
        case BlockerResolved():
            changed = {"resolved": True, "resolved_at": recorded.recorded_at, "how": event.how}
    yield Update(BlockerRow, (event.blocker_id,), {**changed, "version": recorded.version})


projection = Projection(BlockerRow, project, heeds=BlockerEvent)
