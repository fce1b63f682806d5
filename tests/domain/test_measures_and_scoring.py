"""Progress, scores, roll-ups and shown health."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import assume
from hypothesis import given as given_any
from hypothesis import strategies as st

from app.domain.deployment import (
    AnyScoring,
    MeasureWhatMatters,
    RadicalFocus,
    StretchTargetCommit,
)
from app.domain.errors import Refusal, WrongKind
from app.domain.measures import (
    AnyMeasure,
    Baseline,
    Metric,
    Milestone,
    MilestoneLevels,
    Rung,
    Threshold,
    Told,
    check,
    course,
    demand_fit,
    progress,
)
from app.domain.scoring import (
    FORMULAS,
    check_in_due,
    compute,
    expected,
    forecast,
    roll_up,
    shown_health,
    trending,
)
from app.domain.values import Health
from tests.domain.builders import METRIC, NOW

_numbers = st.decimals(min_value=-(10**6), max_value=10**6, places=2)
_shares = st.decimals(min_value=0, max_value=1, places=4)
_weights = st.decimals(min_value=Decimal("0.01"), max_value=100, places=2)


LADDER = Milestone(levels=MilestoneLevels(commit="A draft", target="Signed", stretch="Live"))


def _metric(baseline: Decimal, target: Decimal) -> Metric:
    return Metric(kind="metric", unit="x", baseline=baseline, target=target)


def _levelled(baseline: int, commit: int, target: int, stretch: int) -> Metric:
    return Metric(
        unit="x",
        baseline=Decimal(baseline),
        commit=Decimal(commit),
        target=Decimal(target),
        stretch=Decimal(stretch),
    )


def _reached(measure: AnyMeasure, reading: bool | Rung | Decimal) -> Decimal:
    found = progress(measure, [Told(reading, NOW)])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("baseline", "target", "reading", "expected"),
    [
        (100, 200, 100, "0"),
        (100, 200, 150, "0.5"),
        (100, 200, 200, "1"),
        (100, 200, 250, "1"),
        (100, 200, 50, "0"),
        (38, 25, 31, "0.5385"),
        (11, 5, 5, "1"),
        (-10, 10, 0, "0.5"),
    ],
)
def test_progress_of_a_metric_runs_from_baseline_to_target_up_or_down(
    baseline: int, target: int, reading: int, expected: str
) -> None:
    metric = _metric(Decimal(baseline), Decimal(target))
    assert _reached(metric, Decimal(reading)) == Decimal(expected)


@given_any(_numbers, _numbers, _numbers, _numbers)
def test_progress_stays_within_0_and_1_and_never_falls_towards_the_target(
    baseline: Decimal, target: Decimal, one: Decimal, other: Decimal
) -> None:
    assume(baseline != target)
    metric = _metric(baseline, target)
    nearer, farther = sorted(
        (one, other), key=lambda value: value * (1 if target > baseline else -1), reverse=True
    )
    assert 0 <= _reached(metric, farther) <= _reached(metric, nearer) <= 1


def test_a_milestone_is_reached_or_not_or_how_far() -> None:
    assert _reached(Milestone(), True) == 1
    assert _reached(Milestone(), False) == 0
    assert [_reached(LADDER, rung) for rung in Rung] == [
        Decimal(0),
        Decimal("0.3333"),
        Decimal("0.6667"),
        Decimal(1),
    ]


@pytest.mark.parametrize(
    ("measure", "reading", "wanted"),
    [
        (METRIC, True, "give its value as a number"),
        (Milestone(), Decimal(1), "true or false"),
        (LADDER, True, "none, commit, target, stretch"),
        (Baseline(unit="days"), Rung.COMMIT, "number"),
    ],
)
def test_a_reading_of_the_wrong_kind_is_refused_with_what_to_give(
    measure: AnyMeasure, reading: bool | Rung | Decimal, wanted: str
) -> None:
    with pytest.raises(WrongKind, match=wanted):
        demand_fit(measure, reading)
    # What came from before an amendment tells nothing.
    assert progress(measure, [Told(reading, NOW)]) is None


# Thresholds and baselines -----------------------------------------------------------------

UPTIME = Threshold(unit="percent", bound="at_least", limit=Decimal(99))


def _told(*readings: int, hours: tuple[int, ...] | None = None) -> list[Told]:
    at = hours or tuple(range(len(readings)))
    return [
        Told(Decimal(reading), NOW + timedelta(hours=hour))
        for reading, hour in zip(readings, at, strict=True)
    ]


def test_a_threshold_is_held_for_a_share_of_the_time_each_reading_lasting_until_the_next() -> None:
    # 99 for one hour, 98 for three, 100 for two until the end.
    told = _told(99, 98, 100, hours=(0, 1, 4))
    until = NOW + timedelta(hours=6)
    assert progress(UPTIME, told, until=until) == Decimal("0.5")
    # Without an end, up to the last reading.
    assert progress(UPTIME, told) == Decimal("0.25")
    assert progress(UPTIME, told[:1]) == 1


def test_a_threshold_is_held_for_a_share_of_the_check_ins_where_that_is_decided() -> None:
    told = _told(99, 98, 100, hours=(0, 1, 4))
    assert progress(UPTIME, told, held_by="check_ins") == Decimal("0.6667")
    at_most = Threshold(unit="errors", bound="at_most", limit=Decimal(98))
    assert progress(at_most, told, held_by="check_ins") == Decimal("0.3333")


def test_a_baseline_is_done_when_it_is_measured() -> None:
    assert progress(Baseline(unit="days"), []) is None
    assert _reached(Baseline(unit="days"), Decimal(-3)) == 1


def test_a_metric_that_goes_nowhere_is_refused() -> None:
    with pytest.raises(Refusal, match="goes from X to Y") as refused:
        check(_metric(Decimal(5), Decimal(5)))
    assert refused.value.pointer == "/measure/target"


@pytest.mark.parametrize(
    ("commit", "target", "stretch", "fault"),
    [(150, 140, 200, "target"), (90, 150, 200, "commit"), (120, 150, 150, "stretch")],
)
def test_levels_lie_on_the_way_from_baseline_to_stretch(
    commit: int, target: int, stretch: int, fault: str
) -> None:
    with pytest.raises(Refusal) as refused:
        check(_levelled(100, commit, target, stretch))
    assert refused.value.pointer == f"/measure/{fault}"
    check(_levelled(100, 120, 150, 200))
    check(_levelled(40, 35, 30, 20))


# Systems ----------------------------------------------------------------------------------

SYSTEMS: list[AnyScoring] = [MeasureWhatMatters(), StretchTargetCommit(), RadicalFocus()]


@pytest.mark.parametrize("rules", SYSTEMS, ids=lambda rules: rules.system)
def test_silence_scores_nothing(rules: AnyScoring) -> None:
    found = compute(rules, METRIC, [])
    assert (found.score, found.formula) == (Decimal(0), FORMULAS[rules.system])


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (90, "0"), (100, "0"), (110, "0.15"), (120, "0.3"), (135, "0.5"), (150, "0.7"),
        (175, "0.85"), (200, "1"), (900, "1"),
    ],
)  # fmt: skip
def test_between_the_levels_agreed_the_score_is_interpolated_piece_by_piece(
    reading: int, expected: str
) -> None:
    rules = StretchTargetCommit()
    rising, falling = _levelled(100, 120, 150, 200), _levelled(-100, -120, -150, -200)
    assert compute(rules, rising, _told(reading)).score == Decimal(expected)
    assert compute(rules, falling, _told(-reading)).score == Decimal(expected)


def test_a_level_reached_scores_its_anchor() -> None:
    rules = StretchTargetCommit(commit=Decimal("0.2"))
    scores = [compute(rules, LADDER, [Told(rung, NOW)]).score for rung in Rung]
    assert scores == [Decimal(0), Decimal("0.2"), Decimal("0.7"), Decimal(1)]


def test_radical_focus_knows_met_and_not_met() -> None:
    assert [compute(RadicalFocus(), METRIC, _told(n)).score for n in (100, 199, 200)] == [0, 0, 1]


@given_any(st.sampled_from(SYSTEMS), _numbers, _numbers)
def test_no_system_scores_beyond_0_and_1_nor_less_for_more(
    rules: AnyScoring, one: Decimal, other: Decimal
) -> None:
    measure = _levelled(100, 120, 150, 200)
    low, high = sorted((one, other))
    scores = [compute(rules, measure, [Told(value, NOW)]).score for value in (low, high)]
    assert 0 <= scores[0] <= scores[1] <= 1


# Forecast ---------------------------------------------------------------------------------


def test_a_forecast_goes_on_at_the_average_pace() -> None:
    ends = NOW + timedelta(days=10)
    assert forecast(Decimal("0.2"), NOW + timedelta(days=4), NOW, ends) == Decimal("0.5")
    assert forecast(Decimal("0.9"), NOW + timedelta(days=5), NOW, ends) == 1
    assert forecast(None, NOW, NOW, ends) is None
    assert forecast(Decimal("0.2"), NOW, NOW, ends) is None


def test_what_has_no_pace_is_expected_as_its_kind_allows() -> None:
    ends, half = NOW + timedelta(days=10), NOW + timedelta(days=5)
    uptime = Threshold(unit="percent", bound="at_least", limit=Decimal(99))
    # Held for half of the time, it is not expected to be held for all of it.
    assert expected(uptime, Decimal("0.5"), half, NOW, ends) == Decimal("0.5")
    assert expected(uptime, None, None, NOW, ends) is None
    # Not done yet says nothing of whether it will be.
    for measure in (Milestone(), Baseline(unit="days")):
        assert expected(measure, Decimal(0), half, NOW, ends) is None
        assert expected(measure, Decimal(1), half, NOW, ends) == 1
    metric = Metric(unit="customers", baseline=Decimal(0), target=Decimal(10))
    assert expected(metric, Decimal("0.2"), half, NOW, ends) == Decimal("0.4")


@pytest.mark.parametrize(
    ("rules", "on_track_from"),
    [
        (MeasureWhatMatters(), "0.7"),
        (MeasureWhatMatters(good=Decimal("0.5")), "0.5"),
        # Good is at the target itself; on the way there is less than the plain progress.
        (StretchTargetCommit(), "1"),
        (RadicalFocus(), "1"),
    ],
    ids=["measure_what_matters", "lower good", "stretch_target_commit", "radical_focus"],
)
def test_what_is_trending_is_what_the_forecast_would_be_scored(
    rules: AnyScoring, on_track_from: str
) -> None:
    measure = _levelled(100, 120, 150, 200)
    least = Decimal(on_track_from)
    assert trending(rules, measure, least) == "on_track"
    assert trending(rules, measure, least - Decimal("0.0001")) == "off_track"
    assert trending(rules, measure, None) is None
    assert trending(rules, Milestone(), Decimal(1)) == "on_track"


def test_a_roll_up_is_the_weighted_mean_of_what_has_a_figure() -> None:
    parts = [(Decimal(1), Decimal(3)), (Decimal(0), Decimal(1)), (None, Decimal(50))]
    assert roll_up(parts) == Decimal("0.75")
    assert roll_up([(None, Decimal(1))]) is None
    assert roll_up([]) is None


@given_any(st.lists(st.tuples(_shares, _weights), min_size=1, max_size=8), _weights)
def test_a_roll_up_lies_between_its_parts_and_only_relative_weight_counts(
    parts: list[tuple[Decimal, Decimal]], factor: Decimal
) -> None:
    rolled = roll_up(parts)
    assert rolled is not None
    assert min(p for p, _ in parts) <= rolled <= max(p for p, _ in parts)
    scaled = roll_up([(figure, weight * factor) for figure, weight in parts])
    assert scaled is not None
    assert abs(rolled - scaled) <= Decimal("0.0001")


_READINGS = st.lists(
    st.tuples(
        st.one_of(st.booleans(), st.sampled_from(Rung), st.decimals(0, 20, places=1)),
        st.integers(0, 5),
    ),
    max_size=12,
)


@given_any(
    readings=_READINGS,
    measure=st.sampled_from(
        [
            METRIC,
            Threshold(unit="percent", bound="at_least", limit=Decimal(10)),
            Threshold(unit="percent", bound="at_most", limit=Decimal(10)),
            Baseline(unit="days"),
            Milestone(),
            Milestone(levels=MilestoneLevels(commit="A", target="B", stretch="C")),
        ]
    ),
    held_by=st.sampled_from(["time", "check_ins"]),
)
def test_a_course_is_the_progress_after_each_reading(
    readings: list[tuple[bool | Rung | Decimal, int]],
    measure: AnyMeasure,
    held_by: Literal["time", "check_ins"],
) -> None:
    at, told = NOW, list[Told]()
    for reading, days in readings:
        at += timedelta(days=days, seconds=days * 7)
        told.append(Told(reading, at))
    assert course(measure, told, held_by=held_by) == [
        progress(measure, told[: number + 1], held_by=held_by) for number in range(len(told))
    ]


def test_a_check_in_is_due_a_rhythm_and_its_grace_after_the_last_word() -> None:
    opened = NOW - timedelta(days=30)
    assert check_in_due(None, opened, 14, 3) == opened + timedelta(days=17)
    assert check_in_due(NOW, opened, 14, 3) == NOW + timedelta(days=17)


def test_shown_health_is_outcome_then_silence_then_the_last_word() -> None:
    late, early = NOW - timedelta(seconds=1), NOW
    on_track = Health.ON_TRACK
    assert shown_health(outcome="achieved", reported=on_track, due=late, now=NOW) == "achieved"
    assert shown_health(outcome=None, reported=on_track, due=late, now=NOW) == "outdated"
    assert shown_health(outcome=None, reported=on_track, due=early, now=NOW) == "on_track"
    assert shown_health(outcome=None, reported=None, due=early, now=NOW) == "pending"
    assert shown_health(outcome=None, reported=None, due=None, now=NOW) == "pending"
