"""Load whose every answer is timed, and held against what it said of itself."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import httpx

from app.events.statements import Connection
from tests.api.programme import Api
from tests.faults.cluster import Place
from tests.faults.ledgers import check_ins
from tests.faults.load import Ledger, Load, Unexpected, Wish

REFUSALS = {"/problems/unavailable", "/problems/overloaded"}


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, or None where the connection was lost, and how long it took in seconds."""

    what: str
    began: float
    seconds: float
    answer: httpx.Response | None

    @property
    def problem(self) -> str | None:
        if self.answer is None or self.answer.is_success:
            return None
        return str(self.answer.json().get("type"))

    @property
    def is_definite(self) -> bool:
        """Whether it says that nothing was recorded."""
        return self.problem in REFUSALS and not self.is_unknown

    @property
    def is_unknown(self) -> bool:
        return self.answer is not None and self.answer.json().get("outcome") == "unknown"


async def told(api: Api, method: str, path: str, **options: object) -> Told:
    """Send a request, and time it."""
    began = time.monotonic()
    what = f"{method} {path}"
    try:
        answer = await api.request(method, path, **options)  # type: ignore[arg-type]
    except httpx.TransportError:
        return Told(what, began, time.monotonic() - began, None)
    return Told(what, began, time.monotonic() - began, answer)


def late(said: Sequence[Told], seconds: float) -> list[str]:
    """Which answers took longer, a line each."""
    return [f"{one.what} took {one.seconds:.1f} s" for one in said if one.seconds > seconds]


def improper(said: Sequence[Told]) -> list[str]:
    """Which refusals do not say when to come back."""
    return [
        f"{one.what} was answered {one.answer.status_code} {one.answer.text}"
        for one in said
        if one.answer is not None
        and not one.answer.is_success
        and not (
            one.answer.status_code == 503
            and one.problem in REFUSALS
            and int(one.answer.headers.get("Retry-After", 0)) >= 1
        )
    ]


class Pressure(Load):
    """Writers and readers that are also told that there is too much to do."""

    def __init__(self, place: Place, ledgers: list[Ledger], seed: int) -> None:
        super().__init__(place, ledgers, seed)
        self.said: list[Told] = []
        self._of: dict[str, list[Told]] = defaultdict(list)

    async def send(self, client: httpx.AsyncClient, ledger: Ledger, wish: Wish) -> bool:
        api = replace(ledger.api, client=client)
        headers = {"Idempotency-Key": wish.key}
        one = await told(api, "POST", wish.path, json=wish.body, headers=headers)
        return self.note(wish, one)

    def note(self, wish: Wish, one: Told) -> bool:
        """What a wish was told; whether that is the end of it."""
        self.said.append(one)
        self._of[wish.key].append(one)
        answer = one.answer
        if answer is not None and answer.status_code == 201:
            if wish.answer is None:
                wish.answer, wish.append.ended = answer, one.began + one.seconds
                self.acknowledged += 1
                self.has_moved.set()
            elif answer.content != wish.answer.content:
                raise Unexpected(f"{wish.path} was answered anew: {answer.text}")
            return True
        if answer is not None and one.problem not in {*REFUSALS, "/problems/in-flight"}:
            raise Unexpected(f"{wish.path}: {answer.status_code} {answer.text}")
        return False

    @property
    def refused(self) -> list[Told]:
        return [one for one in self.said if one.problem in REFUSALS]

    async def denied(self, owner: Connection, ledger: Ledger) -> list[str]:
        """What was told as not recorded, each time it was sent, and is there."""
        kept = {one.value for one in await check_ins(owner, ledger.api.org)}
        return [
            f"{wish.append.value}: told as not recorded, and is there"
            for wish in ledger.unknown
            if wish.append.value in kept
            and self._of[wish.key]
            and all(one.is_definite for one in self._of[wish.key])
        ]


async def idle_again(owner: Connection, seconds: float) -> list[str]:
    """What the application's connections still hold after so many seconds at most."""
    end = time.monotonic() + seconds
    while True:
        rows = await owner.fetch(
            "SELECT pid, state, left(query, 100) AS query FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'okr-ledger' "
            "AND state <> 'idle'"
        )
        locks = await owner.fetchval(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database "
            "WHERE locktype = 'advisory' AND datname = current_database()"
        )
        if not rows and not locks:
            return []
        if time.monotonic() > end:
            left = [f"pid {row['pid']} is {row['state']}: {row['query']}" for row in rows]
            return left + ([f"{locks} advisory locks"] if locks else [])
        await asyncio.sleep(0.1)
