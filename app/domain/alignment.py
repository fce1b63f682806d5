"""Alignment: a recorded agreement that one objective contributes to another goal.

A goal may have several parents; the graph of objectives stays acyclic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain.access import Concern
from app.domain.cycle import Cycle, Phase
from app.domain.deployment import Deployment
from app.domain.errors import AlignmentLoop, AlreadyExists, DecisionRefuses, InvalidState, NotFound
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.objective import Objective, Status
from app.domain.values import Prose, Target

# Events -----------------------------------------------------------------------------------


class AlignmentEvent(Event, stream="alignment", key="alignment_id"):
    alignment_id: UUID
    cycle_id: UUID


class AlignmentAgreed(AlignmentEvent, type="alignment.agreed", version=2):
    """`target_objective_id` is the target itself, or the objective of the target key result.

    `previous_id` leads to the agreement of the cycle before that a reset took over; nobody is said
    to have agreed anew. Version 1 knew none.
    """

    objective_id: UUID
    target: Target
    target_objective_id: UUID
    rationale: Prose
    why_now: Prose | None = None
    agreed_by: tuple[UUID, ...] = ()
    previous_id: UUID | None = None


class AlignmentWithdrawn(AlignmentEvent, type="alignment.withdrawn"):
    reason: Prose


AlignmentEvents = AlignmentAgreed | AlignmentWithdrawn


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alignment:
    alignment_id: UUID
    cycle_id: UUID
    objective_id: UUID
    withdrawn: bool = False


def evolve(state: Alignment | None, event: AlignmentEvents) -> Alignment | None:
    match event:
        case AlignmentAgreed():
            return Alignment(event.alignment_id, event.cycle_id, event.objective_id)
        case AlignmentWithdrawn():
            return state and replace(state, withdrawn=True)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Upstream:
    """What stands at and above an alignment's target.

    `objective` is None when the target is unknown; `reaches` are the objectives that it
    contributes to already, directly or through others.
    """

    objective: Objective | None
    cycle: Cycle | None
    reaches: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentCommand(Command):
    category: ClassVar[str] = "alignment"
    alignment_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.alignment_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignObjective(AlignmentCommand):
    """Raises NotFound, InvalidState, AlignmentLoop, AlreadyExists, DecisionRefuses."""

    objective_id: UUID
    target: Target
    rationale: str
    why_now: str | None = None
    agreed_by: tuple[UUID, ...] = ()
    objective: Objective | None = looked_up("objective", lambda _, c: c.objective_id)
    cycle: Cycle | None = looked_up("cycle_of_objective", lambda _, c: c.objective_id)
    upstream: Upstream = looked_up("upstream", lambda _, c: c.target)
    existing: UUID | None = looked_up("alignment_between", lambda _, c: (c.objective_id, c.target))
    unknown_people: tuple[UUID, ...] = looked_up("unknown_people", lambda _, c: c.agreed_by)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)

    def concerns(self, state: Alignment | None) -> tuple[Concern, ...]:
        return (Concern("objective", self.objective_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawAlignment(AlignmentCommand):
    reason: str
    cycle: Cycle | None = looked_up("cycle", lambda a, _: a and a.cycle_id)

    def concerns(self, state: Alignment | None) -> tuple[Concern, ...]:
        return (Concern("objective", state.objective_id if state else None),)


AlignmentCommands = AlignObjective | WithdrawAlignment


def _align(command: AlignObjective) -> AlignmentAgreed:
    objective, cycle, upstream = command.objective, command.cycle, command.upstream
    if objective is None or cycle is None:
        raise NotFound("objective", command.objective_id)
    if upstream.objective is None or upstream.cycle is None:
        raise NotFound(
            command.target.kind.replace("_", " "), command.target.id, pointer="/target/id"
        )
    for unknown in command.unknown_people:
        at = command.agreed_by.index(unknown)
        raise NotFound("person", unknown, pointer=f"/agreed_by/{at}")
    if command.existing is not None:
        raise AlreadyExists("alignment", command.existing)
    cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
    objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    if upstream.cycle.phase is Phase.CLOSED:
        raise InvalidState(
            "target's cycle", "closed", "AlignObjective", "Align to a goal of a running cycle."
        )
    upstream.objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    if command.target.kind not in command.deployment.alignment.targets:
        raise DecisionRefuses(
            "alignment",
            "alignment.targets",
            f"Alignment to a {command.target.kind.replace('_', ' ')} is not decided here; "
            f"align to: {', '.join(command.deployment.alignment.targets)}.",
            pointer="/target/kind",
        )
    above = upstream.objective.objective_id
    if above == objective.objective_id or objective.objective_id in upstream.reaches:
        raise AlignmentLoop(
            "The target contributes to this objective already, so this would close a loop; "
            "withdraw that alignment first.",
            pointer="/target/id",
        )
    return AlignmentAgreed(
        alignment_id=command.alignment_id,
        cycle_id=objective.cycle_id,
        objective_id=objective.objective_id,
        target=command.target,
        target_objective_id=above,
        rationale=command.rationale,
        why_now=command.why_now,
        agreed_by=command.agreed_by,
    )


def decide(state: Alignment | None, command: AlignmentCommands) -> list[AlignmentEvents]:
    match command:
        case AlignObjective():
            return [_align(command)]
        case WithdrawAlignment():
            if state is None or command.cycle is None:
                raise NotFound("alignment", command.alignment_id)
            if state.withdrawn:
                raise InvalidState("alignment", "withdrawn", "WithdrawAlignment", "Nothing to do.")
            command.cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            return [
                AlignmentWithdrawn(
                    alignment_id=state.alignment_id,
                    cycle_id=state.cycle_id,
                    reason=command.reason,
                )
            ]
        case _:
            assert_never(command)


decider: Decider[Alignment | None, AlignmentCommands, AlignmentEvents] = Decider(
    category="alignment", initial=None, evolve=evolve, decide=decide
)
