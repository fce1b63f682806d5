"""Key results: drafting, amending, checking in, scoring."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from app.domain.check_in import ASPECTS, Aspect, CheckIn, CheckInTerms
from app.domain.check_in_commands import CorrectCheckIn, RecordCheckIn, RetractCheckIn
from app.domain.cycle import Phase
from app.domain.deployment import Deployment, StretchTargetCommit, Tracking
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    InvalidState,
    NotFound,
    OutsideCycle,
    ReasonMissing,
    Refusal,
    WrongKind,
)
from app.domain.key_result import (
    CheckInCorrected,
    CheckInRecorded,
    CheckInRetracted,
    KeyResultAmended,
    KeyResultDrafted,
    KeyResultRemoved,
    KeyResultScored,
    KeyResultSucceeded,
    KeyResultTerms,
    Standing,
)
from app.domain.key_result_commands import (
    AmendKeyResult,
    DraftKeyResult,
    RemoveKeyResult,
    ScoreKeyResult,
    SucceedBaseline,
    decider,
)
from app.domain.measures import Baseline, Metric, Milestone, Threshold, Told, progress
from app.domain.objective import Status
from app.domain.scoring import FORMULAS
from app.domain.values import ExternalRef, Health, Owner, OwnerKind
from tests.domain.builders import (
    CHECK_IN,
    DEFAULTS,
    KEY_IDS,
    KEY_RESULT,
    KEY_RESULT_DRAFTED,
    KEY_TERMS,
    METRIC,
    NOW,
    OBJECTIVE,
    PERSON,
    REFUSING,
    YESTERDAY,
    cycle,
    objective,
    uid,
)
from tests.given import given


def _draft(**more: Any) -> DraftKeyResult:
    values: dict[str, Any] = {
        "at": NOW,
        "key_result_id": KEY_RESULT,
        "objective_id": OBJECTIVE,
        "terms": KEY_TERMS,
        "objective": objective(Status.DRAFT),
        "cycle": cycle(Phase.DRAFTING),
        "deployment": DEFAULTS,
        "owner_level": None,
        "held": 0,
        "existing": None,
    }
    return DraftKeyResult(**{**values, **more})


def _on(kind: type[Any], phase: Phase = Phase.ACTIVE, **more: Any) -> Any:
    values: dict[str, Any] = {
        "at": NOW,
        "key_result_id": KEY_RESULT,
        "objective": objective(),
        "cycle": cycle(phase),
    }
    if kind is RecordCheckIn:
        values["deployment"] = DEFAULTS
    return kind(**{**values, **more})


def _say(occurred_at: datetime = NOW, **said: Any) -> RecordCheckIn:
    names = ("phase", "objective", "external", "deployment", "from_kpi")
    extra = {name: said.pop(name) for name in names if name in said}
    return _on(  # type: ignore[no-any-return]
        RecordCheckIn,
        check_in_id=CHECK_IN,
        terms=CheckInTerms(**said),
        occurred_at=occurred_at,
        existing=None,
        **extra,
    )


def _said(
    value: Any = None,
    *,
    progress: str | None = None,
    last_word: tuple[Aspect, ...] | None = None,
    standing: Standing | None = None,
    occurred_at: datetime = NOW,
    **more: Any,
) -> CheckInRecorded:
    """Unless stated otherwise, it has the last word in all that it says, and nothing else is."""
    terms = CheckInTerms(value=value, **more)
    says = CheckIn.of(CHECK_IN, terms, occurred_at).says
    alone = Standing(
        value=value,
        read_at=None if value is None else occurred_at,
        progress=None if progress is None else Decimal(progress),
        confidence=terms.confidence,
        health=terms.health,
        last_check_in_at=occurred_at,
    )
    return CheckInRecorded(
        **KEY_IDS,
        check_in_id=CHECK_IN,
        terms=terms,
        progress=None if progress is None else Decimal(progress),
        last_word=tuple(a for a in ASPECTS if says(a)) if last_word is None else last_word,
        standing=standing or alone,
        tracking="manual",
        occurred_at=occurred_at,
    )


# Drafting ---------------------------------------------------------------------------------


def test_a_key_result_is_drafted() -> None:
    given().when(_draft()).then(KEY_RESULT_DRAFTED)


def test_the_fifth_key_result_is_warned_about_or_refused() -> None:
    (drafted,) = given().when(_draft(held=4)).decide()
    assert [f.rule for f in drafted.warnings] == ["limits.max_key_results"]  # type: ignore[attr-defined]
    given().when(_draft(held=4, deployment=REFUSING)).then_raises(DecisionRefuses)
    given().when(_draft(held=3, deployment=REFUSING)).then(KEY_RESULT_DRAFTED)


def test_a_key_result_needs_its_objective_and_a_known_owner() -> None:
    given().when(_draft(objective=None)).then_raises(NotFound)
    somebody = KeyResultTerms(title="x", owner=Owner(kind=OwnerKind.PERSON, id=PERSON))
    assert given().when(_draft(terms=somebody)).then_raises(NotFound).pointer == "/owner"


def test_no_key_result_is_drafted_under_a_closed_objective_or_cycle() -> None:
    given().when(_draft(objective=objective(Status.CLOSED))).then_raises(InvalidState)
    given().when(_draft(cycle=cycle(Phase.SCORING))).then_raises(InvalidState)
    given().when(_draft(existing=uid(9))).then_raises(AlreadyExists)


def test_a_metric_goes_somewhere() -> None:
    still = KEY_TERMS.model_copy(
        update={"measure": METRIC.model_copy(update={"target": METRIC.baseline})}
    )
    given().when(_draft(terms=still)).then_raises(Refusal, "from X to Y")
    given(KEY_RESULT_DRAFTED).when(
        _on(AmendKeyResult, terms=still, reason="x", owner_level=None)
    ).then_raises(Refusal, "from X to Y")


# Amending and removing --------------------------------------------------------------------

EASIER = KEY_TERMS.model_copy(
    update={"measure": METRIC.model_copy(update={"target": Decimal(150)})}
)


def test_an_amendment_after_commitment_needs_a_reason_and_measures_anew() -> None:
    seen = given(KEY_RESULT_DRAFTED, _said(Decimal(125), progress="0.25"))
    amend: dict[str, Any] = {"terms": EASIER, "owner_level": None}
    seen.when(_on(AmendKeyResult, **amend)).then_raises(ReasonMissing)
    seen.when(_on(AmendKeyResult, **amend, reason="One market less.")).then(
        KeyResultAmended(
            **KEY_IDS,
            terms=EASIER,
            committed_terms=KEY_TERMS,
            progress=Decimal("0.5"),
            standing=Standing(
                value=Decimal(125), read_at=NOW, progress=Decimal("0.5"), last_check_in_at=NOW
            ),
            reason="One market less.",
        )
    )


def test_a_draft_is_amended_without_a_reason() -> None:
    command = _on(AmendKeyResult, terms=EASIER, owner_level=None, objective=objective(Status.DRAFT))
    given(KEY_RESULT_DRAFTED).when(command).then(
        KeyResultAmended(**KEY_IDS, terms=EASIER, standing=Standing())
    )


def test_a_reading_that_does_not_fit_the_amended_measure_gives_no_progress() -> None:
    milestone = KEY_TERMS.model_copy(update={"measure": Milestone(kind="milestone")})
    (amended,) = (
        given(KEY_RESULT_DRAFTED, _said(Decimal(125), progress="0.25"))
        .when(_on(AmendKeyResult, terms=milestone, reason="x", owner_level=None))
        .decide()
    )
    assert isinstance(amended, KeyResultAmended)
    assert amended.progress is None


def test_an_amendment_that_changes_nothing_is_no_event() -> None:
    given(KEY_RESULT_DRAFTED).when(
        _on(AmendKeyResult, terms=KEY_TERMS, owner_level=None)
    ).then_nothing()


def test_a_removed_key_result_takes_no_more_commands() -> None:
    given(KEY_RESULT_DRAFTED).when(_on(RemoveKeyResult)).then_raises(ReasonMissing)
    removed = KeyResultRemoved(**KEY_IDS, reason="Wrong measure.")
    given(KEY_RESULT_DRAFTED).when(_on(RemoveKeyResult, reason="Wrong measure.", kpis=())).then(
        removed
    )
    after = given(KEY_RESULT_DRAFTED, removed)
    after.when(_say(value=Decimal(1))).then_raises(InvalidState, "removed")
    after.when(_on(RemoveKeyResult, reason="Again.")).then_raises(InvalidState)


# Checking in ------------------------------------------------------------------------------


def test_a_check_in_says_how_far_it_has_come() -> None:
    given(KEY_RESULT_DRAFTED).when(
        _say(value=Decimal(150), confidence=Decimal("0.6"), health=Health.AT_RISK, note="Half.")
    ).then(
        _said(
            Decimal(150),
            progress="0.5",
            confidence=Decimal("0.6"),
            health=Health.AT_RISK,
            note="Half.",
        )
    )


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.ACTIVE])
def test_a_check_in_outside_the_active_phase_is_refused(phase: Phase) -> None:
    refusal = given(KEY_RESULT_DRAFTED).when(
        _on(
            RecordCheckIn,
            phase,
            check_in_id=CHECK_IN,
            terms=CheckInTerms(value=Decimal(1)),
            occurred_at=NOW,
            existing=None,
        )
    )
    assert refusal.then_raises(InvalidState, "RecordCheckIn").facts["state"] == phase


def test_a_check_in_on_an_objective_not_committed_is_refused() -> None:
    given(KEY_RESULT_DRAFTED).when(
        _say(value=Decimal(1), objective=objective(Status.DRAFT))
    ).then_raises(InvalidState)


def test_a_check_in_says_something() -> None:
    given(KEY_RESULT_DRAFTED).when(_say(next_steps="Call them.")).then_raises(
        Refusal, "at least one of"
    )


def test_a_value_of_the_wrong_kind_is_refused() -> None:
    given(KEY_RESULT_DRAFTED).when(_say(value=True)).then_raises(WrongKind)


def test_a_check_in_speaks_of_a_moment_within_the_cycle() -> None:
    after = NOW + timedelta(minutes=6)
    given(KEY_RESULT_DRAFTED).when(_say(after, value=Decimal(1))).then_raises(
        OutsideCycle, "future"
    )
    before = cycle(Phase.ACTIVE).began_at - timedelta(seconds=1)
    given(KEY_RESULT_DRAFTED).when(_say(before, value=Decimal(1))).then_raises(
        OutsideCycle, "before the cycle began"
    )


def test_a_clock_that_runs_a_little_ahead_is_forgiven() -> None:
    soon = NOW + timedelta(minutes=4)
    assert given(KEY_RESULT_DRAFTED).when(_say(soon, value=Decimal(1))).decide()


def test_a_backdated_check_in_never_replaces_a_later_one() -> None:
    later = _said(Decimal(150), progress="0.5").model_copy(update={"check_in_id": uid(31)})
    history = (KEY_RESULT_DRAFTED, later)
    backdated = given(*history).when(_say(YESTERDAY, value=Decimal(110)))
    (event,) = backdated.decide()
    assert event == _said(
        Decimal(110),
        progress="0.1",
        last_word=(),
        standing=later.standing,
        occurred_at=YESTERDAY,
    )
    assert given(*history, event).state(RecordCheckIn).progress() == Decimal("0.5")


def test_each_thing_said_has_a_last_word_of_its_own() -> None:
    history = (KEY_RESULT_DRAFTED, _said(Decimal(120), progress="0.2"))
    earlier = _say(YESTERDAY, value=Decimal(110), health=Health.OFF_TRACK)
    (event,) = given(*history).when(earlier).decide()
    assert isinstance(event, CheckInRecorded)
    assert event.last_word == ("health",)


def test_a_clock_that_runs_ahead_does_not_silence_the_next_check_in() -> None:
    soon = NOW + timedelta(minutes=4)
    (event,) = given(KEY_RESULT_DRAFTED).when(_say(soon, value=Decimal(120))).decide()
    assert isinstance(event, CheckInRecorded)
    assert event.occurred_at == NOW
    (event,) = given(KEY_RESULT_DRAFTED, event).when(_say(NOW, value=Decimal(130))).decide()
    assert isinstance(event, CheckInRecorded)
    assert "value" in event.last_word


# Standing ---------------------------------------------------------------------------------

UPTIME = KEY_RESULT_DRAFTED.model_copy(
    update={
        "terms": KEY_TERMS.model_copy(
            update={"measure": Threshold(unit="percent", bound="at_least", limit=Decimal(99))}
        )
    }
)
REACHED = KEY_RESULT_DRAFTED.model_copy(
    update={"terms": KEY_TERMS.model_copy(update={"measure": Milestone()})}
)


def _telling(*told: tuple[int, Any, datetime], on: KeyResultDrafted) -> list[Any]:
    """What happens when readings are told one after the other."""
    history: list[Any] = [on]
    for number, value, at in told:
        command = replace(_say(at, value=value), check_in_id=uid(number))
        history += given(*history).when(command).decide()
    return history


def test_a_backdated_reading_moves_the_standing_of_a_threshold() -> None:
    """It was held from the first reading on; then it turns out that it was not, for half of it."""
    days = [NOW - timedelta(days=back) for back in (4, 2, 0)]
    in_order = _telling((31, Decimal(99), days[0]), (32, Decimal(99), days[2]), on=UPTIME)
    assert in_order[-1].standing.progress == 1
    late = _telling(
        (31, Decimal(99), days[0]),
        (32, Decimal(99), days[2]),
        (33, Decimal(90), days[1]),
        on=UPTIME,
    )[-1]
    assert late.last_word == ()
    assert late.standing == in_order[-1].standing.model_copy(update={"progress": Decimal("0.5")})


def test_a_backdated_reading_never_becomes_where_a_metric_or_a_milestone_stands() -> None:
    metric = _telling(
        (31, Decimal(150), NOW), (32, Decimal(190), YESTERDAY), on=KEY_RESULT_DRAFTED
    )[-1]
    assert (metric.progress, metric.standing.progress) == (Decimal("0.9"), Decimal("0.5"))
    assert (metric.standing.value, metric.standing.read_at) == (150, NOW)
    milestone = _telling((31, False, NOW), (32, True, YESTERDAY), on=REACHED)[-1]
    assert (milestone.progress, milestone.standing.progress) == (1, 0)
    assert milestone.standing.value is False


_MOMENTS = [NOW - timedelta(days=back) for back in range(5)]
_READINGS: dict[str, tuple[KeyResultDrafted, st.SearchStrategy[Any]]] = {
    "metric": (KEY_RESULT_DRAFTED, st.integers(100, 200).map(Decimal)),
    "threshold": (UPTIME, st.sampled_from([Decimal(98), Decimal(99)])),
    "milestone": (REACHED, st.booleans()),
}


@pytest.mark.parametrize("kind", sorted(_READINGS))
@given_any(st.data())
def test_the_standing_that_an_event_states_is_that_of_all_readings_in_any_order(
    kind: str, data: st.DataObject
) -> None:
    drafted, values = _READINGS[kind]
    readings = data.draw(st.lists(values, min_size=2, max_size=5))
    days = data.draw(st.permutations(_MOMENTS))[: len(readings)]
    told = [(30 + n, v, at) for n, (v, at) in enumerate(zip(readings, days, strict=True))]
    last = _telling(*told, on=drafted)[-1]
    in_order = _telling(*sorted(told, key=lambda one: one[2]), on=drafted)
    assert last.standing == in_order[-1].standing

    # Taken back and stated anew, the others stand as if it had never been told otherwise.
    wrong = told[0]
    history = _telling(*told, on=drafted)
    retract = _on(RetractCheckIn, check_in_id=uid(wrong[0]), reason="x")
    (retracted,) = given(*history).when(retract).decide()
    without = _telling(*sorted(told[1:], key=lambda one: one[2]), on=drafted)
    assert isinstance(retracted, CheckInRetracted)
    assert retracted.standing == without[-1].standing
    correct = _on(
        CorrectCheckIn,
        check_in_id=uid(wrong[0]),
        terms=CheckInTerms(value=told[1][1]),
        reason="x",
    )
    (corrected,) = given(*history).when(correct).decide()
    anew = [(wrong[0], told[1][1], wrong[2]), *told[1:]]
    restated = _telling(*sorted(anew, key=lambda one: one[2]), on=drafted)
    assert isinstance(corrected, CheckInCorrected)
    assert corrected.standing == restated[-1].standing


def test_a_reading_of_another_kind_from_before_an_amendment_has_no_last_word() -> None:
    """The measure became a milestone and then a metric again: the metric's reading stands."""
    to_milestone = _on(AmendKeyResult, terms=REACHED.terms, reason="x", owner_level=None)
    back = _on(AmendKeyResult, terms=KEY_TERMS, reason="x", owner_level=None)
    history = _telling((31, Decimal(150), YESTERDAY), on=KEY_RESULT_DRAFTED)
    history += given(*history).when(to_milestone).decide()
    assert history[-1].standing.value is None
    assert history[-1].progress is None
    history += given(*history).when(_say(NOW, value=True)).decide()
    assert history[-1].standing.value is True
    (amended,) = given(*history).when(back).decide()
    assert isinstance(amended, KeyResultAmended)
    assert amended.standing is not None
    assert (amended.standing.value, amended.standing.progress) == (150, Decimal("0.5"))
    assert amended.standing.last_check_in_at == NOW


