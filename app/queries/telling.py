"""What an event changed: field by field, and in a plain English sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from app.application.ledgers import Reader
from app.domain.values import as_json_number
from app.events.envelope import Recorded
from app.projections.alignments import AlignmentRow
from app.projections.api_keys import ApiKeyRow
from app.projections.blockers import BlockerRow
from app.projections.changes import Insert, Key, Row, key_columns
from app.projections.check_ins import CheckInRow
from app.projections.coaches import CoachRow
from app.projections.cycles import CycleRow
from app.projections.decisions import DecisionRow
from app.projections.dependencies import DependencyRow
from app.projections.key_results import KeyResultRow
from app.projections.kpi_readings import KpiReadingRow
from app.projections.kpis import KpiRow
from app.projections.members import MemberRow
from app.projections.objectives import ObjectiveRow
from app.projections.organizations import OrganizationRow
from app.projections.people import PersonRow
from app.projections.reflections import ReflectionRow
from app.projections.registry import project
from app.projections.roles import RoleRow
from app.projections.rows import MemoryRows
from app.projections.teams import TeamRow
from app.projections.workshops import WorkshopRow
from app.queries import check_ins, goals
from app.queries.views import View, directory

KINDS: dict[Row, str] = {
    OrganizationRow: "organization",
    DecisionRow: "decision",
    PersonRow: "person",
    TeamRow: "team",
    MemberRow: "member",
    RoleRow: "role",
    WorkshopRow: "workshop",
    CoachRow: "coach",
    CycleRow: "cycle",
    ReflectionRow: "reflection",
    BlockerRow: "blocker",
    ObjectiveRow: "objective",
    KeyResultRow: "key_result",
    CheckInRow: "check_in",
    KpiRow: "kpi",
    KpiReadingRow: "kpi_reading",
    AlignmentRow: "alignment",
    DependencyRow: "dependency",
}
"""What is told of. Keys, answers to surveys, warnings and external ids are not."""

SCORES = frozenset(
    {"computed_score", "score", "score_as_committed", "score_comment", "adjustment_reason"}
)
"""The fields of a key result that may be withheld."""

# How a row is kept, and not what it says.
_UNTOLD = frozenset(
    {"org_id", "position", "version", "is_milestone", "level", "scored_position", "dated_at"}
)
_BY_CHECK_IN = frozenset(
    {"value", "value_at", "progress", "confidence", "health", "last_check_in_at"}
)
_LONGEST_SAID = 60


class FieldView(View):
    """A field of a resource before and after; null where it said nothing, or was not there."""

    field: str
    before: Any
    after: Any


# What changed -----------------------------------------------------------------------------

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """A row before and after an event, or several; None where it was not there."""

    table: Row
    key: Key
    before: Values | None
    after: Values | None

    @property
    def kind(self) -> str:
        return KINDS[self.table]

    @property
    def id(self) -> str:
        return "/".join(str(part) for part in self.key)

    @property
    def row(self) -> Values:
        return self.after or self.before or {}

    def fields(self) -> list[FieldView]:
        """What differs, in the order of the columns."""
        before, after = _shown(self.table, self.before), _shown(self.table, self.after)
        return [
            FieldView(field=name, before=before.get(name), after=after.get(name))
            for name in dict.fromkeys([*before, *after])
            if before.get(name) != after.get(name)
        ]


def _shown(table: Row, row: Values | None) -> dict[str, Any]:
    if row is None:
        return {}
    left_out = _UNTOLD.union(key_columns(table))
    shown = {name: _plain(value) for name, value in row.items() if name not in left_out}
    if table is KeyResultRow and row["value"] is not None:
        shown["value"] = _plain(goals.reading(row["value"], row["measure"]))
    if table is CheckInRow:
        said: Any = SimpleNamespace(**row)
        shown["value"] = _plain(check_ins.check_in_reading(said))
    return shown


def _plain(value: Any) -> Any:
    return as_json_number(value) if isinstance(value, Decimal) else value


def take(rows: MemoryRows, recorded: Recorded) -> list[Step]:
    """Apply an event to rows, and say what it changed.

    The rows may be of some streams only: what they do not hold is not told.
    """
    steps = []
    for change in project(recorded):
        table = type(change.row) if isinstance(change, Insert) else change.table
        if table not in KINDS:
            continue
        key = _key(change)
        held = rows.tables.get(table, {})
        if key not in held and not isinstance(change, Insert):
            continue
        before = rows.values(table, key)
        rows.apply([change])
        steps.append(Step(table, key, before, rows.values(table, key)))
    return steps


def touched(recorded: Recorded) -> Iterable[tuple[Row, Key]]:
    """Which rows an event changes."""
    for change in project(recorded):
        table = type(change.row) if isinstance(change, Insert) else change.table
        if table in KINDS:
            yield table, _key(change)


def _key(change: Any) -> Key:
    if isinstance(change, Insert):
        return tuple(getattr(change.row, name) for name in key_columns(type(change.row)))
    key: Key = change.key
    return key


# Names ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Names:
    """What things and people are called. Who was erased from the directory is somebody."""

    things: dict[UUID, str] = field(default_factory=dict)
    people: dict[UUID, str] = field(default_factory=dict)

    def thing(self, id: UUID | None) -> str:
        found = self.things.get(id) if id else None
        return "something" if found is None else f"'{found}'"

    def person(self, id: UUID | None) -> str:
        return (self.people.get(id) if id else None) or "somebody"

    def owner(self, kind: str | None, id: UUID | None) -> str:
        return self.person(id) if kind == "person" else self.thing(id)

    def actor(self, actor: str) -> str:
        kind, _, id = actor.partition("/")
        if kind == "person":
            return self.person(UUID(id))
        return f"the key {self.thing(UUID(id))}" if kind == "key" else "an operator"

    def actors(self, actors: Sequence[str]) -> str:
        """Up to three by name."""
        named = list(dict.fromkeys(self.actor(actor) for actor in dict.fromkeys(actors)))
        if not named:
            return "somebody"
        if len(named) > 3:
            named = [*named[:2], f"{len(named) - 2} others"]
        return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


async def names(reader: Reader, ids: Iterable[UUID]) -> Names:
    """The names of what has one of these ids, as it is called at the reader's moment."""
    wanted = list(set(ids))
    found = Names()
    if not wanted:
        return found
    for one in await directory(reader, wanted):
        found.people[one.person_id] = one.name
    rows = reader.rows
    for objective in await rows.select(ObjectiveRow, {"objective_id": wanted}):
        found.things[objective.objective_id] = objective.title
    for part in await rows.select(KeyResultRow, {"key_result_id": wanted}):
        found.things[part.key_result_id] = part.title
    for team in await rows.select(TeamRow, {"team_id": wanted}):
        found.things[team.team_id] = team.name
    for cycle in await rows.select(CycleRow, {"cycle_id": wanted}):
        found.things[cycle.cycle_id] = cycle.name
    for kpi in await rows.select(KpiRow, {"kpi_id": wanted}):
        found.things[kpi.kpi_id] = kpi.name
    for key in await rows.select(ApiKeyRow, {"key_id": wanted}):
        found.things[key.key_id] = key.name
    return found


