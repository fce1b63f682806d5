"""What may be done with a KPI: commands, and how they are decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain.access import Concern
from app.domain.check_in import CheckInTerms
from app.domain.check_in_commands import CLOCK_SKEW, RecordCheckIn
from app.domain.cycle import Cycle, Phase
from app.domain.deployment import Deployment
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
from app.domain.key_result import KeyResult, KeyResultTerms
from app.domain.key_result_commands import DraftKeyResult
from app.domain.key_result_commands import decide as decide_key_result
from app.domain.kpi import (
    Kpi,
    KpiEvents,
    KpiFocused,
    KpiLeftRange,
    KpiRegistered,
    KpiRetired,
    KpiReturned,
    KpiReturnedToRange,
    KpiRevised,
    LatestReading,
    ReadingRecorded,
    evolve,
)
from app.domain.kpi_terms import KpiTerms, Proposal, check_range, propose
from app.domain.measures import Metric
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.objective import Objective, Status
from app.domain.values import ExternalRef, Level, Owner

# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class KpiCommand(Command):
    category: ClassVar[str] = "kpi"
    kpi_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.kpi_id)

    def concerns(self, state: Kpi | None) -> tuple[Concern, ...]:
        return (Concern.of(state.terms.owner) if state else Concern("team"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterKpi(KpiCommand):
    """Raises AlreadyExists, NotFound (owner), Refusal (a range that makes no sense)."""

    terms: KpiTerms
    external: ExternalRef | None = None
    owner_level: Level | None = looked_up("owner_level", lambda _, c: c.terms.owner)
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "kpi"))

    def concerns(self, state: Kpi | None) -> tuple[Concern, ...]:
        return (Concern.of(self.terms.owner),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviseKpi(KpiCommand):
    """Raises ReasonMissing when what is healthy changes without one, NotFound (owner), Refusal."""

    terms: KpiTerms
    reason: str | None = None
    owner_level: Level | None = looked_up("owner_level", lambda _, c: c.terms.owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetireKpi(KpiCommand):
    """Raises InvalidState while the KPI is in focus."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordReading(KpiCommand):
    """Raises AlreadyExists, DecisionRefuses, OutsideCycle (in the future).

    The key result, its objective and its cycle are those that the KPI feeds, if any.
    """

    reading_id: UUID
    check_in_id: UUID
    value: Decimal
    occurred_at: datetime
    note: str | None = None
    external: ExternalRef | None = None
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    key_result: KeyResult | None = looked_up(
        "key_result", lambda k, _: k and k.focus and k.focus.key_result_id
    )
    objective: Objective | None = looked_up(
        "objective", lambda k, _: k and k.focus and k.focus.objective_id
    )
    cycle: Cycle | None = looked_up("cycle", lambda k, _: k and k.focus and k.focus.cycle_id)
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "kpi_reading"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusKpi(KpiCommand):
    """Draft a key result that this KPI feeds, from its latest reading to a target.

    `baseline` is for a KPI without a reading. Raises NotFound, InvalidState, DecisionRefuses,
    Refusal.
    """

    key_result_id: UUID
    objective_id: UUID
    target: Decimal
    baseline: Decimal | None = None
    commit: Decimal | None = None
    stretch: Decimal | None = None
    title: str | None = None
    weight: Decimal = Decimal(1)
    owner: Owner | None = None
    objective: Objective | None = looked_up("objective", lambda _, c: c.objective_id)
    cycle: Cycle | None = looked_up("cycle_of_objective", lambda _, c: c.objective_id)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    owner_level: Level | None = looked_up("owner_level", lambda _, c: c.owner)
    held: int = looked_up("key_results_held", lambda _, c: c.objective_id)

    def concerns(self, state: Kpi | None) -> tuple[Concern, ...]:
        """The objective's, which gets another key result."""
        return (Concern("objective", self.objective_id),)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnKpi(KpiCommand):
    """Raises InvalidState when the KPI is not in focus."""

    reason: str


KpiCommands = RegisterKpi | ReviseKpi | RetireKpi | RecordReading | FocusKpi | ReturnKpi


# What is proposed -------------------------------------------------------------------------


def _proposed_anew(before: Kpi, after: Kpi) -> Proposal | None:
    """For a KPI that was outside of its range and stays there."""
    if after.latest is None or before.in_range is not False or after.in_range:
        return None
    return propose(after.terms, after.latest.value)