# Tracking ---------------------------------------------------------------------------------

BRIDGE = ExternalRef(source="metrics-bridge", external_id="7")
TRACKED = KEY_RESULT_DRAFTED.model_copy(
    update={"terms": KEY_TERMS.model_copy(update={"tracked_by": "metrics-bridge"})}
)
STRICT = Deployment(tracking=Tracking(unnamed_source="refuse"))


@pytest.mark.parametrize(
    ("history", "more", "tracking"),
    [
        (TRACKED, {"external": BRIDGE, "deployment": STRICT}, "integration"),
        (TRACKED, {"deployment": STRICT}, "manual"),
        (KEY_RESULT_DRAFTED, {"external": BRIDGE}, "manual"),
        (KEY_RESULT_DRAFTED, {"from_kpi": True, "deployment": STRICT}, "kpi"),
    ],
)
def test_a_check_in_says_how_it_came(
    history: KeyResultDrafted, more: dict[str, Any], tracking: str
) -> None:
    (event,) = given(history).when(_say(value=Decimal(120), **more)).decide()
    assert isinstance(event, CheckInRecorded)
    assert event.tracking == tracking


def test_a_source_that_the_key_result_does_not_name_is_refused_where_that_is_decided() -> None:
    other = _say(value=Decimal(120), external=BRIDGE, deployment=STRICT)
    refusal = given(KEY_RESULT_DRAFTED).when(other).then_raises(DecisionRefuses, "by hand")
    assert (refusal.facts["decision"], refusal.pointer) == ("tracking", "/external/source")


