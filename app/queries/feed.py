"""The programme's dates as an iCalendar feed (RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from icalendar import Calendar, Event

from app.application.ledgers import Reader
from app.domain.calendar import Windows, check_ins_due
from app.domain.cycle import Phase
from app.projections.cycles import CycleRow

_PRODUCT = "-//OKR Ledger//Programme//EN"


async def feed(reader: Reader) -> bytes:
    """All cycles but the cancelled ones. The same rows make the same bytes: no clock is asked."""
    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    for row in await reader.rows.select(CycleRow):
        if row.phase != Phase.CANCELLED and row.windows is not None and row.dated_at is not None:
            for event in _events(row, Windows.model_validate(row.windows), row.dated_at):
                calendar.add_component(event)
    return bytes(calendar.to_ical())


def _events(row: CycleRow, kept: Windows, dated_at: datetime) -> Iterator[Event]:
    """Drafting and scoring as spans of days, the announcement as one, check-ins as a rhythm."""

    def event(kind: str, says: str, first: date, last: date) -> Event:
        made = Event()
        made.add("uid", f"{kind}-{row.cycle_id}@okr-ledger")
        made.add("dtstamp", dated_at.replace(microsecond=0))
        made.add("dtstart", first)
        if last > first and last < date.max:
            made.add("dtend", last + timedelta(days=1))  # the first day after it
        made.add("summary", f"{row.name}: {says}")
        made.add("transp", "TRANSPARENT")
        return made

    before = date.fromordinal(max(1, row.starts_on.toordinal() - 1))
    yield event("drafting", "draft OKRs", kept.drafting_from, before)
    due = check_ins_due(row.starts_on, row.ends_on, kept.check_in_every_days)
    if due:
        check_in = event("check-in", "check-in due", due[0], due[0])
        check_in.add(
            "rrule", {"freq": "daily", "interval": kept.check_in_every_days, "count": len(due)}
        )
        yield check_in
    announced = kept.reflection_announced_on
    yield event("reflection", "announce the reflection", announced, announced)
    yield event("scoring", "score key results", kept.scoring_from, row.ends_on)
