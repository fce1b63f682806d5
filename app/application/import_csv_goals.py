"""What a row says of a key result: its measure, and its last check-in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from app.application.import_csv_mapping import STATUS_OF, Column, CsvMapping, Reported, folded
from app.application.import_csv_table import Notes, Table
from app.application.import_csv_values import (
    Amount,
    DecimalMark,
    Unreadable,
    amount,
    day,
    order_shown,
    same_unit,
    shown,
    unit_named,
    yes_or_no,
)
from app.application.import_document import CheckInItem
from app.domain.key_result import Weight
from app.domain.measures import AnyMeasure, Baseline, Metric, Milestone, Threshold
from app.domain.values import Health, Key, Line, Number, Prose, Share

T = TypeVar("T")
Row = dict[Column, str]
line: TypeAdapter[str] = TypeAdapter(Line)
prose: TypeAdapter[str] = TypeAdapter(Prose)
key_of: TypeAdapter[str] = TypeAdapter(Key)
_number: TypeAdapter[Decimal] = TypeAdapter(Number)
_share: TypeAdapter[Decimal] = TypeAdapter(Share)
_weight: TypeAdapter[Decimal] = TypeAdapter(Weight)

_KINDS: dict[str, str] = {
    folded(word): kind
    for kind, words in {
        "metric": "metric, number, numeric, numerical, currency, amount, increase, decrease, zahl, "
        "numerisch, währung, kennzahl, metrik",
        "percent": "percent, percentage, %, prozent",
        "milestone": "milestone, boolean, bool, binary, yes/no, done/not done, achieved/not "
        "achieved, meilenstein, ja/nein, binär",
        "at_least": "at least, stay above, keep above, minimum, mindestens",
        "at_most": "at most, stay below, keep below, maximum, höchstens",
        "baseline": "baseline, to be measured, basismessung",
    }.items()
    for word in words.split(",")
}
_NUMBERS = (
    Column.START,
    Column.TARGET,
    Column.CURRENT,
    Column.PROGRESS,
    Column.SCORE,
    Column.CONFIDENCE,
    Column.WEIGHT,
)
_DAYS = (Column.PERIOD, Column.STARTS_ON, Column.ENDS_ON, Column.UPDATED_ON)
_NOTHING = {"", "n/a", "na", "none", "null", "k. a.", "k.a.", "\u2013", "\u2014", "?"}
_ERROR = re.compile(r"#(?:REF|N/A|DIV/0|VALUE|NAME|NUM|NULL|WERT|BEZUG|NV|ZAHL)[!?]?")
_BREAK = re.compile(r"\s*[\t\r\n\x85\u2028\u2029]\s*")
_FALLS = re.compile(
    r"\b(reduce|decrease|lower|cut|shorten|fewer|less|drop|senken?|reduzieren|verringern|"
    r"verkürzen|weniger)\b",
    re.IGNORECASE,
)
_HEALTH = {
    Reported.ON_TRACK: Health.ON_TRACK,
    Reported.AT_RISK: Health.AT_RISK,
    Reported.OFF_TRACK: Health.OFF_TRACK,
}


class Measured(NamedTuple):
    """What a row's numbers say; `value` is the current one."""

    measure: AnyMeasure
    value: bool | Decimal | None


def is_kind(text: str) -> bool:
    return folded(text) in _KINDS