# Correcting and retracting ----------------------------------------------------------------


def _told(number: int, value: int, at: datetime, progress: str) -> CheckInRecorded:
    said = _said(Decimal(value), progress=progress, occurred_at=at)
    return said.model_copy(update={"check_in_id": uid(number)})


FIRST, SECOND = _told(31, 120, YESTERDAY, "0.2"), _told(32, 180, NOW, "0.8")


def test_a_correction_states_the_check_in_anew_and_where_the_key_result_stands_then() -> None:
    correct = _on(
        CorrectCheckIn,
        check_in_id=uid(32),
        terms=CheckInTerms(value=Decimal(150), health=Health.AT_RISK),
        reason="A digit too many.",
    )
    given(KEY_RESULT_DRAFTED, FIRST, SECOND).when(correct).then(
        CheckInCorrected(
            **KEY_IDS,
            check_in_id=uid(32),
            terms=CheckInTerms(value=Decimal(150), health=Health.AT_RISK),
            occurred_at=NOW,
            progress=Decimal("0.5"),
            reason="A digit too many.",
            standing=Standing(
                value=Decimal(150),
                read_at=NOW,
                progress=Decimal("0.5"),
                health=Health.AT_RISK,
                last_check_in_at=NOW,
            ),
        )
    )


def test_a_retraction_leaves_the_word_to_the_check_in_before() -> None:
    retract = _on(RetractCheckIn, check_in_id=uid(32), reason="Of another key result.")
    seen = given(KEY_RESULT_DRAFTED, FIRST, SECOND)
    (event,) = seen.when(retract).decide()
    assert isinstance(event, CheckInRetracted)
    assert (event.standing.value, event.standing.last_check_in_at) == (120, YESTERDAY)
    after = given(KEY_RESULT_DRAFTED, FIRST, SECOND, event)
    assert after.state(RecordCheckIn).progress() == Decimal("0.2")
    after.when(retract).then_raises(NotFound)


