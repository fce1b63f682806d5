"""What the database holds, read past the application, beside what clients were told."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.application import verification
from app.application.ledgers import Ledgers
from app.database import open_pool
from app.events.statements import Connection
from tests.faults.cluster import Place
from tests.faults.history import Entry, check
from tests.faults.load import RECORDED, Ledger


@dataclass(frozen=True, slots=True)
class CheckIn:
    """A check-in as the ledger has it."""

    position: int
    id: str
    stream: str
    value: int


async def check_ins(owner: Connection, org: str) -> list[CheckIn]:
    """All of a ledger, in its order."""
    rows = await owner.fetch(
        "SELECT position, data->>'check_in_id' AS id, stream_id::text AS stream, "
        "(data->'terms'->>'value')::numeric::int AS value "
        "FROM events WHERE org_id = $1 AND type = $2 ORDER BY position",
        UUID(org),
        RECORDED,
    )
    return [CheckIn(**row) for row in rows]


async def audit(owner: Connection, ledger: Ledger, *, final: bool) -> list[str]:
    """What is wrong with a ledger, a line each; `final` when nothing is unknown any more."""
    org = ledger.api.org
    wrong = await gaps(owner, org)
    kept = await check_ins(owner, org)
    by_value: dict[int, list[CheckIn]] = defaultdict(list)
    for one in kept:
        by_value[one.value].append(one)
    for wish in ledger.wishes:
        found = by_value[wish.append.value]
        if wish.answer is None:
            if len(found) > 1 or (final and not found):
                wrong.append(f"{wish.append.value}: sent once, {len(found)} times there")
            continue
        told = (int(wish.answer.headers["Ledger-Position"]), wish.answer.json()["id"])
        if [(one.position, one.id) for one in found] != [told]:
            wrong.append(f"{wish.append.value}: acknowledged as {told}, found {found}")
    if final:
        entries: list[Entry] = [(one.stream, one.value) for one in kept]
        wrong += check(ledger.history, entries)
    return wrong


async def head(owner: Connection, org: str) -> int:
    """The last position of a ledger, as its head row tells it."""
    return int(await owner.fetchval("SELECT head FROM ledgers WHERE org_id = $1", UUID(org)))


async def gaps(owner: Connection, org: str) -> list[str]:
    """Where positions or versions are not 1, 2, 3, ..."""
    last = await head(owner, org)
    rows = await owner.fetch(
        "SELECT position, category, stream_id, version FROM events WHERE org_id = $1 "
        "ORDER BY position",
        UUID(org),
    )
    wrong = []
    if [row["position"] for row in rows] != list(range(1, last + 1)):
        wrong.append(f"positions of {org} are not 1 to its head, {last}")
    versions: dict[tuple[str, UUID], int] = defaultdict(int)
    for row in rows:
        stream = (row["category"], row["stream_id"])
        versions[stream] += 1
        if row["version"] != versions[stream]:
            wrong.append(f"{stream} has version {row['version']} as its {versions[stream]}th")
    return wrong


async def verified(place: Place, org: str) -> list[str]:
    """What `okr verify` would find."""
    async with (
        await open_pool(place.database.url, size=1, command_timeout=300) as pool,
        Ledgers(pool).read(UUID(org)) as reader,
    ):
        return list((await verification.verify(reader.conn, UUID(org))).differences)


async def fingerprint(owner: Connection, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every table with the number of its rows and a digest of them, in no order."""
    names = await owner.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    )
    tables = [row["tablename"] for row in names if row["tablename"] not in without]
    one = (
        "SELECT '{0}' AS name, count(*) AS rows, "
        "coalesce(sum(hashtextextended(r::text, 0)), 0) AS digest FROM {0} r"
    )
    rows = await owner.fetch(" UNION ALL ".join(one.format(table) for table in tables))
    return {row["name"]: (row["rows"], row["digest"]) for row in rows}
