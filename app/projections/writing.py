"""Row changes to Postgres: of many events and many organisations, in few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy.dialects import postgresql

from app.events.statements import Connection, Part, run_all
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
    await run_all(conn, writing({org_id: changes}))


def writing(changes: Mapping[UUID, Iterable[Change]]) -> list[Part]:
    """What applies row changes of several organisations, each in order: a part for each shape.

    No table refers to another, so that the order between rows does not matter. It raises
    ProjectionMismatch where an update or delete meets no row.
    """
    shapes: dict[_Shape, list[tuple[Key, Change]]] = defaultdict(list)
    for org_id, of_one in changes.items():
        for (table, key), change in _merged(of_one).items():
            shapes[_shape(table, change)].append(((org_id, *key), change))
    # One order for each mixture: then it is one statement.
    return [_part(shape, shapes[shape]) for shape in sorted(shapes, key=_order)]


def _order(shape: _Shape) -> tuple[str, str, tuple[str, ...]]:
    kind, table, names = shape
    return table_name(table), kind.__name__, names


def _part(shape: _Shape, alike: Sequence[tuple[Key, Change]]) -> Part:
    table = shape[1]

    def heard(met: int) -> None:
        if met != len(alike):
            named = f" {alike[0][0][1:]}" if len(alike) == 1 else ""
            raise ProjectionMismatch(
                f"{table_name(table)}{named}: {met} of {len(alike)} row(s) are there"
            )

    # One document, and not an array for each column: the driver takes long over those.
    stated = to_json([_stated(table, key, change) for key, change in alike])
    return Part(_sql(shape), (stated.decode(),), heard)


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


def _stated(table: Row, key: Key, change: Change) -> dict[str, Any]:
    """What a statement is told of a row, by column."""
    if isinstance(change, Insert):
        return dict(zip(columns(table), values_of(change.row), strict=True))
    named = dict(zip(("org_id", *key_columns(table)), key, strict=True))
    return named | change.values if isinstance(change, Update) else named


@cache
def _sql(shape: _Shape) -> str:
    """Over a JSON array of rows."""
    kind, table, names = shape
    target, keys = table_name(table), ("org_id", *key_columns(table))
    types = _types(table)
    given = names if kind is Insert else (*keys, *names)
    typed = ", ".join(f"{name} {types[name]}" for name in given)
    stated = f"json_to_recordset({{0}}::text::json) AS stated ({typed})"
    if kind is Insert:
        listed = ", ".join(names)
        return f"INSERT INTO {target} ({listed}) SELECT {listed} FROM {stated} RETURNING 1"  # noqa: S608
    where = " AND ".join(f"{target}.{name} = stated.{name}" for name in keys)
    if kind is Delete:
        return f"DELETE FROM {target} USING {stated} WHERE {where} RETURNING 1"  # noqa: S608
    assignments = ", ".join(f"{name} = stated.{name}" for name in names)
    return f"UPDATE {target} SET {assignments} FROM {stated} WHERE {where} RETURNING 1"  # noqa: S608


@cache
def _types(table: Row) -> dict[str, str]:
    """The SQL type of each column."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return {name: kind.compile(dialect=dialect) for name, kind in column_types(table).items()}
