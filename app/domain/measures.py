"""Kinds of key result: what a reading must look like, and how far it has come.

A new kind is a class here, a member of `Measure`, and a case in `progress`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, assert_never

from pydantic import Field, StrictBool, TypeAdapter

from app.domain.errors import Refusal, WrongKind
from app.domain.values import Line, Number, Value, share, tagged


class Rung(StrEnum):
    """How far a milestone with levels was reached."""

    NONE = "none"
    COMMIT = "commit"
    TARGET = "target"
    STRETCH = "stretch"


RUNGS = tuple(Rung)
Reading = StrictBool | Rung | Number
"""A number; true or false for a milestone; or the level that a milestone with levels reached."""


def as_number(reading: bool | Rung | Decimal | None) -> Decimal | None:
    """A reading as the number that is kept: 1 and 0 for reached and not, a level's rank."""
    if reading is None:
        return None
    return Decimal(RUNGS.index(reading)) if isinstance(reading, Rung) else Decimal(reading)


class Told(NamedTuple):
    """A reading, and when it was true."""

    reading: bool | Rung | Decimal
    at: datetime


class Metric(Value):
    """From a baseline to a target, in a unit. It may rise or fall.

    `commit` and `stretch` are agreed before commitment where scoring asks for them: what is held to
    be nearly certain, and what hardly anybody believes in.
    """

    model_config = tagged("kind")
    kind: Literal["metric"] = "metric"
    unit: Line = Field(examples=["customers"])
    baseline: Number
    target: Number
    commit: Number | None = None
    stretch: Number | None = None

    @property
    def has_levels(self) -> bool:
        return self.commit is not None and self.stretch is not None


class Threshold(Value):
    """Stay at or above, or at or below, a limit over the whole cycle."""

    model_config = tagged("kind")
    kind: Literal["threshold"] = "threshold"
    unit: Line = Field(examples=["percent"])
    bound: Literal["at_least", "at_most"]
    limit: Number

    def holds(self, reading: Decimal) -> bool:
        return reading >= self.limit if self.bound == "at_least" else reading <= self.limit


class Baseline(Value):
    """The value is unknown: done when it is measured. Then it seeds a metric."""

    model_config = tagged("kind")
    kind: Literal["baseline"] = "baseline"
    unit: Line = Field(examples=["days"])


class MilestoneLevels(Value):
    """What each level of a milestone means; they need not be numeric."""

    commit: Line
    target: Line
    stretch: Line


class Milestone(Value):
    """Reached or not; or, with levels, how far."""

    model_config = tagged("kind")
    kind: Literal["milestone"] = "milestone"
    levels: MilestoneLevels | None = None


AnyMeasure = Metric | Threshold | Baseline | Milestone
Measure = Annotated[AnyMeasure, Field(discriminator="kind")]
measure_of: TypeAdapter[AnyMeasure] = TypeAdapter(Measure)

HeldBy = Literal["time", "check_ins"]
"""Whether a threshold is held for a share of the time, or of the check-ins."""


def check(measure: AnyMeasure, pointer: str = "/measure") -> None:
    """Raise Refusal for a metric that goes nowhere, or whose levels are not on the way."""
    if not isinstance(measure, Metric):
        return
    if measure.baseline == measure.target:
        raise Refusal(
            "target must differ from baseline: a metric goes from X to Y.",
            pointer=f"{pointer}/target",
        )
    way = [("baseline", measure.baseline), ("commit", measure.commit), ("target", measure.target)]
    way += [("stretch", measure.stretch)]
    stated = [(name, value) for name, value in way if value is not None]
    rises = measure.target > measure.baseline
    for (before, low), (name, high) in pairwise(stated):
        if low == high or (high > low) != rises:
            raise Refusal(
                f"{name} must lie beyond {before}, on the way from baseline to target.",
                pointer=f"{pointer}/{name}",
            )


