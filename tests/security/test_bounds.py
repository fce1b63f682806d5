"""Bounds on what a request may be: how long, how deep, how slow, and how it is written."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
import subprocess
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.middleware import DEEPEST, too_deep
from app.config import Settings
from app.main import create_app
from tests.api.programme import ROUTES, UNKNOWN, Api, each_of, method_of
from tests.conftest import Database
from tests.server import OKR, environment, free_port, wait_until_ready

_JSON = {"Content-Type": "application/json"}


# Memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [(422, b'{"value": "%s"}'), (422, b'{"health": "%s"}'), (400, b'{"note": "%s')],
    ids=["no number", "none of those", "cut off"],
)
async def test_a_body_that_is_refused_is_gone_with_its_answer(
    api: Api, status: int, body: bytes
) -> None:
    """And not when somebody looks for garbage: until then, there may be a thousand of them."""
    path, sent = f"/key-results/{UNKNOWN}/check-ins", body % (b"x" * 1_000_000)

    async def ask() -> None:
        answered = await api.request("POST", path, content=sent, headers=_JSON)
        assert answered.status_code == status

    await ask()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(10):
            await ask()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert held < 3_000_000


# Depth ------------------------------------------------------------------------------------


def _nested(levels: int, kind: str = "[") -> bytes:
    if kind == "[":
        return b"[" * levels + b"]" * levels
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize("kind", ["[", "{"])
def test_depth_is_counted_exactly(kind: str) -> None:
    assert not too_deep(_nested(DEEPEST, kind))
    assert too_deep(_nested(DEEPEST + 1, kind))


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b"[" + b"[]," * 10_000 + b"[]]", False),
        (b'{"a": "' + b"[" * 10_000 + b'"}', False),
        (b'{"a": "' + b'\\"[' * 10_000 + b'"}', False),
        (b'{"a": "\\\\", "b": ' + _nested(50) + b"}", True),
        (b'{"a": "\\\\\\"[", "b": ' + _nested(20) + b"}", False),
        (b'["' + b"[" * 40 + b'", "' + b"{" * 40 + b'", ' + _nested(DEEPEST - 1) + b"]", False),
        (b'["' + b"[" * 40 + b'", "' + b"{" * 40 + b'", ' + _nested(DEEPEST) + b"]", True),
        (b'[{"a": ' * 16 + b"1" + b"}]" * 16, False),
        (b'[{"a": ' * 17 + b"1" + b"}]" * 17, True),
        (b"[" + '"Grüße ["'.encode() + b"]", False),
        (b"", False),
        (b"{", False),
    ],
)
def test_brackets_in_text_do_not_count(body: bytes, deep: bool) -> None:
    assert too_deep(body) is deep


def _depth(value: Any) -> int:
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return 1 + max((_depth(part) for part in inside), default=0)
    return 0


def test_depth_is_what_a_parser_finds() -> None:
    """Documents made at random, with brackets, quotes and backslashes in their text."""
    import random

    chance = random.Random(7)  # noqa: S311

    def made(levels: int) -> Any:
        if levels == 0:
            return "".join(chance.choice('[]{}"\\ab\n') for _ in range(chance.randint(0, 6)))
        parts = [made(chance.randint(0, levels - 1)) for _ in range(chance.randint(0, 2))]
        parts.insert(chance.randint(0, len(parts)), made(levels - 1))
        if chance.random() < 0.5:
            return {f"{chance.choice('[{x')}{at}": part for at, part in enumerate(parts)}
        return parts

    for _ in range(300):
        document = made(chance.randint(DEEPEST - 3, DEEPEST + 3))
        assert too_deep(json.dumps(document).encode()) is (_depth(document) > DEEPEST)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(_nested(1_000_000), id="a million lists"),
        pytest.param(_nested(300_000, "{"), id="objects"),
        pytest.param(b"[" * 2_000_000, id="never closed"),
        pytest.param((_nested(DEEPEST) + b",") * 30_000, id="many that are just so deep"),
        pytest.param(b'"\\"' * 600_000 + b"[" * 100, id="quotes"),
        pytest.param(b"]" * 1_000_000 + b"[" * 900_000, id="the wrong way round"),
    ],
)
def test_it_takes_no_time_to_tell(body: bytes) -> None:
    began = time.process_time()
    too_deep(body)
    assert time.process_time() - began < 0.5


@each_of(route for route in ROUTES if method_of(route) in ("POST", "PUT", "PATCH"))
async def test_a_body_that_is_too_deep_is_refused_at_once(
    route: Any, http: httpx.AsyncClient, operator_key: str
) -> None:
    path = re.sub(r"\{[^}]*\}", "01980000-0000-7000-8000-00000000dead", route.path_format)
    path = path.replace("deployment/01980000-0000-7000-8000-00000000dead", "deployment/limits")
    answer = await http.request(
        method_of(route),
        path,
        content=_nested(100_000),
        headers={"Authorization": f"Bearer {operator_key}", "Idempotency-Key": "1", **_JSON},
    )
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_it_is_told_what_was_too_deep(api: Api) -> None:
    answer = await api.request("POST", "/teams", content=_nested(DEEPEST + 1), headers=_JSON)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")
    assert answer.json()["detail"] == f"The body is nested more than {DEEPEST} levels deep."


# Encodings --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "gzip, identity", "x"])
async def test_a_compressed_body_is_not_unpacked(api: Api, encoding: str) -> None:
    answer = await api.request(
        "POST", "/teams", content=b"\x1f\x8b", headers={**_JSON, "Content-Encoding": encoding}
    )
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")
    assert answer.headers["Accept-Encoding"] == "identity"


async def test_a_body_that_is_as_it_is_may_say_so(api: Api) -> None:
    headers = {"Content-Encoding": "identity"}
    answer = await api.request("POST", "/teams", json={"name": "Growth"}, headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize("charset", ["latin-1", "utf-16", "UTF-16LE", "utf-7", "x", '"utf-32"', ""])
async def test_json_is_utf_8_and_nothing_else(api: Api, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    answer = await api.request("POST", "/teams", content=b'{"name": "Growth"}', headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (415, "/problems/unsupported-media-type")


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
async def test_utf_8_may_be_named(api: Api, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    answer = await api.request("POST", "/teams", content=b'{"name": "Growth"}', headers=headers)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
async def test_another_encoding_is_not_guessed(api: Api, encoding: str) -> None:
    content = '{"name": "Growth"}'.encode(encoding)
    answer = await api.request("POST", "/teams", content=content, headers=_JSON)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-json")


async def test_a_name_given_twice_cannot_hide_anything(api: Api) -> None:
    """The last one counts, as in ECMAScript and RFC 8259 (test_bad_input.py): also of ids."""
    team = await api.team()
    content = f'{{"name": "Ads", "parent_id": "nonsense", "parent_id": "{team["id"]}"}}'.encode()
    answer = await api.request("POST", "/teams", content=content, headers=_JSON)
    assert answer.json()["parent_id"] == team["id"]
    # One that is unknown is refused, however often it is there.
    content = b'{"name": "Ads", "size": 1, "size": 2}'
    answer = await api.request("POST", "/teams", content=content, headers=_JSON)
    assert answer.status_code == 422


# Heads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/organizations/", "/health/live?", "/nowhere/"])
async def test_an_address_that_is_too_long_is_refused(http: httpx.AsyncClient, path: str) -> None:
    most = Settings().max_url_bytes
    answer = await http.get(path + "a" * (most - len(path) + 2))
    assert (answer.status_code, answer.json()["type"]) == (414, "/problems/uri-too-long")
    answer = await http.get(path + "a" * (most - len(path)))
    assert answer.status_code != 414


async def test_headers_that_are_too_large_are_refused(http: httpx.AsyncClient) -> None:
    most = Settings().max_header_bytes
    for headers in ({"X-Long": "a" * most}, {f"X-{n}": "a" * 100 for n in range(most // 100)}):
        answer = await http.get("/health/live", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (431, "/problems/headers-too-large")
    answer = await http.get("/health/live", headers={"X-Long": "a" * (most - 1_000)})
    assert answer.status_code == 200


# Slow bodies ------------------------------------------------------------------------------


async def test_a_body_that_does_not_end_is_given_up(database: Database, operator_key: str) -> None:
    settings = Settings().model_copy(
        update={
            "database_url": database.url,
            "allow_undurable_database": True,
            "body_seconds": 0.3,
        }
    )
    made = create_app(settings)
    transport = httpx.ASGITransport(made, raise_app_exceptions=False)

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        api = await Api.found(client, operator_key)
        began = time.monotonic()
        answer = await api.request("POST", "/teams", content=drops(), headers=_JSON)
        assert time.monotonic() - began < 2
        assert (answer.status_code, answer.json()["type"]) == (408, "/problems/request-timeout")
        assert answer.headers["Connection"] == "close"


# A real server ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(database: Database, folder: Path) -> Iterator[tuple[str, int]]:
    """`okr serve` with little patience."""
    port = free_port()
    settings = {
        "DATABASE_URL": database.url,
        "OKR_ALLOW_UNDURABLE_DATABASE": "true",
        "OKR_HEAD_SECONDS": "0.5",
        "OKR_BODY_SECONDS": "0.5",
        "OKR_KEEP_ALIVE_SECONDS": "1",
    }
    with (folder / "served").open("w") as out:
        server = subprocess.Popen(
            [OKR, "serve", "--port", str(port)],
            cwd=folder,
            env=environment(**settings),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    wait_until_ready(f"http://127.0.0.1:{port}", server)
    yield "127.0.0.1", port
    server.terminate()
    server.wait(timeout=20)


def _said(address: tuple[str, int], *parts: bytes, pause: float = 0, wait: float = 8) -> bytes:
    """All that the server answers to these bytes, up to its end of the connection."""
    with socket.create_connection(address, timeout=wait) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break
            time.sleep(pause)
        answer = b""
        while part := _received(connection):
            answer += part
        return answer


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:
        return b""


def _problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), answer
    assert b"\r\nserver:" not in head.lower()
    return int(head.split()[1]), json.loads(body)["type"]


_HEAD = b"POST /v1/organizations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_a_problem_too(served: tuple[str, int], sent: bytes) -> None:
    assert _problem(_said(served, sent)) == (400, "/problems/bad-request")


def test_a_head_without_end_is_given_up_and_not_kept(served: tuple[str, int]) -> None:
    endless = (b"X-%d: %s\r\n" % (n, b"a" * 1_000) for n in range(10_000))
    status = _problem(_said(served, b"GET / HTTP/1.1\r\nHost: a\r\n", *endless))
    assert status == (431, "/problems/headers-too-large")
    status = _problem(_said(served, b"GET /", *[b"a" * 10_000] * 1_000))
    assert status == (414, "/problems/uri-too-long")
    status = _problem(_said(served, b"GET / HTTP/1.1\r\nX: ", *[b"a" * 10_000] * 1_000))
    assert status == (431, "/problems/headers-too-large")


@pytest.mark.parametrize(
    "drops",
    [
        [b"GET / HT"],
        [b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"X: y\r\n"] * 12],
        [b"\r\n"] * 12,
    ],
    ids=["silence", "drop by drop", "empty lines"],
)
def test_a_head_that_comes_slowly_is_given_up(served: tuple[str, int], drops: list[bytes]) -> None:
    began = time.monotonic()
    answer = _said(served, *drops, pause=0.1)
    assert time.monotonic() - began < 6
    assert _problem(answer) == (408, "/problems/request-timeout")


def test_so_is_one_on_a_connection_that_was_used(served: tuple[str, int]) -> None:
    whole = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    began = time.monotonic()
    answer = _said(served, whole, *[b"GET /health/live HT", *[b"T"] * 12], pause=0.1)
    assert time.monotonic() - began < 6
    assert answer.startswith(b"HTTP/1.1 200")
    answer = _said(served, whole, *[b"\r\n"] * 12, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_slowly_is_given_up(served: tuple[str, int]) -> None:
    began = time.monotonic()
    answer = _said(served, _HEAD + b"Content-Length: 100\r\n\r\n", *[b" "] * 12, pause=0.1)
    assert time.monotonic() - began < 6
    assert _problem(answer) == (408, "/problems/request-timeout")


def test_a_body_that_nobody_reads_does_not_keep_the_connection(served: tuple[str, int]) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
    began = time.monotonic()
    answer = _said(served, head, *[b" "] * 12, pause=0.1)
    assert time.monotonic() - began < 6
    assert _problem(answer) == (404, "/problems/not-found")


def test_an_idle_connection_is_closed(served: tuple[str, int]) -> None:
    began = time.monotonic()
    assert _said(served, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").startswith(
        b"HTTP/1.1 200"
    )
    assert time.monotonic() - began < 5
    began = time.monotonic()
    assert _problem(_said(served)) == (408, "/problems/request-timeout")
    assert time.monotonic() - began < 5


def test_several_requests_on_one_connection_are_answered_in_order(served: tuple[str, int]) -> None:
    live, gone = (
        b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"/health/live", b"/no")
    )
    answer = _said(served, live + gone + live)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"404", b"200"]


def test_the_server_does_not_say_what_it_is(served: tuple[str, int]) -> None:
    answer = httpx.get("http://{}:{}/health/live".format(*served))
    assert "Server" not in answer.headers
    assert "X-Powered-By" not in answer.headers


def test_a_long_body_is_not_taken_for_a_long_head(served: tuple[str, int]) -> None:
    body = json.dumps({"name": "x" * 1_000_000}).encode()
    with httpx.Client(base_url="http://{}:{}".format(*served)) as client:
        for _ in range(2):
            answer = client.post(
                "/v1/organizations", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.json()["type"] == "/problems/unauthenticated"
