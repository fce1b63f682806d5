"""Senders that are killed amid what they send: every event arrives, and is signed."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import replace

import httpx

from app.events.statements import Connection
from tests.api.programme import Api
from tests.faults.cluster import Place
from tests.faults.ledgers import gaps
from tests.faults.load import RECORDED, Ledger, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.proxy import SetServer
from tests.webhooks.receiver import Received, Receiver, Reply, receiving

_WRITERS = 2
_SENDERS = 4
"""So that some are ready while others begin, which takes a process longer than being killed."""
_RUNS_SECONDS = 0.6
"""At most, between a sender's first message and its end."""
_SENT_SECONDS = 120
"""Until a process that was started has sent something; until all that is left has arrived.

A lease has to end, and on a busy machine a process takes its time to begin.
"""
_LOOPBACK = {"OKR_WEBHOOK_NETWORKS": "127.0.0.0/8"}


async def sender_kills(place: Place, kills: int, seed: int, step: Step) -> Outcome:
    """Some servers send; the one that was written through last is killed, and so on in turn."""
    what = f"SIGKILL {kills} times to one of {_SENDERS} processes that send, {_WRITERS} writers"
    outcome = Outcome("webhooks: at least once, signed", what, seed)
    rng = random.Random(seed)
    ledger = await made_ledger(place, 2)
    # Those of the place may not send to loopback, and would be asked for it as well.
    for server in place.servers:
        await asyncio.to_thread(server.stop)
    senders = [SetServer(place.folder, place.database, **_LOOPBACK) for _ in range(_SENDERS)]
    here = replace(place, servers=[*senders])
    try:
        await asyncio.gather(*(server.start() for server in senders))
        async with receiving() as receiver:
            receiver.reply = lambda _: Reply(seconds=rng.random() * 0.05)
            secret = await _registered(here, ledger, receiver)
            await _killed(here, senders, ledger, receiver, kills, rng, outcome, step)
            expected = await _recorded(place, ledger)
            wrong = await _missing(expected, receiver)
            async with place.owner() as owner:
                left = await _left(owner, ledger)
        wrong += [f"{left} deliveries are not noted as delivered"] if left else []
        wrong += _misfits(expected, receiver.received, secret)
        async with place.owner() as owner:
            wrong += await gaps(owner, ledger.api.org)
        demand(wrong, scenario="sender_kills", seed=seed, round_=kills, ledger=ledger)
        return outcome
    finally:
        for server in senders:
            await asyncio.to_thread(server.stop)
        await asyncio.gather(*(server.start() for server in place.servers))


async def _registered(place: Place, ledger: Ledger, receiver: Receiver) -> str:
    async with place.client() as client:
        api = replace(ledger.api, client=client)
        body = {"url": receiver.url, "event_types": [RECORDED]}
        secret: str = (await api.post("/webhooks", body))["secret"]
        return secret


async def _killed(
    place: Place,
    senders: list[SetServer],
    ledger: Ledger,
    receiver: Receiver,
    kills: int,
    rng: random.Random,
    outcome: Outcome,
    step: Step,
) -> None:
    """Kill and start senders while check-ins are recorded through the one that lives."""
    is_done = asyncio.Event()
    ready: asyncio.Queue[int] = asyncio.Queue()
    living, *others = range(len(senders))
    for number in others:
        ready.put_nowait(number)

    async def begin(number: int) -> None:
        await senders[number].start()
        ready.put_nowait(number)

    async def write() -> None:
        while not is_done.is_set():
            number = living
            async with place.client(number) as client:
                api = replace(ledger.api, client=client)
                while number == living and not is_done.is_set():
                    try:
                        await _check_in(api, ledger, rng)
                    except httpx.TransportError:
                        if number == living:
                            raise
                        # It took longer than to kill the server. Nobody was told anything.
                        break
                    outcome.acknowledged += 1
                    await asyncio.sleep(rng.random() * 0.2)

    async with asyncio.TaskGroup() as group:
        for _ in range(_WRITERS):
            group.create_task(write())
        for _ in range(kills):
            seen = len(receiver.received)
            await receiver.first(seen + 1, _SENT_SECONDS)
            await asyncio.sleep(rng.random() * _RUNS_SECONDS)
            doomed, living = living, await ready.get()
            # Who writes has mostly let go of it by then; who sends has not.
            await asyncio.sleep(0.3)
            senders[doomed].kill()
            group.create_task(begin(doomed))
            outcome.rounds += 1
            step()
        is_done.set()


async def _check_in(api: Api, ledger: Ledger, rng: random.Random) -> None:
    path = f"/key-results/{rng.choice(ledger.streams)}/check-ins"
    await api.post(path, {"value": next(ledger.values)}, 201)


async def _recorded(place: Place, ledger: Ledger) -> set[str]:
    async with place.owner() as owner:
        rows = await owner.fetch(
            "SELECT event_id::text AS id FROM events WHERE org_id = $1::uuid AND type = $2",
            ledger.api.org,
            RECORDED,
        )
    return {row["id"] for row in rows}


async def _missing(expected: set[str], receiver: Receiver) -> list[str]:
    """What does not arrive although there was time enough."""
    try:
        await receiver.until(
            lambda received: expected <= {one.id for one in received}, _SENT_SECONDS
        )
    except TimeoutError:
        missing = expected - {one.id for one in receiver.received}
        return [f"{len(missing)} of {len(expected)} never arrived: {sorted(missing)[:5]}"]
    return []


async def _left(owner: Connection, ledger: Ledger) -> int:
    """Deliveries that are not noted as such although there was time enough.

    One whose sender was killed before it could note it is delivered once more.
    """
    ends = time.monotonic() + _SENT_SECONDS
    while left := int(
        await owner.fetchval(
            "SELECT count(*) FROM webhook_deliveries WHERE org_id = $1::uuid "
            "AND status <> 'delivered'",
            ledger.api.org,
        )
    ):
        if time.monotonic() > ends:
            break
        await asyncio.sleep(0.1)
    return left


def _misfits(expected: set[str], received: list[Received], secret: str) -> list[str]:
    wrong = [f"{one.id} is not signed" for one in received if not one.is_signed(secret)]
    wrong += [f"{one.id} was never recorded" for one in received if one.id not in expected]
    bodies = Counter((one.id, one.body) for one in received)
    differing = [id for id, many in Counter(id for id, _ in bodies).items() if many > 1]
    return wrong + [f"{id} says one thing and then another" for id in differing]
