"""Roles that are granted to people: administrators and auditors.

The other roles follow from teams and coaches, and need no grant. A person's roles are a stream
with the person's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from app.domain.access import SCOPES_OF, Role, Scope
from app.domain.errors import InvalidState, NotFound, Refusal
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.person import Person
from app.domain.values import Prose

GrantedRole = Literal[Role.ADMIN, Role.AUDITOR]

# Events -----------------------------------------------------------------------------------


class RolesEvent(Event, stream="roles", key="person_id"):
    person_id: UUID
    role: GrantedRole


class RoleGranted(RolesEvent, type="role.granted"):
    reason: Prose | None = None


class RoleWithdrawn(RolesEvent, type="role.withdrawn"):
    reason: Prose | None = None


RolesEvents = RoleGranted | RoleWithdrawn


# State ------------------------------------------------------------------------------------

Roles = frozenset[Role]


def evolve(state: Roles, event: RolesEvents) -> Roles:
    match event:
        case RoleGranted():
            return state | {event.role}
        case RoleWithdrawn():
            return state - {event.role}
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesCommand(Command):
    category: ClassVar[str] = "roles"
    person_id: UUID
    role: GrantedRole

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRole(RolesCommand):
    """Who has the role already keeps it.

    `held` are the scopes of whoever asks: nobody hands out more than they have. Raises NotFound
    (person), Refusal.
    """

    held: frozenset[Scope]
    reason: str | None = None
    person_known: bool = looked_up("person_known", lambda _, c: c.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawRole(RolesCommand):
    """Raises NotFound (person), InvalidState when the person does not have the role.

    Of somebody who left, too: their roles do nothing, and may be cleared away.
    """

    reason: str | None = None
    person: Person | None = looked_up("person", lambda _, c: c.person_id)


RolesCommands = GrantRole | WithdrawRole


def decide(state: Roles, command: RolesCommands) -> list[RolesEvents]:
    ids = {"person_id": command.person_id, "role": command.role}
    match command:
        case GrantRole():
            if not command.person_known:
                raise NotFound("person", command.person_id)
            beyond = sorted(SCOPES_OF[command.role] - command.held)
            if beyond:
                raise Refusal(
                    f"You may not grant the role {command.role}: you lack {', '.join(beyond)}."
                )
            if command.role in state:
                return []
            return [RoleGranted(**ids, reason=command.reason)]
        case WithdrawRole():
            if command.person is None:
                raise NotFound("person", command.person_id)
            if command.role not in state:
                raise InvalidState(
                    "person", f"no {command.role}", "WithdrawRole", "There is nothing to withdraw."
                )
            return [RoleWithdrawn(**ids, reason=command.reason)]
        case _:
            assert_never(command)


decider: Decider[Roles, RolesCommands, RolesEvents] = Decider(
    category="roles", initial=frozenset(), evolve=evolve, decide=decide
)
