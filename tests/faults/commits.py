"""No acknowledgement before the commit: on every route that writes, a commit is made to fail."""

from __future__ import annotations

from collections import Counter

import httpx
from fastapi.routing import APIRoute
from starlette.routing import Match

from app.events.statements import Connection
from tests.api import test_idempotency
from tests.api.programme import CHANGES_NOTHING, ROUTES, Api, Json, Stage, method_of
from tests.faults.cluster import PATIENT, Place
from tests.faults.commit_faults import SWITCH, CommitFaults, commit_faults
from tests.faults.ledgers import fingerprint
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.sizes import Sizes

WRITES = {
    str(route.operation_id): route
    for route in ROUTES
    if method_of(route) != "GET"
    and route.operation_id not in CHANGES_NOTHING | {"stream_check_ins"}
}
"""Every route that writes; a stream answers line by line, and so has no one end."""
CODES = {"P0001": "/problems/internal", "40001": "/problems/unavailable"}
"""What Postgres is made to say at the commit, and what a client is told of it."""
_OF_THE_SENDER = ("webhook_attempts", "webhook_cursors", "webhook_deliveries")
"""Tables that the sender writes to, whatever is requested."""
_OTHERWISE: dict[str, Json] = {
    "rename_organization": {"name": "Harbour"},
    "revise_objective": {"title": "Customers stay for years", "reason": "As they told us."},
}
"""Edits whose documented example says what is on the stage already: nothing is to be committed."""
_TABLE: Json = {
    "csv": "Objective,Owner,Key result,Start,Target,Period\nPorts open,Works,Berths,0,5,2031 Q1\n",
    "mapping": {"phase": "drafting", "source": "sheet"},
}


class FailsFirst(httpx.AsyncBaseTransport):
    """Sends every request that writes to a server whose commits fail, and then to one that heals.

    What a client of it sees are the second answers, so that whole journeys can be made with it.
    """

    def __init__(self, faults: CommitFaults, owner: Connection, each: int | None) -> None:
        """`each`: how many requests of one operation are failed; None means all."""
        self._inner = httpx.AsyncHTTPTransport()
        self._faults = faults
        self._owner = owner
        self._most = (each or 10**9) * len(CODES)
        self._done: set[tuple[str, str]] = set()
        self.failed: Counter[str] = Counter()
        self.wrong: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        operation = operation_of(request)
        once = (request.url.path, request.headers.get("Idempotency-Key", ""))
        # What was acknowledged is only given again, whatever a commit would do.
        if operation and once not in self._done and self.failed[operation] < self._most:
            for code, problem in CODES.items():
                await self._fail(request, operation, code, problem)
        answer = await self._inner.handle_async_request(request)
        if once[1]:
            self._done.add(once)
        return answer

    async def _fail(self, request: httpx.Request, operation: str, code: str, problem: str) -> None:
        before = await fingerprint(self._owner, without=(SWITCH, *_OF_THE_SENDER))
        await self._faults.fail(code)
        try:
            answer = await self._inner.handle_async_request(request)
            await answer.aread()
        finally:
            await self._faults.fail(None)
        after = await fingerprint(self._owner, without=(SWITCH, *_OF_THE_SENDER))
        what = f"{operation}, commit failed with {code}"
        if answer.is_success or answer.headers["Content-Type"] != "application/problem+json":
            self.wrong.append(f"{what}: answered {answer.status_code} {answer.text}")
        elif answer.json()["type"] != problem:
            self.wrong.append(f"{what}: {answer.status_code} {answer.text}, not {problem}")
        if after != before:
            changed = [name for name in after if after[name] != before[name]]
            self.wrong.append(f"{what}: and yet something is kept in {changed}")
        self.failed[operation] += 1

    async def aclose(self) -> None:
        await self._inner.aclose()


def operation_of(request: httpx.Request) -> str | None:
    """The operation of a request that writes."""
    scope = {"type": "http", "method": request.method, "path": request.url.path}
    return next(
        (name for name, route in WRITES.items() if route.matches(scope)[0] is Match.FULL), None
    )


async def failing_commits(place: Place, sizes: Sizes, seed: int, step: Step) -> Outcome:
    """A journey over every route that writes: fail, look that nothing is kept, send it again."""
    what = "a commit made to fail on every write route: an error, nothing kept, then it works"
    outcome = Outcome("2: no acknowledgement before commit", what, seed)
    async with commit_faults(place) as faults, place.owner() as owner:
        transport = FailsFirst(faults, owner, sizes.failures_an_operation)
        base = place.servers[0].base
        async with httpx.AsyncClient(transport=transport, base_url=base, timeout=PATIENT) as client:
            await _journey(client, place.operator_key)
    left_out = sorted(WRITES.keys() - transport.failed.keys())
    wrong = [f"{name}: no commit of it was made to fail" for name in left_out]
    demand([*transport.wrong, *wrong], scenario="commits", seed=seed, round_=0)
    outcome.rounds = transport.failed.total()
    step()
    return outcome


async def _journey(client: httpx.AsyncClient, key: str) -> None:
    """Every operation that writes, where it is allowed."""
    api = await Api.found(client, key)
    await test_idempotency.test_every_post_has_one_effect_and_one_answer(api)
    await _edits(await Api.found(client, key))


async def _edits(api: Api) -> None:
    """What is no POST, and what that journey leaves out."""
    stage = await api.one_of_each()
    await api.post("/imports", test_idempotency._document())
    await api.post("/imports/csv", _TABLE)
    edits = {name: route for name, route in WRITES.items() if method_of(route) != "POST"}
    await _edit(stage, WRITES["rotate_webhook_secret"])
    score = edits.pop("score_key_result")
    # Who has a role keeps it, and nothing is committed: it has to be withdrawn before.
    grant = edits.pop("grant_role")
    # What deletes goes last: the others need it.
    for route in sorted(edits.values(), key=lambda route: method_of(route) == "DELETE"):
        await _edit(stage, route)
    await _edit(stage, grant)
    await api.move({"id": stage.ids["cycle_id"]}, "begin-scoring")
    await _edit(stage, score)


async def _edit(stage: Stage, route: APIRoute) -> None:
    another = _OTHERWISE.get(str(route.operation_id))
    options = {"json": another} if another else {}
    answer = await stage.call(route, headers={"If-Match": "*"}, **options)
    assert answer.is_success, f"{route.operation_id}: {answer.text}"
