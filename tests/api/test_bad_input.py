"""Bad input: never a failure of the server, never an event, and the problem says where it lies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from tests.api.programme import (
    METRIC,
    ROUTES,
    UNKNOWN,
    Api,
    Json,
    Stage,
    each_of,
    method_of,
    pointers,
)

_JSON = {"Content-Type": "application/json"}
_INVALID = (422, "/problems/invalid")
_MALFORMED = (400, "/problems/malformed-json")
_UNREADABLE = (400, "/problems/bad-request")
_TOO_LARGE = (413, "/problems/too-large")
_MEDIA_TYPE = (415, "/problems/unsupported-media-type")


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> AsyncIterator[Stage]:
    stage = await (await Api.found(http, operator_key)).one_of_each()
    yield stage
    verdict = await stage.api.get("/ledger:verify")
    assert verdict["identical"], verdict["differences"]


async def _refused(
    stage: Stage, expected: tuple[int, str], method: str, path: str, **options: Any
) -> Json:
    """The problem that a request meets: as expected, and nothing was written."""
    before = await stage.api.head()
    answer = await stage.api.request(method, path.format(**stage.ids), **options)
    problem: Json = answer.json()
    assert (answer.status_code, problem["type"]) == expected, problem
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert await stage.api.head() == before
    return problem


# The document -----------------------------------------------------------------------------

_BRACKETS = 100_000
_DOCUMENTS: list[tuple[str, bytes, tuple[int, str]]] = [
    ("truncated", b'{"name": "Growth"', _MALFORMED),
    ("two documents", b'{"name": "Growth"}{"name": "Growth"}', _MALFORMED),
    ("no JSON", b"name: Growth", _MALFORMED),
    ("single quotes", b"{'name': 'Growth'}", _MALFORMED),
    ("trailing comma", b'{"name": "Growth",}', _MALFORMED),
    ("comment", b'{"name": "Growth"} // the team', _MALFORMED),
    ("bare line break in text", b'{"name": "Gro\nwth"}', _MALFORMED),
    ("invalid UTF-8", b'{"name": "Gro\xffwth"}', _MALFORMED),
    ("encoded surrogate", b'{"name": "\xed\xa0\x80"}', _INVALID),
    ("binary", bytes(range(256)), _MALFORMED),
    ("half an escape", b'{"name": "\\u12"}', _MALFORMED),
    ("open brackets", b"[" * _BRACKETS, _UNREADABLE),
    ("deep list", b'{"name": ' + b"[" * _BRACKETS + b"]" * _BRACKETS + b"}", _UNREADABLE),
    ("deep object", b'{"a":' * _BRACKETS + b"1" + b"}" * _BRACKETS, _UNREADABLE),
    ("5,000 digits", b'{"name": ' + b"9" * 5_000 + b"}", _UNREADABLE),
    ("nothing", b"", _INVALID),
    ("list", b'[{"name": "Growth"}]', _INVALID),
    ("null", b"null", _INVALID),
    ("text", b'"Growth"', _INVALID),
    ("number", b"7", _INVALID),
    ("NaN", b"NaN", _INVALID),
    ("true", b"true", _INVALID),
    ("empty object", b"{}", _INVALID),
]


@pytest.mark.parametrize(
    ("content", "expected"),
    [pytest.param(content, expected, id=name) for name, content, expected in _DOCUMENTS],
)
async def test_what_is_no_document_of_ours_is_refused(
    stage: Stage, content: bytes, expected: tuple[int, str]
) -> None:
    await _refused(stage, expected, "POST", "/teams", content=content, headers=_JSON)


@pytest.mark.parametrize(
    "content", [pytest.param(content, id=name) for name, content, _ in _DOCUMENTS]
)
async def test_an_import_of_no_document_is_refused(stage: Stage, content: bytes) -> None:
    before = await stage.api.head()
    answer = await stage.api.request("POST", "/imports", content=content, headers=_JSON)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert await stage.api.head() == before


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonx",
        "nonsense",
    ],
)
async def test_a_body_of_another_type_is_told_so(stage: Stage, content_type: str) -> None:
    body, headers = b'{"name": "Growth"}', {"Content-Type": content_type}
    await _refused(stage, _MEDIA_TYPE, "POST", "/teams", content=body, headers=headers)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/a+json",
    ],
)
async def test_json_may_be_called_by_its_names(api: Api, content_type: str) -> None:
    answer = await api.request(
        "POST", "/teams", content=b'{"name": "Growth"}', headers={"Content-Type": content_type}
    )
    assert answer.status_code == 201, answer.text


async def test_of_a_name_given_twice_the_last_one_counts(api: Api) -> None:
    content = b'{"name": "Growth", "name": "Retention"}'
    answer = await api.request("POST", "/teams", content=content, headers=_JSON)
    assert answer.json()["name"] == "Retention"


# Its size ---------------------------------------------------------------------------------


async def _in_parts(length: int) -> AsyncIterator[bytes]:
    """A body whose length is not told beforehand."""
    for _ in range(length // 100_000):
        yield b" " * 100_000
    yield b" " * (length % 100_000)


@pytest.mark.parametrize(("path", "limit"), [("/teams", 2_000_000), ("/imports", 20_000_000)])
async def test_a_body_over_the_limit_is_refused(stage: Stage, path: str, limit: int) -> None:
    problem = await _refused(
        stage, _TOO_LARGE, "POST", path, content=b" " * (limit + 1), headers=_JSON
    )
    assert problem["detail"] == f"The body may have at most {limit} bytes."


@pytest.mark.parametrize(("path", "limit"), [("/teams", 2_000_000), ("/imports", 20_000_000)])
async def test_a_body_over_the_limit_that_does_not_tell_its_length_is_refused(
    stage: Stage, path: str, limit: int
) -> None:
    problem = await _refused(
        stage, _TOO_LARGE, "POST", path, content=_in_parts(limit + 1), headers=_JSON
    )
    assert problem["detail"] == f"The body may have at most {limit} bytes."


async def test_a_body_at_the_limit_is_read(api: Api) -> None:
    content = b'{"name": "Growth"}'.ljust(2_000_000)
    answer = await api.request("POST", "/teams", content=content, headers=_JSON)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("told", ["-1", "x", "", "1e9", "1" * 18])
async def test_a_false_length_is_no_failure(stage: Stage, told: str) -> None:
    answer = await stage.api.client.post(
        f"/v1/organizations/{stage.api.org}/teams",
        content=b"[]",
        headers={
            b"Authorization": f"Bearer {stage.api.key}".encode(),
            b"Content-Type": b"application/json",
            b"Content-Length": told.encode(),
        },
    )
    assert 400 <= answer.status_code < 500, answer.text


# Members ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"name": "Growth", "level": "team", "size": 7}, "/size"),
        ({"name": "Growth", "": 1}, "/"),
        ({"name": "Growth", "a/b~c": 1}, "/a~1b~0c"),
        ({"name": "Growth", "a\x00b": 1}, "/a\x00b"),
        ({"name": "Growth", "Name": "Growth"}, "/Name"),
        ({"name": "G", "external": {"source": "s", "external_id": "e", "a": 1}}, "/external/a"),
        ({"name": "Growth", "id": UNKNOWN}, "/id"),
        ({"name": None}, "/name"),
        ({"name": ["Growth"]}, "/name"),
        ({"name": {"en": "Growth"}}, "/name"),
        ({"name": 7}, "/name"),
        ({"name": True}, "/name"),
        ({"name": "Growth", "level": "planet"}, "/level"),
        ({"name": "Growth", "parent_id": 7}, "/parent_id"),
        ({"name": "Growth", "parent_id": ""}, "/parent_id"),
        ({"name": "Growth", "parent_id": UNKNOWN[:-1]}, "/parent_id"),
        ({"name": "Growth", "external": "x"}, "/external"),
    ],
)  # fmt: skip
async def test_a_problem_points_to_the_member_that_it_lies_in(
    stage: Stage, body: Json, at: str
) -> None:
    assert pointers(await _refused(stage, _INVALID, "POST", "/teams", json=body)) == [at]


async def test_a_problem_does_not_repeat_what_was_sent(stage: Stage) -> None:
    body = {"name": {"password": "hunter2"}, "parent_id": "hunter2", "level": "hunter2"}
    problem = await _refused(stage, _INVALID, "POST", "/teams", json=body)
    assert len(problem["errors"]) == 3
    assert "hunter2" not in json.dumps(problem)


async def test_a_problem_lists_at_most_a_hundred_errors(stage: Stage) -> None:
    body = {"name": "Growth", **{f"extra {number}": 1 for number in range(1_000)}}
    problem = await _refused(stage, _INVALID, "POST", "/teams", json=body)
    assert len(problem["errors"]) == 100
    assert len(problem["detail"]) < 500


_DRAFT: Json = {"title": "Customers stay", "measure": METRIC}


@pytest.mark.parametrize(
    ("path", "body", "at"),
    [
        ("/api-keys", {"name": "Test", "scopes": []}, "/scopes"),
        ("/api-keys", {"name": "Test", "scopes": ["read"] * 21}, "/scopes"),
        ("/api-keys", {"name": "Test", "scopes": ["everything"]}, "/scopes/0"),
        ("/objectives/{objective_id}/alignments",
         {"target": {"kind": "team", "id": UNKNOWN}, "rationale": "It helps."}, "/target/kind"),
        ("/objectives/{objective_id}/alignments",
         {"target": {"kind": "objective", "id": UNKNOWN}, "rationale": "It helps.",
          "agreed_by": [UNKNOWN] * 51}, "/agreed_by"),
        ("/objectives", {"cycle_id": UNKNOWN, "owner": {"kind": "team", "id": UNKNOWN},
                         "title": "Stay", "key_results": [_DRAFT] * 21}, "/key_results"),
        ("/objectives", {"cycle_id": UNKNOWN, "owner": {"kind": "team", "id": UNKNOWN},
                         "title": "Stay", "key_results": [_DRAFT, {**_DRAFT, "title": ""}]},
         "/key_results/1/title"),
        ("/cycles/{cycle_id}/reflections", {"worked": ["x"] * 51}, "/worked"),
        ("/cycles/{cycle_id}/reflections", {"worked": "x"}, "/worked"),
        ("/people", {"name": "Ada", "email": "no address"}, "/email"),
        ("/people", {"name": "Ada", "email": "a@" + "b" * 300}, "/email"),
    ],
)  # fmt: skip
async def test_lists_and_choices_have_their_bounds(
    stage: Stage, path: str, body: Json, at: str
) -> None:
    # A list without its refused members may be refused in its turn.
    assert pointers(await _refused(stage, _INVALID, "POST", path, json=body))[0] == at


# Paths and queries ------------------------------------------------------------------------


@each_of(
    route
    for route in ROUTES
    if "{organization_id}" in route.path and method_of(route) in ("GET", "DELETE")
)
async def test_what_is_no_id_in_a_path_is_refused(route: APIRoute, stage: Stage) -> None:
    names = [p.alias for p in route.dependant.path_params if p.alias not in ("question", "role")]
    for name in names or ["organization_id"]:
        for id in ("x", "0", "-1", "%00", "%ff%fe", "%20", "a" * 5_000, "'%20OR%201=1", "null"):
            answer = await stage.at(**{name: id}).call(route)
            assert answer.status_code in (404, 422), (id, answer.text)
            assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "query", "at"),
    [
        ("/people", "active=maybe", "active"),
        ("/people", "active=%ff", "active"),
        ("/cycles", "phase=nearly", "phase"),
        ("/cycles/{cycle_id}/tree", "depth=0", "depth"),
        ("/cycles/{cycle_id}/tree", "depth=33", "depth"),
        ("/cycles/{cycle_id}/tree", "depth=deep", "depth"),
        ("/objectives", "cycle_id=x", "cycle_id"),
        ("/objectives", "owner_id=%00", "owner_id"),
        ("/objectives", "status=done", "status"),
        ("/key-results", "removed=2", "removed"),
        ("/alignments", "target_id=", "target_id"),
        ("/events", "after=-1", "after"),
        ("/events", "after=9223372036854775808", "after"),
        ("/events", "after=1.5", "after"),
        ("/events", "actor=%00", "actor"),
    ],
)
async def test_what_is_no_value_of_a_query_is_refused(
    stage: Stage, path: str, query: str, at: str
) -> None:
    problem = await _refused(stage, _INVALID, "GET", f"{path}?{query}")
    assert pointers(problem) == [at]


@pytest.mark.parametrize("query", ["actor=%ff%fe", "%ff=%ff", "&&&", "=", "a" * 10_000, "%"])
async def test_a_query_that_cannot_be_read_is_no_failure(stage: Stage, query: str) -> None:
    answer = await stage.api.request("GET", f"/events?{query}")
    assert answer.status_code < 500


async def test_a_header_that_is_too_long_is_refused(stage: Stage) -> None:
    for name, length, method in (
        ("If-None-Match", 1_001, "GET"),
        ("If-Match", 101, "PATCH"),
        ("Idempotency-Key", 258, "PATCH"),
    ):
        path, body = f"/teams/{stage.ids['team_id']}", {"name": "Growth"}
        answer = await stage.api.request(method, path, json=body, headers={name: "1" * length})
        assert (answer.status_code, answer.json()["type"]) == _INVALID
