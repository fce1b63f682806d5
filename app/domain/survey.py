"""The process survey: five short answers about how the cycle was run, from nobody in particular.

Beside the results it tells a problem of strategy (the rhythm was good, the results poor) from one
of rhythm (both were poor).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar, Literal, assert_never
from uuid import UUID

from pydantic import Field

from app.domain.access import EVERYBODY, Concern
from app.domain.cycle import Cycle, Phase
from app.domain.errors import InvalidState, NotFound
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.values import Value, not_text

Agreement = Annotated[int, Field(ge=1, le=5), not_text]
"""From 1, not at all, to 5, entirely."""


class SurveyAnswers(Value):
    """How far one agrees, 1 to 5."""

    stayed_visible: Agreement = Field(description="Our OKRs stayed visible.")
    real_cadence: Agreement = Field(description="Check-ins had a real cadence.")
    outcomes_not_activity: Agreement = Field(description="We spoke of outcomes, not activity.")
    few_enough: Agreement = Field(description="They were few enough.")
    said_early: Agreement = Field(description="Off track was said early.")


ASKED = tuple(SurveyAnswers.model_fields)

Diagnosis = Literal["healthy", "strategy_problem", "rhythm_problem", "results_despite_rhythm"]
GOOD_RHYTHM = Decimal("3.5")
"""The average agreement from which the rhythm counts as good."""


def diagnose(agreement: Decimal | None, score: Decimal | None, good: Decimal) -> Diagnosis | None:
    """What rhythm (average agreement, 1 to 5) and results (0 to 1) say together."""
    if agreement is None or score is None:
        return None
    rhythm, results = agreement >= GOOD_RHYTHM, score >= good
    if rhythm:
        return "healthy" if results else "strategy_problem"
    return "results_despite_rhythm" if results else "rhythm_problem"


# Events -----------------------------------------------------------------------------------


class SurveyEvent(Event, stream="survey_answer", key="answer_id"):
    answer_id: UUID
    cycle_id: UUID


class SurveyAnswered(SurveyEvent, type="survey.answered"):
    answers: SurveyAnswers


# State, commands, decide ------------------------------------------------------------------


def evolve(state: UUID | None, event: SurveyAnswered) -> UUID | None:
    return event.answer_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSurvey(Command):
    """Raises NotFound, InvalidState unless the cycle looks back, or for a second answer.

    `person_id` is not in the event: that they took part is known, what they said is not.
    """

    category: ClassVar[str] = "survey_answer"

    answer_id: UUID
    cycle_id: UUID
    answers: SurveyAnswers
    person_id: UUID | None = None
    cycle: Cycle | None = looked_up("cycle", lambda _, c: c.cycle_id)
    took_part: bool = looked_up("took_part", lambda _, c: (c.cycle_id, c.person_id))

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.answer_id)

    def concerns(self, state: UUID | None) -> tuple[Concern, ...]:
        return (EVERYBODY,)


def decide(state: UUID | None, command: AnswerSurvey) -> list[SurveyAnswered]:
    match command:
        case AnswerSurvey(cycle=cycle):
            if cycle is None:
                raise NotFound("cycle", command.cycle_id)
            cycle.allow(command, Phase.SCORING, Phase.REFLECTING)
            if command.took_part:
                once = "Each person answers once."
                raise InvalidState("survey", "answered by you already", "AnswerSurvey", once)
            return [
                SurveyAnswered(
                    answer_id=command.answer_id, cycle_id=cycle.cycle_id, answers=command.answers
                )
            ]
        case _:
            assert_never(command)


decider: Decider[UUID | None, AnswerSurvey, SurveyAnswered] = Decider(
    category="survey_answer", initial=None, evolve=evolve, decide=decide
)
