"""A key result, its check-ins and its score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, assert_never, get_args
from uuid import UUID

from pydantic import Field, WithJsonSchema

from app.domain import scoring
from app.domain.cycle import Cycle, Phase
from app.domain.deployment import Deployment
from app.domain.errors import (
    AlreadyExists,
    InvalidState,
    NotFound,
    OutsideCycle,
    ReasonMissing,
    Refusal,
)
from app.domain.measures import Measure, Milestone, Reading, check, progress
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.objective import Objective, Status, judge_limit
from app.domain.values import (
    ExternalRef,
    Finding,
    Health,
    Level,
    Line,
    Moment,
    Number,
    Owner,
    Prose,
    Share,
    Value,
)

# Clocks of integrations run a little ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)


Weight = Annotated[
    Number,
    Field(ge=Decimal("0.01"), le=100),
    WithJsonSchema({"type": "number", "minimum": 0.01, "maximum": 100}),
]
"""How much a key result counts beside its neighbours: 0.01 to 100."""


class KeyResultTerms(Value):
    """What is said of a key result, wherever it is said.

    `owner` is stated where it differs from the objective's; weights are relative, 1 by default.
    """

    title: Line
    measure: Measure = Milestone()
    weight: Weight = Field(default=Decimal(1), json_schema_extra={"default": 1})
    owner: Owner | None = None


class CheckInTerms(Value):
    """What a check-in says: at least one of value, confidence, health and note.

    Progress (what the value gives), prediction (`confidence`, the probability of reaching the
    target) and judgement (`health`) are three things, never one.
    """

    value: Reading | None = None
    confidence: Share | None = None
    health: Health | None = None
    note: Prose | None = None
    next_steps: Prose | None = None


Aspect = Literal["moment", "value", "confidence", "health"]
"""What a check-in may have the last word in; `moment` is when the key result was last heard of."""

ASPECTS: tuple[Aspect, ...] = get_args(Aspect)


class Choice(StrEnum):
    """What becomes of a key result at the reset. Nothing carries over by default."""

    KEEP = "keep"
    MODIFY = "modify"
    REMOVE = "remove"


# Events -----------------------------------------------------------------------------------


class KeyResultEvent(Event, stream="key_result", key="key_result_id"):
    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID


class KeyResultDrafted(KeyResultEvent, type="key_result.drafted"):
    terms: KeyResultTerms
    previous_id: UUID | None = None
    external: ExternalRef | None = None
    warnings: tuple[Finding, ...] = ()


class KeyResultAmended(KeyResultEvent, type="key_result.amended"):
    """After commitment it carries a reason; `progress` is the latest reading's, measured anew."""

    terms: KeyResultTerms
    progress: Share | None = None
    reason: Prose | None = None


class KeyResultRemoved(KeyResultEvent, type="key_result.removed"):
    reason: Prose | None = None


class CheckInRecorded(KeyResultEvent, type="check_in.recorded", version=2):
    """`last_word`: in what no check-in recorded before speaks of a later moment.

    Version 1 kept confidence as a percentage, 0 to 100, and had one last word for everything.
    """

    check_in_id: UUID
    terms: CheckInTerms
    progress: Share | None = None
    last_word: tuple[Aspect, ...]
    occurred_at: Moment
    external: ExternalRef | None = None


class KeyResultScored(KeyResultEvent, type="key_result.scored"):
    """Both the computed score and the final one are kept; where they differ, so is the reason."""

    computed: Share
    score: Share
    formula: str
    comment: Prose
    adjustment_reason: Prose | None = None


class KeyResultReset(KeyResultEvent, type="key_result.reset"):
    choice: Choice
    learning: Prose | None = None
    successor_id: UUID | None = None


KeyResultEvents = (
    KeyResultDrafted
    | KeyResultAmended
    | KeyResultRemoved
    | CheckInRecorded
    | KeyResultScored
    | KeyResultReset
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CheckIn:
    check_in_id: UUID
    terms: CheckInTerms
    occurred_at: datetime

    def says(self, aspect: Aspect) -> bool:
        return aspect == "moment" or getattr(self.terms, aspect) is not None


@dataclass(frozen=True, slots=True)
class KeyResult:
    """`last` is, for each thing that can be said, the check-in that has the last word in it."""

    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID
    terms: KeyResultTerms
    removed: bool = False
    last: Mapping[Aspect, CheckIn] = field(default_factory=dict)
    score: Decimal | None = None

    def last_word(self, told: CheckIn) -> tuple[Aspect, ...]:
        """In what a check-in told now has the last word: none before speaks of a later moment."""
        return tuple(
            aspect
            for aspect in ASPECTS
            if told.says(aspect)
            and (aspect not in self.last or self.last[aspect].occurred_at <= told.occurred_at)
        )

    @property
    def progress(self) -> Decimal | None:
        """How far the last reading has come; None without one that fits the measure."""
        last = self.last.get("value")
        reading = None if last is None else last.terms.value
        if reading is None or isinstance(reading, bool) != isinstance(
            self.terms.measure, Milestone
        ):
            return None
        return progress(self.terms.measure, reading)


def evolve(state: KeyResult | None, event: KeyResultEvents) -> KeyResult:
    if isinstance(event, KeyResultDrafted):
        return KeyResult(event.key_result_id, event.objective_id, event.cycle_id, event.terms)
    assert state is not None, "a key result's stream starts with key_result.drafted"
    match event:
        case KeyResultAmended():
            return replace(state, terms=event.terms)
        case KeyResultRemoved():
            return replace(state, removed=True)
        case CheckInRecorded():
            told = CheckIn(event.check_in_id, event.terms, event.occurred_at)
            return replace(state, last={**state.last, **dict.fromkeys(event.last_word, told)})
        case KeyResultScored():
            return replace(state, score=event.score)
        case KeyResultReset():
            return state
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyResultCommand(Command):
    category: ClassVar[str] = "key_result"
    key_result_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.key_result_id)


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
    """Raises ReasonMissing when the objective is committed and no reason is given."""

    reason: str | None = None
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCheckIn(KeyResultCommand):
    """Raises NotFound, InvalidState, WrongKind, OutsideCycle, AlreadyExists."""

    check_in_id: UUID
    terms: CheckInTerms
    occurred_at: datetime
    external: ExternalRef | None = None
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "check_in"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreKeyResult(KeyResultCommand):
    """`score` None accepts the computed one. Raises ReasonMissing when it differs without why."""

    score: Decimal | None = None
    comment: str
    adjustment_reason: str | None = None
    objective: Objective | None = looked_up("objective", lambda k, _: k and k.objective_id)
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.cycle_id)


