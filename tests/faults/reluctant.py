"""SIGTERM, more than once, to a server whose clients do not let go of it."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from app.events.statements import Connection
from tests.faults.cluster import Place
from tests.faults.ledgers import gaps, verified
from tests.faults.load import Ledger, made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.pressure import idle_again
from tests.faults.proxy import served
from tests.faults.wire import request

GONE_SECONDS = 10
_OF_EACH = 4


async def reluctance(place: Place, rounds: int, seed: int, step: Step) -> Outcome:
    """Each round: half a head, half a body, answers that nobody reads, a lock, three SIGTERMs."""
    what = "SIGTERM thrice, while clients send half a request, read no answer, or wait for a lock"
    outcome = Outcome("24: clean shutdown", what, seed)
    async with served(place, place.database) as here:
        server = here.servers[0]
        for round_ in range(rounds):
            await server.start()
            ledger = await made_ledger(here, 1)
            async with here.owner() as owner:
                async with _clients(server.port, ledger), _lock(owner, ledger):
                    began = time.monotonic()
                    for _ in range(3):
                        server.terminate()
                        await asyncio.sleep(0.5)
                    try:
                        status = await server.ended(GONE_SECONDS + 20)
                    except subprocess.TimeoutExpired:
                        server.kill()
                        status = -1
                    took = time.monotonic() - began
                wrong = [f"gone after {took:.1f} s"] if took > GONE_SECONDS else []
                wrong += [f"exit status {status}: {server.said()}"] if status else []
                wrong += await idle_again(owner, 5)
                wrong += await gaps(owner, ledger.api.org)
            wrong += await verified(here, ledger.api.org)
            demand(wrong, scenario="reluctance", seed=seed, round_=round_, ledger=ledger)
            outcome.rounds += 1
            step()
    return outcome


@asynccontextmanager
async def _lock(owner: Connection, ledger: Ledger) -> AsyncIterator[None]:
    async with owner.transaction():
        await owner.execute(
            "SELECT 1 FROM ledgers WHERE org_id = $1 FOR UPDATE", UUID(ledger.api.org)
        )
        # Those who wait for it have come that far.
        await asyncio.sleep(0.5)
        yield


@asynccontextmanager
async def _clients(port: int, ledger: Ledger) -> AsyncIterator[None]:
    """Some of each kind; what they are sent, they do not read."""
    path = f"/v1/organizations/{ledger.api.org}/key-results/{ledger.streams[0]}/check-ins"
    write = request("POST", path, ledger.api.key, {"value": 1})
    many = request("GET", "/openapi.json", ledger.api.key) * 20
    async with AsyncExitStack() as stack:
        for sent in (write[:30], write[:-3], many, write) * _OF_EACH:
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            stack.callback(_hang_up, writer)
            writer.write(sent)
        yield


def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
