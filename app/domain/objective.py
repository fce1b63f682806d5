"""An objective: who owns it, why it matters, and how far it is decided.

Its key results are streams of their own (`key_result`), so that an integration's check-ins never
make an editor's copy of the objective stale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain.access import Concern
from app.domain.cycle import Cycle, Phase
from app.domain.deployment import Deployment, Enforcement
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    InvalidState,
    NotFound,
    ReasonMissing,
    Refusal,
)
from app.domain.kpi import Kpi, returned
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.quality import DraftSet, guard
from app.domain.scoring import lacks_levels
from app.domain.values import ExternalRef, Finding, Level, Line, Origin, Owner, Prose, Value

ABANDONED = "The objective of its key result was abandoned."


class Status(StrEnum):
    DRAFT = "draft"
    PROPOSED = "proposed"
    COMMITTED = "committed"
    CLOSED = "closed"


class Outcome(StrEnum):
    ACHIEVED = "achieved"
    NOT_ACHIEVED = "not_achieved"
    ABANDONED = "abandoned"
    CARRIED_ON = "carried_on"


class ObjectiveTerms(Value):
    """What is said of an objective, wherever it is said."""

    title: Line
    why: Prose | None = None
    why_now: Prose | None = None
    origin: Origin = Origin.BOTTOM_UP


# Events -----------------------------------------------------------------------------------


class ObjectiveEvent(Event, stream="objective", key="objective_id"):
    objective_id: UUID
    cycle_id: UUID


class ObjectiveDrafted(ObjectiveEvent, type="objective.drafted"):
    owner: Owner
    terms: ObjectiveTerms
    previous_id: UUID | None = None
    external: ExternalRef | None = None
    warnings: tuple[Finding, ...] = ()


class ObjectiveRevised(ObjectiveEvent, type="objective.revised"):
    terms: ObjectiveTerms
    reason: Prose | None = None


class ObjectiveHandedOver(ObjectiveEvent, type="objective.handed_over"):
    """It is another one's from now on; its key results stay whose they are said to be."""

    previous_owner: Owner
    owner: Owner
    reason: Prose
    warnings: tuple[Finding, ...] = ()


class ObjectiveProposed(ObjectiveEvent, type="objective.proposed"):
    pass


class ObjectiveCommitted(ObjectiveEvent, type="objective.committed"):
    warnings: tuple[Finding, ...] = ()


class ObjectiveResultReported(ObjectiveEvent, type="objective.result_reported"):
    """What was said of the objective as a whole. It is no score: those are roll-ups only."""

    text: Prose


class ObjectiveClosed(ObjectiveEvent, type="objective.closed"):
    outcome: Outcome
    reason: Prose | None = None