def test_what_was_never_said_cannot_be_corrected() -> None:
    terms = CheckInTerms(note="x")
    for command in (
        _on(CorrectCheckIn, check_in_id=uid(99), reason="x", terms=terms),
        _on(RetractCheckIn, check_in_id=uid(99), reason="x"),
    ):
        given(KEY_RESULT_DRAFTED, FIRST).when(command).then_raises(NotFound)


@pytest.mark.parametrize("phase", [Phase.DRAFTING, Phase.REFLECTING, Phase.CLOSED])
def test_a_check_in_is_corrected_before_reflection_only(phase: Phase) -> None:
    retract = _on(RetractCheckIn, phase, check_in_id=uid(31), reason="x")
    given(KEY_RESULT_DRAFTED, FIRST).when(retract).then_raises(InvalidState)


def test_an_increment_is_added_to_the_last_value_or_the_baseline() -> None:
    step = _say(increment=Decimal(30))
    for history, value in (((), 130), ((FIRST,), 150)):
        (event,) = given(KEY_RESULT_DRAFTED, *history).when(step).decide()
        assert isinstance(event, CheckInRecorded)
        assert (event.terms.value, event.terms.increment) == (Decimal(value), Decimal(30))
    far = _say(increment=Decimal(10**9))
    assert given(KEY_RESULT_DRAFTED).when(far).then_raises(Refusal).pointer == "/increment"
    both = _say(value=Decimal(1), increment=Decimal(1))
    assert given(KEY_RESULT_DRAFTED).when(both).then_raises(Refusal).pointer == "/increment"
    milestone = KEY_RESULT_DRAFTED.model_copy(
        update={"terms": KEY_TERMS.model_copy(update={"measure": Milestone()})}
    )
    given(milestone).when(step).then_raises(WrongKind)


