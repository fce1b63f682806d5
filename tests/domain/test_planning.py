"""Planning a year in one go; renaming, rescheduling and cancelling what is planned."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from app.domain.calendar import windows
from app.domain.cycle import (
    Cycle,
    CycleCancelled,
    CyclePlanned,
    CycleRenamed,
    CycleRescheduled,
    Phase,
    PlanCycle,
)
from app.domain.deployment import Cadence, CycleLength, Deployment, Levels, Rhythm
from app.domain.errors import DecisionRefuses, InvalidState, NotFound, Refusal
from app.domain.planning import CancelCycle, PlanCycles, RenameCycle, RescheduleCycle, year_plan
from app.domain.values import Level
from tests.domain.builders import CYCLE, ENDS, HISTORY, NOW, PLANNED, STARTS, cycle, uid
from tests.given import given

DEFAULTS = Deployment()
YEARLY = Deployment(cadence=Rhythm(company=Cadence.YEAR))
COMPANY, TEAM = Level.COMPANY, Level.TEAM
PARENT = Cycle(uid(80), "2026", date(2026, 1, 1), date(2026, 12, 31))
BEGUN = [phase for phase in Phase if phase not in (Phase.PLANNED, Phase.DRAFTING)]


def _plan(decided: Deployment = DEFAULTS, others: tuple[Cycle, ...] = (), **more: Any) -> Any:
    terms = {"year": 2026, **more}
    number = len(year_plan(decided, **terms))
    ids = tuple(uid(100 + n) for n in range(number))
    facts: dict[str, Any] = {"deployment": decided, "parent": None, "others": others}
    return PlanCycles(at=NOW, ids=ids, **facts, **terms)


def _planned(decided: Deployment = DEFAULTS, **more: Any) -> list[CyclePlanned]:
    return given().when(_plan(decided, **more)).decide()  # type: ignore[return-value]


# A year -----------------------------------------------------------------------------------


def test_levels_of_one_cadence_share_their_cycles() -> None:
    events = _planned()
    assert [event.name for event in events] == ["2026 Q1", "2026 Q2", "2026 Q3", "2026 Q4"]
    assert {event.levels for event in events} == {(COMPANY, TEAM)}
    assert {event.parent_id for event in events} == {None}
    assert [event.cycle_id for event in events] == [uid(100 + n) for n in range(4)]


def test_quarters_of_the_teams_nest_in_the_year_of_the_company() -> None:
    year, *quarters = _planned(YEARLY)
    assert (year.name, year.levels, year.parent_id) == ("2026", (COMPANY,), None)
    assert {(one.levels, one.parent_id) for one in quarters} == {((TEAM,), year.cycle_id)}
    assert (len(quarters), quarters[-1].ends_on) == (4, year.ends_on)


def test_a_year_that_is_asked_for_holds_the_others_and_is_for_no_level() -> None:
    year, *quarters = _planned(with_year=True)
    assert (year.name, year.levels) == ("2026", None)
    assert {one.parent_id for one in quarters} == {year.cycle_id}


def test_a_cycle_keeps_the_windows_of_the_decisions_of_its_moment() -> None:
    decided = Deployment(
        cadence=Rhythm(check_in_every_days=7), cycle_length=CycleLength(planning_days=30)
    )
    for event in _planned(decided):
        assert event.windows == windows(event.starts_on, event.ends_on, decided)
    assert given().when(_plan(decided)).decide() != given().when(_plan()).decide()


def test_only_the_levels_asked_for_are_planned() -> None:
    assert [event.name for event in _planned(YEARLY, levels=(COMPANY,))] == ["2026"]
    assert {event.levels for event in _planned(YEARLY, levels=(TEAM, TEAM))} == {(TEAM,)}


def test_a_level_at_which_no_goals_are_set_has_no_cycles() -> None:
    with pytest.raises(DecisionRefuses, match="No OKRs are set at the level individual"):
        year_plan(DEFAULTS, 2026, levels=(Level.INDIVIDUAL,))
    decided = Deployment(levels=Levels(owners=tuple(Level)))
    assert {event.levels for event in _planned(decided)} == {tuple(Level)}


def test_a_year_may_begin_in_the_calendar_year_before_and_no_earlier() -> None:
    events = _planned(starts_on=date(2025, 10, 1))
    assert (events[0].name, events[0].starts_on) == ("2026 Q1", date(2025, 10, 1))
    for day in (date(2024, 12, 31), date(2027, 1, 1)):
        with pytest.raises(Refusal, match="begins in 2026, or in 2025"):
            year_plan(DEFAULTS, 2026, starts_on=day)


def test_a_cycle_longer_than_the_year_is_planned_by_itself() -> None:
    decided = Deployment(cadence=Rhythm(team=Cadence.CUSTOM, custom_days=400))
    with pytest.raises(Refusal, match="400 days does not fit in a year; leave out team"):
        year_plan(decided, 2026)
    assert year_plan(decided, 2026, levels=(COMPANY,))


@pytest.mark.parametrize(
    ("starts_on", "ends_on"),
    [
        (date(2026, 1, 1), date(2026, 3, 31)),
        (date(2026, 12, 31), date(2027, 3, 31)),
        (date(2025, 10, 1), date(2026, 1, 1)),
    ],
)
def test_a_cycle_of_the_same_level_that_overlaps_is_named(starts_on: date, ends_on: date) -> None:
    other = Cycle(uid(81), "Spring", starts_on, ends_on, levels=(TEAM,))
    refusal = given().when(_plan(others=(other,))).then_raises(Refusal, "overlaps 'Spring'")
    assert refusal.facts["existing_id"] == str(uid(81))
    assert "for team" in refusal.detail


@pytest.mark.parametrize(
    "other",
    [
        Cycle(uid(81), "Before", date(2025, 10, 1), date(2025, 12, 31), levels=(TEAM,)),
        Cycle(uid(81), "After", date(2027, 1, 1), date(2027, 3, 31), levels=(TEAM,)),
        Cycle(uid(81), "Theirs", date(2026, 1, 1), date(2026, 3, 31), levels=(Level.INDIVIDUAL,)),
        Cycle(uid(81), "By hand", date(2026, 1, 1), date(2026, 3, 30)),
    ],
    ids=lambda other: other.name,
)
def test_a_cycle_beside_or_of_another_level_is_in_nobody_s_way(other: Cycle) -> None:
    assert given().when(_plan(others=(other,))).decide()


def test_a_cycle_of_the_very_same_days_is_in_the_way_whoever_it_is_for() -> None:
    by_hand = Cycle(uid(81), "By hand", STARTS, ENDS)
    given().when(_plan(others=(by_hand,))).then_raises(Refusal, "overlaps 'By hand'")


def _nested(parent: Cycle | None = PARENT, **more: Any) -> Any:
    return replace(_plan(levels=(TEAM,), **more), parent_id=uid(80), parent=parent)


def test_quarters_nest_in_a_year_that_was_planned_before() -> None:
    events = given().when(_nested(others=(PARENT,))).decide()
    assert len(events) == 4
    assert {event.parent_id for event in events} == {PARENT.cycle_id}  # type: ignore[attr-defined]


def test_a_parent_is_there_goes_on_and_holds_all_of_the_year() -> None:
    unknown = given().when(_nested(None)).then_raises(NotFound)
    cancelled = given().when(_nested(replace(PARENT, phase=Phase.CANCELLED))).then_raises(Refusal)
    short = replace(PARENT, ends_on=date(2026, 12, 30))
    outside = given().when(_nested(short)).then_raises(Refusal, "must lie within '2026'")
    assert {one.pointer for one in (unknown, cancelled, outside)} == {"/parent_id"}


@pytest.mark.parametrize("more", [{"with_year": True}, {"decided": YEARLY}])
def test_a_year_that_holds_the_others_itself_takes_no_parent(more: dict[str, Any]) -> None:
    plan = replace(_plan(**more), parent_id=uid(80), parent=PARENT)
    refusal = given().when(plan).then_raises(Refusal, "leave out parent_id")
    assert refusal.pointer == "/parent_id"


# Changes ----------------------------------------------------------------------------------


def _rename(name: str) -> RenameCycle:
    return RenameCycle(at=NOW, cycle_id=CYCLE, name=name)


def _reschedule(others: tuple[Cycle, ...] = (), **more: Any) -> RescheduleCycle:
    values = {"deployment": DEFAULTS, **more}
    return RescheduleCycle(at=NOW, cycle_id=CYCLE, others=others, **values)


def _cancel(*others: Cycle) -> CancelCycle:
    return CancelCycle(at=NOW, cycle_id=CYCLE, reason="Too many.", others=others)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_cycle_is_renamed_until_it_ends(phase: Phase) -> None:
    attempt = given(*HISTORY[phase]).when(_rename("First quarter"))
    if phase in (Phase.CLOSED, Phase.CANCELLED):
        attempt.then_raises(InvalidState, "RenameCycle")
    else:
        attempt.then(CycleRenamed(cycle_id=CYCLE, name="First quarter"))


def test_the_same_name_and_the_same_days_change_nothing() -> None:
    given(PLANNED).when(_rename("2026 Q1")).then_nothing()
    given(PLANNED).when(_reschedule(starts_on=STARTS, ends_on=ENDS)).then_nothing()


@pytest.mark.parametrize("phase", [Phase.PLANNED, Phase.DRAFTING])
def test_days_are_moved_with_their_windows_before_execution(phase: Phase) -> None:
    last = date(2026, 4, 5)
    decided = Deployment(cycle_length=CycleLength(scoring_days=3))
    given(*HISTORY[phase]).when(_reschedule(ends_on=last, deployment=decided)).then(
        CycleRescheduled(
            cycle_id=CYCLE, starts_on=STARTS, ends_on=last, windows=windows(STARTS, last, decided)
        )
    )


@pytest.mark.parametrize("phase", BEGUN)
def test_days_stay_once_a_cycle_was_opened(phase: Phase) -> None:
    attempt = given(*HISTORY[phase]).when(_reschedule(ends_on=date(2026, 4, 5)))
    attempt.then_raises(InvalidState, "while the cycle is planned or drafting")


def test_moved_days_are_judged_by_the_cadence() -> None:
    refusal = (
        given(PLANNED)
        .when(_reschedule(ends_on=date(2026, 6, 30)))
        .then_raises(DecisionRefuses, "181 days fit no cadence")
    )
    assert refusal.pointer == "/ends_on"
    given(PLANNED).when(_reschedule(ends_on=STARTS)).then_raises(Refusal, "after starts_on")


def test_moved_days_stay_within_the_parent_and_around_the_cycles_within() -> None:
    nested = PLANNED.model_copy(update={"parent_id": PARENT.cycle_id})
    early = _reschedule((PARENT,), starts_on=date(2025, 12, 29))
    given(nested).when(early).then_raises(Refusal, "within '2026'")
    assert given(nested).when(_reschedule((PARENT,), starts_on=date(2026, 1, 5))).decide()

    inner = Cycle(uid(82), "March", date(2026, 3, 1), ENDS, parent_id=CYCLE)
    shorter = _reschedule((inner,), ends_on=date(2026, 3, 29))
    given(PLANNED).when(shorter).then_raises(Refusal, "'March'")
    # Without a tie, the other's days do not matter.
    loose = replace(inner, parent_id=None)
    assert given(PLANNED).when(_reschedule((loose,), ends_on=date(2026, 3, 29))).decide()


def test_moved_days_leave_another_cycle_of_the_level_alone() -> None:
    of_team = PLANNED.model_copy(update={"levels": (TEAM,)})
    itself = Cycle(CYCLE, "2026 Q1", STARTS, ENDS, levels=(TEAM,))
    second = Cycle(uid(83), "2026 Q2", date(2026, 4, 1), date(2026, 6, 30), levels=(TEAM,))
    longer = _reschedule((itself, second), ends_on=date(2026, 4, 5))
    given(of_team).when(longer).then_raises(Refusal, "overlaps '2026 Q2'")
    assert given(of_team).when(_reschedule((itself, second), ends_on=date(2026, 3, 30))).decide()


@pytest.mark.parametrize("phase", list(Phase))
def test_only_what_is_merely_planned_is_cancelled(phase: Phase) -> None:
    attempt = given(*HISTORY[phase]).when(_cancel())
    if phase is Phase.PLANNED:
        attempt.then(CycleCancelled(cycle_id=CYCLE, reason="Too many."))
    else:
        attempt.then_raises(InvalidState, "CancelCycle")


def test_a_cycle_that_holds_others_is_cancelled_after_them() -> None:
    inner = Cycle(uid(82), "March", date(2026, 3, 1), ENDS, parent_id=CYCLE)
    given(PLANNED).when(_cancel(inner)).then_raises(Refusal, "cancel March first")


def test_nothing_nests_in_a_cancelled_cycle() -> None:
    command = PlanCycle(
        at=NOW,
        cycle_id=uid(90),
        name="Nested",
        starts_on=STARTS,
        ends_on=ENDS,
        parent_id=CYCLE,
        deployment=DEFAULTS,
        parent=cycle(Phase.CANCELLED),
        existing=None,
    )
    given().when(command).then_raises(Refusal, "'2026 Q1' is cancelled")


@pytest.mark.parametrize("command", [_rename("x"), _reschedule(), _cancel()])
def test_an_unknown_cycle_is_not_changed(command: Any) -> None:
    given().when(command).then_raises(NotFound)
