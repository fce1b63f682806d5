"""What is due: check-ins, and the windows of cycles, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID

from app.application.ledgers import Reader
from app.domain.calendar import Windows
from app.domain.cycle import Phase
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow
from app.queries import goals
from app.queries.views import View

LARGEST = 500
DAYS_AHEAD = 14

_BEFORE_EXECUTION = (Phase.PLANNED, Phase.DRAFTING)
_BEFORE_SCORING = (*_BEFORE_EXECUTION, Phase.ACTIVE)
_BEFORE_REFLECTION = (*_BEFORE_SCORING, Phase.SCORING)


class ReminderKind(StrEnum):
    DRAFTING_OPENS = "drafting_opens"
    CHECK_IN_DUE = "check_in_due"
    REFLECTION_ANNOUNCED = "reflection_announced"
    SCORING_BEGINS = "scoring_begins"


class ReminderView(View):
    """A window falls due as its first day begins, in UTC; a check-in after its grace."""

    kind: ReminderKind
    due_at: datetime
    overdue: bool
    title: str
    cycle_id: UUID
    key_result_id: UUID | None = None
    objective_id: UUID | None = None


class RemindersView(View):
    """At most 500, the earliest first; `truncated` says that there are more."""

    until: date
    items: list[ReminderView]
    truncated: bool


async def reminders(reader: Reader, until: date | None = None) -> RemindersView:
    """What is due up to the end of a day and was not done yet, what is overdue included."""
    last = until or reader.at.date() + timedelta(days=DAYS_AHEAD)
    end = datetime.combine(last, time.max, UTC)
    cycles = await reader.rows.select(CycleRow, {"phase": list(_BEFORE_REFLECTION)})
    found = [one for row in cycles for one in _of_cycle(row, reader.at)]
    active = [row.cycle_id for row in cycles if row.phase == Phase.ACTIVE]
    found += await _check_ins(reader, active)
    due = sorted((one for one in found if one.due_at <= end), key=_order)
    return RemindersView(until=last, items=due[:LARGEST], truncated=len(due) > LARGEST)


def _order(one: ReminderView) -> tuple[datetime, str, UUID, UUID | None]:
    return one.due_at, one.kind, one.cycle_id, one.key_result_id


def _of_cycle(row: CycleRow, now: datetime) -> Iterator[ReminderView]:
    """The windows of a cycle that wait for something to be done."""
    if row.windows is None:
        return
    kept = Windows.model_validate(row.windows)
    waits: tuple[tuple[ReminderKind, date, bool], ...] = (
        (ReminderKind.DRAFTING_OPENS, kept.drafting_from, row.phase == Phase.PLANNED),
        (ReminderKind.SCORING_BEGINS, kept.scoring_from, row.phase in _BEFORE_SCORING),
        (
            ReminderKind.REFLECTION_ANNOUNCED,
            kept.reflection_announced_on,
            row.phase in _BEFORE_REFLECTION,
        ),
    )
    for kind, day, is_open in waits:
        if is_open:
            yield ReminderView(
                kind=kind,
                due_at=datetime.combine(day, time.min, UTC),
                overdue=day < now.date(),
                title=row.name,
                cycle_id=row.cycle_id,
            )


async def _check_ins(reader: Reader, cycle_ids: list[UUID]) -> list[ReminderView]:
    if not cycle_ids:
        return []
    rows = await reader.rows.select(KeyResultRow, {"cycle_id": cycle_ids, "removed": False})
    return [
        ReminderView(
            kind=ReminderKind.CHECK_IN_DUE,
            due_at=view.check_in_due_at,
            overdue=view.check_in_due_at < reader.at,
            title=view.title,
            cycle_id=view.cycle_id,
            key_result_id=view.id,
            objective_id=view.objective_id,
        )
        for view in await goals.key_results(reader, rows)
        if view.check_in_due_at is not None
    ]
