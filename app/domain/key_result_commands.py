"""What may be done with a key result: commands, and how they are decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

from app.domain import scoring
from app.domain.access import Concern
from app.domain.check_in_commands import (
    CorrectCheckIn,
    RecordCheckIn,
    RetractCheckIn,
    decide_check_in,
)
from app.domain.cycle import Cycle, Phase
from app.domain.deployment import (
    AnyScoring,
    Deployment,
    MeasureWhatMatters,
)
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    InvalidState,
    NotFound,
    ReasonMissing,
    Refusal,
)
from app.domain.key_result import (
    KeyResult,
    KeyResultAmended,
    KeyResultCommand,
    KeyResultDrafted,
    KeyResultEvents,
    KeyResultRemoved,
    KeyResultScored,
    KeyResultSucceeded,
    KeyResultTerms,
    evolve,
)
from app.domain.kpi import Kpi, KpiReturned, returned
from app.domain.measures import (
    AnyMeasure,
    Baseline,
    Metric,
    check,
)
from app.domain.messages import Decider, looked_up
from app.domain.objective import Objective, Status, judge_limit
from app.domain.values import (
    ExternalRef,
    Finding,
    Level,
    Owner,
)

REMOVED = "The key result was removed."
"""Why its KPI is a health metric again."""


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftKeyResult(KeyResultCommand):
    """Raises NotFound, InvalidState, DecisionRefuses, AlreadyExists."""

    objective_id: UUID
    terms: KeyResultTerms
    previous_id: UUID | None = None
    external: ExternalRef | None = None
    objective: Objective | None = looked_up("objective", lambda _, c: c.objective_id)
    cycle: Cycle | None = looked_up("cycle_of_objective", lambda _, c: c.objective_id)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    owner_level: Level | None = looked_up("owner_level", lambda _, c: c.terms.owner)
    held: int = looked_up("key_results_held", lambda _, c: c.objective_id)
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "key_result"))

    def concerns(self, state: KeyResult | None) -> tuple[Concern, ...]:
        return (Concern("objective", self.objective_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendKeyResult(KeyResultCommand):
    """Raises ReasonMissing when the objective is committed and no reason is given."""

    terms: KeyResultTerms
    reason: str | None = None
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)
    owner_level: Level | None = looked_up("owner_level", lambda _, c: c.terms.owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveKeyResult(KeyResultCommand):
    """A KPI in focus on it is a health metric again.

    Raises ReasonMissing when the objective is committed and no reason is given.
    """

    reason: str | None = None
    kpis: tuple[Kpi, ...] = looked_up(
        "kpis_in_focus", lambda _, c: {"key_result_id": c.key_result_id}
    )
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedBaseline(KeyResultCommand):
    """Draft the metric that a measured baseline seeds. Raises Refusal unless it was measured."""

    successor_id: UUID
    title: str
    target: Decimal
    commit: Decimal | None = None
    stretch: Decimal | None = None
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    held: int = looked_up("key_results_held", lambda k, _: k and k.objective_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreKeyResult(KeyResultCommand):
    """`score` None accepts the computed one. Raises ReasonMissing when it differs without why."""

    score: Decimal | None = None
    comment: str
    adjustment_reason: str | None = None
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)


KeyResultCommands = (
    DraftKeyResult
    | AmendKeyResult
    | RemoveKeyResult
    | RecordCheckIn
    | CorrectCheckIn
    | RetractCheckIn
    | SucceedBaseline
    | ScoreKeyResult
)


def _known_owner(owner: Owner | None, level: Level | None) -> None:
    if owner is not None and level is None:
        raise NotFound(owner.kind, owner.id, pointer="/owner")


def _reason_if_committed(objective: Objective, reason: str | None) -> None:
    if objective.status is Status.COMMITTED and not reason:
        raise ReasonMissing(
            "The objective is committed: give a reason for this change.", pointer="/reason"
        )


def judge_count(
    deployment: Deployment, held: int, pointer: str | None = None
) -> tuple[Finding, ...]:
    """What the limits say to one more key result beside so many. Raises DecisionRefuses."""
    limit = deployment.limits.max_key_results
    return judge_limit(
        deployment,
        "limits.max_key_results",
        held >= limit,
        f"The objective has {held} key result(s); the limit decided is {limit}. "
        "Keep the few that tell most.",
        pointer,
    )


def _demand_levels(objective: Objective, rules: AnyScoring, measure: AnyMeasure) -> None:
    """Once the objective is committed, its levels are agreed. Raises DecisionRefuses."""
    if objective.status is Status.COMMITTED and scoring.lacks_levels(rules, measure):
        raise DecisionRefuses(
            "scoring",
            "scoring.levels",
            "Scoring is by stretch, target and commit: agree on commit and stretch beside target.",
            pointer="/measure/commit",
        )


def _at_commitment(state: KeyResult, objective: Objective) -> KeyResultTerms | None:
    """The terms that the first amendment after commitment leaves behind."""
    is_first = objective.status is Status.COMMITTED and state.committed_terms is None
    return state.terms if is_first else None


def _draft(command: DraftKeyResult) -> KeyResultDrafted:
    if command.existing is not None:
        raise AlreadyExists("key result", command.existing)
    objective, cycle = command.objective, command.cycle
    if objective is None or cycle is None:
        raise NotFound("objective", command.objective_id)
    cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
    objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    _known_owner(command.terms.owner, command.owner_level)
    check(command.terms.measure)
    rules = cycle.scoring or command.deployment.scoring
    _demand_levels(objective, rules, command.terms.measure)
    return KeyResultDrafted(
        key_result_id=command.key_result_id,
        objective_id=objective.objective_id,
        cycle_id=objective.cycle_id,
        terms=command.terms,
        previous_id=command.previous_id,
        external=command.external,
        warnings=judge_count(command.deployment, command.held),
    )


def _succeed(state: KeyResult, command: SucceedBaseline) -> list[KeyResultEvents]:
    measure, last = state.terms.measure, state.last.get("value")
    if not isinstance(measure, Baseline):
        raise Refusal("Only a baseline seeds a metric; this key result has its measure already.")
    if last is None or state.successor_id is not None:
        done = f"it did, as {state.successor_id}" if last else "measure it first, by a check-in"
        raise Refusal(f"A baseline seeds a metric once it was measured: {done}.")
    assert isinstance(last.value, Decimal), "a baseline takes numbers"
    metric = Metric(
        unit=measure.unit,
        baseline=last.value,
        target=command.target,
        commit=command.commit,
        stretch=command.stretch,
    )
    check(metric, "")
    ids = {"objective_id": state.objective_id, "cycle_id": state.cycle_id}
    return [
        KeyResultSucceeded(
            key_result_id=state.key_result_id, successor_id=command.successor_id, **ids
        ),
        KeyResultDrafted(
            key_result_id=command.successor_id,
            terms=state.terms.model_copy(update={"title": command.title, "measure": metric}),
            previous_id=state.key_result_id,
            warnings=judge_count(command.deployment, command.held),
            **ids,
        ),
    ]


def score(
    state: KeyResult,
    rules: AnyScoring,
    until: datetime,
    given: Decimal | None,
    comment: str,
    adjustment_reason: str | None,
) -> KeyResultScored:
    """The final score of a key result by a system's rules, on what was told up to `until`.

    Raises ReasonMissing for an unexplained adjustment.
    """
    computed = scoring.compute(rules, state.terms.measure, state.told, until)
    final = computed.score if given is None else given
    if final != computed.score and not adjustment_reason:
        raise ReasonMissing(
            f"The computed score is {computed.score.normalize():f}; "
            f"say why {final.normalize():f} is the better one.",
            pointer="/adjustment_reason",
        )
    as_committed = None
    if state.committed_terms is not None:
        measure = state.committed_terms.measure
        as_committed = scoring.compute(rules, measure, state.told, until).score
    return KeyResultScored(
        key_result_id=state.key_result_id,
        objective_id=state.objective_id,
        cycle_id=state.cycle_id,
        computed=computed.score,
        as_committed=as_committed,
        score=final,
        formula=computed.formula,
        comment=comment,
        adjustment_reason=adjustment_reason if final != computed.score else None,
    )


def decide(
    state: KeyResult | None, command: KeyResultCommands
) -> Sequence[KeyResultEvents | KpiReturned]:
    if isinstance(command, DraftKeyResult):
        return [_draft(command)]
    if state is None:
        raise NotFound("key result", command.key_result_id)
    if state.removed:
        raise InvalidState(
            "key result", "removed", type(command).__name__, "Draft a new one instead."
        )
    objective, cycle = command.objective, command.cycle
    if objective is None or cycle is None:
        raise NotFound("objective", state.objective_id)
    ids = {
        "key_result_id": state.key_result_id,
        "objective_id": state.objective_id,
        "cycle_id": state.cycle_id,
    }
    match command:
        case AmendKeyResult():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
            # One who left since may stay the owner of what is amended otherwise.
            if command.terms.owner != state.terms.owner:
                _known_owner(command.terms.owner, command.owner_level)
            check(command.terms.measure)
            if state.terms == command.terms:
                return []
            _reason_if_committed(objective, command.reason)
            if cycle.scoring is not None:
                _demand_levels(objective, cycle.scoring, command.terms.measure)
            standing = state.with_terms(command.terms).standing(cycle.scoring)
            return [
                KeyResultAmended(
                    **ids,
                    terms=command.terms,
                    committed_terms=_at_commitment(state, objective),
                    progress=standing.progress,
                    standing=standing,
                    reason=command.reason,
                )
            ]
        case RemoveKeyResult():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
            _reason_if_committed(objective, command.reason)
            removed = KeyResultRemoved(**ids, reason=command.reason)
            return [*returned(command.kpis, REMOVED), removed]
        case RecordCheckIn() | CorrectCheckIn() | RetractCheckIn():
            return [decide_check_in(state, objective, cycle, command)]
        case SucceedBaseline():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
            return _succeed(state, command)
        case ScoreKeyResult():
            cycle.allow(command, Phase.SCORING, Phase.REFLECTING)
            objective.allow(command, Status.COMMITTED)
            return [
                score(
                    state,
                    cycle.scoring or MeasureWhatMatters(),
                    min(command.at, cycle.ended_at),
                    command.score,
                    command.comment,
                    command.adjustment_reason,
                )
            ]
        case _:
            assert_never(command)


decider: Decider[KeyResult | None, KeyResultCommands, KeyResultEvents] = Decider(
    category="key_result", initial=None, evolve=evolve, decide=decide
)
