"""Requests that share a transaction share nothing else."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from app.application.idempotency import (
    KEPT_FOR,
    Answer,
    Given,
    KeyInFlight,
    KeyReused,
    Once,
    keep,
)
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.database import Pool, open_pool
from app.domain.errors import NotFound, Refusal
from app.domain.organization import FoundOrganization
from app.domain.team import FormTeam, RenameTeam
from app.domain.values import ExternalRef
from app.events import store
from app.events.envelope import Meta
from app.events.statements import Connection
from app.projections.changes import Update
from app.projections.teams import TeamRow
from app.projections.writing import ProjectionMismatch
from app.transactions import Work, transaction, work_at_hand
from tests.conftest import Database

Owner = Connection
Job = Callable[[UnitOfWork], Awaitable[Answer]]
DONE = Answer(201, b"{}")


def _forms(name: str, team_id: UUID | None = None) -> Job:
    async def job(unit: UnitOfWork) -> Answer:
        await unit.execute(FormTeam(team_id=team_id or uuid7(), name=name))
        return DONE

    return job


def _renames(team_id: UUID, name: str) -> Job:
    async def job(unit: UnitOfWork) -> Answer:
        await unit.execute(RenameTeam(team_id=team_id, name=name))
        return DONE

    return job


async def _refused(unit: UnitOfWork) -> Answer:
    await unit.execute(RenameTeam(team_id=uuid7(), name="Nobody"))
    return DONE


def _meta() -> Meta:
    return Meta("operator/test", "test", uuid7())


def _write(
    ledgers: Ledgers, org_id: UUID, job: Job, once: Once | None = None
) -> asyncio.Task[Answer]:
    return asyncio.create_task(ledgers.write(org_id, _meta(), job, once=once))


async def _settled(*tasks: asyncio.Task[Answer]) -> list[Answer | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _held(pool: Pool, *org_ids: UUID) -> AsyncIterator[None]:
    """Ledgers whose locks another process has."""
    async with pool.acquire() as conn, conn.transaction():
        for org_id in org_ids:
            await store.as_organization(conn, org_id)
            await store.lock_head(conn, org_id)
        yield


async def _together(ledgers: Ledgers, org_id: UUID, *jobs: Job) -> list[Answer | BaseException]:
    """Jobs on one ledger that are all there when a transaction begins."""
    return await _settled(*(_write(ledgers, org_id, job) for job in jobs))


async def _names(owner: Owner, org_id: UUID) -> list[str]:
    rows = await owner.fetch("SELECT name FROM teams WHERE org_id = $1 ORDER BY position", org_id)
    return [row["name"] for row in rows]


async def _transactions(owner: Owner, *org_ids: UUID) -> list[int]:
    """How many ledgers each transaction appended teams to."""
    rows = await owner.fetch(
        "SELECT count(DISTINCT org_id) AS ledgers FROM events "
        "WHERE org_id = ANY($1) AND type = 'team.formed' GROUP BY xmin::text",
        list(org_ids),
    )
    return sorted(row["ledgers"] for row in rows)


@pytest.fixture
async def another(ledgers: Ledgers) -> UUID:
    org_id = uuid7()

    async def found(unit: UnitOfWork) -> None:
        await unit.execute(FoundOrganization(organization_id=org_id, name="Another"))

    await ledgers.run(org_id, _meta(), found, founding=True)
    return org_id


async def test_what_is_there_together_is_committed_together(
    ledgers: Ledgers, founded: UUID, another: UUID, owner: Owner
) -> None:
    outcomes = await _settled(
        *(_write(ledgers, org, _forms(f"T{n}")) for n in range(20) for org in (founded, another))
    )
    assert all(isinstance(one, Answer) for one in outcomes), outcomes
    assert await _names(owner, founded) == [f"T{n}" for n in range(20)]
    assert await _transactions(owner, founded, another) == [2]


async def test_each_is_told_the_position_that_it_led_to(ledgers: Ledgers, founded: UUID) -> None:
    outcomes = await _together(ledgers, founded, *(_forms(f"T{n}") for n in range(5)))
    positions = [int(one.headers["Ledger-Position"]) for one in outcomes if isinstance(one, Answer)]
    assert positions == [2, 3, 4, 5, 6]


async def test_where_ledgers_are_on_several_nodes_a_transaction_has_one(
    pool: Pool, founded: UUID, another: UUID, owner: Owner
) -> None:
    ledgers = Ledgers(pool, spans=False)
    await _settled(
        *(_write(ledgers, org, _forms(f"T{n}")) for n in range(9) for org in (founded, another))
    )
    assert await _transactions(owner, founded, another) == [1, 1]


async def test_who_is_refused_leaves_the_others(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    async def broken(unit: UnitOfWork) -> Answer:
        raise ZeroDivisionError

    one, refused, failed, two = await _together(
        ledgers, founded, _forms("One"), _refused, broken, _forms("Two")
    )
    assert isinstance(refused, NotFound)
    assert isinstance(failed, ZeroDivisionError)
    assert isinstance(one, Answer)
    assert isinstance(two, Answer)
    assert await _names(owner, founded) == ["One", "Two"]
    assert len(await _transactions(owner, founded)) == 1


async def test_of_several_commands_none_stands_when_the_last_is_refused(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    async def halfway(unit: UnitOfWork) -> Answer:
        await unit.execute(FormTeam(team_id=uuid7(), name="Half"))
        return await _refused(unit)

    one, refused, two = await _together(ledgers, founded, _forms("One"), halfway, _forms("Two"))
    assert isinstance(refused, NotFound)
    assert isinstance(one, Answer)
    assert isinstance(two, Answer)
    assert await _names(owner, founded) == ["One", "Two"]
    assert len(await _transactions(owner, founded)) == 1


async def test_what_was_written_already_is_taken_back_and_the_others_are_decided_anew(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    async def regrets(unit: UnitOfWork) -> Answer:
        await unit.execute(FormTeam(team_id=uuid7(), name="Regretted"))
        await unit.flush()
        raise Refusal("No, after all.")

    one, refused, two = await _together(ledgers, founded, _forms("One"), regrets, _forms("Two"))
    assert isinstance(refused, Refusal)
    assert isinstance(one, Answer)
    assert isinstance(two, Answer)
    assert await _names(owner, founded) == ["One", "Two"]
    verdict = await owner.fetchval("SELECT head FROM ledgers WHERE org_id = $1", founded)
    assert verdict == 3


async def test_a_statement_that_fails_fails_its_own_request_only(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    async def divides(unit: UnitOfWork) -> Answer:
        await unit.conn.execute("SELECT 1 / 0")
        return DONE

    one, failed, two = await _together(ledgers, founded, _forms("One"), divides, _forms("Two"))
    assert isinstance(failed, asyncpg.DivisionByZeroError)
    assert isinstance(one, Answer)
    assert isinstance(two, Answer)
    assert await _names(owner, founded) == ["One", "Two"]


async def test_a_projection_that_fails_fails_its_own_request_only(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    async def mistaken(unit: UnitOfWork) -> Answer:
        (recorded,) = await unit.execute(FormTeam(team_id=uuid7(), name="Mistaken"))
        unit.noted[0].add(recorded, [Update(TeamRow, (uuid7(),), {"name": "Nobody"})])
        return DONE

    one, failed, two = await _together(ledgers, founded, _forms("One"), mistaken, _forms("Two"))
    assert isinstance(
        failed, ProjectionMismatch | asyncpg.PostgresError | store.WrongExpectedVersion
    )
    assert isinstance(one, Answer)
    assert isinstance(two, Answer)
    assert await _names(owner, founded) == ["One", "Two"]


async def test_an_organisation_that_is_not_there_is_nobodys_fault(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    unknown, one = await _settled(
        _write(ledgers, uuid7(), _forms("Ghost")), _write(ledgers, founded, _forms("One"))
    )
    assert isinstance(unknown, NotFound)
    assert isinstance(one, Answer)


async def test_a_ledger_that_another_process_holds_keeps_no_other_waiting(
    ledgers: Ledgers, pool: Pool, founded: UUID, another: UUID, owner: Owner
) -> None:
    async with _held(pool, founded):
        waits = [_write(ledgers, founded, _forms(f"Late {n}")) for n in range(3)]
        assert isinstance(await ledgers.write(another, _meta(), _forms("Now")), Answer)
        assert not any(task.done() for task in waits)
    assert all(isinstance(one, Answer) for one in await _settled(*waits))
    assert await _names(owner, founded) == ["Late 0", "Late 1", "Late 2"]


async def test_whoever_gives_up_while_waiting_has_nothing_recorded(
    ledgers: Ledgers, pool: Pool, founded: UUID, owner: Owner
) -> None:
    work = Work()
    work_at_hand.set(work)
    async with _held(pool, founded):
        # The first waits for the lock, and the second for the first.
        first = _write(ledgers, founded, _forms("First"))
        await asyncio.sleep(0.2)
        second = _write(ledgers, founded, _forms("Second"))
        third = _write(ledgers, founded, _forms("Third"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
    assert not work.committing
    assert all(isinstance(one, Answer) for one in await _settled(first, third))
    assert await _names(owner, founded) == ["First", "Third"]


async def test_whoever_goes_while_it_is_done_is_told_that_it_may_have_been(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(unit: UnitOfWork) -> Answer:
        begun.set()
        await go_on.wait()
        return await _forms("Slow")(unit)

    work = Work()
    work_at_hand.set(work)
    task = _write(ledgers, founded, slow)
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert work.committing
    go_on.set()
    await ledgers.write(founded, _meta(), _forms("After"))
    assert await _names(owner, founded) == ["Slow", "After"]


async def test_one_key_has_one_effect_within_a_transaction_and_after_it(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    once = Once("key/1", "POST /teams", "k", b"same")
    first = _write(ledgers, founded, _forms("Once"), once=once)
    second = _write(ledgers, founded, _forms("Twice"), once=once)
    answered, in_flight = await _settled(first, second)
    assert isinstance(answered, Answer)
    assert isinstance(in_flight, KeyInFlight)
    again = await ledgers.write(founded, _meta(), _forms("Again"), once=once)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Ledger-Position"] == answered.headers["Ledger-Position"]
    with pytest.raises(KeyReused):
        await ledgers.write(founded, _meta(), _forms("Other"), once=replace(once, fingerprint=b"x"))
    assert await _names(owner, founded) == ["Once"]


async def test_nothing_is_kept_for_a_key_whose_request_was_refused(
    ledgers: Ledgers, founded: UUID
) -> None:
    once = Once("key/1", "POST /teams", "k", b"same")
    with pytest.raises(NotFound):
        await ledgers.write(founded, _meta(), _refused, once=once)
    answer = await ledgers.write(founded, _meta(), _forms("Now"), once=once)
    assert "Idempotency-Replayed" not in answer.headers


async def test_two_processes_share_ledgers_without_a_gap_or_a_deadlock(
    ledgers: Ledgers, pool: Pool, founded: UUID, another: UUID, owner: Owner
) -> None:
    other = Ledgers(pool)
    outcomes = await _settled(
        *(
            _write(writer, org, _forms(f"{n} of {writer is other}"))
            for n in range(30)
            for writer in (ledgers, other)
            for org in (founded, another)
        )
    )
    assert all(isinstance(one, Answer) for one in outcomes), outcomes
    for org_id in (founded, another):
        assert len(await _names(owner, org_id)) == 60
        assert await owner.fetchval("SELECT head FROM ledgers WHERE org_id = $1", org_id) == 61


async def test_each_sees_what_those_before_it_did(
    ledgers: Ledgers, founded: UUID, owner: Owner
) -> None:
    team = uuid7()

    async def renames(unit: UnitOfWork) -> Answer:
        await unit.execute(RenameTeam(team_id=team, name="New"))
        row = await (await unit.rows()).get(TeamRow, team)
        assert row is not None
        assert (row.name, row.version) == ("New", 2)
        return DONE

    outcomes = await _together(ledgers, founded, _forms("Old", team), renames)
    assert all(isinstance(one, Answer) for one in outcomes), outcomes
    assert await _names(owner, founded) == ["New"]


async def test_what_another_process_answers_meanwhile_is_answered_again(
    ledgers: Ledgers, pool: Pool, founded: UUID, owner: Owner
) -> None:
    once = Once("key/1", "POST /teams", "k", b"same")
    given = Given(founded, once, Answer(201, b'{"by":"another"}'), datetime.now(UTC))
    tries = 0

    async def overtaken(unit: UnitOfWork) -> Answer:
        nonlocal tries
        tries += 1
        async with transaction(pool, of=[founded]) as conn:
            await keep(conn, given)
        return await _forms("Mine")(unit)

    mine = await ledgers.write(founded, _meta(), overtaken, once=once)
    assert mine.body == b'{"by":"another"}'
    assert mine.headers["Idempotency-Replayed"] == "true"
    assert tries == 1
    assert await _names(owner, founded) == []


async def test_what_is_kept_too_long_goes_with_what_is_kept_now(
    ledgers: Ledgers, pool: Pool, founded: UUID, owner: Owner
) -> None:
    long_ago = datetime.now(UTC) - KEPT_FOR - timedelta(minutes=1)
    async with transaction(pool, of=[founded]) as conn:
        for n in range(3):
            await keep(
                conn, Given(founded, Once("key/1", "POST /teams", f"{n}", b""), DONE, long_ago)
            )
    await ledgers.write(founded, _meta(), _forms("Now"), once=Once("key/1", "/", "now", b""))
    kept = await owner.fetch("SELECT key FROM idempotency_keys WHERE org_id = $1", founded)
    assert [row["key"] for row in kept] == ["now"]


async def test_a_transaction_asks_once_and_writes_once(
    database: Database, founded: UUID, another: UUID
) -> None:
    said = list[str]()
    pool = await open_pool(database.url, size=1)
    try:
        ledgers, team = Ledgers(pool), uuid7()
        for org_id in (founded, another):
            await ledgers.write(org_id, _meta(), _forms("Team", team))

        async def together(turn: str) -> None:
            outcomes = await _settled(
                *(
                    _write(ledgers, org, _renames(team, name), Once("key/1", "/", name, b""))
                    for name in (f"{turn} {n}" for n in range(5))
                    for org in (founded, another)
                )
            )
            assert all(isinstance(one, Answer) for one in outcomes), outcomes

        # What is seen for the first time is prepared by then.
        await together("first")
        async with pool.acquire() as conn:
            # It is the pool's only one.
            conn.add_query_logger(lambda told: said.append(told.query.split()[0]))
        await together("then")
        assert said == ["BEGIN;", "WITH", "WITH", "COMMIT;"]
    finally:
        await pool.close()


async def test_a_transaction_leaves_nothing_that_only_a_search_for_garbage_would_find(
    ledgers: Ledgers, founded: UUID
) -> None:
    """It would be looked for once in minutes, and holds all that was written."""
    team = uuid7()
    await ledgers.write(founded, _meta(), _forms("Team", team))
    gc.collect()
    gc.disable()
    try:
        for n in range(20):
            once = Once("key/1", "PATCH /teams", f"{n}", b"")
            await ledgers.write(founded, _meta(), _renames(team, f"Name {n}"), once=once)
        assert gc.collect() < 20
    finally:
        gc.enable()


async def test_two_processes_that_are_asked_the_same_at_once_answer_the_same(
    ledgers: Ledgers, pool: Pool, founded: UUID, owner: Owner
) -> None:
    """Whoever is second would be refused, and is given the first one's answer instead."""
    other = Ledgers(pool)
    for n in range(200):
        external = ExternalRef(source="sheet", external_id=f"{n}")
        once = Once("key/1", "POST /teams", f"{n}", b"same")

        def forms(external: ExternalRef = external) -> Job:
            async def job(unit: UnitOfWork) -> Answer:
                await unit.execute(FormTeam(team_id=uuid7(), name="Once", external=external))
                return DONE

            return job

        outcomes = await _settled(
            *(_write(writer, founded, forms(), once) for writer in (ledgers, other))
        )
        assert all(isinstance(one, Answer) for one in outcomes), (n, outcomes)
    assert len(await _names(owner, founded)) == 200


async def test_what_another_process_wrote_has_answers_looked_for_once_more(
    database: Database, founded: UUID
) -> None:
    said = list[str]()
    pool, others = await open_pool(database.url, size=1), await open_pool(database.url, size=1)
    try:
        ledgers, other, team = Ledgers(pool), Ledgers(others), uuid7()
        await ledgers.write(founded, _meta(), _forms("Team", team))
        await other.write(founded, _meta(), _renames(team, "Other"))
        async with pool.acquire() as conn:
            conn.add_query_logger(lambda told: said.append(told.query))
        once = Once("key/1", "/", "k", b"")
        await ledgers.write(founded, _meta(), _renames(team, "Mine"), once=once)
        assert sum("JOIN idempotency_keys" in query for query in said) == 2
        said.clear()
        await ledgers.write(founded, _meta(), _renames(team, "Mine again"), once=once)
        assert sum("JOIN idempotency_keys" in query for query in said) == 1
    finally:
        await pool.close()
        await others.close()
