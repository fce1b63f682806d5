"""Rows of read models, from Postgres as they are now or from memory as they were.

Both answer with the same light records, one named tuple per table, whose fields are the columns.
"""

from __future__ import annotations

from collections import defaultdict, namedtuple
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from sqlmodel import SQLModel

from app.events.statements import Connection
from app.projections.changes import (
    Change,
    Delete,
    Insert,
    Key,
    Row,
    Update,
    columns,
    documents,
    key_columns,
    table_name,
    values_of,
)
from app.projections.writing import ProjectionMismatch

R = TypeVar("R", bound=SQLModel)
Where = Mapping[str, Any]
"""Columns and what they must equal; a list or tuple means one of its members."""


class Rows(Protocol):
    """Where read models are read from."""

    async def get(self, table: type[R], *key: Any) -> R | None:
        """The row with this key (without `org_id`), or None."""
        ...

    async def select(
        self,
        table: type[R],
        where: Where | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> list[R]:
        """Rows that match, in the order in which the ledger made them, after a position."""
        ...


@cache
def record_type(table: Row) -> Any:
    return namedtuple(f"{table.__name__}Record", columns(table))


def record(table: type[R], row: Iterable[Any]) -> R:
    """A record of a table from the values of its columns, in order."""
    return cast(R, record_type(table)._make(row))


# Postgres ---------------------------------------------------------------------------------


class PostgresRows:
    """The live rows of one organisation."""

    def __init__(self, conn: Connection, org_id: UUID) -> None:
        self.conn = conn
        self._org_id = org_id

    async def get(self, table: type[R], *key: Any) -> R | None:
        conditions = " AND ".join(f"{name} = ${i}" for i, name in enumerate(key_columns(table), 2))
        row = await self.conn.fetchrow(
            f"SELECT {column_list(table)} FROM {table_name(table)} "  # noqa: S608 (names from code)
            f"WHERE org_id = $1 AND {conditions}",
            self._org_id,
            *key,
        )
        return None if row is None else record(table, row)

    async def select(
        self,
        table: type[R],
        where: Where | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> list[R]:
        arguments: list[Any] = [self._org_id]
        conditions = ["org_id = $1"]
        for name, wanted in (where or {}).items():
            if name not in columns(table):
                raise ValueError(f"{table_name(table)} has no column {name}")
            if wanted is None:
                conditions.append(f"{name} IS NULL")
                continue
            arguments.append(list(wanted) if isinstance(wanted, list | tuple) else wanted)
            several = isinstance(wanted, list | tuple)
            slot = f"${len(arguments)}"
            conditions.append(f"{name} = ANY({slot})" if several else f"{name} = {slot}")
        order = ""
        if "position" in columns(table):
            order = " ORDER BY position"
            if after:
                arguments.append(after)
                conditions.append(f"position > ${len(arguments)}")
        ties = ties_of(table)
        page = ""
        if limit is not None:
            page = f" FETCH FIRST {limit:d} ROWS {'WITH TIES' if ties else 'ONLY'}"
        sql = (
            f"SELECT {column_list(table)} FROM {table_name(table)} "  # noqa: S608 (names from code)
            f"WHERE {' AND '.join(conditions)}{order}{page}"
        )
        if ties:
            within = ", ".join(f'{name} COLLATE "C"' for name in ties)
            sql = f"SELECT * FROM ({sql}) AS page ORDER BY position, {within}"  # noqa: S608
        rows = await self.conn.fetch(sql, *arguments)
        make = record_type(table)._make
        return [make(row) for row in rows]


@cache
def ties_of(table: Row) -> tuple[str, ...]:
    """What orders the rows that one event led to, where it may lead to several."""
    key = key_columns(table)
    return tuple(name for name in key if name != "position") if "position" in key else ()


@cache
def column_list(table: Row) -> str:
    return ", ".join(columns(table))


# Memory -----------------------------------------------------------------------------------


class MemoryRows:
    """The rows that a replay builds: an organisation as it was.

    Rows are records that never change, only their places do, so that a copy shares them.
    """

    def __init__(self, tables: Mapping[Row, Mapping[Key, Any]] | None = None) -> None:
        self.tables: dict[Row, dict[Key, Any]] = {
            table: dict(rows) for table, rows in (tables or {}).items()
        }
        self._indices: dict[Row, dict[str, dict[Any, list[Any]]]] = {}

    @property
    def count(self) -> int:
        return sum(len(rows) for rows in self.tables.values())

    def copy(self) -> MemoryRows:
        """The same rows, to go on from."""
        return MemoryRows(self.tables)

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            match change:
                case Insert(row=row):
                    table = type(row)
                    made = record_type(table)._make(values_of(row))
                    key = key_of(table, made)
                    rows = self.tables.setdefault(table, {})
                    if key in rows:
                        raise ProjectionMismatch(f"{table_name(table)} {key} is there already")
                    rows[key] = made
                case Update(table=table, key=key, values=new):
                    self.tables[table][key] = self._row(table, key)._replace(**new)
                case Delete(table=table, key=key):
                    self._row(table, key)
                    del self.tables[table][key]
            if self._indices:
                self._indices.pop(table, None)

    def _row(self, table: Row, key: Key) -> Any:
        row = self.tables.get(table, {}).get(key)
        if row is None:
            raise ProjectionMismatch(f"{table_name(table)} {key} is not there")
        return row

    def values(self, table: Row, key: Key) -> dict[str, Any] | None:
        """A row's columns by name, or None."""
        row = self.tables.get(table, {}).get(key)
        return None if row is None else row._asdict()

    async def get(self, table: type[R], *key: Any) -> R | None:
        return self.tables.get(table, {}).get(key)

    async def select(
        self,
        table: type[R],
        where: Where | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> list[R]:
        # Rows were inserted in ledger order, so they are found in it.
        rows: Iterable[Any] = self.tables.get(table, {}).values()
        wanted = {name: _members(table, name, value) for name, value in (where or {}).items()}
        if wanted:
            rows = self._few(table, wanted)
            for name, members in wanted.items():
                at = columns(table).index(name)
                rows = [row for row in rows if row[at] in members]
        if after:
            rows = [row for row in rows if row.position > after]
        if ties := ties_of(table):
            rows = sorted(rows, key=attrgetter("position", *ties))
        found = list(rows)
        if ties and limit is not None and len(found) > limit:
            cut = found[limit - 1].position
            return [row for row in found if row.position <= cut]
        return found[:limit]

    def _few(self, table: Row, wanted: Mapping[str, Collection[Any]]) -> Iterable[Any]:
        """The rows that the best of the columns leaves, in ledger order."""
        held = {name: self._index(table, name) for name in wanted.keys() - documents(table)}
        if not held or "position" not in columns(table):
            return self.tables.get(table, {}).values()
        best = min(held, key=lambda name: _count(held[name], wanted[name]))
        here = held[best]
        rows = [row for member in wanted[best] for row in here.get(member, ())]
        return rows if len(wanted[best]) == 1 else sorted(rows, key=attrgetter("position"))

    def _index(self, table: Row, name: str) -> dict[Any, list[Any]]:
        """A table's rows by what stands in a column; made when it is first asked for."""
        of_table = self._indices.setdefault(table, {})
        if name not in of_table:
            if name not in columns(table):
                raise ValueError(f"{table_name(table)} has no column {name}")
            at, index = columns(table).index(name), defaultdict[Any, list[Any]](list)
            for row in self.tables.get(table, {}).values():
                index[row[at]].append(row)
            of_table[name] = dict(index)
        return of_table[name]


def _members(table: Row, name: str, wanted: Any) -> Collection[Any]:
    members = wanted if isinstance(wanted, list | tuple) else (wanted,)
    return members if name in documents(table) else frozenset(members)


def _count(index: Mapping[Any, list[Any]], members: Collection[Any]) -> int:
    return sum(len(index[member]) for member in members if member in index)


def key_of(table: Row, record: Any) -> Key:
    """The key of a record, without its `org_id`."""
    key: Key = _key_values(table)(record)
    return key if len(key_columns(table)) > 1 else (key,)


@cache
def _key_values(table: Row) -> itemgetter[Any]:
    return itemgetter(*(columns(table).index(name) for name in key_columns(table)))
