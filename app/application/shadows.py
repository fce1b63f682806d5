"""Read models made anew beside the live ones: in tables that nobody else sees, and in batches."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy.dialects import postgresql

from app.application.projecting import projected
from app.events.statements import Connection
from app.events.texts import Texts
from app.garbage import undisturbed
from app.projections.changes import (
    Change,
    Insert,
    Key,
    Row,
    column_types,
    columns,
    documents,
    key_columns,
    table_name,
)
from app.projections.registry import PROJECTIONS
from app.projections.rows import MemoryRows, column_list, key_of, record

_AT_ONCE = 20_000
"""Events in memory at a time, with the rows that they change."""


class Shadows:
    """The rows of one organisation, from nothing but its events; gone with the transaction."""

    def __init__(self, conn: Connection, org_id: UUID) -> None:
        self._conn = conn
        self._org_id = org_id

    async def begin(self) -> None:
        """Begin with empty tables."""
        await self._conn.execute("".join(_fresh(one.table) for one in PROJECTIONS))

    async def end(self) -> None:
        names = ", ".join(_shadow(one.table) for one in PROJECTIONS)
        await self._conn.execute(f"DROP TABLE {names}")

    async def take(
        self,
        texts: Texts,
        *,
        after: int,
        up_to: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Take in what happened between two positions. Raises UnreadableEvent."""
        waiting, kept = list[Change](), after
        async for last, changes in projected(self._conn, texts, after=after, up_to=up_to):
            waiting += changes
            if last.position - kept >= _AT_ONCE:
                await self._keep(waiting)
                waiting, kept = [], last.position
            if progress:
                progress(last.position)
        await self._keep(waiting)

    async def _keep(self, changes: Sequence[Change]) -> None:
        """Write what changes lead to: each row once, however often it changed."""
        rows, stale = MemoryRows(), dict[Row, list[Key]]()
        for table, keys in _changed(changes).items():
            slots, joined = _by_keys(table)
            found = await self._conn.fetch(
                f"SELECT {_selected(table, 's.')} FROM {_shadow(table)} s "  # noqa: S608 (names from code)
                f"JOIN unnest({slots}) AS k ({', '.join(key_columns(table))}) ON {joined}",
                *zip(*keys, strict=True),
            )
            records = [record(table, row) for row in found]
            rows.tables[table] = {key_of(table, one): one for one in records}
            stale[table] = list(rows.tables[table])
        with undisturbed():
            rows.apply(changes)
        for table, old in stale.items():
            if old:
                slots, joined = _by_keys(table)
                await self._conn.execute(
                    f"DELETE FROM {_shadow(table)} s USING unnest({slots}) "  # noqa: S608
                    f"AS k ({', '.join(key_columns(table))}) WHERE {joined}",
                    *zip(*old, strict=True),
                )
        for table, made in rows.tables.items():
            await self._conn.copy_records_to_table(
                _shadow(table), records=_copied(table, made.values()), columns=columns(table)
            )

    async def exchange(self) -> int:
        """Have the live rows be these; returns how many there are. What is alike stays in place."""
        count = 0
        for one in PROJECTIONS:
            table, live = one.table, table_name(one.table)
            names, made = column_list(table), _selected(table)
            same = " AND ".join(f"l.{name} = s.{name}" for name in key_columns(table))
            await self._conn.execute(
                f"DELETE FROM {live} l USING (SELECT {names} FROM {live} WHERE org_id = $1 "  # noqa: S608
                f"EXCEPT SELECT {made} FROM {_shadow(table)}) s WHERE l.org_id = $1 AND {same}",
                self._org_id,
            )
            await self._conn.execute(
                f"INSERT INTO {live} ({names}) SELECT {made} FROM {_shadow(table)} "  # noqa: S608
                f"EXCEPT SELECT {names} FROM {live} WHERE org_id = $1",
                self._org_id,
            )
            count += await self._conn.fetchval(f"SELECT count(*) FROM {_shadow(table)}")  # noqa: S608
        return count


def _changed(changes: Sequence[Change]) -> dict[Row, set[Key]]:
    """The rows that are changed, and not only added, by table."""
    keys = defaultdict[Row, set[Key]](set)
    for change in changes:
        if not isinstance(change, Insert):
            keys[change.table].add(change.key)
    return keys


def _shadow(table: Row) -> str:
    return f"shadow_{table_name(table)}"


@cache
def _fresh(table: Row) -> str:
    """The SQL that makes a shadow. Documents are text in it: that is how they can be copied."""
    listed = ", ".join(
        f"{name}::text AS {name}" if name in documents(table) else name for name in columns(table)
    )
    return (
        f"CREATE TEMP TABLE {_shadow(table)} ON COMMIT DROP AS "  # noqa: S608 (names from code)
        f"SELECT {listed} FROM {table_name(table)} WITH NO DATA;"
        f"ALTER TABLE {_shadow(table)} ADD PRIMARY KEY ({', '.join(key_columns(table))});"
    )


@cache
def _selected(table: Row, of: str = "") -> str:
    """A shadow's columns as the live ones are."""
    return ", ".join(
        f"{of}{name}::jsonb" if name in documents(table) else of + name for name in columns(table)
    )


@cache
def _by_keys(table: Row) -> tuple[str, str]:
    """For rows by their keys: the arrays that are given, and how they are joined."""
    types, names = column_types(table), key_columns(table)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    slots = (f"${i}::{types[name].compile(dialect)}[]" for i, name in enumerate(names, 1))
    return ", ".join(slots), " AND ".join(f"s.{name} = k.{name}" for name in names)


def _copied(table: Row, rows: Iterable[tuple[Any, ...]]) -> Iterator[list[Any]]:
    places = [columns(table).index(name) for name in documents(table)]
    for row in rows:
        values = list(row)
        for at in places:
            if values[at] is not None:
                values[at] = json.dumps(values[at])
        yield values
