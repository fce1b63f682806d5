"""A CSV file as a table: how it is encoded and written, where its heading is, what its rows say.

Nothing here knows what the columns mean, beyond their names.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.application.import_csv_mapping import COLUMN_OF, Column, CsvMapping, folded, needed_columns
from app.application.import_csv_values import shown
from app.application.import_document import DocumentInvalid

MAX_BYTES = 20_000_000
MAX_ROWS = 10_000
"""Beside blank ones: as many as one import takes in a few minutes."""
MAX_CELL = 10_000
_MAX_LINES = 100_000
_MAX_COLUMNS = 200
_MAX_TOLD = 100
_HEADING_WITHIN = 20
_DELIMITERS = (",", ";", "\t")
_BRACKETED = re.compile(r"\s*[(\[].*?[)\]]\s*$")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class CsvInvalid(DocumentInvalid):
    """The file cannot be used; `notes` say where, and what to change. Nothing of it is recorded."""

    def __init__(self, notes: list[Note]) -> None:
        self.notes = notes[:_MAX_TOLD]
        more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
        errors = [{"pointer": "/csv", "detail": str(note)} for note in self.notes]
        super().__init__(f"{notes[0]}{more}", errors=errors)


@dataclass(slots=True)
class Note:
    """What is to be said of a row or of the whole file; rows count as a spreadsheet shows them."""

    row: int | None
    column: str | None
    detail: str
    more: int = 0
    last_row: int | None = None

    def __str__(self) -> str:
        where = [] if self.row is None else [f"row {self.row}"]
        where += [] if self.column is None else [self.column]
        others = f" (and so in {self.more} more rows)" if self.more else ""
        return f"{', '.join(where) or 'the file'}: {self.detail}{others}"


@dataclass(slots=True)
class Notes:
    """Problems and warnings as they come; of those that are alike, the first and how many."""

    problems: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)
    _alike: dict[tuple[str | None, str], Note] = field(default_factory=dict)

    def problem(self, row: int | None, column: str | None, detail: str) -> None:
        self.problems.append(Note(row, column, detail))

    def warn(self, row: int | None, column: str | None, detail: str) -> None:
        known = self._alike.get((column, detail))
        if known is not None:
            known.more += known.last_row != row
            known.last_row = row
            return
        note = self._alike[column, detail] = Note(row, column, detail, last_row=row)
        self.warnings.append(note)

    def settle(self) -> None:
        """Raise CsvInvalid where there is a problem, with all of them in the order of the rows."""
        if self.problems:
            self.problems.sort(key=lambda note: note.row or 0)
            raise CsvInvalid(self.problems)


@dataclass(slots=True)
class Table:
    """Rows with their numbers; a blank cell is not there. `headings` are as the file has them."""

    headings: dict[Column, str]
    rows: list[tuple[int, dict[Column, str]]]
    delimiter: str

    def cells(self, *columns: Column) -> Iterator[str]:
        for _, row in self.rows:
            for column in columns:
                if column in row:
                    yield row[column]


def decode(data: bytes, notes: Notes) -> str:
    """The text of a file, in UTF-8, UTF-16 or Windows-1252. Raises CsvInvalid."""
    if len(data) > MAX_BYTES:
        told = f"has {len(data):,} bytes, and may have {MAX_BYTES:,}: split it by period"
        raise CsvInvalid([Note(None, None, told)])
    encoding = "utf-8-sig"
    head = data[:1000]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif len(head) > 3 and head[1::2].count(0) > 0.4 * len(head):
        encoding = "utf-16-le"
    elif len(head) > 3 and head[::2].count(0) > 0.4 * len(head):
        encoding = "utf-16-be"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8-sig":
            told = "begins as UTF-16 and does not go on so: export it again, as CSV in UTF-8"
            raise CsvInvalid([Note(None, None, told)]) from None
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        told = "is neither UTF-8, UTF-16 nor Windows-1252: export it again, as CSV in UTF-8"
        raise CsvInvalid([Note(None, None, told)]) from None
    notes.warn(None, None, "is not UTF-8: read as Windows-1252; look at the letters beyond A to Z")
    return text


def read_table(text: str, mapping: CsvMapping, notes: Notes) -> Table:
    """Find the delimiter and the heading, and read the rows. Raises CsvInvalid."""
    text = text.removeprefix("\ufeff")
    stated: str | None = mapping.delimiter
    lines = 0
    declared = re.match(r"sep=([,;\t])\r?\n", text, re.IGNORECASE)
    if declared is not None:
        stated, lines, text = stated or declared[1], 1, text[declared.end() :]
    delimiter, heading_at, headings = _heading(text, stated, mapping)
    _refuse_unusable(headings, mapping)
    columns = _columns(headings, mapping, notes)
    rows: list[tuple[int, dict[Column, str]]] = []
    for index, cells in _records(text, delimiter, lines):
        number = index + lines + 1
        if index <= heading_at:
            continue
        if index >= _MAX_LINES or len(rows) >= MAX_ROWS:
            told = f"has more than {MAX_ROWS:,} rows: split it, best by period, and import each"
            raise CsvInvalid([Note(None, None, told)])
        row = _row(number, cells, columns, headings, notes)
        if row:
            rows.append((number, row))
    if heading_at + lines > 0 and declared is None:
        notes.warn(heading_at + 1, None, "is taken for the heading; rows above it are left out")
    if not rows:
        notes.problem(None, None, "has a heading, and no rows below it")
    notes.settle()
    return Table({c: headings[at] for c, at in columns.items()}, rows, delimiter)


def _row(
    number: int, cells: list[str], columns: dict[Column, int], headings: list[str], notes: Notes
) -> dict[Column, str]:
    row: dict[Column, str] = {}
    for column, at in columns.items():
        cell = cells[at].strip() if at < len(cells) else ""
        if not cell:
            continue
        if len(cell) > MAX_CELL:
            told = f"has {len(cell):,} characters, and may have {MAX_CELL:,}: shorten it"
            notes.problem(number, headings[at], told)
        elif (found := _CONTROL.search(cell)) is not None:
            told = f"has the control character {found[0]!r}: remove it (NUL: export it as UTF-8)"
            notes.problem(number, headings[at], told)
        else:
            row[column] = cell
    if any(cell.strip() for cell in cells[len(headings) :]):
        told = "has more cells than the heading: put text that holds the delimiter into quotes"
        notes.problem(number, None, told)
    return row


def _records(text: str, delimiter: str, lines: int) -> Iterator[tuple[int, list[str]]]:
    """Records by index, blank ones too; a line break in quotes is part of its cell."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    index = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as broken:
            raise CsvInvalid([Note(index + lines + 1, None, _mend(str(broken)))]) from broken
        yield index, cells
        index += 1


