"""Calibration: what was claimed beforehand, and how far it came true."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from app.domain.calibration import Claim, brier, claims, stated
from app.domain.deployment import MeasureWhatMatters, RadicalFocus, StretchTargetCommit
from app.domain.measures import Baseline, Metric, Milestone, MilestoneLevels, Rung, Threshold, Told
from app.domain.scoring import compute
from tests.domain.builders import NOW, YESTERDAY

RISING = Metric(
    unit="customers",
    baseline=Decimal(100),
    commit=Decimal(120),
    target=Decimal(160),
    stretch=Decimal(200),
)
FALLING = Metric(
    unit="days", baseline=Decimal(9), commit=Decimal(7), target=Decimal(4), stretch=Decimal(2)
)
LADDER = Milestone(levels=MilestoneLevels(commit="A letter", target="Signed", stretch="Live"))
LEVELS = StretchTargetCommit()


def _reached(measure: Any, *readings: Any) -> list[Rung]:
    told = [Told(reading, NOW + timedelta(days=n)) for n, reading in enumerate(readings)]
    return [one.level for one in claims(LEVELS, measure, told, Decimal(0)) if one.reached]


def test_each_level_is_a_claim_with_its_own_probability() -> None:
    assert claims(LEVELS, RISING, [Told(Decimal(160), NOW)], Decimal("0.7")) == [
        Claim(Rung.COMMIT, Decimal("0.9"), True),
        Claim(Rung.TARGET, Decimal("0.5"), True),
        Claim(Rung.STRETCH, Decimal("0.1"), False),
    ]
    bolder = StretchTargetCommit(stretch_probability=Decimal("0.2"))
    assert claims(bolder, RISING, [], Decimal(0))[-1] == Claim(Rung.STRETCH, Decimal("0.2"), False)


def test_a_level_is_reached_by_the_last_reading_at_it_or_beyond() -> None:
    assert _reached(RISING, Decimal("119.99")) == []
    assert _reached(RISING, Decimal(120)) == [Rung.COMMIT]
    assert _reached(RISING, Decimal(210)) == [Rung.COMMIT, Rung.TARGET, Rung.STRETCH]
    assert _reached(RISING, Decimal(210), Decimal(130)) == [Rung.COMMIT]
    assert _reached(FALLING, Decimal(4)) == [Rung.COMMIT, Rung.TARGET]
    assert _reached(FALLING, Decimal("7.5")) == []
    assert _reached(LADDER, Rung.NONE) == []
    assert _reached(LADDER, Rung.TARGET) == [Rung.COMMIT, Rung.TARGET]
    # A reading of another kind, from after an amendment, says nothing of what was claimed.
    assert _reached(LADDER, Rung.COMMIT, Decimal(5)) == [Rung.COMMIT]


@given_any(st.integers(0, 300).map(Decimal))
def test_a_level_is_reached_just_where_the_score_is_at_its_anchor(reading: Decimal) -> None:
    told = [Told(reading, NOW)]
    score = compute(LEVELS, RISING, told).score
    for claim in claims(LEVELS, RISING, told, score):
        assert claim.reached == (score >= LEVELS.anchors[claim.level])


@pytest.mark.parametrize(
    "measure",
    [
        Milestone(),
        Baseline(unit="days"),
        Threshold(unit="percent", bound="at_least", limit=Decimal(99)),
        Metric(unit="customers", baseline=Decimal(1), target=Decimal(2)),
    ],
    ids=lambda measure: measure.kind,
)
def test_a_key_result_without_levels_claims_none(measure: Any) -> None:
    assert claims(LEVELS, measure, [], Decimal(0)) == []


def test_radical_focus_claims_the_target_at_the_odds_that_it_starts_with() -> None:
    even, long = RadicalFocus(), RadicalFocus(starting_confidence=Decimal("0.3"))
    assert claims(even, RISING, [], Decimal(1)) == [Claim(Rung.TARGET, Decimal("0.5"), True)]
    assert claims(long, LADDER, [], Decimal(0)) == [Claim(Rung.TARGET, Decimal("0.3"), False)]


def test_progress_alone_claims_nothing() -> None:
    assert claims(MeasureWhatMatters(), RISING, [Told(Decimal(200), YESTERDAY)], Decimal(1)) == []


def test_confidence_that_nobody_stated_stands_where_radical_focus_starts_it() -> None:
    assert stated(RadicalFocus(), None) == Decimal("0.5")
    assert stated(RadicalFocus(), Decimal("0.8")) == Decimal("0.8")
    assert stated(LEVELS, None) is None


def test_a_brier_score_is_the_mean_of_squared_errors() -> None:
    assert brier([]) is None
    assert brier([(Decimal(1), True), (Decimal(0), False)]) == 0
    assert brier([(Decimal("0.9"), True), (Decimal("0.5"), False)]) == Decimal("0.13")


def test_claims_that_hold_as_often_as_they_say_are_not_at_zero() -> None:
    for percent, expected in ((10, "0.09"), (50, "0.25"), (90, "0.09")):
        happened = [(Decimal(percent) / 100, n < percent) for n in range(100)]
        assert brier(happened) == Decimal(expected)
