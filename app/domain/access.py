"""Who may do what: scopes, roles, and how far a role reaches.

Three roles follow from what the ledger says of a person: whoever leads a team is its leader, a
coach coaches the teams that they cover, and everybody is a member of their own. `admin` and
`auditor` are granted (`app.domain.roles`), and a key that stands for nobody is an integration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple
from uuid import UUID

from app.domain.values import Owner, OwnerKind

# What is done -----------------------------------------------------------------------------


class Scope(StrEnum):
    """What may be done. `read` sees state, `history:read` sees events; `:write` scopes change."""

    READ = "read"
    HISTORY_READ = "history:read"
    ORGANIZATION_WRITE = "organization:write"
    DEPLOYMENT_WRITE = "deployment:write"
    PEOPLE_WRITE = "people:write"
    TRAINING_WRITE = "training:write"
    CYCLES_WRITE = "cycles:write"
    OBJECTIVES_WRITE = "objectives:write"
    CHECK_INS_WRITE = "check-ins:write"
    SCORES_WRITE = "scores:write"
    REFLECTIONS_WRITE = "reflections:write"
    IMPORTS_WRITE = "imports:write"
    KEYS_WRITE = "keys:write"
    WEBHOOKS_WRITE = "webhooks:write"


class Role(StrEnum):
    ADMIN = "admin"
    LEADER = "leader"
    COACH = "coach"
    MEMBER = "member"
    AUDITOR = "auditor"
    INTEGRATION = "integration"


_GOALS = frozenset(
    {
        Scope.READ,
        Scope.OBJECTIVES_WRITE,
        Scope.CHECK_INS_WRITE,
        Scope.SCORES_WRITE,
        Scope.REFLECTIONS_WRITE,
    }
)

SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.ADMIN: frozenset(Scope),
    Role.LEADER: _GOALS
    | {Scope.DEPLOYMENT_WRITE, Scope.PEOPLE_WRITE, Scope.TRAINING_WRITE, Scope.CYCLES_WRITE},
    Role.COACH: _GOALS | {Scope.TRAINING_WRITE},
    Role.MEMBER: _GOALS,
    Role.AUDITOR: frozenset({Scope.READ, Scope.HISTORY_READ}),
    Role.INTEGRATION: frozenset(Scope),
}
"""The most that a role may do; a key narrows it to its own scopes."""


# Whom it concerns -------------------------------------------------------------------------


class Concern(NamedTuple):
    """Whose business a command is: an owner's, that of whoever owns a goal, or everybody's."""

    kind: Literal["organization", "everybody", "team", "person", "objective", "key_result"]
    id: UUID | None = None

    @classmethod
    def of(cls, owner: Owner) -> Concern:
        return cls("team" if owner.kind is OwnerKind.TEAM else "person", owner.id)


ORGANIZATION = Concern("organization")
EVERYBODY = Concern("everybody")


# How far it reaches -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reach:
    """On whose behalf one may act. Whoever reaches the organisation reaches everybody in it.

    A key may be narrowed to some `key_results`, and to some `sources`; None stands for all.
    """

    organization: bool = False
    teams: frozenset[UUID] = frozenset()
    people: frozenset[UUID] = frozenset()
    key_results: frozenset[UUID] | None = None
    sources: frozenset[str] | None = None

    def admits(self, concerns: Iterable[Concern], source: str | None) -> bool:
        """Whether a command that concerns these, and comes from a source, is not narrowed out."""
        if self.sources is not None and source not in self.sources:
            return False
        return self.key_results is None or any(
            concern.kind == "key_result" and concern.id in self.key_results for concern in concerns
        )

    def covers(self, owner: Owner) -> bool:
        known = self.teams if owner.kind is OwnerKind.TEAM else self.people
        return self.organization or owner.id in known


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that somebody has, with what it may do and how far."""

    role: Role
    scopes: frozenset[Scope]
    reach: Reach


def with_scope(grants: Iterable[Grant], scope: Scope) -> tuple[Grant, ...]:
    return tuple(grant for grant in grants if scope in grant.scopes)


def roles_with(scope: Scope) -> tuple[Role, ...]:
    """The roles of people that a scope belongs to."""
    return tuple(
        role for role, scopes in SCOPES_OF.items() if scope in scopes and role != Role.INTEGRATION
    )
