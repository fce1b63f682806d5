"""Row changes to Postgres: of many events and many organisations, in few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy.dialects import postgresql

from app.events.store import Connection
from app.projections.changes import (
    Change,
    Delete,
    Insert,
    Key,
    Row,
    Update,
    column_types,
    columns,
    insert,
    key_columns,
    place_of,
    table_name,
    values_of,
)


class ProjectionMismatch(Exception):
    """An event changes a row that is not there: the read model is not what the ledger says."""


_Shape = tuple[type[Change], Row, tuple[str, ...]]
"""Changes of one shape differ in values only: a kind, a table, and the columns that are set."""


async def write(conn: Connection, org_id: UUID, changes: Iterable[Change]) -> None:
    """Apply row changes, in order. Raises ProjectionMismatch where one meets no row."""
    await write_all(conn, {org_id: changes})


async def write_all(conn: Connection, changes: Mapping[UUID, Iterable[Change]]) -> None:
    """Apply row changes of several organisations, each in order: a statement for each shape.

    No table refers to another, so that the order between rows does not matter. Raises
    ProjectionMismatch where an update or delete meets no row.
    """
    shapes: dict[_Shape, list[tuple[Key, Change]]] = defaultdict(list)
    for org_id, of_one in changes.items():
        for (table, key), change in _merged(of_one).items():
            shapes[_shape(table, change)].append(((org_id, *key), change))
    for shape, alike in shapes.items():
        _, table, names = shape
        values = [_values(key, change, names) for key, change in alike]
        done = await conn.execute(_sql(shape), *_arrays(shape, values))
        met = int(done.rpartition(" ")[2])
        if met != len(alike):
            named = f" {alike[0][0][1:]}" if len(alike) == 1 else ""
            raise ProjectionMismatch(
                f"{table_name(table)}{named}: {met} of {len(alike)} row(s) are there"
            )


def _merged(changes: Iterable[Change]) -> dict[tuple[Row, Key], Change]:
    """What comes of changes that meet a row one after the other."""
    merged: dict[tuple[Row, Key], Change] = {}
    for change in changes:
        place = place_of(change)
        before = merged.get(place)
        if before is None:
            merged[place] = change
        else:
            _follow(merged, place, before, change)
    return merged


def _follow(
    merged: dict[tuple[Row, Key], Change], place: tuple[Row, Key], before: Change, change: Change
) -> None:
    table, key = place
    match before, change:
        case Insert(row=row), Update(values=new):
            kept = dict(zip(columns(table), values_of(row), strict=True))
            merged[place] = insert(table, **{**kept, **new})
        case Update(values=old), Update(values=new):
            merged[place] = Update(table, key, {**old, **new})
        case Insert(), Delete():
            del merged[place]
        case Update(), Delete():
            merged[place] = change
        case Delete(), Insert(row=row):
            # It is there, and becomes another.
            names = (name for name in columns(table)[1:] if name not in key_columns(table))
            merged[place] = Update(table, key, {name: vars(row)[name] for name in names})
        case _:
            raise ProjectionMismatch(f"{table_name(table)} {key}: {change} after {before}")


def _shape(table: Row, change: Change) -> _Shape:
    match change:
        case Insert():
            return Insert, table, columns(table)
        case Update(values=values):
            return Update, table, tuple(sorted(values))
        case Delete():
            return Delete, table, ()


def _values(key: Key, change: Change, names: tuple[str, ...]) -> tuple[Any, ...]:
    match change:
        case Insert(row=row):
            return values_of(row)
        case Update(values=values):
            return (*key, *(values[name] for name in names))
        case Delete():
            return key


def _arrays(shape: _Shape, rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    """The values of rows, column by column."""
    types, arrays = _types(shape[1]), [list(column) for column in zip(*rows, strict=True)]
    for n, name in enumerate(_given(shape)):
        if types[name] == "JSONB":
            arrays[n] = [None if one is None else to_json(one).decode() for one in arrays[n]]
    return arrays


def _given(shape: _Shape) -> tuple[str, ...]:
    """The columns that a statement is told of, in order."""
    kind, table, names = shape
    return names if kind is Insert else ("org_id", *key_columns(table), *names)


@cache
def _sql(shape: _Shape) -> str:
    """One statement over an array for each column that is named."""
    kind, table, names = shape
    target, types = table_name(table), _types(table)
    given = _given(shape)
    # The driver takes a list in an array for one more dimension: JSON goes there as text.
    sent = ["TEXT" if types[name] == "JSONB" else types[name] for name in given]
    slots = ", ".join(f"${n}::{one}[]" for n, one in enumerate(sent, 1))
    stated = f"unnest({slots}) AS stated ({', '.join(given)})"
    if kind is Insert:
        chosen = ", ".join(_stated(name, types) for name in names)
        return f"INSERT INTO {target} ({', '.join(names)}) SELECT {chosen} FROM {stated}"  # noqa: S608
    keys = ("org_id", *key_columns(table))
    where = " AND ".join(f"{target}.{name} = stated.{name}" for name in keys)
    if kind is Delete:
        return f"DELETE FROM {target} USING {stated} WHERE {where}"  # noqa: S608
    assignments = ", ".join(f"{name} = {_stated(name, types)}" for name in names)
    return f"UPDATE {target} SET {assignments} FROM {stated} WHERE {where}"  # noqa: S608


def _stated(name: str, types: dict[str, str]) -> str:
    return f"stated.{name}::jsonb" if types[name] == "JSONB" else f"stated.{name}"


@cache
def _types(table: Row) -> dict[str, str]:
    """The SQL type of each column."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return {name: kind.compile(dialect=dialect) for name, kind in column_types(table).items()}
