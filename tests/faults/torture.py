"""The scenarios of this folder at the size of a release, and a report of them: `make torture`."""

from __future__ import annotations

import asyncio
import os
import platform
import random
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app import __version__
from tests.faults import (
    cancelled,
    commits,
    crashes,
    overload,
    races,
    reluctant,
    replays,
    shutdown,
    stalled,
    standby,
    streams,
    tampering,
)
from tests.faults.cluster import Place, made_place
from tests.faults.outcome import Outcome, Step
from tests.faults.sizes import CI, RELEASE, Sizes

Scenario = Callable[[Place, Sizes, int, Step], Awaitable[Outcome]]

SCENARIOS: dict[str, tuple[Scenario, Callable[[Sizes], int]]] = {
    "kills": (crashes.kills, lambda sizes: sizes.kill_rounds),
    "commits": (commits.failing_commits, lambda sizes: 1),
    "lists": (races.lists, lambda sizes: sizes.list_rounds),
    "duplicates": (races.duplicates, lambda sizes: sizes.keys),
    "one stream": (races.one_stream, lambda sizes: 1),
    "followers": (races.followers, lambda sizes: sizes.feed_rounds),
    "terminations": (shutdown.terminations, lambda sizes: sizes.terminations),
    "replays": (replays.replays, lambda sizes: sizes.replay_ledgers),
    "alterations": (tampering.alterations, lambda sizes: 1),
    "overload": (
        lambda place, sizes, seed, step: overload.overload(
            place, sizes.overload_seconds, seed, step
        ),
        lambda sizes: 1,
    ),
    "exhaustion": (
        lambda place, sizes, seed, step: overload.exhaustion(place, sizes.exhaustions, seed, step),
        lambda sizes: sizes.exhaustions,
    ),
    "one connection": (
        lambda place, sizes, seed, step: overload.single_connection(
            place, sizes.single_requests, seed, step
        ),
        lambda sizes: 1,
    ),
    "slow senders": (
        lambda place, sizes, seed, step: overload.slow_senders(
            place, sizes.slow_senders, seed, step
        ),
        lambda sizes: 1,
    ),
    "stalls": (
        lambda place, sizes, seed, step: stalled.stalls(place, sizes.stalls, seed, step),
        lambda sizes: sizes.stalls,
    ),
    "unheard commits": (
        lambda place, sizes, seed, step: stalled.unheard_commits(
            place, sizes.unheard_commits, seed, step
        ),
        lambda sizes: sizes.unheard_commits,
    ),
    "failovers": (
        lambda _, sizes, seed, step: standby.failovers(sizes.failovers, seed, step),
        lambda sizes: sizes.failovers,
    ),
    "lone primaries": (
        lambda _, sizes, seed, step: standby.lone_primaries(sizes.lone_primaries, seed, step),
        lambda sizes: sizes.lone_primaries,
    ),
    "demotions": (
        lambda place, sizes, seed, step: standby.demotions(place, sizes.demotions, seed, step),
        lambda sizes: sizes.demotions,
    ),
    "cancellations": (
        lambda place, sizes, seed, step: cancelled.cancellations(
            place, sizes.cancellations, seed, step
        ),
        lambda sizes: max(1, sizes.cancellations // 1_000),
    ),
    "reluctance": (
        lambda place, sizes, seed, step: reluctant.reluctance(place, sizes.reluctances, seed, step),
        lambda sizes: sizes.reluctances,
    ),
    "disconnects": (
        lambda place, sizes, seed, step: streams.disconnects(place, sizes.disconnects, seed, step),
        lambda sizes: sizes.disconnects,
    ),
    "open streams": (
        lambda place, sizes, seed, step: streams.open_at_the_end(
            place, sizes.open_streams, seed, step
        ),
        lambda sizes: sizes.open_streams,
    ),
}
"""Every scenario, and how often it tells that it has come further."""

console = Console(highlight=False)


@dataclass
class Row:
    """What came of a scenario."""

    name: str
    outcome: Outcome
    seconds: float


def main(
    report: Annotated[Path, typer.Option(help="Write the report as Markdown here.")] = Path(
        "docs/torture.md"
    ),
    seed: Annotated[int | None, typer.Option(help="Of an earlier run, to see it again.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of: {', '.join(SCENARIOS)}. Repeatable.")
    ] = None,
    small: Annotated[bool, typer.Option(help="The sizes of CI.")] = False,
) -> None:
    """Torture the product, at the size of a release: about an hour on two cores."""
    unknown = set(only or ()) - set(SCENARIOS)
    if unknown:
        raise typer.BadParameter(f"there is no scenario {', '.join(sorted(unknown))}")
    # What was started is stopped and removed, however the run ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    sizes = CI if small else RELEASE
    rows, postgres = asyncio.run(_run(sizes, seed, only or list(SCENARIOS)))
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(_markdown(rows, sizes, seed, postgres))
    console.print(f"Written to {report}.")
    if any(row.outcome.violations for row in rows):
        sys.exit(1)


async def _run(sizes: Sizes, seed: int, names: list[str]) -> tuple[list[Row], str]:
    rows = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        for name in names:
            # Each begins with a database of its own, so that none is as slow as those before it.
            async with made_place() as place:
                async with place.owner() as owner:
                    postgres = str(await owner.fetchval("SHOW server_version"))
                rows.append(await _one(name, place, sizes, seed, progress))
    return rows, postgres


async def _one(name: str, place: Place, sizes: Sizes, seed: int, progress: Progress) -> Row:
    scenario, steps = SCENARIOS[name]
    task = progress.add_task(name, total=steps(sizes))
    began = time.monotonic()
    try:
        outcome = await scenario(place, sizes, seed, lambda: progress.advance(task))
    except Exception as error:
        # One that breaks off is a row of the report, and does not keep the others from running.
        console.print(f"{name}: {''.join(traceback.format_exception(error))}", markup=False)
        for server in place.servers:
            console.print(server.said(), markup=False)
        outcome = Outcome("not kept", name, seed, violations=[str(error)])
    return Row(name, outcome, time.monotonic() - began)


# The report -------------------------------------------------------------------------------


def _markdown(rows: list[Row], sizes: Sizes, seed: int, postgres: str) -> str:
    lines = [
        "# What was tried to break it",
        "",
        f"Made by `make torture` on {datetime.now(UTC):%Y-%m-%d}, OKR Ledger {__version__}, "
        f"Postgres {postgres} as it comes (fsync on), Python {platform.python_version()}, "
        f"asyncpg {asyncpg.__version__}, uvicorn {version('uvicorn')}, "
        f"{os.cpu_count()} cores, seed {seed}. Two server processes on one Postgres.",
        "",
        "| scenario | promise | what was done | rounds | acknowledged | violations | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        out = row.outcome
        lines.append(
            f"| {row.name} | {out.promise} | {out.what} | {out.rounds:,} | {out.acknowledged:,} "
            f"| {len(out.violations)} | {row.seconds / 60:.1f} |"
        )
    lines += [
        "",
        "Acknowledged are answers over HTTP that were held against the ledger; of replays and "
        "alterations, events. The seed fixes what is chosen, not how processes interleave; "
        f"to choose the same again: `make torture SEED={seed}`.",
        "",
        "Sizes: " + ", ".join(f"{f.name} {getattr(sizes, f.name)}" for f in fields(sizes)) + ".",
    ]
    for row in rows:
        for violation in row.outcome.violations:
            lines += ["", f"## Violated: {row.name}", "", "```", violation, "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
