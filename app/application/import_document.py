"""The import document: one cycle of one organisation, in neutral JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import from_json

from app.application.pointers import pointed
from app.domain.check_in import CheckInTerms
from app.domain.cycle import Phase
from app.domain.dependency import DependencyStatus
from app.domain.deployment import Decision
from app.domain.errors import Refusal
from app.domain.key_result import Weight
from app.domain.measures import Measure, Milestone
from app.domain.objective import ObjectiveTerms
from app.domain.team import TeamLevel
from app.domain.values import Day, Key, Level, Line, Moment, Origin, Prose, Share, Value

_EXAMPLE: dict[str, Any] = {
    "source": "planning-sheet",
    "organization": "Harbour & Sons",
    "cycle": {"name": "2026 Q1", "starts_on": "2026-01-01", "ends_on": "2026-03-31"},
    "owners": [{"key": "growth", "name": "Growth", "level": "team"}],
    "objectives": [
        {
            "key": "O1",
            "owner": "growth",
            "title": "Customers stay because they succeed",
            "key_results": [{"key": "O1.1", "title": "The guide is out", "score": 1}],
        }
    ],
}

Reachable = Literal[
    Phase.PLANNED,
    Phase.DRAFTING,
    Phase.ACTIVE,
    Phase.SCORING,
    Phase.REFLECTING,
    Phase.CLOSED,
]

Answered = Literal[
    DependencyStatus.OPEN,
    DependencyStatus.ACCEPTED,
    DependencyStatus.DECLINED,
    DependencyStatus.DELIVERED,
]

ItemKey = Annotated[Key, Field(max_length=200)]
"""An item's key in the document; what is made of the item is found again by it."""


class DocumentInvalid(Refusal):
    """The document cannot be used as a whole; `errors` point into it."""

    name = "document-invalid"


class PersonItem(Value):
    """A person, who may own goals. `teams` are keys of owners."""

    key: ItemKey
    name: Line
    email: Line | None = None
    teams: tuple[ItemKey, ...] = ()


class OwnerItem(Value):
    """A team, or the company at the top."""

    key: ItemKey
    name: Line
    parent: ItemKey | None = None
    level: TeamLevel = Level.TEAM


class DecisionItem(Value):
    decision: Decision
    rationale: Prose = "Imported."


class OverrideItem(Value):
    """`by` is the key of a person."""

    by: ItemKey
    reason: Prose


class CycleItem(Value):
    """`phase` is where the import brings the cycle; by default as far as its data needs.

    `override` opens an organisation's first cycle before deployment and training are done.
    """

    name: Line
    starts_on: Day
    ends_on: Day
    phase: Reachable | None = None
    override: OverrideItem | None = None


class CheckInItem(CheckInTerms):
    """Without `occurred_at` it is as of the import, or of the cycle's last day if that is past."""

    key: ItemKey | None = None
    occurred_at: Moment | None = None


class KeyResultItem(Value):
    """Without a measure it is a milestone. `result_text` is a check-in's note.

    `tracked_by` is the source that its integration's check-ins name.
    """

    key: ItemKey
    title: Line
    measure: Measure = Milestone()
    weight: Weight = Field(default=Decimal(1), json_schema_extra={"default": 1})
    owner: ItemKey | None = None
    tracked_by: Key | None = None
    check_ins: tuple[CheckInItem, ...] = ()
    result_text: Prose | None = None
    score: Share | None = None
    score_comment: Prose | None = None

    def keyed_check_ins(self) -> Iterator[tuple[str, CheckInItem]]:
        """The check-ins, each with a key of its own; a result text is the last one."""
        for number, check_in in enumerate(self.check_ins, 1):
            yield check_in.key or f"{self.key}/check-in/{number}", check_in
        if self.result_text is not None:
            yield f"{self.key}/result", CheckInItem(note=self.result_text)


class OtherSideItem(Value):
    """Who something is needed from: a team, or whoever owns an objective."""

    kind: Literal["team", "objective"]
    key: ItemKey


class DependencyItem(Value):
    """What an objective needs from another team.

    `answered_by` is the key of the person who accepted or declined; `answer` is their note, or
    the reason for declining. `risk_owner` is the key of a person.
    """

    key: ItemKey | None = None
    on: OtherSideItem
    needed: Prose
    needed_by: Day
    risk_owner: ItemKey | None = None
    status: Answered = DependencyStatus.OPEN
    answered_by: ItemKey | None = None
    answer: Prose | None = None
    delivery_note: Prose | None = None


