"""`python -m benchmarks`: measure, and write the page."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.embedded import EmbeddedPostgresError
from benchmarks import page, suite
from benchmarks.common import ROOT, SMOKE, BenchmarkFailed, Sizes
from benchmarks.figures import Figure
from benchmarks.suite import Part

_PAGE = ROOT / "docs" / "benchmarks"

app = typer.Typer(pretty_exceptions_enable=False)
console = Console(highlight=False)


@app.command()
def main(
    rounds: Annotated[int | None, typer.Option(min=1, max=25, help="Rounds of each.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.2, max=30, help="Of load.")] = None,
    events: Annotated[
        int, typer.Option(min=4, max=7, help="Growth: up to ten to the power of this.")
    ] = 6,
    only: Annotated[list[Part] | None, typer.Option(help="These parts; may be repeated.")] = None,
    smoke: Annotated[bool, typer.Option(help="Tiny sizes: does it all work?")] = False,
    output: Annotated[Path, typer.Option(help="The folder of the page.")] = _PAGE,
) -> None:
    """Measure the product beside its peers, and write docs/benchmarks/."""
    if (smoke or only) and output.resolve() == _PAGE:
        raise typer.BadParameter("The page is of a whole run; give another folder as --output.")
    sizes = SMOKE if smoke else Sizes(events=tuple(10**power for power in range(4, events + 1)))
    if rounds is not None:
        sizes = replace(sizes, rounds=rounds)
    if seconds is not None:
        sizes = replace(sizes, seconds=seconds)
    # What was started is stopped and removed, however the run ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    try:
        with _progress() as progress:
            version, sections = suite.run(sizes, only or list(Part), progress)
    except (BenchmarkFailed, EmbeddedPostgresError) as error:
        Console(stderr=True, highlight=False).print(str(error), style="red", markup=False)
        sys.exit(1)
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    run = page.Run(command, sizes, version, (time.monotonic() - began) / 60)
    written = page.write(run, sections, output, smoke=smoke)
    console.print(_table([figure for section in sections for figure in section.figures]))
    console.print(str(written))


def _table(figures: list[Figure]) -> Table:
    told = page.summary(figures)
    table = Table()
    for heading in told.headings:
        table.add_column(heading)
    for row in told.rows:
        table.add_row(*(cell.replace("**", "").replace("`", "") for cell in row))
    return table


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        # The cores are for what is measured.
        refresh_per_second=2,
    )


if __name__ == "__main__":
    app()