def _crossing(before: Kpi, after: Kpi) -> Iterator[Event]:
    """What is told of a KPI whose latest reading left its range, or came back."""
    if after.latest is None:
        return
    value = after.latest.value
    if after.in_range is False and before.in_range is not False:
        proposal = propose(after.terms, value)
        yield KpiLeftRange(kpi_id=after.kpi_id, value=value, proposal=proposal)
    if after.in_range and before.in_range is False:
        yield KpiReturnedToRange(kpi_id=after.kpi_id, value=value)


# Registering and revising -----------------------------------------------------------------


def _known_owner(owner: Owner, level: Level | None) -> None:
    if level is None:
        raise NotFound(owner.kind, owner.id, pointer="/owner")


def _register(command: RegisterKpi) -> KpiRegistered:
    if command.existing is not None:
        raise AlreadyExists("KPI", command.existing)
    _known_owner(command.terms.owner, command.owner_level)
    check_range(command.terms)
    return KpiRegistered(kpi_id=command.kpi_id, terms=command.terms, external=command.external)


def _revise(state: Kpi, command: ReviseKpi) -> list[Event]:
    old, new = state.terms, command.terms
    if old == new:
        return []
    if old.unit != new.unit:
        raise Refusal(
            "A KPI keeps its unit, for its readings are in it; register another KPI.",
            pointer="/unit",
        )
    # One who left since may stay the owner of what is revised otherwise.
    if old.owner != new.owner:
        _known_owner(new.owner, command.owner_level)
    check_range(new)
    if (old.healthy, old.direction) != (new.healthy, new.direction) and not command.reason:
        raise ReasonMissing(
            "What counts as healthy changes: give a reason for it.", pointer="/reason"
        )
    after = replace(state, terms=new)
    revised = KpiRevised(
        kpi_id=state.kpi_id,
        terms=new,
        in_range=after.in_range,
        proposal=_proposed_anew(state, after),
        reason=command.reason,
    )
    return [revised, *_crossing(state, after)]


# Reading ----------------------------------------------------------------------------------


def _record(state: Kpi, command: RecordReading) -> list[Event]:
    if state.focus is None and command.deployment.kpis.policy == "kpis_only_as_key_results":
        raise DecisionRefuses(
            "kpis",
            "kpis.only_as_key_results",
            "KPIs live only as key results here, and this one is not in focus; "
            "focus it (:focus), then record the reading.",
        )
    if command.occurred_at > command.at + CLOCK_SKEW:
        raise OutsideCycle("occurred_at lies in the future.", pointer="/occurred_at")
    # A clock that runs ahead must not silence the next reading.
    told = LatestReading(command.value, min(command.occurred_at, command.at))
    latest = state.is_latest(told.occurred_at)
    after = replace(state, latest=told) if latest else state
    fed = _feed(command)
    recorded = ReadingRecorded(
        kpi_id=state.kpi_id,
        reading_id=command.reading_id,
        value=told.value,
        in_range=state.terms.healthy.holds(told.value),
        latest=latest,
        occurred_at=told.occurred_at,
        note=command.note,
        check_in_id=command.check_in_id if fed else None,
        proposal=_proposed_anew(state, after) if latest else None,
        external=command.external,
    )
    return [recorded, *_crossing(state, after), *fed]


def _takes_check_ins(command: RecordReading) -> bool:
    """Whether there is a key result in focus that takes check-ins of the reading's moment."""
    key_result, objective, cycle = command.key_result, command.objective, command.cycle
    return (
        key_result is not None
        and not key_result.removed
        and objective is not None
        and objective.status is Status.COMMITTED
        and cycle is not None
        and cycle.phase is Phase.ACTIVE
        and cycle.began_at <= command.occurred_at
    )


def _feed(command: RecordReading) -> list[Event]:
    """The reading as a check-in on the key result in focus, which itself decides on it.

    Nothing while it takes none, or once it was amended to a kind that no number fits.
    """
    if command.key_result is None or not _takes_check_ins(command):
        return []
    check_in = RecordCheckIn(
        at=command.at,
        key_result_id=command.key_result.key_result_id,
        check_in_id=command.check_in_id,
        terms=CheckInTerms(value=command.value, note=command.note),
        occurred_at=command.occurred_at,
        from_kpi=True,
        deployment=command.deployment,
        objective=command.objective,
        cycle=command.cycle,
        existing=None,
    )
    try:
        return list(decide_key_result(command.key_result, check_in))
    except WrongKind:
        return []


