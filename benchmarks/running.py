"""What every part of a run is given: where it runs, how much of it, and a bar to show how far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from rich.progress import Progress

from benchmarks.common import Sizes
from benchmarks.setting import Cluster

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Here:
    cluster: Cluster
    sizes: Sizes
    progress: Progress

    def rounds(self, what: str) -> Iterator[int]:
        """The numbers of the rounds, from 0."""
        numbers = range(self.sizes.rounds)
        yield from self.progress.track(numbers, description=what)

    def steps(self, what: str, total: int) -> Callable[[], None]:
        """Something to be called after each of so many steps."""
        task = self.progress.add_task(what, total=total)
        return lambda: self.progress.advance(task)


def in_turn(number: int, sides: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """One round: each side once, in their order and, in every second round, backwards.

    What gets slower in the course of a run, or faster, is so for none of them alone.
    """
    names = list(sides) if number % 2 == 0 else list(sides)[::-1]
    return {name: sides[name]() for name in names}
