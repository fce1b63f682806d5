"""What becomes slower as the table of events grows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from statistics import median

from benchmarks import audit, goals, growth, programmes
from benchmarks.common import Programme, check_in
from benchmarks.figures import Bar, Figure, Line, Plot, Ratios, Section, Table, number
from benchmarks.goals import Goals
from benchmarks.one_by_one import client, timed
from benchmarks.running import Here, in_turn
from benchmarks.setting import Database, Server, server

_OBJECTIVES = 20
_FIRST = "growth"
_PAGE = 100
APPEND, TREE, PAST, FEED = "append", "tree", "tree `as_of`", "feed page"

_SAYS = """
Copies of one database, with {sizes} events in the table of events, filled by plain SQL with copies
of a real event; each has a server of its own, and all are measured in every round. Half of the
events are in one large ledger, the others in {others} more and an ordinary one. One client, one
request after the other:

- **append**: a check-in on a key result of the large ledger, which has no more events of its own
  than anywhere else;
- **feed page**: {page} events from the midst of the large ledger (`GET .../events?after=`);
- **tree**, and **tree `as_of`** at a position not asked for before: of the ordinary ledger,
  {events:,} events long.

A look into the past replays what came before it in its ledger, so that one into the large ledger
takes the longer the more there is; the figure above says how long. The other tables do not grow.
"""


@dataclass(slots=True)
class _Size:
    """One of the databases, and what of it must be there in the end."""

    events: int
    database: Database
    large: Programme
    ordinary: Goals
    head: int
    acknowledged: int = 0


def measure(here: Here) -> Iterator[Section]:
    growth.demand_room(here.cluster.folder, sum(here.sizes.events))
    with ExitStack() as stack:
        first = stack.enter_context(here.cluster.database(_FIRST))
        large, ordinary = _seeded(first)
        written = here.progress.add_task("events", total=sum(here.sizes.events))
        told = partial(here.progress.advance, written)
        filled = []
        for events in here.sizes.events:
            database = stack.enter_context(here.cluster.database(f"{_FIRST}_{events}", like=_FIRST))
            head = asyncio.run(growth.fill(database.owner_url, large.org_id, events, told))
            filled.append(_Size(events, database, large, ordinary, head))
        times = _measured(here, filled)
        kept = asyncio.run(_kept(filled))
    yield _told(filled, times, kept)


def _seeded(database: Database) -> tuple[Programme, Goals]:
    """The beginning of the large ledger, and the ordinary one."""
    operator = asyncio.run(programmes.operator_key(database.owner_url))
    with server(database.url) as serving:
        (large,) = programmes.make(serving.port, operator, 1)
        made = goals.make(serving.port, database.url, operator, objectives=_OBJECTIVES, copies=1)
        return large, asyncio.run(made)


Times = dict[str, dict[int, list[float]]]
"""The median seconds of a round, by what was done and by the size of the table."""


def _measured(here: Here, filled: list[_Size]) -> Times:
    times: Times = {}
    with ExitStack() as stack:
        sides: dict[str, Callable[[], dict[str, float]]] = {}
        for size in filled:
            serving = stack.enter_context(server(size.database.url))
            sides[str(size.events)] = _side(here, stack, serving, size)
        for side in sides.values():
            side()
        for turn in here.rounds("growth"):
            for events, told in in_turn(turn, sides).items():
                for what, seconds in told.items():
                    times.setdefault(what, {}).setdefault(int(events), []).append(seconds)
    return times


def _side(
    here: Here, stack: ExitStack, serving: Server, size: _Size
) -> Callable[[], dict[str, float]]:
    """All that is measured of one size, some times each."""
    writing = stack.enter_context(client(serving.port, size.large.keys[0]))
    reading = stack.enter_context(client(serving.port, size.ordinary.key))
    tree, feed = size.ordinary.tree, f"/v1/organizations/{size.large.org_id}/events"
    pick, before = random.Random(0), count()

    def append() -> None:
        writing.post(size.large.path, check_in(pick.randrange(100, 200)))
        size.acknowledged += 1

    def page() -> None:
        after = pick.randrange(size.head // 2)
        writing.get(f"{feed}?after={after}&page_size={_PAGE}")

    def past() -> None:
        # The ledger stands still, so that its last half is gone through again in the end.
        position = size.ordinary.events - next(before) % (size.ordinary.events // 2)
        reading.get(f"{tree}?as_of={position}")

    readings = max(1, here.sizes.readings // 5)
    doing: dict[str, tuple[Callable[[], object], int]] = {
        APPEND: (append, here.sizes.readings),
        FEED: (page, readings),
        TREE: (lambda: reading.get(tree), readings),
        PAST: (past, readings),
    }
    return lambda: {
        what: median(timed(do) for _ in range(times)) for what, (do, times) in doing.items()
    }


def _told(filled: list[_Size], times: Times, kept: str) -> Section:
    smallest, largest = filled[0].events, filled[-1].events
    ratios = {
        what: {events: Ratios.of(told[events], told[smallest]) for events in told}
        for what, told in times.items()
    }
    rows = []
    for size in filled:
        row = [f"{size.events:,}"]
        for what, told in times.items():
            row.append(number(1000 * median(told[size.events])))
            row.append("" if size.events == smallest else str(ratios[what][size.events]))
        rows.append(tuple(row))
    headings = ["events"]
    for what in times:
        headings += [f"{what}, ms", f"to {smallest:,}"]
    lines = tuple(
        Line(
            what.replace("`", ""),
            tuple(float(size.events) for size in filled),
            tuple(1000 * median(told[size.events]) for size in filled),
        )
        for what, told in times.items()
    )
    plot = Plot("growth", "As the table of events grows", "events", "ms", lines, logarithmic=True)
    names = [f"{size.events:,}" for size in filled]
    says = _SAYS.format(
        sizes=f"{', '.join(names[:-1])} and {names[-1]}",
        others=growth.LEDGERS,
        page=_PAGE,
        events=filled[0].ordinary.events,
    )
    figure = Figure(
        f"append at {largest:,} events",
        f"append at {smallest:,}",
        Bar("at most", 1.2),
        ratios[APPEND][largest],
    )
    return Section(
        "Growth", says, (Table(tuple(headings), tuple(rows)),), (plot,), (figure,), (kept,)
    )


async def _kept(filled: list[_Size]) -> str:
    """Raises BenchmarkFailed when anything acknowledged is not there."""
    for size in filled:
        await audit.check_heads(
            size.database.owner_url, [size.large.org_id], [size.head + size.acknowledged]
        )
        await audit.verify(size.database.url, [size.ordinary.org_id])
    appended = sum(size.acknowledged for size in filled)
    return (
        f"Growth: {appended:,} appends to {len(filled)} tables are there as acknowledged; "
        "the ordinary ledger in each: live == rebuilt."
    )
