"""The store's contract, on a real Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from app.database import Pool
from app.domain.messages import Event
from app.domain.team import TeamFormed, TeamRenamed
from app.domain.values import Level
from app.events import store
from app.events.codec import encode
from app.events.envelope import Meta, Recorded
from app.events.store import Filter, Head, LedgerMissing, WrongExpectedVersion
from app.events.texts import Texts


def _recorded(
    org_id: UUID, event: Event, head: Head, position: int, version: int, **meta: Any
) -> Recorded:
    return Recorded(
        org_id=org_id,
        position=position,
        stream=event.stream,
        version=version,
        event_id=uuid7(),
        type=event.type_name,
        schema_version=event.schema_version,
        cycle_id=None,
        data=encode(event),
        meta=Meta(meta.get("actor", "person/a"), "test", uuid7()),
        occurred_at=head.at,
        recorded_at=head.at,
        told=event,
    )


async def _append(pool: Pool, org_id: UUID, events: Sequence[tuple[Event, int]]) -> list[Recorded]:
    async with pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, org_id)
        head = await store.lock_head(conn, org_id)
        kept = [
            _recorded(org_id, event, head, head.position + n, version)
            for n, (event, version) in enumerate(events, 1)
        ]
        await store.append(conn, head, kept)
        return kept


async def _read(pool: Pool, org_id: UUID, wanted: Filter, limit: int = 100) -> list[Recorded]:
    async with pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, org_id)
        return await store.read_page(conn, Texts(org_id, {}), wanted, limit)


def _team(name: str = "A", team_id: UUID | None = None) -> TeamFormed:
    return TeamFormed(team_id=team_id or uuid7(), name=name, level=Level.TEAM)


async def test_events_are_read_back_in_order_and_whole(pool: Pool, founded: UUID) -> None:
    kept = await _append(pool, founded, [(_team("A"), 1), (_team("B"), 1)])
    read = await _read(pool, founded, Filter(after=1))
    assert read == kept
    assert [event.position for event in read] == [2, 3]


async def test_an_append_of_nothing_changes_nothing(pool: Pool, founded: UUID) -> None:
    assert await _append(pool, founded, []) == []
    assert len(await _read(pool, founded, Filter())) == 1


async def test_a_version_that_is_taken_is_a_conflict_and_nothing_is_kept(
    pool: Pool, founded: UUID
) -> None:
    team = _team()
    await _append(pool, founded, [(team, 1)])
    with pytest.raises(WrongExpectedVersion):
        await _append(
            pool, founded, [(_team(), 1), (TeamRenamed(team_id=team.team_id, name="B"), 1)]
        )
    assert [event.position for event in await _read(pool, founded, Filter())] == [1, 2]


@pytest.mark.parametrize("at_once", [1, 2, 3, 2_000])
async def test_streams_are_read_together_each_after_a_version_of_its_own(
    pool: Pool, founded: UUID, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(store, "MOST_AT_ONCE", at_once)
    one, two = _team("One"), _team("Two")
    renamed = TeamRenamed(team_id=one.team_id, name="Uno")
    await _append(pool, founded, [(one, 1), (two, 1), (renamed, 2)])
    async with pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, founded)
        texts = Texts(founded, {})

        async def read(versions: dict[UUID, int]) -> list[tuple[int, Event]]:
            found = store.read_streams(conn, texts, "team", versions)
            return [(recorded.version, recorded.event) async for recorded in found]

        whole = await read({one.team_id: 0, two.team_id: 0, uuid7(): 0})
        news = await read({one.team_id: 1, two.team_id: 1})
    assert whole == [(1, one), (1, two), (2, renamed)]
    assert news == [(2, renamed)]


async def test_filters_narrow_what_is_read(pool: Pool, founded: UUID) -> None:
    team = _team()
    await _append(
        pool, founded, [(team, 1), (TeamRenamed(team_id=team.team_id, name="B"), 2), (_team(), 1)]
    )

    async def positions(**wanted: Any) -> list[int]:
        return [event.position for event in await _read(pool, founded, Filter(**wanted))]

    assert await positions() == [1, 2, 3, 4]
    assert await positions(after=1, up_to=3) == [2, 3]
    assert await positions(types=["team.renamed"]) == [3]
    assert await positions(stream=team.stream) == [2, 3]
    assert await positions(actor="person/a") == [2, 3, 4]
    assert await positions(cycle_id=uuid7()) == []


async def test_a_moment_leads_to_the_last_position_recorded_by_then(
    pool: Pool, founded: UUID
) -> None:
    (event,) = await _append(pool, founded, [(_team(), 1)])
    async with pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, founded)
        assert await store.position_at(conn, founded, event.recorded_at) == 2
        before = event.recorded_at - timedelta(microseconds=1)
        assert await store.position_at(conn, founded, before) == 1
        assert await store.position_at(conn, founded, before - timedelta(days=1)) == 0
        told = (event.event_id, event.recorded_at)
        assert await store.event_at(conn, founded, 2) == told


async def test_recorded_times_never_run_backwards(
    pool: Pool, founded: UUID, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    await owner.execute(
        "UPDATE ledgers SET recorded_at = now() + interval '1 hour' WHERE org_id = $1", founded
    )
    (ahead,) = await _append(pool, founded, [(_team(), 1)])
    (after,) = await _append(pool, founded, [(_team(), 1)])
    assert after.recorded_at >= ahead.recorded_at


async def test_a_ledger_that_is_not_there_is_missing(pool: Pool) -> None:
    with pytest.raises(LedgerMissing):
        await _append(pool, uuid7(), [])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'somebody else'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM ledgers",
        "UPDATE credentials SET key_id = org_id",
        "INSERT INTO operators VALUES ('', gen_random_uuid(), now())",
    ],
)
async def test_the_application_may_not_alter_history(
    pool: Pool, founded: UUID, statement: str
) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, founded)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE events SET actor = 'somebody else'", "DELETE FROM events", "TRUNCATE events"],
)
async def test_not_even_the_owner_alters_history_by_accident(
    owner: asyncpg.Connection[asyncpg.Record], founded: UUID, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="never changed"):
        await owner.execute(statement)


async def test_a_statement_without_where_sees_one_organisation(pool: Pool, founded: UUID) -> None:
    other = uuid7()
    tables = [
        "ledgers", "events", "organizations", "decisions", "people", "teams", "members",
        "api_keys", "cycles", "reflections", "objectives", "key_results", "check_ins",
        "alignments", "dependencies", "warnings", "external_ids", "directory", "idempotency_keys",
        "credentials",
    ]  # fmt: skip
    async with pool.acquire() as conn:
        for speaking_for in (None, other, founded):
            async with conn.transaction():
                if speaking_for is not None:
                    await store.as_organization(conn, speaking_for)
                for table in tables:
                    found = {row["org_id"] for row in await conn.fetch(f"SELECT * FROM {table}")}
                    assert found <= {speaking_for}
                assert bool(await conn.fetch("SELECT 1 FROM events")) == (speaking_for == founded)


async def test_nothing_is_written_for_another_organisation(pool: Pool, founded: UUID) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, founded)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await conn.execute(
                "INSERT INTO ledgers (org_id, head, recorded_at) VALUES ($1, 0, now())", uuid7()
            )
