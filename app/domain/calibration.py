"""How far what was claimed beforehand came true: levels, and confidence. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple, assert_never

from app.domain.deployment import (
    AnyScoring,
    MeasureWhatMatters,
    RadicalFocus,
    StretchTargetCommit,
)
from app.domain.measures import RUNGS, AnyMeasure, Metric, Milestone, Rung, Told, fits
from app.domain.values import share


class Claim(NamedTuple):
    """That a level will be reached, with a probability of 0 to 1; and whether it was."""

    level: Rung
    claimed: Decimal
    reached: bool


def claims(
    rules: AnyScoring, measure: AnyMeasure, told: Sequence[Told], computed: Decimal
) -> list[Claim]:
    """What a scoring system claims of a key result, judged by what was told and computed.

    Stretch / target / commit holds each of three levels at its own probability, and a key result
    without levels at none. Radical focus holds the target at the confidence that it starts with.
    Of a key result that was amended, `measure` and `computed` are those as committed: the claim was
    made then. Silence reaches nothing.
    """
    match rules:
        case StretchTargetCommit():
            if not has_levels(measure):
                return []
            last = next((one for one in reversed(told) if fits(measure, one.reading)), None)
            held = {
                Rung.COMMIT: rules.commit_probability,
                Rung.TARGET: rules.target_probability,
                Rung.STRETCH: rules.stretch_probability,
            }
            return [
                Claim(level, claimed, last is not None and reaches(measure, last.reading, level))
                for level, claimed in held.items()
            ]
        case RadicalFocus():
            return [Claim(Rung.TARGET, rules.starting_confidence, computed == 1)]
        case MeasureWhatMatters():
            return []
        case _:
            assert_never(rules)


def has_levels(measure: AnyMeasure) -> bool:
    """Whether commit and stretch were agreed beside the target."""
    if isinstance(measure, Milestone):
        return measure.levels is not None
    return isinstance(measure, Metric) and measure.has_levels


def reaches(measure: AnyMeasure, reading: bool | Rung | Decimal, level: Rung) -> bool:
    """Whether a reading that fits is at a level or beyond."""
    if isinstance(reading, Rung):
        return RUNGS.index(reading) >= RUNGS.index(level)
    assert isinstance(measure, Metric), "only metrics and milestones have levels"
    agreed = {Rung.COMMIT: measure.commit, Rung.TARGET: measure.target}.get(level, measure.stretch)
    assert agreed is not None, "its levels were agreed"
    rises = measure.target > measure.baseline
    return reading >= agreed if rises else reading <= agreed


def stated(rules: AnyScoring, confidence: Decimal | None) -> Decimal | None:
    """The confidence that stands: under radical focus, silence leaves it where it started."""
    if confidence is None and isinstance(rules, RadicalFocus):
        return rules.starting_confidence
    return confidence


def brier(forecasts: Iterable[tuple[Decimal, bool]]) -> Decimal | None:
    """The mean of (probability - outcome)², 4 decimals; None without a forecast.

    0 is clairvoyance. Claims of 10, 50 and 90% that come true just as often make 0.09, 0.25 and
    0.09.
    """
    errors = [(probability - int(came_true)) ** 2 for probability, came_true in forecasts]
    if not errors:
        return None
    return share(sum(errors, Decimal(0)) / len(errors))
