"""Cycles: their dates, and which command applies in which phase."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.domain.cycle import (
    BeginDrafting,
    BeginReflection,
    BeginScoring,
    Cycle,
    CycleCommand,
    CycleDraftingBegun,
    CycleOpened,
    OpenCycle,
    Phase,
    PlanCycle,
    RecordReflection,
    ReflectionRecorded,
)
from app.domain.deployment import Cadence, Deployment, Rhythm
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    InvalidState,
    NotFound,
    NotReady,
    Refusal,
)
from app.domain.readiness import FirstCycle, Override, Preparation
from app.domain.reset import CloseCycle
from tests.domain.builders import (
    CYCLE,
    DEFAULTS,
    ENDS,
    HISTORY,
    NOW,
    PERSON,
    PLANNED,
    STARTS,
    TEAM,
    cycle,
    uid,
)
from tests.domain.test_readiness import READY
from tests.given import given


def _plan(**more: object) -> PlanCycle:
    values: dict[str, object] = {
        "at": NOW,
        "cycle_id": CYCLE,
        "name": "2026 Q1",
        "starts_on": STARTS,
        "ends_on": ENDS,
        "deployment": DEFAULTS,
        "parent": None,
        "existing": None,
    }
    return PlanCycle(**{**values, **more})  # type: ignore[arg-type]


def test_a_quarter_is_planned() -> None:
    given().when(_plan()).then(PLANNED)


def test_a_cycle_that_fits_no_cadence_is_refused_by_that_decision() -> None:
    refusal = (
        given()
        .when(_plan(ends_on=date(2026, 6, 30)))
        .then_raises(DecisionRefuses, "181 days fit no cadence decided (quarterly)")
    )
    assert refusal.facts["decision"] == "cadence"


@pytest.mark.parametrize(
    ("rhythm", "ends_on"),
    [
        (Rhythm(company=Cadence.YEAR), date(2026, 12, 31)),
        (Rhythm(team=Cadence.MONTHLY), date(2026, 1, 31)),
        (Rhythm(team=Cadence.FOUR_MONTH), date(2026, 4, 30)),
        (Rhythm(team=Cadence.HALF_YEAR), date(2026, 6, 30)),
        (Rhythm(individual=Cadence.CUSTOM, custom_days=42), date(2026, 2, 11)),
    ],
)
def test_any_cadence_decided_is_allowed(rhythm: Rhythm, ends_on: date) -> None:
    command = _plan(ends_on=ends_on, deployment=Deployment(cadence=rhythm))
    assert given().when(command).decide()


def test_a_cycle_ends_after_it_starts() -> None:
    given().when(_plan(ends_on=STARTS)).then_raises(Refusal, "after starts_on")


def test_a_nested_cycle_lies_within_its_parent() -> None:
    outside = cycle(Phase.ACTIVE)
    given().when(
        _plan(
            cycle_id=uid(9),
            parent_id=CYCLE,
            parent=outside,
            starts_on=date(2026, 1, 5),
            ends_on=date(2026, 4, 5),
        )
    ).then_raises(Refusal, "must lie within '2026 Q1'")
    given().when(_plan(parent_id=uid(9))).then_raises(NotFound)


def test_a_second_delivery_of_a_cycle_is_recognised() -> None:
    assert given().when(_plan(existing=uid(8))).then_raises(AlreadyExists).existing == uid(8)


_NEXT: dict[type[CycleCommand], Phase] = {
    BeginDrafting: Phase.PLANNED,
    OpenCycle: Phase.DRAFTING,
    BeginScoring: Phase.ACTIVE,
    BeginReflection: Phase.SCORING,
    CloseCycle: Phase.REFLECTING,
}


def _command(kind: type[CycleCommand]) -> CycleCommand:
    if kind is OpenCycle:
        return _open(preparation=READY)
    if kind is CloseCycle:
        return CloseCycle(at=NOW, cycle_id=CYCLE, goals=(), kpis=())
    return kind(at=NOW, cycle_id=CYCLE)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("kind", list(_NEXT))
def test_each_phase_allows_its_own_command_and_refuses_the_others_by_name(
    phase: Phase, kind: type[CycleCommand]
) -> None:
    attempt = given(*HISTORY[phase]).when(_command(kind))
    if _NEXT[kind] is phase:
        following = list(Phase)[list(Phase).index(phase) + 1]
        events = [*HISTORY[phase], *attempt.decide()]
        assert given(*events).state(kind).phase is following
    else:
        refusal = attempt.then_raises(InvalidState, kind.__name__)
        assert refusal.facts["state"] == phase


@pytest.mark.parametrize("kind", list(_NEXT))
def test_an_unknown_cycle_takes_no_command(kind: type[CycleCommand]) -> None:
    given().when(_command(kind)).then_raises(NotFound)


def test_opening_keeps_the_scoring_decision_with_the_cycle() -> None:
    opened = given(*HISTORY[Phase.DRAFTING]).when(_command(OpenCycle)).decide()
    assert opened == [CycleOpened(cycle_id=CYCLE, opened_at=NOW, scoring=DEFAULTS.scoring)]


def _open(**more: Any) -> OpenCycle:
    values: dict[str, Any] = {
        "at": NOW,
        "preparation": Preparation(),
        "person_known": True,
        "deployment": DEFAULTS,
        **more,
    }
    return OpenCycle(cycle_id=CYCLE, **values)


OVERRIDE = Override(person_id=PERSON, reason="The workshop is next week.")
_OPENED = CycleOpened(cycle_id=CYCLE, opened_at=NOW, scoring=DEFAULTS.scoring)


def test_the_first_cycle_waits_until_the_organisation_is_ready() -> None:
    attempt = given(*HISTORY[Phase.DRAFTING]).when(_open())
    refusal = attempt.then_raises(NotReady, "Or open it with an override")
    missing: Any = refusal.facts["missing"]
    assert [one["condition"] for one in missing] == ["deployment", "leadership", "coaches"]
    assert all(one["message"] in refusal.detail for one in missing)
    given(*HISTORY[Phase.DRAFTING]).when(_open(preparation=READY)).then(_OPENED)


def test_the_first_cycle_is_opened_by_an_override_which_is_kept() -> None:
    given(*HISTORY[Phase.DRAFTING]).when(_open(override=OVERRIDE)).then(
        _OPENED.model_copy(update={"override": OVERRIDE})
    )


def test_an_override_that_was_not_needed_is_not_kept() -> None:
    command = _open(override=OVERRIDE, preparation=READY)
    given(*HISTORY[Phase.DRAFTING]).when(command).then(_OPENED)


@pytest.mark.parametrize("preparation", [Preparation(), READY], ids=["unready", "ready"])
def test_an_override_names_a_person_who_is_known(preparation: Preparation) -> None:
    command = _open(override=OVERRIDE, person_known=False, preparation=preparation)
    refusal = given(*HISTORY[Phase.DRAFTING]).when(command).then_raises(NotFound)
    assert refusal.pointer == "/override/person_id"


def test_a_later_cycle_does_not_wait() -> None:
    later = Preparation(first_cycle=FirstCycle(uid(9), NOW, None))
    given(*HISTORY[Phase.DRAFTING]).when(_open(preparation=later)).then(_OPENED)


def test_a_cycle_that_is_over_already_is_history_and_does_not_wait() -> None:
    last_day = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
    given(*HISTORY[Phase.DRAFTING]).when(_open(at=last_day)).then_raises(NotReady)
    day_after = datetime(2026, 4, 1, tzinfo=UTC)
    (opened,) = given(*HISTORY[Phase.DRAFTING]).when(_open(at=day_after)).decide()
    assert opened == _OPENED.model_copy(update={"opened_at": day_after})


def test_an_early_opening_moves_the_earliest_moment_to_speak_of() -> None:
    assert cycle(Phase.ACTIVE).began_at == datetime(2026, 1, 1, tzinfo=UTC)
    early = Cycle(CYCLE, "Q", STARTS, ENDS, opened_at=datetime(2025, 12, 20, tzinfo=UTC))
    assert early.began_at == datetime(2025, 12, 20, tzinfo=UTC)


def _reflect(**said: Any) -> RecordReflection:
    values: dict[str, Any] = {"unknown": (), "key_results": 6, **said}
    return RecordReflection(
        at=NOW,
        cycle_id=CYCLE,
        reflection_id=uid(20),
        team_id=TEAM,
        team_known=True,
        existing=None,
        **values,
    )


@pytest.mark.parametrize("phase", [Phase.SCORING, Phase.REFLECTING])
def test_a_reflection_is_recorded_while_looking_back(phase: Phase) -> None:
    given(*HISTORY[phase]).when(_reflect(worked=("Short check-ins",))).then(
        ReflectionRecorded(
            cycle_id=CYCLE, reflection_id=uid(20), team_id=TEAM, worked=("Short check-ins",)
        )
    )


def test_a_reflection_says_something() -> None:
    given(*HISTORY[Phase.SCORING]).when(_reflect()).then_raises(Refusal, "at least one thing")


def test_a_reflection_tells_how_long_it_took_and_who_took_part() -> None:
    said = _reflect(worked=("Rhythm",), minutes=45, participants=(PERSON, uid(9), PERSON))
    (event,) = given(*HISTORY[Phase.REFLECTING]).when(said).decide()
    assert isinstance(event, ReflectionRecorded)
    assert (event.minutes, event.participants, event.warnings) == (45, (PERSON, uid(9)), ())
    stranger = _reflect(worked=("Rhythm",), participants=(PERSON, uid(9)), unknown=(uid(9),))
    refusal = given(*HISTORY[Phase.REFLECTING]).when(stranger).then_raises(NotFound)
    assert refusal.pointer == "/participants/1"


@pytest.mark.parametrize(
    ("minutes", "key_results", "rules"),
    [
        (None, 6, []),
        (29, 6, ["reflection.minutes"]),
        (30, 6, []),
        (60, 6, []),
        (61, 7, ["reflection.minutes"]),
        (61, 6, ["reflection.minutes", "reflection.minutes_per_key_result"]),
        (41, 4, ["reflection.minutes_per_key_result"]),
        (40, 4, []),
        # Half an hour is never too long, and without key results there is nothing to divide by.
        (30, 1, []),
        (31, 1, ["reflection.minutes_per_key_result"]),
        (45, 0, []),
    ],
)
def test_a_reflection_that_is_too_short_or_too_long_is_warned_about(
    minutes: int | None, key_results: int, rules: list[str]
) -> None:
    said = _reflect(worked=("Rhythm",), minutes=minutes, key_results=key_results)
    (event,) = given(*HISTORY[Phase.SCORING]).when(said).decide()
    assert isinstance(event, ReflectionRecorded)
    assert [one.rule for one in event.warnings] == rules


def test_a_reflection_during_execution_is_too_early() -> None:
    given(*HISTORY[Phase.ACTIVE]).when(_reflect(worked=("x",))).then_raises(InvalidState)


def test_drafting_begins_with_its_own_event() -> None:
    given(PLANNED).when(_command(BeginDrafting)).then(CycleDraftingBegun(cycle_id=CYCLE))
