"""Figures: scores, roll-ups, forecasts and shown health. Pure, each formula with a version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Literal, assert_never

from app.domain.deployment import (
    AnyScoring,
    MeasureWhatMatters,
    RadicalFocus,
    StretchTargetCommit,
)
from app.domain.measures import (
    AnyMeasure,
    Baseline,
    Metric,
    Milestone,
    Rung,
    Threshold,
    Told,
    fits,
    progress,
)
from app.domain.values import Health, share

FORMULAS = {
    "measure_what_matters": "measure-what-matters/1",
    "stretch_target_commit": "stretch-target-commit/1",
    "radical_focus": "radical-focus/1",
}
"""The name and version of each system's formula. A change of a formula is a new version."""

ROLL_UP = "weighted-mean/1"


@dataclass(frozen=True, slots=True)
class Computed:
    """A score of 0 to 1 with 4 decimals, by which formula, and how it came about."""

    score: Decimal
    formula: str
    because: str


def compute(
    rules: AnyScoring, measure: AnyMeasure, told: Sequence[Told], until: datetime | None = None
) -> Computed:
    """The score of a key result under a scoring system. Silence scores 0.

    `told` is in the order of what it speaks of; thresholds are judged up to `until`.
    """
    reached = progress(measure, told, held_by=rules.threshold_by, until=until)
    if reached is None:
        because = "No check-in has a value that fits: silence scores 0."
        return Computed(Decimal(0), FORMULAS[rules.system], because)
    last = [one for one in told if fits(measure, one.reading)][-1].reading
    return _judge(rules, measure, last, reached)


def _judge(
    rules: AnyScoring, measure: AnyMeasure, last: bool | Rung | Decimal, reached: Decimal
) -> Computed:
    formula = FORMULAS[rules.system]
    match rules:
        case MeasureWhatMatters():
            return Computed(reached, formula, f"The score is the progress, {_plain(reached)}.")
        case StretchTargetCommit():
            return _by_levels(rules, measure, last, reached)
        case RadicalFocus():
            done = reached == 1
            because = f"Progress is {_plain(reached)}: the target was {'' if done else 'not '}met."
            return Computed(Decimal(int(done)), formula, because)
        case _:
            assert_never(rules)


def _by_levels(
    rules: StretchTargetCommit,
    measure: AnyMeasure,
    last: bool | Rung | Decimal,
    reached: Decimal,
) -> Computed:
    """Between the anchors agreed, and never on a plain line from baseline to stretch."""
    formula = FORMULAS[rules.system]
    if isinstance(measure, Milestone) and isinstance(last, Rung):
        score = rules.anchors[last]
        return Computed(score, formula, f"The level reached is {last}, anchored at {score}.")
    if not isinstance(measure, Metric) or measure.commit is None or measure.stretch is None:
        because = f"It has no levels, so the score is the progress, {_plain(reached)}."
        return Computed(reached, formula, because)
    anchors = [
        (measure.baseline, Decimal(0)),
        (measure.commit, rules.commit),
        (measure.target, rules.target),
        (measure.stretch, rules.stretch),
    ]
    reading = Decimal(last)
    rises = measure.target > measure.baseline
    for (low, low_score), (high, high_score) in pairwise(anchors):
        if (reading <= high) if rises else (reading >= high):
            part = min(max((reading - low) / (high - low), Decimal(0)), Decimal(1))
            score = share(low_score + part * (high_score - low_score))
            because = (
                f"{_plain(reading)} lies between {_plain(low)} (scored {low_score}) and "
                f"{_plain(high)} (scored {high_score})."
            )
            return Computed(score, formula, because)
    because = f"{_plain(reading)} lies beyond the stretch, {_plain(measure.stretch)}."
    return Computed(share(rules.stretch), formula, because)


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


def lacks_levels(rules: AnyScoring, measure: object) -> bool:
    """Whether scoring asks for levels that a metric does not have yet."""
    asks = isinstance(rules, StretchTargetCommit)
    return asks and isinstance(measure, Metric) and not measure.has_levels


def roll_up(weighted: Iterable[tuple[Decimal | None, Decimal]]) -> Decimal | None:
    """The weighted mean of key results' figures, 4 decimals; None where none has a figure.

    A key result without a figure is left out rather than counted as 0: `(figure, weight)`.
    """
    known = [(figure, weight) for figure, weight in weighted if figure is not None]
    total = sum((weight for _, weight in known), Decimal(0))
    if not total:
        return None
    return share(sum((figure * weight for figure, weight in known), Decimal(0)) / total)


FORECAST = "average-pace/1"
"""Assumes that progress goes on at its average pace since the cycle began."""


def forecast(
    reached: Decimal | None, read_at: datetime | None, began: datetime, ends: datetime
) -> Decimal | None:
    """Progress at the end of the cycle, 0 to 1, if the pace stays; None while it cannot be told."""
    if reached is None or read_at is None or read_at <= began or ends <= began:
        return None
    elapsed = Decimal(str((min(read_at, ends) - began) / (ends - began)))
    return share(reached / elapsed)


def expected(
    measure: AnyMeasure,
    reached: Decimal | None,
    read_at: datetime | None,
    began: datetime,
    ends: datetime,
) -> Decimal | None:
    """Progress at the end of the cycle, 0 to 1, as far as the kind of measure lets it be told.

    A metric goes on at its average pace, and a threshold is held as it was. A milestone and a
    baseline have no pace: nothing is told of them until they are done.
    """
    match measure:
        case Metric():
            return forecast(reached, read_at, began, ends)
        case Threshold():
            return reached
        case Milestone() | Baseline():
            return reached if reached == 1 else None
        case _:
            assert_never(measure)


Trend = Literal["on_track", "off_track"]


def trending(rules: AnyScoring, measure: AnyMeasure, expected: Decimal | None) -> Trend | None:
    """Whether the progress that is expected would be scored as good; None where none is.

    It assumes what the expectation does, and that the score will be the computed one.
    """
    if expected is None:
        return None
    last: bool | Rung | Decimal = Rung.STRETCH
    if isinstance(measure, Metric):
        last = measure.baseline + expected * (measure.target - measure.baseline)
    score = _judge(rules, measure, last, expected).score
    return "on_track" if score >= rules.good else "off_track"


def check_in_due(
    last: datetime | None, began: datetime, every_days: int, grace_days: int
) -> datetime:
    """The moment from which silence is `outdated`: a rhythm and its grace after the last word.

    Without any, they run from `began`.
    """
    return (last or began) + timedelta(days=every_days + grace_days)


def shown_health(
    *,
    outcome: str | None,
    reported: Health | None,
    due: datetime | None,
    now: datetime,
) -> str:
    """Health as shown: derived, never typed in.

    A closed outcome comes first, then `outdated` when a check-in is overdue past its grace, then
    what the last check-in said, else `pending`. Silence is never green.
    """
    if outcome is not None:
        return outcome
    if due is not None and now > due:
        return "outdated"
    return reported.value if reported is not None else "pending"


def days(starts_on: date, ends_on: date) -> int:
    """Length of a cycle in days, both ends included."""
    return (ends_on - starts_on).days + 1
