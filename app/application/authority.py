"""What a caller may do, found in the same transaction in which it is done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

from app.application.keys import Caller
from app.domain.access import (
    SCOPES_OF,
    Concern,
    Grant,
    Reach,
    Role,
    Scope,
    roles_with,
    with_scope,
)
from app.domain.errors import OutOfReach
from app.domain.messages import Command
from app.domain.values import Level, Owner, OwnerKind
from app.projections.coaches import CoachRow
from app.projections.members import MemberRow
from app.projections.people import PersonRow
from app.projections.roles import RoleRow
from app.projections.rows import Rows
from app.projections.teams import TeamRow

GRANTED_BY = frozenset({CoachRow, MemberRow, PersonRow, RoleRow, TeamRow})
"""The read models that grants are read from."""


async def grants_of(rows: Rows, caller: Caller) -> tuple[Grant, ...]:
    """The roles that a caller has now, each no wider than the key that was presented."""
    found: tuple[Grant, ...]
    if caller.is_operator:
        found = (Grant(Role.ADMIN, SCOPES_OF[Role.ADMIN], Reach(organization=True)),)
    elif caller.person_id is not None:
        found = await roles_of(rows, caller.person_id)
    else:
        reach = Reach(organization=True)
        if caller.teams is not None:
            reach = await _acting_for(rows, caller.teams)
        narrowed = replace(reach, key_results=caller.key_results, sources=caller.sources)
        found = (Grant(Role.INTEGRATION, SCOPES_OF[Role.INTEGRATION], narrowed),)
    return tuple(Grant(one.role, one.scopes & caller.scopes, one.reach) for one in found)


async def roles_of(rows: Rows, person_id: UUID) -> tuple[Grant, ...]:
    """The roles of a person: granted ones, and those that teams and coaching bring along."""
    person = await rows.get(PersonRow, person_id)
    if person is None or not person.active:
        return ()
    found: list[tuple[Role, Reach]] = []
    for granted in await rows.select(RoleRow, {"person_id": person_id}):
        found.append((Role(granted.role), Reach(organization=granted.role == Role.ADMIN)))
    belongs = await rows.select(MemberRow, {"person_id": person_id})
    led = {row.team_id for row in belongs if row.role == Role.LEADER}
    if led:
        found.append((Role.LEADER, await _leading(rows, led)))
    coach = await rows.get(CoachRow, person_id)
    if coach is not None and coach.active:
        covered = [UUID(id) for id in coach.teams]
        found.append((Role.COACH, await _acting_for(rows, covered)))
    own = frozenset(row.team_id for row in belongs)
    found.append((Role.MEMBER, Reach(teams=own, people=frozenset({person_id}))))
    return tuple(Grant(role, SCOPES_OF[role], reach) for role, reach in found)


async def _leading(rows: Rows, led: Iterable[UUID]) -> Reach:
    """Who leads a team acts for all below it; who leads the company, for the organisation."""
    teams = {team.team_id: team for team in await rows.select(TeamRow)}
    below: dict[UUID | None, list[UUID]] = defaultdict(list)
    for team in teams.values():
        below[team.parent_id].append(team.team_id)
    waiting, reached = list(led), set[UUID]()
    while waiting:
        here = waiting.pop()
        if here not in reached:
            reached.add(here)
            waiting += below[here]
    tops = (teams[id] for id in led)
    company = any(top.level == Level.COMPANY and top.parent_id is None for top in tops)
    acting = await _acting_for(rows, list(reached))
    return Reach(company, acting.teams, acting.people)


async def _acting_for(rows: Rows, teams: Sequence[UUID]) -> Reach:
    """What these teams own, and their members."""
    members = await rows.select(MemberRow, {"team_id": teams}) if teams else []
    return Reach(teams=frozenset(teams), people=frozenset(row.person_id for row in members))


# Leave to act -----------------------------------------------------------------------------


class Aggregates(Protocol):
    """Where the owners of goals are found: a transaction, what is pending included."""

    async def state(self, category: str, id: UUID) -> Any: ...


@dataclass(frozen=True, slots=True)
class Leave:
    """What a caller may do in one transaction: commands of one scope."""

    caller: Caller
    scope: Scope
    grants: tuple[Grant, ...]

    @property
    def roles(self) -> str:
        return ", ".join(sorted({grant.role for grant in self.grants})) or "none"

    def require_scope(self) -> tuple[Grant, ...]:
        """The grants with the scope. Raises OutOfReach when no role has it."""
        able = with_scope(self.grants, self.scope)
        if not able:
            raise OutOfReach(
                f"None of your roles here ({self.roles}) may do this: it takes {self.scope}, which "
                f"belongs to: {', '.join(roles_with(self.scope))}.",
                scope=self.scope,
            )
        return able

    async def covers(self, ledger: Aggregates, command: Command, state: Any) -> bool | None:
        """Whether the command is within reach; None when whoever it concerns is unknown."""
        concerns, source = command.concerns(state), command.source(state)
        able = [grant for grant in self.require_scope() if grant.reach.admits(concerns, source)]
        if not able:
            return False
        if any(grant.reach.organization for grant in able):
            return True
        known = False
        for concern in concerns:
            if concern.kind == "everybody":
                return True
            if concern.kind == "organization":
                known = True
                continue
            for owner in await _owners(ledger, concern):
                known = True
                if any(grant.reach.covers(owner) for grant in able):
                    return True
        return False if known else None

    def refusal(self, command: Command, state: Any) -> OutOfReach:
        narrowed = [
            name for name in ("key_results", "sources") if getattr(self.caller, name) is not None
        ]
        if narrowed:
            told = " and ".join(name.replace("_", " ") for name in narrowed)
            return OutOfReach(
                f"The key is narrowed to {told}, and {type(command).__name__} is beyond that"
                f"{' or its teams' if self.caller.teams else ''}: check in on its key results, and "
                "name its source in external, or use a key that reaches further.",
                scope=self.scope,
            )
        kinds = sorted({concern.kind.replace("_", " ") for concern in command.concerns(state)})
        return OutOfReach(
            f"{type(command).__name__} is beyond the reach of your roles here ({self.roles}): it "
            f"concerns the {' or the '.join(kinds)}. Ask a leader of the team or of one above it, "
            "a coach who covers it, or an admin.",
            scope=self.scope,
        )


async def _owners(ledger: Aggregates, concern: Concern) -> list[Owner]:
    """Who a concern comes down to; nobody when the id is unknown."""
    if concern.id is None:
        return []
    found = await ledger.state(concern.kind, concern.id)
    if found is None:
        return []
    if concern.kind == "team":
        return [Owner(kind=OwnerKind.TEAM, id=concern.id)]
    if concern.kind == "person":
        return [Owner(kind=OwnerKind.PERSON, id=concern.id)]
    if concern.kind == "objective":
        return [found.owner]
    objective = await ledger.state("objective", found.objective_id)
    # Whoever a key result was given to tells of it, too.
    return [objective.owner, *([found.terms.owner] if found.terms.owner else [])]