def ids_in(steps: Iterable[Step], actors: Iterable[str]) -> set[UUID]:
    """Whatever sentences about these may have to name."""
    found = {UUID(id) for _, _, id in (actor.partition("/") for actor in actors)}
    for step in steps:
        values = [*step.key, *step.row.values(), *(step.before or {}).values()]
        found |= {value for value in values if isinstance(value, UUID)}
    return found


# In words ---------------------------------------------------------------------------------


def label(step: Step, names: Names) -> str:
    """A resource as a sentence names it."""
    row, key = step.row, step.key
    match step.kind:
        case "objective" | "key_result":
            return f"the {step.kind.replace('_', ' ')} '{row['title']}'"
        case "organization" | "team" | "cycle":
            spelt = "organisation" if step.kind == "organization" else step.kind
            return f"the {spelt} '{row['name']}'"
        case "kpi":
            return f"the KPI '{row['name']}'"
        case "workshop":
            return f"the workshop '{row['title']}'"
        case "decision":
            return f"the decision about {row['question'].replace('_', ' ')}"
        case "person" | "coach":
            return f"the {step.kind} {names.person(key[0])}"
        case "member":
            return f"the membership of {names.person(key[1])} in {names.thing(key[0])}"
        case "role":
            return f"the role of {row['role']} of {names.person(key[0])}"
        case "reflection":
            return f"a reflection on the cycle {names.thing(row['cycle_id'])}"
        case "kpi_reading":
            return f"a reading of the KPI {names.thing(row['kpi_id'])}"
        case "check_in" | "blocker":
            kind = "check-in" if step.kind == "check_in" else step.kind
            return f"a {kind} on {names.thing(row['key_result_id'])}"
        case _:
            return f"the {step.kind} of {names.thing(row['objective_id'])}"


