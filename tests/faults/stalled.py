"""A database that says nothing: everybody is told so in time, and all is well when it is back."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import httpx
from uuid_utils.compat import uuid7

from tests.api.programme import Api
from tests.faults.cluster import PATIENT, Place
from tests.faults.commit_faults import CommitFaults, commit_faults
from tests.faults.crashes import send_again
from tests.faults.ledgers import audit, check_ins, verified
from tests.faults.load import Ledger, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.pressure import Pressure, Told, idle_again, improper, late, told
from tests.faults.proxy import Proxy, proxied, served

TOLD_SECONDS = 5
HEALED_SECONDS = 10
_WRITERS, _READERS = 8, 2
_STALL_SECONDS = 6.0
_DOCUMENT = Path(__file__).resolve().parents[2] / "examples" / "quarter.json"


async def stalls(place: Place, rounds: int, seed: int, step: Step) -> Outcome:
    """Each round, the network falls silent under load; then it resumes, or forgets connections."""
    what = "the network to the database falls silent under load: nothing passes, nothing is closed"
    outcome = Outcome("21: a stalled database is bounded", what, seed)
    async with proxied(place) as (here, proxy):
        for round_ in range(rounds):
            ledger = await made_ledger(here, 3)
            load = Pressure(here, [ledger], seed + round_)
            wrong = await _round(here, proxy, ledger, load, resume=round_ % 2 == 0)
            demand(wrong, scenario="stalls", seed=seed, round_=round_, ledger=ledger)
            outcome.acknowledged += load.acknowledged
            outcome.rounds += 1
            step()
    return outcome


async def _round(
    here: Place, proxy: Proxy, ledger: Ledger, load: Pressure, *, resume: bool
) -> list[str]:
    async with load.running(writers=_WRITERS, readers=_READERS):
        await load.until(30, 60)
        proxy.blackhole()
        began = time.monotonic()
        said = await _everything(here, ledger)
        await asyncio.sleep(max(0, began + _STALL_SECONDS - time.monotonic()))
        proxy.heal(resume=resume)
        healed = time.monotonic()
        await load.until(1, HEALED_SECONDS)
        # Not one lucky connection, but all of them, well within the time.
        await load.until(50, healed + HEALED_SECONDS - time.monotonic())
    # In the moments after healing, a silent connection may cost its request once more.
    wrong = late([*said, *load.said], TOLD_SECONDS) + improper([*said, *load.refused])
    wrong += [f"{one.what} was answered in the silence" for one in said if _is_answered(one)]
    async with here.owner() as owner:
        wrong += await idle_again(owner, HEALED_SECONDS)
        wrong += await load.denied(owner, ledger)
        await send_again(here, load, [ledger])
        wrong += await audit(owner, ledger, final=True)
    return wrong + await verified(here, ledger.api.org)


def _is_answered(one: Told) -> bool:
    return one.answer is not None and one.answer.is_success


async def _everything(here: Place, ledger: Ledger) -> list[Told]:
    """One request of every kind, some twice, all at once."""
    key_result = f"/key-results/{ledger.streams[0]}"
    async with httpx.AsyncClient(base_url=here.servers[0].base, timeout=PATIENT) as client:
        api = replace(ledger.api, client=client)
        said = await asyncio.gather(
            told(api, "GET", key_result),
            told(api, "GET", key_result, params={"as_of": "3"}),
            told(api, "GET", "/events"),
            told(api, "POST", "/teams", json={"name": "Growth"}),
            told(api, "POST", f"{key_result}/check-ins", json={"value": 1_000_000}),
            told(api, "GET", "/ledger:verify"),
            told(api, "POST", "/imports", json=json.loads(_DOCUMENT.read_text())),
        )
        began = time.monotonic()
        ready = await client.get("/health/ready")
        said.append(Told("GET /health/ready", began, time.monotonic() - began, ready))
        began = time.monotonic()
        live = await client.get("/health/live")
    if live.status_code != 200 or time.monotonic() - began > 1:
        raise AssertionError(f"the process itself is stalled: {live.status_code}")
    return said


async def unheard_commits(place: Place, rounds: int, seed: int, step: Step) -> Outcome:
    """Each round, a commit that takes longer than its request may: nobody knows how it ends."""
    what = "commits of which nobody hears in time, sent again with the same Idempotency-Key"
    outcome = Outcome("21: an unknown outcome is told as one", what, seed)
    async with (
        commit_faults(place) as faults,
        place.owner() as owner,
        served(place, place.database, OKR_REQUEST_TIMEOUT="1") as here,
    ):
        for round_ in range(rounds):
            ledger = await made_ledger(here, 1)
            async with here.client() as client:
                wrong = await _unheard(replace(ledger.api, client=client), ledger, faults)
            wrong += await idle_again(owner, HEALED_SECONDS)
            found = await check_ins(owner, ledger.api.org)
            if [one.value for one in found] != [1]:
                wrong.append(f"sent again, and then {found}")
            demand(wrong, scenario="unheard commits", seed=seed, round_=round_, ledger=ledger)
            outcome.acknowledged += 1
            outcome.rounds += 1
            step()
    return outcome


async def _unheard(api: Api, ledger: Ledger, faults: CommitFaults) -> list[str]:
    path = f"/key-results/{ledger.streams[0]}"
    once = {"json": {"value": 1}, "headers": {"Idempotency-Key": str(uuid7())}}
    await faults.delay(3_600_000)
    try:
        first = await told(api, "POST", f"{path}/check-ins", **once)
        # What did not come as far as its commit is told as not recorded.
        read = await told(api, "GET", path)
    finally:
        await faults.delay(0)
    wrong = improper([first]) + late([first], 2)
    if not first.is_unknown or "may have been" not in first.answer.json()["detail"]:  # type: ignore[union-attr]
        wrong.append(f"a commit that nobody heard of was told as {first.answer}")
    if not _is_answered(read):
        wrong.append("a read waited for a commit")
    for _ in range(100):
        again = await told(api, "POST", f"{path}/check-ins", **once)
        if _is_answered(again):
            return wrong
        await asyncio.sleep(0.1)
    return [*wrong, f"sent again, and told {again.problem}"]
