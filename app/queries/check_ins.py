"""Check-ins: what was said of key results, and when."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.check_in import TrackedBy
from app.domain.errors import NotFound
from app.domain.measures import Rung
from app.domain.values import Health, Number, made
from app.projections.check_ins import CheckInRow
from app.projections.rows import Rows
from app.queries.views import Figure, View


class CheckInView(View):
    """`occurred_at` is when it was true, `recorded_at` when the ledger learnt it.

    `version` is the key result's at the event that told this check-in, or told it anew.
    """

    id: UUID
    version: int
    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID
    value: bool | Rung | Number | None
    increment: Number | None
    progress: Figure
    confidence: Figure
    health: Health | None
    note: str | None
    next_steps: str | None
    occurred_at: datetime
    recorded_at: datetime
    actor: str
    source: str
    tracking: TrackedBy | None = Field(description="By hand, by the integration named, by a KPI.")
    position: int
    corrected_at: datetime | None = Field(description="When it was stated anew.")
    retracted: bool = Field(description="It counts no more, and stays to be seen.")
    reason: str | None = Field(description="Of its correction or retraction.")


def check_in_reading(row: CheckInRow) -> bool | Rung | Decimal | None:
    if row.level is not None:
        return Rung(row.level)
    return bool(row.value) if row.is_milestone and row.value is not None else row.value


def check_in_view(row: CheckInRow) -> CheckInView:
    return made(
        CheckInView,
        id=row.check_in_id,
        version=row.version,
        key_result_id=row.key_result_id,
        objective_id=row.objective_id,
        cycle_id=row.cycle_id,
        value=check_in_reading(row),
        increment=row.increment,
        progress=row.progress,
        confidence=row.confidence,
        health=None if row.health is None else Health(row.health),
        note=row.note,
        next_steps=row.next_steps,
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_at,
        actor=row.actor,
        source=row.source,
        tracking=row.tracking,
        position=row.position,
        corrected_at=row.corrected_at,
        retracted=row.retracted,
        reason=row.reason,
    )


async def check_in_row(rows: Rows, check_in_id: UUID) -> CheckInRow:
    """Raises NotFound."""
    row = await rows.get(CheckInRow, check_in_id)
    if row is None:
        raise NotFound("check-in", check_in_id)
    return row


async def check_in(reader: Reader, check_in_id: UUID) -> CheckInView:
    return check_in_view(await check_in_row(reader.rows, check_in_id))