def summary(step: Step, who: str, names: Names) -> str:
    """One sentence on a resource: added, removed, or changed, and by whom."""
    told = label(step, names)
    if step.before is None:
        said = ""
        if step.kind in ("check_in", "kpi_reading"):
            value = _shown(step.table, step.after).get("value")
            said = "" if value is None else f": {_spelt(value)}"
        return _sentence(f"{who} added {told}{said}")
    if step.after is None:
        return _sentence(f"{who} took {told} away")
    fields = step.fields()
    if step.table is KeyResultRow:
        moved = _moved(fields)
        others = [one.field for one in fields if one.field not in _BY_CHECK_IN]
        if moved:
            also = f", and changed its {_listed(others)}" if others else ""
            return _sentence(f"{who} moved '{step.row['title']}' {moved}{also}")
    return _sentence(f"{who} changed {told}: {_listed([_from_to(one) for one in fields])}")


def _moved(fields: Sequence[FieldView]) -> str:
    """From which value to which, and the progress; empty where nothing moved."""
    by_name = {one.field: one for one in fields}
    value, progress = by_name.get("value"), by_name.get("progress")
    if value is None and progress is None:
        return ""
    came = "" if progress is None else _way(progress)
    if value is None:
        return f"(progress {came})"
    way = _way(value) if value.before is None else f"from {_way(value)}"
    return f"{way} (progress {came})" if came else way


def _way(one: FieldView) -> str:
    if one.before is None:
        return f"to {_spelt(one.after)}"
    return f"{_spelt(one.before)} to {_spelt(one.after)}"


def _from_to(one: FieldView) -> str:
    name = one.field.replace("_", " ")
    if not all(_is_short(value) for value in (one.before, one.after)):
        return name
    if one.before is None:
        return f"{name} to {_spelt(one.after)}"
    return f"{name} from {_spelt(one.before)} to {_spelt(one.after)}"


