"""Planning: a year's cycles in one go, and changes of what is planned.

Levels of one cadence share their cycles. A year cycle holds the shorter ones, nested in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain import cycle as cycles
from app.domain.calendar import Period, cycles_of_year, rhythm_of, windows, year_from
from app.domain.cycle import (
    Cycle,
    CycleCancelled,
    CycleCommand,
    CycleEvents,
    CyclePlanned,
    CycleRenamed,
    CycleRescheduled,
    Phase,
    check_length,
    check_parent,
    check_within,
)
from app.domain.deployment import Cadence, Deployment
from app.domain.errors import DecisionRefuses, NotFound, Refusal
from app.domain.messages import Command, Decider, Stream, looked_up
from app.domain.values import Level

# A year ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """A cycle to be planned: for these levels, and whether the shorter ones nest in it.

    A year that is there only to hold the others is for no level.
    """

    period: Period
    levels: tuple[Level, ...] = ()
    holds: bool = False


def year_plan(
    decided: Deployment,
    year: int,
    *,
    starts_on: date | None = None,
    levels: Sequence[Level] | None = None,
    with_year: bool = False,
) -> tuple[Draft, ...]:
    """The cycles of a year, one that holds others first: by default those of all levels decided.

    The year is named by `year` and begins on `starts_on`, else on 1 January; it may begin in the
    calendar year before. Raises Refusal, DecisionRefuses.
    """
    begins = starts_on or date(year, 1, 1)
    if begins.year not in (year, year - 1):
        raise Refusal(
            f"The year {year} begins in {year}, or in {year - 1}; change starts_on or year.",
            pointer="/starts_on",
        )
    span = year_from(year, begins)
    by_cadence = _by_cadence(decided, levels)
    drafts: list[Draft] = []
    if with_year or Cadence.YEAR in by_cadence:
        drafts.append(Draft(span, by_cadence.pop(Cadence.YEAR, ()), holds=True))
    for cadence, of_levels in by_cadence.items():
        periods = cycles_of_year(cadence, span, decided)
        if not periods:
            raise Refusal(
                f"A cycle of {decided.cadence.custom_days} days does not fit in a year; "
                f"leave out {' and '.join(of_levels)} here, and plan it by itself.",
                pointer="/levels",
            )
        drafts += [Draft(period, of_levels) for period in periods]
    return tuple(drafts)


def _by_cadence(
    decided: Deployment, levels: Sequence[Level] | None
) -> dict[Cadence, tuple[Level, ...]]:
    """The levels asked for, or all that are decided, by their cadence."""
    found: dict[Cadence, tuple[Level, ...]] = {}
    wanted = tuple(dict.fromkeys(decided.levels.owners if levels is None else levels))
    check_levels(decided, wanted, "/levels")
    for level in wanted:
        cadence = rhythm_of(decided.cadence, level)
        found[cadence] = (*found.get(cadence, ()), level)
    return found


def check_levels(decided: Deployment, levels: Sequence[Level], pointer: str) -> None:
    """Raise DecisionRefuses for a level at which no OKRs are set."""
    owners = decided.levels.owners
    for level in levels:
        if level not in owners:
            raise DecisionRefuses(
                "levels",
                "levels.owner",
                f"No OKRs are set at the level {level} ({', '.join(owners)} were decided).",
                pointer=pointer,
            )


# Commands ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCycles(Command):
    """Plan a year's cycles: `ids` holds a fresh one for each of `year_plan`, in its order.

    `parent_id` names a cycle that was planned before, to hold these. Raises NotFound, and Refusal
    where they do not fit in it, or a cycle of the same level is there for some of the days.
    """

    category: ClassVar[str] = "cycle"

    ids: tuple[UUID, ...]
    year: int
    starts_on: date | None = None
    levels: tuple[Level, ...] | None = None
    with_year: bool = False
    parent_id: UUID | None = None
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    parent: Cycle | None = looked_up("cycle", lambda _, c: c.parent_id)
    others: tuple[Cycle, ...] = looked_up("cycles_not_cancelled", lambda _, c: None)

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.ids[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameCycle(CycleCommand):
    """Applies until the cycle is closed."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RescheduleCycle(CycleCommand):
    """Move the days of a cycle that has not begun; what is None stays.

    Raises InvalidState once it was opened, Refusal where its parent, the cycles within it or
    another one of its level are in the way, DecisionRefuses for a length that is not decided.
    """

    starts_on: date | None = None
    ends_on: date | None = None
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    others: tuple[Cycle, ...] = looked_up("cycles_not_cancelled", lambda _, c: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelCycle(CycleCommand):
    """Raises InvalidState unless it is only planned, Refusal while other cycles lie within it."""

    reason: str
    others: tuple[Cycle, ...] = looked_up("cycles_not_cancelled", lambda _, c: None)


PlanningCommands = PlanCycles | RenameCycle | RescheduleCycle | CancelCycle


def _plan_year(command: PlanCycles) -> list[CycleEvents]:
    decided = command.deployment
    drafts = year_plan(
        decided,
        command.year,
        starts_on=command.starts_on,
        levels=command.levels,
        with_year=command.with_year,
    )
    if drafts[0].holds and command.parent_id is not None:
        raise Refusal(
            "A year cycle is planned here itself, and holds the others: leave out parent_id, or "
            "plan the levels of a shorter cadence only, without with_year.",
            pointer="/parent_id",
        )
    holder = command.ids[0] if drafts[0].holds else command.parent_id
    events: list[CycleEvents] = []
    for draft, cycle_id in zip(drafts, command.ids, strict=True):
        name, starts_on, ends_on = draft.period
        if command.parent_id is not None:
            parent_id, parent = command.parent_id, command.parent
            check_parent(parent_id, parent, starts_on, ends_on, "/parent_id")
        check_free(starts_on, ends_on, draft.levels, command.others, f"{name!r}", "/year")
        events.append(
            CyclePlanned(
                cycle_id=cycle_id,
                name=name,
                starts_on=starts_on,
                ends_on=ends_on,
                parent_id=None if draft.holds else holder,
                levels=draft.levels or None,
                windows=windows(starts_on, ends_on, decided),
            )
        )
    return events


def check_free(
    starts_on: date,
    ends_on: date,
    levels: tuple[Level, ...],
    others: Sequence[Cycle],
    what: str,
    pointer: str,
    instead: str = "use that one, or cancel it first",
) -> None:
    """Raise Refusal where another cycle has some of these days for a level of these.

    One that is for no level in particular stands in the way if it has the very same days.
    """
    for other in others:
        overlap = starts_on <= other.ends_on and other.starts_on <= ends_on
        same = (starts_on, ends_on) == (other.starts_on, other.ends_on)
        shared = [level for level in levels if level in other.levels]
        if (shared and overlap) or (same and not (levels and other.levels)):
            raise Refusal(
                f"{what} ({starts_on} to {ends_on}) overlaps {other.name!r} "
                f"({other.starts_on} to {other.ends_on}), which is there"
                f"{' for ' + ' and '.join(shared) if shared else ''} already; "
                f"{instead}.",
                pointer=pointer,
                existing_id=str(other.cycle_id),
            )


def _reschedule(state: Cycle, command: RescheduleCycle) -> list[CycleEvents]:
    starts_on = command.starts_on or state.starts_on
    ends_on = command.ends_on or state.ends_on
    if (starts_on, ends_on) == (state.starts_on, state.ends_on):
        return []
    pointer = "/ends_on" if command.starts_on is None else "/starts_on"
    check_length(command.deployment, starts_on, ends_on)
    for other in command.others:
        if other.cycle_id == state.parent_id:
            check_within(other, starts_on, ends_on, pointer)
        nested = other.parent_id == state.cycle_id
        if nested and (other.starts_on < starts_on or other.ends_on > ends_on):
            raise Refusal(
                f"{other.name!r} ({other.starts_on} to {other.ends_on}) lies within this cycle; "
                "move that one first.",
                pointer=pointer,
            )
    if state.levels:
        beside = [other for other in command.others if other.cycle_id != state.cycle_id]
        check_free(starts_on, ends_on, state.levels, beside, f"{state.name!r}", pointer)
    return [
        CycleRescheduled(
            cycle_id=state.cycle_id,
            starts_on=starts_on,
            ends_on=ends_on,
            windows=windows(starts_on, ends_on, command.deployment),
        )
    ]


def decide(state: Cycle | None, command: PlanningCommands) -> list[CycleEvents]:
    if isinstance(command, PlanCycles):
        return _plan_year(command)
    if state is None:
        raise NotFound("cycle", command.cycle_id)
    match command:
        case RenameCycle():
            state.allow(command, *(p for p in Phase if p not in (Phase.CLOSED, Phase.CANCELLED)))
            if command.name == state.name:
                return []
            return [CycleRenamed(cycle_id=state.cycle_id, name=command.name)]
        case RescheduleCycle():
            state.allow(command, Phase.PLANNED, Phase.DRAFTING)
            return _reschedule(state, command)
        case CancelCycle():
            state.allow(command, Phase.PLANNED)
            within = [o.name for o in command.others if o.parent_id == state.cycle_id]
            if within:
                raise Refusal(f"Cycles lie within this one: cancel {', '.join(within)} first.")
            return [CycleCancelled(cycle_id=state.cycle_id, reason=command.reason)]
        case _:
            assert_never(command)


decider: Decider[Cycle | None, PlanningCommands, CycleEvents] = Decider(
    category="cycle", initial=None, evolve=cycles.evolve, decide=decide
)
