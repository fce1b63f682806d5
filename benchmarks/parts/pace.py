"""Latency at a fixed rate: half of what the server can take, whether or not it keeps up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.figures import Bar, Figure, Ratios, Section, Table, number
from benchmarks.load import Outcome
from benchmarks.running import Here, in_turn

_SHARE = 0.5

_SAYS = """
Half of the top rate of each side (the median of its rounds above, {ledgers} ledgers), sent for
{seconds:g} s as an open loop: a check-in goes out when it is due, whether or not those before it
were answered, and its time counts from when it was due. At most {clients} are under way at once;
what is due beyond that waits, and its waiting counts. A 503 counts as the whole length of the load.

The naive endpoint at half of *its* top rate shows what of it is the machine.
"""

Load = Callable[[int, float, float], Outcome]


def measure(
    here: Here, ours: Load, naive: Load, our_top: Sequence[float], naive_top: Sequence[float]
) -> Section:
    sizes = here.sizes
    rates = {"OKR Ledger": _SHARE * median(our_top), "naive endpoint": _SHARE * median(naive_top)}
    told: dict[str, list[Outcome]] = {name: [] for name in rates}
    for turn in here.rounds("latency at half of the top rate"):
        done = in_turn(
            turn,
            {
                "OKR Ledger": lambda: ours(sizes.ledgers, sizes.paced_seconds, rates["OKR Ledger"]),
                "naive endpoint": lambda: naive(
                    sizes.ledgers, sizes.paced_seconds, rates["naive endpoint"]
                ),
            },
        )
        for name, outcome in done.items():
            told[name].append(outcome)
    rows = tuple(
        (
            name,
            number(rates[name]),
            number(median(one.p50_ms for one in outcomes)),
            number(median(one.p99_ms for one in outcomes)),
            str(_ratios(outcomes)),
            f"{sum(one.refused for one in outcomes)}",
        )
        for name, outcomes in told.items()
    )
    table = Table(("side", "sent per second", "p50 ms", "p99 ms", "p99 to p50", "refused"), rows)
    figure = Figure(
        "p99 of a check-in at half of the top rate",
        "its p50",
        Bar("at most", 5),
        _ratios(told["OKR Ledger"]),
    )
    says = _SAYS.format(ledgers=sizes.ledgers, seconds=sizes.paced_seconds, clients=sizes.clients)
    return Section("Latency at a fixed rate", says, (table,), (), (figure,))


def _ratios(outcomes: Sequence[Outcome]) -> Ratios:
    return Ratios.of([one.p99_ms for one in outcomes], [one.p50_ms for one in outcomes])
