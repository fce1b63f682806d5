"""The items of an import document, each as the commands that make it.

What an import makes carries the document's source and key as its external id, so that a second
run finds it and leaves it alone. What is refused is reported, and so is what depends on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any, Literal
from uuid import UUID

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
from app.domain.key_result import CheckInTerms, KeyResultTerms
from app.domain.key_result_commands import DraftKeyResult, RecordCheckIn, ScoreKeyResult
from app.domain.messages import Command
from app.domain.objective import CommitObjective, DraftObjective, ReportResult, Status
from app.domain.organization import FoundOrganization
from app.domain.person import RegisterPerson
from app.domain.readiness import Override
from app.domain.reset import CloseCycle
from app.domain.team import AddMember, FormTeam
from app.domain.values import ExternalRef, Owner, OwnerKind, Target
from app.events.tables import DirectoryRow
from app.projections.alignments import AlignmentRow
from app.projections.changes import Row
from app.projections.check_ins import CheckInRow
from app.projections.objectives import ObjectiveRow
from app.projections.reflections import ReflectionRow

FOUNDED = "import"
"""Whose key the document's source is, for the organisation founded by its import."""

_PHASES: list[Phase] = [phase for phase in Phase if phase is not Phase.CANCELLED]
_ADVANCE: dict[Phase, Callable[..., Command]] = {
    Phase.DRAFTING: BeginDrafting,
    Phase.ACTIVE: OpenCycle,
    Phase.SCORING: BeginScoring,
    Phase.REFLECTING: BeginReflection,
    Phase.CLOSED: CloseCycle,
}


class BadReference(Refusal):
    """Another item is referred to that cannot be used; `pointer` says by which field."""

    name = "wrong-reference"


class UnknownReference(BadReference):
    """The document has no such item."""

    name = "unknown-reference"


class DependsOnRefused(BadReference):
    """The item is in the document, but it was refused."""

    name = "depends-on-refused"


class KeyInUse(Refusal):
    """The key names something of another cycle already."""

    name = "key-in-use"