def _mend(broken: str) -> str:
    if "field limit" in broken:
        return f"has a cell far beyond {MAX_CELL:,} characters: shorten it"
    if "unexpected end" in broken:
        return "opens a quote that is never closed: add the closing quote"
    if "expected after" in broken:
        return "goes on behind a closing quote: write a quote inside of quotes twice"
    return f"cannot be read: {broken}"


# The heading ------------------------------------------------------------------------------


def _heading(text: str, stated: str | None, mapping: CsvMapping) -> tuple[str, int, list[str]]:
    """The delimiter and the row by which most columns are recognised."""
    best: tuple[int, int, str, int, list[str]] | None = None
    broken: CsvInvalid | None = None
    for delimiter in _DELIMITERS if stated is None else (stated,):
        is_told = False
        try:
            for index, cells in _records(text, delimiter, 0):
                if index >= _HEADING_WITHIN:
                    break
                headings = [" ".join(cell.split()) for cell in cells]
                known = len(_recognised(headings, mapping))
                # Where nothing is recognised, it is the first row that is told as the heading.
                width = len(cells) if known or not is_told else 0
                is_told = is_told or any(headings)
                if any(headings) and (best is None or (known, width) > best[:2]):
                    best = (known, width, delimiter, index, headings)
        except CsvInvalid as unreadable:
            broken = broken or unreadable
    if best is None:
        raise broken or CsvInvalid([Note(None, None, "is empty: export it again, with a heading")])
    _, _, delimiter, index, headings = best
    while headings and not headings[-1]:
        headings.pop()
    return delimiter, index, headings


def _recognised(headings: list[str], mapping: CsvMapping) -> dict[Column, list[int]]:
    """Where each column of ours may be; the mapping goes before names that are usual."""
    stated = {folded(name): column for column, name in mapping.columns.items()}
    found: dict[Column, list[int]] = {}
    usual: list[tuple[int, Column]] = []
    for at, heading in enumerate(headings):
        word = folded(heading)
        bare = folded(_BRACKETED.sub("", heading))
        if word in stated:
            found.setdefault(stated[word], []).append(at)
        elif column := COLUMN_OF.get(word) or COLUMN_OF.get(bare):
            usual.append((at, column))
    taken = set(mapping.columns)
    for at, column in usual:
        if column not in taken:
            found.setdefault(column, []).append(at)
    return found


def _refuse_unusable(headings: list[str], mapping: CsvMapping) -> None:
    if len(headings) > _MAX_COLUMNS:
        told = f"has {len(headings)} columns, and may have {_MAX_COLUMNS}: remove those not needed"
        raise CsvInvalid([Note(None, None, told)])
    known = {folded(heading) for heading in headings}
    listed = ", ".join(shown(heading) for heading in headings if heading)
    missing = [name for name in mapping.columns.values() if folded(name) not in known]
    if missing:
        told = f"has no column {', '.join(map(shown, missing))}, which the mapping names; it has "
        raise CsvInvalid([Note(None, None, told + listed)])
    found = _recognised(headings, mapping).keys()
    titles = {Column.TITLE, Column.OBJECTIVE, Column.KEY_RESULT} & found
    if {Column.OBJECTIVE, Column.KEY_RESULT} <= found or (Column.TYPE in found and titles):
        return
    told = (
        f"has the columns {listed}; needed are {' '.join(needed_columns())}: rename them, or name "
        "them under [columns] in a mapping (`okr import --example-mapping`)"
    )
    raise CsvInvalid([Note(None, None, told)])


def _columns(headings: list[str], mapping: CsvMapping, notes: Notes) -> dict[Column, int]:
    columns: dict[Column, int] = {}
    found = _recognised(headings, mapping)
    for column, places in found.items():
        columns[column] = places[0]
        if len(places) > 1:
            names = " and ".join(shown(headings[at]) for at in places)
            told = f"both {names} may be `{column}`: say which under [columns] in the mapping"
            notes.problem(None, None, told)
    used = set(columns.values())
    unused = [name for at, name in enumerate(headings) if name and at not in used]
    if unused:
        told = f"columns that are not used: {', '.join(map(shown, unused[:50]))}"
        notes.warn(None, None, told)
    notes.settle()
    return columns
