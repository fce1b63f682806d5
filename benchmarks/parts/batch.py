"""Check-ins by the batch, beside the same rows written by one SQL statement."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from statistics import median

from benchmarks import audit, goals, programmes
from benchmarks.common import check_in
from benchmarks.figures import Bar, Figure, Ratios, Section, Table, number
from benchmarks.goals import Goals
from benchmarks.one_by_one import Client, client, timed
from benchmarks.peers import SOURCE
from benchmarks.peers.bulk import bulk
from benchmarks.running import Here, in_turn
from benchmarks.setting import Database, Server, server

_COPIES = 20

_SAYS = """
`POST .../check-ins:batch` with {batch:,} check-ins on as many key results, one batch after the
other, over one connection. Beside it the same rows by one SQL statement over arrays
(`unnest`; [source]({source}/bulk.sql)) in a transaction that locks the ledger's head: events,
check-ins, key results, head, and the kept answer, copied from a batch of the product's. The arrays
are made before the clock starts. Each side has an organisation of its own.
"""


def measure(here: Here) -> Iterator[Section]:
    sizes = here.sizes
    copies = min(_COPIES, sizes.batch // 4)
    objectives = sizes.batch // 2 // copies
    told = here.steps("organisations for batches", 2 * copies)
    with here.cluster.database("batches") as database, server(database.url) as serving:
        operator = asyncio.run(programmes.operator_key(database.owner_url))
        make = partial(goals.make, serving.port, database.url, operator)
        ours, theirs = (
            asyncio.run(make(objectives=objectives, copies=copies, told=told)) for _ in range(2)
        )
        times = _measured(here, database, serving, ours, theirs)
        kept = asyncio.run(_kept(database, ours, 1 + sizes.rounds * sizes.batches))
    count = len(ours.key_results)
    ratios = Ratios.of(times["theirs"], times["ours"])
    rows = tuple(
        (name, number(count / median(seconds)), number(1000 * median(seconds)), ratio)
        for name, seconds, ratio in (
            ("OKR Ledger", times["ours"], ""),
            ("bulk SQL", times["theirs"], str(ratios)),
        )
    )
    yield Section(
        "Check-ins by the batch",
        _SAYS.format(batch=count, source=SOURCE),
        (Table(("side", "check-ins/s", "ms a batch", "OKR Ledger to it"), rows),),
        (),
        (Figure(f"check-ins by `:batch` of {count:,}", "bulk SQL", Bar("at least", 0.5), ratios),),
        (kept,),
    )


def _measured(
    here: Here, database: Database, serving: Server, ours: Goals, theirs: Goals
) -> dict[str, list[float]]:
    """The median seconds of a batch, of each side in each round."""
    batches = range(here.sizes.batches)
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    with client(serving.port, theirs.key) as asking:
        # What the statement writes is copied from it.
        _batch(asking, theirs)
    with (
        client(serving.port, ours.key) as asking,
        bulk(database.owner_url, theirs, len(theirs.key_results)) as sql,
    ):
        _batch(asking, ours)
        sql.record()
        for turn in here.rounds("batches"):
            done = in_turn(
                turn,
                {
                    "ours": lambda: [_batch(asking, ours) for _ in batches],
                    "theirs": lambda: [sql.record() for _ in batches],
                },
            )
            for name, seconds in done.items():
                times[name].append(median(seconds))
    return times


def _batch(asking: Client, there: Goals) -> float:
    items = [
        {"key_result_id": str(id), **check_in(random.randrange(100, 200))}
        for id in there.key_results
    ]
    path = f"{there.path}/check-ins:batch"
    return timed(lambda: asking.post(path, {"items": items}))


async def _kept(database: Database, ours: Goals, batches: int) -> str:
    """Raises BenchmarkFailed when anything acknowledged is not there."""
    expected = ours.events + batches * len(ours.key_results)
    await audit.check_heads(database.owner_url, [ours.org_id], [expected])
    events = await audit.verify(database.url, [ours.org_id])
    return (
        f"Batches: {batches} of {len(ours.key_results):,} are there as acknowledged; "
        f"{events:,} events: live == rebuilt."
    )
