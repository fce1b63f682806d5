"""A blocker is raised on what lives, handed over, and resolved once."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.blocker import (
    BlockerHandedOver,
    BlockerKind,
    BlockerRaised,
    BlockerResolved,
    HandOverBlocker,
    RaiseBlocker,
    ResolveBlocker,
)
from app.domain.cycle import Phase
from app.domain.errors import InvalidState, NotFound
from tests.domain.builders import CYCLE, KEY_RESULT, NOW, PERSON, cycle, key_result, uid
from tests.given import given

BLOCKER, OTHER = uid(72), uid(73)
IDS: dict[str, Any] = {"blocker_id": BLOCKER, "key_result_id": KEY_RESULT, "cycle_id": CYCLE}
RAISED = BlockerRaised(
    **IDS,
    kind=BlockerKind.CLARITY,
    what="Nobody knows who decides.",
    owner_id=PERSON,
    next_action="Ask on Monday.",
)
RESOLVED = BlockerResolved(**IDS, how="Ada decides.")


def _raise(**more: Any) -> RaiseBlocker:
    values: dict[str, Any] = {
        "at": NOW,
        "blocker_id": BLOCKER,
        "key_result_id": KEY_RESULT,
        "kind": BlockerKind.CLARITY,
        "what": "Nobody knows who decides.",
        "owner_id": PERSON,
        "next_action": "Ask on Monday.",
        "key_result": key_result(),
        "cycle": cycle(Phase.ACTIVE),
        "owner_known": True,
    }
    return RaiseBlocker(**{**values, **more})


def _hand_over(**more: Any) -> HandOverBlocker:
    return HandOverBlocker(**{"at": NOW, "blocker_id": BLOCKER, "owner_known": True, **more})


RESOLVE = ResolveBlocker(at=NOW, blocker_id=BLOCKER, how="Ada decides.")


def test_a_blocker_is_raised_with_whose_it_is_and_what_is_next() -> None:
    given().when(_raise()).then(RAISED)


@pytest.mark.parametrize("phase", [Phase.DRAFTING, Phase.SCORING, Phase.CLOSED])
def test_nothing_is_blocked_unless_the_cycle_runs(phase: Phase) -> None:
    given().when(_raise(cycle=cycle(phase))).then_raises(InvalidState)


def test_a_blocker_is_of_a_living_key_result_and_a_known_owner() -> None:
    given().when(_raise(key_result=None, cycle=None)).then_raises(NotFound)
    given().when(_raise(key_result=key_result(removed=True))).then_raises(InvalidState)
    assert given().when(_raise(owner_known=False)).then_raises(NotFound).pointer == "/owner_id"


def test_a_blocker_is_handed_over_only_where_something_changes() -> None:
    given(RAISED).when(_hand_over(owner_id=OTHER)).then(
        BlockerHandedOver(**IDS, owner_id=OTHER, next_action="Ask on Monday.")
    )
    given(RAISED).when(_hand_over(owner_id=PERSON)).then_nothing()
    given(RAISED).when(_hand_over()).then_nothing()
    stranger = _hand_over(owner_id=OTHER, owner_known=False)
    given(RAISED).when(stranger).then_raises(NotFound)


def test_a_blocker_is_resolved_once() -> None:
    given(RAISED).when(RESOLVE).then(RESOLVED)
    given(RAISED, RESOLVED).when(RESOLVE).then_raises(InvalidState, "resolved")
    given(RAISED, RESOLVED).when(_hand_over(owner_id=OTHER)).then_raises(InvalidState)
    given().when(RESOLVE).then_raises(NotFound)
