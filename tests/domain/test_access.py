"""Roles: what each may do, whom a command concerns, and what is granted."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from app.domain.access import ORGANIZATION, SCOPES_OF, Concern, Reach, Role, Scope, roles_with
from app.domain.catalog import DECIDERS
from app.domain.errors import InvalidState, NotFound, Refusal
from app.domain.messages import Command
from app.domain.person import Person
from app.domain.roles import GrantRole, RoleGranted, RoleWithdrawn, WithdrawRole
from app.domain.values import Owner, OwnerKind
from tests.domain.builders import NOW, PERSON, uid
from tests.given import given

GRANTED = RoleGranted(person_id=PERSON, role=Role.AUDITOR)
_EVERYTHING = frozenset(Scope)


def _grant(**more: Any) -> GrantRole:
    said = {"person_id": PERSON, "role": Role.AUDITOR, "held": _EVERYTHING, "person_known": True}
    return GrantRole(at=NOW, **{**said, **more})


def _withdraw(**more: Any) -> WithdrawRole:
    said = {"person_id": PERSON, "role": Role.AUDITOR, "person": Person(PERSON, active=True)}
    return WithdrawRole(at=NOW, **{**said, **more})


def test_a_role_is_granted_once_and_withdrawn_once() -> None:
    given().when(_grant(reason="Audit.")).then(
        RoleGranted(person_id=PERSON, role=Role.AUDITOR, reason="Audit.")
    )
    given(GRANTED).when(_grant()).then_nothing()
    given(GRANTED).when(_withdraw()).then(RoleWithdrawn(person_id=PERSON, role=Role.AUDITOR))
    given(GRANTED, RoleWithdrawn(person_id=PERSON, role=Role.AUDITOR)).when(
        _withdraw()
    ).then_raises(InvalidState)


def test_a_role_is_granted_to_people_who_are_there() -> None:
    given().when(_grant(person_known=False)).then_raises(NotFound)
    given().when(_withdraw(person=None)).then_raises(NotFound)


def test_the_role_of_somebody_who_left_may_be_cleared_away() -> None:
    gone = Person(PERSON, active=False)
    given(GRANTED).when(_withdraw(person=gone)).then(
        RoleWithdrawn(person_id=PERSON, role=Role.AUDITOR)
    )


def test_nobody_grants_more_than_they_have() -> None:
    held = frozenset({Scope.READ, Scope.HISTORY_READ, Scope.KEYS_WRITE})
    given().when(_grant(held=held)).then(GRANTED)
    given().when(_grant(held=held, role=Role.ADMIN)).then_raises(Refusal)


# Scopes -----------------------------------------------------------------------------------


def test_an_auditor_changes_nothing() -> None:
    assert SCOPES_OF[Role.AUDITOR] == {Scope.READ, Scope.HISTORY_READ}


def test_every_scope_belongs_to_somebody() -> None:
    assert all(Role.ADMIN in roles_with(scope) for scope in Scope)
    assert roles_with(Scope.HISTORY_READ) == (Role.ADMIN, Role.AUDITOR)


# Reach ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reach", "team", "person"),
    [
        (Reach(), False, False),
        (Reach(organization=True), True, True),
        (Reach(teams=frozenset({uid(1)})), True, False),
        (Reach(people=frozenset({uid(1)})), False, True),
    ],
)
def test_a_reach_tells_teams_and_people_apart(reach: Reach, team: bool, person: bool) -> None:
    assert reach.covers(Owner(kind=OwnerKind.TEAM, id=uid(1))) is team
    assert reach.covers(Owner(kind=OwnerKind.PERSON, id=uid(1))) is person


_FOR_ALL = {
    "AbandonObjective": "objective",
    "AcceptDependency": "objective",
    "AddMember": "team",
    "AlignObjective": "objective",
    "AmendKeyResult": "key_result",
    "AnswerSurvey": "everybody",
    "CommitObjective": "objective",
    "CorrectCheckIn": "key_result",
    "DeclareDependency": "objective",
    "DeclineDependency": "objective",
    "DeliverDependency": "objective",
    "DisbandTeam": "team",
    "DraftKeyResult": "objective",
    "FocusKpi": "objective",
    "HandOverBlocker": "key_result",
    "HandOverObjective": "objective",
    "ProposeObjective": "objective",
    "RaiseBlocker": "key_result",
    "RecordCheckIn": "key_result",
    "RecordReading": "team",
    "RemoveKeyResult": "key_result",
    "RemoveMember": "team",
    "RenameTeam": "team",
    "ReportResult": "objective",
    "ResolveBlocker": "key_result",
    "RetireKpi": "team",
    "RetractCheckIn": "key_result",
    "ReturnKpi": "team",
    "ReviseKpi": "team",
    "ReviseObjective": "objective",
    "ScoreKeyResult": "key_result",
    "SucceedBaseline": "key_result",
    "WithdrawAlignment": "objective",
    "WithdrawDependency": "objective",
}
"""Commands that are not the whole organisation's business, by what they concern."""
_SAY_WHOSE = {"DraftObjective", "FormTeam", "RecordReflection", "RegisterKpi", "ScheduleWorkshop"}
"""They name whom they concern: see below."""


@pytest.mark.parametrize("kind", [c for c in DECIDERS if c.__name__ not in _SAY_WHOSE])
def test_a_command_is_the_whole_organizations_business_unless_it_is_listed(
    kind: type[Command],
) -> None:
    """A new command is denied to everybody without the organisation's reach, until it is here."""
    command = kind(
        **{one.name: uid(1) for one in fields(kind) if one.name.endswith("_id")} | _rest(kind)
    )
    found = {concern.kind for concern in command.concerns(None)}
    assert found == {_FOR_ALL.get(kind.__name__, "organization")}


def _rest(kind: type[Command]) -> dict[str, Any]:
    """Something for every other field that has no default."""
    return {
        one.name: None
        for one in fields(kind)
        if not one.name.endswith("_id") and "lookup" not in one.metadata and one.name != "at"
    }


def test_what_names_its_owner_concerns_that_owner() -> None:
    team = Owner(kind=OwnerKind.TEAM, id=uid(1))
    person = Owner(kind=OwnerKind.PERSON, id=uid(2))
    assert Concern.of(team) == Concern("team", uid(1))
    assert Concern.of(person) == Concern("person", uid(2))
    assert ORGANIZATION.id is None


def test_the_table_on_the_page_is_the_one_in_force() -> None:
    page = (Path(__file__).parents[2] / "docs" / "roles.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    header, *rows = lines[-len(Scope) - 1 :]
    roles = [Role(cell.strip()) for cell in header.split("|")[2:-1]]
    told = {}
    for row in rows:
        scope, *cells = [cell.strip() for cell in row.split("|")[1:-1]]
        told[Scope(scope.strip("`"))] = {r for r, cell in zip(roles, cells, strict=True) if cell}
    assert told == {scope: set(roles_with(scope)) for scope in Scope}
