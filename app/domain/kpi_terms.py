"""What is said of a KPI, when it is healthy, and what is proposed while it is not."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from app.domain.errors import Refusal
from app.domain.values import Line, Number, Owner, Prose, Value

_LONGEST_LINE = 300


class Direction(StrEnum):
    HIGHER_IS_BETTER = "higher_is_better"
    LOWER_IS_BETTER = "lower_is_better"
    IN_RANGE = "in_range"


class HealthyRange(Value):
    """From `low` to `high`, both included, in the KPI's unit. One of them may be open."""

    low: Number | None = None
    high: Number | None = None

    def holds(self, value: Decimal) -> bool:
        return not self._is_below(value) and (self.high is None or value <= self.high)

    def nearest_bound(self, value: Decimal) -> Decimal:
        """The bound that a value outside of the range lies beyond."""
        bound = self.low if self._is_below(value) else self.high
        assert bound is not None, "a value outside lies beyond a bound"
        return bound

    def _is_below(self, value: Decimal) -> bool:
        return self.low is not None and value < self.low


class KpiTerms(Value):
    """What is said of a KPI, wherever it is said."""

    name: Line
    unit: Line
    owner: Owner
    direction: Direction = Direction.HIGHER_IS_BETTER
    healthy: HealthyRange
    description: Prose | None = None


class SuggestedKeyResult(Value):
    """A metric from the value that was read to the bound nearest to it."""

    title: Line
    unit: Line
    baseline: Number
    target: Number


class Proposal(Value):
    """An objective that would bring the KPI back. Nothing is drafted unless somebody wants it."""

    title: Line
    owner: Owner
    key_result: SuggestedKeyResult


def check_range(terms: KpiTerms) -> None:
    """Raise Refusal for a range that does not fit the direction, or holds nothing."""
    low, high, direction = terms.healthy.low, terms.healthy.high, terms.direction
    if low is None and direction is not Direction.LOWER_IS_BETTER:
        raise Refusal(
            f"Give the low bound of the healthy range: the direction is {direction}.",
            pointer="/healthy/low",
        )
    if high is None and direction is not Direction.HIGHER_IS_BETTER:
        raise Refusal(
            f"Give the high bound of the healthy range: the direction is {direction}.",
            pointer="/healthy/high",
        )
    if low is not None and high is not None and low > high:
        raise Refusal("low lies above high; choose it below.", pointer="/healthy/low")


def propose(terms: KpiTerms, value: Decimal) -> Proposal:
    """What would bring a KPI back whose value lies outside of its healthy range."""
    bound = terms.healthy.nearest_bound(value)
    return Proposal(
        title=_line(f"{terms.name} back in the healthy range"),
        owner=terms.owner,
        key_result=SuggestedKeyResult(
            title=_line(f"{terms.name} from {value:f} to {bound:f} {terms.unit}"),
            unit=terms.unit,
            baseline=value,
            target=bound,
        ),
    )


def _line(text: str) -> str:
    """Names and units may fill a line each; together they must still be one."""
    if len(text) <= _LONGEST_LINE:
        return text
    return f"{text[: _LONGEST_LINE - 1]}\N{HORIZONTAL ELLIPSIS}"
