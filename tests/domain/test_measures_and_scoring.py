"""Progress, scores, roll-ups and shown health."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import assume
from hypothesis import given as given_any
from hypothesis import strategies as st

from app.domain.errors import Refusal, WrongKind
from app.domain.measures import Metric, Milestone, check, progress
from app.domain.scoring import check_in_due, computed_score, roll_up, shown_health
from app.domain.values import Health
from tests.domain.builders import METRIC, NOW

_numbers = st.decimals(min_value=-(10**6), max_value=10**6, places=2)
_shares = st.decimals(min_value=0, max_value=1, places=4)
_weights = st.decimals(min_value=Decimal("0.01"), max_value=100, places=2)


def _metric(baseline: Decimal, target: Decimal) -> Metric:
    return Metric(kind="metric", unit="x", baseline=baseline, target=target)


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
    assert progress(metric, Decimal(reading)) == Decimal(expected)


@given_any(_numbers, _numbers, _numbers, _numbers)
def test_progress_stays_within_0_and_1_and_never_falls_towards_the_target(
    baseline: Decimal, target: Decimal, one: Decimal, other: Decimal
) -> None:
    assume(baseline != target)
    metric = _metric(baseline, target)
    nearer, farther = sorted(
        (one, other), key=lambda value: value * (1 if target > baseline else -1), reverse=True
    )
    assert 0 <= progress(metric, farther) <= progress(metric, nearer) <= 1


def test_a_milestone_is_reached_or_not() -> None:
    assert progress(Milestone(kind="milestone"), True) == 1
    assert progress(Milestone(kind="milestone"), False) == 0


def test_a_reading_of_the_wrong_kind_is_refused_with_what_to_give() -> None:
    with pytest.raises(WrongKind, match="give its value as a number"):
        progress(METRIC, True)
    with pytest.raises(WrongKind, match="true or false"):
        progress(Milestone(kind="milestone"), Decimal(1))


def test_a_metric_that_goes_nowhere_is_refused() -> None:
    with pytest.raises(Refusal, match="goes from X to Y") as refused:
        check(_metric(Decimal(5), Decimal(5)))
    assert refused.value.pointer == "/measure/target"


def test_silence_scores_nothing() -> None:
    assert computed_score(None) == 0
    assert computed_score(Decimal("0.66")) == Decimal("0.66")


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
