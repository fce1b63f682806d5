"""Import: the same commands as everywhere else, item by item, as often as one likes.

What an import makes carries the document's source and key as its external id, so that a second
run finds it and leaves it alone. A refused item is reported, and so is what depends on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import partial
from typing import Literal
from uuid import UUID

from pydantic import BaseModel
from uuid_utils.compat import uuid7

from app.application import directory
from app.application.import_document import (
    CheckInItem,
    DecisionItem,
    ImportDocument,
    KeyResultItem,
    ObjectiveItem,
    OwnerItem,
    PersonItem,
    RetrospectiveItem,
)
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.domain.alignment import AlignObjective
from app.domain.cycle import (
    BeginDrafting,
    BeginReflection,
    BeginScoring,
    Cycle,
    OpenCycle,
    Phase,
    PlanCycle,
    RecordReflection,
)
from app.domain.deployment import MakeDecision
from app.domain.errors import AlreadyExists, Refusal
from app.domain.key_result import (
    CheckInTerms,
    DraftKeyResult,
    KeyResultTerms,
    RecordCheckIn,
    ScoreKeyResult,
)
from app.domain.messages import Command
from app.domain.objective import CommitObjective, DraftObjective, ReportResult, Status
from app.domain.person import RegisterPerson
from app.domain.reset import CloseCycle
from app.domain.team import FormTeam
from app.domain.values import ExternalRef, Owner, OwnerKind, Target
from app.events.envelope import Meta
from app.projections.objectives import ObjectiveRow

Outcome = Literal["created", "unchanged", "differs", "refused"]
Progress = Callable[[str, int, int], None]
"""Told the kind of item, how many are done, and how many there are."""

_PHASES = list(Phase)
_ADVANCE: dict[Phase, Callable[..., Command]] = {
    Phase.DRAFTING: BeginDrafting,
    Phase.ACTIVE: OpenCycle,
    Phase.SCORING: BeginScoring,
    Phase.REFLECTING: BeginReflection,
    Phase.CLOSED: CloseCycle,
}


# The report -------------------------------------------------------------------------------


class ItemProblem(BaseModel):
    """Why an item was refused, or how what is there differs from it."""

    kind: str
    detail: str


class ImportedItem(BaseModel):
    """What became of one item. `unchanged`: it was there already, as the document says it."""

    kind: str
    key: str
    outcome: Outcome
    id: UUID | None = None
    warnings: list[str] = []
    problem: ItemProblem | None = None


class ItemCounts(BaseModel):
    total: int = 0
    created: int = 0
    unchanged: int = 0
    differs: int = 0
    refused: int = 0
    warned: int = 0


class ImportReport(BaseModel):
    """A result per item, and counts per kind. After a dry run nothing of it is recorded."""

    source: str
    dry_run: bool
    cycle_id: UUID | None
    position: int
    counts: dict[str, ItemCounts]
    items: list[ImportedItem]


async def run_import(
    ledgers: Ledgers,
    org_id: UUID,
    document: ImportDocument,
    *,
    meta: Meta,
    dry_run: bool = False,
    progress: Progress | None = None,
    batch: int = 100,
) -> ImportReport:
    """Import a document, `batch` items to a transaction; a dry run is one, rolled back.

    A run that breaks off leaves whole items only, and the next one goes on from there.
    """
    importing = _Import(document)
    steps = list(importing.steps())
    totals = {step.kind: sum(other.kind == step.kind for other in steps) for step in steps}
    size = len(steps) if dry_run else batch
    items: list[ImportedItem] = []
    counts = {kind: ItemCounts() for kind in totals}
    position = 0
    for start in range(0, len(steps), size):
        transaction = partial(_run_steps, steps[start : start + size])
        done, position = await ledgers.run(org_id, meta, transaction, dry=dry_run)
        for item in done:
            items.append(item)
            count = counts[item.kind]
            count.total += 1
            setattr(count, item.outcome, getattr(count, item.outcome) + 1)
            count.warned += bool(item.warnings)
            if progress:
                progress(item.kind, count.total, totals[item.kind])
    return ImportReport(
        source=document.source,
        dry_run=dry_run,
        cycle_id=importing.cycle_id,
        position=position,
        counts=counts,
        items=items,
    )


async def _run_steps(steps: Sequence[_Step], unit: UnitOfWork) -> tuple[list[ImportedItem], int]:
    return [await _run_step(step, unit) for step in steps], unit.position


async def _run_step(step: _Step, unit: UnitOfWork) -> ImportedItem:
    item = ImportedItem(kind=step.kind, key=step.key, outcome="created")
    try:
        done = await step.run(unit)
    except Refusal as refusal:
        item.outcome = "refused"
        item.problem = ItemProblem(kind=type(refusal).__name__.strip("_"), detail=refusal.detail)
        return item
    item.id = done.id
    item.warnings = list(done.warnings)
    if done.differs:
        item.outcome = "differs"
        item.problem = ItemProblem(kind="Differs", detail=done.differs)
    elif not done.is_new:
        item.outcome = "unchanged"
    return item


# The steps --------------------------------------------------------------------------------


class DependsOnRefused(Refusal):
    """Something that the item needs is not in the document, or was refused."""


@dataclass(frozen=True, slots=True)
class _Done:
    id: UUID | None
    is_new: bool
    warnings: tuple[str, ...] = ()
    differs: str | None = None


@dataclass(frozen=True, slots=True)
class _Step:
    """One item of the document, and what its import does."""

    kind: str
    key: str
    run: Callable[[UnitOfWork], Awaitable[_Done]]


class _Import:
    """One method per kind of item, and the ids that the document's keys came to stand for."""

    def __init__(self, document: ImportDocument) -> None:
        self.document = document
        self.owners: dict[str, Owner] = {}
        self.goals: dict[str, Target] = {}
        self.cycle_id: UUID | None = None

    def steps(self) -> Iterator[_Step]:
        """All items, in the order in which they make sense."""
        document = self.document
        for decision in document.decisions:
            question = decision.decision.question
            yield _Step("decisions", question, partial(self.decision, decision))
        for person in document.people:
            yield _Step("people", person.key, partial(self.person, person))
        for owner in _parents_first(document.owners):
            yield _Step("owners", owner.key, partial(self.team, owner))
        cycle = document.cycle
        yield _Step("cycles", cycle.name, self.cycle)
        yield self._phase(Phase.DRAFTING)
        for objective in document.objectives:
            yield _Step("objectives", objective.key, partial(self.objective, objective))
        for objective, key_result in document.key_results():
            run = partial(self.key_result, objective, key_result)
            yield _Step("key_results", key_result.key, run)
        for objective in document.objectives:
            for target in objective.targets:
                run = partial(self.alignment, objective, target)
                yield _Step("alignments", f"{objective.key} -> {target}", run)
        for objective in document.objectives:
            yield _Step("commitments", objective.key, partial(self.commitment, objective))
        yield from self._execution()

    def _execution(self) -> Iterator[_Step]:
        document, goal = self.document, _phase_needed(self.document)
        if goal is Phase.DRAFTING:
            return
        yield self._phase(Phase.ACTIVE)
        for _, key_result in document.key_results():
            for key, check_in in _check_ins(key_result):
                run = partial(self.check_in, key_result.key, key, check_in)
                yield _Step("check_ins", key, run)
        if goal is not Phase.ACTIVE:
            yield self._phase(Phase.SCORING)
        for objective in document.objectives:
            if objective.result_text is not None:
                yield _Step("results", objective.key, partial(self.result, objective))
        for _, key_result in document.key_results():
            if key_result.score is not None:
                yield _Step("scores", key_result.key, partial(self.score, key_result))
        for retrospective in document.retrospectives:
            run = partial(self.reflection, retrospective)
            yield _Step("reflections", retrospective.owner, run)
        yield self._phase(goal)

    def _phase(self, phase: Phase) -> _Step:
        return _Step("phases", phase, partial(self.phase, phase))

    # What an item refers to

    def _external(self, key: str) -> ExternalRef:
        return ExternalRef(source=self.document.source, external_id=key)

    def _owner(self, key: str) -> Owner:
        if key not in self.owners:
            raise DependsOnRefused(f"It needs the owner {key!r}, which is unknown or was refused.")
        return self.owners[key]

    def _goal(self, key: str) -> Target:
        if key not in self.goals:
            raise DependsOnRefused(f"It needs the goal {key!r}, which is unknown or was refused.")
        return self.goals[key]

    def _cycle(self) -> UUID:
        if self.cycle_id is None:
            raise DependsOnRefused("It needs the cycle, which was refused.")
        return self.cycle_id

    # Phase 1 and the organisation

    async def decision(self, item: DecisionItem, unit: UnitOfWork) -> _Done:
        deployment = await unit.state("deployment", unit.org_id)
        question = item.decision.question
        if question in deployment.answered and getattr(deployment, question) == item.decision:
            return _Done(None, is_new=False)
        await unit.execute(
            MakeDecision(
                organization_id=unit.org_id, decision=item.decision, rationale=item.rationale
            )
        )
        return _Done(None, is_new=True)

    async def person(self, item: PersonItem, unit: UnitOfWork) -> _Done:
        id = unit.new_id("person")
        command = RegisterPerson(person_id=id, external=self._external(item.key))
        done = await _execute(unit, command, id)
        if done.is_new:
            await directory.enter(unit.conn, unit.org_id, id, item.name, item.email)
        assert done.id is not None, "a person has an id"
        self.owners[item.key] = Owner(kind=OwnerKind.PERSON, id=done.id)
        return done

    async def team(self, item: OwnerItem, unit: UnitOfWork) -> _Done:
        parent_id = None
        if item.parent is not None:
            parent = self._owner(item.parent)
            if parent.kind is not OwnerKind.TEAM:
                raise DependsOnRefused(f"{item.parent!r} is a person; teams stand below teams.")
            parent_id = parent.id
        id = unit.new_id("team")
        command = FormTeam(
            team_id=id,
            name=item.name,
            level=item.level,
            parent_id=parent_id,
            external=self._external(item.key),
        )
        done = await _execute(unit, command, id, compare=("name", "level", "parent_id"))
        assert done.id is not None, "a team has an id"
        self.owners[item.key] = Owner(kind=OwnerKind.TEAM, id=done.id)
        return done

    # The cycle

    async def cycle(self, unit: UnitOfWork) -> _Done:
        item = self.document.cycle
        id = unit.new_id("cycle")
        command = PlanCycle(
            cycle_id=id,
            name=item.name,
            starts_on=item.starts_on,
            ends_on=item.ends_on,
            external=self._external(item.name),
        )
        done = await _execute(unit, command, id, compare=("starts_on", "ends_on"))
        self.cycle_id = done.id
        return done

    async def phase(self, wanted: Phase, unit: UnitOfWork) -> _Done:
        """Bring the cycle to a phase, through those before it; never back."""
        id = self._cycle()
        moved = False
        while True:
            cycle: Cycle = await unit.state("cycle", id)
            now = _PHASES.index(cycle.phase)
            if now >= _PHASES.index(wanted):
                return _Done(id, is_new=moved)
            await unit.execute(_ADVANCE[_PHASES[now + 1]](cycle_id=id))
            moved = True

    # Goals

    async def objective(self, item: ObjectiveItem, unit: UnitOfWork) -> _Done:
        id = unit.new_id("objective")
        command = DraftObjective(
            objective_id=id,
            cycle_id=self._cycle(),
            owner=self._owner(item.owner),
            terms=item.terms,
            external=self._external(item.key),
        )
        done = await _execute(unit, command, id, compare=("owner", "terms"))
        assert done.id is not None, "an objective has an id"
        self.goals[item.key] = Target(kind="objective", id=done.id)
        return done

    async def key_result(
        self, objective: ObjectiveItem, item: KeyResultItem, unit: UnitOfWork
    ) -> _Done:
        id = unit.new_id("key_result")
        # An owner is stated only where it differs from the objective's.
        owner = self._owner(item.owner) if item.owner and item.owner != objective.owner else None
        command = DraftKeyResult(
            key_result_id=id,
            objective_id=self._goal(objective.key).id,
            terms=KeyResultTerms(
                title=item.title, measure=item.measure, weight=item.weight, owner=owner
            ),
            external=self._external(item.key),
        )
        done = await _execute(unit, command, id, compare=("terms",))
        assert done.id is not None, "a key result has an id"
        self.goals[item.key] = Target(kind="key_result", id=done.id)
        return done

    async def alignment(self, item: ObjectiveItem, target: str, unit: UnitOfWork) -> _Done:
        id = unit.new_id("alignment")
        command = AlignObjective(
            alignment_id=id,
            objective_id=self._goal(item.key).id,
            target=self._goal(target),
            rationale=item.rationale or f"Stated by {self.document.source}.",
            why_now=item.why_now,
        )
        return await _execute(unit, command, id)

    async def commitment(self, item: ObjectiveItem, unit: UnitOfWork) -> _Done:
        id = self._goal(item.key).id
        objective = await unit.state("objective", id)
        if objective.status not in (Status.DRAFT, Status.PROPOSED):
            return _Done(id, is_new=False)
        return await _execute(unit, CommitObjective(objective_id=id), id)

    # Check-ins, results, scores, reflections

    async def check_in(
        self, key_result: str, key: str, item: CheckInItem, unit: UnitOfWork
    ) -> _Done:
        id = uuid7()
        cycle: Cycle = await unit.state("cycle", self._cycle())
        last_moment = datetime.combine(cycle.ends_on, time.max, UTC)
        command = RecordCheckIn(
            key_result_id=self._goal(key_result).id,
            check_in_id=id,
            terms=CheckInTerms(**{name: getattr(item, name) for name in CheckInTerms.model_fields}),
            occurred_at=item.occurred_at or max(min(unit.at, last_moment), cycle.began_at),
            external=self._external(key),
        )
        return await _execute(unit, command, id)

    async def result(self, item: ObjectiveItem, unit: UnitOfWork) -> _Done:
        id = self._goal(item.key).id
        assert item.result_text is not None, "only objectives with a result come here"
        row = await (await unit.rows()).get(ObjectiveRow, id)
        if row is not None and row.result_text is not None:
            said = None if row.result_text == item.result_text else "result_text differs."
            return _Done(id, is_new=False, differs=said)
        return await _execute(unit, ReportResult(objective_id=id, text=item.result_text), id)

    async def score(self, item: KeyResultItem, unit: UnitOfWork) -> _Done:
        id = self._goal(item.key).id
        key_result = await unit.state("key_result", id)
        if key_result.score is not None:
            same = key_result.score == item.score
            said = None if same else f"It was scored {key_result.score}."
            return _Done(id, is_new=False, differs=said)
        command = ScoreKeyResult(
            key_result_id=id,
            score=item.score,
            comment=item.score_comment or item.result_text or "Imported score.",
            adjustment_reason=f"As reported by {self.document.source}.",
        )
        return await _execute(unit, command, id)

    async def reflection(self, item: RetrospectiveItem, unit: UnitOfWork) -> _Done:
        id = uuid7()
        owner = self._owner(item.owner)
        command = RecordReflection(
            cycle_id=self._cycle(),
            reflection_id=id,
            team_id=owner.id if owner.kind is OwnerKind.TEAM else None,
            worked=item.good,
            did_not_work=item.bad,
            change=item.try_,
            external=self._external(item.owner),
        )
        return await _execute(unit, command, id)


