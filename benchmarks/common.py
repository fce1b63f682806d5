"""What the parts of a run share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent


class BenchmarkFailed(Exception):
    """A figure of this run would not mean what it says; the message tells why."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. All loops are bounded by these."""

    rounds: int = 5
    """Paired rounds of each figure."""
    seconds: float = 5
    """Of closed-loop load, each time."""
    warm_up: float = 2
    """Seconds of it before the first round, not counted."""
    paced_seconds: float = 10
    """Of load at a fixed rate, each time."""
    ledgers: int = 64
    clients: int = 32
    library_threads: tuple[int, ...] = (1, 4, 16)
    """Of the library's manners; the one that is fastest is measured."""
    batch: int = 1_000
    """Check-ins in one batch: key results, two to an objective."""
    batches: int = 3
    """Batches of each side in a round."""
    objectives: int = 5_000
    trees: int = 5
    """Readings of the tree in a round; half as many look back."""
    events: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """Of each table that growth is measured in, the smallest first."""
    readings: int = 100
    """Appends to a table that has grown, in a round; a fifth as many readings of each kind."""


SMOKE = Sizes(
    rounds=1,
    seconds=0.5,
    warm_up=0.2,
    paced_seconds=0.5,
    ledgers=3,
    clients=4,
    library_threads=(1,),
    batch=40,
    batches=1,
    objectives=40,
    trees=2,
    events=(500, 1_000),
    readings=5,
)
"""Whether it all works, in some seconds; its figures mean nothing."""


class Programme(BaseModel):
    """An organisation with one key result to check in on, and keys that may do so.

    `keys` are as many as there are clients, where all of them are on this one organisation: what a
    key may ask for in a minute is limited.
    """

    org_id: UUID
    key_result_id: UUID
    keys: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"/v1/organizations/{self.org_id}/key-results/{self.key_result_id}/check-ins"


NOTE = "Two large customers went live."


def check_in(value: int) -> dict[str, object]:
    """What every check-in says."""
    return {"value": value, "confidence": 0.6, "health": "on_track", "note": NOTE}
