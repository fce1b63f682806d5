"""Check-ins over HTTP beside pgbench, a naive endpoint and a library; and what they take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from statistics import median

from benchmarks import audit
from benchmarks.figures import Bar, Figure, Line, Plot, Ratios, Section, Table, number
from benchmarks.load import Outcome
from benchmarks.memory import Memory, watching
from benchmarks.parts import pace, processes, sides
from benchmarks.parts.sides import Field
from benchmarks.peers import SOURCE
from benchmarks.peers.library import Manner
from benchmarks.running import Here, in_turn

_FLAT = 1.1

HTTP, NAIVE, PGBENCH, LIBRARY = "OKR Ledger", "naive endpoint", "pgbench", "eventsourcing"

_SAYS = """
`POST .../key-results/{{id}}/check-ins` with authentication, validation, the decision, idempotency
and projections on, {clients} keep-alive connections that each send the next one when the last is
acknowledged, {seconds:g} s each time. Anything but a 201 fails the run. One server process.

- **naive endpoint**: FastAPI and asyncpg over one SQL function, a pydantic body, one transaction to
  a request, the same server and as many connections to the database ([source]({source}/naive.py)).
  It asks nobody who they are and decides nothing.
- **pgbench**: that function, called by a C program with as many connections
  ([source]({source}/check_in.sql)). It appends the event, writes the read models and keeps the
  answer for its key, all copied from a real check-in; row-level security does not apply to it.
- **eventsourcing**: the library of that name on Postgres, one process: load an aggregate, check in
  on it, save it ([source]({source}/library.py)). No HTTP, no read models, no idempotency. In the
  manner that was fastest before the rounds: {manner}. Fresh aggregates each time, as many as there
  are ledgers.

