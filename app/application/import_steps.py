"""The items of an import document, each as the commands that make it.

What an import makes carries the document's source and key as its external id, so that a second
run finds it and leaves it alone. What is refused is reported, and so is what depends on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import partial
from typing import Literal

from uuid_utils.compat import uuid7

from app.application import directory
from app.application.import_document import (
    CheckInItem,
    DecisionItem,
    DependencyItem,
    KeyResultItem,
    ObjectiveItem,
    OtherSideItem,
    OwnerItem,
    PersonItem,
    RetrospectiveItem,
)
from app.application.import_items import Done, References, compared, execute
from app.application.unit_of_work import UnitOfWork
from app.domain.alignment import AlignObjective
from app.domain.check_in import CheckInTerms
from app.domain.check_in_commands import RecordCheckIn
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
from app.domain.dependency import (
    AcceptDependency,
    DeclareDependency,
    DeclineDependency,
    DeliverDependency,
    DependencyStatus,
    OtherSide,
)
from app.domain.deployment import MakeDecision
from app.domain.key_result import KeyResultTerms
from app.domain.key_result_commands import DraftKeyResult, ScoreKeyResult
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
from app.projections.check_ins import CheckInRow
from app.projections.dependencies import DependencyRow
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


@dataclass(frozen=True, slots=True)
class Step:
    """One item of the document, where it stands, and what its import does."""

    kind: str
    key: str
    pointer: str
    run: Callable[[UnitOfWork], Awaitable[Done]]


RECORDED_AS = {
    "owners": "team",
    "people": "person",
    "objectives": "objective",
    "key_results": "key_result",
    "check_ins": "check_in",
}
"""As what the keys of such items are recorded, of those that a document has many of."""


class ImportSteps(References):
    """One method per kind of item."""

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
        for pointer, _, key, need in document.dependencies():
            if need.status is DependencyStatus.DELIVERED:
                yield Step("deliveries", key, pointer, partial(self.delivery, key, need))
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
        needs = list(self.document.dependencies())
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
        for pointer, objective, key, need in needs:
            run = partial(self.dependency, objective, key, need)
            yield Step("dependencies", key, pointer, run)
        # Before commitment, which may ask whether what is needed was accepted.
        for pointer, _, key, need in needs:
            if need.answered_by is not None:
                yield Step("answers", key, pointer, partial(self.answer, key, need))
        for pointer, objective in objectives:
            run = partial(self.commitment, objective)
            yield Step("commitments", objective.key, pointer, run)

    def _phases(self, phase: Phase, last: Phase) -> Iterator[Step]:
        """Bring the cycle to a phase, unless the document's last one comes before it."""
        if _PHASES.index(phase) <= _PHASES.index(last):
            yield Step("phases", phase, "/cycle", partial(self.phase, phase))

    def _override(self) -> Override | None:
        stated = self.document.cycle.override
        if stated is None:
            return None
        return Override(person_id=self._person(stated.by, "/override/by"), reason=stated.reason)

    # Phase 1 and the organisation

    async def organization(self, unit: UnitOfWork) -> Done:
        command = FoundOrganization(
            organization_id=unit.org_id,
            name=self.document.organization or self.document.source[:300],
            external=ExternalRef(source=FOUNDED, external_id=self.document.source),
        )
        return await execute(unit, command, unit.org_id)

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
        done = await execute(unit, command, id, compare=("name", "level", "parent_id"))
        assert done.id is not None, "a team has an id"
        self.owners[item.key] = Owner(kind=OwnerKind.TEAM, id=done.id)
        return done

    async def person(self, item: PersonItem, unit: UnitOfWork) -> Done:
        id = unit.new_id("person")
        command = RegisterPerson(person_id=id, external=self._external(item.key))
        done = await execute(unit, command, id)
        assert done.id is not None, "a person has an id"
        self.owners[item.key] = Owner(kind=OwnerKind.PERSON, id=done.id)
        if done.is_new:
            await directory.enter(unit.conn, unit.org_id, id, item.name, item.email)
            return done
        # Who was erased from the directory has no row there, and stays erased.
        return await compared(unit, done, DirectoryRow, name=item.name, email=item.email)

    async def membership(self, person: str, team: str, unit: UnitOfWork) -> Done:
        person_id = self._owner(person, "").id
        command = AddMember(team_id=self._team(team, ""), person_id=person_id)
        return await execute(unit, command, person_id)

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
        done = await execute(unit, command, id, compare=("starts_on", "ends_on"))
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
        done = await execute(unit, command, id, compare=("owner", "terms"))
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
                title=item.title,
                measure=item.measure,
                weight=item.weight,
                owner=owner,
                tracked_by=item.tracked_by,
            ),
            external=self._external(item.key),
        )
        done = await execute(unit, command, id, compare=("objective_id", "terms"))
        return await self._of_this_cycle(unit, item.key, "key_result", done)

    async def _of_this_cycle(
        self, unit: UnitOfWork, key: str, kind: Literal["objective", "key_result"], done: Done
    ) -> Done:
        """Remember what a key stands for."""
        assert done.id is not None, "a goal has an id"
        await self._require_this_cycle(unit, key, kind, done.id)
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
            return await execute(unit, command, id)
        kept = earlier[-1]
        done = Done(kept.alignment_id, is_new=False)
        if kept.withdrawn:
            # Somebody decided so; a repeated import does not decide otherwise.
            return replace(done, differs="It was withdrawn.")
        return await compared(
            unit, done, AlignmentRow, rationale=command.rationale, why_now=command.why_now
        )

    async def commitment(self, item: ObjectiveItem, unit: UnitOfWork) -> Done:
        id = self._goal(item.key).id
        objective = await unit.state("objective", id)
        if objective.status not in (Status.DRAFT, Status.PROPOSED):
            return Done(id, is_new=False)
        return await execute(unit, CommitObjective(objective_id=id), id)

    # Dependencies

    def _other_side(self, item: OtherSideItem) -> OtherSide:
        find = self._team if item.kind == "team" else self._objective
        return OtherSide(kind=item.kind, id=find(item.key, "/on/key"))

    async def dependency(
        self, objective: ObjectiveItem, key: str, item: DependencyItem, unit: UnitOfWork
    ) -> Done:
        id = unit.new_id("dependency")
        risk_owner = item.risk_owner and self._person(item.risk_owner, "/risk_owner")
        command = DeclareDependency(
            dependency_id=id,
            objective_id=self._goal(objective.key).id,
            on=self._other_side(item.on),
            needed=item.needed,
            needed_by=item.needed_by,
            risk_owner_id=risk_owner or None,
            external=self._external(key),
        )
        done = await execute(unit, command, id)
        assert done.id is not None, "a dependency has an id"
        await self._require_this_cycle(unit, key, "dependency", done.id)
        self.needs[key] = done.id
        if (await unit.state("dependency", done.id)).status is DependencyStatus.WITHDRAWN:
            return replace(done, differs="It was withdrawn.")
        stated = ("objective_id", "needed", "needed_by", "risk_owner_id")
        said = {name: getattr(command, name) for name in stated}
        on = {"on_kind": command.on.kind, "on_id": command.on.id}
        return await compared(unit, done, DependencyRow, **said, **on)

    async def answer(self, key: str, item: DependencyItem, unit: UnitOfWork) -> Done:
        """What the other side said: it accepts, or declines."""
        id = self._need(key)
        assert item.answered_by is not None, "only what was answered comes here"
        person_id = self._person(item.answered_by, "/answered_by")
        declined = item.status is DependencyStatus.DECLINED
        status = (await unit.state("dependency", id)).status
        if status is DependencyStatus.OPEN and declined:
            assert item.answer is not None, "whoever declines says why"
            decline = DeclineDependency(dependency_id=id, person_id=person_id, reason=item.answer)
            return await execute(unit, decline, id)
        if status is DependencyStatus.OPEN:
            accept = AcceptDependency(dependency_id=id, person_id=person_id, note=item.answer)
            return await execute(unit, accept, id)
        done = Done(id, is_new=False)
        if status is DependencyStatus.WITHDRAWN or declined != (
            status is DependencyStatus.DECLINED
        ):
            return replace(done, differs=f"It was {status}.")
        return await compared(unit, done, DependencyRow, answered_by=person_id, answer=item.answer)

    async def delivery(self, key: str, item: DependencyItem, unit: UnitOfWork) -> Done:
        id = self._need(key)
        status = (await unit.state("dependency", id)).status
        done = Done(id, is_new=False)
        if status is DependencyStatus.DELIVERED:
            return await compared(unit, done, DependencyRow, delivery_note=item.delivery_note)
        if status in (DependencyStatus.DECLINED, DependencyStatus.WITHDRAWN):
            # Somebody decided so; a repeated import does not decide otherwise.
            return replace(done, differs=f"It was {status}.")
        return await execute(unit, DeliverDependency(dependency_id=id, note=item.delivery_note), id)

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
        done = await execute(unit, command, id)
        said = terms.model_dump() | {"key_result_id": command.key_result_id}
        said["value"] = None if terms.value is None else Decimal(terms.value)
        if item.occurred_at is not None:
            said["occurred_at"] = item.occurred_at
        return await compared(unit, done, CheckInRow, **said)

    async def result(self, item: ObjectiveItem, unit: UnitOfWork) -> Done:
        id = self._goal(item.key).id
        assert item.result_text is not None, "only objectives with a result come here"
        row = await (await unit.rows()).get(ObjectiveRow, id)
        if row is not None and row.result_text is not None:
            done = Done(id, is_new=False)
            return await compared(unit, done, ObjectiveRow, result_text=item.result_text)
        return await execute(unit, ReportResult(objective_id=id, text=item.result_text), id)

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
        return await execute(unit, command, id)

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
        done = await execute(unit, command, id)
        said = {name: list(getattr(command, name)) for name in ("worked", "did_not_work", "change")}
        return await compared(unit, done, ReflectionRow, **said)
