"""A small programme in which the domain tests play."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.domain import cycle as cycles
from app.domain.calendar import windows
from app.domain.cycle import Cycle, Phase
from app.domain.deployment import Deployment, Enforcement, Limits, MeasureWhatMatters
from app.domain.key_result import KeyResult, KeyResultDrafted, KeyResultTerms
from app.domain.measures import Metric
from app.domain.objective import (
    Objective,
    ObjectiveCommitted,
    ObjectiveDrafted,
    ObjectiveTerms,
    Status,
)
from app.domain.values import Owner, OwnerKind


def uid(number: int) -> UUID:
    return UUID(int=number)


ORG, CYCLE, NEXT_CYCLE, TEAM, PERSON = (uid(n) for n in range(1, 6))
OBJECTIVE, OTHER_OBJECTIVE, KEY_RESULT, OTHER_KEY_RESULT, CHECK_IN = (uid(n) for n in range(11, 16))
NOW = datetime(2026, 2, 1, 9, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)
STARTS, ENDS = date(2026, 1, 1), date(2026, 3, 31)
OWNER = Owner(kind=OwnerKind.TEAM, id=TEAM)
METRIC = Metric(kind="metric", unit="customers", baseline=Decimal(100), target=Decimal(200))
TERMS = ObjectiveTerms(title="Customers stay because they succeed")
KEY_TERMS = KeyResultTerms(title="Active customers", measure=METRIC)

DEFAULTS = Deployment()
REFUSING = Deployment(limits=Limits(enforcement=Enforcement.REFUSE))

IDS: dict[str, Any] = {"objective_id": OBJECTIVE, "cycle_id": CYCLE}
KEY_IDS: dict[str, Any] = {"key_result_id": KEY_RESULT, **IDS}

PLANNED = cycles.CyclePlanned(
    cycle_id=CYCLE,
    name="2026 Q1",
    starts_on=STARTS,
    ends_on=ENDS,
    windows=windows(STARTS, ENDS, DEFAULTS),
)
OPENED = cycles.CycleOpened(
    cycle_id=CYCLE, opened_at=datetime(2026, 1, 2, tzinfo=UTC), scoring=MeasureWhatMatters()
)
HISTORY: dict[Phase, list[cycles.CycleEvents]] = {Phase.PLANNED: [PLANNED]}
for _phase, _event in (
    (Phase.DRAFTING, cycles.CycleDraftingBegun(cycle_id=CYCLE)),
    (Phase.ACTIVE, OPENED),
    (Phase.SCORING, cycles.CycleScoringBegun(cycle_id=CYCLE)),
    (Phase.REFLECTING, cycles.CycleReflectionBegun(cycle_id=CYCLE)),
    (Phase.CLOSED, cycles.CycleClosed(cycle_id=CYCLE)),
):
    HISTORY[_phase] = [*HISTORY[list(HISTORY)[-1]], _event]
HISTORY[Phase.CANCELLED] = [PLANNED, cycles.CycleCancelled(cycle_id=CYCLE, reason="One too many.")]


def cycle(phase: Phase) -> Cycle:
    state = cycles.decider.fold(HISTORY[phase])
    assert state is not None
    return state


def objective(status: Status = Status.COMMITTED) -> Objective:
    return Objective(OBJECTIVE, CYCLE, OWNER, TERMS, status)


OBJECTIVE_DRAFTED = ObjectiveDrafted(**IDS, owner=OWNER, terms=TERMS)
OBJECTIVE_COMMITTED = ObjectiveCommitted(**IDS)
KEY_RESULT_DRAFTED = KeyResultDrafted(**KEY_IDS, terms=KEY_TERMS)


def key_result(**more: Any) -> KeyResult:
    values: dict[str, Any] = {"terms": KEY_TERMS, **more}
    return KeyResult(KEY_RESULT, OBJECTIVE, CYCLE, **values)
