"""Kinds of key result: what a reading must look like, and how far it has come."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self, assert_never

from pydantic import Field, StrictBool, StringConstraints, model_validator

from app.domain.errors import WrongKind
from app.domain.values import Number, Value, share

Unit = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
Reading = StrictBool | Number
"""A number for a metric, true or false for a milestone."""


class Metric(Value):
    """From a baseline to a target, in a unit. It may rise or fall."""

    kind: Literal["metric"] = "metric"
    unit: Unit = Field(examples=["customers"])
    baseline: Number
    target: Number

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if self.baseline == self.target:
            raise ValueError("target must differ from baseline: a metric goes from X to Y")
        return self


class Milestone(Value):
    """Reached or not; it need not be numeric."""

    kind: Literal["milestone"] = "milestone"


Measure = Annotated[Metric | Milestone, Field(discriminator="kind")]


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
