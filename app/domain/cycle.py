"""A cycle: planned, drafting, active, scoring, reflecting, closed. Each phase names its commands.

Planning a whole year, and changing what is planned: see `planning`. Closing a cycle and resetting
into the next one reach over many goals: see `reset`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Annotated, ClassVar, assert_never
from uuid import UUID

from pydantic import Field

from app.domain.access import ORGANIZATION, Concern
from app.domain.calendar import Windows, windows
from app.domain.deployment import AnyScoring, Deployment, Scoring
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    InvalidState,
    NotFound,
    NotReady,
    Refusal,
)
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.readiness import Override, Preparation, assess
from app.domain.scoring import days
from app.domain.values import Day, ExternalRef, Finding, Level, Line, Moment, Prose, not_text


class Phase(StrEnum):
    PLANNED = "planned"
    DRAFTING = "drafting"
    ACTIVE = "active"
    SCORING = "scoring"
    REFLECTING = "reflecting"
    CLOSED = "closed"
    CANCELLED = "cancelled"


NEXT_STEP: dict[Phase, str] = {
    Phase.PLANNED: "Begin drafting (:begin-drafting).",
    Phase.DRAFTING: "Draft and commit objectives, then open the cycle (:open).",
    Phase.ACTIVE: "Check in, or begin scoring (:begin-scoring).",
    Phase.SCORING: "Score key results, then begin reflection (:begin-reflection).",
    Phase.REFLECTING: "Record reflections, then reset into the next cycle (:reset) or :close it.",
    Phase.CLOSED: "A closed cycle takes no more changes; work in the next one.",
    Phase.CANCELLED: "A cancelled cycle takes no more changes; plan another one.",
}


# Events -----------------------------------------------------------------------------------


class CycleEvent(Event, stream="cycle", key="cycle_id"):
    cycle_id: UUID


class CyclePlanned(CycleEvent, type="cycle.planned"):
    """`levels` are those that it was generated for: none, where it was planned by itself."""

    name: Line
    starts_on: Day
    ends_on: Day
    parent_id: UUID | None = None
    previous_id: UUID | None = None
    external: ExternalRef | None = None
    levels: tuple[Level, ...] | None = None
    windows: Windows | None = None


class CycleRenamed(CycleEvent, type="cycle.renamed"):
    name: Line


class CycleRescheduled(CycleEvent, type="cycle.rescheduled"):
    """Its windows are decided anew, with its dates."""

    starts_on: Day
    ends_on: Day
    windows: Windows


class CycleCancelled(CycleEvent, type="cycle.cancelled"):
    reason: Prose


class CycleDraftingBegun(CycleEvent, type="cycle.drafting_begun"):
    pass


class CycleOpened(CycleEvent, type="cycle.opened"):
    """The scoring decision is kept with the cycle: its figures are judged by it for ever.

    `override` says who let the organisation's first cycle begin before all was ready, and why.
    """

    opened_at: Moment
    scoring: Scoring
    override: Override | None = None


class CycleScoringBegun(CycleEvent, type="cycle.scoring_begun"):
    pass


class CycleReflectionBegun(CycleEvent, type="cycle.reflection_begun"):
    pass


Minutes = Annotated[int, Field(ge=1, le=1_440), not_text]
"""How long something took: 1 minute to a day."""


class ReflectionRecorded(CycleEvent, type="reflection.recorded", version=2):
    """Version 1 did not tell how long it took, nor who took part."""

    reflection_id: UUID
    team_id: UUID | None = None
    worked: tuple[Prose, ...] = ()
    did_not_work: tuple[Prose, ...] = ()
    change: tuple[Prose, ...] = ()
    minutes: Minutes | None = None
    participants: tuple[UUID, ...] = ()
    external: ExternalRef | None = None
    warnings: tuple[Finding, ...] = ()


class CycleContinued(CycleEvent, type="cycle.continued"):
    """A cycle that was there already goes on from one that was reset into it, the last of them."""

    previous_id: UUID


class CycleClosed(CycleEvent, type="cycle.closed"):
    next_cycle_id: UUID | None = None


CycleEvents = (
    CyclePlanned
    | CycleRenamed
    | CycleRescheduled
    | CycleCancelled
    | CycleDraftingBegun
    | CycleOpened
    | CycleScoringBegun
    | CycleReflectionBegun
    | ReflectionRecorded
    | CycleContinued
    | CycleClosed
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cycle:
    cycle_id: UUID
    name: str
    starts_on: date
    ends_on: date
    phase: Phase = Phase.PLANNED
    opened_at: datetime | None = None
    scoring: AnyScoring | None = None
    parent_id: UUID | None = None
    levels: tuple[Level, ...] = ()

    @property
    def began_at(self) -> datetime:
        """The earliest moment a check-in may speak of: its first day, or an early opening."""
        first_day = datetime.combine(self.starts_on, time.min, UTC)
        return min(first_day, self.opened_at) if self.opened_at else first_day

    @property
    def is_over(self) -> bool:
        """Whether it takes no more changes."""
        return self.phase in (Phase.CLOSED, Phase.CANCELLED)

    @property
    def ended_at(self) -> datetime:
        """The moment after its last day."""
        return datetime.combine(self.ends_on, time.max, UTC)

    def allow(self, command: object, *phases: Phase) -> None:
        """Raise InvalidState, naming phase and next step, unless the cycle is in one of these."""
        if self.phase not in phases:
            raise InvalidState(
                f"cycle {self.name!r}",
                self.phase,
                type(command).__name__,
                f"It applies while the cycle is {' or '.join(phases)}. {NEXT_STEP[self.phase]}",
            )


def evolve(state: Cycle | None, event: CycleEvents) -> Cycle:
    if isinstance(event, CyclePlanned):
        return Cycle(
            event.cycle_id,
            event.name,
            event.starts_on,
            event.ends_on,
            parent_id=event.parent_id,
            levels=event.levels or (),
        )
    assert state is not None, "a cycle's stream starts with cycle.planned"
    match event:
        case CycleRenamed():
            return replace(state, name=event.name)
        case CycleRescheduled():
            return replace(state, starts_on=event.starts_on, ends_on=event.ends_on)
        case CycleCancelled():
            return replace(state, phase=Phase.CANCELLED)
        case CycleDraftingBegun():
            return replace(state, phase=Phase.DRAFTING)
        case CycleOpened():
            return replace(
                state, phase=Phase.ACTIVE, opened_at=event.opened_at, scoring=event.scoring
            )
        case CycleScoringBegun():
            return replace(state, phase=Phase.SCORING)
        case CycleReflectionBegun():
            return replace(state, phase=Phase.REFLECTING)
        case ReflectionRecorded() | CycleContinued():
            return state
        case CycleClosed():
            return replace(state, phase=Phase.CLOSED)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleCommand(Command):
    category: ClassVar[str] = "cycle"
    cycle_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.cycle_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCycle(CycleCommand):
    """Raises DecisionRefuses when the length fits no cadence decided, AlreadyExists, NotFound."""

    name: str
    starts_on: date
    ends_on: date
    parent_id: UUID | None = None
    previous_id: UUID | None = None
    external: ExternalRef | None = None
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    parent: Cycle | None = looked_up("cycle", lambda _, c: c.parent_id)
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "cycle"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginDrafting(CycleCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCycle(CycleCommand):
    """Raises NotReady for the first cycle, while phases 1 and 2 are not done; NotFound (person)."""

    override: Override | None = None
    preparation: Preparation = looked_up("preparation", lambda _, c: None)
    person_known: bool = looked_up("person_known", lambda _, c: c.override and c.override.person_id)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginScoring(CycleCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginReflection(CycleCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReflection(CycleCommand):
    """What worked, what did not, what to change: of a team, or of the whole organisation.

    `minutes` is how long it took. Raises NotFound (team, person), AlreadyExists, Refusal.
    """

    reflection_id: UUID
    team_id: UUID | None = None
    worked: tuple[str, ...] = ()
    did_not_work: tuple[str, ...] = ()
    change: tuple[str, ...] = ()
    minutes: int | None = None
    participants: tuple[UUID, ...] = ()
    external: ExternalRef | None = None
    team_known: bool = looked_up("team_known", lambda _, c: c.team_id)
    unknown: tuple[UUID, ...] = looked_up("unknown_people", lambda _, c: c.participants)
    key_results: int = looked_up("key_results_committed", lambda _, c: (c.cycle_id, c.team_id))
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "reflection"))

    def concerns(self, state: Cycle | None) -> tuple[Concern, ...]:
        return (Concern("team", self.team_id) if self.team_id else ORGANIZATION,)


CycleCommands = (
    PlanCycle | BeginDrafting | OpenCycle | BeginScoring | BeginReflection | RecordReflection
)


def plan(
    deployment: Deployment,
    *,
    cycle_id: UUID,
    name: str,
    starts_on: date,
    ends_on: date,
    parent_id: UUID | None = None,
    parent: Cycle | None = None,
    previous_id: UUID | None = None,
    external: ExternalRef | None = None,
    levels: tuple[Level, ...] = (),
    pointer: str = "",
) -> CyclePlanned:
    """A cycle whose dates are in order, within its parent's, and of a length decided.

    Raises Refusal, NotFound (parent), DecisionRefuses.
    """
    if parent_id is not None:
        check_parent(parent_id, parent, starts_on, ends_on, f"{pointer}/parent_id")
    check_length(deployment, starts_on, ends_on, pointer)
    return CyclePlanned(
        cycle_id=cycle_id,
        name=name,
        starts_on=starts_on,
        ends_on=ends_on,
        parent_id=parent_id,
        previous_id=previous_id,
        external=external,
        levels=levels or None,
        windows=windows(starts_on, ends_on, deployment),
    )


def check_parent(
    parent_id: UUID, parent: Cycle | None, starts_on: date, ends_on: date, pointer: str
) -> None:
    """Raise NotFound or Refusal unless a cycle is there to hold one of these days."""
    if parent is None:
        raise NotFound("cycle", parent_id, pointer=pointer)
    if parent.phase is Phase.CANCELLED:
        raise Refusal(f"{parent.name!r} is cancelled; choose another cycle.", pointer=pointer)
    check_within(parent, starts_on, ends_on, pointer)


def check_within(parent: Cycle, starts_on: date, ends_on: date, pointer: str) -> None:
    """Raise Refusal unless these days lie within a cycle's."""
    if starts_on < parent.starts_on or ends_on > parent.ends_on:
        raise Refusal(
            f"The cycle must lie within {parent.name!r} ({parent.starts_on} to {parent.ends_on}).",
            pointer=pointer,
        )


