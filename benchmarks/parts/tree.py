"""The tree of a large cycle, now and as of before; and its rows, made anew from the events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from statistics import median

from app.application import replay
from app.database import Pool, open_pool
from app.events import store
from app.events.store import Filter
from app.events.texts import TextKeys
from benchmarks import audit, goals, programmes
from benchmarks.figures import Bar, Figure, Ratios, Section, Table, milliseconds, number
from benchmarks.goals import Goals
from benchmarks.one_by_one import Client, client, timed
from benchmarks.peers import SOURCE
from benchmarks.peers.tree import SqlTree, sql_tree
from benchmarks.running import Here, in_turn
from benchmarks.setting import Database, server

_COPIES = 50
_SMALLEST = 10

_SAYS = """
`GET .../cycles/{{id}}/tree` of {objectives:,} objectives with {key_results:,} key results, in one
answer of {mib:.1f} MiB, over one connection. Beside it one recursive SQL query that returns the
same nodes, nested in the same way, as one JSON text ([source]({source}/tree.sql)); the run fails
unless both say the same of every node. Forecasts, due dates, silence and who may see which score
are in our answer only. `304` is the same request with `If-None-Match`.

The cycle has {events:,} events. The first look back replays all of them. `as_of` asks for the tree
at positions near that, each for the first time: it goes on from the nearest that was kept on the
way. *Again* asks for one that was asked for before.
"""
_REBUILD_SAYS = """
`okr rebuild` of the same organisation: {events:,} events read, decoded and projected, {rows:,}
rows deleted and written, in one transaction. Beside it the events are read and decoded, and nothing
else. Both in one process, one right after the other.
"""


def measure(here: Here) -> Iterator[Section]:
    objectives = max(_SMALLEST, here.sizes.objectives // _COPIES)
    copies = here.sizes.objectives // objectives
    told = here.steps("a cycle of many objectives", copies)
    with here.cluster.database("trees") as database:
        operator = asyncio.run(programmes.operator_key(database.owner_url))
        with server(database.url) as serving:
            make = partial(goals.make, serving.port, database.url, operator)
            there = asyncio.run(make(objectives=objectives, copies=copies, told=told))
            asyncio.run(audit.settle(database.owner_url))
            with (
                client(serving.port, there.key) as asking,
                sql_tree(database.owner_url, there) as sql,
            ):
                yield _read(here, there, asking, sql)
        yield asyncio.run(_rebuilt(here, database, there))


class _Tree:
    """All ways to ask for the tree, each timed."""

    def __init__(self, there: Goals, asking: Client) -> None:
        self._path = there.tree
        self._asking = asking
        self._before = count(1)
        self._head = there.events
        self.etag = ""
        self.body = b""

    def now(self) -> None:
        answer = self._asking.get(self._path)
        self.etag, self.body = answer.etag or "", answer.body

    def unchanged(self) -> None:
        self._asking.get(self._path, wanted=304, If_None_Match=self.etag)

    def past(self) -> None:
        self._asking.get(f"{self._path}?as_of={self._head - next(self._before)}")

    def kept(self) -> None:
        self._asking.get(f"{self._path}?as_of={self._head - 1}")


def _read(here: Here, there: Goals, asking: Client, sql: SqlTree) -> Section:
    tree, trees = _Tree(there, asking), here.sizes.trees
    tree.now()
    sql.demand_same(tree.body)
    first = timed(tree.past)
    times: dict[str, list[float]] = {}
    looks = max(1, trees // 2)
    for turn in here.rounds("trees"):
        done = in_turn(
            turn,
            {
                "tree": lambda: [timed(tree.now) for _ in range(trees)],
                "sql": lambda: [sql.timed() for _ in range(trees)],
                "304": lambda: [timed(tree.unchanged) for _ in range(trees)],
                "past": lambda: [timed(tree.past) for _ in range(looks)],
            },
        )
        tree.kept()
        done["kept"] = [timed(tree.kept) for _ in range(looks)]
        for name, seconds in done.items():
            times.setdefault(name, []).append(median(seconds))
    to_sql = {name: Ratios.of(times[name], times["sql"]) for name in ("tree", "304")}
    to_now = {name: Ratios.of(times[name], times["tree"]) for name in ("past", "kept")}
    rows = (
        ("recursive SQL", milliseconds(times["sql"]), "", ""),
        ("OKR Ledger", milliseconds(times["tree"]), str(to_sql["tree"]), ""),
        ("OKR Ledger, 304", milliseconds(times["304"]), str(to_sql["304"]), ""),
        ("OKR Ledger, `as_of`, the first", milliseconds([first]), "", ""),
        ("OKR Ledger, `as_of`", milliseconds(times["past"]), "", str(to_now["past"])),
        ("OKR Ledger, `as_of` again", milliseconds(times["kept"]), "", str(to_now["kept"])),
    )
    objectives = here.sizes.objectives
    query = "the recursive SQL query"
    what = f"tree of {objectives:,} objectives"
    past = f"tree `as_of`, cycle with {there.events:,} events"
    return Section(
        "The tree",
        _SAYS.format(
            objectives=objectives,
            key_results=len(there.key_results),
            mib=len(tree.body) / 2**20,
            events=there.events,
            source=SOURCE,
        ),
        (Table(("asked for", "ms", "to SQL", "to the current tree"), rows),),
        (),
        (
            Figure(what, query, Bar("at most", 1.5), to_sql["tree"]),
            Figure(f"{what}, 304", query, Bar("at most", 0.1), to_sql["304"]),
            Figure(past, "the current tree", Bar("at most", 2), to_now["past"]),
        ),
    )


# Rebuild ----------------------------------------------------------------------------------


async def _rebuilt(here: Here, database: Database, there: Goals) -> Section:
    times: dict[str, list[float]] = {"rebuild": [], "read": []}
    rows = 0
    pool = await open_pool(database.url, size=1, command_timeout=300)
    try:
        for turn in here.rounds("rebuild"):
            for name in ("rebuild", "read") if turn % 2 == 0 else ("read", "rebuild"):
                # What the last round deleted is no part of this one.
                await audit.cleaned(database.owner_url)
                began = time.perf_counter()
                if name == "read":
                    await _decoded(pool, there)
                else:
                    rows = await _rebuild(pool, there)
                times[name].append(time.perf_counter() - began)
    finally:
        await pool.close()
    events = await audit.verify(database.url, [there.org_id])
    ratios = Ratios.of(times["read"], times["rebuild"])
    table = Table(
        ("events per second", "", "rebuild to it"),
        (
            ("rebuild", number(there.events / median(times["rebuild"])), ""),
            ("read and decode", number(there.events / median(times["read"])), str(ratios)),
        ),
    )
    figure = Figure("rebuild", "reading and decoding the events", Bar("at least", 0.3), ratios)
    return Section(
        "Rebuild",
        _REBUILD_SAYS.format(events=there.events, rows=rows),
        (table,),
        (),
        (figure,),
        (f"Rebuild: {events:,} events, {rows:,} rows: live == rebuilt.",),
    )


async def _decoded(pool: Pool, there: Goals) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, there.org_id)
        head = await store.read_head(conn, there.org_id)
        texts = await TextKeys().of(conn, there.org_id, head.text_keys_version)
        async for recorded in store.read_all(conn, texts, Filter()):
            _ = recorded.event


async def _rebuild(pool: Pool, there: Goals) -> int:
    async with pool.acquire() as conn, conn.transaction():
        await store.as_organization(conn, there.org_id)
        return await replay.rebuild(conn, there.org_id)
