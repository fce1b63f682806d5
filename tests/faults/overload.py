"""More requests than a server can take: refused at once, in bounded memory, and soon forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import psutil  # type: ignore[import-untyped]
from uuid_utils.compat import uuid7

from app.events.statements import Connection
from tests.api.programme import Api
from tests.faults.cluster import PATIENT, Place
from tests.faults.history import Append
from tests.faults.ledgers import audit, verified
from tests.faults.load import Ledger, Wish, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.pressure import Pressure, Told, idle_again, improper, late, told
from tests.faults.proxy import SetServer, served
from tests.faults.wire import Wire, request

RECOVERED_SECONDS = 5
REFUSED_SECONDS = 2.0
"""For all but one in a hundred, with all those clients on the same cores."""
_AT_WORK, _WAITING, _WAIT_SECONDS = 4, 8, 0.5
_SETTINGS = {
    "OKR_POOL_SIZE": str(_AT_WORK),
    "OKR_MAX_AT_WORK": str(_AT_WORK),
    "OKR_MAX_WRITING": str(_AT_WORK),
    "OKR_MAX_WAITING": str(_WAITING),
    "OKR_MAX_WAIT": str(_WAIT_SECONDS),
    "OKR_RATE_PER_MINUTE": "0",
}
_TIMES = 10
_PAUSE_SECONDS = 0.05
_RSS_FACTOR, _RSS_MORE = 1.3, 20_000_000


async def overload(place: Place, seconds: float, seed: int, step: Step) -> Outcome:
    """Ten times as many clients as there are places, those that wait among them, for a while."""
    what = f"{_TIMES} times as many clients as may be at work or wait, for {seconds:g} s"
    outcome = Outcome("20: bounded overload", what, seed, rounds=1)
    async with served(place, place.database, **_SETTINGS) as here, _client(here) as client:
        ledger = await made_ledger(here, 4)
        load = Pressure(here, [ledger], seed)
        # What the process needs for such work, before it is too much.
        await _clients(here, load, ledger, _AT_WORK, max(3.0, seconds / 4))
        server = here.servers[0]
        assert isinstance(server, SetServer)
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        watching = asyncio.create_task(_watch(here, process, seconds))
        await _clients(here, load, ledger, _TIMES * (_AT_WORK + _WAITING), seconds)
        health, most = await watching
        ended = time.monotonic()
        api = replace(ledger.api, client=client)
        wrong = await _recovers(api, ended)
        allowed = before * _RSS_FACTOR + _RSS_MORE
        if most > allowed:
            wrong.append(f"memory grew from {before:,} to {most:,} bytes")
        wrong += health + _refusals(load)
        async with here.owner() as owner:
            wrong += await idle_again(owner, RECOVERED_SECONDS)
            wrong += await load.denied(owner, ledger)
            wrong += await audit(owner, ledger, final=False)
        wrong += await verified(here, ledger.api.org)
        demand(wrong, scenario="overload", seed=seed, round_=0, ledger=ledger)
    outcome.acknowledged = load.acknowledged
    step()
    return outcome


async def _recovers(api: Api, ended: float) -> list[str]:
    """Writes are as quick as ever soon after the load has ended."""
    for number in range(1_000):
        one = await told(api, "POST", "/teams", json={"name": f"Growth {number}"})
        if _ok(one) and one.seconds < 1:
            break
    took = time.monotonic() - ended
    return [f"recovered only after {took:.1f} s"] if took > RECOVERED_SECONDS else []


def _refusals(load: Pressure) -> list[str]:
    """What is wrong with how the load was turned away."""
    turned = [one for one in load.refused if one.problem == "/problems/overloaded"]
    wrong = improper(load.refused) + late(load.said, 5)
    if len(turned) < load.acknowledged / 10:
        return [*wrong, f"only {len(turned)} refusals beside {load.acknowledged} writes: no load"]
    slow = sorted(one.seconds for one in turned)[len(turned) * 99 // 100]
    if slow > REFUSED_SECONDS:
        wrong.append(f"one in a hundred was turned away only after {slow:.1f} s")
    return wrong


@asynccontextmanager
async def _client(here: Place) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    base = here.servers[0].base
    async with httpx.AsyncClient(base_url=base, timeout=PATIENT, limits=limits) as client:
        yield client


async def _clients(here: Place, load: Pressure, ledger: Ledger, count: int, seconds: float) -> None:
    """So many that write, and begin again at once: the next request is there before the answer."""
    ends = time.monotonic() + seconds

    async def insist() -> None:
        wire = Wire(here.servers[0].base)
        while time.monotonic() < ends:
            value = next(ledger.values)
            stream = ledger.streams[value % len(ledger.streams)]
            wish = Wish(Append(stream, value, time.monotonic()), str(uuid7()))
            ledger.wishes.append(wish)
            path = f"/v1/organizations/{ledger.api.org}{wish.path}"
            sent = request("POST", path, ledger.api.key, wish.body, {"Idempotency-Key": wish.key})
            began = time.monotonic()
            answer = await wire.ask(sent, 60)
            load.note(wish, Told(wish.path, began, time.monotonic() - began, answer))
            if wish.answer is None:
                await asyncio.sleep(_PAUSE_SECONDS)
        wire.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(insist())


async def _watch(here: Place, process: psutil.Process, seconds: float) -> tuple[list[str], int]:
    """What was wrong with health meanwhile, and the most memory that the server had."""
    wrong, most = [], 0
    ends = time.monotonic() + seconds
    async with _client(here) as client:
        while time.monotonic() < ends:
            for path in ("/health/live", "/health/ready"):
                began = time.monotonic()
                answer = await client.get(path)
                took = time.monotonic() - began
                if answer.status_code != 200 or took > 3:
                    wrong.append(f"{path}: {answer.status_code} after {took:.1f} s")
            metrics = await client.get(
                "/metrics", headers={"Authorization": f"Bearer {here.operator_key}"}
            )
            if metrics.status_code != 200:
                wrong.append(f"/metrics: {metrics.status_code}")
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.2)
    return wrong, most


# The pool ---------------------------------------------------------------------------------


async def exhaustion(place: Place, rounds: int, seed: int, step: Step) -> Outcome:
    """More reads that take long than there are connections; then more looks into the past."""
    what = "more slow reads than connections, then more slow looks into the past"
    outcome = Outcome("20: no connection is waited for without end", what, seed)
    settings = {"OKR_POOL_SIZE": "4"}
    async with served(place, place.database, **settings) as here, _client(here) as client:
        for round_ in range(rounds):
            ledger = await made_ledger(here, 1)
            api = replace(ledger.api, client=client)
            async with here.owner() as owner:
                wrong = await _slow_reads(api, owner, ledger)
                wrong += await _slow_past(api, owner, ledger)
                wrong += await idle_again(owner, RECOVERED_SECONDS)
            said = await asyncio.gather(*(told(api, "GET", "/teams") for _ in range(50)))
            wrong += [f"{one.what} was not answered" for one in said if one.problem]
            demand(wrong, scenario="exhaustion", seed=seed, round_=round_)
            outcome.rounds += 1
            step()
    return outcome


async def _slow_reads(api: Api, owner: Connection, ledger: Ledger) -> list[str]:
    path = f"/key-results/{ledger.streams[0]}"
    async with owner.transaction():
        await owner.execute("LOCK TABLE key_results IN ACCESS EXCLUSIVE MODE")
        slow = [asyncio.create_task(told(api, "GET", path)) for _ in range(8)]
        await asyncio.sleep(0.5)
        others = [asyncio.create_task(told(api, "GET", "/teams")) for _ in range(30)]
        live = await api.client.get("/health/live")
        said = await asyncio.gather(*slow, *others)
    wrong = [] if live.status_code == 200 else ["not alive"]
    wrong += [f"{one.what} was answered without a connection" for one in said[8:10] if _ok(one)]
    return wrong + improper(said) + late(said, 5)


async def _slow_past(api: Api, owner: Connection, ledger: Ledger) -> list[str]:
    """Looks into the past have half the connections, and leave the others theirs."""
    async with owner.transaction():
        await owner.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        slow = [
            asyncio.create_task(told(api, "GET", "/teams", params={"as_of": "2"}))
            for _ in range(10)
        ]
        await asyncio.sleep(0.5)
        others = await asyncio.gather(*(told(api, "GET", "/teams") for _ in range(30)))
        said = await asyncio.gather(*slow)
    wrong = [f"{one.what} was not answered beside slow looks" for one in others if not _ok(one)]
    return wrong + improper(said) + late([*said, *others], 7)


def _ok(one: Told) -> bool:
    return one.answer is not None and one.answer.is_success


async def single_connection(place: Place, requests: int, seed: int, step: Step) -> Outcome:
    """Requests that come together at a server with one connection: none needs a second one."""
    what = f"{requests} requests at once, each with a key to look up, on a pool of one connection"
    outcome = Outcome("20: nothing waits for itself", what, seed, rounds=1)
    settings = {"OKR_POOL_SIZE": "1", "OKR_MAX_AT_WORK": "8", "OKR_MAX_WRITING": "8"}
    async with served(place, place.database, **settings) as here, _client(here) as client:
        ledger = await made_ledger(here, 1)
        api = replace(ledger.api, client=client)
        path = f"/key-results/{ledger.streams[0]}"
        said: list[Told] = []
        for start in range(0, requests, 30):
            # What is believed of a key is forgotten by now.
            await asyncio.sleep(0.6)
            said += await asyncio.gather(
                *(
                    told(api, "GET", path)
                    if number % 3
                    else told(api, "POST", f"{path}/check-ins", json={"value": start + number})
                    for number in range(30)
                )
            )
        wrong = [
            f"{one.what}: {one.problem} after {one.seconds:.1f} s" for one in said if not _ok(one)
        ]
        demand(wrong, scenario="single connection", seed=seed, round_=0)
        outcome.acknowledged = len(said)
    step()
    return outcome


async def slow_senders(place: Place, senders: int, seed: int, step: Step) -> Outcome:
    """Clients that send half of what they announce, many more than there are places."""
    what = f"{senders} clients that stop in the middle of a body, and others that do not"
    outcome = Outcome("20: whoever sends slowly keeps nobody from work", what, seed, rounds=1)
    async with served(place, place.database, **_SETTINGS) as here, _client(here) as client:
        ledger = await made_ledger(here, 1)
        api = replace(ledger.api, client=client)
        path = f"/v1/organizations/{api.org}/teams"
        wires = []
        for _ in range(senders):
            whole = request("POST", path, api.key, {"name": "Growth"})
            _, writer = await asyncio.open_connection("127.0.0.1", here.servers[0].port)
            writer.write(whole[:-5])
            wires.append(writer)
        await asyncio.sleep(0.5)
        said = [await told(api, "POST", "/teams", json={"name": f"Team {n}"}) for n in range(20)]
        for writer in wires:
            writer.transport.abort()
        wrong = [f"{one.what}: {one.problem}" for one in said if not _ok(one)] + late(said, 2)
        async with here.owner() as owner:
            wrong += await idle_again(owner, RECOVERED_SECONDS)
        demand(wrong, scenario="slow senders", seed=seed, round_=0)
        outcome.acknowledged = len(said)
    step()
    return outcome
