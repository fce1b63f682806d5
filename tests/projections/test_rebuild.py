"""Rows are made anew from events in batches, beside writers, and as they were at any position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.application import projecting, replay, shadows, verification
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.domain.team import FormTeam, RenameTeam
from app.domain.values import Level
from app.events import store
from app.events.envelope import Meta, Recorded
from app.events.statements import Connection
from app.projections.changes import Change, Projection, documents
from app.projections.registry import PROJECTIONS, project
from app.projections.rows import MemoryRows
from app.projections.teams import TeamRow
from tests.api.programme import Api


async def _written(ledgers: Ledgers, org_id: UUID, *commands: Any) -> None:
    async def work(unit: UnitOfWork) -> None:
        for command in commands:
            await unit.execute(command)

    await ledgers.run(org_id, Meta("operator/test", "test", uuid7()), work)


async def _rebuilt(
    ledgers: Ledgers, org_id: UUID, step: Callable[[int], None] | None = None
) -> int:
    async with ledgers.pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, org_id)
        return await replay.rebuild(conn, org_id, step)


async def _recorded(ledgers: Ledgers, org_id: UUID) -> list[Recorded]:
    async with ledgers.read(org_id) as reader:
        return [one async for one in store.read_all(reader.conn, reader.texts, store.Filter())]


@pytest.mark.parametrize("at_once", [1, 2, 7, 1_000])
async def test_a_rebuild_changes_nothing_whatever_the_size_of_its_batches(
    api: Api, ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    cycle, objective = await api.running()
    for value in (120, 150, 130):
        await api.check_in(objective["key_results"][0], value=value)
    await api.move(cycle, "begin-scoring")
    monkeypatch.setattr(projecting, "_AT_ONCE", at_once)
    monkeypatch.setattr(shadows, "_AT_ONCE", at_once)
    org_id, seen = UUID(api.org), list[int]()
    count = await _rebuilt(ledgers, org_id, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == await api.head()
    async with ledgers.read(org_id) as reader:
        verdict = await verification.verify(reader.conn, org_id)
    assert (verdict.differences, verdict.rows) == ((), count)


async def test_a_rebuild_writes_only_rows_that_differ(
    ledgers: Ledgers, founded: UUID, owner: Connection
) -> None:
    teams = [uuid7(), uuid7()]
    for id in teams:
        await _written(ledgers, founded, FormTeam(team_id=id, name="Growth", level=Level.TEAM))
    await owner.execute("UPDATE teams SET name = 'Altered' WHERE team_id = $1", teams[0])
    wrote = "SELECT xmin::text FROM teams WHERE org_id = $1 ORDER BY position"
    before = [row[0] for row in await owner.fetch(wrote, founded)]
    await _rebuilt(ledgers, founded)
    after = [row[0] for row in await owner.fetch(wrote, founded)]
    assert before[0] != after[0]
    assert before[1] == after[1]
    assert await owner.fetchval("SELECT name FROM teams WHERE team_id = $1", teams[0]) == "Growth"


async def test_others_write_while_rows_are_made_anew_and_what_they_wrote_is_in_them(
    ledgers: Ledgers, founded: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = uuid7(), uuid7()
    await _written(ledgers, founded, FormTeam(team_id=first, name="Growth", level=Level.TEAM))
    take, passes = shadows.Shadows.take, list[tuple[int, int]]()

    async def take_and_write(self: Any, texts: Any, *, after: int, up_to: int, **more: Any) -> None:
        passes.append((after, up_to))
        await take(self, texts, after=after, up_to=up_to, **more)
        if len(passes) == 1:
            # The ledger is not locked yet: this would wait for ever.
            await _written(
                ledgers,
                founded,
                RenameTeam(team_id=first, name="Retention"),
                FormTeam(team_id=second, name="Sales", level=Level.TEAM),
            )

    monkeypatch.setattr(shadows.Shadows, "take", take_and_write)
    await _rebuilt(ledgers, founded)
    assert [up_to - after for after, up_to in passes] == [2, 2]
    async with ledgers.read(founded) as reader:
        names = [row.name for row in await reader.rows.select(TeamRow)]
        assert (await verification.verify(reader.conn, founded)).differences == ()
    assert names == ["Retention", "Sales"]


async def test_what_somebody_wrote_who_is_erased_meanwhile_does_not_come_back(
    api: Api, ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.admin()
    hers = await api.key_for("read", "objectives:write", person_id=ada["id"])
    cycle, team = await api.cycle(), await api.team()
    await hers.objective(cycle, team, why="A secret of mine.")
    take, passes = shadows.Shadows.take, list[int]()

    async def take_and_erase(self: Any, texts: Any, **more: Any) -> None:
        await take(self, texts, **more)
        passes.append(more["after"])
        if len(passes) == 1:
            await api.post(f"/people/{ada['id']}:erase", {"reason": "She asked for it."})

    monkeypatch.setattr(shadows.Shadows, "take", take_and_erase)
    assert "A secret of mine." in str(await api.get("/objectives"))
    await _rebuilt(ledgers, UUID(api.org))
    # The erasure's own two, and then all from the beginning again.
    assert passes[-1] == 0
    assert "A secret of mine." not in str(await api.get("/objectives"))
    async with ledgers.read(UUID(api.org)) as reader:
        assert (await verification.verify(reader.conn, UUID(api.org))).differences == ()


async def test_each_projection_heeds_whatever_changes_its_rows(api: Api, ledgers: Ledgers) -> None:
    await api.one_of_each()
    for recorded in await _recorded(ledgers, UUID(api.org)):
        unasked = [one for one in PROJECTIONS if not isinstance(recorded.event, one.heeds)]
        assert [change for one in unasked for change in _said(one, recorded)] == []
        assert [*project(recorded)], recorded.type


def _said(projection: Projection, recorded: Recorded) -> list[Change]:
    try:
        return [*projection.project(recorded)]
    except AssertionError:
        return []  # It says itself that it heeds no other.


async def test_a_replay_goes_on_from_an_earlier_one_and_leaves_it_as_it_was(
    api: Api, ledgers: Ledgers
) -> None:
    _, objective = await api.running()
    middle = await api.head()
    await api.check_in(objective["key_results"][0], value=150)
    async with ledgers.read(UUID(api.org)) as reader:
        earlier = await replay.replay(reader.conn, reader.texts, up_to=middle)
        kept = {table: dict(rows) for table, rows in earlier.tables.items()}
        on = await replay.replay(reader.conn, reader.texts, onto=earlier, after=middle)
        whole = await replay.replay(reader.conn, reader.texts)
    assert on.tables == whole.tables
    assert earlier.tables == kept != whole.tables


async def test_rows_in_memory_are_found_as_rows_of_the_database_are(
    api: Api, ledgers: Ledgers
) -> None:
    """By one column or several, one value or several of them, and in the same order."""
    await api.one_of_each()
    async with ledgers.read(UUID(api.org)) as reader:
        rows: MemoryRows = await replay.replay(reader.conn, reader.texts)
        asked = 0
        for projection in PROJECTIONS:
            table = projection.table
            for row in await reader.rows.select(table):
                values: dict[str, Any] = row._asdict()  # type: ignore[attr-defined]
                plain = {k: v for k, v in values.items() if k not in documents(table) or v is None}
                wheres: list[dict[str, Any]] = [{name: value} for name, value in plain.items()]
                wheres += [{name: [v, v]} for name, v in plain.items() if v is not None]
                wheres.append(plain)
                for where in wheres:
                    live = await reader.rows.select(table, where)
                    assert row in live
                    assert await rows.select(table, where) == live
                    asked += 1
        assert asked > 500
