"""History is immutable: refused to the application, and seen when the owner does it all the same.

What is harmed is harmed in a transaction that is rolled back, and verified inside of it.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg

from app.application import evidence, verification
from app.events import store
from app.events.statements import Connection
from app.evidence.notes import Checkpoint
from tests.faults.cluster import Place
from tests.faults.ledgers import head
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.sizes import Sizes

DENIED = (
    "UPDATE events SET actor = 'person/mallory'",
    "UPDATE events SET leaf_hash = leaf_hash",
    "DELETE FROM events",
    "TRUNCATE events",
    "TRUNCATE ledgers, events CASCADE",
    "MERGE INTO events e USING ledgers l ON e.org_id = l.org_id WHEN MATCHED THEN DELETE",
    "INSERT INTO events SELECT * FROM events ON CONFLICT (org_id, position) "
    "DO UPDATE SET actor = 'person/mallory'",
    "ALTER TABLE events DISABLE TRIGGER ALL",
    "ALTER TABLE events DISABLE ROW LEVEL SECURITY",
    "DROP TRIGGER no_change ON events",
    "DROP TABLE events CASCADE",
    "CREATE RULE forget AS ON INSERT TO events DO INSTEAD NOTHING",
    "SET session_replication_role = replica",
    "DELETE FROM ledgers",
)
"""What the application's role must not be able to do."""

# What makes another value of a type.
_OTHER = {
    "uuid": "gen_random_uuid()",
    "bigint": "{0} + 1000000",
    "integer": "{0} + 1000",
    "character varying": "{0} || 'x'",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
    "bytea": "sha256({0})",
    "json": "({0}::text || ' ')::json",
}


async def alterations(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """Everything that is refused to the application; then each harm that an owner can do."""
    what = "UPDATE, DELETE, TRUNCATE and more as the application; each column of each event altered"
    outcome = Outcome("11: history immutable", what + ", rows dropped and reordered", seed)
    rng = random.Random(seed)
    async with place.founded() as api:
        await api.one_of_each()
        org = UUID(api.org)
    wrong = await _refused(place, org)
    async with verifier(place) as owner:
        last = await head(owner, str(org))
        positions = list(range(1, last + 1))
        if sizes.altered_rows is not None:
            positions = sorted(rng.sample(positions, sizes.altered_rows))
        harms = [*(await _alterations(owner, positions)), *_drops(positions), *_orders(positions)]
        for harm in harms:
            found = await after(owner, org, harm)
            outcome.rounds += 1
            if not found:
                wrong.append(f"not detected: {harm}")
        outcome.acknowledged = last
    demand(wrong, scenario="alterations", seed=seed, round_=0)
    step()
    return outcome


async def _refused(place: Place, org: UUID) -> list[str]:
    """What the application's role could do of what it must not."""
    wrong = []
    conn = await asyncpg.connect(place.database.url)
    try:
        for statement in DENIED:
            transaction = conn.transaction()
            await transaction.start()
            await conn.execute("SELECT set_config('app.org_id', $1, true)", str(org))
            try:
                said = await conn.execute(statement)
            except asyncpg.InsufficientPrivilegeError:
                pass
            else:
                wrong.append(f"the application may {statement}: {said}")
            await transaction.rollback()
    finally:
        await conn.close()
    return wrong


# Harm -------------------------------------------------------------------------------------


@asynccontextmanager
async def verifier(place: Place) -> AsyncIterator[Connection]:
    """The owner, who reads as the application does."""
    async with place.owner() as owner:
        await owner.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads, format="text"
        )
        yield owner


async def after(
    owner: Connection, org: UUID, *harms: str, held_to: Sequence[Checkpoint] = ()
) -> tuple[str, ...]:
    """What a verification says after the owner did these, with triggers off; all rolled back.

    `held_to` are checkpoints that somebody else kept.
    """
    transaction = owner.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        await owner.execute("SET LOCAL session_replication_role = replica")
        for harm in harms:
            await owner.execute(harm.replace("$org", f"'{org}'::uuid"))
        return (await verification.verify(owner, org, checkpoints=held_to)).differences
    finally:
        await transaction.rollback()


async def checkpoint(owner: Connection, org: UUID) -> Checkpoint:
    """What the ledger is now, as somebody else would keep it."""
    async with owner.transaction():
        await store.as_organization(owner, org)
        size = (await store.read_head(owner, org)).position
        frontier = await evidence.frontier_at(owner, org, size)
    return Checkpoint("somebody", size, frontier.root())


async def _alterations(owner: Connection, positions: list[int]) -> list[str]:
    """Every column of these events, one at a time."""
    columns: list[Any] = await owner.fetch(
        "SELECT column_name AS name, data_type AS type FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = 'events'"
    )
    return [
        f"UPDATE events SET {column['name']} = {_other(column['name'], column['type'])} "
        f"WHERE org_id = $org AND position = {position}"
        for position in positions
        for column in columns
    ]


def _other(name: str, type_: str) -> str:
    return _OTHER[type_].format(name)


def _drops(positions: list[int]) -> list[str]:
    dropped = [
        f"DELETE FROM events WHERE org_id = $org AND position = {position}"
        for position in positions
    ]
    return [*dropped, "DELETE FROM events WHERE org_id = $org"]


def _orders(positions: list[int]) -> list[str]:
    """Two events that change places, with each other's position and nothing else."""
    move = "UPDATE events SET position = {1} WHERE org_id = $org AND position = {0}"
    return [
        "; ".join((move.format(one, 0), move.format(other, one), move.format(0, other)))
        for one, other in pairwise(positions)
    ]
