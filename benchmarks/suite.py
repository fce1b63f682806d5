"""All parts of a run, one after the other, in one Postgres."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum

from rich.progress import Progress

from benchmarks.common import Sizes
from benchmarks.figures import Section
from benchmarks.parts import batch, check_ins, growth, tree
from benchmarks.running import Here
from benchmarks.setting import cluster


class Part(StrEnum):
    CHECK_INS = "check-ins"
    BATCH = "batch"
    TREE = "tree"
    GROWTH = "growth"


_MEASURES: Mapping[Part, Callable[[Here], Iterator[Section]]] = {
    Part.CHECK_INS: check_ins.measure,
    Part.BATCH: batch.measure,
    Part.TREE: tree.measure,
    Part.GROWTH: growth.measure,
}


def run(sizes: Sizes, parts: Sequence[Part], progress: Progress) -> tuple[str, list[Section]]:
    """The version of Postgres, and what was found. Raises BenchmarkFailed."""
    with cluster() as here:
        place = Here(here, sizes, progress)
        return here.version, [section for part in parts for section in _MEASURES[part](place)]
