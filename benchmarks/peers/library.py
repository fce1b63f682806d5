"""The `eventsourcing` library on Postgres: load an aggregate, check in on it, save it.

Run as a program it does so for some seconds, and writes how often to standard output.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from pydantic import BaseModel

from benchmarks.common import NOTE, ROOT, BenchmarkFailed

_GRACE_SECONDS = 60


class Manner(BaseModel):
    """How the library is used: by so many threads, with or without its cache of aggregates."""

    threads: int
    cached: bool

    def __str__(self) -> str:
        cache = "with its cache" if self.cached else "without a cache"
        return f"{self.threads} {'thread' if self.threads == 1 else 'threads'} {cache}"


class Plan(BaseModel):
    url: str
    manner: Manner
    seconds: float
    aggregates: int


class Outcome(BaseModel):
    """Check-ins per second, and whether each of them is there when all are read again."""

    per_second: float
    kept: bool


def run(url: str, manner: Manner, *, aggregates: int, seconds: float) -> float:
    """Check-ins per second of one process, on fresh aggregates. Raises BenchmarkFailed."""
    plan = Plan(url=url, manner=manner, seconds=seconds, aggregates=aggregates)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.library"],
        input=plan.model_dump_json(),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=seconds + _GRACE_SECONDS,
    )
    if done.returncode:
        raise BenchmarkFailed(f"The library failed: {done.stderr.strip()[-2000:]}")
    outcome = Outcome.model_validate_json(done.stdout)
    if not outcome.kept:
        raise BenchmarkFailed("The library did not keep what it acknowledged.")
    return outcome.per_second


# In its own process -------------------------------------------------------------------------


class KeyResult(Aggregate):
    """A metric from a baseline to a target, as one writes an aggregate with this library."""

    @event("Started")
    def __init__(self, baseline: Decimal, target: Decimal) -> None:
        self.baseline = baseline
        self.target = target
        self.check_ins = 0
        self.value = baseline
        self.progress = Decimal(0)
        self.confidence: Decimal | None = None
        self.health: str | None = None

    def check_in(self, value: Decimal, confidence: Decimal, health: str, note: str) -> None:
        if not 0 <= confidence <= 1:
            raise ValueError("confidence must be from 0 to 1")
        way = (value - self.baseline) / (self.target - self.baseline)
        self._told(value, max(Decimal(0), min(Decimal(1), way)), confidence, health, note)

    @event("CheckInRecorded")
    def _told(
        self, value: Decimal, progress: Decimal, confidence: Decimal, health: str, note: str
    ) -> None:
        self.check_ins += 1
        self.value, self.progress = value, progress
        self.confidence, self.health = confidence, health


class Programme(Application[UUID]):
    def start(self) -> UUID:
        key_result = KeyResult(Decimal(100), Decimal(200))
        self.save(key_result)
        return key_result.id

    def check_in(self, id: UUID, value: int) -> None:
        key_result: KeyResult = self.repository.get(id)
        key_result.check_in(Decimal(value), Decimal("0.6"), "on_track", NOTE)
        self.save(key_result)

    def check_ins(self, id: UUID) -> int:
        key_result: KeyResult = self.repository.get(id)
        return key_result.check_ins


def _environment(plan: Plan) -> dict[str, str]:
    parts = urlsplit(plan.url)
    asked = parse_qs(parts.query)
    made = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.removeprefix("/"),
        "POSTGRES_HOST": asked["host"][0],
        "POSTGRES_PORT": asked["port"][0],
        "POSTGRES_USER": parts.username or "postgres",
        "POSTGRES_PASSWORD": "none is asked for",
        "POSTGRES_POOL_SIZE": str(plan.manner.threads),
    }
    if plan.manner.cached:
        made["AGGREGATE_CACHE_MAXSIZE"] = str(2 * plan.aggregates)
    return made


def _load(plan: Plan) -> Outcome:
    app = Programme(env={**os.environ, **_environment(plan)})
    ids = [app.start() for _ in range(plan.aggregates)]
    told: list[int] = []
    failed: list[Exception] = []
    began = time.perf_counter()

    def work(number: int, own: Sequence[UUID]) -> None:
        pick, count = random.Random(number), 0
        try:
            while time.perf_counter() < began + plan.seconds:
                app.check_in(pick.choice(own), pick.randrange(100, 200))
                count += 1
        except Exception as error:
            failed.append(error)
        told.append(count)

    # Each thread has aggregates of its own, so that none has to begin again for another's sake.
    busy = min(plan.manner.threads, len(ids))
    threads = [
        threading.Thread(target=work, args=(number, ids[number::busy])) for number in range(busy)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if failed:
        raise failed[0]
    kept = sum(app.check_ins(id) for id in ids)
    app.close()
    return Outcome(per_second=sum(told) / took, kept=kept == sum(told))


def main() -> None:
    plan: Any = Plan.model_validate_json(sys.stdin.read())
    sys.stdout.write(_load(plan).model_dump_json())


if __name__ == "__main__":
    main()
