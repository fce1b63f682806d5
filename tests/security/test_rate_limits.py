"""Rate limits: for each credential, and for each address that guesses; by a clock that is told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api import limits
from app.api.limits import Buckets, Limits
from app.application.keys import make_key
from app.config import Settings
from app.main import create_app
from tests.api.programme import ROUTES, Api, method_of
from tests.conftest import Database


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


QUOTA, GUESSES = 60, 6


@pytest.fixture(scope="module")
async def limited(database: Database) -> AsyncIterator[FastAPI]:
    made = create_app(_settings(database))
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
def clock(limited: FastAPI) -> Clock:
    """Fresh limits, and the clock that they go by."""
    made = Clock()
    limited.state.limits = Limits(limited.state.settings, made)
    return made


def _settings(database: Database, **more: Any) -> Settings:
    update = {
        "database_url": database.url,
        "allow_undurable_database": True,
        "rate_per_minute": QUOTA,
        "rate_failed_per_minute": GUESSES,
        **more,
    }
    return Settings().model_copy(update=update)


def _from(app: FastAPI, address: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


@pytest.fixture
async def client(limited: FastAPI, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    async with _from(limited) as client:
        yield client


@pytest.fixture
async def holder(api: Api, client: httpx.AsyncClient) -> Api:
    """A key that was not used yet, to the application with limits."""
    return Api(client, (await api.key_for("read", "people:write")).key, api.org)


def _too_many(answer: httpx.Response) -> int:
    """The seconds that a refusal asks to wait."""
    assert (answer.status_code, answer.json()["type"]) == (429, "/problems/too-many-requests")
    assert answer.headers["Content-Type"] == "application/problem+json"
    return int(answer.headers["Retry-After"])


# Credentials ------------------------------------------------------------------------------


async def test_a_credential_has_its_quota_and_then_waits_as_long_as_it_is_told(
    holder: Api, clock: Clock
) -> None:
    for left in reversed(range(QUOTA)):
        answer = await holder.request("GET", "")
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == f'"credential";q={QUOTA};w=60'
        assert answer.headers["RateLimit"] == f'"credential";r={left};t={QUOTA - left}'
    refused = await holder.request("GET", "")
    seconds = _too_many(refused)
    assert refused.headers["RateLimit"] == f'"credential";r=0;t={QUOTA}'
    assert "This key" in refused.json()["detail"]
    clock.now += seconds - 0.001
    assert (await holder.request("GET", "")).status_code == 429
    clock.now += 0.001
    assert (await holder.request("GET", "")).status_code == 200
    assert (await holder.request("GET", "")).status_code == 429
    clock.now += 3_600
    answer = await holder.request("GET", "")
    assert answer.headers["RateLimit"] == f'"credential";r={QUOTA - 1};t=1', "never over the quota"


async def test_the_headers_are_on_refusals_of_other_kinds_too(holder: Api) -> None:
    for method, path, options, status in (
        ("GET", "/teams/01980000-0000-7000-8000-00000000dead", {}, 404),
        ("POST", "/people", {"json": {}}, 422),
        ("POST", "/teams", {"json": {"name": "Growth"}}, 403),
    ):
        answer = await holder.request(method, path, **options)
        assert answer.status_code in (status, 400), answer.text
        assert re.fullmatch(r'"credential";r=\d+;t=\d+', answer.headers["RateLimit"])


async def test_another_credential_is_not_held_up(api: Api, holder: Api) -> None:
    other = Api(holder.client, (await api.key_for("read")).key, api.org)
    while (await holder.request("GET", "")).status_code == 200:
        pass
    assert (await other.request("GET", "")).status_code == 200
    # The same credential from elsewhere is the same credential.
    async with _from(_app(holder), "198.51.100.7") as elsewhere:
        assert (await Api(elsewhere, holder.key, api.org).request("GET", "")).status_code == 429


def _app(api: Api) -> FastAPI:
    transport = api.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    app = transport.app
    assert isinstance(app, FastAPI)
    return app


async def test_what_was_refused_was_not_done(api: Api, holder: Api) -> None:
    while (await holder.request("GET", "")).status_code == 200:
        pass
    before = await api.head()
    answer = await holder.request(
        "POST", "/people", json={"name": "Ada"}, headers={"Idempotency-Key": "1"}
    )
    _too_many(answer)
    assert await api.head() == before


async def test_health_problems_and_documentation_are_for_whoever_asks(
    client: httpx.AsyncClient,
) -> None:
    for path in ("/health/live", "/health/ready", "/docs", "/openapi.json", "/problems/invalid"):
        for _ in range(QUOTA // 4):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "RateLimit" not in answer.headers


# Guessing ---------------------------------------------------------------------------------


async def _guess(client: httpx.AsyncClient, org: str) -> httpx.Response:
    return await Api(client, make_key(), org).request("GET", "")


async def test_an_address_that_guesses_is_told_to_wait(
    api: Api, client: httpx.AsyncClient, clock: Clock, limited: FastAPI
) -> None:
    for left in reversed(range(GUESSES)):
        answer = await _guess(client, api.org)
        assert answer.status_code == 401
        assert answer.headers["RateLimit"].startswith(f'"failed-authentication";r={left};')
    seconds = _too_many(await _guess(client, api.org))
    assert seconds == 60 // GUESSES
    assert _too_many(await Api(client, "nonsense", api.org).request("GET", "")) == seconds
    async with _from(limited, "192.0.2.2") as neighbour:
        assert (await _guess(neighbour, api.org)).status_code == 401
    clock.now += seconds
    assert (await _guess(client, api.org)).status_code == 401
    assert (await _guess(client, api.org)).status_code == 429


async def test_whoever_was_let_in_before_is_not_held_up_by_a_neighbour_who_guesses(
    api: Api, holder: Api
) -> None:
    late = Api(holder.client, (await api.key_for("read")).key, api.org)
    assert (await holder.request("GET", "")).status_code == 200
    while (await _guess(holder.client, api.org)).status_code == 401:
        pass
    assert (await holder.request("GET", "")).status_code == 200
    _too_many(await late.request("GET", ""))


async def test_no_key_is_looked_up_for_an_address_that_has_guessed_too_often(
    api: Api, client: httpx.AsyncClient, limited: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    while (await _guess(client, api.org)).status_code == 401:
        pass

    async def looked_up(key: str) -> None:
        raise AssertionError("it was looked up")

    monkeypatch.setattr(limited.state.keys, "caller", looked_up)
    assert (await _guess(client, api.org)).status_code == 429


async def test_without_a_key_one_is_asked_for_it_however_often(
    api: Api, client: httpx.AsyncClient
) -> None:
    for _ in range(GUESSES * 3):
        answer = await client.get(f"/v1/organizations/{api.org}")
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")


async def test_of_ipv6_the_network_counts(api: Api, limited: FastAPI, clock: Clock) -> None:
    for number in range(GUESSES + 1):
        async with _from(limited, f"2001:db8:1:2::{number:x}") as client:
            answer = await _guess(client, api.org)
    assert answer.status_code == 429
    async with _from(limited, "2001:db8:1:3::1") as client:
        assert (await _guess(client, api.org)).status_code == 401


async def test_zero_means_no_limit(database: Database, api: Api) -> None:
    made = create_app(_settings(database, rate_per_minute=0, rate_failed_per_minute=0))
    async with made.router.lifespan_context(made), _from(made) as client:
        for _ in range(QUOTA + 5):
            answer = await Api(client, api.key, api.org).request("GET", "")
            assert answer.status_code == 200
            assert "RateLimit" not in answer.headers
        for _ in range(GUESSES + 5):
            assert (await _guess(client, api.org)).status_code == 401


# Buckets ----------------------------------------------------------------------------------


def test_a_bucket_is_refilled_evenly_and_never_over_its_brim() -> None:
    clock = Clock()
    buckets = Buckets("test", 120, clock)
    for _ in range(120):
        assert buckets.take(b"a").retry_after == 0
    assert buckets.take(b"a").retry_after == 1
    clock.now += 30
    assert [buckets.take(b"a").retry_after for _ in range(61)] == [0] * 60 + [1]
    clock.now += 10_000
    assert buckets.look(b"a").remaining == 120


def test_a_refusal_costs_nothing_more() -> None:
    clock = Clock()
    buckets = Buckets("test", 1, clock)
    assert buckets.take(b"a").retry_after == 0
    for _ in range(100):
        assert buckets.take(b"a").retry_after == 60
    clock.now += 60
    assert buckets.take(b"a").retry_after == 0


def test_the_table_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_BUCKETS", 100)
    buckets = Buckets("test", 2, Clock())
    buckets.take(b"kept")
    for number in range(10_000):
        buckets.take(str(number).encode())
        buckets.take(b"kept")
    assert len(buckets) == 100
    assert buckets.look(b"kept").remaining == 0, "who keeps asking is not forgotten"


# The document -----------------------------------------------------------------------------


def test_every_route_that_takes_a_key_declares_429(limited: FastAPI) -> None:
    paths = limited.openapi()["paths"]
    for route in ROUTES:
        if route.path.startswith("/v1/"):
            operation = paths[route.path_format][method_of(route).lower()]
            assert "too-many-requests" in operation["responses"]["429"]["description"]
