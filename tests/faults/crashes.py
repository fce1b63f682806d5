"""kill -9 under load: what was acknowledged is there, once; what was not can be sent again."""

from __future__ import annotations

import asyncio
import random
import time

import httpx

from tests.faults.cluster import Place
from tests.faults.ledgers import audit, verified
from tests.faults.load import Ledger, Load, Unexpected, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.sizes import Sizes

VICTIMS = ("server", "backend", "postmaster", "server between commits")
_LEDGERS, _STREAMS, _WRITERS, _READERS = 3, 3, 12, 2
_HEALED_SECONDS = 60


async def kills(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """Rounds of load, one kill, recovery, audit, and a retry of all that was not acknowledged.

    Each round has one victim, in turn: a server process, a Postgres backend that serves one (then
    Postgres restarts them all), the postmaster (then the next one recovers from the log), and a
    server process at the moment when a commit has ended, of which nobody may have been told yet.
    """
    what = "kill -9 of server, Postgres backend and postmaster in turn, under load"
    outcome = Outcome("1, 4, 10: nothing acknowledged is lost", what, seed)
    ledgers: list[Ledger] = []
    for round_ in range(sizes.kill_rounds):
        rng = random.Random(f"{seed} {round_}")
        if round_ % sizes.rounds_an_epoch == 0:
            ledgers = [await made_ledger(place, _STREAMS) for _ in range(_LEDGERS)]
        load = Load(place, ledgers, rng.getrandbits(32))
        await _round(place, load, VICTIMS[round_ % len(VICTIMS)], sizes, rng)
        # What was sent before the crash and is on its way no more: the ledger stands still.
        await _audit(place, ledgers, seed, round_, final=False)
        await send_again(place, load, ledgers)
        outcome.acknowledged += load.acknowledged
        await _audit(place, ledgers, seed, round_, final=True)
        outcome.rounds += 1
        step()
    return outcome


async def _round(place: Place, load: Load, victim: str, sizes: Sizes, rng: random.Random) -> None:
    """Load with a kill somewhere in the middle of it, then everything up again."""
    before = rng.randrange(sizes.acknowledged_a_round)
    async with load.running(writers=_WRITERS, readers=_READERS):
        await load.until(before, _HEALED_SECONDS)
        await asyncio.sleep(rng.random() * 0.02)
        if victim.startswith("server"):
            server = rng.choice(place.servers)
            if victim == "server between commits":
                await place.postgres.until_committed()
            server.kill()
            await load.until(sizes.acknowledged_a_round - before, _HEALED_SECONDS)
            await server.start()
        elif victim == "backend":
            await place.postgres.kill_backend(rng)
            # Servers find their way back by themselves.
            await load.until(sizes.acknowledged_a_round - before, _HEALED_SECONDS)
            await place.postgres.start()
        else:
            place.postgres.kill()
            await asyncio.sleep(rng.random() * 0.2)
            await place.postgres.start()
            await load.until(sizes.acknowledged_a_round - before, _HEALED_SECONDS)


async def send_again(place: Place, load: Load, ledgers: list[Ledger]) -> None:
    """Every request that was not acknowledged, twice at once, until it is; a second effect tells.

    One in ten of those that were is sent again, too: the answer must be the first one.
    """
    waiting = [
        (ledger, wish, number)
        for ledger in ledgers
        for wish in (*ledger.unknown, *ledger.wishes[-50::10])
        for number in range(2)
    ]
    waiting.reverse()

    async def insist(clients: list[httpx.AsyncClient]) -> None:
        while waiting:
            ledger, wish, number = waiting.pop()
            end = time.monotonic() + _HEALED_SECONDS
            while not await load.send(clients[number % len(clients)], ledger, wish):
                if time.monotonic() > end:
                    raise Unexpected(f"{wish.path} was not acknowledged in {_HEALED_SECONDS} s")
                await asyncio.sleep(0.02)

    async with place.clients(_WRITERS) as clients, asyncio.TaskGroup() as group:
        for _ in range(_WRITERS):
            group.create_task(insist(clients))


async def _audit(
    place: Place, ledgers: list[Ledger], seed: int, round_: int, *, final: bool
) -> None:
    async with place.owner() as owner:
        for ledger in ledgers:
            wrong = await audit(owner, ledger, final=final)
            if final:
                wrong += await verified(place, ledger.api.org)
            demand(wrong, scenario="kills", seed=seed, round_=round_, ledger=ledger)
