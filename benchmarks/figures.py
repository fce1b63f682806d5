"""What a run finds: ratios, the bars that they are held to, tables, and pictures to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal


@dataclass(frozen=True, slots=True)
class Ratios:
    """A ratio of each round, of two things measured one right after the other in it."""

    of_rounds: tuple[float, ...]

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratios:
        return cls(tuple(one / other for one, other in zip(ours, theirs, strict=True)))

    @property
    def median(self) -> float:
        return median(self.of_rounds)

    @property
    def lowest(self) -> float:
        return min(self.of_rounds)

    @property
    def highest(self) -> float:
        return max(self.of_rounds)

    def __str__(self) -> str:
        if len(self.of_rounds) == 1:
            return f"**{number(self.median)}**"
        return f"{number(self.lowest)} .. **{number(self.median)}** .. {number(self.highest)}"


@dataclass(frozen=True, slots=True)
class Bar:
    """What a ratio is wanted to be."""

    kind: Literal["at least", "at most"]
    limit: float

    def holds(self, ratio: float) -> bool:
        return ratio >= self.limit if self.kind == "at least" else ratio <= self.limit

    def margin(self, ratio: float) -> float:
        """How far a ratio is on the good side of the bar: 1 is just on it, 2 twice as good."""
        if self.kind == "at least":
            return ratio / self.limit
        return self.limit / ratio

    def __str__(self) -> str:
        return f"{self.kind} {self.limit:g} x"


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the summary: something, held against something else by a bar."""

    what: str
    against: str
    bar: Bar
    ratios: Ratios

    @property
    def passes(self) -> bool:
        return self.bar.holds(self.ratios.median)

    @property
    def verdict(self) -> str:
        """By the median; told where rounds were not of one mind."""
        said = "passes" if self.passes else "falls short"
        unlike = sum(self.bar.holds(ratio) != self.passes for ratio in self.ratios.of_rounds)
        if not unlike:
            return said
        return f"{said} (not in {unlike} of {len(self.ratios.of_rounds)} rounds)"


@dataclass(frozen=True, slots=True)
class Table:
    """The first column or columns are text, the others are set to the right."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one thing, by x."""

    name: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture; `name` is that of its file, without the ending."""

    name: str
    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    logarithmic: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of a run has to say."""

    title: str
    says: str
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    figures: tuple[Figure, ...] = ()
    kept: tuple[str, ...] = field(default=())
    """What was acknowledged and found again."""


def number(value: float) -> str:
    """About three digits that count."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


def milliseconds(seconds: Sequence[float]) -> str:
    """The median, in milliseconds."""
    return number(1000 * median(seconds))
