"""What a projection answers to an event: changes to typed rows, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, ParamSpec, TypeVar, cast

from sqlalchemy import Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import class_mapper
from sqlmodel import Field, SQLModel

from app.domain.catalog import EVENTS
from app.domain.messages import Event
from app.events.envelope import Recorded

R = TypeVar("R", bound=SQLModel)
P = ParamSpec("P")

Row = type[SQLModel]
Key = tuple[Any, ...]
"""A row's primary key without the leading `org_id`."""


@dataclass(frozen=True, slots=True)
class Insert:
    row: SQLModel


@dataclass(frozen=True, slots=True)
class Update:
    """Set columns of the one row with this key, which must exist."""

    table: Row
    key: Key
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    table: Row
    key: Key


Change = Insert | Update | Delete


def insert(table: Callable[P, R], *_: P.args, **values: P.kwargs) -> Insert:
    """A new row of values that are of their types already: nothing is looked at.

    Events were validated, so their rows need not be; and nothing follows what becomes of a row,
    which is what takes the time where a table's class is called.
    """
    cls = cast(type[R], table)
    row = cls.__new__(cls)
    object.__setattr__(row, "__dict__", {**_defaults(cls), **values})
    object.__setattr__(row, "__pydantic_fields_set__", values.keys())
    return Insert(row)


@cache
def _defaults(table: Row) -> dict[str, Any]:
    class_mapper(table)  # Before, its columns cannot be read.
    fields = table.model_fields.items()
    return {name: field.default for name, field in fields if not field.is_required()}


def place_of(change: Change) -> tuple[Row, Key]:
    """The table and the row that a change is about."""
    if not isinstance(change, Insert):
        return change.table, change.key
    table, values = type(change.row), vars(change.row)
    return table, tuple(values[name] for name in key_columns(table))


@dataclass(frozen=True, slots=True)
class Projection:
    """One read model: its table, and the pure function that keeps it.

    `heeds` are the events that may change it; the function is not asked about others.
    """

    table: Row
    project: Callable[[Recorded], Iterator[Change]]
    heeds: type[Event] | tuple[type[Event], ...] = Event


def saying(field: str) -> tuple[type[Event], ...]:
    """The events that have such a field."""
    return tuple(event for event in EVENTS.values() if field in event.model_fields)


def json_column(**options: Any) -> Any:
    return Field(sa_type=JSONB, **options)


def decimal_column(**options: Any) -> Any:
    return Field(sa_type=Numeric, **options)


@cache
def table_name(table: Row) -> str:
    return str(table.__tablename__)


@cache
def columns(table: Row) -> tuple[str, ...]:
    """A table's columns, in order, `org_id` first."""
    return tuple(column.name for column in _sql(table).columns)


@cache
def column_types(table: Row) -> dict[str, Any]:
    """The SQL types of a table's columns, in order."""
    return {column.name: column.type for column in _sql(table).columns}


@cache
def documents(table: Row) -> frozenset[str]:
    """The columns that hold JSON."""
    kinds = column_types(table).items()
    return frozenset(name for name, kind in kinds if isinstance(kind, JSONB))


def values_of(row: SQLModel) -> tuple[Any, ...]:
    """What stands in a row's columns, in order."""
    return cast(tuple[Any, ...], _values(type(row))(vars(row)))


@cache
def _values(table: Row) -> itemgetter[Any]:
    return itemgetter(*columns(table))


@cache
def key_columns(table: Row) -> tuple[str, ...]:
    """The primary key without its leading `org_id`."""
    return tuple(column.name for column in _sql(table).primary_key.columns)[1:]


def _sql(table: Row) -> Any:
    return table.__table__  # type: ignore[attr-defined]
