"""Periods of the goals in a table: each is a cycle to import."""

from __future__ import annotations

from app.application.import_csv_goals import GoalReader, Row
from app.application.import_csv_mapping import Column, CsvMapping, folded
from app.application.import_csv_values import Period, Unreadable, between, day, period


class Periods:
    """Tells periods by what a table calls them; those of the same days are one."""

    def __init__(self, mapping: CsvMapping, read: GoalReader) -> None:
        self.mapping = mapping
        self.read = read
        self.known: dict[tuple[object, object], Period] = {}
        self.read_periods: dict[str, Period] = {}
        self.period_words = {folded(word): ours for word, ours in mapping.periods.items()}

    def of(self, number: int, row: Row, *, told: bool) -> Period | None:
        column = Column.PERIOD
        try:
            if Column.PERIOD in row:
                found = self._named(number, row[Column.PERIOD], told=told)
            elif Column.STARTS_ON in row and Column.ENDS_ON in row:
                column = Column.STARTS_ON
                first, last = (row[one] for one in (Column.STARTS_ON, Column.ENDS_ON))
                found = between(day(first, self.read.order), day(last, self.read.order))
            elif self.mapping.period is not None:
                found = self._named(number, self.mapping.period, told=told)
            else:
                raise Unreadable("is blank: name the period, or `period` in the mapping")
        except Unreadable as unreadable:
            if told:
                self.read.problem(number, column, str(unreadable))
            return None
        # However it is written, what has the same days is the same cycle.
        return self.known.setdefault((found.starts_on, found.ends_on), found)

    def _named(self, number: int, text: str, *, told: bool) -> Period:
        starts = self.mapping.fiscal_year_starts
        found = self.read_periods.get(text)
        if found is None:
            ours = self.period_words.get(folded(text), text)
            found = self.read_periods[text] = period(ours, self.read.order, starts or 1)
        if found.fiscal and starts is None and told:
            told_ = "fiscal years are taken to begin in January: say `fiscal_year_starts`"
            self.read.warn(number, Column.PERIOD, f"{told_} in the mapping")
        return found