KeyResultCommands = (
    DraftKeyResult | AmendKeyResult | RemoveKeyResult | RecordCheckIn | ScoreKeyResult
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
    return KeyResultDrafted(
        key_result_id=command.key_result_id,
        objective_id=objective.objective_id,
        cycle_id=objective.cycle_id,
        terms=command.terms,
        previous_id=command.previous_id,
        external=command.external,
        warnings=judge_count(command.deployment, command.held),
    )


def _check_in(state: KeyResult, cycle: Cycle, command: RecordCheckIn) -> CheckInRecorded:
    terms = command.terms
    if terms.value is None and terms.confidence is None and terms.health is None and not terms.note:
        raise Refusal("Give at least one of value, confidence, health and note.", pointer="/value")
    if command.occurred_at > command.at + CLOCK_SKEW:
        raise OutsideCycle("occurred_at lies in the future.", pointer="/occurred_at")
    if command.occurred_at < cycle.began_at:
        raise OutsideCycle(
            f"occurred_at lies before the cycle began ({cycle.began_at:%Y-%m-%dT%H:%M:%SZ}).",
            pointer="/occurred_at",
        )
    # A clock that runs ahead must not silence the next check-in.
    told = CheckIn(command.check_in_id, terms, min(command.occurred_at, command.at))
    return CheckInRecorded(
        key_result_id=state.key_result_id,
        objective_id=state.objective_id,
        cycle_id=state.cycle_id,
        check_in_id=command.check_in_id,
        terms=terms,
        progress=None if terms.value is None else progress(state.terms.measure, terms.value),
        last_word=state.last_word(told),
        occurred_at=told.occurred_at,
        external=command.external,
    )


def score(
    state: KeyResult, given: Decimal | None, comment: str, adjustment_reason: str | None
) -> KeyResultScored:
    """The final score of a key result. Raises ReasonMissing for an unexplained adjustment."""
    computed = scoring.computed_score(state.progress)
    final = computed if given is None else given
    if final != computed and not adjustment_reason:
        raise ReasonMissing(
            f"The computed score is {computed.normalize():f}; "
            f"say why {final.normalize():f} is the better one.",
            pointer="/adjustment_reason",
        )
    return KeyResultScored(
        key_result_id=state.key_result_id,
        objective_id=state.objective_id,
        cycle_id=state.cycle_id,
        computed=computed,
        score=final,
        formula=scoring.FORMULA,
        comment=comment,
        adjustment_reason=adjustment_reason if final != computed else None,
    )


def decide(state: KeyResult | None, command: KeyResultCommands) -> list[KeyResultEvents]:
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
            return [
                KeyResultAmended(
                    **ids,
                    terms=command.terms,
                    progress=replace(state, terms=command.terms).progress,
                    reason=command.reason,
                )
            ]
        case RemoveKeyResult():
            cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
            objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
            _reason_if_committed(objective, command.reason)
            return [KeyResultRemoved(**ids, reason=command.reason)]
        case RecordCheckIn():
            # First: a second delivery is one even when the cycle has gone on.
            if command.existing is not None:
                raise AlreadyExists("check-in", command.existing)
            cycle.allow(command, Phase.ACTIVE)
            objective.allow(command, Status.COMMITTED)
            return [_check_in(state, cycle, command)]
        case ScoreKeyResult():
            cycle.allow(command, Phase.SCORING, Phase.REFLECTING)
            objective.allow(command, Status.COMMITTED)
            return [score(state, command.score, command.comment, command.adjustment_reason)]
        case _:
            assert_never(command)


decider: Decider[KeyResult | None, KeyResultCommands, KeyResultEvents] = Decider(
    category="key_result", initial=None, evolve=evolve, decide=decide
)
