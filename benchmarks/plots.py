"""Pictures of a run, as SVG: the same figures make the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.figures import Figure, Plot

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "okr-ledger",
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
_GOOD, _BAD = "#1b7f4d", "#b3402e"
_FEW = 50


def draw(plot: Plot, folder: Path) -> str:
    """Writes the picture; returns the name of its file."""
    with matplotlib.rc_context(_STYLE):
        picture = Picture(figsize=(8, 3.5), layout="constrained")
        axes = picture.subplots()
        for line in plot.lines:
            mark = "o" if len(line.xs) < _FEW else ""
            axes.plot(line.xs, line.ys, label=line.name, marker=mark, markersize=4)
        if plot.logarithmic:
            axes.set_xscale("log")
            axes.set_yscale("log")
            _plainly(axes.yaxis)
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel(plot.x)
        axes.set_ylabel(plot.y)
        axes.set_title(plot.title, loc="left")
        if len(plot.lines) > 1:
            axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        return _save(picture, folder, plot.name)


def overview(figures: Sequence[Figure], folder: Path) -> str:
    """How far each figure is from its bar: median, lowest and highest round."""
    names = [f"{one.what.replace('`', '')}, {one.bar}" for one in figures]
    with matplotlib.rc_context(_STYLE):
        picture = Picture(figsize=(10, 0.8 + 0.34 * len(figures)), layout="constrained")
        axes = picture.subplots()
        for row, one in enumerate(figures):
            _margin(axes, row, one)
        axes.set_ylim(len(figures) - 0.5, -0.5)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xscale("log")
        _plainly(axes.xaxis)
        axes.set_yticks(range(len(figures)), names)
        axes.set_xlabel("times better than the bar (left of 1 it falls short)")
        return _save(picture, folder, "overview")


def _margin(axes: Axes, row: int, figure: Figure) -> None:
    margins = [figure.bar.margin(ratio) for ratio in figure.ratios.of_rounds]
    colour = _GOOD if figure.passes else _BAD
    axes.plot([min(margins), max(margins)], [row, row], color=colour, linewidth=2, alpha=0.5)
    axes.plot([figure.bar.margin(figure.ratios.median)], [row], color=colour, marker="o")


def _plainly(axis: Axis) -> None:
    """A logarithmic axis with numbers as one reads them: 0.5, 1, 2, 5, 10."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def _save(picture: Picture, folder: Path, name: str) -> str:
    file = f"{name}.svg"
    # Without a date: what was measured alike is drawn alike.
    picture.savefig(folder / file, format="svg", metadata={"Date": None})
    return file
