"""Many clients at once, on keep-alive connections, in a process of their own.

Run as a program it reads a plan from standard input and writes what came of it to standard output.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import uvloop
from pydantic import BaseModel

from benchmarks.common import HOST, ROOT, BenchmarkFailed, check_in

# Beyond the measured time: what is under way may finish, what hangs may not.
_GRACE_SECONDS = 30
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Target(BaseModel):
    """Where check-ins are sent to; a client takes one of the keys, where there are any."""

    path: str
    keys: tuple[str, ...] = ()


class Plan(BaseModel):
    """Without a rate, each client sends the next check-in when the last is acknowledged.

    With one, so many a second are sent whether or not the last were answered, one every so many
    whole milliseconds. `clients` is how many may be under way; those beyond it wait for their turn,
    and their waiting counts.
    """

    port: int
    clients: int
    seconds: float
    rate: float | None = None
    targets: tuple[Target, ...]


class Outcome(BaseModel):
    """Check-ins per second, latencies in milliseconds, acknowledged check-ins per target.

    `refused` were answered with a 503; only a plan with a rate goes on after one, and it counts as
    answered when the load was over.
    """

    per_second: float
    p50_ms: float
    p99_ms: float
    acknowledged: list[int]
    refused: int = 0


def run(
    port: int,
    targets: Sequence[Target],
    *,
    clients: int,
    seconds: float,
    rate: float | None = None,
) -> Outcome:
    """Load a server for some seconds. Raises BenchmarkFailed unless every answer is a 201."""
    plan = Plan(port=port, clients=clients, seconds=seconds, rate=rate, targets=tuple(targets))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=plan.model_dump_json(),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=seconds + 2 * _GRACE_SECONDS,
    )
    if done.returncode:
        raise BenchmarkFailed(f"The HTTP load failed: {done.stderr.strip()}")
    return Outcome.model_validate_json(done.stdout)


# In the process of the clients --------------------------------------------------------------


@dataclass
class _Tally:
    """Latencies in seconds, and acknowledged check-ins per target."""

    acknowledged: list[int]
    latencies: list[float] = field(default_factory=list)
    refused: int = 0


class _Client:
    """One connection, which sends one check-in at a time."""

    def __init__(self, number: int, reader: StreamReader, writer: StreamWriter, plan: Plan) -> None:
        self._reader = reader
        self._writer = writer
        self._pick = random.Random(number)
        self._heads = [_head(target, number) for target in plan.targets]
        # One id of a client and a number in it are as good a key as an id for each, and cheaper.
        self._id = uuid4()
        self._sent = 0

    async def check_in(self, tally: _Tally, since: float) -> int:
        """Send one and wait for its answer; returns the status. Raises BenchmarkFailed."""
        which = self._pick.randrange(len(self._heads))
        self._sent += 1
        body = json.dumps(check_in(self._pick.randrange(100, 200)))
        key = f"Idempotency-Key: {self._id}-{self._sent}\r\n"
        rest = f"{key}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        self._writer.write(self._heads[which] + rest)
        status, text = await _answer(self._reader)
        if status == 201:
            tally.latencies.append(time.monotonic() - since)
            tally.acknowledged[which] += 1
        elif status != 503:
            raise BenchmarkFailed(f"answered {status}: {text.decode(errors='replace')}")
        return status

    def close(self) -> None:
        self._writer.close()


def _head(target: Target, number: int) -> bytes:
    """What all requests of a client to a target begin with."""
    lines = [f"POST {target.path} HTTP/1.1", f"Host: {HOST}", "Content-Type: application/json"]
    if target.keys:
        lines.append(f"Authorization: Bearer {target.keys[number % len(target.keys)]}")
    return "".join(f"{line}\r\n" for line in lines).encode()


async def _answer(reader: StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None:
        raise BenchmarkFailed(f"an answer without a length: {head.decode(errors='replace')}")
    return int(head[9:12]), await reader.readexactly(int(length[1]))


async def _load(plan: Plan) -> Outcome:
    clients = [
        _Client(number, *await asyncio.open_connection(HOST, plan.port), plan)
        for number in range(plan.clients)
    ]
    tally = _Tally([0] * len(plan.targets))
    began = time.monotonic()
    async with asyncio.timeout(plan.seconds + _GRACE_SECONDS):
        if plan.rate is None:
            ends = began + plan.seconds
            await asyncio.gather(*(_on_and_on(client, ends, tally) for client in clients))
        else:
            await _paced(clients, plan.rate, plan.seconds, tally)
    took = time.monotonic() - began
    for client in clients:
        client.close()
    latencies = sorted([*tally.latencies, *[took] * tally.refused])
    if not tally.latencies:
        raise BenchmarkFailed("nothing was acknowledged")
    return Outcome(
        per_second=len(tally.latencies) / took,
        p50_ms=1000 * latencies[len(latencies) // 2],
        p99_ms=1000 * latencies[len(latencies) * 99 // 100],
        acknowledged=tally.acknowledged,
        refused=tally.refused,
    )


async def _on_and_on(client: _Client, ends: float, tally: _Tally) -> None:
    """The next request goes out when the last is answered."""
    while (since := time.monotonic()) < ends:
        if await client.check_in(tally, since) == 503:
            raise BenchmarkFailed("refused with a 503")


async def _paced(clients: list[_Client], rate: float, seconds: float, tally: _Tally) -> None:
    """So many a second, each timed from when it was due and not from when it could be sent."""
    loop = asyncio.get_running_loop()
    idle: asyncio.Queue[_Client] = asyncio.Queue()
    for client in clients:
        idle.put_nowait(client)

    async def one(due: float) -> None:
        client = await idle.get()
        tally.refused += await client.check_in(tally, due) == 503
        idle.put_nowait(client)

    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(max(1, round(rate * seconds))):
            # The loop's clock ticks in milliseconds: what is due between two ticks would be late.
            due = began + round(1000 * number / rate) / 1000
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            group.create_task(one(due))


def main() -> None:
    plan = Plan.model_validate_json(sys.stdin.read())
    try:
        sys.stdout.write(uvloop.run(_load(plan)).model_dump_json())
    except (BenchmarkFailed, OSError, EOFError, TimeoutError, ExceptionGroup) as failed:
        first: BaseException = failed
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        sys.exit(f"{type(first).__name__}: {first}")


if __name__ == "__main__":
    main()