def check_length(deployment: Deployment, starts_on: date, ends_on: date, pointer: str = "") -> None:
    """Raise Refusal for days out of order, DecisionRefuses for a length that is not decided."""
    if ends_on <= starts_on:
        raise Refusal("ends_on must come after starts_on.", pointer=f"{pointer}/ends_on")
    length = days(starts_on, ends_on)
    if not deployment.cadence.allows(length):
        decided = ", ".join(sorted(set(deployment.cadence.cadences)))
        raise DecisionRefuses(
            "cadence",
            "cadence.length",
            f"{length} days fit no cadence decided ({decided}); change the dates, "
            "or decide another cadence.",
            pointer=f"{pointer}/ends_on",
        )


def _gate(state: Cycle, command: OpenCycle) -> Override | None:
    """The override that the opening needs, if any. Raises NotReady, NotFound (person).

    The first cycle begins once deployment and training are done. A cycle that is over already is
    history being recorded: it is let through, and is not the first one.
    """
    override = command.override
    if override is not None and not command.person_known:
        raise NotFound("person", override.person_id, pointer="/override/person_id")
    if command.preparation.first_cycle is not None or command.at.date() > state.ends_on:
        return None
    readiness = assess(command.preparation, command.at)
    if readiness.ready or override is not None:
        return None if readiness.ready else override
    missing = readiness.missing
    raise NotReady(
        f"The first cycle waits for deployment and training: {len(missing)} condition(s) are not "
        f"met. {' '.join(one.message for one in missing)} Or open it with an override that names "
        "a person and a reason.",
        missing=[one.model_dump(mode="json") for one in missing],
    )


