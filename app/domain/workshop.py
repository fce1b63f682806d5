"""Phase 2: workshops. Who was asked to come, who came, and what was concluded.

A leadership workshop has a quorum: completed below it, it does not count for readiness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, assert_never
from uuid import UUID

from pydantic import Field

from app.domain.access import ORGANIZATION, Concern
from app.domain.errors import InvalidState, NotFound, Refusal
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.values import Count, Line, Moment, Prose, Share, Value, tagged


class WorkshopKind(StrEnum):
    LEADERSHIP = "leadership"
    COACH = "coach"
    TEAM = "team"


class WorkshopStatus(StrEnum):
    SCHEDULED = "scheduled"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class NumberQuorum(Value):
    """So many of those invited must come."""

    model_config = tagged("kind")
    kind: Literal["number"] = "number"
    number: Count = Field(ge=1, le=500)

    def needed(self, invited: int) -> int:
        return self.number


class ShareQuorum(Value):
    """Such a share of those invited must come; somebody must in any case."""

    model_config = tagged("kind")
    kind: Literal["share"] = "share"
    share: Share

    def needed(self, invited: int) -> int:
        return max(1, int((self.share * invited).to_integral_value(ROUND_CEILING)))


Quorum = Annotated[NumberQuorum | ShareQuorum, Field(discriminator="kind")]
HALF = ShareQuorum(share=Decimal("0.5"))
"""The quorum of a leadership workshop that states none."""


# Events -----------------------------------------------------------------------------------


class WorkshopEvent(Event, stream="workshop", key="workshop_id"):
    workshop_id: UUID


class WorkshopScheduled(WorkshopEvent, type="workshop.scheduled"):
    kind: WorkshopKind
    title: Line
    scheduled_at: Moment
    agenda: tuple[Prose, ...] = ()
    team_id: UUID | None = None
    quorum: Quorum | None = None


class PeopleInvited(WorkshopEvent, type="workshop.people_invited"):
    """`invited` is everybody invited so far, the new ones last."""

    invited: tuple[UUID, ...]


class WorkshopRescheduled(WorkshopEvent, type="workshop.rescheduled"):
    scheduled_at: Moment
    reason: Prose | None = None


class AttendanceRecorded(WorkshopEvent, type="workshop.attendance_recorded"):
    """`attended` is everybody who came; a later record stands in place of an earlier one."""

    attended: tuple[UUID, ...]


class OutcomeRecorded(WorkshopEvent, type="workshop.outcome_recorded"):
    """What introducing OKRs means for us; a later record stands in place of an earlier one."""

    outcome: tuple[Prose, ...]


class WorkshopCompleted(WorkshopEvent, type="workshop.completed"):
    """`needed` and `quorum_reached` are those of a leadership workshop."""

    completed_at: Moment
    invited: Count
    attended: Count
    needed: Count | None = None
    quorum_reached: bool | None = None


class WorkshopCancelled(WorkshopEvent, type="workshop.cancelled"):
    reason: Prose


WorkshopEvents = (
    WorkshopScheduled
    | PeopleInvited
    | WorkshopRescheduled
    | AttendanceRecorded
    | OutcomeRecorded
    | WorkshopCompleted
    | WorkshopCancelled
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Workshop:
    workshop_id: UUID
    kind: WorkshopKind
    scheduled_at: datetime
    quorum: NumberQuorum | ShareQuorum | None = None
    team_id: UUID | None = None
    status: WorkshopStatus = WorkshopStatus.SCHEDULED
    invited: tuple[UUID, ...] = ()
    attended: tuple[UUID, ...] = ()
    outcome: tuple[str, ...] = ()

    def allow(self, command: object, *statuses: WorkshopStatus) -> None:
        """Raise InvalidState unless the workshop is in one of these."""
        if self.status not in statuses:
            raise InvalidState(
                "workshop", self.status, type(command).__name__, "Schedule another workshop."
            )


def evolve(state: Workshop | None, event: WorkshopEvents) -> Workshop:
    if isinstance(event, WorkshopScheduled):
        return Workshop(
            event.workshop_id, event.kind, event.scheduled_at, event.quorum, event.team_id
        )
    assert state is not None, "a workshop's stream starts with workshop.scheduled"
    match event:
        case PeopleInvited():
            return replace(state, invited=event.invited)
        case WorkshopRescheduled():
            return replace(state, scheduled_at=event.scheduled_at)
        case AttendanceRecorded():
            return replace(state, attended=event.attended)
        case OutcomeRecorded():
            return replace(state, outcome=event.outcome)
        case WorkshopCompleted():
            return replace(state, status=WorkshopStatus.COMPLETED)
        case WorkshopCancelled():
            return replace(state, status=WorkshopStatus.CANCELLED)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkshopCommand(Command):
    category: ClassVar[str] = "workshop"
    workshop_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.workshop_id)

    def concerns(self, state: Workshop | None) -> tuple[Concern, ...]:
        """The team's that it is for; else it is for the whole organisation."""
        team_id = state and state.team_id
        return (Concern("team", team_id) if team_id else ORGANIZATION,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleWorkshop(WorkshopCommand):
    """A workshop to come, or one to be recorded after it was held.

    Raises NotFound (team), Refusal (a team or a quorum where there is none, or none where needed).
    """

    kind: WorkshopKind
    title: str
    scheduled_at: datetime
    agenda: tuple[str, ...] = ()
    team_id: UUID | None = None
    quorum: NumberQuorum | ShareQuorum | None = None
    team_known: bool = looked_up("team_known", lambda _, c: c.team_id)

    def concerns(self, state: Workshop | None) -> tuple[Concern, ...]:
        return (Concern("team", self.team_id) if self.team_id else ORGANIZATION,)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitePeople(WorkshopCommand):
    """Whoever is invited already stays so. Raises NotFound (person)."""

    people: tuple[UUID, ...]
    unknown: tuple[UUID, ...] = looked_up("unknown_people", lambda _, c: c.people)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescheduleWorkshop(WorkshopCommand):
    scheduled_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAttendance(WorkshopCommand):
    """Who came, of those invited. Raises Refusal before the workshop, or for somebody else."""

    people: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOutcome(WorkshopCommand):
    """Minutes may follow the workshop's completion. Raises Refusal before the workshop."""

    outcome: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteWorkshop(WorkshopCommand):
    """Raises Refusal before the workshop. Below the quorum it is completed all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelWorkshop(WorkshopCommand):
    reason: str


WorkshopCommands = (
    ScheduleWorkshop
    | InvitePeople
    | RescheduleWorkshop
    | RecordAttendance
    | RecordOutcome
    | CompleteWorkshop
    | CancelWorkshop
)


def _schedule(command: ScheduleWorkshop) -> WorkshopScheduled:
    if command.kind is WorkshopKind.TEAM and command.team_id is None:
        raise Refusal("A team workshop says which team it is for.", pointer="/team_id")
    if command.kind is not WorkshopKind.TEAM and command.team_id is not None:
        raise Refusal(f"A {command.kind} workshop is for no one team.", pointer="/team_id")
    if command.team_id is not None and not command.team_known:
        raise NotFound("team", command.team_id, pointer="/team_id")
    if command.kind is not WorkshopKind.LEADERSHIP and command.quorum is not None:
        raise Refusal("Only a leadership workshop has a quorum.", pointer="/quorum")
    by_default = HALF if command.kind is WorkshopKind.LEADERSHIP else None
    return WorkshopScheduled(
        workshop_id=command.workshop_id,
        kind=command.kind,
        title=command.title,
        scheduled_at=command.scheduled_at,
        agenda=command.agenda,
        team_id=command.team_id,
        quorum=command.quorum or by_default,
    )


def _not_before(state: Workshop, command: WorkshopCommand) -> None:
    if command.at < state.scheduled_at:
        raise Refusal(
            f"{type(command).__name__} does not apply before the workshop, which is on "
            f"{state.scheduled_at:%Y-%m-%d at %H:%M} UTC; if it was held earlier, :reschedule it."
        )


def _completed(state: Workshop, at: datetime) -> WorkshopCompleted:
    needed = None if state.quorum is None else state.quorum.needed(len(state.invited))
    return WorkshopCompleted(
        workshop_id=state.workshop_id,
        completed_at=at,
        invited=len(state.invited),
        attended=len(state.attended),
        needed=needed,
        quorum_reached=None if needed is None else len(state.attended) >= needed,
    )


def decide(state: Workshop | None, command: WorkshopCommands) -> list[WorkshopEvents]:
    if isinstance(command, ScheduleWorkshop):
        return [_schedule(command)]
    if state is None:
        raise NotFound("workshop", command.workshop_id)
    id = state.workshop_id
    if isinstance(command, RecordOutcome):
        state.allow(command, WorkshopStatus.SCHEDULED, WorkshopStatus.COMPLETED)
    else:
        state.allow(command, WorkshopStatus.SCHEDULED)
    match command:
        case InvitePeople():
            for person in command.unknown:
                raise NotFound("person", person, pointer="/people")
            invited = tuple(dict.fromkeys((*state.invited, *command.people)))
            same = invited == state.invited
            return [] if same else [PeopleInvited(workshop_id=id, invited=invited)]
        case RescheduleWorkshop(scheduled_at=moment, reason=reason):
            same = moment == state.scheduled_at
            event = WorkshopRescheduled(workshop_id=id, scheduled_at=moment, reason=reason)
            return [] if same else [event]
        case RecordAttendance():
            _not_before(state, command)
            attended = tuple(dict.fromkeys(command.people))
            for person in attended:
                if person not in state.invited:
                    raise Refusal(
                        f"{person} was not invited; invite them first (:invite).",
                        pointer="/people",
                    )
            same = attended == state.attended
            return [] if same else [AttendanceRecorded(workshop_id=id, attended=attended)]
        case RecordOutcome(outcome=outcome):
            _not_before(state, command)
            same = outcome == state.outcome
            return [] if same else [OutcomeRecorded(workshop_id=id, outcome=outcome)]
        case CompleteWorkshop():
            _not_before(state, command)
            return [_completed(state, command.at)]
        case CancelWorkshop():
            return [WorkshopCancelled(workshop_id=id, reason=command.reason)]
        case _:
            assert_never(command)


decider: Decider[Workshop | None, WorkshopCommands, WorkshopEvents] = Decider(
    category="workshop", initial=None, evolve=evolve, decide=decide
)