# Baselines and levels ---------------------------------------------------------------------

UNKNOWN = KEY_RESULT_DRAFTED.model_copy(
    update={"terms": KEY_TERMS.model_copy(update={"measure": Baseline(unit="days")})}
)


def _succeed(**more: Any) -> Any:
    values = {"successor_id": uid(40), "title": "Days to 4", "target": Decimal(4)}
    return _on(SucceedBaseline, **{**values, "deployment": DEFAULTS, "held": 1, **more})


def test_a_measured_baseline_seeds_a_metric() -> None:
    measured = _told(31, 9, YESTERDAY, "1")
    events = given(UNKNOWN, measured).when(_succeed()).decide()
    succeeded, drafted = events
    assert succeeded == KeyResultSucceeded(**KEY_IDS, successor_id=uid(40))
    assert isinstance(drafted, KeyResultDrafted)
    assert drafted.previous_id == KEY_RESULT
    assert drafted.terms.measure == Metric(unit="days", baseline=Decimal(9), target=Decimal(4))
    given(UNKNOWN, measured, succeeded).when(_succeed()).then_raises(Refusal, "it did")
    given(UNKNOWN).when(_succeed()).then_raises(Refusal, "measure it first")
    given(KEY_RESULT_DRAFTED, FIRST).when(_succeed()).then_raises(Refusal, "Only a baseline")


