"""The feed, live: every event once, in order, to whoever may read it and for as long as that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from app.application import bell, keys
from app.application.bell import Bell
from app.config import Settings
from app.main import create_app
from tests.api.listening import listening
from tests.api.programme import Api, Json, pointers
from tests.conftest import Database

SOON_SECONDS = 0.5
"""Less than what polling alone would take."""


async def _all(api: Api, **query: Any) -> list[Json]:
    page = await api.get("/events", page_size=500, **query)
    items: list[Json] = page["items"]
    return items


@asynccontextmanager
async def _app(database: Database, **settings: Any) -> AsyncIterator[FastAPI]:
    """Another process, as far as its memory goes."""
    changed = {"database_url": database.url, "allow_undurable_database": True, **settings}
    made = create_app(Settings().model_copy(update=changed))
    async with made.router.lifespan_context(made):
        # The framework puts its routes together for the first request, which takes a while.
        transport = httpx.ASGITransport(made)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await client.get("/health/live")
        yield made


# What is told -----------------------------------------------------------------------------


async def test_a_stream_tells_what_is_there_and_then_what_is_recorded(
    app: FastAPI, api: Api
) -> None:
    await api.team("Growth")
    async with listening(app, api) as heard:
        assert heard.status == 200
        assert heard.headers["content-type"].startswith("text/event-stream")
        assert heard.headers["cache-control"] == "no-store"
        assert await heard.until(2) == await _all(api)
        for number in range(5):
            began = time.monotonic()
            await api.team(f"Team {number}")
            await heard.until(3 + number)
            assert time.monotonic() - began < SOON_SECONDS
        assert heard.events == await _all(api)
        assert not heard.is_over


async def test_a_stream_goes_on_after_the_position_that_is_named(app: FastAPI, api: Api) -> None:
    for number in range(4):
        await api.team(f"Team {number}")
    async with listening(app, api, "after=2&follow=false") as heard:
        await heard.over()
        assert heard.positions == [3, 4, 5]
    async with listening(app, api, "after=1&follow=false", last_event_id="4") as heard:
        await heard.over()
        assert heard.positions == [5], "what was received goes before what was asked for first"
    async with listening(app, api, last_event_id="5") as heard:
        await api.team("One more")
        await heard.until(1)
        assert heard.positions == [6]


async def test_a_stream_takes_the_filters_of_the_list(app: FastAPI, api: Api) -> None:
    team = await api.team("Growth")
    await api.person()
    await api.patch(f"/teams/{team['id']}", {"name": "Growth and more"})
    actor = (await _all(api))[0]["actor"]
    for query in (
        {"type": "person.registered"},
        {"type": ["team.formed", "person.registered"]},
        {"stream": f"team/{team['id']}"},
        {"actor": actor, "type": "team.formed"},
        {"actor": "person/nobody"},
    ):
        text = str(httpx.QueryParams({**query, "follow": "false"}))
        async with listening(app, api, text) as heard:
            await heard.over()
            assert heard.events == await _all(api, **query), query
    async with listening(app, api, f"stream=team/{team['id']}") as heard:
        await api.person("Ben Ruiz")
        await api.patch(f"/teams/{team['id']}", {"name": "Growth"})
        assert [event["type"] for event in await heard.until(3)] == [
            "team.formed",
            "team.renamed",
            "team.renamed",
        ]


async def test_a_long_ledger_is_told_page_by_page(app: FastAPI, api: Api) -> None:
    for number in range(130):
        await api.team(f"Team {number}")
    async with listening(app, api) as heard:
        await heard.until(131)
        await api.team("One more")
        await heard.until(132)
        assert heard.positions == list(range(1, 133))


async def test_a_head_request_ends_at_once(app: FastAPI, api: Api) -> None:
    async with listening(app, api, method="HEAD") as heard:
        await heard.over()
        assert (heard.status, heard.text) == (200, "")


async def test_a_stream_with_nothing_to_tell_says_that_it_is_there(
    database: Database, api: Api
) -> None:
    async with _app(database, stream_heartbeat=0.1) as app, listening(app, api, "after=1") as heard:
        await heard.said("still here")
        began = len(heard.parts)
        await asyncio.sleep(0.5)
        assert 3 <= len(heard.parts) - began <= 5
        assert all(part.startswith(":") for part in heard.parts[1:])
        await api.team()
        assert (await heard.until(1))[0]["position"] == 2


# What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "headers", "status", "pointer"),
    [
        ("", {"last_event_id": "2"}, 404, "Last-Event-ID"),
        ("after=2", {}, 404, "after"),
        ("", {"last_event_id": "abc"}, 422, "Last-Event-ID"),
        ("", {"last_event_id": "-1"}, 422, "Last-Event-ID"),
        ("", {"last_event_id": ""}, 422, "Last-Event-ID"),
        ("", {"last_event_id": "9" * 19}, 422, "Last-Event-ID"),
        ("after=-1", {}, 422, "after"),
        ("type=nothing.happened", {}, 422, "type"),
        ("stream=team", {}, 422, "stream"),
        ("form=x", {}, 422, "form"),
    ],
)
async def test_what_no_stream_can_begin_with_is_a_problem(
    app: FastAPI, api: Api, query: str, headers: dict[str, str], status: int, pointer: str
) -> None:
    async with listening(app, api, query, **headers) as heard:
        await heard.over()
        assert heard.headers["content-type"] == "application/problem+json"
        assert heard.problem["status"] == heard.status == status
        assert pointers(heard.problem) == [pointer]


async def test_a_stream_takes_the_scope_and_a_role_that_has_it(app: FastAPI, api: Api) -> None:
    person = await api.person()
    member = await api.key_for("history:read", person_id=person["id"])
    for refused, problem in (
        (await api.key_for("read"), "forbidden"),
        (member, "out-of-reach"),
        (api.with_key("nonsense"), "unauthenticated"),
    ):
        async with listening(app, refused) as heard:
            await heard.over()
            assert heard.problem["type"] == f"/problems/{problem}"


# What changes -----------------------------------------------------------------------------


async def test_whoever_may_read_is_told_what_changes_and_not_what_was_said(
    app: FastAPI, api: Api
) -> None:
    person = await api.person("Ada Park")
    member = await api.key_for("read", person_id=person["id"])
    async with listening(app, member, feed="changes") as heard:
        cycle, team = await api.cycle(), await api.team("A secret project")
        await api.put(f"/teams/{team['id']}/members/{person['id']}", {"role": "member"})
        objective = await api.objective(cycle, team, why="Nobody else has to know.")
        told = await _all(api)
        shown = [event for event in told if event["stream"]["category"] != "api_key"]
        assert len(shown) == len(told) - 1, "there is one key, of which nobody else is told"
        parts = ("position", "type", "stream", "cycle_id", "recorded_at")
        assert await heard.until(len(shown)) == [
            {part: event[part] for part in parts} for event in shown
        ]
        assert heard.events[-1]["stream"]["id"] in str(objective)
        for said in ("secret", "Nobody else", "Ada", api.key):
            assert said not in heard.text
        # What is left out is passed by: nothing is looked through again.
        await api.key_for("read")
        await api.patch(f"/teams/{team['id']}", {"name": "Growth"})
        assert (await heard.until(len(shown) + 1))[-1]["type"] == "team.renamed"


async def test_changes_go_on_exactly_where_they_were_cut(app: FastAPI, api: Api) -> None:
    for number in range(3):
        await api.key_for("read")
        await api.team(f"Team {number}")
    async with listening(app, api, "follow=false", feed="changes") as heard:
        await heard.over()
        positions = heard.positions
    assert positions == [1, 3, 5, 7], "the keys are left out"
    for at, last in enumerate(positions):
        async with listening(
            app, api, "follow=false", feed="changes", last_event_id=str(last)
        ) as heard:
            await heard.over()
            assert heard.positions == positions[at + 1 :]
    async with listening(app, api, "follow=false&type=team.formed", feed="changes") as heard:
        await heard.over()
        assert heard.positions == positions[1:]
    async with listening(app, api, "after=8", feed="changes") as heard:
        await heard.over()
        assert pointers(heard.problem) == ["after"]


async def test_changes_end_with_the_key(app: FastAPI, api: Api) -> None:
    issued = await api.post("/api-keys", {"name": "Page", "scopes": ["read"]})
    async with listening(app, api.with_key(issued["key"]), feed="changes") as heard:
        await heard.until(1)
        await api.post(f"/api-keys/{issued['id']}:revoke")
        await heard.over()
    nobody = await api.key_for("check-ins:write")
    async with listening(app, nobody, feed="changes") as heard:
        await heard.over()
        assert heard.problem["type"] == "/problems/forbidden"


# For how long -----------------------------------------------------------------------------


async def test_a_stream_ends_when_its_key_is_revoked(app: FastAPI, api: Api) -> None:
    issued = await api.post("/api-keys", {"name": "Follower", "scopes": ["history:read"]})
    async with listening(app, api.with_key(issued["key"])) as heard:
        told = len(await heard.until(2))
        began = time.monotonic()
        await api.post(f"/api-keys/{issued['id']}:revoke")
        await api.team()
        await heard.over()
        assert time.monotonic() - began < 2
        assert len(heard.events) == told, "nothing is told after the revocation"


async def test_a_stream_ends_when_its_key_expires(app: FastAPI, api: Api) -> None:
    at = (await api.get("/ledger"))["at"]
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    assert soon > at[:19]
    key = await api.key_for("history:read", expires_at=soon)
    async with listening(app, key) as heard:
        await heard.until(2)
        await heard.over()


async def test_a_stream_ends_when_the_role_is_withdrawn(app: FastAPI, api: Api) -> None:
    person = await api.person()
    await api.put(f"/people/{person['id']}/roles/auditor", {})
    auditor = await api.key_for("history:read", person_id=person["id"])
    async with listening(app, auditor) as heard:
        told = len(await heard.until(4))
        answer = await api.request("DELETE", f"/people/{person['id']}/roles/auditor")
        assert answer.status_code == 200, answer.text
        await heard.over()
        assert len(heard.events) == told


async def test_a_stream_ends_when_the_person_has_left(app: FastAPI, api: Api) -> None:
    person = await api.admin()
    admin = await api.key_for("history:read", person_id=person["id"])
    async with listening(app, admin) as heard:
        await heard.until(4)
        await api.post(f"/people/{person['id']}:depart")
        await heard.over()


async def test_a_stream_ends_when_an_operators_key_is_retired(
    app: FastAPI, api: Api, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    operator_id = uuid7()
    key = await keys.make_operator(owner, operator_id)
    async with listening(app, api.with_key(key)) as heard:
        await heard.until(1)
        await owner.execute("DELETE FROM operators WHERE operator_id = $1", operator_id)
        began = time.monotonic()
        await heard.over()
        assert time.monotonic() - began < 2


async def test_streams_end_in_order_when_the_server_is_told_to_go(
    database: Database, api: Api
) -> None:
    async with _app(database) as app, listening(app, api) as heard:
        await heard.until(1)
        app.state.streams.close()
        await heard.over()
        async with listening(app, api) as late:
            await late.over()
            assert late.problem["type"] == "/problems/overloaded"


# Bounds -----------------------------------------------------------------------------------


async def test_a_key_may_have_so_many_streams_and_a_process_so_many_in_all(
    database: Database, api: Api
) -> None:
    other = await api.key_for("history:read")
    third = await api.key_for("history:read")
    async with (
        _app(database, max_streams=3, max_streams_per_caller=2) as app,
        AsyncExitStack() as stack,
    ):
        mine = [await stack.enter_async_context(listening(app, api)) for _ in range(2)]
        async with listening(app, api) as heard:
            await heard.over()
            assert heard.status == 429
            assert heard.problem["type"] == "/problems/too-many-streams"
            assert heard.headers["retry-after"]
        await stack.enter_async_context(listening(app, other))
        async with listening(app, third) as heard:
            await heard.over()
            assert (heard.status, heard.problem["type"]) == (503, "/problems/overloaded")
            assert heard.headers["retry-after"]
        mine[0].leave()
        await _until(lambda: len(app.state.streams) == 2)
        async with listening(app, third) as heard:
            assert heard.status == 200
    assert len(app.state.streams) == 0


async def _until(happened: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not happened in 10 s")


async def test_open_streams_keep_no_request_from_its_place(database: Database, api: Api) -> None:
    follower = await api.key_for("history:read")
    async with (
        _app(
            database, max_at_work=1, max_writing=1, max_waiting=0, pool_size=1, request_timeout=3
        ) as app,
        AsyncExitStack() as stack,
    ):
        heard = [await stack.enter_async_context(listening(app, follower)) for _ in range(5)]
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            here = Api(client, api.key, api.org)
            # Longer than a request may take.
            await asyncio.sleep(3.2)
            for number in range(5):
                await here.team(f"Team {number}")
        for one in heard:
            assert one.status == 200, one.text
            await one.until(7)
            assert one.positions == list(range(1, 8))


async def test_who_takes_nothing_is_hung_up_on(database: Database, api: Api) -> None:
    async with _app(database, stream_stall=0.3) as app, listening(app, api) as heard:
        await heard.until(1)
        heard.taking.clear()
        await api.team()
        await _until(lambda: len(app.state.streams) == 0)
        assert heard.positions == [1]


# Being woken ------------------------------------------------------------------------------


async def test_what_another_process_records_is_told_at_once(database: Database, api: Api) -> None:
    async with _app(database) as app, listening(app, api) as heard:
        await heard.until(1)
        # The other one's bell may still be on its way to its first connection.
        await api.team("First")
        await heard.until(2)
        for number in range(5):
            began = time.monotonic()
            await api.team(f"Team {number}")
            await heard.until(3 + number)
            assert time.monotonic() - began < SOON_SECONDS


async def test_a_lost_notification_only_delays(
    database: Database, api: Api, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.state.ledgers, "_grown", lambda org_id, position: None)
    async with listening(app, api) as heard:
        await heard.until(1)
        began = time.monotonic()
        await api.team()
        await heard.until(2)
        assert time.monotonic() - began < bell.POLL_SECONDS + 1


async def test_the_bell_outlives_its_connection(
    database: Database, api: Api, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    ended = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'okr-ledger feed' AND datname = current_database()"
    )
    async with _app(database) as app, listening(app, api) as heard:
        for number in range(3):
            await heard.until(1 + number)
            await _until(lambda: not app.state.bell.is_down)
            assert await owner.fetchval(ended) >= 1
            await api.team(f"Team {number}")
        await heard.until(4)
        assert heard.positions == [1, 2, 3, 4]


async def test_many_changes_at_once_are_told_of_in_few_notifications(
    database: Database, api: Api
) -> None:
    heard: list[str] = []
    conn = await asyncpg.connect(database.url)
    try:
        await conn.add_listener(bell.CHANNEL, lambda *said: heard.append(str(said[-1])))
        await asyncio.gather(*(api.team(f"Team {number}") for number in range(40)))
        await _until(lambda: f"{api.org} 41" in heard)
        of_this = [one for one in heard if one.startswith(api.org)]
        assert len(of_this) < 40
        assert all(UUID(one.split()[0]) for one in of_this)
    finally:
        await conn.close()


async def test_an_ear_is_woken_by_what_it_has_not_seen_and_by_nothing_else() -> None:
    async def nowhere() -> Any:
        raise ConnectionError

    here, org_id = Bell(nowhere), UUID(int=1)
    with here.follow(org_id) as ear:
        ear.seen = 5
        here.ring(org_id, 5)
        here.ring(UUID(int=2), 9)
        assert not await ear.wait(0.05)
        here.ring(org_id, 6)
        assert await ear.wait(0.05)
        assert not await ear.wait(0.05)
