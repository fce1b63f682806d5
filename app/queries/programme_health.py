"""How a programme fares: the ways in which OKRs are known to fail, counted from what happened.

Each mode has its definition, its numerator and denominator, and the items behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.cycle import Phase
from app.domain.deployment import AnyScoring, BottomUp, Limits, Rhythm
from app.domain.objective import Outcome
from app.domain.scoring import roll_up
from app.domain.survey import ASKED, Diagnosis, diagnose
from app.domain.values import Level, Origin, OwnerKind, share
from app.projections.alignments import AlignmentRow
from app.projections.check_ins import CheckInRow
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.reflections import ReflectionRow
from app.projections.survey_answers import SurveyAnswerRow
from app.projections.teams import TeamRow
from app.queries import cycles, goals
from app.queries.programme import in_force
from app.queries.views import Figure, View

FEWEST_ANSWERS = 3
"""With fewer answers than these, nobody's could stay anybody's."""


class FailureMode(View):
    """One way to fail: how often it happened, out of how many, and where."""

    id: str = Field(examples=["set_and_forget"])
    definition: str
    numerator: int
    denominator: int
    share: Figure
    items: list[UUID]


class Calibration(View):
    """Brier score of stated confidence: the mean of (confidence - outcome)². 0 is perfect."""

    brier: Figure
    forecasts: int
    items: list[UUID]


class HealthReport(View):
    """`bottom_up_target` is what was decided; the rest is measured."""

    cycle_id: UUID
    team_id: UUID | None
    failure_modes: list[FailureMode]
    bottom_up_share: Figure
    bottom_up_target: Figure
    calibration: Calibration


class SurveyView(View):
    """Averages from 1 to 5, null below three answers; `diagnosis` sets them beside the results."""

    cycle_id: UUID
    answers: int
    averages: dict[str, float] | None
    agreement: float | None
    score: Figure
    diagnosis: Diagnosis | None


@dataclass(frozen=True, slots=True)
class _Facts:
    """The rows of a cycle, or of one team's part in it."""

    cycle: CycleRow
    rules: AnyScoring
    rhythm: Rhythm
    limits: Limits
    at: datetime
    objectives: Sequence[ObjectiveRow]
    key_results: Sequence[KeyResultRow]
    check_ins: Sequence[CheckInRow]
    alignments: Sequence[AlignmentRow]
    reflections: Sequence[ReflectionRow]
    levels: dict[UUID, str]

    @property
    def committed(self) -> list[ObjectiveRow]:
        """Objectives that were meant: committed once, whatever became of them."""
        return [one for one in self.objectives if one.committed_at is not None]

    @property
    def is_over(self) -> bool:
        return self.cycle.phase in (Phase.REFLECTING, Phase.CLOSED)


def _mode(id: str, definition: str, found: Iterable[UUID], of: int) -> FailureMode:
    items = list(found)
    part = None if not of else share(Decimal(len(items)) / of)
    return FailureMode(
        id=id, definition=definition, numerator=len(items), denominator=of, share=part, items=items
    )


def set_and_forget(facts: _Facts) -> FailureMode:
    """Silence is counted up to the moment shown, or to the cycle's end."""
    two_rhythms = timedelta(days=2 * facts.rhythm.check_in_every_days)
    end = min(facts.at, datetime.combine(facts.cycle.ends_on, time.max, UTC))
    committed = {one.objective_id: one for one in facts.committed}
    spoken: dict[UUID, datetime] = {}
    for check_in in facts.check_ins:
        if not check_in.retracted:
            last = spoken.get(check_in.key_result_id, check_in.occurred_at)
            spoken[check_in.key_result_id] = max(last, check_in.occurred_at)
    watched = [one for one in facts.key_results if one.objective_id in committed]
    silent = []
    for one in watched:
        objective = committed[one.objective_id]
        began = [facts.cycle.opened_at, objective.committed_at, one.drafted_at]
        start = max(moment for moment in began if moment is not None)
        if end - spoken.get(one.key_result_id, start) > two_rhythms:
            silent.append(one.key_result_id)
    return _mode(
        "set_and_forget",
        "Committed key results without a check-in for two rhythms.",
        silent,
        len(watched),
    )


def too_many(facts: _Facts) -> FailureMode:
    held: dict[UUID, int] = {}
    for one in facts.objectives:
        if one.outcome != Outcome.ABANDONED:
            held[one.owner_id] = held.get(one.owner_id, 0) + 1
    over = [owner for owner, count in held.items() if count > facts.limits.max_objectives]
    return _mode("too_many", "Owners with more objectives than decided.", over, len(held))


def unaligned(facts: _Facts) -> FailureMode:
    aligned = {one.objective_id for one in facts.alignments if not one.withdrawn}
    below = [one for one in facts.committed if facts.levels.get(one.owner_id) != Level.COMPANY]
    alone = [one.objective_id for one in below if one.objective_id not in aligned]
    return _mode(
        "unaligned",
        "Committed objectives below the company's that contribute to nothing.",
        alone,
        len(below),
    )


def no_bottom_up(facts: _Facts) -> FailureMode:
    below = [one for one in facts.committed if facts.levels.get(one.owner_id) != Level.COMPANY]
    given = [one.objective_id for one in below if one.origin == Origin.TOP_DOWN]
    return _mode(
        "top_down",
        "Committed objectives below the company's that were given from above.",
        given,
        len(below),
    )


