"""Handing an objective over: it is another one's from now on, and so is what is needed of it."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.domain import objective as objectives
from app.domain.cycle import Cycle, Phase
from app.domain.dependency import Dependency, DependencyPassedOn
from app.domain.deployment import Deployment
from app.domain.errors import NotFound
from app.domain.messages import Decider, Event, looked_up
from app.domain.objective import (
    Objective,
    ObjectiveCommand,
    ObjectiveEvents,
    ObjectiveHandedOver,
    Status,
    judge_owner,
)
from app.domain.values import Level, Owner, OwnerKind


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOverObjective(ObjectiveCommand):
    """Name another owner, judged as if the objective were drafted for them now.

    `needed_of_it` are the dependencies on it that may still be answered. Raises NotFound
    (objective, owner), InvalidState, DecisionRefuses (levels, limits).
    """

    owner: Owner
    reason: str
    cycle: Cycle | None = looked_up("cycle", lambda o, _: o and o.cycle_id)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    owner_level: Level | None = looked_up("owner_level", lambda _, c: c.owner)
    held: int = looked_up("objectives_held", lambda o, c: (c.owner, o and o.cycle_id))
    needed_of_it: tuple[Dependency, ...] = looked_up("needed_of", lambda _, c: c.objective_id)


def decide(state: Objective | None, command: HandOverObjective) -> list[Event]:
    if state is None or command.cycle is None:
        raise NotFound("objective", command.objective_id)
    command.cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
    state.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    owner = command.owner
    if state.owner == owner:
        return []
    handed_over = ObjectiveHandedOver(
        objective_id=state.objective_id,
        cycle_id=state.cycle_id,
        previous_owner=state.owner,
        owner=owner,
        reason=command.reason,
        warnings=judge_owner(command.deployment, owner, command.owner_level, command.held),
    )
    return [handed_over, *_passed_on(command.needed_of_it, owner)]


def _passed_on(needed: tuple[Dependency, ...], owner: Owner) -> list[DependencyPassedOn]:
    team_id: UUID | None = owner.id if owner.kind is OwnerKind.TEAM else None
    return [
        DependencyPassedOn(
            dependency_id=one.dependency_id, cycle_id=one.cycle_id, on_team_id=team_id
        )
        for one in needed
    ]


decider: Decider[Objective | None, HandOverObjective, ObjectiveEvents] = Decider(
    category="objective", initial=None, evolve=objectives.evolve, decide=decide
)