def _is_short(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_SAID
    return value is None or isinstance(value, bool | int | float)


def _spelt(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value).replace("_", " ") if isinstance(value, str) else str(value)


def _listed(parts: Sequence[str]) -> str:
    spelt = [part.replace("_", " ") for part in parts]
    return ", ".join(spelt) if spelt else "nothing that is shown"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


_PHRASES = {
    "objective.drafted": "drafted the objective {objective}",
    "objective.revised": "revised the objective {objective}",
    "objective.handed_over": "handed the objective {objective} over to {owner}",
    "objective.proposed": "proposed the objective {objective}",
    "objective.committed": "committed to the objective {objective}",
    "objective.result_reported": "reported what came of the objective {objective}",
    "objective.closed": "closed the objective {objective} as {outcome}",
    "key_result.drafted": "drafted the key result {key_result}",
    "key_result.amended": "amended {key_result}",
    "key_result.removed": "removed {key_result}",
    "key_result.scored": "scored {key_result}",
    "key_result.succeeded": "drafted the metric that follows {key_result}",
    "key_result.reset": "chose to {choice} {key_result}",
    "check_in.recorded": "checked in on {key_result}",
    "check_in.corrected": "corrected a check-in on {key_result}",
    "check_in.retracted": "retracted a check-in on {key_result}",
    "alignment.agreed": "aligned {objective} with {target}",
    "alignment.withdrawn": "withdrew the alignment of {objective} with {target}",
    "dependency.declared": "declared that {objective} depends on {on}",
    "dependency.accepted": "accepted that {objective} depends on {on}",
    "dependency.declined": "declined that {objective} depends on {on}",
    "dependency.passed_on": "passed on what {objective} depends on, to {team}",
    "dependency.delivered": "delivered what {objective} needs of {on}",
    "dependency.withdrawn": "withdrew that {objective} depends on {on}",
    "blocker.raised": "raised a blocker on {key_result}, and named {blocker_owner}",
    "blocker.handed_over": "handed a blocker on {key_result} over to {blocker_owner}",
    "blocker.resolved": "resolved a blocker on {key_result}",
    "cycle.planned": "planned the cycle {cycle}",
    "cycle.renamed": "renamed the cycle {cycle}",
    "cycle.rescheduled": "rescheduled the cycle {cycle}",
    "cycle.cancelled": "cancelled the cycle {cycle}",
    "cycle.drafting_begun": "began drafting in the cycle {cycle}",
    "cycle.opened": "opened the cycle {cycle}",
    "cycle.scoring_begun": "began scoring in the cycle {cycle}",
    "cycle.reflection_begun": "began the reflection on the cycle {cycle}",
    "cycle.continued": "set out to follow {previous} with the cycle {cycle}",
    "cycle.closed": "closed the cycle {cycle}",
    "reflection.recorded": "recorded a reflection on the cycle {cycle}",
}
"""What somebody did, by the type of event."""

PHRASED = frozenset(_PHRASES)


def sentence(recorded: Recorded, steps: Sequence[Step], names: Names, *, withheld: bool) -> str:
    """What an event says, without the free text in it. `withheld`: its scores are not told."""
    row: dict[str, Any] = {}
    for step in steps:
        row |= step.row
        row |= dict(zip(key_columns(step.table), step.key, strict=True))
    phrase = _PHRASES.get(recorded.type, recorded.type.replace(".", " ").replace("_", " "))
    told = phrase.format(
        objective=names.thing(row.get("objective_id")),
        key_result=names.thing(row.get("key_result_id")),
        cycle=names.thing(row.get("cycle_id")),
        previous=names.thing(row.get("previous_id")),
        owner=names.owner(row.get("owner_kind"), row.get("owner_id")),
        outcome=_spelt(row.get("outcome")),
        choice=row.get("choice"),
        target=names.thing(row.get("target_id")),
        on=names.thing(row.get("on_id")),
        team=names.thing(row.get("on_team_id")),
        blocker_owner=names.person(row.get("owner_id")),
    )
    who = names.actor(recorded.meta.actor)
    part = next((step for step in steps if step.table is KeyResultRow), None)
    if part is None or part.before is None:
        return _sentence(f"{who} {told}")
    moved = _moved(part.fields())
    if recorded.type == "check_in.recorded" and moved:
        return _sentence(f"{who} moved {names.thing(row.get('key_result_id'))} {moved}")
    if recorded.type == "check_in.recorded":
        said = next((_shown(one.table, one.after) for one in steps if one.table is CheckInRow), {})
        value = said.get("value")
        return _sentence(f"{who} {told}" + ("" if value is None else f": {_spelt(value)}"))
    if recorded.type == "key_result.scored" and not withheld:
        return _sentence(f"{who} {told}: {_spelt(_plain(part.row['score']))}")
    return _sentence(f"{who} {told}" + (f": it moved {moved}" if moved else ""))
