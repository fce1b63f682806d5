"""A KPI: a figure that is watched all the time, and the range in which it is healthy.

While it is only watched, it is a *health metric*. In focus it is a key result as well, fed by it:
its readings are check-ins there, until it is returned.

What may happen next is decided in `kpi_commands`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

from app.domain.kpi_terms import KpiTerms, Proposal
from app.domain.messages import Event
from app.domain.values import ExternalRef, Moment, Number, Prose

# Events -----------------------------------------------------------------------------------


class KpiEvent(Event, stream="kpi", key="kpi_id"):
    kpi_id: UUID


class KpiRegistered(KpiEvent, type="kpi.registered"):
    terms: KpiTerms
    external: ExternalRef | None = None


class KpiRevised(KpiEvent, type="kpi.revised"):
    """`in_range` is the latest reading's, judged anew; the proposal, where it stays outside."""

    terms: KpiTerms
    in_range: bool | None = None
    proposal: Proposal | None = None
    reason: Prose | None = None


class KpiRetired(KpiEvent, type="kpi.retired"):
    reason: Prose


class ReadingRecorded(KpiEvent, type="kpi.reading_recorded"):
    """`latest`: no reading recorded before is of a later moment.

    `check_in_id` names the check-in that it became. A latest reading that stays outside of the
    range makes the proposal anew.
    """

    reading_id: UUID
    value: Number
    in_range: bool
    latest: bool
    occurred_at: Moment
    note: Prose | None = None
    check_in_id: UUID | None = None
    proposal: Proposal | None = None
    external: ExternalRef | None = None


class KpiLeftRange(KpiEvent, type="kpi.left_range"):
    """The latest reading lies outside of the healthy range, as the one before did not."""

    value: Number
    proposal: Proposal


class KpiReturnedToRange(KpiEvent, type="kpi.returned_to_range"):
    value: Number


class KpiFocused(KpiEvent, type="kpi.focused"):
    """The KPI became a key result, or its focus went on to the successor of the one it fed."""

    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID


class KpiReturned(KpiEvent, type="kpi.returned"):
    """The KPI is a health metric again; its key result stays what it is."""

    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID
    reason: Prose


KpiEvents = (
    KpiRegistered
    | KpiRevised
    | KpiRetired
    | ReadingRecorded
    | KpiLeftRange
    | KpiReturnedToRange
    | KpiFocused
    | KpiReturned
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LatestReading:
    value: Decimal
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Focus:
    """The key result that a KPI feeds."""

    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID


@dataclass(frozen=True, slots=True)
class Kpi:
    kpi_id: UUID
    terms: KpiTerms
    latest: LatestReading | None = None
    focus: Focus | None = None
    retired: bool = False

    @property
    def in_range(self) -> bool | None:
        """Whether the latest reading is healthy; None without one."""
        return None if self.latest is None else self.terms.healthy.holds(self.latest.value)

    def is_latest(self, occurred_at: datetime) -> bool:
        """Whether a reading of that moment is the latest: none before is of a later one."""
        return self.latest is None or self.latest.occurred_at <= occurred_at


def returned(kpis: Iterable[Kpi], reason: str) -> Iterator[KpiReturned]:
    """These KPIs are health metrics again: no key result that is closed is fed by one."""
    for kpi in kpis:
        if kpi.focus is not None:
            yield KpiReturned(
                kpi_id=kpi.kpi_id,
                key_result_id=kpi.focus.key_result_id,
                objective_id=kpi.focus.objective_id,
                cycle_id=kpi.focus.cycle_id,
                reason=reason,
            )


def evolve(state: Kpi | None, event: KpiEvents) -> Kpi:
    if isinstance(event, KpiRegistered):
        return Kpi(event.kpi_id, event.terms)
    assert state is not None, "a KPI's stream starts with kpi.registered"
    match event:
        case KpiRevised():
            return replace(state, terms=event.terms)
        case KpiRetired():
            return replace(state, retired=True)
        case ReadingRecorded():
            if not event.latest:
                return state
            return replace(state, latest=LatestReading(event.value, event.occurred_at))
        case KpiLeftRange() | KpiReturnedToRange():
            return state
        case KpiFocused():
            focus = Focus(event.key_result_id, event.objective_id, event.cycle_id)
            return replace(state, focus=focus)
        case KpiReturned():
            return replace(state, focus=None)
        case _:
            assert_never(event)