@dataclass(frozen=True, slots=True)
class Done:
    id: UUID | None
    is_new: bool
    warnings: tuple[str, ...] = ()
    differs: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One item of the document, where it stands, and what its import does."""

    kind: str
    key: str
    pointer: str
    run: Callable[[UnitOfWork], Awaitable[Done]]


class ImportSteps:
    """One method per kind of item, and the ids that the document's keys came to stand for."""

    def __init__(self, document: ImportDocument) -> None:
        self.document = document
        self.owners: dict[str, Owner] = {}
        self.goals: dict[str, Target] = {}
        self.cycle_id: UUID | None = None
        self._owner_keys = {one.key for one in document.owners} | {
            one.key for one in document.people
        }
        self._goal_keys = {one.key for one in document.objectives}
        self._goal_keys |= {key_result.key for _, _, key_result in document.key_results()}

    def steps(self, *, founding: bool) -> Iterator[Step]:
        """All items, in the order in which they make sense."""
        document, last_phase = self.document, self.document.phase_needed()
        if founding:
            yield Step("organizations", document.source, "", self.organization)
        yield from self._organization()
        yield Step("cycles", document.cycle.name, "/cycle", self.cycle)
        yield from self._phases(Phase.DRAFTING, last_phase)
        yield from self._goals()
        yield from self._phases(Phase.ACTIVE, last_phase)
        for pointer, _, key_result in document.key_results():
            for number, (key, check_in) in enumerate(key_result.keyed_check_ins()):
                from_list = number < len(key_result.check_ins)
                field = f"check_ins/{number}" if from_list else "result_text"
                run = partial(self.check_in, key_result.key, key, check_in)
                yield Step("check_ins", key, f"{pointer}/{field}", run)
        yield from self._phases(Phase.SCORING, last_phase)
        for i, objective in enumerate(document.objectives):
            if objective.result_text is not None:
                run = partial(self.result, objective)
                yield Step("results", objective.key, f"/objectives/{i}/result_text", run)
        for pointer, _, key_result in document.key_results():
            if key_result.score is not None:
                run = partial(self.score, key_result)
                yield Step("scores", key_result.key, f"{pointer}/score", run)
        for i, retrospective in enumerate(document.retrospectives):
            run = partial(self.reflection, retrospective)
            yield Step("reflections", retrospective.owner, f"/retrospectives/{i}", run)
        yield from self._phases(Phase.REFLECTING, last_phase)
        yield from self._phases(Phase.CLOSED, last_phase)

    def _organization(self) -> Iterator[Step]:
        document = self.document
        for i, decision in enumerate(document.decisions):
            run = partial(self.decision, decision)
            yield Step("decisions", decision.decision.question, f"/decisions/{i}", run)
        for pointer, owner in document.owners_parents_first():
            yield Step("owners", owner.key, pointer, partial(self.team, owner))
        for i, person in enumerate(document.people):
            yield Step("people", person.key, f"/people/{i}", partial(self.person, person))
        for i, person in enumerate(document.people):
            for n, team in enumerate(person.teams):
                run = partial(self.membership, person.key, team)
                key = f"{person.key} in {team}"
                yield Step("memberships", key, f"/people/{i}/teams/{n}", run)

    def _goals(self) -> Iterator[Step]:
        objectives = [(f"/objectives/{i}", one) for i, one in enumerate(self.document.objectives)]
        for pointer, objective in objectives:
            run = partial(self.objective, objective)
            yield Step("objectives", objective.key, pointer, run)
        for pointer, objective, key_result in self.document.key_results():
            run = partial(self.key_result, objective, key_result)
            yield Step("key_results", key_result.key, pointer, run)
        for pointer, objective in objectives:
            for target in objective.targets:
                run = partial(self.alignment, objective, target)
                key = f"{objective.key} -> {target}"
                yield Step("alignments", key, f"{pointer}/supports", run)
        for pointer, objective in objectives:
            run = partial(self.commitment, objective)
            yield Step("commitments", objective.key, pointer, run)

    def _phases(self, phase: Phase, last: Phase) -> Iterator[Step]:
        """Bring the cycle to a phase, unless the document's last one comes before it."""
        if _PHASES.index(phase) <= _PHASES.index(last):
            yield Step("phases", phase, "/cycle", partial(self.phase, phase))

    # What an item refers to

    def _external(self, key: str) -> ExternalRef:
        return ExternalRef(source=self.document.source, external_id=key)

    def _owner(self, key: str, pointer: str) -> Owner:
        if key in self.owners:
            return self.owners[key]
        raise _bad_reference("owner", key, pointer, is_known=key in self._owner_keys)

    def _team(self, key: str, pointer: str) -> UUID:
        owner = self._owner(key, pointer)
        if owner.kind is not OwnerKind.TEAM:
            raise BadReference(f"{key!r} is a person; name a team.", pointer=pointer)
        return owner.id

    def _goal(self, key: str, pointer: str = "") -> Target:
        if key in self.goals:
            return self.goals[key]
        raise _bad_reference("goal", key, pointer, is_known=key in self._goal_keys)

    def _override(self) -> Override | None:
        stated = self.document.cycle.override
        if stated is None:
            return None
        owner = self._owner(stated.by, "/override/by")
        if owner.kind is not OwnerKind.PERSON:
            raise BadReference(f"{stated.by!r} is a team; name a person.", pointer="/override/by")
        return Override(person_id=owner.id, reason=stated.reason)

    def _cycle(self) -> UUID:
        if self.cycle_id is None:
            raise DependsOnRefused("It needs the cycle, which was refused.")
        return self.cycle_id

    # Phase 1 and the organisation

    async def organization(self, unit: UnitOfWork) -> Done:
        command = FoundOrganization(
            organization_id=unit.org_id,
            name=self.document.organization or self.document.source[:300],
            external=ExternalRef(source=FOUNDED, external_id=self.document.source),
        )
        return await _execute(unit, command, unit.org_id)

    async def decision(self, item: DecisionItem, unit: UnitOfWork) -> Done:
        deployment = await unit.state("deployment", unit.org_id)
        question = item.decision.question
        if question in deployment.answered and getattr(deployment, question) == item.decision:
            return Done(None, is_new=False)
        await unit.execute(
            MakeDecision(
                organization_id=unit.org_id, decision=item.decision, rationale=item.rationale
            )
        )
        return Done(None, is_new=True)

    async def team(self, item: OwnerItem, unit: UnitOfWork) -> Done:
        id = unit.new_id("team")
        command = FormTeam(
            team_id=id,
            name=item.name,
            level=item.level,
            parent_id=None if item.parent is None else self._team(item.parent, "/parent"),
            external=self._external(item.key),
        )
        done = await _execute(unit, command, id, compare=("name", "level", "parent_id"))
        assert done.id is not None, "a team has an id"
        self.owners[item.key] = Owner(kind=OwnerKind.TEAM, id=done.id)
        return done

    async def person(self, item: PersonItem, unit: UnitOfWork) -> Done:
        id = unit.new_id("person")
        command = RegisterPerson(person_id=id, external=self._external(item.key))
        done = await _execute(unit, command, id)
        assert done.id is not None, "a person has an id"
        self.owners[item.key] = Owner(kind=OwnerKind.PERSON, id=done.id)
        if done.is_new:
            await directory.enter(unit.conn, unit.org_id, id, item.name, item.email)
            return done
        # Who was erased from the directory has no row there, and stays erased.
        return await _compared(unit, done, DirectoryRow, name=item.name, email=item.email)

    async def membership(self, person: str, team: str, unit: UnitOfWork) -> Done:
        person_id = self._owner(person, "").id
        command = AddMember(team_id=self._team(team, ""), person_id=person_id)
        return await _execute(unit, command, person_id)

    # The cycle

    async def cycle(self, unit: UnitOfWork) -> Done:
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

    async def phase(self, wanted: Phase, unit: UnitOfWork) -> Done:
        """Bring the cycle to a phase, through those before it; never back."""
        id = self._cycle()
        moved = False
        while True:
            cycle: Cycle = await unit.state("cycle", id)
            # A cancelled one is refused by the first command.
            now = 0 if cycle.phase is Phase.CANCELLED else _PHASES.index(cycle.phase)
            if now >= _PHASES.index(wanted):
                return Done(id, is_new=moved)
            following = _PHASES[now + 1]
            terms = {"override": self._override()} if following is Phase.ACTIVE else {}
            await unit.execute(_ADVANCE[following](cycle_id=id, **terms))
            moved = True

    # Goals

    async def objective(self, item: ObjectiveItem, unit: UnitOfWork) -> Done:
        id = unit.new_id("objective")
        command = DraftObjective(
            objective_id=id,
            cycle_id=self._cycle(),
            owner=self._owner(item.owner, "/owner"),
            terms=item.terms,
            external=self._external(item.key),
        )
        done = await _execute(unit, command, id, compare=("owner", "terms"))
        return await self._of_this_cycle(unit, item.key, "objective", done)

    async def key_result(
        self, objective: ObjectiveItem, item: KeyResultItem, unit: UnitOfWork
    ) -> Done:
        id = unit.new_id("key_result")
        owner = None
        # An owner is stated only where it differs from the objective's.
        if item.owner is not None and item.owner != objective.owner:
            owner = self._owner(item.owner, "/owner")
        command = DraftKeyResult(
            key_result_id=id,
            objective_id=self._goal(objective.key).id,
            terms=KeyResultTerms(
                title=item.title, measure=item.measure, weight=item.weight, owner=owner
            ),
            external=self._external(item.key),
        )
        done = await _execute(unit, command, id, compare=("objective_id", "terms"))
        return await self._of_this_cycle(unit, item.key, "key_result", done)

    async def _of_this_cycle(
        self, unit: UnitOfWork, key: str, kind: Literal["objective", "key_result"], done: Done
    ) -> Done:
        """Remember what a key stands for. A goal of another cycle is not the one that is meant."""
        assert done.id is not None, "a goal has an id"
        if (await unit.state(kind, done.id)).cycle_id != self._cycle():
            raise KeyInUse(
                f"{key!r} names a goal of another cycle, {done.id}; give this one another key, "
                "or the document another source."
            )
        self.goals[key] = Target(kind=kind, id=done.id)
        return done

    async def alignment(self, item: ObjectiveItem, target: str, unit: UnitOfWork) -> Done:
        id = unit.new_id("alignment")
        command = AlignObjective(
            alignment_id=id,
            objective_id=self._goal(item.key).id,
            target=self._goal(target, ""),
            rationale=item.rationale or f"Stated by {self.document.source}.",
            why_now=item.why_now,
        )
        between = {"objective_id": command.objective_id, "target_id": command.target.id}
        earlier = await (await unit.rows()).select(AlignmentRow, between)
        if not earlier:
            return await _execute(unit, command, id)
        kept = earlier[-1]
        done = Done(kept.alignment_id, is_new=False)
        if kept.withdrawn:
            # Somebody decided so; a repeated import does not decide otherwise.
            return replace(done, differs="It was withdrawn.")
        return await _compared(
            unit, done, AlignmentRow, rationale=command.rationale, why_now=command.why_now
        )

    async def commitment(self, item: ObjectiveItem, unit: UnitOfWork) -> Done:
        id = self._goal(item.key).id
        objective = await unit.state("objective", id)
        if objective.status not in (Status.DRAFT, Status.PROPOSED):
            return Done(id, is_new=False)
        return await _execute(unit, CommitObjective(objective_id=id), id)

    # Check-ins, results, scores, reflections

    async def check_in(
        self, key_result: str, key: str, item: CheckInItem, unit: UnitOfWork
    ) -> Done:
        id = uuid7()
        cycle: Cycle = await unit.state("cycle", self._cycle())
        last_moment = datetime.combine(cycle.ends_on, time.max, UTC)
        terms = CheckInTerms(**{name: getattr(item, name) for name in CheckInTerms.model_fields})
        command = RecordCheckIn(
            key_result_id=self._goal(key_result).id,
            check_in_id=id,
            terms=terms,
            occurred_at=item.occurred_at or max(min(unit.at, last_moment), cycle.began_at),
            external=self._external(key),
        )
        done = await _execute(unit, command, id)
        said = terms.model_dump() | {"key_result_id": command.key_result_id}
        said["value"] = None if terms.value is None else Decimal(terms.value)
        if item.occurred_at is not None:
            said["occurred_at"] = item.occurred_at
        return await _compared(unit, done, CheckInRow, **said)

    async def result(self, item: ObjectiveItem, unit: UnitOfWork) -> Done:
        id = self._goal(item.key).id
        assert item.result_text is not None, "only objectives with a result come here"
        row = await (await unit.rows()).get(ObjectiveRow, id)
        if row is not None and row.result_text is not None:
            done = Done(id, is_new=False)
            return await _compared(unit, done, ObjectiveRow, result_text=item.result_text)
        return await _execute(unit, ReportResult(objective_id=id, text=item.result_text), id)

    async def score(self, item: KeyResultItem, unit: UnitOfWork) -> Done:
        id = self._goal(item.key).id
        key_result = await unit.state("key_result", id)
        if key_result.score is not None:
            same = key_result.score == item.score
            said = None if same else f"It was scored {key_result.score}."
            return Done(id, is_new=False, differs=said)
        command = ScoreKeyResult(
            key_result_id=id,
            score=item.score,
            comment=item.score_comment or item.result_text or "Imported score.",
            adjustment_reason=f"Imported as reported by {self.document.source}.",
        )
        return await _execute(unit, command, id)

    async def reflection(self, item: RetrospectiveItem, unit: UnitOfWork) -> Done:
        id = uuid7()
        cycle_id = self._cycle()
        command = RecordReflection(
            cycle_id=cycle_id,
            reflection_id=id,
            team_id=self._team(item.owner, "/owner"),
            worked=item.good,
            did_not_work=item.bad,
            change=item.try_,
            # An owner looks back on many cycles.
            external=self._external(f"{cycle_id}/{item.owner}"),
        )
        done = await _execute(unit, command, id)
        said = {name: list(getattr(command, name)) for name in ("worked", "did_not_work", "change")}
        return await _compared(unit, done, ReflectionRow, **said)


