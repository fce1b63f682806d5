"""What a run found, as a table and as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from benchmarks.load import Outcome

HEADINGS = ("on", "HTTP/s", "pgbench/s", "ratio", "min..max", "p50 ms", "p99 ms")
LEGEND = "ratio: HTTP to pgbench, in the same round; latencies are those over HTTP"


@dataclass(frozen=True, slots=True)
class Pair:
    """One round: both sides, one right after the other. `peer` is check-ins per second."""

    http: Outcome
    peer: float

    @property
    def ratio(self) -> float:
        return self.http.per_second / self.peer


@dataclass(frozen=True, slots=True)
class Report:
    """The rounds of each setting, by the number of ledgers in it."""

    pairs: dict[int, list[Pair]]
    clients: int
    rounds: int
    seconds: int
    postgres: str

    @property
    def title(self) -> str:
        return (
            f"A check-in: {self.clients} clients, median of {self.rounds} x {self.seconds} s\n"
            f"{os.cpu_count()} cores, Python {platform.python_version()}, Postgres {self.postgres}"
        )

    def rows(self) -> Iterator[tuple[str, ...]]:
        for ledgers, pairs in self.pairs.items():
            ratios = [pair.ratio for pair in pairs]
            yield (
                "one ledger" if ledgers == 1 else f"{ledgers} ledgers",
                f"{median(pair.http.per_second for pair in pairs):,.0f}",
                f"{median(pair.peer for pair in pairs):,.0f}",
                f"{median(ratios):.3f}",
                f"{min(ratios):.3f}..{max(ratios):.3f}",
                f"{median(pair.http.p50_ms for pair in pairs):.1f}",
                f"{median(pair.http.p99_ms for pair in pairs):.1f}",
            )

    def table(self) -> Table:
        table = Table(title=self.title, caption=LEGEND)
        for number, heading in enumerate(HEADINGS):
            table.add_column(heading, justify="right" if number else "left")
        for row in self.rows():
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        rule = ("---", *("---:" for _ in HEADINGS[1:]))
        lines = [f"| {' | '.join(cells)} |" for cells in (HEADINGS, rule, *self.rows())]
        return "\n".join([f"{self.title}:", "", *lines, "", f"({LEGEND})", ""])
