"""Statements that belong together, sent as one: each round trip takes longer than what it asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_MIXTURES = 1_000


@dataclass(frozen=True, slots=True)
class Part:
    """A statement that returns a row for each one it met, and hears of how many there were.

    `sql` has `{0}`, `{1}`, ... where it is told something. `heard` may raise: then the transaction
    is to be rolled back.
    """

    sql: str
    told: tuple[Any, ...]
    heard: Callable[[int], None]


async def run_all(conn: Connection, parts: Sequence[Part]) -> None:
    """Run statements as one. None of them sees what another one writes."""
    if not parts:
        return
    sql = _joined(tuple((part.sql, len(part.told)) for part in parts))
    counts = await conn.fetchrow(sql, *(one for part in parts for one in part.told))
    assert counts is not None, "a statement of counts returns a row"
    for part, count in zip(parts, counts, strict=True):
        part.heard(count)


@lru_cache(_MIXTURES)
def _joined(parts: tuple[tuple[str, int], ...]) -> str:
    """One text for a mixture, so that it is prepared once."""
    stated, first = list[str](), 1
    for n, (sql, count) in enumerate(parts):
        slots = (f"${number}" for number in range(first, first + count))
        stated.append(f"part_{n} AS ({sql.format(*slots)})")
        first += count
    counts = ", ".join(f"(SELECT count(*) FROM part_{n})" for n in range(len(parts)))  # noqa: S608
    return f"WITH {', '.join(stated)} SELECT {counts}"
