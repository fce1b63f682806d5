"""Dependencies: what another team is asked for, and what it says."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from app.domain.cycle import Phase
from app.domain.dependency import (
    AcceptDependency,
    DeclareDependency,
    DeclineDependency,
    DeliverDependency,
    DependencyAccepted,
    DependencyCommand,
    DependencyDeclared,
    DependencyDeclined,
    DependencyDelivered,
    DependencyEvents,
    DependencyStatus,
    DependencyWithdrawn,
    OtherSide,
    WithdrawDependency,
)
from app.domain.errors import AlreadyExists, InvalidState, NotFound, Refusal
from app.domain.objective import Objective, Status
from app.domain.values import ExternalRef, Owner, OwnerKind
from tests.domain.builders import (
    CYCLE,
    NOW,
    OBJECTIVE,
    OTHER_OBJECTIVE,
    OWNER,
    PERSON,
    TEAM,
    TERMS,
    cycle,
    objective,
    uid,
)
from tests.given import given

NEED, OTHER_TEAM = uid(60), uid(61)
IDS: dict[str, Any] = {"dependency_id": NEED, "cycle_id": CYCLE}
ON_TEAM = OtherSide(kind="team", id=OTHER_TEAM)
ON_OBJECTIVE = OtherSide(kind="objective", id=OTHER_OBJECTIVE)
THEIRS = Owner(kind=OwnerKind.TEAM, id=OTHER_TEAM)
SOMEBODY = Owner(kind=OwnerKind.PERSON, id=PERSON)
DECLARED = DependencyDeclared(
    **IDS,
    objective_id=OBJECTIVE,
    on=ON_TEAM,
    on_team_id=OTHER_TEAM,
    needed="A sign-in without a password.",
    needed_by=date(2026, 2, 13),
)
ACCEPTED = DependencyAccepted(**IDS, person_id=PERSON, note="In March.")
DECLINED = DependencyDeclined(**IDS, person_id=PERSON, reason="Nobody is free.")
DELIVERED = DependencyDelivered(**IDS, note="Live.")
WITHDRAWN = DependencyWithdrawn(**IDS, reason="We do it ourselves.")
HISTORY: dict[DependencyStatus, list[DependencyEvents]] = {
    DependencyStatus.OPEN: [DECLARED],
    DependencyStatus.ACCEPTED: [DECLARED, ACCEPTED],
    DependencyStatus.DECLINED: [DECLARED, DECLINED],
    DependencyStatus.DELIVERED: [DECLARED, ACCEPTED, DELIVERED],
    DependencyStatus.WITHDRAWN: [DECLARED, WITHDRAWN],
}


def _other(owner: Owner, status: Status = Status.COMMITTED) -> Objective:
    return Objective(OTHER_OBJECTIVE, CYCLE, owner, TERMS, status)


def _declare(**more: Any) -> DeclareDependency:
    values: dict[str, Any] = {
        "at": NOW,
        "dependency_id": NEED,
        "objective_id": OBJECTIVE,
        "on": ON_TEAM,
        "needed": DECLARED.needed,
        "needed_by": DECLARED.needed_by,
        "objective": objective(),
        "cycle": cycle(Phase.ACTIVE),
        "own_teams": frozenset({TEAM}),
        "team_known": True,
        "other": None,
        "other_cycle": None,
        "risk_owner_known": False,
        "existing": None,
    }
    return DeclareDependency(**{**values, **more})


def _on_objective(owner: Owner, **more: Any) -> DeclareDependency:
    facts: dict[str, Any] = {
        "on": ON_OBJECTIVE,
        "team_known": False,
        "other": _other(owner),
        "other_cycle": cycle(Phase.ACTIVE),
    }
    return _declare(**{**facts, **more})


def _say(phase: Phase = Phase.ACTIVE, *, known: bool = True) -> dict[str, DependencyCommand]:
    """Every command on a dependency that is there, by what it leads to."""
    facts: dict[str, Any] = {"at": NOW, "dependency_id": NEED, "cycle": cycle(phase)}
    who: dict[str, Any] = {"person_id": PERSON, "person_known": known}
    return {
        "accepted": AcceptDependency(**facts, **who, note=ACCEPTED.note),
        "declined": DeclineDependency(**facts, **who, reason=DECLINED.reason),
        "delivered": DeliverDependency(**facts, note=DELIVERED.note),
        "withdrawn": WithdrawDependency(**facts, reason=WITHDRAWN.reason),
    }


# Declaring --------------------------------------------------------------------------------


def test_an_objective_needs_something_of_another_team() -> None:
    given().when(_declare()).then(DECLARED)


def test_a_dependency_is_recognised_by_its_external_id() -> None:
    external = ExternalRef(source="sheet", external_id="row 7")
    expected = DECLARED.model_copy(update={"external": external})
    given().when(_declare(external=external)).then(expected)
    given().when(_declare(external=external, existing=uid(9))).then_raises(AlreadyExists)


def test_a_dependency_on_an_objective_is_one_on_the_team_that_owns_it() -> None:
    expected = DECLARED.model_copy(update={"on": ON_OBJECTIVE})
    given().when(_on_objective(THEIRS)).then(expected)


def test_a_dependency_on_a_persons_objective_names_no_team() -> None:
    expected = DECLARED.model_copy(update={"on": ON_OBJECTIVE, "on_team_id": None})
    given().when(_on_objective(SOMEBODY)).then(expected)


def test_a_dependency_may_have_an_owner_of_its_risk_who_is_known() -> None:
    named = _declare(risk_owner_id=PERSON, risk_owner_known=True)
    given().when(named).then(DECLARED.model_copy(update={"risk_owner_id": PERSON}))
    unknown = _declare(risk_owner_id=PERSON)
    assert given().when(unknown).then_raises(NotFound).pointer == "/risk_owner_id"


@pytest.mark.parametrize(
    "command",
    [
        _declare(on=OtherSide(kind="team", id=TEAM)),
        _on_objective(OWNER),
        _on_objective(THEIRS, own_teams=frozenset({TEAM, OTHER_TEAM})),
        _on_objective(
            SOMEBODY,
            objective=Objective(OBJECTIVE, CYCLE, SOMEBODY, TERMS),
            own_teams=frozenset(),
        ),
    ],
    ids=["itself", "its objective", "a team of the owner", "the owner's own objective"],
)
def test_a_dependency_on_ones_own_team_is_refused(command: DeclareDependency) -> None:
    refusal = given().when(command).then_raises(Refusal, "its own team")
    assert refusal.pointer == "/on/id"


def test_two_teams_may_need_each_other() -> None:
    back = _declare(
        objective_id=OTHER_OBJECTIVE,
        objective=_other(THEIRS),
        own_teams=frozenset({OTHER_TEAM}),
        on=OtherSide(kind="team", id=TEAM),
    )
    (event,) = given().when(back).decide()
    assert isinstance(event, DependencyDeclared)
    assert event.on_team_id == TEAM


def test_unknown_goals_and_teams_are_named() -> None:
    given().when(_declare(objective=None, cycle=None)).then_raises(NotFound, "objective")
    nobody = given().when(_declare(team_known=False)).then_raises(NotFound, "team")
    nothing = _on_objective(THEIRS, other=None, other_cycle=None)
    missing = given().when(nothing).then_raises(NotFound, f"objective {OTHER_OBJECTIVE}")
    assert nobody.pointer == missing.pointer == "/on/id"


@pytest.mark.parametrize("phase", [Phase.PLANNED, Phase.SCORING, Phase.REFLECTING, Phase.CLOSED])
def test_dependencies_are_declared_while_drafting_and_running(phase: Phase) -> None:
    given().when(_declare(cycle=cycle(phase))).then_raises(InvalidState, "drafting or active")


def test_nothing_that_has_ended_needs_or_gives_anything() -> None:
    given().when(_declare(objective=objective(Status.CLOSED))).then_raises(InvalidState)
    ended = _on_objective(THEIRS, other=_other(THEIRS, Status.CLOSED))
    given().when(ended).then_raises(InvalidState)
    past = _on_objective(THEIRS, other_cycle=cycle(Phase.CLOSED))
    given().when(past).then_raises(InvalidState, "other objective's cycle is closed")


# Answering --------------------------------------------------------------------------------

ALLOWED = {
    "accepted": {"open"},
    "declined": {"open"},
    "delivered": {"accepted"},
    "withdrawn": {"open", "accepted", "declined", "delivered"},
}
EVENTS = {
    "accepted": ACCEPTED,
    "declined": DECLINED,
    "delivered": DELIVERED,
    "withdrawn": WITHDRAWN,
}


@pytest.mark.parametrize("status", DependencyStatus)
@pytest.mark.parametrize("word", ALLOWED)
def test_each_state_allows_its_own_commands(word: str, status: DependencyStatus) -> None:
    when = given(*HISTORY[status]).when(_say()[word])
    if status in ALLOWED[word]:
        when.then(EVENTS[word])
    else:
        assert when.then_raises(InvalidState).facts == {"state": status}


def test_a_dependency_is_what_was_said_to_it_last() -> None:
    for status, history in HISTORY.items():
        assert given(*history).state(AcceptDependency).status is status


@pytest.mark.parametrize("word", ["accepted", "declined"])
def test_whoever_speaks_for_the_other_side_is_known(word: str) -> None:
    stranger = _say(known=False)[word]
    refusal = given(DECLARED).when(stranger).then_raises(NotFound, "person")
    assert refusal.pointer == "/person_id"


@pytest.mark.parametrize("word", ALLOWED)
def test_what_is_said_while_scoring_is_only_how_it_ended(word: str) -> None:
    history = [DECLARED, ACCEPTED] if word == "delivered" else [DECLARED]
    when = given(*history).when(_say(Phase.SCORING)[word])
    if word in ("delivered", "withdrawn"):
        when.then(EVENTS[word])
    else:
        when.then_raises(InvalidState)
    given(*history).when(_say(Phase.REFLECTING)[word]).then_raises(InvalidState)


@pytest.mark.parametrize("word", ALLOWED)
def test_an_unknown_dependency_is_not_found(word: str) -> None:
    given().when(_say()[word]).then_raises(NotFound, "dependency")
