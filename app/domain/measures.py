"""Kinds of key result: what a reading must look like, and how far it has come."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, assert_never

from pydantic import Field, StrictBool

from app.domain.errors import Refusal, WrongKind
from app.domain.values import Line, Number, Value, share, tagged

Reading = StrictBool | Number
"""A number for a metric, true or false for a milestone."""


class Metric(Value):
    """From a baseline to a target, in a unit. It may rise or fall."""

    model_config = tagged("kind")
    kind: Literal["metric"] = "metric"
    unit: Line = Field(examples=["customers"])
    baseline: Number
    target: Number


class Milestone(Value):
    """Reached or not; it need not be numeric."""

    model_config = tagged("kind")
    kind: Literal["milestone"] = "milestone"


Measure = Annotated[Metric | Milestone, Field(discriminator="kind")]


def check(measure: Metric | Milestone, pointer: str = "/measure") -> None:
    """Raise Refusal for a metric that goes nowhere."""
    if isinstance(measure, Metric) and measure.baseline == measure.target:
        raise Refusal(
            "target must differ from baseline: a metric goes from X to Y.",
            pointer=f"{pointer}/target",
        )


def progress(measure: Metric | Milestone, reading: bool | Decimal) -> Decimal:
    """How far a reading has come: 0 to 1, 4 decimals.

    Raises WrongKind when the reading does not fit the measure.
    """
    match measure:
        case Metric():
            if isinstance(reading, bool):
                raise WrongKind(
                    f"This key result is a metric in {measure.unit}: give its value as a number.",
                    pointer="/value",
                )
            return share((reading - measure.baseline) / (measure.target - measure.baseline))
        case Milestone():
            if not isinstance(reading, bool):
                raise WrongKind(
                    "This key result is a milestone: give its value as true or false.",
                    pointer="/value",
                )
            return Decimal(1) if reading else Decimal(0)
        case _:
            assert_never(measure)