All write to one durable Postgres, each side to ledgers of its own.
"""


Rates = dict[str, list[float]]
"""Check-ins per second of each side, by round."""


def measure(here: Here) -> Iterator[Section]:
    """Throughput, latency at a fixed rate, and memory, of one server."""
    with sides.prepared(here) as field:
        with watching(field.ours.pid) as memory:
            manner = _warm_up(field)
            # The planner knows of the tables what it would know after a minute.
            asyncio.run(audit.settle(field.database.owner_url))
            many, many_latency = _rounds(field, here.sizes.ledgers, manner)
            one, one_latency = _rounds(field, 1, manner)
            yield from _throughput(field, many, one, (many_latency, one_latency), manner)
            yield pace.measure(here, field.http, field.plain, many[HTTP], many[NAIVE])
        yield _memory(memory, field.acknowledged)
        yield processes.measure(here, field)
        yield Section("", "", kept=(asyncio.run(field.kept()),))


def _warm_up(field: Field) -> Manner:
    """Every side once, uncounted; returns the manner that suits the library best."""
    sizes = field.here.sizes
    seconds, ledgers = sizes.warm_up, sizes.ledgers
    manners = [
        Manner(threads=threads, cached=cached)
        for cached in (False, True)
        for threads in sizes.library_threads
    ]
    told = field.here.steps("warming up", 2 + len(manners))
    for count in (ledgers, 1):
        field.http(count, seconds)
        field.plain(count, seconds)
        field.sql(count, seconds)
        told()
    rates: list[float] = []
    for manner in manners:
        rates.append(field.library(manner, seconds))
        told()
    return manners[rates.index(max(rates))]


def _rounds(field: Field, ledgers: int, manner: Manner) -> tuple[Rates, list[Outcome]]:
    """Rates of all sides, and what else is known of ours."""
    seconds = field.here.sizes.seconds
    rates: Rates = {}
    outcomes: list[Outcome] = []

    def ours() -> float:
        outcomes.append(field.http(ledgers, seconds))
        return outcomes[-1].per_second

    rate_of: dict[str, Callable[[], float]] = {
        HTTP: ours,
        NAIVE: lambda: field.plain(ledgers, seconds).per_second,
        PGBENCH: lambda: field.sql(ledgers, seconds),
    }
    if ledgers > 1:
        rate_of[LIBRARY] = lambda: field.library(manner, seconds)
    for turn in field.here.rounds(f"check-ins, {_ledgers(ledgers)}"):
        for name, rate in in_turn(turn, rate_of).items():
            rates.setdefault(name, []).append(rate)
    return rates, outcomes


def _ledgers(count: int) -> str:
    return "one ledger" if count == 1 else f"{count} ledgers"


def _throughput(
    field: Field,
    many: Rates,
    one: Rates,
    latencies: tuple[list[Outcome], list[Outcome]],
    manner: Manner,
) -> Iterator[Section]:
    sizes = field.here.sizes
    on_many = f"check-ins over HTTP, {_ledgers(sizes.ledgers)}, {sizes.clients} clients"
    on_one = f"check-ins over HTTP, one ledger, {sizes.clients} clients"
    same = "pgbench on one ledger with as many connections"

    def against(rates: Rates, peer: str) -> Ratios:
        return Ratios.of(rates[HTTP], rates[peer])

    figures = (
        Figure(on_many, "the naive endpoint", Bar("at least", 1.5), against(many, NAIVE)),
        Figure(on_many, "pgbench", Bar("at least", 0.5), against(many, PGBENCH)),
        Figure(on_one, same, Bar("at least", 3), against(one, PGBENCH)),
        Figure(on_one, "the naive endpoint", Bar("at least", 2), against(one, NAIVE)),
        Figure(
            "check-ins over HTTP, per process",
            "`eventsourcing`, load and save",
            Bar("at least", 4),
            against(many, LIBRARY),
        ),
    )
    rows = []
    for count, rates in ((sizes.ledgers, many), (1, one)):
        for peer, told in rates.items():
            ratio = "" if peer == HTTP else str(against(rates, peer))
            rows.append((f"{_ledgers(count)}: {peer}", number(median(told)), ratio))
    speed = Table(("side", "check-ins/s", "OKR Ledger to it"), tuple(rows))
    waits = Table(
        ("OKR Ledger, all clients at once", "p50 ms", "p99 ms"),
        tuple(
            (
                _ledgers(count),
                number(median(done.p50_ms for done in outcomes)),
                number(median(done.p99_ms for done in outcomes)),
            )
            for count, outcomes in zip((sizes.ledgers, 1), latencies, strict=True)
        ),
    )
    numbers = tuple(float(turn) for turn in range(1, sizes.rounds + 1))
    plot = Plot(
        "check-ins",
        f"Check-ins, {_ledgers(sizes.ledgers)}",
        "round",
        "per second",
        tuple(Line(name, numbers, tuple(told)) for name, told in many.items()),
    )
    says = _SAYS.format(clients=sizes.clients, seconds=sizes.seconds, source=SOURCE, manner=manner)
    yield Section("Check-ins over HTTP", says, (speed, waits), (plot,), figures)


def _memory(memory: Memory, check_ins: int) -> Section:
    early, late, most = memory.among(0.2, 0.4), memory.among(0.8, 1), max(memory.mib)
    figure = Figure(
        "memory of the server, last fifth of its load",
        "its second fifth",
        Bar("at most", _FLAT),
        Ratios((late / early,)),
    )
    table = Table(
        ("resident memory of the server process", "MiB"),
        (
            ("at the beginning", number(memory.mib[0])),
            ("second fifth, median", number(early)),
            ("last fifth, median", number(late)),
            ("at most", number(most)),
        ),
    )
    plot = Plot(
        "memory",
        "Resident memory of the server under load",
        "seconds",
        "MiB",
        (Line("OKR Ledger", tuple(memory.seconds), tuple(memory.mib)),),
    )
    says = (
        f"Of the server process through all of the above, {check_ins:,} check-ins, sampled once a "
        "second. In its first fifth it fills what it keeps between requests, which is bounded."
    )
    return Section("Memory under load", says, (table,), (plot,), (figure,))
