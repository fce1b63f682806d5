"""What a projection answers to an event: changes to typed rows, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.events.envelope import Recorded

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


@dataclass(frozen=True, slots=True)
class Projection:
    """One read model: its table, and the pure function that keeps it."""

    table: Row
    project: Callable[[Recorded], Iterator[Change]]


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
def key_columns(table: Row) -> tuple[str, ...]:
    """The primary key without its leading `org_id`."""
    return tuple(column.name for column in _sql(table).primary_key.columns)[1:]


def _sql(table: Row) -> Any:
    return table.__table__  # type: ignore[attr-defined]
