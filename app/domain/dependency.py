"""Dependencies across: what an objective needs from another team, and what that team says to it.

Unlike alignments they are not kept free of loops: two teams may well need each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import ClassVar, Literal, assert_never
from uuid import UUID

from app.domain.access import Concern
from app.domain.cycle import Cycle, Phase
from app.domain.errors import AlreadyExists, InvalidState, NotFound, Refusal
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.objective import Objective, Status
from app.domain.values import Day, ExternalRef, OwnerKind, Prose, Value


class DependencyStatus(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    DELIVERED = "delivered"
    WITHDRAWN = "withdrawn"


NEXT_STEP: dict[DependencyStatus, str] = {
    DependencyStatus.OPEN: "The other side accepts it (:accept) or declines it (:decline).",
    DependencyStatus.ACCEPTED: "Say when it is delivered (:deliver), or withdraw it (:withdraw).",
    DependencyStatus.DECLINED: "Withdraw it (:withdraw), and declare what is needed instead.",
    DependencyStatus.DELIVERED: "Declare what else is needed.",
    DependencyStatus.WITHDRAWN: "Declare it anew if it is needed after all.",
}


class OtherSide(Value):
    """Who something is needed from: a team, or whoever owns an objective."""

    kind: Literal["team", "objective"]
    id: UUID


# Events -----------------------------------------------------------------------------------


class DependencyEvent(Event, stream="dependency", key="dependency_id"):
    """`cycle_id` is the cycle of the objective that needs something."""

    dependency_id: UUID
    cycle_id: UUID


class DependencyDeclared(DependencyEvent, type="dependency.declared", version=2):
    """`on_team_id` is the other team; null where an objective of a person is depended on.

    `previous_id` leads to what was declared in the cycle before, where a reset took it over.
    Version 1 knew none, and no external id.
    """

    objective_id: UUID
    on: OtherSide
    on_team_id: UUID | None = None
    needed: Prose
    needed_by: Day
    risk_owner_id: UUID | None = None
    previous_id: UUID | None = None
    external: ExternalRef | None = None


class DependencyAccepted(DependencyEvent, type="dependency.accepted"):
    person_id: UUID
    note: Prose | None = None


class DependencyDeclined(DependencyEvent, type="dependency.declined"):
    person_id: UUID
    reason: Prose


class DependencyPassedOn(DependencyEvent, type="dependency.passed_on"):
    """The objective depended on was handed over: its new owner has not answered yet."""

    on_team_id: UUID | None = None


class DependencyDelivered(DependencyEvent, type="dependency.delivered"):
    note: Prose | None = None


class DependencyWithdrawn(DependencyEvent, type="dependency.withdrawn"):
    reason: Prose


DependencyEvents = (
    DependencyDeclared
    | DependencyAccepted
    | DependencyDeclined
    | DependencyPassedOn
    | DependencyDelivered
    | DependencyWithdrawn
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dependency:
    dependency_id: UUID
    cycle_id: UUID
    objective_id: UUID
    on: OtherSide
    status: DependencyStatus = DependencyStatus.OPEN

    def allow(self, command: object, *statuses: DependencyStatus) -> None:
        """Raise InvalidState, naming the next step, unless the dependency is in one of these."""
        if self.status not in statuses:
            raise InvalidState(
                "dependency", self.status, type(command).__name__, NEXT_STEP[self.status]
            )


def evolve(state: Dependency | None, event: DependencyEvents) -> Dependency:
    if isinstance(event, DependencyDeclared):
        return Dependency(event.dependency_id, event.cycle_id, event.objective_id, event.on)
    assert state is not None, "a dependency's stream starts with dependency.declared"
    match event:
        case DependencyAccepted():
            return replace(state, status=DependencyStatus.ACCEPTED)
        case DependencyDeclined():
            return replace(state, status=DependencyStatus.DECLINED)
        case DependencyPassedOn():
            return replace(state, status=DependencyStatus.OPEN)
        case DependencyDelivered():
            return replace(state, status=DependencyStatus.DELIVERED)
        case DependencyWithdrawn():
            return replace(state, status=DependencyStatus.WITHDRAWN)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyCommand(Command):
    category: ClassVar[str] = "dependency"
    dependency_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.dependency_id)

    def concerns(self, state: Dependency | None) -> tuple[Concern, ...]:
        """The other side, whose word it is."""
        return (Concern(state.on.kind, state.on.id) if state else Concern("objective"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareDependency(DependencyCommand):
    """Raises AlreadyExists, NotFound (objective, other side, risk owner), InvalidState, Refusal
    (one's own team).

    `own_teams` are the team that owns the objective, or those that its owner belongs to; `other`
    and `other_cycle` are of the objective depended on, None when a team is.
    """

    objective_id: UUID
    on: OtherSide
    needed: str
    needed_by: date
    risk_owner_id: UUID | None = None
    external: ExternalRef | None = None
    objective: Objective | None = looked_up("objective", lambda _, c: c.objective_id)
    cycle: Cycle | None = looked_up("cycle_of_objective", lambda _, c: c.objective_id)
    own_teams: frozenset[UUID] = looked_up("teams_of_objective", lambda _, c: c.objective_id)
    team_known: bool = looked_up("team_known", lambda _, c: _id_of(c.on, "team"))
    other: Objective | None = looked_up("objective", lambda _, c: _id_of(c.on, "objective"))
    other_cycle: Cycle | None = looked_up(
        "cycle_of_objective", lambda _, c: _id_of(c.on, "objective")
    )
    risk_owner_known: bool = looked_up("person_known", lambda _, c: c.risk_owner_id)
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "dependency"))

    def concerns(self, state: Dependency | None) -> tuple[Concern, ...]:
        return (Concern("objective", self.objective_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptDependency(DependencyCommand):
    """The other side agrees. Raises NotFound (dependency, person), InvalidState."""

    person_id: UUID
    note: str | None = None
    cycle: Cycle | None = looked_up("cycle", lambda d, _: d and d.cycle_id)
    person_known: bool = looked_up("person_known", lambda _, c: c.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineDependency(DependencyCommand):
    """The other side cannot. Raises NotFound (dependency, person), InvalidState."""

    person_id: UUID
    reason: str
    cycle: Cycle | None = looked_up("cycle", lambda d, _: d and d.cycle_id)
    person_known: bool = looked_up("person_known", lambda _, c: c.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverDependency(DependencyCommand):
    """What was accepted is there. Raises NotFound, InvalidState."""

    note: str | None = None
    cycle: Cycle | None = looked_up("cycle", lambda d, _: d and d.cycle_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawDependency(DependencyCommand):
    """It is needed no longer, whatever was said to it. Raises NotFound, InvalidState."""

    reason: str
    cycle: Cycle | None = looked_up("cycle", lambda d, _: d and d.cycle_id)

    def concerns(self, state: Dependency | None) -> tuple[Concern, ...]:
        return (Concern("objective", state.objective_id if state else None),)


DependencyCommands = (
    DeclareDependency
    | AcceptDependency
    | DeclineDependency
    | DeliverDependency
    | WithdrawDependency
)


def _id_of(on: OtherSide, kind: str) -> UUID | None:
    return on.id if on.kind == kind else None


def _other_team(command: DeclareDependency) -> UUID | None:
    """The other team; None for a person's objective. Raises NotFound, InvalidState."""
    if command.on.kind == "team":
        if not command.team_known:
            raise NotFound("team", command.on.id, pointer="/on/id")
        return command.on.id
    if command.other is None or command.other_cycle is None:
        raise NotFound("objective", command.on.id, pointer="/on/id")
    command.other.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    if command.other_cycle.phase is Phase.CLOSED:
        raise InvalidState(
            "other objective's cycle",
            "closed",
            "DeclareDependency",
            "Depend on an objective of a running cycle, or on its team.",
        )
    owner = command.other.owner
    return owner.id if owner.kind is OwnerKind.TEAM else None


def _declare(command: DeclareDependency) -> DependencyDeclared:
    if command.existing is not None:
        raise AlreadyExists("dependency", command.existing)
    objective, cycle = command.objective, command.cycle
    if objective is None or cycle is None:
        raise NotFound("objective", command.objective_id)
    team_id = _other_team(command)
    if command.risk_owner_id is not None and not command.risk_owner_known:
        raise NotFound("person", command.risk_owner_id, pointer="/risk_owner_id")
    cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
    objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    same_owner = command.other is not None and command.other.owner == objective.owner
    if same_owner or team_id in command.own_teams:
        raise Refusal(
            "The objective would depend on its own team; a dependency is on another one. "
            "Align the objectives instead.",
            pointer="/on/id",
        )
    return DependencyDeclared(
        dependency_id=command.dependency_id,
        cycle_id=objective.cycle_id,
        objective_id=objective.objective_id,
        on=command.on,
        on_team_id=team_id,
        needed=command.needed,
        needed_by=command.needed_by,
        risk_owner_id=command.risk_owner_id,
        external=command.external,
    )


def decide(state: Dependency | None, command: DependencyCommands) -> list[DependencyEvents]:
    if isinstance(command, DeclareDependency):
        return [_declare(command)]
    if state is None or command.cycle is None:
        raise NotFound("dependency", command.dependency_id)
    ids = {"dependency_id": state.dependency_id, "cycle_id": state.cycle_id}
    cycle = command.cycle
    match command:
        case AcceptDependency() | DeclineDependency():
            if not command.person_known:
                raise NotFound("person", command.person_id, pointer="/person_id")
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            state.allow(command, DependencyStatus.OPEN)
            ids["person_id"] = command.person_id
            if isinstance(command, AcceptDependency):
                return [DependencyAccepted(**ids, note=command.note)]
            return [DependencyDeclined(**ids, reason=command.reason)]
        case DeliverDependency():
            # What came on the last day may still be said when scoring has begun.
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE, Phase.SCORING)
            state.allow(command, DependencyStatus.ACCEPTED)
            return [DependencyDelivered(**ids, note=command.note)]
        case WithdrawDependency():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE, Phase.SCORING)
            state.allow(command, *(set(DependencyStatus) - {DependencyStatus.WITHDRAWN}))
            return [DependencyWithdrawn(**ids, reason=command.reason)]
        case _:
            assert_never(command)


decider: Decider[Dependency | None, DependencyCommands, DependencyEvents] = Decider(
    category="dependency", initial=None, evolve=evolve, decide=decide
)
