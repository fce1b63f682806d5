"""The ways in which OKRs are known to fail, and how far claims came true, counted by cycle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from app.application.ledgers import Reader
from app.application.preparation import prepared
from app.domain.calibration import Claim, claims, stated
from app.domain.cycle import Phase
from app.domain.deployment import AnyScoring, BottomUp, Limits, Rhythm
from app.domain.measures import Told, measure_of
from app.domain.objective import Outcome
from app.domain.readiness import CoachedTeam, Preparation, without_coach
from app.domain.values import Health, Level, Origin, OwnerKind
from app.projections.alignments import AlignmentRow
from app.projections.check_ins import CheckInRow
from app.projections.cycles import CycleRow
from app.projections.decisions import DecisionRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.reflections import ReflectionRow
from app.projections.teams import TeamRow
from app.queries import check_ins, goals
from app.queries.discretion import unseen_owners

R = TypeVar("R", AlignmentRow, CheckInRow, KeyResultRow, ObjectiveRow, ReflectionRow)


@dataclass(frozen=True, slots=True)
class Decided:
    """The decisions that a cycle is judged by: those in force when its scoring began, or now."""

    rhythm: Rhythm
    limits: Limits
    bottom_up: BottomUp


@dataclass(frozen=True, slots=True)
class Facts:
    """The rows of a cycle, or of one team's part in it.

    Scores of `hidden` objectives are not for the caller to see, and count nowhere.
    """

    cycle: CycleRow
    rules: AnyScoring
    decided: Decided
    at: datetime
    objectives: Sequence[ObjectiveRow]
    key_results: Sequence[KeyResultRow]
    check_ins: Sequence[CheckInRow]
    alignments: Sequence[AlignmentRow]
    reflections: Sequence[ReflectionRow]
    levels: dict[UUID, str]
    company: Sequence[UUID]
    hidden: frozenset[UUID]

    @property
    def committed(self) -> list[ObjectiveRow]:
        """Objectives that were meant: committed once, whatever became of them."""
        return [one for one in self.objectives if one.committed_at is not None]

    @property
    def below(self) -> list[ObjectiveRow]:
        """Committed objectives below the company's."""
        return [one for one in self.committed if self.levels.get(one.owner_id) != Level.COMPANY]

    @property
    def scored(self) -> list[KeyResultRow]:
        return [
            one
            for one in self.key_results
            if one.score is not None and one.objective_id not in self.hidden
        ]

    @property
    def withheld(self) -> int:
        """How many key results have a score that is left out."""
        there = [one for one in self.key_results if one.score is not None]
        return len(there) - len(self.scored)

    @property
    def is_over(self) -> bool:
        return self.cycle.phase in (Phase.REFLECTING, Phase.CLOSED)


@dataclass(frozen=True, slots=True)
class Found:
    """What failed, and out of how many."""

    items: Sequence[UUID]
    of: int


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to fail: what it means, and how it is found in a cycle."""

    id: str
    definition: str
    find: Callable[[Facts], Found]


def _set_and_forget(facts: Facts) -> Found:
    """Silence is counted up to the moment shown, or to the cycle's end."""
    two_rhythms = timedelta(days=2 * facts.decided.rhythm.check_in_every_days)
    end = min(facts.at, datetime.combine(facts.cycle.ends_on, time.max, UTC))
    committed = {one.objective_id: one for one in facts.committed}
    spoken: dict[UUID, datetime] = {}
    for check_in in facts.check_ins:
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
    return Found(silent, len(watched))


def _too_many(facts: Facts) -> Found:
    held: dict[UUID, int] = defaultdict(int)
    for one in facts.objectives:
        if one.outcome != Outcome.ABANDONED:
            held[one.owner_id] += 1
    limit = facts.decided.limits.max_objectives
    return Found([owner for owner, count in held.items() if count > limit], len(held))


def _unaligned(facts: Facts) -> Found:
    aligned = {one.objective_id for one in facts.alignments if not one.withdrawn}
    below = facts.below
    alone = [one.objective_id for one in below if one.objective_id not in aligned]
    return Found(alone, len(below))


def _top_down(facts: Facts) -> Found:
    below = facts.below
    given = [one.objective_id for one in below if one.origin == Origin.TOP_DOWN]
    return Found(given, len(below))


def _no_reflection(facts: Facts) -> Found:
    owners = {
        one.owner_id
        for one in facts.committed
        if one.owner_kind == OwnerKind.TEAM and facts.is_over
    }
    reflected = {one.team_id for one in facts.reflections}
    return Found(sorted(owners - reflected), len(owners))


def _no_leadership_okrs(facts: Facts) -> Found:
    with_goals = {one.owner_id for one in facts.committed}
    without = [id for id in facts.company if id not in with_goals]
    return Found(without, len(facts.company))


def _always_full(facts: Facts) -> Found:
    full = [one.key_result_id for one in facts.scored if one.score == 1]
    return Found(full, len(facts.scored))


def _said_on_track(facts: Facts) -> Found:
    said = [
        (one.key_result_id, trend)
        for one in facts.key_results
        if one.health == Health.ON_TRACK and (trend := goals.trend(one, facts.cycle))
    ]
    return Found([id for id, trend in said if trend == "off_track"], len(said))


MODES = (
    Mode(
        "set_and_forget",
        "Committed key results without a check-in for two rhythms.",
        _set_and_forget,
    ),
    Mode("too_many", "Owners with more objectives than decided.", _too_many),
    Mode(
        "unaligned",
        "Committed objectives below the company's that contribute to nothing.",
        _unaligned,
    ),
    Mode(
        "top_down",
        "Committed objectives below the company's that were given from above.",
        _top_down,
    ),
    Mode(
        "no_reflection",
        "Teams with committed objectives that did not look back, once the cycle did.",
        _no_reflection,
    ),
    Mode(
        "no_leadership_okrs",
        "Company-level teams without a committed objective of their own.",
        _no_leadership_okrs,
    ),
    Mode("always_full", "Scored key results with a full score.", _always_full),
    Mode(
        "said_on_track",
        "Key results with a forecast, said to be on track, that trend off track.",
        _said_on_track,
    ),
)