def test_what_was_said_of_a_milestone_measures_no_baseline() -> None:
    became = KeyResultAmended(**KEY_IDS, terms=UNKNOWN.terms, reason="Nobody knew.")
    said = given(REACHED, _said(True, progress="1"), became)
    said.when(_succeed()).then_raises(Refusal, "measure it first")


def test_once_committed_a_metric_has_the_levels_that_scoring_asks_for() -> None:
    leveled = replace(cycle(Phase.ACTIVE), scoring=StretchTargetCommit())
    committed = _draft(cycle=leveled, objective=objective(Status.COMMITTED))
    refusal = given().when(committed).then_raises(DecisionRefuses)
    assert refusal.facts["rule"] == "scoring.levels"
    assert given().when(_draft(cycle=leveled, objective=objective(Status.DRAFT))).decide()
    levels = METRIC.model_copy(update={"commit": Decimal(150), "stretch": Decimal(300)})
    terms = KEY_TERMS.model_copy(update={"measure": levels})
    assert given().when(_draft(cycle=leveled, terms=terms)).decide()


def test_what_was_amended_is_scored_as_committed_too() -> None:
    amended = KeyResultAmended(
        **KEY_IDS, terms=EASIER, committed_terms=KEY_TERMS, progress=Decimal(1), reason="Less."
    )
    (event,) = given(KEY_RESULT_DRAFTED, amended, FIRST).when(_score()).decide()
    assert isinstance(event, KeyResultScored)
    assert (event.computed, event.as_committed) == (Decimal("0.4"), Decimal("0.2"))


