"""Each answer says in plain language what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.consequences import AnyAnswer, consequence
from app.domain.deployment import (
    QUESTIONS,
    AlignmentPolicy,
    Deployment,
    Enforcement,
    Levels,
    Limits,
    PerformanceReviews,
    RadicalFocus,
    StretchTargetCommit,
)
from app.domain.values import Level


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_answer_has_a_consequence(question: str) -> None:
    assert consequence(getattr(Deployment(), question)).endswith(".")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Levels(owners=(Level.TEAM,)), "company or individual level is refused"),
        (Levels(owners=tuple(Level)), "company and team and individual level."),
        (Limits(max_objectives=2), "is warned of"),
        (Limits(max_objectives=2, enforcement=Enforcement.REFUSE), "More than 2 objective(s)"),
        (Limits(enforcement=Enforcement.REFUSE), "is refused"),
        (StretchTargetCommit(), "cannot be committed"),
        (RadicalFocus(), "nothing between"),
        (AlignmentPolicy(policy="required", required_by_day=14), "refused from day 15"),
        (AlignmentPolicy(policy="expected"), "warned of"),
        (PerformanceReviews(), "for everyone to see"),
        (
            PerformanceReviews(individual_scores_visible_to=("leader", "owner")),
            "seen by its leaders and whoever owns them, and by those who may read the history",
        ),
    ],
)
def test_a_consequence_follows_from_the_answer(answer: Any, said: str) -> None:
    given: AnyAnswer = answer
    assert said in consequence(given)
