"""Every event changes rows, and live rows are what a replay builds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from app.application import replay, verification
from app.application.ledgers import Ledgers
from app.domain.catalog import EVENTS
from app.domain.key_result import CheckInRecorded
from app.domain.messages import Event, Stream
from app.events import store
from app.events.codec import decode, encode
from app.events.envelope import Meta, Recorded
from app.projections import key_results
from app.projections.changes import Update, columns, key_columns
from app.projections.registry import PROJECTIONS, project
from app.projections.rows import MemoryRows, PostgresRows
from app.projections.writing import ProjectionMismatch, write
from tests.events.samples import SAMPLES


def _recorded(org_id: UUID, head: store.Head) -> list[Recorded]:
    """The samples as a ledger, continuing a head."""
    versions: dict[Stream, int] = {}
    story: list[Recorded] = []
    for number, event in enumerate(SAMPLES, 1):
        versions[event.stream] = versions.get(event.stream, 0) + 1
        story.append(
            Recorded(
                org_id=org_id,
                position=head.position + number,
                stream=event.stream,
                version=versions[event.stream],
                event_id=uuid7(),
                type=event.type_name,
                schema_version=event.schema_version,
                cycle_id=getattr(event, "cycle_id", None),
                data=encode(event),
                meta=Meta("person/a", "test", uuid7()),
                occurred_at=getattr(event, "occurred_at", head.at),
                recorded_at=head.at,
                told=event,
            )
        )
    return story


@pytest.mark.parametrize(
    ("type_name", "version", "changes"),
    [
        ("check_in.recorded", 2, {"value", "value_at", "progress", "confidence", "health",
                                  "last_check_in_at", "version"}),
        ("key_result.amended", 1, {"title", "measure", "weight", "owner_kind", "owner_id",
                                   "tracked_by", "progress", "committed_measure", "version"}),
    ],
)  # fmt: skip
def test_what_was_kept_without_a_standing_changes_what_it_changed_then(
    type_name: str, version: int, changes: set[str]
) -> None:
    """Rows that were written under an older version are what a rebuild makes of its events."""
    golden = Path(__file__).parents[1] / "events" / "golden" / f"{type_name}.{version}.json"
    event = decode(type_name, version, golden.read_text().splitlines()[-1])
    like = next(one for one in _recorded(uuid7(), _head()) if one.type == type_name)
    (change,) = key_results.project(replace(like, told=event))
    assert isinstance(change, Update)
    assert set(change.values) == changes
    assert change.values["progress"] == event.progress  # type: ignore[attr-defined]

    # Where it had no last word, it changed nothing that is shown.
    if isinstance(event, CheckInRecorded):
        older = event.model_copy(update={"last_word": ()})
        (change,) = key_results.project(replace(like, told=older))
        assert isinstance(change, Update)
        assert set(change.values) == {"version"}


async def _tables(rows: PostgresRows | MemoryRows) -> dict[str, list[Any]]:
    """Rows of tables that have no position come in any order."""
    found = {p.table: await rows.select(p.table) for p in PROJECTIONS}
    return {
        table.__name__: listed if "position" in columns(table) else sorted(listed, key=str)
        for table, listed in found.items()
    }


async def test_each_event_changes_live_rows_exactly_as_it_changes_rebuilt_ones(
    ledgers: Ledgers,
) -> None:
    org_id = uuid7()
    memory = MemoryRows()
    seen: set[type[Event]] = set()
    async with ledgers.pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, org_id)
        await store.create_ledger(conn, org_id)
        head = await store.lock_head(conn, org_id)
        live = PostgresRows(conn, org_id)
        before = await _tables(live)
        for recorded in _recorded(org_id, head):
            await store.append(conn, replace(head, position=recorded.position - 1), [recorded])
            await write(conn, org_id, project(recorded))
            memory.apply(project(recorded))
            after = await _tables(live)
            assert after == await _tables(memory), recorded.type
            assert after != before, f"{recorded.type} changed nothing"
            before = after
            seen.add(type(recorded.event))
        assert seen == set(EVENTS.values())
        assert (await verification.verify(conn, org_id)).differences == ()


@pytest.mark.parametrize("at_once", [1, 3, 5_000])
async def test_a_rebuild_mends_what_was_tampered_with_and_verify_names_it(
    ledgers: Ledgers,
    owner: asyncpg.Connection[asyncpg.Record],
    monkeypatch: pytest.MonkeyPatch,
    at_once: int,
) -> None:
    monkeypatch.setattr(verification, "_EVENTS_AT_ONCE", at_once)
    monkeypatch.setattr(verification, "_ROWS_AT_ONCE", at_once)
    # The fewer, the more of them are on disk.
    monkeypatch.setattr(verification, "MOST_ROWS", at_once)
    org_id = uuid7()
    async with ledgers.pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, org_id)
        await store.create_ledger(conn, org_id)
        head = await store.lock_head(conn, org_id)
        story = _recorded(org_id, head)
        await store.append(conn, head, story)
        for recorded in story:
            await write(conn, org_id, project(recorded))
    assert await _differences(ledgers, org_id) == ()

    await owner.execute("UPDATE key_results SET score = 1 WHERE org_id = $1", org_id)
    await owner.execute("DELETE FROM check_ins WHERE org_id = $1", org_id)
    await owner.execute(
        "INSERT INTO members SELECT org_id, gen_random_uuid(), gen_random_uuid(), 1, 'leader' "
        "FROM ledgers WHERE org_id = $1",
        org_id,
    )
    found = "\n".join(await _differences(ledgers, org_id))
    assert "score is Decimal('1'), the ledger says Decimal('0.7')" in found
    assert "check_ins" in found
    assert "is missing, the ledger made it" in found
    assert "is live, but no event made it" in found

    async with ledgers.pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, org_id)
        await replay.rebuild(conn, org_id)
    assert await _differences(ledgers, org_id) == ()


async def test_verify_names_an_altered_and_a_missing_event(
    ledgers: Ledgers, founded: UUID, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    async with owner.transaction():
        await owner.execute("ALTER TABLE events DISABLE TRIGGER USER")
        await owner.execute(
            "UPDATE events SET actor = 'person/b' WHERE org_id = $1 AND position = 1", founded
        )
        await owner.execute("UPDATE ledgers SET head = 2 WHERE org_id = $1", founded)
        await owner.execute("ALTER TABLE events ENABLE TRIGGER USER")
    assert await _differences(ledgers, founded) == (
        "events 1: the content is not what its hash says",
        "ledgers: the head is 2, the last event 1",
    )


async def test_where_very_much_differs_the_first_of_it_is_told(
    ledgers: Ledgers, founded: UUID, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    await owner.execute(
        "INSERT INTO members SELECT $1, gen_random_uuid(), gen_random_uuid(), 1, 'leader' "
        "FROM generate_series(1, $2)",
        founded,
        verification.MOST_TOLD + 1_234,
    )
    *told, more = await _differences(ledgers, founded)
    assert len(told) == verification.MOST_TOLD
    assert all("is live, but no event made it" in line for line in told)
    assert more == "and 1,234 more"


async def _differences(ledgers: Ledgers, org_id: UUID) -> tuple[str, ...]:
    async with ledgers.read(org_id) as reader:
        return (await verification.verify(reader.conn, org_id)).differences


async def test_a_failing_projection_fails_the_write(ledgers: Ledgers, founded: UUID) -> None:
    renamed = next(r for r in _recorded(founded, _head()) if r.type == "team.renamed")
    async with ledgers.pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, founded)
        with pytest.raises(ProjectionMismatch):
            await write(conn, founded, project(renamed))


def _head() -> store.Head:
    return store.Head(0, SAMPLES_AT, 0)


SAMPLES_AT = next(e.occurred_at for e in SAMPLES if hasattr(e, "occurred_at"))


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda p: p.table.__name__)
def test_every_read_model_belongs_to_an_organisation_first(projection: Any) -> None:
    assert columns(projection.table)[0] == "org_id"
    assert key_columns(projection.table)