class GoalReader:
    """Reads the cells of rows. How numbers and days are written is known from all of them."""

    def __init__(self, table: Table, mapping: CsvMapping, notes: Notes) -> None:
        self.table = table
        self.mapping = mapping
        self.notes = notes
        self.order = mapping.dates or order_shown(table.cells(*_DAYS))
        self.statuses = {folded(word): status for word, status in mapping.statuses.items()}
        self.mark: DecimalMark = self._decimal_mark()
        self.shares = self._progress_is_in_shares()

    def _amounts(self, *columns: Column) -> Iterable[tuple[int, Amount]]:
        for number, row in self.table.rows:
            for column in columns:
                if column in row:
                    try:
                        yield number, amount(row[column])
                    except Unreadable:
                        continue

    def _decimal_mark(self) -> DecimalMark:
        """As stated, else as most numbers show, else as files with this delimiter usually have."""
        if self.mapping.decimal is not None:
            return self.mapping.decimal
        evidence: dict[DecimalMark, tuple[int, str]] = {}
        counts: dict[DecimalMark, int] = {".": 0, ",": 0}
        doubtful: tuple[int, Amount] | None = None
        for number, one in self._amounts(*_NUMBERS):
            if one.mark is not None:
                counts[one.mark] += 1
                evidence.setdefault(one.mark, (number, one.text))
            elif one.is_ambiguous:
                doubtful = doubtful or (number, one)
        if evidence:
            mark: DecimalMark = "." if counts["."] >= counts[","] else ","
            if mark == "," or doubtful is not None:
                row, text = evidence[mark]
                told = f"numbers are read with the decimal mark {mark!r}, as {shown(text)} shows"
                self.notes.warn(row, None, told)
            return mark
        mark = "," if self.table.delimiter == ";" else "."
        if doubtful is not None:
            row, one = doubtful
            told = (
                f"{shown(one.text)} is read as {one.value(mark):f}, with the decimal mark "
                f"{mark!r}; if that is wrong, say `decimal` in the mapping"
            )
            self.notes.warn(row, None, told)
        return mark

    def _progress_is_in_shares(self) -> bool:
        """Whether progress is written from 0 to 1, and not in percent."""
        found = False
        for number, one in self._amounts(Column.PROGRESS):
            try:
                value = one.value(self.mark)
            except Unreadable:
                continue
            if one.unit is not None or abs(value) > 1:
                return False
            if not found and value:
                found, row = True, number
        if found:
            told = "is read as a share from 0 to 1; write 70 % where percent are meant"
            self.notes.warn(row, self._heading(Column.PROGRESS), told)
        return found

    def _heading(self, column: Column) -> str:
        return self.table.headings.get(column, str(column))

    # Cells

    def problem(self, number: int, column: Column, detail: str) -> None:
        self.notes.problem(number, self._heading(column), detail)

    def warn(self, number: int, column: Column, detail: str) -> None:
        self.notes.warn(number, self._heading(column), detail)

    def fit(self, adapter: TypeAdapter[T], value: Any, number: int, column: Column) -> T | None:
        """The value, or None and a problem."""
        try:
            return adapter.validate_python(value)
        except ValidationError as invalid:
            said = invalid.errors()[0]["msg"].removeprefix("Value error, ")
            self.problem(number, column, f"{shown(str(value))}: {said}")
            return None

    def title(self, text: str, number: int, column: Column) -> str | None:
        if _ERROR.fullmatch(text):
            self.problem(number, column, f"{shown(text)} is a formula's error: mend the formula")
            return None
        one_line = _BREAK.sub(" ", text)
        if one_line != text:
            self.warn(number, column, "has a line break: it became a space")
        if text[0] in "=@":
            told = "begins as a formula does: kept as text, and never worked out"
            self.warn(number, column, told)
        return self.fit(line, one_line, number, column)

    def text(self, row: Row, number: int, column: Column) -> str | None:
        if column not in row:
            return None
        if row[column][0] in "=@":
            told = "begins as a formula does: kept as text, and never worked out"
            self.warn(number, column, told)
        return self.fit(prose, row[column], number, column)

    def amount(self, row: Row, number: int, column: Column) -> tuple[Decimal, str | None] | None:
        """A number and its unit; None where there is none, or it is a problem."""
        text = row.get(column, "")
        if folded(text) in _NOTHING:
            if text:
                self.warn(number, column, f"{shown(text)} is read as no value")
            return None
        if text.startswith("="):
            told = f"{shown(text)} is a formula: export the values, not the formulas"
            self.problem(number, column, told)
            return None
        try:
            one = amount(text)
            value = one.value(self.mark)
        except Unreadable as unreadable:
            self.problem(number, column, str(unreadable))
            return None
        if one.factor > 1:
            self.warn(number, column, f"{shown(text)} is read as {value:f}")
        fitting = self.fit(_number, value, number, column)
        return None if fitting is None else (fitting, one.unit)

    def share(self, row: Row, number: int, column: Column) -> Decimal | None:
        """From 0 to 1, or in percent."""
        found = self.amount(row, number, column)
        if found is None:
            return None
        value = found[0] / 100 if found[1] == "%" else found[0]
        if not 0 <= value <= 1:
            told = f"{shown(row[column])}: give it from 0 to 1, or in percent (70 %)"
            self.problem(number, column, told)
            return None
        return self.fit(_share, value, number, column)

    def weight(self, row: Row, number: int) -> Decimal:
        found = self.amount(row, number, Column.WEIGHT)
        if found is None:
            return Decimal(1)
        value = found[0] / 100 if found[1] == "%" else found[0]
        return self.fit(_weight, value, number, Column.WEIGHT) or Decimal(1)

    def status(self, row: Row, number: int, column: Column) -> Reported | None:
        if column not in row:
            return None
        word = folded(row[column])
        found = self.statuses.get(word) or STATUS_OF.get(word)
        if found is None:
            told = (
                f"the status {shown(row[column])} is not known: say what it means under "
                f"[statuses] in the mapping, one of {', '.join(Reported)}"
            )
            self.problem(number, column, told)
        return found

    # Measures

    def measured(self, row: Row, number: int, title: str) -> Measured | None:
        """The measure and the current value; None and a problem where they make no sense."""
        before = len(self.notes.problems)
        kind = self._kind(row, number)
        target_word = yes_or_no(row.get(Column.TARGET, ""))
        if kind is None and target_word is not None and Column.START not in row:
            kind = "milestone"
        if kind == "milestone":
            return Measured(Milestone(), self._reached(row, number))
        start = self.amount(row, number, Column.START)
        target = self.amount(row, number, Column.TARGET)
        current = self.amount(row, number, Column.CURRENT)
        if len(self.notes.problems) > before:
            return None
        if target is None and kind in (None, "percent", "metric"):
            return self._without_target(row, number, start, current, kind)
        unit = self._unit(row, number, kind, (start, target, current))
        value = None if current is None else current[0]
        if kind == "baseline":
            return Measured(Baseline(unit=unit), value)
        if target is None:
            self.problem(number, Column.TARGET, f"is blank: {kind} needs a limit to hold")
            return None
        if kind == "at_least" or kind == "at_most":
            return Measured(Threshold(unit=unit, bound=kind, limit=target[0]), value)
        baseline = self._start(number, start, target[0], title)
        if baseline is None:
            return None
        if baseline == target[0]:
            told = (
                "is the same as the start: a metric goes from one to another; for a limit to "
                "hold, say at least or at most in the column `kind`"
            )
            self.problem(number, Column.TARGET, told)
            return None
        measure = Metric(unit=unit, baseline=baseline, target=target[0])
        if value is None and (progress := self._progress(row, number)) is not None:
            value = round(baseline + progress * (target[0] - baseline), 6)
            told = "the current value is worked out from it, between start and target"
            self.warn(number, Column.PROGRESS, told)
        return Measured(measure, value)

    def _kind(self, row: Row, number: int) -> str | None:
        if Column.KIND not in row:
            return None
        kind = _KINDS.get(folded(row[Column.KIND]))
        if kind is None:
            told = f"{shown(row[Column.KIND])} is not known: write number, percent, milestone, "
            self.problem(number, Column.KIND, told + "at least, at most or baseline")
        return kind

    def _reached(self, row: Row, number: int) -> bool | None:
        for column in (Column.CURRENT, Column.PROGRESS):
            if column not in row:
                continue
            word = yes_or_no(row[column])
            if word is not None:
                return word
            found = self.amount(row, number, column)
            if found is None:
                continue
            whole = Decimal(1) if found[1] is None and abs(found[0]) <= 1 else Decimal(100)
            if found[0] in (Decimal(0), whole):
                return found[0] != 0
            told = "a milestone is reached or not: what lies between is left out"
            self.warn(number, column, told)
        return None

    def _without_target(
        self,
        row: Row,
        number: int,
        start: tuple[Decimal, str | None] | None,
        current: tuple[Decimal, str | None] | None,
        kind: str | None,
    ) -> Measured | None:
        if start is not None or current is not None or kind is not None:
            self.problem(number, Column.TARGET, "is blank: give the value to reach")
            return None
        if Column.PROGRESS in self.table.headings:
            self.warn(number, Column.PROGRESS, "without a target, it is the metric: 0 to 100 %")
            progress = self._progress(row, number)
            value = None if progress is None else progress * 100
            return Measured(Metric(unit="%", baseline=Decimal(0), target=Decimal(100)), value)
        self.warn(number, Column.TARGET, "is blank: taken as a milestone, reached or not")
        return Measured(Milestone(), None)

    def _progress(self, row: Row, number: int) -> Decimal | None:
        found = self.amount(row, number, Column.PROGRESS)
        if found is None:
            return None
        return found[0] if self.shares else found[0] / 100

    def _start(
        self, number: int, start: tuple[Decimal, str | None] | None, target: Decimal, title: str
    ) -> Decimal | None:
        if start is not None:
            return start[0]
        if target == 0 or _FALLS.search(title):
            told = "is blank, and the value seems to fall: give the value to begin from"
            self.problem(number, Column.START, told)
            return None
        self.warn(number, Column.START, "is blank: taken as 0")
        return Decimal(0)

    def _unit(
        self,
        row: Row,
        number: int,
        kind: str | None,
        found: tuple[tuple[Decimal, str | None] | None, ...],
    ) -> str:
        stated = row.get(Column.UNIT) or ("%" if kind == "percent" else None)
        for column, one in zip((Column.START, Column.TARGET, Column.CURRENT), found, strict=True):
            if one is None or one[1] is None:
                continue
            stated = stated or one[1]
            if not same_unit(stated, one[1]):
                told = f"is in {shown(one[1])}, and the unit is {shown(stated)}: use one unit"
                self.problem(number, column, told)
        if stated is None:
            self.warn(number, Column.UNIT, "is blank: taken as 'number'")
            return "number"
        unit = self.fit(line, unit_named(stated), number, Column.UNIT) or "number"
        if unit == "%" and found[1] is not None and found[1][1] is None and 0 < found[1][0] <= 1:
            told = "with the unit %, it is read as it stands: 0.7 is 0.7 %, and not 70 %"
            self.warn(number, Column.TARGET, told)
        return unit

    # Check-ins

    def check_in(self, row: Row, number: int, measured: Measured, key: str) -> CheckInItem | None:
        """What the row reports: value, confidence, judgement and comment, if anything."""
        value = measured.value
        status = self.status(row, number, Column.STATUS)
        confidence = self.share(row, number, Column.CONFIDENCE)
        note = self.text(row, number, Column.COMMENT)
        if status is Reported.DONE and isinstance(measured.measure, Milestone) and value is None:
            value = True
            self.warn(number, Column.STATUS, "a milestone that is done is taken as reached")
        elif status is Reported.CANCELLED or (status is Reported.DONE and value is None):
            reported = f"Reported as “{row[Column.STATUS]}”."
            note = reported if note is None else f"{reported}\n{note}"
            told = f"{status.value} is kept as the check-in's note, and changes no state"
            self.warn(number, Column.STATUS, told)
        if status is Reported.NOT_STARTED and not self._moved(measured):
            value = None
        health = None if status is None else _HEALTH.get(status)
        if value is None and confidence is None and health is None and note is None:
            return None
        if self.mapping.phase in ("planned", "drafting"):
            told = f"check-ins are left out: the mapping brings the cycle to {self.mapping.phase}"
            self.notes.warn(number, None, told)
            return None
        return CheckInItem(
            key=key,
            value=value,
            confidence=confidence,
            health=health,
            note=None if note is None else self.fit(prose, note, number, Column.COMMENT),
            occurred_at=self._occurred_at(row, number),
        )

    def _moved(self, measured: Measured) -> bool:
        if isinstance(measured.measure, Metric):
            return measured.value != measured.measure.baseline
        return bool(measured.value)

    def _occurred_at(self, row: Row, number: int) -> datetime | None:
        """The beginning, in UTC, of the day that is told: it is over by now, wherever one is."""
        if Column.UPDATED_ON not in row:
            return None
        try:
            return datetime.combine(day(row[Column.UPDATED_ON], self.order), time.min, UTC)
        except Unreadable as unreadable:
            self.problem(number, Column.UPDATED_ON, str(unreadable))
            return None
