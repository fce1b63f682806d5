"""What every response has in common: headers, problem documents, documentation, health."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import jsonschema
import pytest
from fastapi import FastAPI

from app.api.problems import KINDS
from app.application.import_csv_table import CsvInvalid
from app.config import Settings
from app.domain.errors import Refusal
from app.main import create_app
from tests.api.programme import QUARTER, ROUTES, UNKNOWN, Api, Json, Stage


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


def _assert_problem(answer: httpx.Response, status: int, name: str) -> Json:
    problem: Json = answer.json()
    assert answer.status_code == status, problem
    assert answer.headers["Content-Type"] == "application/problem+json"
    kind = KINDS[name]
    assert problem["type"] == f"/problems/{name}"
    assert (problem["status"], problem["title"]) == (status, kind.title)
    assert problem["detail"]
    assert problem["instance"] == answer.request.url.path
    return problem


# On every response ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "", {}, 200),
        ("GET", "", {"headers": {"If-None-Match": "*"}}, 304),
        ("POST", "/teams", {"json": {"name": "Growth"}}, 201),
        ("POST", "/teams", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("GET", "", {"headers": {"Authorization": "Bearer nonsense"}}, 401),
        ("GET", f"/teams/{UNKNOWN}", {}, 404),
        ("DELETE", "", {}, 405),
        ("POST", f"/alignments/{UNKNOWN}:withdraw", {"json": {}}, 422),
        ("PATCH", "", {"json": {"name": "Harbour"}}, 428),
        ("PATCH", "", {"json": {"name": "Harbour"}, "headers": {"If-Match": '"99"'}}, 412),
        ("POST", "/teams", {"content": b"x" * 2_000_001}, 413),
        ("GET", "/teams/", {}, 307),
        ("GET", "/no/such/path", {}, 404),
    ],
)
async def test_every_response_is_traceable_and_safe_for_browsers(
    api: Api, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    answer = await api.request(method, path, **options)
    assert answer.status_code == status, answer.text
    _assert_common_headers(answer)
    if status >= 400:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert {"type", "title", "status", "detail", "instance"} <= answer.json().keys()


@pytest.mark.parametrize(
    "path",
    [
        "/docs",
        "/openapi.json",
        "/static-offline-docs/swagger-ui.css",
        "/health/live",
        "/health/ready",
        "/problems/invalid",
        "/problems/nothing",
        "/import.schema.json",
        "/",
    ],
)
async def test_so_is_what_needs_no_key(http: httpx.AsyncClient, path: str) -> None:
    _assert_common_headers(await http.get(path))


def _assert_common_headers(answer: httpx.Response) -> None:
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-Correlation-Id"])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] in ("no-store", "private, no-cache")


# Errors of the framework ------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/organizations", "/v1/organizations/a/b/c", "/%00"]
)
async def test_an_unknown_path_is_a_problem_document(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (404, "/problems/not-found")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["detail"].startswith("There is nothing at /")


def _methods_by_path() -> Iterator[tuple[str, set[str]]]:
    for path in sorted({route.path_format for route in ROUTES}):
        yield path, {m for r in ROUTES if r.path_format == path for m in r.methods or ()}


@pytest.mark.parametrize(("path", "methods"), list(_methods_by_path()))
async def test_a_wrong_method_is_told_all_that_apply(
    stage: Stage, http: httpx.AsyncClient, path: str, methods: set[str]
) -> None:
    wrong = min({"GET", "PUT", "PATCH", "POST", "DELETE"} - methods)
    for method in (wrong, "TRACE"):
        answer = await http.request(method, path.format(**stage.ids))
        _assert_problem(answer, 405, "method-not-allowed")
        assert set(answer.headers["Allow"].split(", ")) == methods


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"])
async def test_a_wrong_method_for_documentation_is_told_too(
    http: httpx.AsyncClient, path: str
) -> None:
    answer = await http.post(path)
    _assert_problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["Allow"].split(", ")


async def test_a_failure_of_the_server_is_traceable_and_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = create_app(Settings())

    @failing.get("/fails")
    async def fails() -> None:
        raise RuntimeError("a secret of the server")

    ours = "01980000-0000-7000-8000-000000000001"
    transport = httpx.ASGITransport(failing, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/fails", headers={"X-Correlation-Id": ours})
    _assert_problem(answer, 500, "internal")
    assert "secret" not in answer.text
    # What it says may be what a client sent; the log tells its kind, and where it was raised.
    assert "unhandled error: RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    _assert_common_headers(answer)
    assert answer.headers["X-Correlation-Id"] == ours


# Health and documentation -----------------------------------------------------------------


async def test_health_needs_no_key(http: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health/ready"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_every_problem_has_its_page(http: httpx.AsyncClient, name: str) -> None:
    answer = await http.get(f"/problems/{name}")
    assert answer.status_code == 200
    assert answer.json() == KINDS[name].model_dump()
    assert answer.json()["mend"].endswith(".")


async def test_there_is_no_page_of_a_problem_that_nobody_meets(http: httpx.AsyncClient) -> None:
    _assert_problem(await http.get("/problems/nothing"), 404, "not-found")


def _all(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all(below)


def test_every_refusal_has_a_problem_of_its_own() -> None:
    # A spreadsheet that cannot be used is a document that cannot be.
    names = Counter(kind.name for kind in _all(Refusal) if kind is not CsvInvalid)
    assert set(names) <= set(KINDS)
    assert set(names.values()) == {1}, names


async def test_the_import_schema_is_a_json_schema(http: httpx.AsyncClient) -> None:
    schema = (await http.get("/import.schema.json")).json()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate({"source": "sheet", "cycle": QUARTER, "owners": [], "objectives": []})
    assert not validator.is_valid({"source": "sheet", "cycle": {"name": "No dates"}})


async def test_the_openapi_document_is_served(http: httpx.AsyncClient, app: FastAPI) -> None:
    answer = await http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == app.openapi()


class _Page(HTMLParser):
    """The references of a page, and the scripts in it."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


async def test_the_documentation_needs_no_other_host(http: httpx.AsyncClient) -> None:
    answer = await http.get("/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    page = _Page()
    page.feed(answer.text)
    kinds = {reference.rpartition(".")[2] for reference in page.references}
    assert {"js", "css"} <= kinds
    for reference in page.references:
        assert reference.startswith("/")
        assert not reference.startswith("//")
        part = await http.get(reference)
        assert part.status_code == 200, reference
        assert part.content
        if reference.endswith(".css"):
            elsewhere = re.findall(r"(?:url\(|@import)\s*[\"']?(?!data:)([^\"')]+)", part.text)
            assert not [one for one in elsewhere if "//" in one]
    for script in page.scripts:
        assert "://" not in script
    assert "/openapi.json" in "".join(page.scripts)


async def test_head_is_get_without_a_body(api: Api) -> None:
    for path in ("", "/teams"):
        whole = await api.request("GET", path)
        bare = await api.request("HEAD", path)
        assert (bare.status_code, bare.content) == (200, b"")
        for name in ("ETag", "Content-Length", "Content-Type"):
            assert bare.headers[name] == whole.headers[name]


async def test_a_misspelt_filter_is_not_taken_for_none(api: Api) -> None:
    answer = await api.request("GET", "/objectives", params={"cycle": "x"})
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == ["cycle"]
    # Who asks for health adds what they like.
    assert (await api.client.get("/health/live?probe=1")).status_code == 200
