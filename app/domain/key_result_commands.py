"""What may be done with a key result: commands, and how they are decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain import scoring
from app.domain.access import Concern
from app.domain.check_in import CheckIn, CheckInTerms, TrackedBy
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
    OutsideCycle,
    ReasonMissing,
    Refusal,
    WrongKind,
)
from app.domain.key_result import (
    CheckInCorrected,
    CheckInRecorded,
    CheckInRetracted,
    KeyResult,
    KeyResultAmended,
    KeyResultDrafted,
    KeyResultEvents,
    KeyResultRemoved,
    KeyResultScored,
    KeyResultSucceeded,
    KeyResultTerms,
    _told,
    evolve,
)
from app.domain.kpi import Kpi, KpiReturned, returned
from app.domain.measures import (
    AnyMeasure,
    Baseline,
    Metric,
    Threshold,
    check,
    demand_fit,
    progress,
)
from app.domain.messages import Command, Decider, Stream, looked_up
from app.domain.objective import Objective, Status, judge_limit
from app.domain.values import (
    LARGEST,
    ExternalRef,
    Finding,
    Level,
    Owner,
    made,
)

# Clocks of integrations run a little ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)

REMOVED = "The key result was removed."
"""Why its KPI is a health metric again."""


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyResultCommand(Command):
    category: ClassVar[str] = "key_result"
    key_result_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.key_result_id)

    def concerns(self, state: KeyResult | None) -> tuple[Concern, ...]:
        return (Concern("key_result", self.key_result_id),)

    def source(self, state: KeyResult | None) -> str | None:
        """The source that it names; without one, the integration that the key result is left to."""
        # Not super(): a dataclass with slots is another class than the one that is written.
        named = Command.source(self, state)
        return state.terms.tracked_by if named is None and state is not None else named


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
class RecordCheckIn(KeyResultCommand):
    """Raises NotFound, InvalidState, WrongKind, OutsideCycle, AlreadyExists, DecisionRefuses.

    `from_kpi`: the KPI in focus tells it.
    """

    check_in_id: UUID
    terms: CheckInTerms
    occurred_at: datetime
    external: ExternalRef | None = None
    from_kpi: bool = False
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "check_in"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectCheckIn(KeyResultCommand):
    """State anew what a check-in says. Raises NotFound, InvalidState, WrongKind, OutsideCycle."""

    check_in_id: UUID
    terms: CheckInTerms
    occurred_at: datetime | None = None
    reason: str
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetractCheckIn(KeyResultCommand):
    """Take a check-in back. Raises NotFound, InvalidState."""

    check_in_id: UUID
    reason: str
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


def _said(state: KeyResult, terms: CheckInTerms) -> CheckInTerms:
    """What is said, with a value in place of an increment. Raises Refusal, WrongKind."""
    said = (terms.value, terms.increment, terms.confidence, terms.health, terms.note)
    if all(one is None for one in said):
        raise Refusal("Give at least one of value, confidence, health and note.", pointer="/value")
    if terms.increment is not None:
        if terms.value is not None:
            raise Refusal("Give a value or an increment, not both.", pointer="/increment")
        measure, last = state.terms.measure, state.last.get("value")
        if not isinstance(measure, Metric):
            raise WrongKind("Only a metric takes an increment.", pointer="/increment")
        known = last.value if last is not None else measure.baseline
        value = Decimal(known) if isinstance(known, Decimal) else measure.baseline
        value += terms.increment
        if abs(value) > LARGEST:
            raise Refusal(
                f"With this increment the value would be {value:f}; it may be {LARGEST} at most, "
                "either way.",
                pointer="/increment",
            )
        terms = terms.model_copy(update={"value": value})
    if terms.value is not None:
        demand_fit(state.terms.measure, terms.value)
    return terms


def _within(cycle: Cycle, occurred_at: datetime, now: datetime) -> datetime:
    """The moment that is spoken of. Raises OutsideCycle for the future and before the cycle."""
    if occurred_at > now + CLOCK_SKEW:
        raise OutsideCycle("occurred_at lies in the future.", pointer="/occurred_at")
    if occurred_at < cycle.began_at:
        raise OutsideCycle(
            f"occurred_at lies before the cycle began ({cycle.began_at:%Y-%m-%dT%H:%M:%SZ}).",
            pointer="/occurred_at",
        )
    # A clock that runs ahead must not silence the next check-in.
    return min(occurred_at, now)


def _tracking(state: KeyResult, command: RecordCheckIn) -> TrackedBy:
    """How the check-in came. Raises DecisionRefuses for a source that nobody named."""
    if command.from_kpi:
        return "kpi"
    source = None if command.external is None else command.external.source
    named = state.terms.tracked_by
    if source is not None and source == named:
        return "integration"
    if source is not None and command.deployment.tracking.unnamed_source == "refuse":
        raise DecisionRefuses(
            "tracking",
            "tracking.unnamed_source",
            f"The key result is tracked by {named or 'hand'}, and not by {source}; name that "
            "source in its tracked_by, or check in without one.",
            pointer="/external/source",
        )
    return "manual"


def _check_in(state: KeyResult, cycle: Cycle, command: RecordCheckIn) -> CheckInRecorded:
    terms = _said(state, command.terms)
    moment = _within(cycle, command.occurred_at, command.at)
    told = CheckIn.of(command.check_in_id, terms, moment)
    after = state.with_new_check_in(told)
    return made(
        CheckInRecorded,
        key_result_id=state.key_result_id,
        objective_id=state.objective_id,
        cycle_id=state.cycle_id,
        check_in_id=command.check_in_id,
        terms=terms,
        progress=_progress_told(after, told, cycle),
        last_word=state.last_word(told),
        standing=after.standing(cycle.scoring),
        tracking=_tracking(state, command),
        occurred_at=moment,
        external=command.external,
    )


def _progress_told(after: KeyResult, told: CheckIn, cycle: Cycle) -> Decimal | None:
    """The progress that a check-in tells; for a threshold, together with all others."""
    if told.value is None:
        return None
    if isinstance(after.terms.measure, Threshold):
        return after.progress(cycle.scoring)
    return progress(after.terms.measure, [_told(told)])


def _correct(state: KeyResult, cycle: Cycle, command: CorrectCheckIn) -> CheckInCorrected:
    before = _known(state, command.check_in_id)
    terms = _said(state, command.terms)
    moment = before.occurred_at
    if command.occurred_at is not None:
        moment = _within(cycle, command.occurred_at, command.at)
    told = CheckIn.of(command.check_in_id, terms, moment)
    after = state.with_check_in(told)
    return CheckInCorrected(
        key_result_id=state.key_result_id,
        objective_id=state.objective_id,
        cycle_id=state.cycle_id,
        check_in_id=command.check_in_id,
        terms=terms,
        occurred_at=moment,
        progress=_progress_told(after, told, cycle),
        reason=command.reason,
        standing=after.standing(cycle.scoring),
    )


def _known(state: KeyResult, check_in_id: UUID) -> CheckIn:
    known = state.check_ins.get(check_in_id)
    if known is None:
        raise NotFound("check-in", check_in_id)
    return known


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
        case RecordCheckIn():
            # First: a second delivery is one even when the cycle has gone on.
            if command.existing is not None:
                raise AlreadyExists("check-in", command.existing)
            cycle.allow(command, Phase.ACTIVE)
            objective.allow(command, Status.COMMITTED)
            return [_check_in(state, cycle, command)]
        case CorrectCheckIn():
            cycle.allow(command, Phase.ACTIVE, Phase.SCORING)
            return [_correct(state, cycle, command)]
        case RetractCheckIn():
            cycle.allow(command, Phase.ACTIVE, Phase.SCORING)
            _known(state, command.check_in_id)
            standing = state.without_check_in(command.check_in_id).standing(cycle.scoring)
            return [
                CheckInRetracted(
                    **ids,
                    check_in_id=command.check_in_id,
                    reason=command.reason,
                    standing=standing,
                )
            ]
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
