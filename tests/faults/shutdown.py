"""SIGTERM under load: what is in flight is finished, or cleanly refused; gone within 10 s."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from uuid import UUID

import httpx

from tests.faults.cluster import Place, Server
from tests.faults.crashes import send_again
from tests.faults.ledgers import audit, check_ins, gaps, verified
from tests.faults.load import Ledger, Load, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.sizes import Sizes

GONE_SECONDS = 10
_IN_FLIGHT = 8


async def terminations(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """Each round thrice: under load, with requests that wait for a while, and for ever."""
    what = "SIGTERM under load, with requests in flight that finish, and with some that never do"
    outcome = Outcome("24: clean shutdown", what, seed)
    for round_ in range(sizes.terminations):
        for part in (_under_load, _that_finish, _that_never_do):
            server = place.servers[round_ % len(place.servers)]
            acknowledged, wrong, ledger = await part(place, server, seed + round_)
            await server.start()
            demand(
                wrong,
                scenario=f"terminations{part.__name__}",
                seed=seed,
                round_=round_,
                ledger=ledger,
            )
            outcome.acknowledged += acknowledged
        outcome.rounds += 1
        step()
    return outcome


Part = tuple[int, list[str], Ledger]
"""How many were acknowledged, what was wrong, and where."""


async def gone(server: Server) -> list[str]:
    """Send SIGTERM; what is wrong with how the server goes."""
    began = time.monotonic()
    server.terminate()
    try:
        status = await server.ended(GONE_SECONDS + 20)
    except subprocess.TimeoutExpired:
        server.kill()
        return [f"not gone after {GONE_SECONDS + 20} s"]
    took = time.monotonic() - began
    wrong = [f"gone only after {took:.1f} s"] if took > GONE_SECONDS else []
    return [*wrong, *([f"exit status {status}: {server.said()}"] if status else [])]


async def _under_load(place: Place, server: Server, seed: int) -> Part:
    """Two servers under load, and one of them is told to go."""
    ledger = await made_ledger(place, 3)
    load = Load(place, [ledger], seed)
    async with load.running(writers=12, readers=2):
        await load.until(50, 60)
        wrong = await gone(server)
        await load.until(50, 60)
    await server.start()
    await send_again(place, load, [ledger])
    async with place.owner() as owner:
        wrong += await audit(owner, ledger, final=True)
    wrong += await verified(place, ledger.api.org)
    return load.acknowledged, wrong, ledger


async def _that_finish(place: Place, server: Server, seed: int) -> Part:
    """Requests that wait for a ledger's lock are answered once they have it, SIGTERM or not."""
    ledger = await made_ledger(place, 1)
    async with _locked(place, ledger) as release, _in_flight(place, server, ledger) as answers:
        going = asyncio.create_task(gone(server))
        await asyncio.sleep(1)
        wrong = await _refuses(server)
        await release()
        said = await asyncio.gather(*answers, return_exceptions=True)
        wrong += await going
    for answer in said:
        if not isinstance(answer, httpx.Response) or answer.status_code != 201:
            wrong.append(f"in flight at SIGTERM, and then {answer!r}")
    return len(said), wrong + await _kept(place, ledger, said), ledger


async def _that_never_do(place: Place, server: Server, seed: int) -> Part:
    """Requests that wait for a lock which is never released hold up nothing for long."""
    ledger = await made_ledger(place, 1)
    async with _locked(place, ledger), _in_flight(place, server, ledger) as answers:
        wrong = await gone(server)
        said = await asyncio.gather(*answers, return_exceptions=True)
    wrong += [
        f"acknowledged: {a!r}" for a in said if isinstance(a, httpx.Response) and a.is_success
    ]
    return 0, wrong + await _kept(place, ledger, said), ledger


@asynccontextmanager
async def _locked(place: Place, ledger: Ledger) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Hold a ledger's head row, until what is given is called or it is left."""
    async with place.owner() as owner:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(
            "SELECT 1 FROM ledgers WHERE org_id = $1 FOR UPDATE", UUID(ledger.api.org)
        )
        yield transaction.rollback


@asynccontextmanager
async def _in_flight(
    place: Place, server: Server, ledger: Ledger
) -> AsyncIterator[list[asyncio.Task[httpx.Response]]]:
    """Check-ins that a server has begun, and that wait for the ledger's lock."""
    path = f"/key-results/{ledger.streams[0]}/check-ins"
    number = place.servers.index(server)
    async with AsyncExitStack() as stack:
        tasks = []
        for value in range(_IN_FLIGHT):
            api = replace(ledger.api, client=await stack.enter_async_context(place.client(number)))
            sent = api.request("POST", path, json={"value": value})
            tasks.append(asyncio.create_task(sent))
        async with place.owner() as owner:
            for _ in range(1_000):
                waiting = await owner.fetchval(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND application_name = 'okr-ledger' AND wait_event_type = 'Lock'"
                )
                if waiting:
                    break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError("no request waits for the lock")
        # One transaction waits; the others' requests wait for it.
        await asyncio.sleep(0.2)
        yield tasks


async def _refuses(server: Server) -> list[str]:
    """A server that was told to go takes no new connections."""
    try:
        async with httpx.AsyncClient(timeout=2) as client:
            answer = await client.get(f"{server.base}/health/live")
    except httpx.TransportError:
        return []
    return [] if answer.status_code == 503 else [f"answered after SIGTERM: {answer.status_code}"]


async def _kept(
    place: Place, ledger: Ledger, said: Sequence[httpx.Response | BaseException]
) -> list[str]:
    """What is wrong with the ledger, given what was acknowledged."""
    told = {a.json()["id"] for a in said if isinstance(a, httpx.Response) and a.is_success}
    async with place.owner() as owner:
        kept = {one.id for one in await check_ins(owner, ledger.api.org)}
        wrong = await gaps(owner, ledger.api.org)
    wrong += [f"acknowledged and not kept: {id}" for id in told - kept]
    return wrong + await verified(place, ledger.api.org)
