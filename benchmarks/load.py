"""The HTTP side: keep-alive clients in a process of their own, check-in after check-in.

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
from dataclasses import dataclass, field
from uuid import uuid4

import uvloop
from pydantic import BaseModel

from benchmarks.common import HOST, ROOT, BenchmarkFailed, Programme, check_in

# Beyond the measured time: what is under way may finish, what hangs may not.
_GRACE_SECONDS = 30
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Plan(BaseModel):
    port: int
    clients: int
    seconds: float
    programmes: list[Programme]


class Outcome(BaseModel):
    """Check-ins per second, latencies in milliseconds, acknowledged check-ins per programme."""

    per_second: float
    p50_ms: float
    p99_ms: float
    acknowledged: list[int]


def run(port: int, programmes: list[Programme], *, clients: int, seconds: float) -> Outcome:
    """Load a server for some seconds. Raises BenchmarkFailed unless every answer is a 201."""
    plan = Plan(port=port, clients=clients, seconds=seconds, programmes=programmes)
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
    """Latencies in seconds, and acknowledged check-ins per programme."""

    acknowledged: list[int]
    latencies: list[float] = field(default_factory=list)


async def _load(plan: Plan) -> Outcome:
    connections = [await asyncio.open_connection(HOST, plan.port) for _ in range(plan.clients)]
    requests = [_head(one) for one in plan.programmes]
    tally = _Tally([0] * len(plan.programmes))
    began = time.perf_counter()
    async with asyncio.timeout(plan.seconds + _GRACE_SECONDS):
        await asyncio.gather(
            *(
                _client(random.Random(number), *connection, requests, began + plan.seconds, tally)
                for number, connection in enumerate(connections)
            )
        )
    took = time.perf_counter() - began
    latencies = sorted(tally.latencies)
    return Outcome(
        per_second=len(latencies) / took,
        p50_ms=1000 * latencies[len(latencies) // 2],
        p99_ms=1000 * latencies[len(latencies) * 99 // 100],
        acknowledged=tally.acknowledged,
    )


async def _client(
    pick: random.Random,
    reader: StreamReader,
    writer: StreamWriter,
    requests: list[bytes],
    deadline: float,
    tally: _Tally,
) -> None:
    """One connection: the next request goes out when the last is answered."""
    while (began := time.perf_counter()) < deadline:
        which = pick.randrange(len(requests))
        writer.write(requests[which] + _rest(pick))
        status, body = await _answer(reader)
        if status != 201:
            raise BenchmarkFailed(f"answered {status}: {body.decode(errors='replace')}")
        tally.latencies.append(time.perf_counter() - began)
        tally.acknowledged[which] += 1
    writer.close()


def _head(programme: Programme) -> bytes:
    """What all requests to a programme begin with."""
    lines = (
        f"POST {programme.path} HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {programme.key}",
        "Content-Type: application/json",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()


def _rest(pick: random.Random) -> bytes:
    """What differs from request to request: the idempotency key, and the value."""
    body = json.dumps(check_in(pick.randrange(100, 200)))
    return f"Idempotency-Key: {uuid4()}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def _answer(reader: StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None:
        raise BenchmarkFailed(f"an answer without a length: {head.decode(errors='replace')}")
    return int(head[9:12]), await reader.readexactly(int(length[1]))


def main() -> None:
    plan = Plan.model_validate_json(sys.stdin.read())
    try:
        sys.stdout.write(uvloop.run(_load(plan)).model_dump_json())
    except (BenchmarkFailed, OSError, EOFError, TimeoutError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
