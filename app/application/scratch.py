"""Rows that are made of events and then compared: in memory, and on disk where they are many."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from app.projections.changes import Key, Row, table_name
from app.projections.rows import MemoryRows, key_of, record

MOST_ROWS = 100_000
"""In memory, of some 0.5 kB each."""
_CACHE_KIB = 32_768
"""Of what is on disk."""
_ASKED_TOGETHER = 500


class Scratch:
    """Rows of one organisation, by table and key. They are this process's, and gone with it.

    Postgres is asked for nothing: this works where nothing may be written, too.
    """

    def __init__(self, disk: sqlite3.Connection, most: int) -> None:
        self._here = MemoryRows()
        self._most = most
        self._disk = disk
        self._has_spilt = False

    def load(self, places: Mapping[Row, Collection[Key]]) -> MemoryRows:
        """Those rows of these that are there."""
        return MemoryRows({table: self._find(table, keys) for table, keys in places.items()})

    def save(self, places: Mapping[Row, Collection[Key]], rows: MemoryRows) -> None:
        """Have the rows of these places be those, and no others."""
        for table, keys in places.items():
            self._forget(table, keys)
            here, there = self._here.tables.setdefault(table, {}), rows.tables.get(table, {})
            here.update((key, there[key]) for key in keys if key in there)
        self._spill(self._here.count - self._most)

    def take(self, table: Row, keys: Collection[Key]) -> dict[Key, Any]:
        """Like `load`, of one table, and they are there no more."""
        found = self._find(table, keys)
        self._forget(table, found)
        return found

    def left(self, table: Row) -> Iterator[Key]:
        """The keys of all rows of a table that are there."""
        yield from self._here.tables.get(table, ())
        if self._has_spilt:
            sql = "SELECT held FROM rows WHERE kind = ? ORDER BY key"
            for (held,) in self._disk.execute(sql, (table_name(table),)):
                yield key_of(table, _read(table, held))

    def _find(self, table: Row, keys: Collection[Key]) -> dict[Key, Any]:
        here = self._here.tables.get(table, {})
        found = {key: here[key] for key in keys if key in here}
        if self._has_spilt:
            texts = [_text(key) for key in keys if key not in here]
            for first in range(0, len(texts), _ASKED_TOGETHER):
                some = texts[first : first + _ASKED_TOGETHER]
                slots = ", ".join("?" * len(some))
                sql = f"SELECT held FROM rows WHERE kind = ? AND key IN ({slots})"  # noqa: S608
                for (held,) in self._disk.execute(sql, (table_name(table), *some)):
                    row = _read(table, held)
                    found[key_of(table, row)] = row
        return found

    def _forget(self, table: Row, keys: Collection[Key]) -> None:
        here = self._here.tables.get(table, {})
        for key in keys:
            here.pop(key, None)
        if self._has_spilt:
            self._disk.executemany(
                "DELETE FROM rows WHERE kind = ? AND key = ?",
                ((table_name(table), _text(key)) for key in keys),
            )

    def _spill(self, excess: int) -> None:
        """Put so many rows on disk, of the largest tables those that were saved longest ago."""
        for table, rows in sorted(self._here.tables.items(), key=_size, reverse=True):
            if excess <= 0:
                return
            gone = list(islice(rows, excess))
            self._disk.executemany(
                "INSERT INTO rows VALUES (?, ?, ?)",
                (
                    (table_name(table), _text(key), pickle.dumps(tuple(rows.pop(key))))
                    for key in gone
                ),
            )
            self._has_spilt = True
            excess -= len(gone)


def _size(of_table: tuple[Row, dict[Key, Any]]) -> int:
    return len(of_table[1])


@contextmanager
def scratch(most: int = MOST_ROWS) -> Iterator[Scratch]:
    """An empty one, with so many rows in memory. The others are in a file without a name."""
    disk = sqlite3.connect("", isolation_level=None)
    try:
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            disk.execute(f"PRAGMA {setting}")
        # It is never committed: whoever reads it is here.
        disk.execute("BEGIN")
        disk.execute(
            "CREATE TABLE rows (kind TEXT, key TEXT, held BLOB, PRIMARY KEY (kind, key)) "
            "WITHOUT ROWID"
        )
        yield Scratch(disk, most)
    finally:
        disk.close()


def _read(table: Row, held: bytes) -> Any:
    return record(table, pickle.loads(held))  # noqa: S301 (of our own making)


def _text(key: Key) -> str:
    # No text that a client may send holds a control character.
    return "\x1f".join(map(str, key))
