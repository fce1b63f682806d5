"""Objectives and key results with their figures."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.cycle import Phase
from app.domain.deployment import AnyScoring, MeasureWhatMatters, Rhythm, scoring_of
from app.domain.errors import NotFound
from app.domain.key_result import Cause, Choice
from app.domain.measures import RUNGS, AnyMeasure, Measure, Rung, measure_of
from app.domain.objective import Outcome, Status
from app.domain.scoring import Trend, check_in_due, expected, roll_up, shown_health, trending
from app.domain.values import Health, Level, Number, Origin, OwnerKind, made
from app.projections.alignments import AlignmentRow
from app.projections.cycles import CycleRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.teams import TeamRow
from app.queries.alignments import AlignmentView, alignment_view
from app.queries.discretion import WITHHELD, unseen_owners
from app.queries.programme import in_force
from app.queries.views import Figure, OwnerView, Ref, Resource, View, owners, settled

# An objective shows the worst health among its key results. Silence is never green.
_WORST_FIRST = ("off_track", "at_risk", "outdated", "pending", "on_track")


class KeyResultView(Resource):
    """`progress` looks back, `confidence` ahead, and `health` is derived: outdated when silent.

    `outdated` stands for a check-in that is overdue past its grace; it overrides what the last
    one said. `value` is a number for a metric, true or false for a milestone.
    """

    cycle_id: UUID
    objective_id: UUID
    title: str
    measure: Measure
    weight: Number
    owner: OwnerView | None = Field(description="Where it differs from the objective's.")
    tracked_by: str | None = Field(description="The source that its integration names.")
    removed: bool
    value: bool | Rung | Number | None
    progress: Figure
    confidence: Figure
    health: str = Field(examples=["on_track"])
    reported_health: Health | None
    last_check_in_at: datetime | None
    check_in_due_at: datetime | None
    forecast: Figure = Field(
        description="Progress at the end of the cycle: a metric goes on at its average pace, a "
        "threshold is held as it was; a milestone or a baseline is told once it is done."
    )
    trending: Trend | None = Field(
        description="Whether the forecast would be scored as good, by the scoring decision of the "
        "cycle. It is computed, whatever a person said; null where there is no forecast."
    )
    computed_score: Figure
    score: Figure
    score_formula: str | None
    score_comment: str | None
    adjustment_reason: str | None
    withheld: str | None = Field(description="Why its scores are not shown to you; else null.")
    choice: Choice | None
    learning: str | None
    cause: Cause | None
    previous_id: UUID | None
    successor_id: UUID | None


class ObjectiveView(Resource):
    """Its figures are roll-ups: weighted means over the key results that have a figure."""

    cycle_id: UUID
    owner: OwnerView
    title: str
    why: str | None
    why_now: str | None
    origin: Origin
    status: Status
    outcome: Outcome | None
    outcome_reason: str | None
    result_text: str | None
    previous_id: UUID | None
    drafted_at: datetime
    drafted_by: str
    progress: Figure
    confidence: Figure
    score: Figure
    health: str = Field(examples=["at_risk"])
    key_results: list[KeyResultView]
    contributes_to: list[AlignmentView]


class ScoreView(View):
    """Both scores are kept. `score` is null until somebody scored it; `version` is the key
    result's.
    """

    key_result_id: UUID
    version: int = Field(ge=1)
    computed_score: Figure
    score_as_committed: Figure = Field(
        description="What the terms at commitment give, where they were amended since."
    )
    score: Figure
    formula: str | None
    comment: str | None
    adjustment_reason: str | None
    withheld: str | None = Field(description="Why it is not shown to you; else null.")


@dataclass(frozen=True, slots=True)
class Course:
    """What of a cycle the figures of every key result in it are judged by, made once."""

    opened_at: datetime | None
    is_active: bool
    rules: AnyScoring
    began: datetime | None
    ends: datetime

    @classmethod
    def of(cls, cycle: CycleRow) -> Course:
        began, opened_at = None, cycle.opened_at
        if opened_at is not None:
            began = min(datetime.combine(cycle.starts_on, time.min, UTC), opened_at)
        ends = datetime.combine(cycle.ends_on, time.max, UTC)
        return cls(opened_at, cycle.phase == Phase.ACTIVE, rules_of(cycle), began, ends)

    def forecast(self, row: KeyResultRow, measure: AnyMeasure) -> Decimal | None:
        if not self.is_active or row.score is not None or self.began is None:
            return None
        return expected(measure, row.progress, row.value_at, self.began, self.ends)


@dataclass(frozen=True, slots=True)
class Terms:
    """What figures are judged by: the courses of their cycles, and the rhythm in force."""

    courses: dict[UUID, Course]
    rhythm: Rhythm

    @classmethod
    async def of(cls, reader: Reader, cycle_ids: Sequence[UUID]) -> Terms:
        cycles = await reader.rows.select(CycleRow, {"cycle_id": cycle_ids})
        decided = (await in_force(reader)).get("cadence")
        rhythm = Rhythm() if decided is None else Rhythm.model_validate(decided.decision)
        return cls({row.cycle_id: Course.of(row) for row in cycles}, rhythm)


@dataclass(frozen=True, slots=True)
class Frame:
    """What goals are shown by: terms, the moment, and whose scores are not for who asks."""

    terms: Terms
    at: datetime
    unseen: frozenset[UUID]


def reading(value: Decimal | None, measure: Mapping[str, Any]) -> bool | Rung | Decimal | None:
    """A reading as its measure takes it, from the number that is kept."""
    if value is None or measure["kind"] != "milestone":
        return value
    return RUNGS[int(value)] if measure.get("levels") else bool(value)


def rules_of(cycle: CycleRow) -> AnyScoring:
    """The scoring decision that a cycle was opened under; before, the default."""
    if cycle.scoring is None:
        return MeasureWhatMatters()
    return scoring_of.validate_python(cycle.scoring)


def _measure(row: KeyResultRow) -> AnyMeasure:
    return _measure_told(json.dumps(row.measure))


@lru_cache(maxsize=20_000)
def _measure_told(document: str) -> AnyMeasure:
    """Measures are alike more often than not, and are read far more often than made."""
    return measure_of.validate_json(document)


def _outcome(row: KeyResultRow, objective: ObjectiveRow, rules: AnyScoring) -> str | None:
    """A key result's end, once it has one."""
    if row.removed:
        return "removed"
    if objective.outcome == Outcome.ABANDONED:
        return Outcome.ABANDONED
    if row.score is None:
        return None
    return Outcome.ACHIEVED if row.score >= rules.good else Outcome.NOT_ACHIEVED