def test_a_second_delivery_is_recognised_even_after_the_cycle_went_on() -> None:
    command = _on(
        RecordCheckIn,
        Phase.CLOSED,
        check_in_id=CHECK_IN,
        terms=CheckInTerms(value=Decimal(1)),
        occurred_at=NOW,
        existing=uid(30),
    )
    given(KEY_RESULT_DRAFTED).when(command).then_raises(AlreadyExists)


# Scoring ----------------------------------------------------------------------------------


def _score(**more: Any) -> ScoreKeyResult:
    return _on(ScoreKeyResult, Phase.SCORING, **{"comment": "Well.", **more})  # type: ignore[no-any-return]


def _scored(computed: str, final: str, reason: str | None = None) -> KeyResultScored:
    return KeyResultScored(
        **KEY_IDS,
        computed=Decimal(computed),
        score=Decimal(final),
        formula=FORMULAS["measure_what_matters"],
        comment="Well.",
        adjustment_reason=reason,
    )


def test_the_computed_score_is_the_progress_of_the_latest_value() -> None:
    given(KEY_RESULT_DRAFTED, _said(Decimal(180), progress="0.8")).when(_score()).then(
        _scored("0.8", "0.8")
    )
    given(KEY_RESULT_DRAFTED).when(_score()).then(_scored("0", "0"))


def test_an_adjusted_score_says_why() -> None:
    seen = given(KEY_RESULT_DRAFTED, _said(Decimal(180), progress="0.8"))
    refusal = seen.when(_score(score=Decimal("0.9"))).then_raises(
        ReasonMissing, "computed score is 0.8; say why 0.9"
    )
    assert refusal.pointer == "/adjustment_reason"
    seen.when(_score(score=Decimal("0.9"), adjustment_reason="Two start next week.")).then(
        _scored("0.8", "0.9", "Two start next week.")
    )


