"""The scenarios of this folder at the size of a release, and a report of them: `make torture`."""

from __future__ import annotations

import asyncio
import os
import platform
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

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
    webhooks,
)
from tests.faults.cluster import Place, made_place
from tests.faults.outcome import Outcome, Step
from tests.faults.sizes import CI, RELEASE, Sizes

Scenario = Callable[[Place, Sizes, int, Step], Awaitable[Outcome]]
Steps = Callable[[Sizes], int]


def sized(scenario: Callable[[Place, Any, int, Step], Awaitable[Outcome]], size: str) -> Scenario:
    """A scenario that takes one size only."""
    return lambda place, sizes, seed, step: scenario(place, getattr(sizes, size), seed, step)


def counted(
    scenario: Callable[[Place, int, int, Step], Awaitable[Outcome]], size: str
) -> tuple[Scenario, Steps]:
    """A scenario of so many rounds, which tells of each."""
    return sized(scenario, size), lambda sizes: int(getattr(sizes, size))


def alone(
    scenario: Callable[[int, int, Step], Awaitable[Outcome]],
) -> Callable[[Place, int, int, Step], Awaitable[Outcome]]:
    """A scenario that makes places of its own."""
    return lambda _, rounds, seed, step: scenario(rounds, seed, step)


def once(_: Sizes) -> int:
    return 1


SCENARIOS: dict[str, tuple[Scenario, Steps]] = {
    "kills": (crashes.kills, lambda sizes: sizes.kill_rounds),
    "commits": (commits.failing_commits, once),
    "lists": (races.lists, lambda sizes: sizes.list_rounds),
    "duplicates": (races.duplicates, lambda sizes: sizes.keys),
    "one stream": (races.one_stream, once),
    "followers": (races.followers, lambda sizes: sizes.feed_rounds),
    "terminations": (shutdown.terminations, lambda sizes: sizes.terminations),
    "replays": (replays.replays, lambda sizes: sizes.replay_ledgers),
    "alterations": (tampering.alterations, once),
    "overload": (sized(overload.overload, "overload_seconds"), once),
    "exhaustion": counted(overload.exhaustion, "exhaustions"),
    "one connection": (sized(overload.single_connection, "single_requests"), once),
    "slow senders": (sized(overload.slow_senders, "slow_senders"), once),
    "stalls": counted(stalled.stalls, "stalls"),
    "unheard commits": counted(stalled.unheard_commits, "unheard_commits"),
    "failovers": counted(alone(standby.failovers), "failovers"),
    "lone primaries": counted(alone(standby.lone_primaries), "lone_primaries"),
    "demotions": counted(standby.demotions, "demotions"),
    "cancellations": (
        sized(cancelled.cancellations, "cancellations"),
        lambda sizes: max(1, sizes.cancellations // 1_000),
    ),
    "reluctance": counted(reluctant.reluctance, "reluctances"),
    "disconnects": counted(streams.disconnects, "disconnects"),
    "open streams": counted(streams.open_at_the_end, "open_streams"),
    "sender kills": counted(webhooks.sender_kills, "sender_kills"),
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
    """Torture the product, at the size of a release: about two hours on two idle cores."""
    unknown = set(only or ()) - set(SCENARIOS)
    if unknown:
        raise typer.BadParameter(f"there is no scenario {', '.join(sorted(unknown))}")
    # What was started is stopped and removed, however the run ends; an interrupt is heeded where a
    # shell ignores it for what runs in its background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    sizes = CI if small else RELEASE
    report.parent.mkdir(parents=True, exist_ok=True)

    def write(rows: list[Row], postgres: str) -> None:
        before = report.read_text() if report.exists() else ""
        made = _made(postgres) + (", sizes of CI" if small else "")
        report.write_text(_written(before, rows, sizes, made))

    rows = asyncio.run(_run(sizes, seed, only or list(SCENARIOS), write))
    console.print(f"Written to {report}.")
    if any(row.outcome.violations for row in rows):
        sys.exit(1)


async def _run(
    sizes: Sizes, seed: int, names: list[str], write: Callable[[list[Row], str], None]
) -> list[Row]:
    rows: list[Row] = []
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
            # At once: a run that is ended too early has something to show.
            write(rows, postgres)
    return rows


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
        outcome = Outcome("not kept", name, seed, violations=_all_said(error))
    return Row(name, outcome, time.monotonic() - began)


def _all_said(error: Exception) -> list[str]:
    if isinstance(error, ExceptionGroup):
        return [said for one in error.exceptions for said in _all_said(one)]
    return [f"{type(error).__name__}: {error}"]


# The report -------------------------------------------------------------------------------

_HEAD = """\
# What was tried to break it

Made by `make torture`, which kills, delays and alters two server processes on one Postgres as it
comes (fsync on), on {cores} cores. `make torture ONLY=kills` makes one row anew; each tells when it
was made, of what, and with which seed.

| scenario | promise | what was done | rounds | acknowledged | violations | minutes | made |
|---|---|---|---|---|---|---|---|
"""
_FOOT = """
Acknowledged are answers over HTTP that were held against the ledger; of replays and alterations,
events. A seed fixes what is chosen, not how processes interleave; to choose the same again:
`make torture SEED=1`.

Sizes: {sizes}.
"""
_VIOLATED = "## Violated: "


def _written(before: str, rows: list[Row], sizes: Sizes, made: str) -> str:
    """The report as it was, with these rows made anew, in the order of the scenarios."""
    table, *violated = before.split(f"\n{_VIOLATED}")
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in table.splitlines()}
    told = {part.partition("\n")[0]: part for part in violated}
    for row in rows:
        out = row.outcome
        lines[row.name] = (
            f"| {row.name} | {out.promise} | {out.what} | {out.rounds:,} | {out.acknowledged:,} "
            f"| {len(out.violations)} | {row.seconds / 60:.1f} | {made}, seed {out.seed} |"
        )
        told.pop(row.name, None)
        if out.violations:
            said = "\n\n".join(out.violations)
            told[row.name] = f"{row.name}\n\n```\n{said}\n```\n"
    missing = [name for name in SCENARIOS if name not in lines]
    listed = ", ".join(f"{f.name} {getattr(sizes, f.name)}" for f in fields(sizes))
    return "".join(
        [
            _HEAD.format(cores=os.cpu_count()),
            *(f"{lines[name]}\n" for name in SCENARIOS if name in lines),
            *([f"\nNot played yet: {', '.join(missing)}.\n"] if missing else []),
            _FOOT.format(sizes=listed),
            *(f"\n{_VIOLATED}{told[name]}" for name in SCENARIOS if name in told),
        ]
    )


def _made(postgres: str) -> str:
    """Today, and of what the rows are."""
    try:
        asked = ["git", "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = __version__
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {commit}, Postgres {postgres}, "
        f"Python {platform.python_version()}"
    )


if __name__ == "__main__":
    typer.run(main)