def _reflect(state: Cycle, command: RecordReflection) -> ReflectionRecorded:
    if command.existing is not None:
        raise AlreadyExists("reflection", command.existing)
    state.allow(command, Phase.SCORING, Phase.REFLECTING)
    if command.team_id is not None and not command.team_known:
        raise NotFound("team", command.team_id, pointer="/team_id")
    for person in command.unknown:
        place = command.participants.index(person)
        raise NotFound("person", person, pointer=f"/participants/{place}")
    if not (command.worked or command.did_not_work or command.change):
        raise Refusal(
            "Say at least one thing that worked, did not work, or should change.",
            pointer="/worked",
        )
    return ReflectionRecorded(
        cycle_id=state.cycle_id,
        reflection_id=command.reflection_id,
        team_id=command.team_id,
        worked=command.worked,
        did_not_work=command.did_not_work,
        change=command.change,
        minutes=command.minutes,
        participants=tuple(dict.fromkeys(command.participants)),
        external=command.external,
        warnings=tuple(_of_length(command)),
    )


SHORTEST, LONGEST, EACH = 30, 60, 10
"""Minutes: a reflection takes from half an hour to one, and no key result more than ten."""


def _of_length(command: RecordReflection) -> Iterator[Finding]:
    """Warnings about a reflection that hardly took place, or went on and on.

    Half an hour is never too long, however few the key results.
    """
    minutes, held = command.minutes, command.key_results
    if minutes is None:
        return
    if not SHORTEST <= minutes <= LONGEST:
        yield Finding(
            rule="reflection.minutes",
            message=f"The reflection took {minutes} minutes; plan {SHORTEST} to {LONGEST}.",
            decision="cycle_length",
        )
    if held and minutes > max(EACH * held, SHORTEST):
        yield Finding(
            rule="reflection.minutes_per_key_result",
            message=f"{minutes} minutes for {held} key result(s) is more than {EACH} for each; "
            "ask what was learnt, and leave the rest to its owner.",
            decision="cycle_length",
        )


