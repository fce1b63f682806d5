"""From a spreadsheet's CSV to import documents: one for each period that it holds.

Either a row is a key result, with its objective repeated or left blank below, or a column says of
each row which of the two it is. What was inferred is told as a warning; what cannot be known is a
problem of its row, and then nothing of the file is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from graphlib import CycleError, TopologicalSorter
from hashlib import sha256
from typing import NamedTuple

from pydantic import BaseModel

from app.application.import_csv_goals import GoalReader, Row, is_kind, key_of
from app.application.import_csv_mapping import Column, CsvMapping, Reported, folded
from app.application.import_csv_owners import Owners, stable_key
from app.application.import_csv_periods import Periods
from app.application.import_csv_table import Note, Notes, Table, decode, read_table
from app.application.import_csv_values import Period, shown
from app.application.import_document import (
    CycleItem,
    ImportDocument,
    KeyResultItem,
    ObjectiveItem,
)

_ROW_TYPES: dict[str, str] = {
    word: kind
    for kind, words in {
        "objective": "objective,objectives,o,goal,ziel,objectif,objetivo",
        "key_result": "key result,key results,keyresult,kr,schlüsselergebnis,kernergebnis,"
        "résultat clé,resultado clave,metric,target",
        "other": "initiative,initiatives,task,tasks,project,action,aufgabe,maßnahme,projekt,"
        "initiativ,kpi",
    }.items()
    for word in words.split(",")
}


class CsvNote(BaseModel):
    """What was inferred; rows count as a spreadsheet shows them. `more` rows are alike."""

    row: int | None
    column: str | None
    detail: str
    more: int

    def __str__(self) -> str:
        return str(Note(self.row, self.column, self.detail, self.more))


class Translated(NamedTuple):
    """Documents in the order of their periods, and what was inferred on the way."""

    documents: list[ImportDocument]
    warnings: list[CsvNote]


def translate(data: bytes | str, mapping: CsvMapping) -> Translated:
    """Raises CsvInvalid, with every row that must be changed."""
    notes = Notes()
    text = decode(data, notes) if isinstance(data, bytes) else data
    table = read_table(text, mapping, notes)
    documents = _Translator(table, mapping, notes).documents()
    return Translated(documents, [_told(note) for note in notes.warnings])


def _told(note: Note) -> CsvNote:
    return CsvNote(row=note.row, column=note.column, detail=note.detail, more=note.more)


@dataclass(eq=False, slots=True)
class _KeyResult:
    row: int
    title: str
    id: str | None
    cells: Row
    owner: str | None
    objective: _Objective

    @property
    def parts(self) -> tuple[str, ...]:
        if self.id is not None:
            return (self.objective.period.name, "key result", self.id)
        return (*self.objective.parts, _same(self.title))


@dataclass(eq=False, slots=True)
class _Objective:
    row: int
    title: str
    id: str | None
    owner: str
    period: Period
    parent: tuple[int, str] | None = None
    why: str | None = None
    result_text: str | None = None
    key_results: list[_KeyResult] = field(default_factory=list)
    supports: list[_Objective | _KeyResult] = field(default_factory=list)

    @property
    def parts(self) -> tuple[str, ...]:
        if self.id is not None:
            return (self.period.name, "objective", self.id)
        return (self.period.name, self.owner, _same(self.title))


def _same(title: str) -> str:
    """A title as it is compared: case and white space do not matter."""
    return " ".join(title.split()).casefold()


_UNKNOWN = Period("", date.min, date.min)


class _Translator:
    def __init__(self, table: Table, mapping: CsvMapping, notes: Notes) -> None:
        self.table = table
        self.mapping = mapping
        self.notes = notes
        self.typed = self._is_typed()
        self.read = GoalReader(table, mapping, notes)
        self.owners = Owners(mapping, self.read)
        self.periods = Periods(mapping, self.read)
        self.objectives: list[_Objective] = []
        self.broken: list[_Objective] = []
        self.by_id: dict[str, list[_Objective | _KeyResult]] = {}
        self.by_title: dict[str, list[_Objective | _KeyResult]] = {}
        self.waiting: list[tuple[int, Row, str]] = []

    def documents(self) -> list[ImportDocument]:
        company = self.mapping.company and self.owners.team(self.mapping.company)
        last: _Objective | None = None
        for number, row in self.table.rows:
            last = self._row(number, row, last)
        for number, row, parent in self.waiting:
            objective = self._objective_named(number, row, parent)
            if objective is not None:
                self._key_result(number, row, objective, follows=True)
        for objective in self.objectives:
            self._resolve_parent(objective)
        self._refuse_loops()
        self._refuse_same_keys()
        for one in self.broken:
            for key_result in one.key_results:
                self._key_result_item(key_result)
        items = [(one.period, self._item(one)) for one in self.objectives]
        self.notes.settle()
        if not items:
            self.notes.problem(None, None, "holds no objective")
        self.notes.settle()
        if self.owners.taken_as_teams:
            names = ", ".join(map(shown, list(self.owners.taken_as_teams)[:20]))
            told = f"owners without an e-mail address are taken as teams: {names}"
            self.notes.warn(None, None, told)
        if self.mapping.source == CsvMapping().source:
            told = f"its rows are found again by the source {self.mapping.source!r}: name your own"
            self.notes.warn(None, None, f"{told} in a mapping, before you import a second one")
        found = sorted({one for one, _ in items}, key=lambda one: (one.starts_on, one.ends_on))
        return [
            self._document(one, [item for of, item in items if of == one], company or None)
            for one in found
        ]

    # Rows

    def _is_typed(self) -> bool:
        """Whether a column tells objectives from key results; some call a metric's kind so."""
        headings = self.table.headings
        if Column.TYPE not in headings:
            return False
        has_both = {Column.OBJECTIVE, Column.KEY_RESULT} <= headings.keys()
        words = list(self.table.cells(Column.TYPE))
        if not has_both or any(folded(word) in ("objective", "key result") for word in words):
            return True
        if Column.KIND not in headings and all(is_kind(word) for word in words):
            told = "is taken for the kind of key result"
            self.notes.warn(None, headings[Column.TYPE], told)
            headings[Column.KIND] = headings.pop(Column.TYPE)
            for _, row in self.table.rows:
                if Column.TYPE in row:
                    row[Column.KIND] = row.pop(Column.TYPE)
            return False
        return True

    def _row(self, number: int, row: Row, last: _Objective | None) -> _Objective | None:
        """Take one row in; the objective that rows below it may continue."""
        if not self.typed:
            return self._flat_row(number, row, last)
        kind = _ROW_TYPES.get(folded(row.get(Column.TYPE, "")))
        if kind is None:
            told = f"{shown(row.get(Column.TYPE, ''))} is neither Objective nor Key Result"
            self.read.problem(number, Column.TYPE, told)
        elif kind == "other":
            told = "only objectives and key results are imported: other rows are left out"
            self.read.warn(number, Column.TYPE, told)
        elif kind == "objective":
            return self._objective(number, row, self._title_column(row, kind))
        elif Column.PARENT in row:
            self.waiting.append((number, row, row[Column.PARENT]))
        elif last is not None and self._continues(row, last):
            self._key_result(number, row, last, follows=True)
        elif Column.OBJECTIVE_ID in row or self._names_its_objective(row):
            column = Column.OBJECTIVE_ID if Column.OBJECTIVE_ID in row else Column.OBJECTIVE
            self.waiting.append((number, row, row[column]))
        elif last is None:
            told = "is a key result with no objective above it: name its objective in `parent`"
            self.notes.problem(number, None, told)
        else:
            self._key_result(number, row, last, follows=True)
        return last

    def _continues(self, row: Row, last: _Objective) -> bool:
        if Column.OBJECTIVE_ID in row:
            return row[Column.OBJECTIVE_ID] == last.id
        return self._names_its_objective(row) and _same(row[Column.OBJECTIVE]) == _same(last.title)

    def _names_its_objective(self, row: Row) -> bool:
        return Column.OBJECTIVE in row and bool(row.keys() & {Column.KEY_RESULT, Column.TITLE})

    def _title_column(self, row: Row, kind: str) -> Column:
        own = Column.OBJECTIVE if kind == "objective" else Column.KEY_RESULT
        for column in (own, Column.TITLE, Column.OBJECTIVE, Column.KEY_RESULT):
            if column in row:
                return column
        return Column.TITLE

    def _flat_row(self, number: int, row: Row, last: _Objective | None) -> _Objective | None:
        names_one = Column.OBJECTIVE in row or Column.OBJECTIVE_ID in row
        has_key_result = Column.KEY_RESULT in row
        follows = not names_one
        if names_one:
            known = self._known(number, row, has_key_result=has_key_result)
            objective = known or self._objective(number, row, Column.OBJECTIVE)
        elif last is None:
            self.read.problem(number, Column.OBJECTIVE, "is blank, and no row above names one")
            return None
        else:
            objective = last
        if has_key_result:
            self._key_result(number, row, objective, follows=follows)
        elif not names_one:
            told = "is blank: a row needs the title of an objective or of a key result"
            self.read.problem(number, Column.KEY_RESULT, told)
        return objective

    def _known(self, number: int, row: Row, *, has_key_result: bool) -> _Objective | None:
        """The objective that a row repeats."""
        id, title = row.get(Column.OBJECTIVE_ID), row.get(Column.OBJECTIVE)
        among = self.by_id.get(id, []) if id else self.by_title.get(_same(title or ""), [])
        known = [one for one in among if isinstance(one, _Objective)]
        if Column.PERIOD in row or Column.STARTS_ON in row:
            at = self.periods.of(number, row, told=False)
            known = [one for one in known if one.period == at]
        if id is None:
            owner = self.owners.of_objective(number, row, told=False)
            others = [one for one in known if one.owner != owner]
            if owner is not None and others and len(others) == len(known):
                told = "has the title of another owner's objective: taken as another one"
                self.read.warn(number, Column.OBJECTIVE, told)
            known = known if owner is None else [one for one in known if one.owner == owner]
        if not known:
            return None
        if len(known) > 1:
            rows = " and ".join(str(one.row) for one in known)
            told = f"may be the objective of row {rows}: name its owner and period here too"
            self.read.problem(number, Column.OBJECTIVE, told)
        found = known[0]
        if not has_key_result:
            told = f"is the objective of row {found.row} again: remove one, or give them ids"
            self.read.problem(number, Column.OBJECTIVE, told)
        if title is not None and _same(title) != _same(found.title):
            told = f"has the id of row {found.row}, and another title: {shown(title)}"
            self.read.problem(number, Column.OBJECTIVE, told)
        if id is not None:
            owner = self.owners.of_objective(number, row, told=False)
            if owner is not None and owner != found.owner:
                told = (
                    f"gives the objective of row {found.row} a second owner: name whoever owns the "
                    "key result in a column of its own (key_result_owner)"
                )
                self.read.problem(number, Column.OWNER, told)
        self._repeated(number, row, found)
        return found

    def _repeated(self, number: int, row: Row, objective: _Objective) -> None:
        """What a row says again of its objective; where it differs, the first row has it."""
        if Column.PARENT in row and objective.parent is None:
            objective.parent = (number, row[Column.PARENT])
        elif (
            Column.PARENT in row and objective.parent and objective.parent[1] != row[Column.PARENT]
        ):
            told = "is another parent than the objective's first row names: left out"
            self.read.warn(number, Column.PARENT, told)
        if Column.WHY in row and objective.why is None:
            objective.why = self.read.text(row, number, Column.WHY)
        elif Column.WHY in row and row[Column.WHY] != objective.why:
            told = "is another text than the objective's first row has: left out"
            self.read.warn(number, Column.WHY, told)

    def _left_out(self, number: int, row: Row, columns: tuple[Column, ...], why: str) -> None:
        for column in columns:
            if column in row:
                self.read.warn(number, column, f"{why}: left out")

    def _objective(self, number: int, row: Row, column: Column) -> _Objective:
        """A new one; where it has a problem, what belongs to it is still looked at."""
        before = len(self.notes.problems)
        title = None
        if column in row:
            title = self.read.title(row[column], number, column)
        else:
            self.read.problem(number, column, "is blank: an objective needs a title")
        owner = self.owners.of_objective(number, row, told=True)
        at = self.periods.of(number, row, told=True)
        id = row.get(Column.OBJECTIVE_ID)
        if id is None and (self.typed or Column.KEY_RESULT not in row):
            id = row.get(Column.ID)
        if id is not None:
            id = self.read.fit(key_of, " ".join(id.split()), number, Column.ID)
        why = self.read.text(row, number, Column.WHY)
        result = self._result(number, row)
        if self.typed or Column.KEY_RESULT not in row:
            self._left_out(number, row, _FIGURES, "is a key result's, not an objective's")
        if len(self.notes.problems) > before or title is None or owner is None or at is None:
            self.broken.append(_Objective(number, title or "", id, owner or "", at or _UNKNOWN))
            return self.broken[-1]
        made = _Objective(number, title, id, owner, at, why=why, result_text=result)
        if Column.PARENT in row:
            made.parent = (number, row[Column.PARENT])
        self.objectives.append(made)
        self._index(made)
        return made

    def _result(self, number: int, row: Row) -> str | None:
        column = Column.OBJECTIVE_STATUS
        if column not in row and Column.KEY_RESULT not in row:
            column = Column.STATUS
        status = self.read.status(row, number, column)
        if status in (Reported.DONE, Reported.CANCELLED):
            told = "an objective's done and cancelled are kept as the result that was reported"
            self.read.warn(number, column, told)
            return f"Reported as “{row[column]}”."
        if status in (Reported.ON_TRACK, Reported.AT_RISK, Reported.OFF_TRACK):
            told = "an objective's health follows from its key results: left out"
            self.read.warn(number, column, told)
        return None

    def _key_result(self, number: int, row: Row, objective: _Objective, *, follows: bool) -> None:
        """`follows`: the row names an owner of its own, and not the objective's."""
        column = self._title_column(row, "key_result")
        if column not in row:
            self.read.problem(number, column, "is blank: a key result needs a title")
            return
        title = self.read.title(row[column], number, column)
        id = row.get(Column.KEY_RESULT_ID) or row.get(Column.ID)
        if id is not None:
            id = self.read.fit(key_of, " ".join(id.split()), number, Column.KEY_RESULT_ID)
        owner = self.owners.of_key_result(number, row, follows=follows)
        if follows:
            told = "is not told of a key result"
            self._left_out(number, row, (Column.WHY, *(() if self.typed else _PARENT)), told)
        if follows and (Column.PERIOD in row or Column.STARTS_ON in row):
            at = self.periods.of(number, row, told=True)
            if at is not None and at != objective.period != _UNKNOWN:
                told = f"is {at.name}, and its objective (row {objective.row}) is of "
                self.read.problem(number, Column.PERIOD, told + objective.period.name)
        if title is None:
            return
        made = _KeyResult(number, title, id, row, owner, objective)
        objective.key_results.append(made)
        self._index(made)

    def _index(self, goal: _Objective | _KeyResult) -> None:
        if goal.id is not None:
            self.by_id.setdefault(goal.id, []).append(goal)
        self.by_title.setdefault(_same(goal.title), []).append(goal)

    # Parents

    def _found(self, text: str) -> list[_Objective | _KeyResult]:
        text = " ".join(text.split())
        return self.by_id.get(text) or self.by_title.get(_same(text)) or []

    def _objective_named(self, number: int, row: Row, text: str) -> _Objective | None:
        column = next(c for c in (Column.PARENT, Column.OBJECTIVE_ID, Column.OBJECTIVE) if c in row)
        known = [one for one in self._found(text) if isinstance(one, _Objective)]
        if len(known) > 1 and (at := self.periods.of(number, row, told=False)) is not None:
            known = [one for one in known if one.period == at]
        if len(known) == 1:
            return known[0]
        told = f"{shown(text)} is no objective of this file: name its id, or its whole title"
        if known:
            rows = ", ".join(str(one.row) for one in known[:5])
            told = f"{shown(text)} may be the objective of row {rows}: give them ids, and name one"
        self.read.problem(number, column, told)
        return None

    def _resolve_parent(self, objective: _Objective) -> None:
        if objective.parent is None:
            return
        number, text = objective.parent
        whole = self._found(text)
        names = [text] if whole else [one for one in re.split(r"[;\n]", text) if one.strip()]
        for name in names:
            known = self._found(name)
            here = [one for one in known if _period_of(one) == objective.period]
            # A key result may be called as its objective is: then the objective is meant.
            here = [one for one in here if isinstance(one, _Objective)] or here
            if len(here) > 1:
                rows = ", ".join(str(one.row) for one in here[:5])
                told = f"{shown(name)} may be row {rows}: give them ids, and name one"
                self.read.problem(number, Column.PARENT, told)
            elif here:
                if here[0] not in objective.supports:
                    objective.supports.append(here[0])
            elif known:
                told = "is of another period: alignments are within one, and this one is left out"
                self.read.warn(number, Column.PARENT, told)
            else:
                told = f"{shown(name)} is no goal of this file: name its id, or its whole title"
                self.read.problem(number, Column.PARENT, told)

    def _refuse_loops(self) -> None:
        above = {one: {_objective_of(goal) for goal in one.supports} for one in self.objectives}
        try:
            TopologicalSorter(above).prepare()
        except CycleError as loop:
            rows = [one.row for one in loop.args[1]]
            told = f"leads back to itself, by way of row {', '.join(map(str, rows[:10]))}"
            self.read.problem(min(rows), Column.PARENT, f"{told}: remove one of these parents")

    def _refuse_same_keys(self) -> None:
        seen: dict[str, int] = {}
        goals: list[_Objective | _KeyResult] = [*self.objectives]
        goals += [one for objective in self.objectives for one in objective.key_results]
        for goal in goals:
            key = stable_key(*goal.parts)
            if key in seen:
                told = f"is row {seen[key]} again: remove one, or tell them apart by ids or titles"
                self.notes.problem(goal.row, None, told)
            seen.setdefault(key, goal.row)

    # Items

    def _item(self, objective: _Objective) -> ObjectiveItem:
        supports = tuple(stable_key(*one.parts) for one in objective.supports)
        found = [self._key_result_item(one) for one in objective.key_results]
        return ObjectiveItem(
            key=stable_key(*objective.parts),
            owner=objective.owner,
            title=objective.title,
            why=objective.why,
            supports=supports or None,
            result_text=objective.result_text,
            key_results=tuple(one for one in found if one is not None),
        )

    def _key_result_item(self, one: _KeyResult) -> KeyResultItem | None:
        row, number = one.cells, one.row
        measured = self.read.measured(row, number, one.title)
        if measured is None:
            return None
        told = (row.get(c, "") for c in _REPORTS)
        # What is reported anew is another check-in; what was reported is found again.
        key = stable_key(*one.parts, sha256("\x00".join(told).encode()).hexdigest()[:12])
        check_in = self.read.check_in(row, number, measured, key)
        return KeyResultItem(
            key=stable_key(*one.parts),
            title=one.title,
            measure=measured.measure,
            weight=self.read.weight(row, number),
            owner=None if one.owner == one.objective.owner else one.owner,
            check_ins=() if check_in is None else (check_in,),
            score=self.read.share(row, number, Column.SCORE),
        )

    def _document(
        self, at: Period, objectives: list[ObjectiveItem], company: str | None
    ) -> ImportDocument:
        used = {one.owner for one in objectives}
        used |= {one.owner for o in objectives for one in o.key_results if one.owner is not None}
        override = self.owners.override()
        used |= {override.by} if override else set()
        people = self.owners.people_beside(used)
        used |= {team for person in people for team in person.teams}
        used |= {company} if company else set()
        return ImportDocument(
            source=self.mapping.source,
            organization=self.mapping.organization,
            cycle=CycleItem(
                name=at.name,
                starts_on=at.starts_on,
                ends_on=at.ends_on,
                phase=self.mapping.phase,
                override=override,
            ),
            people=people,
            owners=self.owners.teams_among(used, company),
            objectives=tuple(objectives),
        )


_REPORTS = (
    Column.CURRENT,
    Column.PROGRESS,
    Column.STATUS,
    Column.CONFIDENCE,
    Column.COMMENT,
    Column.UPDATED_ON,
)


_PARENT = (Column.PARENT,)
_FIGURES = (
    Column.KIND,
    Column.START,
    Column.TARGET,
    Column.CURRENT,
    Column.PROGRESS,
    Column.UNIT,
    Column.SCORE,
    Column.CONFIDENCE,
    Column.WEIGHT,
    Column.COMMENT,
)


def _objective_of(goal: _Objective | _KeyResult) -> _Objective:
    return goal if isinstance(goal, _Objective) else goal.objective


def _period_of(goal: _Objective | _KeyResult) -> Period:
    return _objective_of(goal).period