def no_reflection(facts: _Facts) -> FailureMode:
    owners = {
        one.owner_id
        for one in facts.committed
        if one.owner_kind == OwnerKind.TEAM and facts.is_over
    }
    reflected = {one.team_id for one in facts.reflections}
    return _mode(
        "no_reflection",
        "Teams with committed objectives that did not look back, once the cycle did.",
        sorted(owners - reflected),
        len(owners),
    )


def no_leadership_okrs(facts: _Facts) -> FailureMode:
    company = [id for id, level in facts.levels.items() if level == Level.COMPANY]
    with_goals = {one.owner_id for one in facts.committed}
    return _mode(
        "no_leadership_okrs",
        "Company-level teams without a committed objective of their own.",
        [id for id in company if id not in with_goals],
        len(company),
    )


def sandbagging(facts: _Facts) -> FailureMode:
    scored = [one for one in facts.key_results if one.score is not None]
    full = [one.key_result_id for one in scored if one.score == 1]
    return _mode("always_full", "Scored key results with a full score.", full, len(scored))


MODES = (
    set_and_forget,
    too_many,
    unaligned,
    no_bottom_up,
    no_reflection,
    no_leadership_okrs,
    sandbagging,
)


def calibrate(facts: _Facts) -> Calibration:
    """Of each scored key result, the last confidence that was stated while the cycle ran."""
    pairs = [
        (one.key_result_id, one.confidence, one.score >= facts.rules.good)
        for one in facts.key_results
        if one.confidence is not None and one.score is not None
    ]
    if not pairs:
        return Calibration(brier=None, forecasts=0, items=[])
    errors = [(confidence - int(reached)) ** 2 for _, confidence, reached in pairs]
    brier = share(sum(errors, Decimal(0)) / len(errors))
    return Calibration(brier=brier, forecasts=len(pairs), items=[id for id, _, _ in pairs])


async def _facts(reader: Reader, cycle_id: UUID, team_id: UUID | None) -> _Facts:
    cycle = await cycles.row(reader, cycle_id)
    here = {"cycle_id": cycle_id}
    objectives = await reader.rows.select(ObjectiveRow, here)
    if team_id is not None:
        objectives = [one for one in objectives if one.owner_id == team_id]
    mine = {one.objective_id for one in objectives}
    key_results = await reader.rows.select(KeyResultRow, {**here, "removed": False})
    key_results = [one for one in key_results if one.objective_id in mine]
    wanted = {one.key_result_id for one in key_results}
    check_ins = await reader.rows.select(CheckInRow, here)
    teams = await reader.rows.select(TeamRow, {"active": True})
    decided = await in_force(reader)
    rhythm, limits = decided.get("cadence"), decided.get("limits")
    return _Facts(
        cycle=cycle,
        rules=goals.rules_of(cycle),
        rhythm=Rhythm() if rhythm is None else Rhythm.model_validate(rhythm.decision),
        limits=Limits() if limits is None else Limits.model_validate(limits.decision),
        at=reader.at,
        objectives=objectives,
        key_results=key_results,
        check_ins=[one for one in check_ins if one.key_result_id in wanted],
        alignments=await reader.rows.select(AlignmentRow, here),
        reflections=await reader.rows.select(ReflectionRow, here),
        levels={one.team_id: one.level for one in teams if team_id in (None, one.team_id)},
    )


async def health(reader: Reader, cycle_id: UUID, team_id: UUID | None = None) -> HealthReport:
    """A cycle's failure modes, of the whole organisation or of one team. Raises NotFound."""
    facts = await _facts(reader, cycle_id, team_id)
    decided = (await in_force(reader)).get("bottom_up")
    target: Any = BottomUp() if decided is None else BottomUp.model_validate(decided.decision)
    given = no_bottom_up(facts)
    own = [one for one in facts.committed if facts.levels.get(one.owner_id) != Level.COMPANY]
    from_below = sum(one.origin == Origin.BOTTOM_UP for one in own)
    return HealthReport(
        cycle_id=cycle_id,
        team_id=team_id,
        failure_modes=[given if mode is no_bottom_up else mode(facts) for mode in MODES],
        bottom_up_share=None if not own else share(Decimal(from_below) / len(own)),
        bottom_up_target=target.target_share,
        calibration=calibrate(facts),
    )


async def survey(reader: Reader, cycle_id: UUID) -> SurveyView:
    cycle = await cycles.row(reader, cycle_id)
    answers = await reader.rows.select(SurveyAnswerRow, {"cycle_id": cycle_id})
    scored = await reader.rows.select(KeyResultRow, {"cycle_id": cycle_id, "removed": False})
    score = roll_up((one.score, one.weight) for one in scored)
    averages = None
    if len(answers) >= FEWEST_ANSWERS:
        averages = {
            name: round(sum(getattr(one, name) for one in answers) / len(answers), 2)
            for name in ASKED
        }
    agreement = None if averages is None else round(sum(averages.values()) / len(averages), 2)
    told = None if agreement is None else Decimal(str(agreement))
    return SurveyView(
        cycle_id=cycle_id,
        answers=len(answers),
        averages=averages,
        agreement=agreement,
        score=score,
        diagnosis=diagnose(told, score, goals.rules_of(cycle).good),
    )
