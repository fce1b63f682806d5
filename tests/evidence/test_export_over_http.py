"""A bundle over HTTP: the one that `okr export` writes, for whoever may read the whole history."""

from __future__ import annotations

import asyncio
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator, MutableMapping
from contextlib import ExitStack, asynccontextmanager, closing
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from app.api.middleware import AnswerCut
from app.application.bundle import export
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.audit import audit
from app.domain.team import FormTeam
from app.events.envelope import Meta
from app.evidence.notes import VerifierKey
from tests.api.programme import UNKNOWN, Api, Json
from tests.conftest import Database
from tests.server import serving

PATH = "/ledger/export"
SECONDS = 30
EVENTS = 5_000


class Taker:
    """Takes an answer part by part, straight from the application, as fast as it is told to."""

    def __init__(self) -> None:
        self.status = 0
        self.parts: list[bytes] = []
        self.bytes = 0
        self.keeps = True
        self.is_whole = False
        self.hung_up = False
        self._may_go = asyncio.Event()
        self._moved = asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        part = message.get("body", b"")
        self.bytes += len(part)
        if self.keeps:
            self.parts.append(part)
        self.is_whole = not message.get("more_body", False)
        self._moved.set()
        await self._may_go.wait()

    async def begun(self) -> None:
        """Until something has come; no more is taken."""
        async with asyncio.timeout(SECONDS):
            await self._moved.wait()

    def go(self) -> None:
        self._may_go.set()

    def hang_up(self) -> None:
        self.hung_up = True

    @property
    def text(self) -> str:
        return b"".join(self.parts).decode()


