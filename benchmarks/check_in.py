"""One check-in over HTTP against the same SQL run by pgbench, side by side in one run."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.embedded import EmbeddedPostgresError
from benchmarks import audit, load, peer, programmes
from benchmarks.common import BenchmarkFailed, Programme
from benchmarks.report import Pair, Report
from benchmarks.setting import Cluster, cluster, server

LEDGERS = 64
SETTINGS = (1, LEDGERS)
CLIENTS = 32
WARM_UP_SECONDS = 1
VERIFIED = 2

app = typer.Typer(pretty_exceptions_enable=False)
console = Console(highlight=False)


class Run:
    """Both sides on ledgers of their own, and what HTTP was told is kept."""

    def __init__(self, place: Cluster, port: int, ours: list[Programme], heads: list[int]) -> None:
        self.place = place
        self.port = port
        self.ours = ours
        self.first_head = heads[0]
        self.expected = heads
        """Where each of our ledgers must end."""

    @property
    def checked_in(self) -> int:
        """Check-ins on the key result of the first ledger, the one of set-up included."""
        return self.expected[0] - self.first_head + 1

    def pair(self, ledgers: int, seconds: int) -> Pair:
        http = load.run(self.port, self.ours[:ledgers], clients=CLIENTS, seconds=seconds)
        for number, acknowledged in enumerate(http.acknowledged):
            self.expected[number] += acknowledged
        sql = peer.run(self.place.owner_url, ledgers=ledgers, clients=CLIENTS, seconds=seconds)
        return Pair(http, sql)


@app.command()
def main(
    rounds: Annotated[int, typer.Option(min=1, max=9, help="How often each is measured.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, max=30, help="How long each time.")] = 5,
    output: Annotated[Path | None, typer.Option(help="Write the table as Markdown here.")] = None,
) -> None:
    """Measure a check-in over HTTP beside the same SQL, on one ledger and on 64."""
    # What was started is stopped and removed, however the run ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        report, kept = measure(rounds, seconds)
    except (BenchmarkFailed, EmbeddedPostgresError) as error:
        Console(stderr=True, highlight=False).print(str(error), style="red", markup=False)
        sys.exit(1)
    console.print(report.table())
    console.print(kept)
    if output is not None:
        output.write_text(f"{report.markdown()}\n{kept}\n")


def measure(rounds: int, seconds: int) -> tuple[Report, str]:
    """The whole run; returns what was measured, and a line on what was kept."""
    pairs: dict[int, list[Pair]] = {ledgers: [] for ledgers in SETTINGS}
    with _progress() as progress, cluster() as place, server(place.url) as port:
        run = _prepare(progress, place, port)
        task = progress.add_task("warming up", total=(1 + rounds) * len(SETTINGS))
        for number in range(1 + rounds):
            for ledgers in SETTINGS:
                pair = run.pair(ledgers, seconds if number else WARM_UP_SECONDS)
                if number:
                    pairs[ledgers].append(pair)
                progress.advance(task)
            progress.update(task, description=f"round {min(number + 1, rounds)} of {rounds}")
        kept = asyncio.run(_kept(run))
    return Report(pairs, CLIENTS, rounds, seconds, place.version), kept


def _prepare(progress: Progress, place: Cluster, port: int) -> Run:
    operator = asyncio.run(programmes.operator_key(place.owner_url))
    fresh = programmes.make(port, operator, 2 * LEDGERS)
    made = list(progress.track(fresh, 2 * LEDGERS, description="ledgers"))
    ours, theirs = made[:LEDGERS], made[LEDGERS:]
    asyncio.run(peer.install(place.owner_url, [one.org_id for one in theirs]))
    heads = asyncio.run(audit.heads(place.owner_url, [one.org_id for one in ours]))
    return Run(place, port, ours, heads)


async def _kept(run: Run) -> str:
    org_ids = [one.org_id for one in run.ours]
    await audit.check_heads(run.place.owner_url, org_ids, run.expected)
    events = await audit.verify(run.place.url, org_ids[:VERIFIED])
    return (
        f"Kept: each of {LEDGERS} ledgers ends where the acknowledged check-ins say; "
        f"{VERIFIED} of them replayed, {events:,} events: live == rebuilt. "
        f"The one ledger's key result has {run.checked_in:,} check-ins."
    )


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        # The cores are for what is measured.
        refresh_per_second=2,
        transient=True,
    )


if __name__ == "__main__":
    app()