ObjectiveEvents = (
    ObjectiveDrafted
    | ObjectiveRevised
    | ObjectiveHandedOver
    | ObjectiveProposed
    | ObjectiveCommitted
    | ObjectiveResultReported
    | ObjectiveClosed
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Objective:
    objective_id: UUID
    cycle_id: UUID
    owner: Owner
    terms: ObjectiveTerms
    status: Status = Status.DRAFT

    def allow(self, command: object, *statuses: Status) -> None:
        """Raise InvalidState unless the objective is in one of these."""
        if self.status not in statuses:
            raise InvalidState(
                f"objective {self.objective_id}",
                self.status,
                type(command).__name__,
                f"It applies while the objective is {' or '.join(statuses)}.",
            )


def evolve(state: Objective | None, event: ObjectiveEvents) -> Objective:
    if isinstance(event, ObjectiveDrafted):
        return Objective(event.objective_id, event.cycle_id, event.owner, event.terms)
    assert state is not None, "an objective's stream starts with objective.drafted"
    match event:
        case ObjectiveRevised():
            return replace(state, terms=event.terms)
        case ObjectiveHandedOver():
            return replace(state, owner=event.owner)
        case ObjectiveProposed():
            return replace(state, status=Status.PROPOSED)
        case ObjectiveCommitted():
            return replace(state, status=Status.COMMITTED)
        case ObjectiveResultReported():
            return state
        case ObjectiveClosed():
            return replace(state, status=Status.CLOSED)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveCommand(Command):
    category: ClassVar[str] = "objective"
    objective_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.objective_id)

    def concerns(self, state: Objective | None) -> tuple[Concern, ...]:
        return (Concern("objective", self.objective_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftObjective(ObjectiveCommand):
    """Raises NotFound (cycle, owner), InvalidState (cycle), DecisionRefuses (levels, limits).

    `owner_level` is None when the owner is unknown; `held` counts the owner's objectives in the
    cycle that were not abandoned.
    """

    cycle_id: UUID
    owner: Owner
    terms: ObjectiveTerms
    previous_id: UUID | None = None
    external: ExternalRef | None = None
    cycle: Cycle | None = looked_up("cycle", lambda _, c: c.cycle_id)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    owner_level: Level | None = looked_up("owner_level", lambda _, c: c.owner)
    held: int = looked_up("objectives_held", lambda _, c: (c.owner, c.cycle_id))
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "objective"))

    def concerns(self, state: Objective | None) -> tuple[Concern, ...]:
        return (Concern.of(self.owner),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviseObjective(ObjectiveCommand):
    """Raises ReasonMissing when the objective is committed and no reason is given."""

    terms: ObjectiveTerms
    reason: str | None = None
    cycle: Cycle | None = looked_up("cycle", lambda o, _: o and o.cycle_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeObjective(ObjectiveCommand):
    cycle: Cycle | None = looked_up("cycle", lambda o, _: o and o.cycle_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitObjective(ObjectiveCommand):
    """An objective without key results breaks the limits decision: warned or refused by it.

    One that is not aligned and stands below the company's is judged by the alignment decision.
    `owner_level` is None when the owner is gone. The whole set is judged by the quality decision.
    """

    cycle: Cycle | None = looked_up("cycle", lambda o, _: o and o.cycle_id)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    key_results: int = looked_up("key_results_held", lambda _, c: c.objective_id)
    aligned: bool = looked_up("aligned", lambda _, c: c.objective_id)
    owner_level: Level | None = looked_up("owner_level", lambda o, _: o and o.owner)
    draft: DraftSet | None = looked_up("draft_set", lambda _, c: c.objective_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult(ObjectiveCommand):
    text: str
    cycle: Cycle | None = looked_up("cycle", lambda o, _: o and o.cycle_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonObjective(ObjectiveCommand):
    """KPIs in focus on its key results are health metrics again."""

    reason: str
    cycle: Cycle | None = looked_up("cycle", lambda o, _: o and o.cycle_id)
    kpis: tuple[Kpi, ...] = looked_up(
        "kpis_in_focus", lambda _, c: {"objective_id": c.objective_id}
    )


ObjectiveCommands = (
    DraftObjective
    | ReviseObjective
    | ProposeObjective
    | CommitObjective
    | ReportResult
    | AbandonObjective
)


def judge_limit(
    deployment: Deployment, rule: str, broken: bool, message: str, pointer: str | None = None
) -> tuple[Finding, ...]:
    """What the limits decision says to a broken rule: nothing, a finding, or DecisionRefuses."""
    if not broken:
        return ()
    if deployment.limits.enforcement is Enforcement.REFUSE:
        raise DecisionRefuses("limits", rule, message, pointer=pointer)
    return (Finding(rule=rule, message=message, decision="limits"),)


def judge_owner(
    deployment: Deployment, owner: Owner, level: Level | None, held: int, pointer: str = "/owner"
) -> tuple[Finding, ...]:
    """What the decisions say to one more objective of an owner who holds so many.

    Raises NotFound (an owner without a level is unknown), DecisionRefuses.
    """
    if level is None:
        raise NotFound(owner.kind, owner.id, pointer=pointer)
    if level not in deployment.levels.owners:
        raise DecisionRefuses(
            "levels",
            "levels.owner",
            f"OKRs are not set at {level} level here "
            f"(decided: {', '.join(deployment.levels.owners)}); choose another owner.",
            pointer=pointer,
        )
    limit = deployment.limits.max_objectives
    return judge_limit(
        deployment,
        "limits.max_objectives",
        held >= limit,
        f"The owner holds {held} objective(s) in this cycle; the limit decided is "
        f"{limit}. Merge, hand over or abandon one.",
        pointer,
    )


def _demand_levels(command: CommitObjective, cycle: Cycle) -> None:
    """Where scoring asks for levels, they are agreed before commitment. Raises DecisionRefuses."""
    rules = cycle.scoring or command.deployment.scoring
    drafted = command.draft.key_results if command.draft else ()
    lacking = sum(lacks_levels(rules, one.measure) for one in drafted)
    if lacking:
        raise DecisionRefuses(
            "scoring",
            "scoring.levels",
            f"{lacking} key result(s) have no levels yet, and scoring is by stretch, target and "
            "commit: agree on commit and stretch beside the target.",
        )


def _judge_alignment(command: CommitObjective, cycle: Cycle) -> tuple[Finding, ...]:
    """What the alignment decision says to a commitment. Raises DecisionRefuses.

    The company's objectives stand at the top: there is nothing that they could contribute to.
    """
    decided = command.deployment.alignment
    if decided.policy == "optional" or command.aligned or command.owner_level is Level.COMPANY:
        return ()
    message = "The objective states nothing that it contributes to; align it to a goal."
    if decided.policy == "required" and decided.is_due(cycle.starts_on, command.at):
        raise DecisionRefuses("alignment", "alignment.required", message)
    return (Finding(rule="alignment.expected", message=message, decision="alignment"),)


def _judge_quality(command: CommitObjective) -> tuple[Finding, ...]:
    """What the quality decision says to a commitment. Raises DecisionRefuses."""
    assert command.draft is not None, "the objective is there"
    return guard(command.draft, command.deployment)


def _draft(command: DraftObjective) -> ObjectiveDrafted:
    if command.existing is not None:
        raise AlreadyExists("objective", command.existing)
    if command.cycle is None:
        raise NotFound("cycle", command.cycle_id, pointer="/cycle_id")
    command.cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
    return ObjectiveDrafted(
        objective_id=command.objective_id,
        cycle_id=command.cycle_id,
        owner=command.owner,
        terms=command.terms,
        previous_id=command.previous_id,
        external=command.external,
        warnings=judge_owner(command.deployment, command.owner, command.owner_level, command.held),
    )


def decide(state: Objective | None, command: ObjectiveCommands) -> list[Event]:
    if isinstance(command, DraftObjective):
        return [_draft(command)]
    if state is None:
        raise NotFound("objective", command.objective_id)
    if command.cycle is None:
        raise NotFound("cycle", state.cycle_id)
    ids = {"objective_id": state.objective_id, "cycle_id": state.cycle_id}
    cycle = command.cycle
    match command:
        case ReviseObjective():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            state.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
            if state.terms == command.terms:
                return []
            if state.status is Status.COMMITTED and not command.reason:
                raise ReasonMissing(
                    "The objective is committed: give a reason for changing it.", pointer="/reason"
                )
            return [ObjectiveRevised(**ids, terms=command.terms, reason=command.reason)]
        case ProposeObjective():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            state.allow(command, Status.DRAFT)
            return [ObjectiveProposed(**ids)]
        case CommitObjective():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            state.allow(command, Status.DRAFT, Status.PROPOSED)
            _demand_levels(command, cycle)
            return [
                ObjectiveCommitted(
                    **ids,
                    warnings=judge_limit(
                        command.deployment,
                        "limits.no_key_results",
                        command.key_results == 0,
                        "The objective has no key result, so nothing tells when it is reached; "
                        "add at least one.",
                    )
                    + _judge_alignment(command, cycle)
                    + _judge_quality(command),
                )
            ]
        case ReportResult():
            cycle.allow(command, Phase.ACTIVE, Phase.SCORING, Phase.REFLECTING)
            if not command.text:
                raise Refusal("Say what the result is.", pointer="/text")
            return [ObjectiveResultReported(**ids, text=command.text)]
        case AbandonObjective():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE, Phase.SCORING)
            state.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
            abandoned = ObjectiveClosed(**ids, outcome=Outcome.ABANDONED, reason=command.reason)
            return [*returned(command.kpis, ABANDONED), abandoned]
        case _:
            assert_never(command)


decider: Decider[Objective | None, ObjectiveCommands, ObjectiveEvents] = Decider(
    category="objective", initial=None, evolve=evolve, decide=decide
)
