"""The organisation, its people, its teams and their keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.access import Scope
from app.domain.api_key import ApiKeyIssued, ApiKeyRevoked, IssueApiKey, RevokeApiKey
from app.domain.coach import Coach, CoachRelieved
from app.domain.errors import AlreadyExists, InvalidState, NotFound, Refusal, TeamLoop
from app.domain.organization import (
    FoundOrganization,
    OrganizationFounded,
    OrganizationRenamed,
    RenameOrganization,
)
from app.domain.person import (
    CorrectPerson,
    Entry,
    PersonCorrected,
    PersonLeft,
    PersonRegistered,
    RecordDeparture,
    RegisterPerson,
)
from app.domain.team import (
    AddMember,
    DisbandTeam,
    FormTeam,
    MemberJoined,
    MemberLeft,
    MoveTeam,
    RemoveMember,
    RenameTeam,
    Team,
    TeamCommand,
    TeamDisbanded,
    TeamFormed,
    TeamMoved,
    TeamRenamed,
)
from app.domain.values import Level
from tests.domain.builders import NOW, ORG, PERSON, TEAM, uid
from tests.given import given

FOUNDED = OrganizationFounded(organization_id=ORG, name="Harbour")
PARENT = uid(60)


def test_an_organisation_is_founded_once_and_may_be_renamed() -> None:
    found = FoundOrganization(at=NOW, organization_id=ORG, name="Harbour")
    given().when(found).then(FOUNDED)
    given(FOUNDED).when(found).then_raises(AlreadyExists)
    rename = RenameOrganization(at=NOW, organization_id=ORG, name="Harbour & Sons")
    renamed = OrganizationRenamed(organization_id=ORG, name="Harbour & Sons")
    given(FOUNDED).when(rename).then(renamed)
    given(FOUNDED, renamed).when(rename).then_nothing()
    given().when(rename).then_raises(NotFound)


def test_a_person_comes_and_goes() -> None:
    register = RegisterPerson(at=NOW, person_id=PERSON, existing=None)
    registered, left = PersonRegistered(person_id=PERSON), PersonLeft(person_id=PERSON)
    given().when(register).then(registered)
    again = RegisterPerson(at=NOW, person_id=PERSON, existing=uid(3))
    given().when(again).then_raises(AlreadyExists)
    leave = RecordDeparture(at=NOW, person_id=PERSON, teams=(TEAM,), coach=None)
    given(registered).when(leave).then(left, MemberLeft(team_id=TEAM, person_id=PERSON))
    given(registered, left).when(leave).then_raises(InvalidState)
    given().when(leave).then_raises(NotFound)


def test_a_correction_states_what_was_corrected_and_never_to_what() -> None:
    registered, left = PersonRegistered(person_id=PERSON), PersonLeft(person_id=PERSON)
    current: Entry = {"name": "Ada Park", "email": "ada@example.org"}

    def correct(stated: Entry, current: Entry | None = current) -> CorrectPerson:
        return CorrectPerson(at=NOW, person_id=PERSON, stated=stated, current=current)

    corrected = PersonCorrected(person_id=PERSON, corrected=("name", "email"))
    both = correct({"email": None, "name": "Ada Lind"})
    given(registered).when(both).then(corrected)
    # Who left can be corrected, too.
    given(registered, corrected, left).when(both).then(corrected)
    only = PersonCorrected(person_id=PERSON, corrected=("email",))
    given(registered).when(correct({**current, "email": "a@example.org"})).then(only)
    same: tuple[Entry, ...] = ({}, current, {"name": "Ada Park"})
    for stated in same:
        given(registered).when(correct(stated)).then_nothing()

    given().when(both).then_raises(NotFound)
    erased = given(registered).when(correct({}, None)).then_raises(InvalidState)
    assert erased.facts["state"] == "erased from the directory"


def test_a_coach_who_leaves_coaches_no_more() -> None:
    registered, left = PersonRegistered(person_id=PERSON), PersonLeft(person_id=PERSON)
    coach = Coach(PERSON)
    leave = RecordDeparture(at=NOW, person_id=PERSON, teams=(), coach=coach)
    relieved = CoachRelieved(person_id=PERSON, reason="The person left the organisation.")
    given(registered).when(leave).then(left, relieved)
    given(registered).when(replace(leave, coach=replace(coach, active=False))).then(left)


# Teams ------------------------------------------------------------------------------------

FORMED = TeamFormed(team_id=TEAM, name="Growth", level=Level.TEAM)


def _form(**more: Any) -> FormTeam:
    values: dict[str, Any] = {
        "at": NOW,
        "team_id": TEAM,
        "name": "Growth",
        "parent": None,
        "existing": None,
    }
    return FormTeam(**{**values, **more})


def _parent(level: Any = Level.COMPANY, *, active: bool = True) -> Team:
    return Team(PARENT, "Harbour", level, None, active)


def test_a_team_is_formed_below_another() -> None:
    given().when(_form()).then(FORMED)
    given().when(_form(parent_id=PARENT, parent=_parent())).then(
        TeamFormed(team_id=TEAM, name="Growth", level=Level.TEAM, parent_id=PARENT)
    )


def test_a_team_needs_a_parent_that_is_there() -> None:
    given().when(_form(parent_id=PARENT)).then_raises(NotFound)
    gone = _parent(active=False)
    given().when(_form(parent_id=PARENT, parent=gone)).then_raises(InvalidState, "disbanded")
    below = _form(level=Level.COMPANY, parent_id=PARENT, parent=_parent(Level.TEAM))
    given().when(below).then_raises(Refusal, "cannot stand below a team")
    given().when(_form(existing=uid(3))).then_raises(AlreadyExists)


def _on(kind: type[TeamCommand], **more: Any) -> Any:
    return kind(**{"at": NOW, "team_id": TEAM, **more})


def test_a_team_is_renamed_and_moved() -> None:
    given(FORMED).when(_on(RenameTeam, name="Sales")).then(TeamRenamed(team_id=TEAM, name="Sales"))
    given(FORMED).when(_on(RenameTeam, name="Growth")).then_nothing()
    move = _on(MoveTeam, parent_id=PARENT, parent=_parent(), above_parent=frozenset({PARENT}))
    moved = TeamMoved(team_id=TEAM, parent_id=PARENT)
    given(FORMED).when(move).then(moved)
    given(FORMED, moved).when(move).then_nothing()
    to_the_top = _on(MoveTeam, parent_id=None, parent=None, above_parent=frozenset())
    given(FORMED, moved).when(to_the_top).then(TeamMoved(team_id=TEAM, parent_id=None))


def test_a_team_never_stands_above_itself() -> None:
    below = _on(
        MoveTeam,
        parent_id=PARENT,
        parent=_parent(Level.TEAM),
        above_parent=frozenset({PARENT, TEAM}),
    )
    given(FORMED).when(below).then_raises(TeamLoop)
    itself = _on(
        MoveTeam, parent_id=TEAM, parent=_parent(Level.TEAM), above_parent=frozenset({TEAM})
    )
    given(FORMED).when(itself).then_raises(TeamLoop)


def test_a_team_is_disbanded_when_nothing_hangs_on_it() -> None:
    given(FORMED).when(_on(DisbandTeam, teams_below=0, open_goals=0)).then(
        TeamDisbanded(team_id=TEAM)
    )
    given(FORMED).when(_on(DisbandTeam, teams_below=1, open_goals=0)).then_raises(Refusal)
    given(FORMED).when(_on(DisbandTeam, teams_below=0, open_goals=2)).then_raises(
        Refusal, "owns 2 objective(s)"
    )
    gone = given(FORMED, TeamDisbanded(team_id=TEAM))
    gone.when(_on(RenameTeam, name="x")).then_raises(InvalidState)


def test_members_join_once_and_leave() -> None:
    joined = MemberJoined(team_id=TEAM, person_id=PERSON, role="leader")
    join = _on(AddMember, person_id=PERSON, role="leader", person_known=True)
    leave = _on(RemoveMember, person_id=PERSON)
    given(FORMED).when(join).then(joined)
    given(FORMED, joined).when(join).then_nothing()
    given(FORMED).when(leave).then_raises(NotFound)
    left = MemberLeft(team_id=TEAM, person_id=PERSON)
    given(FORMED, joined).when(leave).then(left)
    given(FORMED, joined, left).when(leave).then_raises(NotFound)
    unknown = _on(AddMember, person_id=PERSON, person_known=False)
    given(FORMED).when(unknown).then_raises(NotFound)
    given().when(leave).then_raises(NotFound, "team")


# Keys -------------------------------------------------------------------------------------


def _issue(**more: Any) -> IssueApiKey:
    values: dict[str, Any] = {
        "at": NOW,
        "key_id": uid(70),
        "name": "Bridge",
        "scopes": (Scope.READ, Scope.CHECK_INS_WRITE, Scope.READ),
        "held": frozenset(Scope),
        "person_known": True,
        "unknown_teams": (),
        "known_key_results": (),
    }
    return IssueApiKey(**{**values, **more})


def test_a_key_is_issued_with_each_scope_once_and_revoked_once() -> None:
    (issued,) = given().when(_issue()).decide()
    assert isinstance(issued, ApiKeyIssued)
    assert issued.scopes == (Scope.CHECK_INS_WRITE, Scope.READ)
    revoke = RevokeApiKey(at=NOW, key_id=uid(70))
    revoked = ApiKeyRevoked(key_id=uid(70))
    given(issued).when(revoke).then(revoked)
    given(issued, revoked).when(revoke).then_raises(InvalidState)
    given().when(revoke).then_raises(NotFound)


def test_nobody_hands_out_more_than_they_have() -> None:
    poor = _issue(held=frozenset({Scope.READ}))
    assert given().when(poor).then_raises(Refusal, "check-ins:write").pointer == "/scopes"


@pytest.mark.parametrize("expires_at", [NOW, NOW - timedelta(days=1)])
def test_a_key_is_not_issued_expired(expires_at: Any) -> None:
    given().when(_issue(expires_at=expires_at)).then_raises(Refusal, "in the past")


def test_a_key_for_nobody_known_is_refused() -> None:
    given().when(_issue(person_id=PERSON, person_known=False)).then_raises(NotFound)