def decide(state: Cycle | None, command: CycleCommands) -> list[CycleEvents]:
    if isinstance(command, PlanCycle):
        if command.existing is not None:
            raise AlreadyExists("cycle", command.existing)
        return [
            plan(
                command.deployment,
                cycle_id=command.cycle_id,
                name=command.name,
                starts_on=command.starts_on,
                ends_on=command.ends_on,
                parent_id=command.parent_id,
                parent=command.parent,
                previous_id=command.previous_id,
                external=command.external,
            )
        ]
    if state is None:
        raise NotFound("cycle", command.cycle_id)
    cycle_id = state.cycle_id
    match command:
        case BeginDrafting():
            state.allow(command, Phase.PLANNED)
            return [CycleDraftingBegun(cycle_id=cycle_id)]
        case OpenCycle():
            state.allow(command, Phase.DRAFTING)
            return [
                CycleOpened(
                    cycle_id=cycle_id,
                    opened_at=command.at,
                    scoring=command.deployment.scoring,
                    override=_gate(state, command),
                )
            ]
        case BeginScoring():
            state.allow(command, Phase.ACTIVE)
            return [CycleScoringBegun(cycle_id=cycle_id)]
        case BeginReflection():
            state.allow(command, Phase.SCORING)
            return [CycleReflectionBegun(cycle_id=cycle_id)]
        case RecordReflection():
            return [_reflect(state, command)]
        case _:
            assert_never(command)


decider: Decider[Cycle | None, CycleCommands, CycleEvents] = Decider(
    category="cycle", initial=None, evolve=evolve, decide=decide
)
