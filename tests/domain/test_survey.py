"""The process survey: who may answer when, and what it says beside the results."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from app.domain.cycle import Phase
from app.domain.errors import InvalidState, NotFound
from app.domain.survey import ASKED, AnswerSurvey, SurveyAnswered, SurveyAnswers, diagnose
from tests.domain.builders import CYCLE, NOW, cycle, uid
from tests.given import given

ANSWERS = SurveyAnswers(
    stayed_visible=4, real_cadence=5, outcomes_not_activity=3, few_enough=4, said_early=2
)


def _answer(phase: Phase | None, *, took_part: bool = False) -> AnswerSurvey:
    return AnswerSurvey(
        at=NOW,
        answer_id=uid(60),
        cycle_id=CYCLE,
        answers=ANSWERS,
        cycle=None if phase is None else cycle(phase),
        took_part=took_part,
    )


@pytest.mark.parametrize("phase", [Phase.SCORING, Phase.REFLECTING])
def test_the_survey_is_answered_while_the_cycle_looks_back(phase: Phase) -> None:
    given().when(_answer(phase)).then(
        SurveyAnswered(answer_id=uid(60), cycle_id=CYCLE, answers=ANSWERS)
    )


@pytest.mark.parametrize("phase", [Phase.DRAFTING, Phase.ACTIVE, Phase.CLOSED])
def test_there_is_nothing_to_answer_before_and_after(phase: Phase) -> None:
    given().when(_answer(phase)).then_raises(InvalidState)


def test_the_survey_is_of_a_cycle_that_is_there() -> None:
    given().when(_answer(None)).then_raises(NotFound)


@pytest.mark.parametrize("answer", [0, 6, True, "3", 2.5])
def test_answers_are_whole_numbers_from_1_to_5(answer: object) -> None:
    with pytest.raises(ValidationError):
        SurveyAnswers.model_validate({**dict.fromkeys(ASKED, 3), "said_early": answer})


@pytest.mark.parametrize(
    ("agreement", "score", "diagnosis"),
    [
        ("4.2", "0.8", "healthy"),
        ("4.2", "0.3", "strategy_problem"),
        ("2.1", "0.3", "rhythm_problem"),
        ("2.1", "0.8", "results_despite_rhythm"),
        ("3.5", "0.7", "healthy"),
        (None, "0.8", None),
        ("4.2", None, None),
    ],
)
def test_rhythm_and_results_together_say_what_is_wrong(
    agreement: str | None, score: str | None, diagnosis: str | None
) -> None:
    told = None if agreement is None else Decimal(agreement)
    figure = None if score is None else Decimal(score)
    assert diagnose(told, figure, Decimal("0.7")) == diagnosis


def test_nobody_answers_twice() -> None:
    given().when(_answer(Phase.SCORING, took_part=True)).then_raises(InvalidState, "by you already")
