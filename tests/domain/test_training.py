"""Workshops and coaches: who came, what is a quorum, and who may be certified."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.domain.coach import (
    CertifyCoach,
    CoachCertified,
    CoachCommand,
    CoachDesignated,
    CoachRelieved,
    CoverTeams,
    DesignateCoach,
    RelieveCoach,
    TeamsCovered,
    a_year_after,
)
from app.domain.errors import InvalidState, NotFound, Refusal
from app.domain.workshop import (
    HALF,
    AttendanceRecorded,
    CancelWorkshop,
    CompleteWorkshop,
    InvitePeople,
    NumberQuorum,
    OutcomeRecorded,
    PeopleInvited,
    RecordAttendance,
    RecordOutcome,
    RescheduleWorkshop,
    ScheduleWorkshop,
    ShareQuorum,
    Workshop,
    WorkshopCancelled,
    WorkshopCommand,
    WorkshopCompleted,
    WorkshopEvents,
    WorkshopKind,
    WorkshopRescheduled,
    WorkshopScheduled,
    WorkshopStatus,
)
from tests.domain.builders import NOW, PERSON, TEAM, YESTERDAY, uid
from tests.given import given

WORKSHOP = uid(55)
BEN, CLEO, DAN = uid(81), uid(82), uid(83)
TOMORROW = NOW + timedelta(days=1)


def _scheduled(**more: Any) -> WorkshopScheduled:
    values: dict[str, Any] = {
        "kind": WorkshopKind.LEADERSHIP,
        "title": "What OKRs mean for us",
        "scheduled_at": YESTERDAY,
        "quorum": HALF,
        **more,
    }
    return WorkshopScheduled(workshop_id=WORKSHOP, **values)


SCHEDULED = _scheduled()
INVITED = PeopleInvited(workshop_id=WORKSHOP, invited=(PERSON, BEN, CLEO))
ATTENDED = AttendanceRecorded(workshop_id=WORKSHOP, attended=(PERSON, BEN))
COMPLETED = WorkshopCompleted(
    workshop_id=WORKSHOP, completed_at=NOW, invited=3, attended=2, needed=2, quorum_reached=True
)
CANCELLED = WorkshopCancelled(workshop_id=WORKSHOP, reason="Nobody could come.")

# Scheduling -------------------------------------------------------------------------------


def _schedule(**more: Any) -> ScheduleWorkshop:
    values: dict[str, Any] = {
        "kind": WorkshopKind.LEADERSHIP,
        "title": "What OKRs mean for us",
        "scheduled_at": YESTERDAY,
        "team_known": True,
        **more,
    }
    return ScheduleWorkshop(at=NOW, workshop_id=WORKSHOP, **values)


def test_a_leadership_workshop_that_states_no_quorum_needs_half() -> None:
    given().when(_schedule()).then(SCHEDULED)


def test_a_workshop_keeps_its_agenda_and_quorum() -> None:
    quorum = NumberQuorum(number=4)
    given().when(_schedule(agenda=("Why now",), quorum=quorum)).then(
        _scheduled(agenda=("Why now",), quorum=quorum)
    )


def test_a_team_workshop_is_for_a_team_and_has_no_quorum() -> None:
    command = _schedule(kind=WorkshopKind.TEAM, team_id=TEAM)
    given().when(command).then(_scheduled(kind=WorkshopKind.TEAM, team_id=TEAM, quorum=None))


@pytest.mark.parametrize(
    ("more", "refusal", "pointer"),
    [
        ({"kind": WorkshopKind.TEAM}, Refusal, "/team_id"),
        ({"kind": WorkshopKind.COACH, "team_id": TEAM}, Refusal, "/team_id"),
        ({"kind": WorkshopKind.LEADERSHIP, "team_id": TEAM}, Refusal, "/team_id"),
        (
            {"kind": WorkshopKind.TEAM, "team_id": TEAM, "team_known": False},
            NotFound,
            "/team_id",
        ),
        ({"kind": WorkshopKind.COACH, "quorum": HALF}, Refusal, "/quorum"),
        ({"kind": WorkshopKind.TEAM, "team_id": TEAM, "quorum": HALF}, Refusal, "/quorum"),
    ],
)
def test_a_workshop_that_contradicts_its_kind_is_refused(
    more: dict[str, Any], refusal: type[Refusal], pointer: str
) -> None:
    assert given().when(_schedule(**more)).then_raises(refusal).pointer == pointer


# Inviting ---------------------------------------------------------------------------------


def _invite(*people: Any, unknown: tuple[Any, ...] = ()) -> InvitePeople:
    return InvitePeople(at=NOW, workshop_id=WORKSHOP, people=people, unknown=unknown)


def test_people_are_invited_beside_those_who_are_already() -> None:
    given(SCHEDULED).when(_invite(PERSON, PERSON)).then(
        PeopleInvited(workshop_id=WORKSHOP, invited=(PERSON,))
    )
    given(SCHEDULED, INVITED).when(_invite(DAN, PERSON)).then(
        PeopleInvited(workshop_id=WORKSHOP, invited=(PERSON, BEN, CLEO, DAN))
    )


def test_inviting_the_same_people_again_is_no_event() -> None:
    given(SCHEDULED, INVITED).when(_invite(CLEO, PERSON)).then_nothing()


def test_only_people_who_are_known_are_invited() -> None:
    refusal = given(SCHEDULED).when(_invite(PERSON, DAN, unknown=(DAN,))).then_raises(NotFound)
    assert refusal.pointer == "/people"
    assert str(DAN) in refusal.detail


# Attendance and outcome -------------------------------------------------------------------


def _attend(*people: Any) -> RecordAttendance:
    return RecordAttendance(at=NOW, workshop_id=WORKSHOP, people=people)


def test_attendance_stands_in_place_of_what_was_said_before() -> None:
    given(SCHEDULED, INVITED).when(_attend(PERSON, BEN, PERSON)).then(ATTENDED)
    given(SCHEDULED, INVITED, ATTENDED).when(_attend(PERSON, BEN)).then_nothing()
    given(SCHEDULED, INVITED, ATTENDED).when(_attend(CLEO)).then(
        AttendanceRecorded(workshop_id=WORKSHOP, attended=(CLEO,))
    )


def test_nobody_attends_who_was_not_invited() -> None:
    refusal = given(SCHEDULED, INVITED).when(_attend(DAN)).then_raises(Refusal, "was not invited")
    assert refusal.pointer == "/people"


def test_an_outcome_may_follow_the_completion() -> None:
    said = ("Pay stays apart.", "Three goals a team.")
    command = RecordOutcome(at=NOW, workshop_id=WORKSHOP, outcome=said)
    recorded = OutcomeRecorded(workshop_id=WORKSHOP, outcome=said)
    given(SCHEDULED).when(command).then(recorded)
    given(SCHEDULED, COMPLETED).when(command).then(recorded)
    given(SCHEDULED, recorded).when(command).then_nothing()
    given(SCHEDULED, CANCELLED).when(command).then_raises(InvalidState, "RecordOutcome")


@pytest.mark.parametrize(
    "command",
    [
        _attend(PERSON),
        RecordOutcome(at=NOW, workshop_id=WORKSHOP, outcome=("x",)),
        CompleteWorkshop(at=NOW, workshop_id=WORKSHOP),
    ],
    ids=lambda command: type(command).__name__,
)
def test_nothing_came_of_a_workshop_that_is_still_to_come(command: WorkshopCommand) -> None:
    history = [_scheduled(scheduled_at=TOMORROW), INVITED]
    given(*history).when(command).then_raises(Refusal, "does not apply before the workshop")
    moved = WorkshopRescheduled(workshop_id=WORKSHOP, scheduled_at=YESTERDAY)
    assert given(*history, moved).when(command).decide()


# Moving, completing, cancelling -----------------------------------------------------------


def test_a_workshop_is_moved_to_another_moment() -> None:
    command = RescheduleWorkshop(
        at=NOW, workshop_id=WORKSHOP, scheduled_at=TOMORROW, reason="Two are away."
    )
    moved = WorkshopRescheduled(workshop_id=WORKSHOP, scheduled_at=TOMORROW, reason="Two are away.")
    given(SCHEDULED).when(command).then(moved)
    given(SCHEDULED, moved).when(command).then_nothing()


_COMPLETE = CompleteWorkshop(at=NOW, workshop_id=WORKSHOP)


def test_a_workshop_completed_with_its_quorum_says_so() -> None:
    given(SCHEDULED, INVITED, ATTENDED).when(_COMPLETE).then(COMPLETED)


def test_a_workshop_below_its_quorum_is_completed_and_says_so() -> None:
    quorum = _scheduled(quorum=NumberQuorum(number=3))
    given(quorum, INVITED, ATTENDED).when(_COMPLETE).then(
        COMPLETED.model_copy(update={"needed": 3, "quorum_reached": False})
    )


def test_a_workshop_without_a_quorum_has_none_to_reach() -> None:
    coach = _scheduled(kind=WorkshopKind.COACH, quorum=None)
    given(coach, INVITED, ATTENDED).when(_COMPLETE).then(
        COMPLETED.model_copy(update={"needed": None, "quorum_reached": None})
    )


@pytest.mark.parametrize(
    ("quorum", "invited", "needed"),
    [
        (NumberQuorum(number=4), 0, 4),
        (ShareQuorum(share=Decimal(0)), 9, 1),
        (ShareQuorum(share=Decimal("0.5")), 0, 1),
        (ShareQuorum(share=Decimal("0.5")), 5, 3),
        (ShareQuorum(share=Decimal("0.75")), 4, 3),
        (ShareQuorum(share=Decimal(1)), 7, 7),
    ],
)
def test_a_share_of_those_invited_is_rounded_up(
    quorum: NumberQuorum | ShareQuorum, invited: int, needed: int
) -> None:
    assert quorum.needed(invited) == needed


def test_a_workshop_is_cancelled_with_a_reason() -> None:
    command = CancelWorkshop(at=NOW, workshop_id=WORKSHOP, reason="Nobody could come.")
    given(SCHEDULED).when(command).then(CANCELLED)


_COMMANDS: list[WorkshopCommand] = [
    _invite(DAN),
    RescheduleWorkshop(at=NOW, workshop_id=WORKSHOP, scheduled_at=TOMORROW),
    _attend(CLEO),
    _COMPLETE,
    CancelWorkshop(at=NOW, workshop_id=WORKSHOP, reason="x"),
]
_each_command = pytest.mark.parametrize(
    "command", _COMMANDS, ids=lambda command: type(command).__name__
)


@_each_command
@pytest.mark.parametrize("last", [COMPLETED, CANCELLED], ids=lambda event: event.type_name)
def test_a_workshop_that_is_over_takes_no_more_commands(
    command: WorkshopCommand, last: WorkshopEvents
) -> None:
    attempt = given(SCHEDULED, INVITED, ATTENDED, last).when(command)
    refusal = attempt.then_raises(InvalidState, type(command).__name__)
    assert refusal.facts["state"] == last.type_name.removeprefix("workshop.")


@_each_command
def test_an_unknown_workshop_takes_no_command(command: WorkshopCommand) -> None:
    given().when(command).then_raises(NotFound)


# Coaches ----------------------------------------------------------------------------------

DESIGNATED = CoachDesignated(person_id=PERSON)
RELIEVED = CoachRelieved(person_id=PERSON)
TODAY = NOW.date()
HELD = Workshop(
    WORKSHOP,
    WorkshopKind.COACH,
    YESTERDAY,
    status=WorkshopStatus.COMPLETED,
    invited=(PERSON, BEN),
    attended=(PERSON,),
)


def _designate(*, known: bool = True) -> DesignateCoach:
    return DesignateCoach(at=NOW, person_id=PERSON, person_known=known)


def _certify(**more: Any) -> CertifyCoach:
    values: dict[str, Any] = {"workshop_id": WORKSHOP, "workshop": HELD, **more}
    return CertifyCoach(at=NOW, person_id=PERSON, **values)


def _cover(*teams: Any, unknown: tuple[Any, ...] = ()) -> CoverTeams:
    return CoverTeams(at=NOW, person_id=PERSON, teams=teams, unknown=unknown)


def test_a_person_is_designated_once_and_again_after_being_relieved() -> None:
    given().when(_designate()).then(DESIGNATED)
    given(DESIGNATED).when(_designate()).then_raises(InvalidState, "a coach already")
    given(DESIGNATED, RELIEVED).when(_designate()).then(DESIGNATED)


def test_only_a_person_who_is_known_is_designated() -> None:
    refusal = given().when(_designate(known=False)).then_raises(NotFound)
    assert refusal.pointer == "/person_id"


def _certified(expires_on: date) -> CoachCertified:
    return CoachCertified(
        person_id=PERSON, workshop_id=WORKSHOP, certified_on=TODAY, expires_on=expires_on
    )


def test_a_certificate_holds_for_a_year_unless_another_end_is_stated() -> None:
    given(DESIGNATED).when(_certify()).then(_certified(date(2027, 2, 1)))
    end = date(2026, 6, 30)
    given(DESIGNATED).when(_certify(expires_on=end)).then(_certified(end))
    given(DESIGNATED).when(_certify(expires_on=TODAY)).then(_certified(TODAY))


def test_a_year_after_a_leap_day_is_the_28th() -> None:
    assert a_year_after(date(2028, 2, 29)) == date(2029, 2, 28)


@pytest.mark.parametrize(
    ("more", "refusal", "saying"),
    [
        ({"workshop": None}, NotFound, "no workshop"),
        ({"workshop": replace(HELD, kind=WorkshopKind.TEAM)}, Refusal, "one for team"),
        ({"workshop": replace(HELD, status=WorkshopStatus.SCHEDULED)}, Refusal, "is scheduled"),
        ({"workshop": replace(HELD, status=WorkshopStatus.CANCELLED)}, Refusal, "is cancelled"),
        ({"workshop": replace(HELD, attended=(BEN,))}, Refusal, "did not attend"),
        ({"expires_on": YESTERDAY.date()}, Refusal, "lies in the past"),
    ],
)
def test_a_certificate_without_ground_is_refused_with_the_reason(
    more: dict[str, Any], refusal: type[Refusal], saying: str
) -> None:
    caught = given(DESIGNATED).when(_certify(**more)).then_raises(refusal, saying)
    assert caught.pointer == ("/expires_on" if "expires_on" in more else "/workshop_id")


def test_a_coach_covers_the_teams_that_are_stated() -> None:
    covered = TeamsCovered(person_id=PERSON, teams=(TEAM,))
    given(DESIGNATED).when(_cover(TEAM, TEAM)).then(covered)
    given(DESIGNATED, covered).when(_cover(TEAM)).then_nothing()
    given(DESIGNATED, covered).when(_cover()).then(TeamsCovered(person_id=PERSON, teams=()))


def test_only_teams_that_are_there_are_covered() -> None:
    refusal = given(DESIGNATED).when(_cover(TEAM, uid(9), unknown=(uid(9),))).then_raises(NotFound)
    assert refusal.pointer == "/teams"


def test_a_coach_who_is_relieved_covers_no_team_and_keeps_the_certificate() -> None:
    history = [DESIGNATED, _certified(TODAY), TeamsCovered(person_id=PERSON, teams=(TEAM,))]
    relieve = RelieveCoach(at=NOW, person_id=PERSON, reason="Another task.")
    events = given(*history).when(relieve).decide()
    assert events == [CoachRelieved(person_id=PERSON, reason="Another task.")]
    state = given(*history, *events).state(RelieveCoach)
    assert (state.active, state.teams, state.expires_on) == (False, (), TODAY)


@pytest.mark.parametrize(
    "command",
    [_certify(), _cover(TEAM), RelieveCoach(at=NOW, person_id=PERSON)],
    ids=lambda command: type(command).__name__,
)
def test_only_a_coach_is_certified_given_teams_and_relieved(command: CoachCommand) -> None:
    given().when(command).then_raises(NotFound, "no coach")
    given(DESIGNATED, RELIEVED).when(command).then_raises(InvalidState, type(command).__name__)