def _bad_reference(what: str, key: str, pointer: str, *, is_known: bool) -> BadReference:
    if is_known:
        return DependsOnRefused(f"It needs the {what} {key!r}, which was refused.", pointer=pointer)
    return UnknownReference(f"The document has no {what} {key!r}.", pointer=pointer)


async def _execute(
    unit: UnitOfWork, command: Command, id: UUID, *, compare: tuple[str, ...] = ()
) -> Done:
    """Run a command; where its thing is there already, compare these fields with its state."""
    try:
        events = await unit.execute(command)
    except AlreadyExists as known:
        done = Done(known.existing, is_new=False)
        if not compare:
            return done
        state = await unit.state(command.category, known.existing)
        return _differing(done, [n for n in compare if getattr(state, n) != getattr(command, n)])
    warnings = tuple(
        finding.message for one in events for finding in getattr(one.event, "warnings", ())
    )
    return Done(id, is_new=bool(events), warnings=warnings)


async def _compared(unit: UnitOfWork, done: Done, table: Row, **said: Any) -> Done:
    """Where a thing was there already: which columns of its row say something else."""
    if done.is_new:
        return done
    row = await (await unit.rows()).get(table, done.id)
    if row is None:
        return done
    return _differing(done, [name for name, value in said.items() if getattr(row, name) != value])


def _differing(done: Done, names: Sequence[str]) -> Done:
    return replace(done, differs=f"It is there with another {', '.join(names)}.") if names else done