class ObjectiveItem(Value):
    """`supports` names an objective or a key result, or several of them."""

    key: ItemKey
    owner: ItemKey
    title: Line
    why: Prose | None = None
    why_now: Prose | None = None
    origin: Origin = Origin.BOTTOM_UP
    supports: ItemKey | tuple[ItemKey, ...] | None = None
    rationale: Prose | None = None
    result_text: Prose | None = None
    key_results: tuple[KeyResultItem, ...] = ()
    dependencies: tuple[DependencyItem, ...] = ()

    @property
    def targets(self) -> tuple[str, ...]:
        if self.supports is None:
            return ()
        return (self.supports,) if isinstance(self.supports, str) else self.supports

    @property
    def terms(self) -> ObjectiveTerms:
        return ObjectiveTerms(
            title=self.title, why=self.why, why_now=self.why_now, origin=self.origin
        )


class RetrospectiveItem(Value):
    """What worked, what did not, and what to try, of one owner."""

    owner: ItemKey
    good: tuple[Prose, ...] = ()
    bad: tuple[Prose, ...] = ()
    try_: tuple[Prose, ...] = Field(default=(), alias="try")


class ImportDocument(Value):
    """`source` names where the document comes from: keys are told apart by it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    source: Key
    organization: Line | None = None
    cycle: CycleItem
    decisions: tuple[DecisionItem, ...] = ()
    people: tuple[PersonItem, ...] = ()
    owners: tuple[OwnerItem, ...]
    objectives: tuple[ObjectiveItem, ...]
    retrospectives: tuple[RetrospectiveItem, ...] = ()

    def key_results(self) -> Iterator[tuple[str, ObjectiveItem, KeyResultItem]]:
        """Each key result with its objective, and a pointer to it."""
        for i, objective in enumerate(self.objectives):
            for j, key_result in enumerate(objective.key_results):
                yield f"/objectives/{i}/key_results/{j}", objective, key_result

    def dependencies(self) -> Iterator[tuple[str, ObjectiveItem, str, DependencyItem]]:
        """Each dependency with a pointer to it, its objective, and a key of its own."""
        for i, objective in enumerate(self.objectives):
            for n, one in enumerate(objective.dependencies):
                key = one.key or f"{objective.key}/dependency/{n + 1}"
                yield f"/objectives/{i}/dependencies/{n}", objective, key, one

    def owners_parents_first(self) -> list[tuple[str, OwnerItem]]:
        """Owners, each after its parent, with pointers; unknown parents do not matter here."""
        waiting = {owner.key: (f"/owners/{i}", owner) for i, owner in enumerate(self.owners)}
        ordered: list[tuple[str, OwnerItem]] = []
        for owner in self.owners:
            way: list[tuple[str, OwnerItem]] = []
            here: str | None = owner.key
            while here is not None and here in waiting:
                way.append(waiting.pop(here))
                here = way[-1][1].parent
            ordered.extend(reversed(way))
        return ordered

    def phase_needed(self) -> Phase:
        """The phase that is asked for, or else the first that takes all of the data."""
        if self.cycle.phase is not None:
            # Goals cannot be drafted any earlier.
            return Phase.DRAFTING if self.cycle.phase is Phase.PLANNED else self.cycle.phase
        key_results = [key_result for _, _, key_result in self.key_results()]
        if self.retrospectives or any(k.score is not None for k in key_results):
            return Phase.SCORING
        said = any(k.check_ins or k.result_text for k in key_results)
        said = said or any(objective.result_text for objective in self.objectives)
        return Phase.ACTIVE if said else Phase.DRAFTING


def parse(data: bytes) -> ImportDocument:
    """Raises DocumentInvalid, with a pointer to each thing that is wrong."""
    try:
        document = ImportDocument.model_validate_json(data)
    except ValidationError as invalid:
        raise _invalid(_shape_errors(invalid, data)) from invalid
    wrong = [*_repeated(document), *_owner_loops(document), *_answers_amiss(document)]
    if wrong:
        raise _invalid(wrong)
    return document


def schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    made = ImportDocument.model_json_schema(by_alias=True)
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return made


def _invalid(errors: list[dict[str, str]]) -> DocumentInvalid:
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    detail = f"{errors[0]['pointer'] or 'the document'}: {errors[0]['detail']}{more}"
    return DocumentInvalid(detail, errors=errors[:100])


def _shape_errors(invalid: ValidationError, data: bytes) -> list[dict[str, str]]:
    found = invalid.errors(include_input=False, include_context=False, include_url=False)
    if found[0]["type"] == "json_invalid":
        return [{"pointer": "", "detail": found[0]["msg"]}]
    return pointed(found, from_json(data))


_Keyed = list[tuple[str, str]]
"""Pointers, each with the key that stands there."""


def _repeated(document: ImportDocument) -> Iterator[dict[str, str]]:
    """Things of one kind must have keys of their own, or one would be taken for the other."""
    owners: _Keyed = [(f"/people/{i}/key", person.key) for i, person in enumerate(document.people)]
    owners += [(f"/owners/{i}/key", owner.key) for i, owner in enumerate(document.owners)]
    goals: _Keyed = [(f"/objectives/{i}/key", one.key) for i, one in enumerate(document.objectives)]
    check_ins: _Keyed = []
    for pointer, _, key_result in document.key_results():
        goals.append((f"{pointer}/key", key_result.key))
        places = [f"{pointer}/check_ins/{n}" for n in range(len(key_result.check_ins))]
        keys = [key for key, _ in key_result.keyed_check_ins()]
        check_ins.extend(zip([*places, f"{pointer}/result_text"], keys, strict=False))
    decisions: _Keyed = [
        (f"/decisions/{i}", one.decision.question) for i, one in enumerate(document.decisions)
    ]
    retrospectives: _Keyed = [
        (f"/retrospectives/{i}/owner", one.owner) for i, one in enumerate(document.retrospectives)
    ]
    supports: list[_Keyed] = [
        [(f"/objectives/{i}/supports/{n}", target) for n, target in enumerate(one.targets)]
        for i, one in enumerate(document.objectives)
    ]
    needs: _Keyed = [(pointer, key) for pointer, _, key, _ in document.dependencies()]
    for namespace in (owners, goals, check_ins, needs, decisions, retrospectives, *supports):
        counted = Counter(key for _, key in namespace)
        seen: set[str] = set()
        for pointer, key in namespace:
            if key in seen:
                yield {"pointer": pointer, "detail": f"{key!r} is used {counted[key]} times"}
            seen.add(key)


def _owner_loops(document: ImportDocument) -> Iterator[dict[str, str]]:
    parents = {owner.key: owner.parent for owner in document.owners}
    settled: set[str] = set()
    looped: set[str] = set()
    for key in parents:
        way: list[str] = []
        here: str | None = key
        while here in parents and here not in settled:
            settled.add(here)
            way.append(here)
            here = parents[here]
        if here in way:
            looped.update(way[way.index(here) :])
    for i, owner in enumerate(document.owners):
        if owner.key in looped:
            yield {
                "pointer": f"/owners/{i}/parent",
                "detail": f"{owner.key!r} stands above itself",
            }


_ANSWER: dict[DependencyStatus, tuple[set[str], set[str]]] = {
    DependencyStatus.OPEN: (set(), set()),
    DependencyStatus.ACCEPTED: ({"answered_by"}, {"answer"}),
    DependencyStatus.DECLINED: ({"answered_by", "answer"}, set()),
    DependencyStatus.DELIVERED: ({"answered_by"}, {"answer", "delivery_note"}),
}
"""Which members tell of a dependency's answer: those that its status needs, and may have."""


def _answers_amiss(document: ImportDocument) -> Iterator[dict[str, str]]:
    for pointer, _, _, one in document.dependencies():
        needed, allowed = _ANSWER[one.status]
        for name in ("answered_by", "answer", "delivery_note"):
            stated = getattr(one, name) is not None
            if name in needed and not stated:
                detail = f"is needed where a dependency is {one.status}"
            elif stated and name not in needed | allowed:
                detail = f"has no place where a dependency is {one.status}"
            else:
                continue
            yield {"pointer": f"{pointer}/{name}", "detail": detail}
