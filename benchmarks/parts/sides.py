"""Who is measured checking in: the product, the naive endpoint, pgbench, and the library."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import audit, load, programmes
from benchmarks.common import Programme
from benchmarks.load import Outcome, Target
from benchmarks.peers import library, pgbench
from benchmarks.peers.library import Manner
from benchmarks.running import Here
from benchmarks.setting import EMPTY, Database, Server, naive_server, server

_VERIFIED = 2


@dataclass(slots=True)
class Field:
    """The sides, each with ledgers of its own; `heads` is where each of ours must end."""

    here: Here
    ours: Server
    naive: Server
    database: Database
    library_url: str
    programmes: list[Programme]
    heads: list[int]
    acknowledged: int = 0

    def http(self, ledgers: int, seconds: float, rate: float | None = None) -> Outcome:
        which = range(ledgers)
        targets = [self._target(number, all_keys=ledgers == 1) for number in which]
        clients = self.here.sizes.clients
        done = load.run(self.ours.port, targets, clients=clients, seconds=seconds, rate=rate)
        self._count(which, done)
        return done

    def by_two(self, second: Server, seconds: float, *, apart: bool) -> float:
        """Check-ins per second of two processes with half of the clients each.

        Each has half of the ledgers (`apart`), or both have all of them.
        """
        numbers = range(self.here.sizes.ledgers)
        parts = (numbers[::2], numbers[1::2]) if apart else (numbers, numbers)
        clients = max(1, self.here.sizes.clients // 2)

        def run(server: Server, which: Sequence[int]) -> Outcome:
            targets = [self._target(number) for number in which]
            return load.run(server.port, targets, clients=clients, seconds=seconds)

        with ThreadPoolExecutor(len(parts)) as pool:
            outcomes = list(pool.map(run, (self.ours, second), parts))
        for which, done in zip(parts, outcomes, strict=True):
            self._count(which, done)
        return sum(done.per_second for done in outcomes)

    def _target(self, number: int, *, all_keys: bool = False) -> Target:
        one = self.programmes[number]
        return Target(path=one.path, keys=one.keys if all_keys else one.keys[:1])

    def _count(self, which: Sequence[int], done: Outcome) -> None:
        for number, acknowledged in zip(which, done.acknowledged, strict=True):
            self.heads[number] += acknowledged
            self.acknowledged += acknowledged

    def plain(self, ledgers: int, seconds: float, rate: float | None = None) -> Outcome:
        first = self.here.sizes.ledgers + 1
        targets = [Target(path=f"/ledgers/{first + n}/check-ins") for n in range(ledgers)]
        clients = self.here.sizes.clients
        return load.run(self.naive.port, targets, clients=clients, seconds=seconds, rate=rate)

    def sql(self, ledgers: int, seconds: float) -> float:
        clients = self.here.sizes.clients
        return pgbench.run(
            self.database.owner_url, ledgers=ledgers, clients=clients, seconds=seconds
        )

    def library(self, manner: Manner, seconds: float) -> float:
        aggregates = self.here.sizes.ledgers
        return library.run(self.library_url, manner, aggregates=aggregates, seconds=seconds)

    async def kept(self) -> str:
        """Says what is there. Raises BenchmarkFailed when anything acknowledged is not."""
        org_ids = [one.org_id for one in self.programmes]
        await audit.check_heads(self.database.owner_url, org_ids, self.heads)
        events = await audit.verify(self.database.url, org_ids[:_VERIFIED])
        return (
            f"Check-ins: each of {len(org_ids)} ledgers ends where the {self.acknowledged:,} "
            f"acknowledged check-ins say; {min(_VERIFIED, len(org_ids))} of them replayed, "
            f"{events:,} events: live == rebuilt."
        )


@contextmanager
def prepared(here: Here) -> Iterator[Field]:
    """Servers that run, and ledgers for each side."""
    with (
        here.cluster.database("check_ins") as database,
        here.cluster.database("library", like=EMPTY) as empty,
        server(database.url) as ours,
    ):
        operator = asyncio.run(programmes.operator_key(database.owner_url))
        count = 3 * here.sizes.ledgers
        fresh = programmes.make(ours.port, operator, count, keys=here.sizes.clients)
        made = list(here.progress.track(fresh, count, description="ledgers"))
        others = [one.org_id for one in made[here.sizes.ledgers :]]
        own = made[: here.sizes.ledgers]
        asyncio.run(pgbench.install(database.owner_url, others))
        heads = asyncio.run(audit.heads(database.owner_url, [one.org_id for one in own]))
        with naive_server(database.owner_url) as naive:
            yield Field(here, ours, naive, database, empty.owner_url, own, heads)