def forecast(row: KeyResultRow, cycle: CycleRow) -> Decimal | None:
    """Progress at the end of the cycle; None where it is not running, or nothing can be told."""
    return Course.of(cycle).forecast(row, _measure(row))


def trend(row: KeyResultRow, cycle: CycleRow) -> Trend | None:
    """Whether the forecast would be scored as good."""
    told = forecast(row, cycle)
    if told is None:
        return None
    return trending(rules_of(cycle), _measure(row), told)


def _key_result(
    row: KeyResultRow, objective: ObjectiveRow, frame: Frame, known: dict[Ref, OwnerView]
) -> KeyResultView:
    course = frame.terms.courses[row.cycle_id]
    measure = _measure(row)
    hidden = is_hidden(objective, frame.unseen)
    due = None
    committed = objective.status == Status.COMMITTED and not row.removed
    if committed and course.is_active:
        # The rhythm begins when all that it is about is there.
        began = (course.opened_at, objective.committed_at, row.drafted_at)
        rhythm = frame.terms.rhythm
        due = check_in_due(
            row.last_check_in_at,
            max(moment for moment in began if moment is not None),
            rhythm.check_in_every_days,
            rhythm.check_in_grace_days,
        )
    reported = None if row.health is None else Health(row.health)
    owner = None
    if row.owner_kind is not None and row.owner_id is not None:
        owner = known[row.owner_kind, row.owner_id]
    outcome, expects = _outcome(row, objective, course.rules), course.forecast(row, measure)
    fields = {
        "id": row.key_result_id,
        "version": row.version,
        "cycle_id": row.cycle_id,
        "objective_id": row.objective_id,
        "title": row.title,
        "measure": measure,
        "weight": row.weight,
        "owner": owner,
        "tracked_by": row.tracked_by,
        "removed": row.removed,
        # A reading of another kind, from before an amendment, tells nothing of this one.
        "value": None if row.progress is None else reading(row.value, row.measure),
        "progress": row.progress,
        "confidence": row.confidence,
        "health": shown_health(outcome=outcome, reported=reported, due=due, now=frame.at),
        "reported_health": reported,
        "last_check_in_at": row.last_check_in_at,
        "check_in_due_at": due,
        "forecast": expects,
        "trending": trending(course.rules, measure, expects),
        "computed_score": None if hidden else row.computed_score,
        "score": None if hidden else row.score,
        "score_formula": row.score_formula,
        "score_comment": None if hidden else row.score_comment,
        "adjustment_reason": None if hidden else row.adjustment_reason,
        "withheld": WITHHELD if hidden else None,
        "choice": None if row.choice is None else Choice(row.choice),
        "learning": row.learning,
        "cause": None if row.cause is None else Cause(row.cause),
        "previous_id": row.previous_id,
        "successor_id": row.successor_id,
    }
    return made(KeyResultView, **fields)


