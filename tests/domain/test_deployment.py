"""The ten decisions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.domain.deployment import (
    QUESTIONS,
    Cadence,
    Decision,
    DecisionMade,
    Deployment,
    Limits,
    MakeDecision,
    MeasureWhatMatters,
    Rhythm,
    StretchTargetCommit,
)
from app.domain.errors import DecisionRefuses, NotFound, Refusal
from tests.domain.builders import NOW, ORG, PERSON
from tests.given import given

DECISION: TypeAdapter[Any] = TypeAdapter(Decision)


def _make(decision: Any, **more: Any) -> MakeDecision:
    values: dict[str, Any] = {
        "at": NOW,
        "organization_id": ORG,
        "decision": decision,
        "rationale": "Because.",
        "running_cycles": (),
        "decider_known": False,
    }
    return MakeDecision(**{**values, **more})


def _made(decision: Any) -> DecisionMade:
    return DecisionMade(organization_id=ORG, decision=decision, rationale="Because.")


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_of_the_ten_questions_has_a_default_and_takes_an_answer(question: str) -> None:
    system = {"system": "measure_what_matters"} if question == "scoring" else {}
    answer = DECISION.validate_python({"question": question, **system})
    assert answer == getattr(Deployment(), question)
    given().when(_make(answer)).then(_made(answer))
    state: Deployment = given(_made(answer)).state(MakeDecision)
    assert state.answered == {question}


def test_there_are_ten_questions() -> None:
    assert len(QUESTIONS) == 10


def test_a_later_answer_takes_over_and_leaves_the_others_alone() -> None:
    first, second = Limits(max_objectives=2), Limits(max_objectives=5)
    state: Deployment = given(_made(first), _made(Rhythm()), _made(second)).state(MakeDecision)
    assert state.limits == second
    assert state.answered == {"limits", "cadence"}


def test_scoring_does_not_change_under_a_running_cycle() -> None:
    stricter = MeasureWhatMatters(good=Decimal("0.8"))
    running = _make(stricter, running_cycles=("2026 Q1",))
    refusal = given().when(running).then_raises(DecisionRefuses, "2026 Q1")
    assert refusal.facts["rule"] == "scoring.fixed_while_running"
    # To affirm what is in force alters nothing.
    affirmed = MeasureWhatMatters()
    given().when(_make(affirmed, running_cycles=("2026 Q1",))).then(_made(affirmed))
    given().when(_make(Limits(max_objectives=2), running_cycles=("2026 Q1",))).then(
        _made(Limits(max_objectives=2))
    )


def test_the_scores_of_the_levels_rise() -> None:
    upside_down = StretchTargetCommit(commit=Decimal("0.8"))
    refusal = given().when(_make(upside_down)).then_raises(Refusal, "must rise")
    assert refusal.pointer == "/decision/commit"
    given().when(_make(StretchTargetCommit())).then(_made(StretchTargetCommit()))


def test_a_custom_cadence_states_its_days() -> None:
    given().when(_make(Rhythm(team=Cadence.CUSTOM))).then_raises(Refusal, "length in days")
    stated = Rhythm(team=Cadence.CUSTOM, custom_days=42)
    given().when(_make(stated)).then(_made(stated))


def test_whoever_decided_is_known() -> None:
    unknown = _make(Limits(), decided_by=PERSON)
    assert given().when(unknown).then_raises(NotFound).pointer == "/decided_by"
    assert given().when(_make(Limits(), decided_by=PERSON, decider_known=True)).decide()


@pytest.mark.parametrize(
    "answer",
    [
        {"question": "limits", "max_objectives": 0},
        {"question": "limits", "max_objectives": "3"},
        {"question": "limits", "max_objectives": True},
        {"question": "limits", "enforcement": "shout"},
        {"question": "levels", "owners": []},
        {"question": "scoring", "system": "measure_what_matters", "good": 1.1},
        {"question": "scoring"},
        {"question": "scoring", "system": "gut_feeling"},
        {"question": "cadence", "team": "whenever"},
        {"question": "cadence", "custom_days": 0},
        {"question": "bottom_up", "target_share": -0.1},
        {"question": "performance_reviews", "link": "secret"},
        {"question": "eleventh"},
        {"max_objectives": 3},
        {"question": "limits", "unknown": 1},
    ],
)
def test_an_answer_that_is_none_is_invalid(answer: Any) -> None:
    with pytest.raises(ValidationError):
        DECISION.validate_python(answer)
