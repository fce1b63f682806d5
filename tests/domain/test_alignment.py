"""Alignment: agreements that never close a loop."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.alignment import (
    AlignmentAgreed,
    AlignmentWithdrawn,
    AlignObjective,
    Upstream,
    WithdrawAlignment,
)
from app.domain.cycle import Phase
from app.domain.deployment import AlignmentPolicy, Deployment
from app.domain.errors import AlignmentLoop, AlreadyExists, DecisionRefuses, InvalidState, NotFound
from app.domain.objective import Objective, Status
from app.domain.values import Target
from tests.domain.builders import (
    CYCLE,
    DEFAULTS,
    NOW,
    OBJECTIVE,
    OTHER_KEY_RESULT,
    OTHER_OBJECTIVE,
    OWNER,
    PERSON,
    TERMS,
    cycle,
    objective,
    uid,
)
from tests.given import given

LINK = uid(40)
ABOVE = Objective(OTHER_OBJECTIVE, CYCLE, OWNER, TERMS, Status.COMMITTED)
TARGET = Target(kind="key_result", id=OTHER_KEY_RESULT)
AGREED = AlignmentAgreed(
    alignment_id=LINK,
    cycle_id=CYCLE,
    objective_id=OBJECTIVE,
    target=TARGET,
    target_objective_id=OTHER_OBJECTIVE,
    rationale="Every regular begins with a first ride.",
)


def _align(**more: Any) -> AlignObjective:
    values: dict[str, Any] = {
        "at": NOW,
        "alignment_id": LINK,
        "objective_id": OBJECTIVE,
        "target": TARGET,
        "rationale": "Every regular begins with a first ride.",
        "objective": objective(Status.DRAFT),
        "cycle": cycle(Phase.DRAFTING),
        "upstream": Upstream(ABOVE, cycle(Phase.DRAFTING)),
        "existing": None,
        "unknown_people": (),
        "deployment": DEFAULTS,
    }
    return AlignObjective(**{**values, **more})


def test_an_objective_is_aligned_to_a_key_result_of_another() -> None:
    given().when(_align()).then(AGREED)


def test_alignment_to_what_contributes_here_already_is_a_loop() -> None:
    circle = Upstream(ABOVE, cycle(Phase.DRAFTING), frozenset({uid(99), OBJECTIVE}))
    given().when(_align(upstream=circle)).then_raises(AlignmentLoop, "close a loop")


def test_alignment_to_itself_or_its_own_key_result_is_a_loop() -> None:
    itself = Upstream(objective(Status.DRAFT), cycle(Phase.DRAFTING))
    given().when(_align(upstream=itself)).then_raises(AlignmentLoop)


def test_unknown_goals_and_people_are_named() -> None:
    given().when(_align(objective=None)).then_raises(NotFound, "objective")
    unknown = given().when(_align(upstream=Upstream(None, None))).then_raises(NotFound)
    assert unknown.pointer == "/target/id"
    agreed = _align(agreed_by=(uid(1), PERSON), unknown_people=(PERSON,))
    assert given().when(agreed).then_raises(NotFound).pointer == "/agreed_by/1"


def test_the_same_alignment_is_agreed_once() -> None:
    given().when(_align(existing=uid(5))).then_raises(AlreadyExists)


@pytest.mark.parametrize("phase", [Phase.PLANNED, Phase.SCORING, Phase.CLOSED])
def test_alignment_belongs_to_planning_and_execution(phase: Phase) -> None:
    given().when(_align(cycle=cycle(phase))).then_raises(InvalidState)


def test_nothing_is_aligned_to_a_closed_cycle() -> None:
    past = Upstream(ABOVE, cycle(Phase.CLOSED))
    given().when(_align(upstream=past)).then_raises(InvalidState, "target's cycle is closed")


def test_only_kinds_of_target_decided_are_allowed() -> None:
    only_objectives = Deployment(alignment=AlignmentPolicy(targets=("objective",)))
    given().when(_align(deployment=only_objectives)).then_raises(
        DecisionRefuses, "align to: objective"
    )


def test_an_alignment_is_withdrawn_once_with_a_reason() -> None:
    command = WithdrawAlignment(
        at=NOW, alignment_id=LINK, reason="Other goals.", cycle=cycle(Phase.ACTIVE)
    )
    withdrawn = AlignmentWithdrawn(alignment_id=LINK, cycle_id=CYCLE, reason="Other goals.")
    given(AGREED).when(command).then(withdrawn)
    given(AGREED, withdrawn).when(command).then_raises(InvalidState, "withdrawn")
    given().when(command).then_raises(NotFound)
