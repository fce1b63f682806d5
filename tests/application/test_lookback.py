"""Looks back: each is what all events up to it make, whatever was kept of those before."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from app.application import lookback
from app.application import replay as replaying
from app.application.ledgers import Ledgers
from app.application.lookback import Lookback
from app.application.replay import replay
from app.application.unit_of_work import UnitOfWork
from app.domain.team import FormTeam, RenameTeam
from app.events import store
from app.events.envelope import Meta, Recorded
from app.events.statements import Connection
from app.events.store import Filter
from app.events.texts import TextKeys, Texts
from app.projections.rows import MemoryRows

_TEAMS, _NAMES = 7, 9


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "_AT_ONCE", 3)
    monkeypatch.setattr(lookback, "_LEAST_WAY", 2)


@dataclass
class Past:
    """A ledger with some history, and how many events were read of it."""

    conn: Connection
    texts: Texts
    head: int
    kept: Lookback = field(default_factory=Lookback)

    async def look(self, position: int) -> MemoryRows:
        event_id, _ = await store.event_at(self.conn, self.texts.org_id, position)
        return await self.kept.rows(self.conn, self.texts, position, event_id)


@pytest.fixture
async def past(ledgers: Ledgers, founded: UUID) -> AsyncIterator[Past]:
    async def work(unit: UnitOfWork) -> None:
        teams = [uuid7() for _ in range(_TEAMS)]
        for team in teams:
            await unit.execute(FormTeam(team_id=team, name="Team"))
        for number in range(_NAMES):
            for team in teams:
                await unit.execute(RenameTeam(team_id=team, name=f"{number}"))

    await ledgers.run(founded, Meta("operator/test", "test", uuid7()), work)
    async with ledgers.pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, founded)
        head = await store.read_head(conn, founded)
        texts = await TextKeys().of(conn, founded, head.text_keys_version)
        yield Past(conn, texts, head.position)


async def test_looks_in_any_order_show_what_a_whole_replay_does(past: Past) -> None:
    positions = [*range(1, past.head + 1), *range(1, past.head + 1)]
    random.Random(7).shuffle(positions)  # noqa: S311
    for position in positions:
        whole = await replay(past.conn, past.texts, up_to=position)
        assert (await past.look(position)).tables == whole.tables, position


async def test_a_look_shortly_before_another_reads_few_events(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    whole = store.read_all

    async def counted(conn: Connection, texts: Texts, wanted: Filter) -> AsyncIterator[Recorded]:
        async for recorded in whole(conn, texts, wanted):
            read.append(recorded.position)
            yield recorded

    monkeypatch.setattr(store, "read_all", counted)
    await past.look(past.head)
    assert len(read) == past.head
    for back in range(1, 20):
        read.clear()
        await past.look(past.head - back)
        # As far as from the last look, at most, and the rest of what is read at once.
        assert len(read) <= back + 5, back


async def test_rows_that_are_kept_are_bounded(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookback, "MOST_ROWS", 40)
    for position in range(past.head, 1, -1):
        await past.look(position)
        assert sum(rows.count for rows in past.kept._kept.values()) == past.kept._rows <= 40


async def test_a_ledger_that_lost_events_is_believed_and_not_what_was_kept(
    past: Past, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    """As after a restore, from which the ledger went on otherwise."""
    await past.look(past.head)
    async with owner.transaction():
        await owner.execute("ALTER TABLE events DISABLE TRIGGER USER")
        await owner.execute(
            "UPDATE events SET event_id = gen_random_uuid(), "
            """data = replace(data::text, '"8"', '"other"')::json """
            "WHERE org_id = $1 AND position > $2",
            past.texts.org_id,
            past.head - 20,
        )
        await owner.execute("ALTER TABLE events ENABLE TRIGGER USER")
    for position in (past.head, past.head - 1):
        whole = await replay(past.conn, past.texts, up_to=position)
        assert (await past.look(position)).tables == whole.tables