def worst(healths: Sequence[str]) -> str:
    """What is shown of several; pending of none."""
    return next((health for health in _WORST_FIRST if health in healths), "pending")


def _objective(
    row: ObjectiveRow,
    key_rows: Sequence[KeyResultRow],
    alignments: Sequence[AlignmentRow],
    frame: Frame,
    known: dict[Ref, OwnerView],
) -> ObjectiveView:
    parts = [_key_result(key_row, row, frame, known) for key_row in key_rows]
    live = [part for part in parts if not part.removed]
    closed = row.outcome
    fields = {
        "id": row.objective_id,
        "version": row.version,
        "cycle_id": row.cycle_id,
        "owner": known[row.owner_kind, row.owner_id],
        "title": row.title,
        "why": row.why,
        "why_now": row.why_now,
        "origin": Origin(row.origin),
        "status": Status(row.status),
        "outcome": None if closed is None else Outcome(closed),
        "outcome_reason": row.outcome_reason,
        "result_text": row.result_text,
        "previous_id": row.previous_id,
        "drafted_at": row.drafted_at,
        "drafted_by": row.drafted_by,
        "progress": roll_up((part.progress, part.weight) for part in live),
        "confidence": roll_up((part.confidence, part.weight) for part in live),
        "score": roll_up((part.score, part.weight) for part in live),
        "health": closed or _settled(live) or worst([part.health for part in live]),
        "key_results": parts,
        "contributes_to": [alignment_view(row) for row in alignments],
    }
    return made(ObjectiveView, **fields)


def _settled(live: Sequence[KeyResultView]) -> str | None:
    """Once every key result has its end, so has the objective: achieved if all are."""
    ends = {part.health for part in live}
    if not ends or not ends <= {Outcome.ACHIEVED, Outcome.NOT_ACHIEVED}:
        return None
    return Outcome.NOT_ACHIEVED if Outcome.NOT_ACHIEVED in ends else Outcome.ACHIEVED


async def _frame(reader: Reader, cycle_ids: Sequence[UUID], rows: Sequence[ObjectiveRow]) -> Frame:
    terms = await Terms.of(reader, cycle_ids)
    return Frame(terms, reader.at, await unseen_owners(reader, rows))


def is_hidden(objective: ObjectiveRow, unseen: frozenset[UUID]) -> bool:
    """Whether an objective is the own one of somebody whose scores are not to be seen."""
    return objective.owner_kind == OwnerKind.PERSON and objective.owner_id in unseen


@settled
async def objectives(reader: Reader, rows: Sequence[ObjectiveRow]) -> list[ObjectiveView]:
    """Objectives with all that is shown inside them, in six round trips for any number."""
    if not rows:
        return []
    here = {"objective_id": [row.objective_id for row in rows]}
    key_rows = await reader.rows.select(KeyResultRow, here)
    links = await reader.rows.select(AlignmentRow, {**here, "withdrawn": False})
    frame = await _frame(reader, list({row.cycle_id for row in rows}), rows)
    known = await owners(reader, owners_of(rows, key_rows))
    views = list(shown(rows, key_rows, links, frame, known))
    _until_silence(reader, (part for view in views for part in view.key_results))
    return views


def owners_of(rows: Iterable[ObjectiveRow], key_rows: Iterable[KeyResultRow]) -> set[Ref]:
    named: set[Ref] = {(row.owner_kind, row.owner_id) for row in rows}
    return named | {(k.owner_kind, k.owner_id) for k in key_rows if k.owner_kind and k.owner_id}


def shown(
    rows: Sequence[ObjectiveRow],
    key_rows: Iterable[KeyResultRow],
    links: Iterable[AlignmentRow],
    frame: Frame,
    known: dict[Ref, OwnerView],
) -> Iterator[ObjectiveView]:
    """Objectives with their key results and alignments, and `known` owners."""
    keys_of: dict[UUID, list[KeyResultRow]] = defaultdict(list)
    for key_row in key_rows:
        keys_of[key_row.objective_id].append(key_row)
    links_of: dict[UUID, list[AlignmentRow]] = defaultdict(list)
    for link in links:
        links_of[link.objective_id].append(link)
    for row in rows:
        yield _objective(row, keys_of[row.objective_id], links_of[row.objective_id], frame, known)


