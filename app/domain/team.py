"""Teams form a tree; the company is the team at its top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from app.domain.access import ORGANIZATION, Concern
from app.domain.errors import AlreadyExists, InvalidState, NotFound, Refusal, TeamLoop
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.values import ExternalRef, Level, Line

TeamLevel = Literal[Level.COMPANY, Level.TEAM]
MemberRole = Literal["leader", "member"]

# Events -----------------------------------------------------------------------------------


class TeamEvent(Event, stream="team", key="team_id"):
    team_id: UUID


class TeamFormed(TeamEvent, type="team.formed"):
    name: Line
    level: TeamLevel
    parent_id: UUID | None = None
    external: ExternalRef | None = None


class TeamRenamed(TeamEvent, type="team.renamed"):
    name: Line


class TeamMoved(TeamEvent, type="team.moved"):
    parent_id: UUID | None = None


class TeamDisbanded(TeamEvent, type="team.disbanded"):
    pass


class MemberJoined(TeamEvent, type="team.member_joined"):
    person_id: UUID
    role: MemberRole


class MemberRoleChanged(TeamEvent, type="team.member_role_changed"):
    person_id: UUID
    role: MemberRole


class MemberLeft(TeamEvent, type="team.member_left"):
    person_id: UUID


TeamEvents = (
    TeamFormed
    | TeamRenamed
    | TeamMoved
    | TeamDisbanded
    | MemberJoined
    | MemberRoleChanged
    | MemberLeft
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Team:
    team_id: UUID
    name: str
    level: TeamLevel
    parent_id: UUID | None
    active: bool = True
    members: Mapping[UUID, MemberRole] = field(default_factory=dict)


def evolve(state: Team | None, event: TeamEvents) -> Team:
    if isinstance(event, TeamFormed):
        return Team(event.team_id, event.name, event.level, event.parent_id)
    assert state is not None, "a team's stream starts with team.formed"
    match event:
        case TeamRenamed():
            return replace(state, name=event.name)
        case TeamMoved():
            return replace(state, parent_id=event.parent_id)
        case TeamDisbanded():
            return replace(state, active=False)
        case MemberJoined() | MemberRoleChanged():
            return replace(state, members={**state.members, event.person_id: event.role})
        case MemberLeft():
            staying = {id: role for id, role in state.members.items() if id != event.person_id}
            return replace(state, members=staying)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamCommand(Command):
    category: ClassVar[str] = "team"
    team_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.team_id)

    def concerns(self, state: Team | None) -> tuple[Concern, ...]:
        return (Concern("team", self.team_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormTeam(TeamCommand):
    """Raises AlreadyExists, NotFound (parent), Refusal (a company below a team)."""

    name: str
    level: TeamLevel = Level.TEAM
    parent_id: UUID | None = None
    external: ExternalRef | None = None
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "team"))
    parent: Team | None = looked_up("team", lambda _, c: c.parent_id)

    def concerns(self, state: Team | None) -> tuple[Concern, ...]:
        return (Concern("team", self.parent_id) if self.parent_id else ORGANIZATION,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameTeam(TeamCommand):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveTeam(TeamCommand):
    """Raises TeamLoop when the new parent stands below the team."""

    parent_id: UUID | None
    parent: Team | None = looked_up("team", lambda _, c: c.parent_id)
    above_parent: frozenset[UUID] = looked_up("teams_above", lambda _, c: c.parent_id)

    def concerns(self, state: Team | None) -> tuple[Concern, ...]:
        """The organisation's: it changes who reaches whom."""
        return (ORGANIZATION,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisbandTeam(TeamCommand):
    """Raises Refusal while the team has teams below it or goals in a cycle not yet closed."""

    teams_below: int = looked_up("teams_below", lambda _, c: c.team_id)
    open_goals: int = looked_up("open_goals_of_team", lambda _, c: c.team_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMember(TeamCommand):
    """Who is a member already takes on the role."""

    person_id: UUID
    role: MemberRole = "member"
    person_known: bool = looked_up("person_known", lambda _, c: c.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMember(TeamCommand):
    person_id: UUID


TeamCommands = FormTeam | RenameTeam | MoveTeam | DisbandTeam | AddMember | RemoveMember


def _fits_below(level: TeamLevel, parent_id: UUID | None, parent: Team | None) -> None:
    if parent_id is None:
        return
    if parent is None:
        raise NotFound("team", parent_id, pointer="/parent_id")
    if not parent.active:
        raise InvalidState("team above", "disbanded", "This", "Choose another parent_id.")
    if level is Level.COMPANY and parent.level is Level.TEAM:
        raise Refusal(
            "A company cannot stand below a team; give it no parent or a company.",
            pointer="/parent_id",
        )


def decide(state: Team | None, command: TeamCommands) -> list[TeamEvents]:
    if isinstance(command, FormTeam):
        if command.existing is not None:
            raise AlreadyExists("team", command.existing)
        _fits_below(command.level, command.parent_id, command.parent)
        return [
            TeamFormed(
                team_id=command.team_id,
                name=command.name,
                level=command.level,
                parent_id=command.parent_id,
                external=command.external,
            )
        ]
    if state is None:
        raise NotFound("team", command.team_id)
    if not state.active:
        raise InvalidState("team", "disbanded", type(command).__name__, "Form a new team instead.")
    team_id = state.team_id
    match command:
        case RenameTeam():
            return (
                []
                if state.name == command.name
                else [TeamRenamed(team_id=team_id, name=command.name)]
            )
        case MoveTeam():
            _fits_below(state.level, command.parent_id, command.parent)
            if command.parent_id == team_id or team_id in command.above_parent:
                raise TeamLoop(
                    "The new parent stands below this team; move that one out first.",
                    pointer="/parent_id",
                )
            return (
                []
                if state.parent_id == command.parent_id
                else [TeamMoved(team_id=team_id, parent_id=command.parent_id)]
            )
        case DisbandTeam():
            if command.teams_below or command.open_goals:
                raise Refusal(
                    f"{command.teams_below} team(s) stand below this one and it owns "
                    f"{command.open_goals} objective(s) in cycles not yet closed; "
                    "move or close them first."
                )
            return [TeamDisbanded(team_id=team_id)]
        case AddMember():
            if not command.person_known:
                raise NotFound("person", command.person_id)
            role = state.members.get(command.person_id)
            if role == command.role:
                return []
            kind = MemberJoined if role is None else MemberRoleChanged
            return [kind(team_id=team_id, person_id=command.person_id, role=command.role)]
        case RemoveMember():
            if command.person_id not in state.members:
                raise NotFound("member", command.person_id)
            return [MemberLeft(team_id=team_id, person_id=command.person_id)]
        case _:
            assert_never(command)


decider: Decider[Team | None, TeamCommands, TeamEvents] = Decider(
    category="team", initial=None, evolve=evolve, decide=decide
)