# Into focus and back ----------------------------------------------------------------------


def _baseline(state: Kpi, command: FocusKpi) -> Decimal:
    if state.latest is None and command.baseline is None:
        raise Refusal(
            "The KPI has no reading yet: record one, or give the baseline.", pointer="/baseline"
        )
    if state.latest is None:
        assert command.baseline is not None
        return command.baseline
    if command.baseline is not None:
        raise Refusal(
            "The latest reading is the baseline; leave it out, or record another reading.",
            pointer="/baseline",
        )
    return state.latest.value


def _focus(state: Kpi, command: FocusKpi) -> list[Event]:
    if command.deployment.kpis.policy == "separate":
        raise DecisionRefuses(
            "kpis",
            "kpis.separate",
            "KPIs and OKRs are kept apart here: a KPI becomes no key result. "
            "Draft a key result of its own.",
        )
    if state.focus is not None:
        raise InvalidState(
            "KPI",
            "in focus",
            "FocusKpi",
            f"It feeds key result {state.focus.key_result_id}; return it first (:return).",
        )
    objective, cycle = command.objective, command.cycle
    if objective is None or cycle is None:
        raise NotFound("objective", command.objective_id, pointer="/objective_id")
    cycle.allow(command, Phase.DRAFTING, Phase.ACTIVE)
    objective.allow(command, Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    focused = KpiFocused(
        kpi_id=state.kpi_id,
        key_result_id=command.key_result_id,
        objective_id=objective.objective_id,
        cycle_id=objective.cycle_id,
    )
    return [*_drafted(state, command), focused]


def _drafted(state: Kpi, command: FocusKpi) -> list[Event]:
    """The key result of a KPI in focus, judged like any other that is drafted."""
    draft = DraftKeyResult(
        at=command.at,
        key_result_id=command.key_result_id,
        objective_id=command.objective_id,
        terms=KeyResultTerms(
            title=command.title or state.terms.name,
            measure=Metric(
                unit=state.terms.unit,
                baseline=_baseline(state, command),
                target=command.target,
                commit=command.commit,
                stretch=command.stretch,
            ),
            weight=command.weight,
            owner=command.owner,
        ),
        objective=command.objective,
        cycle=command.cycle,
        deployment=command.deployment,
        owner_level=command.owner_level,
        held=command.held,
        existing=None,
    )
    try:
        return list(decide_key_result(None, draft))
    except Refusal as refusal:
        # Here the measure's figures stand for themselves.
        refusal.pointer = refusal.pointer and refusal.pointer.removeprefix("/measure")
        raise


def _return(state: Kpi, command: ReturnKpi) -> KpiReturned:
    focus = state.focus
    if focus is None:
        raise InvalidState("KPI", "a health metric", "ReturnKpi", "Focus it first (:focus).")
    return KpiReturned(
        kpi_id=state.kpi_id,
        key_result_id=focus.key_result_id,
        objective_id=focus.objective_id,
        cycle_id=focus.cycle_id,
        reason=command.reason,
    )


def _retire(state: Kpi, command: RetireKpi) -> KpiRetired:
    if state.focus is not None:
        raise InvalidState("KPI", "in focus", "RetireKpi", "Return it first (:return).")
    return KpiRetired(kpi_id=state.kpi_id, reason=command.reason)


def decide(state: Kpi | None, command: KpiCommands) -> list[Event]:
    if isinstance(command, RegisterKpi):
        return [_register(command)]
    if state is None:
        raise NotFound("KPI", command.kpi_id)
    # First: a second delivery is one even when the KPI is retired.
    if isinstance(command, RecordReading) and command.existing is not None:
        raise AlreadyExists("reading", command.existing)
    if state.retired:
        raise InvalidState("KPI", "retired", type(command).__name__, "Register a new one instead.")
    match command:
        case ReviseKpi():
            return _revise(state, command)
        case RetireKpi():
            return [_retire(state, command)]
        case RecordReading():
            return _record(state, command)
        case FocusKpi():
            return _focus(state, command)
        case ReturnKpi():
            return [_return(state, command)]
        case _:
            assert_never(command)


decider: Decider[Kpi | None, KpiCommands, KpiEvents] = Decider(
    category="kpi", initial=None, evolve=evolve, decide=decide
)
