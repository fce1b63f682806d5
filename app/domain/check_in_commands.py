"""What may be done with a check-in: told, told anew, and taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import assert_never
from uuid import UUID

from app.domain.check_in import CheckIn, CheckInTerms, TrackedBy
from app.domain.cycle import Cycle, Phase
from app.domain.deployment import Deployment
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    NotFound,
    OutsideCycle,
    Refusal,
    WrongKind,
)
from app.domain.key_result import (
    CheckInCorrected,
    CheckInRecorded,
    CheckInRetracted,
    KeyResult,
    KeyResultCommand,
)
from app.domain.measures import Metric, Threshold, demand_fit, progress
from app.domain.messages import looked_up
from app.domain.objective import Objective, Status
from app.domain.values import LARGEST, ExternalRef, made

# Clocks of integrations run a little ahead of ours.
CLOCK_SKEW = timedelta(minutes=5)


# Commands ---------------------------------------------------------------------------------


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


CheckInCommands = RecordCheckIn | CorrectCheckIn | RetractCheckIn


# Decisions --------------------------------------------------------------------------------


def decide_check_in(
    state: KeyResult, objective: Objective, cycle: Cycle, command: CheckInCommands
) -> CheckInRecorded | CheckInCorrected | CheckInRetracted:
    """What becomes of a check-in of a key result that is there. Raises as the commands say."""
    match command:
        case RecordCheckIn():
            # First: a second delivery is one even when the cycle has gone on.
            if command.existing is not None:
                raise AlreadyExists("check-in", command.existing)
            cycle.allow(command, Phase.ACTIVE)
            objective.allow(command, Status.COMMITTED)
            return _record(state, cycle, command)
        case CorrectCheckIn():
            cycle.allow(command, Phase.ACTIVE, Phase.SCORING)
            return _correct(state, cycle, command)
        case RetractCheckIn():
            cycle.allow(command, Phase.ACTIVE, Phase.SCORING)
            return _retract(state, cycle, command)
        case _:
            assert_never(command)


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


def _record(state: KeyResult, cycle: Cycle, command: RecordCheckIn) -> CheckInRecorded:
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
    return progress(after.terms.measure, [told.reading])


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


def _retract(state: KeyResult, cycle: Cycle, command: RetractCheckIn) -> CheckInRetracted:
    _known(state, command.check_in_id)
    return CheckInRetracted(
        key_result_id=state.key_result_id,
        objective_id=state.objective_id,
        cycle_id=state.cycle_id,
        check_in_id=command.check_in_id,
        reason=command.reason,
        standing=state.without_check_in(command.check_in_id).standing(cycle.scoring),
    )


def _known(state: KeyResult, check_in_id: UUID) -> CheckIn:
    known = state.check_ins.get(check_in_id)
    if known is None:
        raise NotFound("check-in", check_in_id)
    return known
