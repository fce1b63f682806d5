"""Rows of read models, from Postgres as they are now or from memory as they were.

Both answer with the same light records, one named tuple per table, whose fields are the columns.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from sqlmodel import SQLModel

from app.events.store import Connection
from app.projections.changes import (
    Change,
    Delete,
    Insert,
    Key,
    Row,
    Update,
    columns,
    key_columns,
    table_name,
)

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
        self._conn = conn
        self._org_id = org_id

    async def get(self, table: type[R], *key: Any) -> R | None:
        conditions = " AND ".join(f"{name} = ${i}" for i, name in enumerate(key_columns(table), 2))
        row = await self._conn.fetchrow(
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
        page = f" LIMIT {limit:d}" if limit is not None else ""
        rows = await self._conn.fetch(
            f"SELECT {column_list(table)} FROM {table_name(table)} "  # noqa: S608 (names from code)
            f"WHERE {' AND '.join(conditions)}{order}{page}",
            *arguments,
        )
        make = record_type(table)._make
        return [make(row) for row in rows]


async def write(conn: Connection, org_id: UUID, changes: Iterable[Change]) -> None:
    """Apply row changes, of each table in order. An update or delete that meets no row is an error.

    Changes of one table that follow each other and are alike go to the server together: no table
    refers to another, so that the order between tables does not matter.
    """
    of_table: dict[Row, list[tuple[str, list[Any], Key]]] = {}
    for change in changes:
        table = type(change.row) if isinstance(change, Insert) else change.table
        of_table.setdefault(table, []).append(_statement(org_id, change))
    for table, statements in of_table.items():
        for sql, alike in groupby(statements, key=itemgetter(0)):
            several = list(alike)
            rows = await conn.fetchmany(sql, [arguments for _, arguments, _ in several])
            if len(rows) != len(several):
                named = f" {several[0][2]}" if len(several) == 1 else ""
                raise ProjectionMismatch(
                    f"{table_name(table)}{named}: {len(rows)} of {len(several)} row(s) are there"
                )


def _statement(org_id: UUID, change: Change) -> tuple[str, list[Any], Key]:
    """The SQL of a change, its arguments, and the key of its row. It returns each row it meets."""
    match change:
        case Insert(row=row):
            table = type(row)
            values = [getattr(row, name) for name in columns(table)]
            key = tuple(getattr(row, name) for name in key_columns(table))
            return _insertion(table), values, key
        case Update(table=table, key=key, values=new):
            return _change(table, tuple(new)), [*new.values(), org_id, *key], key
        case Delete(table=table, key=key):
            return _change(table, None), [org_id, *key], key


@cache
def _insertion(table: Row) -> str:
    slots = ", ".join(f"${i}" for i in range(1, len(columns(table)) + 1))
    names = column_list(table)
    return f"INSERT INTO {table_name(table)} ({names}) VALUES ({slots}) RETURNING 1"  # noqa: S608


@cache
def _change(table: Row, new: tuple[str, ...] | None) -> str:
    """An update of these columns of one row; of none (None), its deletion."""
    if new is None:
        sql, first = f"DELETE FROM {table_name(table)} WHERE ", 1  # noqa: S608
    else:
        assignments = ", ".join(f"{name} = ${i}" for i, name in enumerate(new, 1))
        sql, first = f"UPDATE {table_name(table)} SET {assignments} WHERE ", len(new) + 1  # noqa: S608
    names = ("org_id", *key_columns(table))
    where = " AND ".join(f"{name} = ${i}" for i, name in enumerate(names, first))
    return f"{sql}{where} RETURNING 1"


class ProjectionMismatch(Exception):
    """An event changes a row that is not there: the read model is not what the ledger says."""


@cache
def column_list(table: Row) -> str:
    return ", ".join(columns(table))


# Memory -----------------------------------------------------------------------------------


class MemoryRows:
    """The rows that a replay builds: an organisation as it was."""

    def __init__(self) -> None:
        self.tables: dict[Row, dict[Key, dict[str, Any]]] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            match change:
                case Insert(row=row):
                    table = type(row)
                    values = {name: getattr(row, name) for name in columns(table)}
                    key = tuple(values[name] for name in key_columns(table))
                    rows = self.tables.setdefault(table, {})
                    if key in rows:
                        raise ProjectionMismatch(f"{table_name(table)} {key} is there already")
                    rows[key] = values
                case Update(table=table, key=key, values=new):
                    self._row(table, key).update(new)
                case Delete(table=table, key=key):
                    self._row(table, key)
                    del self.tables[table][key]

    def _row(self, table: Row, key: Key) -> dict[str, Any]:
        row = self.tables.get(table, {}).get(key)
        if row is None:
            raise ProjectionMismatch(f"{table_name(table)} {key} is not there")
        return row

    async def get(self, table: type[R], *key: Any) -> R | None:
        row = self.tables.get(table, {}).get(key)
        return None if row is None else cast(R, record_type(table)(**row))

    async def select(
        self,
        table: type[R],
        where: Where | None = None,
        *,
        after: int = 0,
        limit: int | None = None,
    ) -> list[R]:
        make = record_type(table)
        found = [
            row
            for row in self.tables.get(table, {}).values()
            if all(_matches(row[name], wanted) for name, wanted in (where or {}).items())
            and (not after or row["position"] > after)
        ]
        # Rows were inserted in ledger order, so they are found in it.
        return [make(**row) for row in found[:limit]]


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):
        return value in wanted
    return bool(value == wanted)


def differences(live: Sequence[Mapping[str, Any]], rebuilt: MemoryRows, table: Row) -> list[str]:
    """What differs between a table's live rows and the rebuilt ones, a line per difference."""
    names = key_columns(table)
    lines = []
    expected = dict(rebuilt.tables.get(table, {}))
    for row in live:
        key = tuple(row[name] for name in names)
        wanted = expected.pop(key, None)
        label = f"{table_name(table)} {'/'.join(map(str, key))}"
        if wanted is None:
            lines.append(f"{label}: is live, but no event made it")
            continue
        lines.extend(
            f"{label}: {name} is {row[name]!r}, the ledger says {wanted[name]!r}"
            for name in columns(table)
            if row[name] != wanted[name]
        )
    lines.extend(
        f"{table_name(table)} {'/'.join(map(str, key))}: is missing, the ledger made it"
        for key in expected
    )
    return lines
