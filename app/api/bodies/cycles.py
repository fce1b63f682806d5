"""Bodies about cycles, from planning to reset."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from app.api.bodies.common import ID, Body, example, unstated
from app.domain.carry_over import CarryOver
from app.domain.cycle import Minutes
from app.domain.deployment import Scoring
from app.domain.next_cycle import NextCycle
from app.domain.readiness import Override
from app.domain.reset import KeyResultChoice
from app.domain.survey import SurveyAnswers
from app.domain.values import (
    Count,
    Day,
    ExternalRef,
    Level,
    Line,
    Prose,
)


class PlanCycleBody(Body):
    model_config = example(name="2026 Q1", starts_on="2026-01-01", ends_on="2026-03-31")
    name: Line
    starts_on: Day
    ends_on: Day
    parent_id: UUID | None = None
    external: ExternalRef | None = None


class PlanYearBody(Body):
    """Levels left out are all that are decided."""

    model_config = example(year=2028)
    year: Count = Field(ge=1000, le=9000, description="What the year is called.")
    starts_on: Day | None = Field(
        default=None,
        description="Its first day, else 1 January: the first of a month counts calendar months, "
        "any other day whole weeks. It may lie in the calendar year before.",
    )
    levels: tuple[Level, ...] | None = Field(default=None, min_length=1, max_length=3)
    with_year: bool = Field(
        default=False, description="Plan a year cycle that holds the others, decided or not."
    )
    parent_id: UUID | None = Field(
        default=None, description="A cycle that is there already, and shall hold these."
    )


class ChangeCycleBody(Body):
    """Only what is stated changes."""

    model_config = example(name="The first quarter")
    name: Line = unstated()
    starts_on: Day = unstated()
    ends_on: Day = unstated()


class OpenCycleBody(Body):
    """The first cycle needs an override while deployment and training are not done."""

    model_config = example(
        override={"person_id": f"{ID}5", "reason": "The workshop is next week; we learn by doing."}
    )
    override: Override | None = None


class ReflectionBody(Body):
    model_config = example(
        worked=["Check-ins stayed short"], did_not_work=["Two goals nobody looked at"],
        change=["Two objectives, not three"], minutes=45,
    )  # fmt: skip
    team_id: UUID | None = None
    worked: tuple[Prose, ...] = Field(default=(), max_length=50)
    did_not_work: tuple[Prose, ...] = Field(default=(), max_length=50)
    change: tuple[Prose, ...] = Field(default=(), max_length=50)
    minutes: Minutes | None = Field(
        default=None,
        description="How long it took. Outside 30 to 60, or above 10 for each key result, it is "
        "recorded with a warning.",
    )
    participants: tuple[UUID, ...] = Field(
        default=(), max_length=500, description="The people who took part."
    )
    external: ExternalRef | None = None


def _one_next_cycle(schema: dict[str, Any]) -> None:
    choices = [{"key_result_id": f"{ID}1", "choice": "keep", "learning": "Start earlier."}]
    planned = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
    schema["examples"] = [
        {"next_cycle": planned, "choices": choices},
        {"next_cycle_id": f"{ID}2", "choices": choices, "carry_over": ["alignments"]},
    ]
    schema["oneOf"] = [{"required": ["next_cycle"]}, {"required": ["next_cycle_id"]}]


class ResetBody(Body):
    """Either `next_cycle`, which is planned, or `next_cycle_id`, which is there already."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_one_next_cycle)
    next_cycle: NextCycle = unstated()
    next_cycle_id: Annotated[
        UUID,
        Field(
            description="A cycle that is planned or drafting, begins after this one did, and "
            "shares a level with it."
        ),
    ] = unstated()
    choices: tuple[KeyResultChoice, ...] = Field(max_length=20_000)
    carry_over: tuple[CarryOver, ...] = Field(
        default=(), max_length=3, description="What goes on with the goals: nothing by default."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.next_cycle is None) == (self.next_cycle_id is None):
            raise ValueError("state either next_cycle or next_cycle_id, and one of them only")
        return self


class WhatIfBody(Body):
    model_config = example(rules={"question": "scoring", "system": "radical_focus"})
    rules: Scoring


class SurveyBody(Body):
    model_config = example(
        answers={
            "stayed_visible": 4, "real_cadence": 5, "outcomes_not_activity": 3, "few_enough": 4,
            "said_early": 2,
        }
    )  # fmt: skip
    answers: SurveyAnswers
