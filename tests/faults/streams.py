"""Followers of the live feed that lose their connection again and again, and miss nothing."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx

from tests.api.programme import Json
from tests.faults.cluster import Place, Server
from tests.faults.ledgers import gaps
from tests.faults.load import Ledger, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.pressure import idle_again
from tests.faults.proxy import served
from tests.faults.shutdown import gone
from tests.faults.wire import request

_FOLLOWERS = 5
_WRITERS = 4
_LONGEST_SECONDS = 0.4
"""That a follower keeps a connection."""
_PATIENT = httpx.Timeout(30)
_OPEN = 4


@dataclass
class Follower:
    """One that keeps what it was told, and where it stands."""

    events: list[tuple[int, str]] = field(default_factory=list)
    disconnects: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.events[-1][0] if self.events else 0

    async def follow(self, server: Server, ledger: Ledger, *, until: int | None = None) -> None:
        """Read until a position is there, or the stream ends."""
        async with stream(server, ledger, self.last) as answer:
            async for event in events_of(answer):
                self.events.append((event["position"], event["event_id"]))
                if until is not None and self.last >= until:
                    return


async def disconnects(place: Place, wanted: int, seed: int, step: Step) -> Outcome:
    """Followers of two servers, cut off at random moments while others write."""
    what = f"{_FOLLOWERS} followers cut off {wanted} times in all, {_WRITERS} writers"
    outcome = Outcome("9: SSE resumes exactly", what, seed)
    rng = random.Random(seed)
    ledger = await made_ledger(place, 2)
    followers = [Follower() for _ in range(_FOLLOWERS)]
    is_done = asyncio.Event()

    async def write(number: int) -> None:
        async with place.client(number) as client:
            api = replace(ledger.api, client=client)
            path = f"/key-results/{ledger.streams[number % 2]}/check-ins"
            while not is_done.is_set():
                await api.post(path, {"value": next(ledger.values)}, 201)
                outcome.acknowledged += 1
                await asyncio.sleep(rng.random() * 0.02)

    async def cut_off(follower: Follower) -> None:
        while sum(one.disconnects for one in followers) < wanted:
            server = rng.choice(place.servers)
            try:
                async with asyncio.timeout(rng.random() * _LONGEST_SECONDS):
                    await follower.follow(server, ledger)
            except TimeoutError:
                follower.disconnects += 1
            else:
                follower.wrong.append(f"a stream ended by itself: {server.said()}")
                return
            step()

    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(write(number)) for number in range(_WRITERS)]
        await asyncio.gather(*(cut_off(follower) for follower in followers))
        is_done.set()
        await asyncio.gather(*writers)
    wrong = [line for one in followers for line in one.wrong]
    async with place.owner() as owner:
        kept = [
            (row["position"], row["id"])
            for row in await owner.fetch(
                "SELECT position, event_id::text AS id FROM events WHERE org_id = $1::uuid "
                "ORDER BY position",
                ledger.api.org,
            )
        ]
        wrong += await gaps(owner, ledger.api.org)
        async with asyncio.timeout(60):
            for number, one in enumerate(followers):
                if one.last < len(kept):
                    server = place.servers[number % len(place.servers)]
                    await one.follow(server, ledger, until=len(kept))
        wrong += await idle_again(owner, 5)
    for one in followers:
        if one.events != kept:
            missed = sorted(set(kept) - set(one.events))[:5]
            wrong.append(f"{len(one.events)} told of {len(kept)}, missed {missed}")
    demand(wrong, scenario="disconnects", seed=seed, round_=0, ledger=ledger)
    outcome.rounds = sum(one.disconnects for one in followers)
    return outcome


async def open_at_the_end(place: Place, rounds: int, seed: int, step: Step) -> Outcome:
    """SIGTERM with streams open: they end in order, and are gone on with elsewhere."""
    what = f"SIGTERM with {_OPEN} event streams open, and one that nobody reads, while others write"
    outcome = Outcome("24: clean shutdown", what, seed)
    async with served(place, place.database) as here:
        server = here.servers[0]
        for round_ in range(rounds):
            await server.start()
            ledger = await made_ledger(place, 1)
            followers = [Follower() for _ in range(_OPEN)]
            path = f"/key-results/{ledger.streams[0]}/check-ins"
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(_unread(server, ledger))
                tasks = [asyncio.create_task(one.follow(server, ledger)) for one in followers]
                async with place.client() as client:
                    api = replace(ledger.api, client=client)
                    began = time.monotonic()
                    going: asyncio.Task[list[str]] | None = None
                    while going is None or not going.done():
                        await api.post(path, {"value": next(ledger.values)}, 201)
                        outcome.acknowledged += 1
                        if going is None and min(len(one.events) for one in followers) > 10:
                            going = asyncio.create_task(gone(server))
                        if going is None and time.monotonic() - began > 30:
                            raise AssertionError(f"nothing is told: {server.said()}")
                    head = await api.head()
                wrong = await going
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                wrong += [f"a stream did not end in order: {e!r}" for e in ended if e is not None]
            for one in followers:
                # The other server knows where to go on.
                await one.follow(place.servers[0], ledger, until=head)
                if [position for position, _ in one.events] != list(range(1, head + 1)):
                    wrong.append(f"{len(one.events)} told of {head}")
            demand(wrong, scenario="open_at_the_end", seed=seed, round_=round_, ledger=ledger)
            outcome.rounds += 1
            step()
    return outcome


@asynccontextmanager
async def stream(server: Server, ledger: Ledger, last: int) -> AsyncIterator[httpx.Response]:
    """A stream that goes on after what was told last."""
    headers = {"Authorization": f"Bearer {ledger.api.key}"}
    if last:
        headers["Last-Event-ID"] = str(last)
    url = f"{server.base}/v1/organizations/{ledger.api.org}/events/stream"
    async with (
        httpx.AsyncClient(timeout=_PATIENT) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        if answer.status_code != 200:
            await answer.aread()
            raise AssertionError(f"no stream after {last}: {answer.text}")
        yield answer


async def events_of(answer: httpx.Response) -> AsyncIterator[Json]:
    """The events that are whole; what a cut leaves of one is none."""
    lines: list[str] = []
    async for line in answer.aiter_lines():
        if line:
            lines.append(line)
            continue
        told = dict(one.split(": ", 1) for one in lines if not one.startswith(":"))
        lines.clear()
        if "data" in told:
            event: Json = json.loads(told["data"])
            assert (told["id"], told["event"]) == (str(event["position"]), event["type"])
            yield event


@asynccontextmanager
async def _unread(server: Server, ledger: Ledger) -> AsyncIterator[None]:
    """A stream whose client takes nothing of it."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
    path = f"/v1/organizations/{ledger.api.org}/events/stream"
    writer.write(request("GET", path, ledger.api.key))
    try:
        yield
    finally:
        writer.transport.abort()
