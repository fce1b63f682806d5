"""Headers that browsers heed: policies, TLS, and whose pages may use the API."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from app.config import Settings
from app.main import create_app
from tests.api.programme import UNKNOWN, Api
from tests.conftest import Database

_ORIGIN = "https://okr.example.org"


@asynccontextmanager
async def _served(database: Database, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    update = {"database_url": database.url, "allow_undurable_database": True, **more}
    made = create_app(Settings().model_copy(update=update))

    @made.get("/fails")
    async def fails() -> None:
        raise RuntimeError("it fails")

    transport = httpx.ASGITransport(made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


@pytest.fixture(scope="module")
async def open_to(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """An application that lets one origin in."""
    async with _served(database, cors_origins=(_ORIGIN,)) as client:
        yield client


# Policies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/health/live", 200),
        ("/openapi.json", 200),
        ("/problems/invalid", 200),
        ("/nowhere", 404),
        ("/v1/organizations", 401),
        ("/metrics", 401),
    ],
)
async def test_json_may_load_nothing_and_be_framed_nowhere(
    http: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await http.get(path)
    assert answer.status_code == status
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "Strict-Transport-Security" not in answer.headers
    assert "Server" not in answer.headers


async def test_so_are_answers_to_whoever_has_a_key(api: Api) -> None:
    for method, path, body in (("GET", "", None), ("POST", "/teams", {"name": "Growth"})):
        answer = await api.request(method, path, json=body)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")


async def test_a_failure_has_them_too(database: Database) -> None:
    async with _served(database, hsts_seconds=60) as client:
        answer = await client.get("/fails")
        assert answer.status_code == 500
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")
        assert answer.headers["Strict-Transport-Security"] == "max-age=60"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_documentation_may_load_its_own_files_and_run_its_own_script(
    http: httpx.AsyncClient, method: str
) -> None:
    page = (await http.get("/docs")).content
    sent = (await http.request(method, "/docs")).headers["Content-Security-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in sent.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "'unsafe-inline'" not in policy["script-src"]
    assert "'unsafe-eval'" not in policy["script-src"]
    # What a browser does with it, for each thing that the page has.
    scripts = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
        if method == "GET":
            assert f"'sha256-{digest}'" in policy["script-src"].split()
    assert not re.search(rb"\son[a-z]+=", page), "handlers in attributes would be refused"
    for source in re.findall(rb'(?:src|href)="([^"]*)"', page):
        assert source.startswith(b"/")
        assert not source.startswith(b"//")
        assert (await http.get(source.decode())).status_code == 200
    bundle = (await http.get("/static-offline-docs/swagger-ui-bundle.js")).text
    # It tries these where they are allowed, and goes on without.
    assert bundle.count("new Function(") <= 2


async def test_browsers_are_told_to_insist_on_tls_only_where_there_is_some(
    database: Database,
) -> None:
    async with _served(database, hsts_seconds=31_536_000) as client:
        for path in ("/health/live", "/docs", "/nowhere"):
            answer = await client.get(path)
            assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


# Origins ----------------------------------------------------------------------------------


def _preflight(origin: str, method: str = "PATCH", headers: str = "authorization,if-match") -> Any:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": headers,
    }


async def test_no_origin_is_let_in_unless_it_is_configured(http: httpx.AsyncClient) -> None:
    answer = await http.get("/health/live", headers={"Origin": _ORIGIN})
    assert _cors(answer) == {}
    answer = await http.options("/v1/organizations", headers=_preflight(_ORIGIN))
    assert (answer.status_code, _cors(answer)) == (405, {})


def _cors(answer: httpx.Response) -> dict[str, str]:
    return {name: v for name, v in answer.headers.items() if name.startswith("access-control")}


async def test_a_configured_origin_may_ask_beforehand(open_to: httpx.AsyncClient) -> None:
    answer = await open_to.options("/v1/organizations", headers=_preflight(_ORIGIN))
    assert answer.status_code == 200
    allowed = _cors(answer)
    assert allowed["access-control-allow-origin"] == _ORIGIN
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(
        allowed["access-control-allow-methods"].split(", ")
    )
    for name in ("authorization", "if-match", "idempotency-key", "content-type"):
        assert name in allowed["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in allowed
    assert "Origin" in answer.headers["Vary"]
    assert "X-Correlation-Id" in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        _preflight("https://evil.example.org"),
        _preflight(f"{_ORIGIN}.evil.example.org"),
        _preflight("http://okr.example.org"),
        _preflight("null"),
        _preflight(_ORIGIN, method="TRACE"),
        _preflight(_ORIGIN, headers="x-anything"),
    ],
    ids=["other", "longer", "without TLS", "null", "method", "header"],
)
async def test_others_are_refused_with_a_problem(
    open_to: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await open_to.options("/v1/organizations", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-request")
    assert answer.headers["Content-Type"] == "application/problem+json"
    if headers["Origin"] != _ORIGIN:
        assert "access-control-allow-origin" not in answer.headers


async def test_a_page_can_read_answers_of_all_kinds_and_what_their_headers_tell(
    open_to: httpx.AsyncClient, operator_key: str
) -> None:
    api = await Api.found(open_to, operator_key)
    for path, status in (("", 200), (f"/teams/{UNKNOWN}", 404)):
        answer = await api.request("GET", path, headers={"Origin": _ORIGIN})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == _ORIGIN
        told = answer.headers["Access-Control-Expose-Headers"]
        for name in ("ETag", "Ledger-Position", "RateLimit", "Retry-After", "X-Correlation-Id"):
            assert name in told
    for path, status in (("/fails", 500), ("/v1/organizations", 401)):
        answer = await open_to.get(path, headers={"Origin": _ORIGIN})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (
            status,
            _ORIGIN,
        )
        answer = await open_to.get(path, headers={"Origin": "https://evil.example.org"})
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "value",
    [
        "*",
        "https://*.example.org",
        "okr.example.org",
        "https://okr.example.org/",
        "null",
        "https://",
    ],
)
def test_what_is_no_origin_is_no_setting(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OKR_CORS_ORIGINS", value)
    with pytest.raises(ValidationError, match="is no origin"):
        Settings()


def test_origins_are_listed_with_spaces_or_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OKR_CORS_ORIGINS", "https://a.example.org, http://localhost:3000")
    assert Settings().cors_origins == ("https://a.example.org", "http://localhost:3000")
    monkeypatch.setenv("OKR_CORS_ORIGINS", "")
    assert Settings().cors_origins == ()
