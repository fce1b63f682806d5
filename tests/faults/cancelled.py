"""Clients that go away at any moment, and requests that are cut short: nothing is left of them."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from uuid import UUID

import httpx
from uuid_utils.compat import uuid7

from app.events.statements import Connection
from tests.faults.cluster import Place
from tests.faults.ledgers import gaps, verified
from tests.faults.load import Ledger, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.pressure import Told, idle_again, told
from tests.faults.proxy import served
from tests.faults.wire import Wire, request

POOL = 6
_AT_ONCE = 30
_SETTINGS = {
    "OKR_POOL_SIZE": str(POOL),
    # Short enough for what waits for a lock to be cut short by the server, too.
    "OKR_REQUEST_TIMEOUT": "1",
    "OKR_RATE_PER_MINUTE": "0",
}


async def cancellations(place: Place, requests: int, seed: int, step: Step) -> Outcome:
    """So many requests whose clients hang up; every hundredth finds the ledger locked for a while.

    Told a step for every thousand.
    """
    what = f"{requests:,} requests whose clients close the connection at random moments"
    outcome = Outcome("23: no leaks", what, seed)
    async with served(place, place.database, **_SETTINGS) as here:
        ledger = await made_ledger(here, 3)
        rng = random.Random(seed)
        async with here.owner() as owner:
            for start in range(0, requests, 100):
                await _hundred(here, owner, ledger, rng)
                if start % 1_000 == 0:
                    step()
            wrong = await idle_again(owner, 10)
            wrong += await _is_whole(here, ledger)
            wrong += await idle_again(owner, 10)
            wrong += await gaps(owner, ledger.api.org)
        wrong += await verified(here, ledger.api.org)
        demand(wrong, scenario="cancellations", seed=seed, round_=0, ledger=ledger)
    outcome.rounds = requests
    return outcome


async def _hundred(here: Place, owner: Connection, ledger: Ledger, rng: random.Random) -> None:
    sent = [_any(ledger, rng) for _ in range(100)]
    moments = [rng.random() ** 2 * 0.2 for _ in sent]
    waiting = list(zip(sent, moments, strict=True))

    async def hang_up() -> None:
        while waiting:
            one, moment = waiting.pop()
            wire = Wire(here.servers[0].base)
            try:
                await wire.ask(one, moment)
            except TimeoutError:
                pass
            finally:
                wire.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(hang_up())
        async with owner.transaction():
            await owner.execute(
                "SELECT 1 FROM ledgers WHERE org_id = $1 FOR UPDATE", UUID(ledger.api.org)
            )
            await asyncio.sleep(rng.random() * 1.5)


def _any(ledger: Ledger, rng: random.Random) -> bytes:
    """A read, a look back, a write, or a part of one."""
    root, key = f"/v1/organizations/{ledger.api.org}", ledger.api.key
    path = f"{root}/key-results/{rng.choice(ledger.streams)}"
    value = {"value": rng.randrange(1_000)}
    once = {"Idempotency-Key": str(uuid7())}
    one = rng.choice(
        [
            request("GET", path, key),
            request("GET", f"{root}/events?page_size=100", key),
            request("GET", f"{path}?as_of={rng.randint(1, 10)}", key),
            request("POST", f"{path}/check-ins", key, value),
            request("POST", f"{path}/check-ins", key, value, once),
            request("GET", f"{root}/ledger:verify", key),
        ]
    )
    return one if rng.random() < 0.8 else one[: rng.randrange(1, len(one))]


async def _is_whole(here: Place, ledger: Ledger) -> list[str]:
    """What is wrong with the pool: each of its connections must be there, and none in use."""
    async with httpx.AsyncClient(base_url=here.servers[0].base, timeout=30) as client:
        api = replace(ledger.api, client=client)
        key = f"Bearer {here.operator_key}"
        metrics = (await client.get("/metrics", headers={"Authorization": key})).text
        wrong = []
        if 'okr_pool_connections{state="used"} 0.0' not in metrics:
            wrong.append(metrics[metrics.find("okr_pool_connections") :][:300])
        # More at once than there are connections, and again and again: each has its turn.
        path = f"/key-results/{ledger.streams[0]}"
        said: list[Told] = []
        for value in range(5):
            reads = [told(api, "GET", path) for _ in range(2 * POOL)]
            write = told(api, "POST", f"{path}/check-ins", json={"value": value})
            said += await asyncio.gather(*reads, write)
    return wrong + [f"{one.what}: {one.problem}" for one in said if one.problem is not None]