NO_COACH = "no_coach"
NO_COACH_DEFINITION = (
    "Teams below the company without a coach whose certificate holds, at the moment shown."
)


async def no_coach(reader: Reader, team_id: UUID | None) -> Found:
    """Coaches cover teams, not cycles: this is of the moment shown."""
    facts: Preparation = await prepared(reader.rows)

    def mine(teams: Iterable[CoachedTeam]) -> list[UUID]:
        return [team.team_id for team in teams if team_id in (None, team.team_id)]

    return Found(mine(without_coach(facts, reader.at)), len(mine(facts.teams)))


def share_from_below(facts: Facts) -> Found:
    """Committed objectives below the company's that came from the teams themselves."""
    below = facts.below
    own = [one.objective_id for one in below if one.origin == Origin.BOTTOM_UP]
    return Found(own, len(below))


# Calibration ------------------------------------------------------------------------------


def confidences(facts: Facts) -> list[tuple[UUID, Decimal, bool]]:
    """Of each scored key result the confidence that stood last, and whether its score is good."""
    found = []
    for one in facts.scored:
        confidence = stated(facts.rules, one.confidence)
        if confidence is not None and one.score is not None:
            found.append((one.key_result_id, confidence, one.score >= facts.rules.good))
    return found


def claimed(facts: Facts) -> list[tuple[UUID, Claim]]:
    """What the cycle's scoring system claimed of each scored key result, and what came of it."""
    told: dict[UUID, list[Told]] = defaultdict(list)
    for check_in in sorted(facts.check_ins, key=lambda one: one.occurred_at):
        reading = check_ins.check_in_reading(check_in)
        if reading is not None:
            told[check_in.key_result_id].append(Told(reading, check_in.occurred_at))
    return [
        (one.key_result_id, claim)
        for one in facts.scored
        for claim in _claims_of(facts.rules, one, told[one.key_result_id])
    ]


def _claims_of(rules: AnyScoring, row: KeyResultRow, told: Sequence[Told]) -> list[Claim]:
    measure, computed = row.measure, row.computed_score
    if row.committed_measure is not None:
        measure, computed = row.committed_measure, row.score_as_committed
    assert computed is not None, "whatever was scored has a computed score"
    return claims(rules, measure_of.validate_python(measure), told, computed)


# Gathering --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Decisions:
    made: Sequence[DecisionRow]

    def at(self, moment: datetime) -> Decided:
        answers: dict[str, Any] = {
            row.question: row.decision for row in self.made if row.decided_at <= moment
        }
        return Decided(
            Rhythm.model_validate(answers.get("cadence", {})),
            Limits.model_validate(answers.get("limits", {})),
            BottomUp.model_validate(answers.get("bottom_up", {})),
        )


@dataclass(slots=True)
class _ByCycle:
    """Rows of several cycles, taken apart."""

    reader: Reader
    ids: list[UUID]
    rows: dict[type[Any], dict[UUID, list[Any]]] = field(default_factory=dict)

    async def load(self, table: type[R], **where: Any) -> None:
        found: dict[UUID, list[Any]] = defaultdict(list)
        for row in await self.reader.rows.select(table, {"cycle_id": self.ids, **where}):
            found[row.cycle_id].append(row)
        self.rows[table] = found

    def of(self, table: type[R], cycle_id: UUID) -> list[R]:
        return self.rows[table].get(cycle_id, [])


async def gather(
    reader: Reader, cycle_rows: Sequence[CycleRow], team_id: UUID | None
) -> list[Facts]:
    """The facts of cycles, in as many round trips for any number of them."""
    here = _ByCycle(reader, [row.cycle_id for row in cycle_rows])
    await here.load(ObjectiveRow)
    await here.load(KeyResultRow, removed=False)
    await here.load(CheckInRow, retracted=False)
    await here.load(AlignmentRow)
    await here.load(ReflectionRow)
    teams = await reader.rows.select(TeamRow)
    decisions = _Decisions(await reader.rows.select(DecisionRow))
    levels = {one.team_id: one.level for one in teams}
    company = [
        one.team_id
        for one in teams
        if one.active and one.level == Level.COMPANY and team_id in (None, one.team_id)
    ]
    whole = [row for rows in here.rows[ObjectiveRow].values() for row in rows]
    unseen = await unseen_owners(reader, whole)
    found = []
    for cycle in cycle_rows:
        id = cycle.cycle_id
        objectives = here.of(ObjectiveRow, id)
        if team_id is not None:
            objectives = [one for one in objectives if one.owner_id == team_id]
        mine = {one.objective_id for one in objectives}
        key_results = [one for one in here.of(KeyResultRow, id) if one.objective_id in mine]
        wanted = {one.key_result_id for one in key_results}
        found.append(
            Facts(
                cycle=cycle,
                rules=goals.rules_of(cycle),
                decided=decisions.at(cycle.scoring_begun_at or reader.at),
                at=reader.at,
                objectives=objectives,
                key_results=key_results,
                check_ins=[o for o in here.of(CheckInRow, id) if o.key_result_id in wanted],
                alignments=here.of(AlignmentRow, id),
                reflections=here.of(ReflectionRow, id),
                levels=levels,
                company=company,
                hidden=frozenset(o.objective_id for o in objectives if goals.is_hidden(o, unseen)),
            )
        )
    return found