def _until_silence(reader: Reader, parts: Iterable[KeyResultView]) -> None:
    """Until one of their check-ins is due, time alone changes nothing of what is shown."""
    for part in parts:
        if part.check_in_due_at is not None and part.check_in_due_at >= reader.at:
            reader.horizon.lower(part.check_in_due_at)


async def owned_at(
    reader: Reader, level: Level | None, kind: OwnerKind | None, id: UUID | None
) -> dict[str, Any]:
    """What the columns of an owner equal, where it is of this level, kind and id."""
    stated: dict[str, Any] = {} if id is None else {"owner_id": id}
    if kind is not None:
        stated["owner_kind"] = kind
    if level is None:
        return stated
    wanted = OwnerKind.PERSON if level == Level.INDIVIDUAL else OwnerKind.TEAM
    found: list[UUID] = []
    if wanted == OwnerKind.TEAM:
        teams = await reader.rows.select(TeamRow, {"level": level})
        found = [team.team_id for team in teams if id in (None, team.team_id)]
        stated["owner_id"] = found
    # An owner of another kind is of no such level.
    return {**stated, "owner_kind": wanted if kind in (None, wanted) else []}


async def key_results_owned(
    reader: Reader, rows: list[KeyResultRow], owned: Mapping[str, Any], status: Status | None
) -> list[KeyResultRow]:
    """Those that were given to such an owner, or else are of such an owner's objective."""
    parents = await parents_of(reader, rows)

    def fits(row: KeyResultRow) -> bool:
        objective = parents[row.objective_id]
        kind, id = answerable(row, objective)
        return (
            status in (None, objective.status)
            and _equals(kind, owned.get("owner_kind"))
            and _equals(id, owned.get("owner_id"))
        )

    return [row for row in rows if fits(row)]


def _equals(value: Any, wanted: Any) -> bool:
    return wanted is None or (value in wanted if isinstance(wanted, list) else value == wanted)


def answerable(row: KeyResultRow, objective: ObjectiveRow) -> Ref:
    """Whoever a key result was given to, or else the owner of its objective."""
    if row.owner_kind is not None and row.owner_id is not None:
        return row.owner_kind, row.owner_id
    return objective.owner_kind, objective.owner_id


async def parents_of(reader: Reader, rows: Sequence[KeyResultRow]) -> dict[UUID, ObjectiveRow]:
    """The objectives of key results."""
    ids = list({row.objective_id for row in rows})
    found = await reader.rows.select(ObjectiveRow, {"objective_id": ids}) if ids else []
    return {row.objective_id: row for row in found}


@settled
async def objective(reader: Reader, objective_id: UUID) -> ObjectiveView:
    row = await reader.rows.get(ObjectiveRow, objective_id)
    if row is None:
        raise NotFound("objective", objective_id)
    return (await objectives(reader, [row]))[0]


@settled
async def key_results(reader: Reader, rows: Sequence[KeyResultRow]) -> list[KeyResultView]:
    if not rows:
        return []
    objective_of = await parents_of(reader, rows)
    parents = list(objective_of.values())
    frame = await _frame(reader, list({row.cycle_id for row in rows}), parents)
    named = {(k.owner_kind, k.owner_id) for k in rows if k.owner_kind and k.owner_id}
    known = await owners(reader, named)
    views = [_key_result(row, objective_of[row.objective_id], frame, known) for row in rows]
    _until_silence(reader, views)
    return views


async def key_result_row(reader: Reader, key_result_id: UUID) -> KeyResultRow:
    """Raises NotFound."""
    row = await reader.rows.get(KeyResultRow, key_result_id)
    if row is None:
        raise NotFound("key result", key_result_id)
    return row


@settled
async def key_result(reader: Reader, key_result_id: UUID) -> KeyResultView:
    row = await key_result_row(reader, key_result_id)
    return (await key_results(reader, [row]))[0]


@settled
async def score(reader: Reader, key_result_id: UUID) -> ScoreView:
    row = await key_result_row(reader, key_result_id)
    hidden = await scores_hidden(reader, row.objective_id)
    return ScoreView(
        key_result_id=row.key_result_id,
        version=row.version,
        computed_score=None if hidden else row.computed_score,
        score_as_committed=None if hidden else row.score_as_committed,
        score=None if hidden else row.score,
        formula=row.score_formula,
        comment=None if hidden else row.score_comment,
        adjustment_reason=None if hidden else row.adjustment_reason,
        withheld=WITHHELD if hidden else None,
    )


async def scores_hidden(reader: Reader, objective_id: UUID) -> bool:
    """Whether the caller may not see the scores of an objective's key results."""
    objective = await reader.rows.get(ObjectiveRow, objective_id)
    return objective is not None and is_hidden(objective, await unseen_owners(reader, [objective]))