def fits(measure: AnyMeasure, reading: bool | Rung | Decimal) -> bool:
    """Whether a reading is of the kind that a measure takes."""
    match measure:
        case Milestone(levels=None):
            return isinstance(reading, bool)
        case Milestone():
            return isinstance(reading, Rung)
        case Metric() | Threshold() | Baseline():
            return isinstance(reading, Decimal)
        case _:
            assert_never(measure)


_WANTED = {
    "metric": "a metric: give its value as a number",
    "threshold": "a threshold: give its value as a number",
    "baseline": "a baseline: give its value as a number",
    "milestone": "a milestone: give its value as true or false",
}


def demand_fit(measure: AnyMeasure, reading: bool | Rung | Decimal) -> None:
    """Raise WrongKind, saying what to give, where a reading does not fit."""
    if fits(measure, reading):
        return
    wanted = _WANTED[measure.kind]
    if isinstance(measure, Milestone) and measure.levels is not None:
        wanted = f"a milestone with levels: give one of {', '.join(RUNGS)}"
    raise WrongKind(f"This key result is {wanted}.", pointer="/value")


_RUNG_PROGRESS = {
    Rung.NONE: Decimal(0),
    Rung.COMMIT: Decimal("0.3333"),
    Rung.TARGET: Decimal("0.6667"),
    Rung.STRETCH: Decimal(1),
}


def progress(
    measure: AnyMeasure,
    told: Sequence[Told],
    *,
    held_by: HeldBy = "time",
    until: datetime | None = None,
) -> Decimal | None:
    """How far it has come: 0 to 1, 4 decimals; None without a reading that fits.

    `told` is in the order of what it speaks of. A threshold's progress is the share that was held
    up to `until`, or to the last reading.
    """
    readings = [one for one in told if fits(measure, one.reading)]
    if not readings:
        return None
    last = readings[-1].reading
    match measure:
        case Metric():
            assert isinstance(last, Decimal), "it fits"
            return share((last - measure.baseline) / (measure.target - measure.baseline))
        case Threshold():
            return _held(measure, readings, held_by, until)
        case Baseline():
            return Decimal(1)
        case Milestone():
            if isinstance(last, Rung):
                return _RUNG_PROGRESS[last]
            return Decimal(1) if last else Decimal(0)
        case _:
            assert_never(measure)


def course(
    measure: AnyMeasure, told: Sequence[Told], *, held_by: HeldBy = "time"
) -> list[Decimal | None]:
    """How far it had come after each reading, by those up to it: what `progress` says of each.

    In one pass, however many there are. `told` is in the order of what it speaks of.
    """
    reached: list[Decimal | None] = []
    first = last = None
    count, held, good = 0, 0, 0.0
    for one in told:
        if not fits(measure, one.reading):
            reached.append(reached[-1] if reached else None)
            continue
        if not isinstance(measure, Threshold):
            reached.append(progress(measure, [one]))
            continue
        if last is not None and measure.holds(Decimal(last.reading)):
            good += (one.at - last.at).total_seconds()
        first, last = first or one, one
        count, held = count + 1, held + measure.holds(Decimal(one.reading))
        whole = (one.at - first.at).total_seconds()
        if held_by == "check_ins" or not whole:
            reached.append(share(Decimal(held) / count))
        else:
            reached.append(share(Decimal(str(good)) / Decimal(str(whole))))
    return reached


def _held(
    measure: Threshold, readings: Sequence[Told], held_by: HeldBy, until: datetime | None
) -> Decimal:
    """A reading counts until the next one."""
    holds = [measure.holds(Decimal(one.reading)) for one in readings]
    end = max(until or readings[-1].at, readings[-1].at)
    whole = (end - readings[0].at).total_seconds()
    if held_by == "check_ins" or not whole:
        return share(Decimal(sum(holds)) / len(holds))
    moments = [one.at for one in readings] + [end]
    spans = [(after - before).total_seconds() for before, after in pairwise(moments)]
    good = sum(span for span, held in zip(spans, holds, strict=True) if held)
    return share(Decimal(str(good)) / Decimal(str(whole)))
