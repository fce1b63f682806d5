"""The import document: one cycle of one organisation, in neutral JSON.

`python -m app.application.import_document` prints its JSON Schema.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, ValidationError

from app.domain.cycle import Phase
from app.domain.deployment import Decision
from app.domain.errors import Refusal
from app.domain.key_result import CheckInTerms, Weight
from app.domain.measures import Measure, Milestone
from app.domain.objective import ObjectiveTerms
from app.domain.team import TeamLevel
from app.domain.values import Day, Key, Level, Line, Moment, Origin, Prose, Share, Value

ItemKey = Annotated[Key, Field(max_length=200)]
"""An item's key in the document; what is made of the item is found again by it."""


class DocumentInvalid(Refusal):
    """The document cannot be used as a whole; `errors` point into it."""


class PersonItem(Value):
    """A person, who may own goals."""

    key: ItemKey
    name: Line
    email: Line | None = None


class OwnerItem(Value):
    """A team, or the company at the top."""

    key: ItemKey
    name: Line
    parent: ItemKey | None = None
    level: TeamLevel = Level.TEAM


class DecisionItem(Value):
    decision: Decision
    rationale: Prose = "Imported."


class CycleItem(Value):
    """`phase` is where the import brings the cycle; by default as far as its data needs."""

    name: Line
    starts_on: Day
    ends_on: Day
    phase: Phase | None = None


class CheckInItem(CheckInTerms):
    """Without `occurred_at` it is as of the import, or of the cycle's last day if that is past."""

    key: ItemKey | None = None
    occurred_at: Moment | None = None


class KeyResultItem(Value):
    """Without a measure it is a milestone. `result_text` is a check-in's note."""

    key: ItemKey
    title: Line
    measure: Measure = Milestone()
    weight: Weight = Field(default=Decimal(1), json_schema_extra={"default": 1})
    owner: ItemKey | None = None
    check_ins: tuple[CheckInItem, ...] = ()
    result_text: Prose | None = None
    score: Share | None = None
    score_comment: Prose | None = None


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

    source: Key
    organization: Line | None = None
    cycle: CycleItem
    decisions: tuple[DecisionItem, ...] = ()
    people: tuple[PersonItem, ...] = ()
    owners: tuple[OwnerItem, ...]
    objectives: tuple[ObjectiveItem, ...]
    retrospectives: tuple[RetrospectiveItem, ...] = ()

    def key_results(self) -> Iterator[tuple[ObjectiveItem, KeyResultItem]]:
        for objective in self.objectives:
            for key_result in objective.key_results:
                yield objective, key_result


def parse(data: bytes) -> ImportDocument:
    """Raises DocumentInvalid, with a pointer to each thing that is wrong."""
    try:
        document = ImportDocument.model_validate_json(data)
    except ValidationError as invalid:
        raise _invalid(_shape_errors(invalid)) from invalid
    wrong = [*_repeated(document), *_owner_loops(document)]
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


def _shape_errors(invalid: ValidationError) -> list[dict[str, str]]:
    return [
        {
            "pointer": "".join(f"/{part}" for part in error["loc"]),
            "detail": error["msg"].removeprefix("Value error, "),
        }
        for error in invalid.errors(include_input=False, include_context=False, include_url=False)
    ]


def _repeated(document: ImportDocument) -> Iterator[dict[str, str]]:
    """Keys must be unique: among people and owners, and among objectives and key results."""
    owners: list[tuple[str, str]] = [
        *((f"/people/{i}/key", person.key) for i, person in enumerate(document.people)),
        *((f"/owners/{i}/key", owner.key) for i, owner in enumerate(document.owners)),
    ]
    goals: list[tuple[str, str]] = []
    for i, objective in enumerate(document.objectives):
        goals.append((f"/objectives/{i}/key", objective.key))
        goals.extend(
            (f"/objectives/{i}/key_results/{j}/key", key_result.key)
            for j, key_result in enumerate(objective.key_results)
        )
    for namespace in (owners, goals):
        counted = Counter(key for _, key in namespace)
        seen: set[str] = set()
        for pointer, key in namespace:
            if key in seen:
                yield {"pointer": pointer, "detail": f"{key!r} is used {counted[key]} times"}
            seen.add(key)


def _owner_loops(document: ImportDocument) -> Iterable[dict[str, str]]:
    parents = {owner.key: owner.parent for owner in document.owners}
    for i, owner in enumerate(document.owners):
        above, here = set(), owner.parent
        while here is not None and here not in above:
            above.add(here)
            here = parents.get(here)
        if owner.key in above:
            yield {
                "pointer": f"/owners/{i}/parent",
                "detail": f"{owner.key!r} stands above itself",
            }


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2))