async def _execute(
    unit: UnitOfWork, command: Command, id: UUID, *, compare: tuple[str, ...] = ()
) -> _Done:
    """Run a command; where its thing is there already, compare these fields with what is kept."""
    try:
        events = await unit.execute(command)
    except AlreadyExists as known:
        state = await unit.state(command.category, known.existing) if compare else None
        wrong = [name for name in compare if getattr(state, name) != getattr(command, name)]
        differs = f"It is there with another {', '.join(wrong)}." if wrong else None
        return _Done(known.existing, is_new=False, differs=differs)
    warnings = tuple(
        finding.message for one in events for finding in getattr(one.event, "warnings", ())
    )
    return _Done(id, is_new=True, warnings=warnings)


def _parents_first(owners: Sequence[OwnerItem]) -> list[OwnerItem]:
    """Owners in an order in which each comes after its parent; unknown parents do not matter."""
    waiting = {owner.key: owner for owner in owners}
    ordered: list[OwnerItem] = []

    def place(owner: OwnerItem) -> None:
        way = [owner]
        while way[-1].parent in waiting and way[-1].parent is not None:
            way.append(waiting[way[-1].parent])
        for one in reversed(way):
            ordered.append(waiting.pop(one.key))

    for owner in owners:
        if owner.key in waiting:
            place(owner)
    return ordered


def _phase_needed(document: ImportDocument) -> Phase:
    """The phase that the document asks for, or else the first that takes all of its data."""
    if document.cycle.phase is not None:
        return max(document.cycle.phase, Phase.DRAFTING, key=_PHASES.index)
    of_key_results = [key_result for _, key_result in document.key_results()]
    if document.retrospectives or any(k.score is not None for k in of_key_results):
        return Phase.SCORING
    said = any(k.check_ins or k.result_text for k in of_key_results)
    said = said or any(objective.result_text for objective in document.objectives)
    return Phase.ACTIVE if said else Phase.DRAFTING


def _check_ins(item: KeyResultItem) -> Iterator[tuple[str, CheckInItem]]:
    """The check-ins of a key result, each with a key of its own; a result text is the last."""
    for number, check_in in enumerate(item.check_ins, 1):
        yield check_in.key or f"{item.key}/check-in/{number}", check_in
    if item.result_text is not None:
        yield f"{item.key}/result", CheckInItem(note=item.result_text)