def test_a_reason_for_no_adjustment_is_not_kept() -> None:
    given(KEY_RESULT_DRAFTED).when(_score(score=Decimal(0), adjustment_reason="None needed.")).then(
        _scored("0", "0")
    )


@pytest.mark.parametrize("phase", [Phase.DRAFTING, Phase.ACTIVE, Phase.CLOSED])
def test_scores_are_given_in_scoring_and_reflecting_only(phase: Phase) -> None:
    given(KEY_RESULT_DRAFTED).when(_on(ScoreKeyResult, phase, comment="x")).then_raises(
        InvalidState
    )


@pytest.mark.parametrize("kind", [AmendKeyResult, RemoveKeyResult, RecordCheckIn, ScoreKeyResult])
def test_an_unknown_key_result_takes_no_command(kind: type[Any]) -> None:
    more: dict[type[Any], dict[str, Any]] = {
        AmendKeyResult: {"terms": KEY_TERMS, "owner_level": None},
        RecordCheckIn: {"check_in_id": CHECK_IN, "terms": CheckInTerms(), "occurred_at": NOW},
        ScoreKeyResult: {"comment": "x"},
    }
    given().when(_on(kind, **more.get(kind, {}))).then_raises(NotFound)


# Any sequence -----------------------------------------------------------------------------

_moments = st.integers(0, 20).map(lambda hours: NOW - timedelta(hours=hours))
_values = st.none() | st.decimals(min_value=0, max_value=300, places=2)


@given_any(st.lists(st.tuples(_moments, _values), max_size=12))
def test_the_standing_is_the_last_word_whatever_the_order_of_recording(
    readings: list[tuple[datetime, Decimal | None]],
) -> None:
    state = decider.fold([KEY_RESULT_DRAFTED])
    for occurred_at, value in readings:
        command = _say(occurred_at, value=value, note="x")
        for event in decider.decide(state, command):
            assert isinstance(event, CheckInRecorded)
            state = decider.evolve(state, event)
    assert state is not None
    # Straightforwardly: of those with a value, the last of the latest.
    valued = [(at, n, value) for n, (at, value) in enumerate(readings) if value is not None]
    if not valued:
        assert state.progress() is None
        return
    _, _, reading = max(valued)
    assert state.progress() == progress(METRIC, [Told(reading, NOW)])


_few_moments = st.integers(0, 3).map(lambda hours: NOW - timedelta(hours=hours))
_few_terms = st.builds(
    CheckInTerms,
    value=st.none() | st.integers(0, 5).map(Decimal),
    confidence=st.none() | st.integers(0, 10).map(lambda tenths: Decimal(tenths) / 10),
    health=st.none() | st.sampled_from(Health),
)
_steps = st.tuples(st.sampled_from("tttcr"), st.integers(0, 5), _few_terms, _few_moments)


@given_any(st.lists(_steps, max_size=16))
def test_the_last_words_are_those_of_what_stands_after_any_corrections(
    steps: list[tuple[str, int, CheckInTerms, datetime]],
) -> None:
    state = decider.fold([KEY_RESULT_DRAFTED])
    assert state is not None
    stands: dict[int, CheckIn] = {}
    for n, (step, which, terms, moment) in enumerate(steps):
        known = list(stands)
        if step != "t" and not known:
            continue
        number = n if step == "t" else known[which % len(known)]
        told = CheckIn.of(uid(100 + number), terms, moment)
        if step == "t":
            state = state.with_new_check_in(told)
        elif step == "c":
            state = state.with_check_in(told)
        else:
            state = state.without_check_in(told.check_in_id)
        stands = {**stands, number: told}
        if step == "r":
            del stands[number]
        assert list(state.check_ins) == list(stands.values())
        for aspect in ASPECTS:
            # A sort keeps the order of those that are equal.
            saying = [one for one in stands.values() if one.says(aspect)]
            saying.sort(key=lambda one: one.occurred_at)
            assert state.last.get(aspect) == (saying[-1] if saying else None)
