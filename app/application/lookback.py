"""Organisations as they were: replays, kept from one look back to the next."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.application.replay import replay, replay_then
from app.events import store
from app.events.envelope import Recorded
from app.events.statements import Connection
from app.events.texts import Texts
from app.projections.rows import MemoryRows

MOST_KEPT = 50
MOST_ROWS = 1_000_000
"""Places of rows in all that is kept; the rows themselves are shared between replays."""
_LEAST_WAY = 50
"""Events: nearer than that to the moment that was asked for, no other is kept."""


class _Ledger(NamedTuple):
    """`text_keys_version`: what can be read of it changes when somebody is erased."""

    org_id: UUID
    text_keys_version: int
    effective_at: datetime | None


class _Point(NamedTuple):
    ledger: _Ledger
    position: int
    event_id: UUID


class Lookback:
    """What was true when an event was recorded never changes, so that a replay may be kept.

    A replay keeps copies on its way, the denser the nearer it comes to its end: whoever looks back
    looks again soon, and not far from there. The next one goes on from the nearest before it. The
    least used are forgotten first.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[_Point, MemoryRows] = OrderedDict()
        self._rows = 0

    def __len__(self) -> int:
        return len(self._kept)

    async def rows(
        self,
        conn: Connection,
        texts: Texts,
        position: int,
        event_id: UUID,
        effective_at: datetime | None = None,
    ) -> MemoryRows:
        """The rows as of an event. Raises UnreadableEvent."""
        asked = _Point(_Ledger(texts.org_id, texts.version, effective_at), position, event_id)
        made = self._kept.get(asked)
        if made is None:
            if effective_at is None:
                made = await self._replayed(conn, texts, asked)
            else:
                made = await replay_then(conn, texts, effective_at, up_to=position)
            self._keep(asked, made)
        else:
            self._kept.move_to_end(asked)
        return made

    async def _replayed(self, conn: Connection, texts: Texts, asked: _Point) -> MemoryRows:
        before = await self._before(conn, asked)
        after = 0 if before is None else before.position
        way = (asked.position - after) // 2

        def passed(last: Recorded, rows: MemoryRows) -> None:
            nonlocal way
            left = asked.position - last.position
            if _LEAST_WAY <= left <= way:
                self._keep(_Point(asked.ledger, last.position, last.event_id), rows.copy())
                way = left // 2

        return await replay(
            conn,
            texts,
            up_to=asked.position,
            onto=None if before is None else self._kept[before],
            after=after,
            passed=passed,
        )

    async def _before(self, conn: Connection, asked: _Point) -> _Point | None:
        """The kept replay to go on from: a restored database may have lost its event."""
        nearest = sorted(
            (p for p in self._kept if p.ledger == asked.ledger and p.position < asked.position),
            key=lambda point: point.position,
            reverse=True,
        )
        for point in nearest:
            found, _ = await store.event_at(conn, asked.ledger.org_id, point.position)
            if found == point.event_id:
                return point
        return None

    def _keep(self, point: _Point, rows: MemoryRows) -> None:
        self._forget(point)
        self._kept[point] = rows
        self._rows += rows.count
        while len(self._kept) > 1 and (len(self._kept) > MOST_KEPT or self._rows > MOST_ROWS):
            self._forget(next(iter(self._kept)))

    def _forget(self, point: _Point) -> None:
        gone = self._kept.pop(point, None)
        self._rows -= 0 if gone is None else gone.count
