"""The page that a run leaves behind: Markdown with tables and pictures."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plots
from benchmarks.common import ROOT, Sizes
from benchmarks.figures import Figure, Section, Table


@dataclass(frozen=True, slots=True)
class Run:
    """What was run, where, and for how long."""

    command: str
    sizes: Sizes
    postgres: str
    minutes: float

    @property
    def machine(self) -> str:
        return (
            f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), "
            f"Python {platform.python_version()}, Postgres {self.postgres}"
        )


_HEAD = """\
# Benchmarks

Written by `{command}` in {minutes:.0f} min, on {machine}. What is measured, and against
what, is said below with each figure; [how it is measured](benchmarks/README.md) is
a page of its own.

Everything runs on one machine, beside each other: servers, clients, and a Postgres with its durable
defaults. Ratios are of two things measured one right after the other in the same round, lowest ..
**median** .. highest of {rounds} {name}; the verdict is by the median. Figures in milliseconds and
per second are of this run on this machine: never set them beside another's.

{passed} of {all} bars are met.

"""
_GROWTH = "growth/README.md"
_PROFILE = "profile.md"
_SMOKE = """\
> This was a trial of the machinery with tiny sizes. Its figures mean nothing.

"""


def write(run: Run, sections: Sequence[Section], folder: Path, *, smoke: bool = False) -> Path:
    """Write the page and its pictures; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = [figure for section in sections for figure in section.figures]
    rounds = run.sizes.rounds
    text = _HEAD.format(
        command=run.command,
        minutes=max(run.minutes, 1),
        machine=run.machine,
        rounds=rounds,
        name="round" if rounds == 1 else "rounds",
        passed=sum(figure.passes for figure in figures),
        all=len(figures),
    )
    parts = [text, _SMOKE if smoke else "", _table(summary(figures))]
    parts.append(f"\n![How far each figure is from its bar]({plots.overview(figures, folder)})\n")
    if (folder / _PROFILE).exists():
        parts.append(f"\nWhere the time goes, and why a bar is missed: [profile]({_PROFILE}).\n")
    if (folder / _GROWTH).exists():
        parts.append(f"\nGrowth to ten million events is told on [a page of its own]({_GROWTH}).\n")
    for section in sections:
        if section.title:
            parts += _section(section, folder)
    parts.append("\n## What was kept\n\nA run fails when anything acknowledged is not there.\n\n")
    parts += [f"- {line}\n" for section in sections for line in section.kept]
    # Links are from the root, as sections do not know where the page will be.
    to_sources = os.path.relpath(ROOT / "benchmarks", folder)
    page = folder / "README.md"
    page.write_text("".join(parts).replace("](benchmarks/", f"]({to_sources}/"))
    return page


def summary(figures: Sequence[Figure]) -> Table:
    rows = tuple(
        (figure.what, figure.against, str(figure.bar), figure.verdict, str(figure.ratios))
        for figure in figures
    )
    return Table(("figure", "against", "bar", "", "ratio"), rows, left=4)


def _section(section: Section, folder: Path) -> Iterator[str]:
    yield f"\n## {section.title}\n\n{section.says.strip()}\n"
    for table in section.tables:
        yield f"\n{_table(table)}"
    for plot in section.plots:
        yield f"\n![{plot.title}]({plots.draw(plot, folder)})\n"


def _table(table: Table) -> str:
    rule = tuple("---" if at < table.left else "---:" for at in range(len(table.headings)))
    rows = (table.headings, rule, *table.rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