@asynccontextmanager
async def _taking(app: FastAPI, api: Api) -> AsyncIterator[tuple[Taker, asyncio.Task[None]]]:
    taker = Taker()
    path = f"/v1/organizations/{api.org}{PATH}"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {api.key}".encode())],
        "state": {},
        "hang_up": taker.hang_up,
    }

    async def receive() -> Json:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    task = asyncio.create_task(app(scope, receive, taker.send))
    try:
        yield taker, task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _grown(ledgers: Ledgers, api: Api, events: int) -> None:
    async def form(unit: UnitOfWork) -> None:
        for n in range(500):
            await unit.execute(FormTeam(team_id=uuid7(), name=f"Team {n}"))

    for _ in range(events // 500):
        await ledgers.run(UUID(api.org), Meta("operator/test", "test", uuid7()), form)


@pytest.fixture(scope="module")
async def large(http: httpx.AsyncClient, operator_key: str, ledgers: Ledgers) -> Api:
    """A ledger of some megabytes."""
    api = await Api.found(http, operator_key)
    await _grown(ledgers, api, EVENTS)
    return api


# What comes -------------------------------------------------------------------------------


async def test_it_is_byte_for_byte_the_bundle_of_the_command_line(
    api: Api, app: FastAPI, ledgers: Ledgers
) -> None:
    stage = await api.one_of_each()
    for asked in ({}, {"cycle_id": stage.ids["cycle_id"]}):
        answer = await api.request("GET", PATH, params=asked)
        assert answer.status_code == 200, answer.text
        cycle_id = UUID(asked["cycle_id"]) if asked else None
        async with ledgers.read(UUID(api.org)) as reader:
            lines = export(reader, app.state.signing_key, cycle_id=cycle_id)
            written = b"".join([text async for text in lines])
        assert answer.content == written
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert answer.headers["Ledger-Position"] == str(await api.head())
        assert answer.headers["Content-Disposition"].endswith('.ndjson"')


async def test_it_is_audited_without_the_server(large: Api) -> None:
    answer = await large.request("GET", PATH)
    key = VerifierKey.parse((await large.get("/ledger/checkpoints"))["verifier_key"])
    verdict = audit(answer.content.splitlines(keepends=True), key=key)
    assert verdict.findings == []
    assert verdict.vouched_for
    assert verdict.events == verdict.checkpoint.size == await large.head() > EVENTS


async def test_what_is_recorded_meanwhile_is_not_in_it(
    app: FastAPI, api: Api, ledgers: Ledgers
) -> None:
    await _grown(ledgers, api, 1_000)
    head = await api.head()
    async with _taking(app, api) as (taker, task):
        await taker.begun()
        await api.team("Too late")
        taker.go()
        await task
    verdict = audit(taker.text.encode().splitlines(keepends=True))
    assert (verdict.findings, verdict.events) == ([], head)
    assert "Too late" not in taker.text


async def test_free_text_stays_sealed(api: Api) -> None:
    _, objective = await api.running()
    await api.check_in(objective["key_results"][0], value=150, note="Nobody's business.")
    answer = await api.request("GET", PATH)
    assert "check_in.recorded" in answer.text
    assert "Nobody's business." not in answer.text
    assert "text_key" not in answer.text


async def test_head_asks_for_nothing_but_the_headers(api: Api) -> None:
    answer = await api.request("HEAD", PATH)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Ledger-Position"] == "1"


# However it is taken ----------------------------------------------------------------------


async def test_a_large_ledger_is_told_in_bounded_memory(app: FastAPI, large: Api) -> None:
    async with _taking(app, large) as (taker, task):
        taker.keeps = False
        await taker.begun()
        tracemalloc.start()
        try:
            taker.go()
            await task
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taker.is_whole
    assert taker.bytes > 5_000_000
    assert peak < taker.bytes / 2


async def test_who_takes_it_slowly_holds_neither_a_connection_nor_a_place(
    app: FastAPI, large: Api
) -> None:
    pool, lane = app.state.ledgers.pool, app.state.lanes.long
    async with _taking(app, large) as (taker, task):
        await taker.begun()
        assert pool.get_idle_size() == pool.get_size()
        for _ in range(lane.places):
            await lane.enter()
        try:
            # Now it is the one that waits, and goes on once there is a place again.
            taker.go()
            await asyncio.sleep(0.2)
            assert not task.done()
        finally:
            for _ in range(lane.places):
                lane.leave()
        await asyncio.wait_for(task, SECONDS)
    assert taker.is_whole
    assert json.loads(taker.text.splitlines()[-1]) == {"end": {"events": await large.head()}}


async def test_who_takes_nothing_is_hung_up_on(app: FastAPI, large: Api) -> None:
    kept = app.state.settings
    app.state.settings = kept.model_copy(update={"stream_stall": 0.3})
    try:
        async with _taking(app, large) as (taker, task):
            await taker.begun()
            await asyncio.wait_for(task, SECONDS)
    finally:
        app.state.settings = kept
    assert taker.hung_up
    assert not taker.is_whole


async def test_a_key_that_is_revoked_meanwhile_reads_no_further(app: FastAPI, large: Api) -> None:
    issued = await large.post("/api-keys", {"name": "Leaked", "scopes": ["history:read"]})
    async with _taking(app, large.with_key(issued["key"])) as (taker, task):
        await taker.begun()
        await large.post(f"/api-keys/{issued['id']}:revoke")
        taker.go()
        # The server that runs the application closes the connection then, amid the body.
        with pytest.raises(AnswerCut):
            await task
    assert taker.status == 200
    assert not taker.is_whole, "the answer looks whole"
    assert '{"end":' not in taker.text


async def _refused(api: Api, name: str) -> None:
    answer = await api.request("GET", PATH)
    assert answer.json()["type"] == f"/problems/{name}", answer.text


# How many at once -------------------------------------------------------------------------


def _asked(base: str, api: Api) -> HTTPConnection:
    """A request for a bundle, from a client on whose way to it little fits."""
    where = urlsplit(base)
    connection = HTTPConnection(str(where.hostname), where.port, timeout=SECONDS)
    connection.connect()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    headers = {"Authorization": f"Bearer {api.key}"}
    connection.request("GET", f"/v1/organizations/{api.org}{PATH}", headers=headers)
    return connection


async def test_so_many_bundles_are_sent_at_once_and_so_many_to_one_key(
    database: Database, app: FastAPI, large: Api
) -> None:
    one, two, three = [await large.key_for("history:read") for _ in range(3)]
    settings = {
        "OKR_SIGNING_KEY_FILE": str(app.state.settings.signing_key_file),
        "OKR_MAX_BUNDLES": "3",
        "OKR_MAX_BUNDLES_PER_CALLER": "2",
    }
    with serving(database.url, **settings) as base, ExitStack() as stack:

        def ask(key: Api) -> HTTPResponse:
            return stack.enter_context(closing(_asked(base, key))).getresponse()

        def refused(key: Api) -> str:
            answer = ask(key)
            problem = json.loads(answer.read())
            assert (answer.status, problem["type"]) == (503, "/problems/overloaded")
            assert int(answer.headers["Retry-After"]) > 0
            return str(problem["detail"])

        async def taken(key: Api) -> HTTPResponse:
            """Once there is a place, which is within seconds."""
            for _ in range(100):
                if (answer := ask(key)).status == 200:
                    return answer
                await asyncio.sleep(0.1)
            raise AssertionError("no place was given back")

        first, second = ask(one), ask(one)
        assert refused(one) == "This key takes 2 bundles already."
        third = ask(two)
        assert refused(three) == "All 3 places for bundles are taken."
        # Others are served as ever.
        async with httpx.AsyncClient(base_url=base) as client:
            assert await Api(client, large.key, large.org).head() > EVENTS

        # Whoever has it all gives the place back, and so does whoever goes away.
        assert b'{"end":' in first.read()
        last = await taken(three)
        second.close()
        stack.pop_all().close()
        assert b'{"end":' in (await taken(three)).read()
        assert (third.status, last.status) == (200, 200)


# Who may ----------------------------------------------------------------------------------


async def test_it_takes_the_whole_history_of_this_organisation(
    api: Api, http: httpx.AsyncClient, operator_key: str
) -> None:
    stage = await api.one_of_each()
    weak = await api.key_for("read", "check-ins:write")
    await _refused(weak, "forbidden")
    narrowed: list[Json] = [
        {"teams": [stage.ids["team_id"]]},
        {"key_results": [stage.ids["key_result_id"]]},
        {"sources": ["crm"]},
    ]
    for narrow in narrowed:
        key = await api.key_for("read", **narrow)
        await _refused(key, "forbidden")
        # And none of these can be given the scope.
        body = {"name": "Wide", "scopes": ["history:read"], **narrow}
        assert (await api.request("POST", "/api-keys", json=body)).status_code in (409, 422)
    member = await api.person("Ben Ruiz")
    own = await api.key_for("read", "history:read", person_id=member["id"])
    await _refused(own, "out-of-reach")
    other = await Api.found(http, operator_key)
    foreign = await other.key_for("history:read")
    await _refused(Api(http, foreign.key, api.org), "not-found")


async def test_what_there_is_not_is_a_problem(api: Api, app: FastAPI) -> None:
    for query, name in (
        (f"?cycle_id={UNKNOWN}", "not-found"),
        ("?cycle_id=x", "invalid"),
        ("?with_text=true", "invalid"),
    ):
        await api.refused(name, "GET", PATH + query)
    kept, app.state.signing_key = app.state.signing_key, None
    try:
        await api.refused("no-signing-key", "GET", PATH)
    finally:
        app.state.signing_key = kept
