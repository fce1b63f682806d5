"""Check-ins over HTTP by two server processes on one database, beside one."""

from __future__ import annotations

import os
from statistics import median

from benchmarks.figures import Ratios, Section, Table, number
from benchmarks.parts.sides import Field
from benchmarks.running import Here, in_turn
from benchmarks.setting import server

_SAYS = """
The same check-ins on {ledgers} ledgers, by one process and by two, which have half of the clients
each. There are {cores} cores here for them, Postgres and the clients together.
"""
_ONE, _APART, _SHARED = "one process", "two, half of the ledgers each", "two, all ledgers each"


def measure(here: Here, field: Field) -> Section:
    sizes = here.sizes
    rates: dict[str, list[float]] = {}
    with server(field.database.url) as second:
        # What the other process wrote is new to it.
        field.by_two(second, sizes.warm_up, apart=False)
        for turn in here.rounds("check-ins, two processes"):
            done = in_turn(
                turn,
                {
                    _ONE: lambda: field.http(sizes.ledgers, sizes.seconds).per_second,
                    _APART: lambda: field.by_two(second, sizes.seconds, apart=True),
                    _SHARED: lambda: field.by_two(second, sizes.seconds, apart=False),
                },
            )
            for name, rate in done.items():
                rates.setdefault(name, []).append(rate)
    rows = tuple(
        (
            name,
            number(median(told)),
            "" if name == _ONE else str(Ratios.of(told, rates[_ONE])),
        )
        for name, told in rates.items()
    )
    return Section(
        "Two processes",
        _SAYS.format(ledgers=sizes.ledgers, cores=os.cpu_count()),
        (Table(("OKR Ledger", "check-ins/s", "to one process"), rows),),
    )
