"""What a scenario answers with, and how it fails: with all that is needed to see it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.faults.load import Ledger

Step = Callable[[], None]
"""Told whenever one round of a scenario is done."""


@dataclass
class Outcome:
    """One row of the report."""

    promise: str
    what: str
    seed: int
    rounds: int = 0
    acknowledged: int = 0
    violations: list[str] = field(default_factory=list)


class Violated(AssertionError):
    """A promise was broken."""


def demand(
    wrong: Iterable[str], *, scenario: str, seed: int, round_: int, ledger: Ledger | None = None
) -> None:
    """Raise Violated with the seed, the round and the saved history, unless nothing is wrong."""
    lines = list(wrong)
    if not lines:
        return
    where = f"{scenario}, seed {seed}, round {round_}"
    if ledger is not None:
        path = ledger.history.save(f"{scenario}-{seed}-{round_}")
        where += f", ledger {ledger.api.org}, history {path}"
    raise Violated("\n".join([f"{len(lines)} violations ({where})", *lines[:20]]))
