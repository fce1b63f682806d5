"""Clients that check in and read at once, and note down whatever they are told."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from uuid_utils.compat import uuid7

from tests.api.programme import METRIC, Api, Json
from tests.faults.cluster import Place
from tests.faults.history import Append, History, Read

RECORDED = "check_in.recorded"
_PASSING = {"/problems/unavailable", "/problems/overloaded", "/problems/in-flight"}
"""What a client is told that should come again."""
_PAUSES = (0.1, 0.4, 0.4)
"""Up to how many seconds a writer waits before it sends a request again, and then gives it up."""


class Unexpected(AssertionError):
    """An answer that no fault explains."""


@dataclass
class Wish:
    """One check-in of one writer, and what became of it."""

    append: Append
    key: str
    answer: httpx.Response | None = None

    @property
    def path(self) -> str:
        return f"/key-results/{self.append.stream}/check-ins"

    @property
    def body(self) -> dict[str, Any]:
        return {"value": self.append.value}


@dataclass
class Ledger:
    """An organisation, the key results that are checked in on, and all that was seen of them."""

    api: Api
    streams: tuple[str, ...]
    wishes: list[Wish] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    values: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def history(self) -> History:
        return History([wish.append for wish in self.wishes], self.reads)

    @property
    def unknown(self) -> list[Wish]:
        return [wish for wish in self.wishes if wish.answer is None]

    @property
    def acknowledged(self) -> int:
        return len(self.wishes) - len(self.unknown)


async def made_ledger(place: Place, streams: int) -> Ledger:
    """A running cycle with that many key results."""
    async with place.founded() as api:
        cycle, team = await api.cycle(), await api.team()
        parts = [{"title": f"Active customers {n}", "measure": METRIC} for n in range(streams)]
        objective = await api.commit(await api.objective(cycle, team, key_results=parts))
        await api.post(f"/cycles/{cycle['id']}:open")
        return Ledger(api, tuple(part["id"] for part in objective["key_results"]))


class Load:
    """Writers and readers on some ledgers, over all servers, until they are stopped."""

    def __init__(self, place: Place, ledgers: list[Ledger], seed: int) -> None:
        self._place = place
        self._ledgers = ledgers
        self._seed = seed
        self._stopped = False
        self.acknowledged = 0
        self.has_moved = asyncio.Event()

    def stop(self) -> None:
        """What is under way is finished; nothing else is begun."""
        self._stopped = True

    @asynccontextmanager
    async def running(self, *, writers: int, readers: int) -> AsyncIterator[None]:
        """Around what happens under load; left when every writer and reader has ended."""
        self._stopped = False
        tasks = [
            *(self._write(random.Random(f"{self._seed} w{n}")) for n in range(writers)),
            *(self._read(random.Random(f"{self._seed} r{n}")) for n in range(readers)),
        ]
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(task)
            try:
                yield
            finally:
                self.stop()

    async def until(self, acknowledged: int, seconds: float) -> None:
        """Until so many more were acknowledged. Raises Unexpected where it takes too long."""
        wanted = self.acknowledged + acknowledged
        end = time.monotonic() + seconds
        while self.acknowledged < wanted:
            self.has_moved.clear()
            try:
                await asyncio.wait_for(self.has_moved.wait(), end - time.monotonic())
            except TimeoutError:
                raise Unexpected(f"fewer than {acknowledged} check-ins in {seconds} s") from None

    async def _write(self, rng: random.Random) -> None:
        async with self._place.clients(len(self._place.servers)) as clients:
            while not self._stopped:
                ledger = rng.choice(self._ledgers)
                append = Append(rng.choice(ledger.streams), next(ledger.values), time.monotonic())
                wish = Wish(append, str(uuid7()))
                ledger.wishes.append(wish)
                for pause in _PAUSES:
                    if await self.send(rng.choice(clients), ledger, wish):
                        break
                    await asyncio.sleep(rng.random() * pause)

    async def send(self, client: httpx.AsyncClient, ledger: Ledger, wish: Wish) -> bool:
        """Send a wish, and note an acknowledgement. Raises Unexpected for any other answer."""
        api = replace(ledger.api, client=client)
        headers = {"Idempotency-Key": wish.key}
        try:
            answer = await api.request("POST", wish.path, json=wish.body, headers=headers)
        except httpx.TransportError:
            return False
        heard = time.monotonic()
        if answer.status_code == 201:
            if wish.answer is None:
                wish.answer, wish.append.ended = answer, heard
                self.acknowledged += 1
                self.has_moved.set()
            elif answer.content != wish.answer.content:
                raise Unexpected(f"{wish.path} was answered anew: {answer.text}")
            return True
        problem = answer.json()
        if problem["type"] in _PASSING:
            return False
        (server,) = [one for one in self._place.servers if one.base == str(client.base_url)]
        raise Unexpected(f"{wish.path}: {answer.status_code} {answer.text}\n{server.said()}")

    async def _read(self, rng: random.Random) -> None:
        followed: dict[str, tuple[int, int]] = {}
        async with self._place.clients(len(self._place.servers)) as clients:
            while not self._stopped:
                ledger = rng.choice(self._ledgers)
                api = replace(ledger.api, client=rng.choice(clients))
                stream = rng.choice((None, *ledger.streams))
                skipped, after = followed.get(api.org, (0, 0)) if stream is None else (0, 0)
                began = time.monotonic()
                try:
                    if stream is None:
                        values, after = await _feed(api, after)
                    else:
                        values = await _list(api, stream)
                except (httpx.TransportError, _NotNow):
                    await asyncio.sleep(rng.random() * 0.1)
                    continue
                if stream is None:
                    followed[api.org] = (skipped + len(values), after)
                read = Read(stream, tuple(values), began, time.monotonic(), skipped)
                ledger.reads.append(read)
                # What is read grows, and must leave room for those who write.
                await asyncio.sleep(rng.random() * 0.05)


async def _feed(api: Api, after: int) -> tuple[list[int], int]:
    """The values of all check-ins after a position of the ledger, and the last position."""
    values: list[int] = []
    while True:
        page = await _page(api, "/events", after=after, type=RECORDED, page_size=500)
        values += [int(event["data"]["terms"]["value"]) for event in page["items"]]
        if page["items"]:
            after = page["items"][-1]["position"]
        if page["next_page_token"] is None:
            return values, after


async def _list(api: Api, key_result: str) -> list[int]:
    """The values of all check-ins on a key result, page by page."""
    values: list[int] = []
    more: dict[str, str] = {}
    while True:
        page = await _page(api, f"/key-results/{key_result}/check-ins", page_size=500, **more)
        values += [int(check_in["value"]) for check_in in page["items"]]
        if page["next_page_token"] is None:
            return values
        more = {"page_token": page["next_page_token"]}


class _NotNow(Exception):
    """The server cannot answer at the moment."""


async def _page(api: Api, path: str, **params: Any) -> Json:
    answer = await api.request("GET", path, params=params)
    if answer.status_code == 503:
        raise _NotNow
    if answer.status_code != 200:
        raise Unexpected(f"GET {path} was answered {answer.status_code}: {answer.text}")
    page: Json = answer.json()
    return page
