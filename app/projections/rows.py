"""Rows of read models, from Postgres as they are now or from memory as they were.

Both answer with the same light records, one named tuple per table, whose fields are the columns.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
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
    """Apply row changes in order. An update or delete that meets no row is an error."""
    for change in changes:
        match change:
            case Insert(row=row):
                table = type(row)
                values = [getattr(row, name) for name in columns(table)]
                slots = ", ".join(f"${i}" for i in range(1, len(values) + 1))
                sql = f"INSERT INTO {table_name(table)} ({column_list(table)}) VALUES ({slots})"  # noqa: S608
                await conn.execute(sql, *values)
                continue
            case Update(table=table, key=key, values=new):
                assignments = ", ".join(f"{name} = ${i}" for i, name in enumerate(new, 1))
                arguments = [*new.values(), org_id, *key]
                sql = f"UPDATE {table_name(table)} SET {assignments} WHERE "  # noqa: S608
            case Delete(table=table, key=key):
                arguments = [org_id, *key]
                sql = f"DELETE FROM {table_name(table)} WHERE "  # noqa: S608
        first = len(arguments) - len(key)
        names = ("org_id", *key_columns(table))
        sql += " AND ".join(f"{name} = ${i}" for i, name in enumerate(names, first))
        status = await conn.execute(sql, *arguments)
        if not status.endswith(" 1"):
            raise ProjectionMismatch(f"{table_name(table)} {key}: {status}")


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
