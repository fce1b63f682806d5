"""Many check-ins at once: batches, whole or item by item, and streams of any length."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message

from app.api.lines import LINES_TOGETHER, LONGEST_LINE, LineReader
from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers
from tests.conftest import Database
from tests.server import serving

BATCH, STREAM = "/check-ins:batch", "/check-ins:stream"
_DEEP = '{"note": ' + "[" * 100 + "]" * 100 + "}"


async def _running(api: Api, number: int = 3) -> list[Json]:
    """Committed metrics from 100 to 200, in an active cycle."""
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": f"Figure {n}", "measure": METRIC} for n in range(number)]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.open_anyway(cycle)
    found: list[Json] = objective["key_results"]
    return found


def _items(key_results: Sequence[Json], *values: Any, **more: Any) -> list[Json]:
    """A check-in with each value, on one key result after the other."""
    return [
        {"key_result_id": key_results[n % len(key_results)]["id"], "value": value, **more}
        for n, value in enumerate(values)
    ]


def _named(items: Sequence[Json], source: str = "crm") -> list[Json]:
    return [
        {**item, "external": {"source": source, "external_id": f"row {n}"}}
        for n, item in enumerate(items)
    ]


async def _partial(api: Api, items: Sequence[Any], **headers: str) -> list[Json]:
    answer = await api.request(
        "POST", f"{BATCH}?partial=true", json={"items": items}, headers=headers
    )
    assert answer.status_code == 207, answer.text
    found: list[Json] = answer.json()["items"]
    return found


def _statuses(results: Sequence[Json]) -> list[int]:
    return [result["status"] for result in results]


# A batch, whole ---------------------------------------------------------------------------


async def test_a_batch_is_recorded_in_its_order(api: Api) -> None:
    key_results = await _running(api)
    before = await api.head()
    said = {"confidence": 0.5, "health": "at_risk", "note": "So.", "next_steps": "Call them."}
    made = (await api.post(BATCH, {"items": _items(key_results, 110, 120, 130, **said)}, 201))[
        "items"
    ]
    assert [one["value"] for one in made] == [110, 120, 130]
    assert [one["position"] for one in made] == [before + 1, before + 2, before + 3]
    for one, key_result in zip(made, key_results, strict=True):
        assert await api.get(f"/check-ins/{one['id']}") == one
        assert one["key_result_id"] == key_result["id"]
        assert {name: one[name] for name in said} == said
    assert (await api.get("/ledger:verify"))["identical"]


async def test_increments_of_a_batch_build_on_each_other(api: Api) -> None:
    (key_result,) = await _running(api, 1)
    item = {"key_result_id": key_result["id"], "increment": 5}
    made = (await api.post(BATCH, {"items": [item, item, item]}))["items"]
    assert [one["value"] for one in made] == [105, 110, 115]
    assert (await api.get(f"/key-results/{key_result['id']}"))["value"] == 115
    assert (await api.get("/ledger:verify"))["identical"]


@pytest.mark.parametrize(
    ("change", "name", "at"),
    [
        ({"value": True}, "wrong-kind", "/items/1/value"),
        ({"value": None}, "refused", "/items/1/value"),
        ({"increment": 3}, "refused", "/items/1/increment"),
        ({"key_result_id": UNKNOWN}, "not-found", "/items/1/key_result_id"),
        ({"occurred_at": "2001-01-01T00:00:00Z"}, "outside-cycle", "/items/1/occurred_at"),
        ({"confidence": 2}, "invalid", "/items/1/confidence"),
        ({"note": "a\0b"}, "invalid", "/items/1/note"),
        ({"note": []}, "invalid", "/items/1/note"),
        ({"mood": "good"}, "invalid", "/items/1/mood"),
        ({"key_result_id": "x"}, "invalid", "/items/1/key_result_id"),
        ({"external": {"source": "crm"}}, "invalid", "/items/1/external/external_id"),
    ],
)
async def test_a_refused_item_is_pointed_to_and_nothing_is_kept(
    change: Json, name: str, at: str, api: Api
) -> None:
    items = _items(await _running(api), 110, 120, 130)
    items[1] |= change
    problem = await api.refused(name, "POST", BATCH, {"items": items})
    assert pointers(problem) == [at]


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"items": []}, "/items"),
        ({"items": {}}, "/items"),
        ({}, "/items"),
        ({"items": [7]}, "/items/0"),
        ({"items": [None]}, "/items/0"),
        ({"items": [{}]}, "/items/0/key_result_id"),
        ({"items": [{"key_result_id": UNKNOWN, "value": 1}] * 1_001}, "/items"),
        ({"items": [{"key_result_id": UNKNOWN, "value": 1}], "partial": True}, "/partial"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_batch_has_from_one_item_to_a_thousand(body: Json, at: str, api: Api) -> None:
    problem = await api.refused("invalid", "POST", BATCH, body)
    assert pointers(problem) == [at]


async def test_a_thousand_items_fit_into_a_batch(api: Api) -> None:
    key_results = await _running(api, 10)
    items = _items(key_results, *range(1_000))
    made = await api.post(BATCH, {"items": items})
    assert [one["value"] for one in made["items"]] == list(range(1_000))


async def test_an_external_id_twice_in_a_batch_is_refused_the_second_time(api: Api) -> None:
    key_results = await _running(api)
    items = _items(key_results, 110, 120)
    for item in items:
        item["external"] = {"source": "crm", "external_id": "7"}
    problem = await api.refused("already-exists", "POST", BATCH, {"items": items})
    assert pointers(problem) == ["/items/1/external"]
    first, second = await _partial(api, items)
    assert (first["status"], second["status"]) == (201, 409)
    assert second["problem"]["existing_id"] == first["check_in"]["id"]


async def test_what_is_nested_too_deep_is_not_read(api: Api) -> None:
    answer = await api.request(
        "POST", BATCH, content=_DEEP, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400


# A batch, item by item --------------------------------------------------------------------


async def test_each_item_is_decided_by_itself_when_that_is_asked_for(api: Api) -> None:
    key_results = await _running(api)
    before = await api.head()
    good = _items(key_results, 110, 120, 130)
    bad: list[Any] = [
        {**good[0], "value": True},
        {**good[0], "key_result_id": UNKNOWN},
        {**good[0], "confidence": 2},
        "no item",
    ]
    results = await _partial(api, [good[0], bad[0], bad[1], good[1], bad[2], bad[3], good[2]])
    assert _statuses(results) == [201, 409, 404, 201, 422, 422, 201]
    assert await api.head() == before + 3
    for n, name, at in (
        (1, "wrong-kind", "/items/1/value"),
        (2, "not-found", "/items/2/key_result_id"),
        (4, "invalid", "/items/4/confidence"),
        (5, "invalid", "/items/5"),
    ):
        problem = results[n]["problem"]
        assert problem["type"] == f"/problems/{name}"
        assert problem["status"] == results[n]["status"]
        assert pointers(problem) == [at]
    for n in (0, 3, 6):
        made = results[n]["check_in"]
        assert await api.get(f"/check-ins/{made['id']}") == made
    assert (await api.get("/ledger:verify"))["identical"]


async def test_a_second_delivery_is_recognised_item_by_item(api: Api) -> None:
    items = _named(_items(await _running(api), 110, 120, 130))
    first = await _partial(api, items[:2])
    again = await _partial(api, items)
    assert _statuses(again) == [409, 409, 201]
    for before, after in zip(first, again, strict=False):
        assert after["problem"]["type"] == "/problems/already-exists"
        assert after["problem"]["existing_id"] == before["check_in"]["id"]
    problem = await api.refused("already-exists", "POST", BATCH, {"items": items})
    assert problem["existing_id"] == first[0]["check_in"]["id"]


async def test_ids_of_another_organisation_are_unknown_here(
    http: httpx.AsyncClient, operator_key: str, api: Api
) -> None:
    (own,) = await _running(api, 1)
    other = await Api.found(http, operator_key)
    (foreign,) = await _running(other, 1)
    before = await other.head()
    items = _items([own, foreign], 110, 120)
    problem = await api.refused("not-found", "POST", BATCH, {"items": items})
    assert pointers(problem) == ["/items/1/key_result_id"]
    assert _statuses(await _partial(api, items)) == [201, 404]
    assert await other.head() == before


async def test_an_integration_names_the_batch_or_every_item(api: Api) -> None:
    key_results = await _running(api)
    key = await api.key_for("read", "check-ins:write")
    items = _items(key_results, 110, 120)
    half = [items[0], _named(items)[1]]
    for path in (BATCH, f"{BATCH}?partial=true"):
        for sent in (items, half):
            answer = await key.request("POST", path, json={"items": sent})
            assert answer.json()["type"] == "/problems/idempotency-key-required"
    assert _statuses(await _partial(key, _named(items))) == [201, 201]
    assert _statuses(await _partial(key, items, **{"Idempotency-Key": "monday"})) == [201, 201]


async def test_a_batch_sent_again_with_its_key_has_one_effect_and_one_answer(api: Api) -> None:
    items = [*_items(await _running(api), 110, 120), {"value": 1}]
    first = await _partial(api, items, **{"Idempotency-Key": "a"})
    before = await api.head()
    assert await _partial(api, items, **{"Idempotency-Key": "a"}) == first
    assert await api.head() == before


async def test_whom_a_role_does_not_reach_is_told_of_each_item(api: Api) -> None:
    cycle, team, other = await api.cycle(), await api.team(), await api.team("Sales")
    own = await api.commit(await api.objective(cycle, team))
    foreign = await api.commit(await api.objective(cycle, other))
    await api.open_anyway(cycle)
    key = await api.key_for("read", "check-ins:write", teams=[team["id"]])
    items = _named(_items([own["key_results"][0], foreign["key_results"][0]], 110, 120))
    results = await _partial(key, items)
    assert _statuses(results) == [201, 403]
    assert results[1]["problem"]["type"] == "/problems/out-of-reach"
    answer = await key.request("POST", BATCH, json={"items": _named(items, "other")})
    assert answer.json()["type"] == "/problems/out-of-reach"


# A stream ---------------------------------------------------------------------------------


def _lines(items: Sequence[Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


async def _stream(
    api: Api, content: bytes | AsyncIterator[bytes], status: int = 200
) -> tuple[list[Json], Json]:
    """A stream's results, and its last line."""
    answer = await api.request(
        "POST", STREAM, content=content, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    *results, end = [json.loads(line) for line in answer.text.splitlines()]
    return results, end


async def test_a_stream_is_answered_line_by_line(api: Api) -> None:
    key_results = await _running(api)
    number = LINES_TOGETHER * 2 + 7
    items = _named(_items(key_results, *range(number)))
    results, end = await _stream(api, _lines(items))
    assert end == {"lines": number, "recorded": number, "refused": 0}
    assert [result["line"] for result in results] == list(range(1, number + 1))
    assert [result["check_in"]["value"] for result in results] == list(range(number))
    assert (await api.get("/ledger:verify"))["identical"]

    results, end = await _stream(api, _lines(items))
    assert end == {"lines": number, "recorded": 0, "refused": number}
    assert {result["problem"]["type"] for result in results} == {"/problems/already-exists"}


async def test_a_broken_line_is_a_problem_with_its_number_and_leaves_its_neighbours(
    api: Api,
) -> None:
    good = _named(_items(await _running(api), 110, 120, 130))
    one, two, three = [json.dumps(item).encode() for item in good]
    wrong = json.dumps({**good[0], "value": True}).encode()
    parts = [
        one,
        b"{",
        b"\xff\xfe",
        b"",
        two + b"\r",
        _DEEP.encode(),
        b'"' + b"x" * LONGEST_LINE + b'"',
        json.dumps({"key_result_id": UNKNOWN, "value": 1}).encode(),
        b"[]",
        one.replace(b"110", b"1\x0010"),
        wrong.replace(b"row 0", b"row 9"),
        json.dumps({**good[0], "note": "a\0b"}).encode(),
        one,
        three,
    ]
    results, end = await _stream(api, b"\n".join(parts))
    assert end == {"lines": 14, "recorded": 3, "refused": 10}
    told = {
        result["line"]: result["problem"]["type"].removeprefix("/problems/")
        if "problem" in result
        else "recorded"
        for result in results
    }
    assert told == {
        1: "recorded",
        2: "malformed-json",
        3: "malformed-json",
        5: "recorded",
        6: "bad-request",
        7: "too-large",
        8: "invalid",
        9: "invalid",
        10: "malformed-json",
        11: "wrong-kind",
        12: "invalid",
        13: "already-exists",
        14: "recorded",
    }
    by_line = {result["line"]: result for result in results}
    assert pointers(by_line[8]["problem"]) == ["/external"]
    assert pointers(by_line[11]["problem"]) == ["/value"]
    assert pointers(by_line[12]["problem"]) == ["/note"]


async def test_where_the_parts_of_a_body_end_does_not_matter(api: Api) -> None:
    body = _lines(_named(_items(await _running(api), 110, 120, 130)))

    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    _, end = await _stream(api, parts())
    assert end == {"lines": 3, "recorded": 3, "refused": 0}


async def test_an_empty_stream_says_that_there_was_nothing(api: Api) -> None:
    assert await _stream(api, b"") == ([], {"lines": 0, "recorded": 0, "refused": 0})
    assert await _stream(api, b"\n\n") == ([], {"lines": 2, "recorded": 0, "refused": 0})


async def test_a_stream_ends_when_its_key_does(api: Api) -> None:
    items = _named(_items(await _running(api), 110, 120))
    issued = await api.post("/api-keys", {"name": "Bridge", "scopes": ["check-ins:write"]})

    async def parts() -> AsyncIterator[bytes]:
        yield _lines(items[:1])
        # Long enough for what came to be decided by itself.
        await asyncio.sleep(1)
        await api.post(f"/api-keys/{issued['id']}:revoke")
        yield _lines(items[1:])

    results, end = await _stream(api.with_key(issued["key"]), parts())
    assert _statuses(results) == [201]
    assert (end["line"], end["status"]) == (2, 401)
    assert end["problem"]["type"] == "/problems/unauthenticated"


@pytest.mark.parametrize("told", ["application/json", "text/plain", ""])
async def test_a_stream_of_another_type_is_refused(told: str, api: Api) -> None:
    answer = await api.request("POST", STREAM, content=b"{}", headers={"Content-Type": told})
    assert answer.json()["type"] == "/problems/unsupported-media-type"


async def test_who_may_not_check_in_is_told_so_before_anything_is_read(
    http: httpx.AsyncClient, operator_key: str, api: Api
) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was asked for")
        yield b""

    headers = {"Content-Type": "application/x-ndjson"}
    auditor = await api.person()
    await api.put(f"/people/{auditor['id']}/roles/auditor", {})
    lacking = await api.key_for("read")
    other = await (await Api.found(http, operator_key)).key_for("check-ins:write")
    gone = await api.key_for("check-ins:write", person_id=auditor["id"])
    await api.post(f"/people/{auditor['id']}:depart", {})
    for key, name in (
        (api.with_key("okr_live_x"), "unauthenticated"),
        (lacking, "forbidden"),
        (other.__class__(http, other.key, api.org), "not-found"),
        (gone, "unauthenticated"),
    ):
        answer = await key.request("POST", STREAM, content=never(), headers=headers)
        assert answer.json()["type"] == f"/problems/{name}"


# Real connections -------------------------------------------------------------------------


async def test_what_was_answered_stands_when_the_connection_breaks(
    database: Database, api: Api
) -> None:
    items = _named(_items(await _running(api), *range(20)))
    body = _lines(items)
    cut = len(_lines(items[:9])) + 11
    with serving(database.url) as base:
        host, _, port = base.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /v1/organizations/{api.org}{STREAM} HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {api.key}\r\nContent-Type: application/x-ndjson\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body[:cut])
        await writer.drain()
        answered = 0
        async with asyncio.timeout(20):
            while answered < 9:
                answered += b'"status":201' in await reader.readline()
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.5)
        async with httpx.AsyncClient(base_url=base) as client:
            results, end = await _stream(Api(client, api.key, api.org), body)
    assert _statuses(results) == [409] * 9 + [201] * 11
    assert end == {"lines": 20, "recorded": 11, "refused": 9}


# The reader of lines ----------------------------------------------------------------------


async def test_a_body_of_any_length_is_read_in_bounded_memory() -> None:
    part, left = (b"x" * 99 + b"\n") * 655, 1_000

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": part, "more_body": left > 0}

    reader = LineReader(receive, patience=5)
    tracemalloc.start()
    try:
        count = 0
        while lines := await reader.some():
            assert len(lines) <= LINES_TOGETHER
            count += len(lines)
        assert count == reader.number == 655_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


async def test_a_line_without_end_is_not_kept() -> None:
    left = 1_000

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": left > 0}

    reader = LineReader(receive, patience=5)
    tracemalloc.start()
    try:
        (line,) = await reader.some()
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert (line.number, line.text) == (1, None)
    assert await reader.some() == []


async def test_nothing_is_waited_for_without_end() -> None:
    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    reader = LineReader(receive, patience=0.05)
    with pytest.raises(HTTPException):
        await reader.some()
    reader.close()
