"""Metrics: what an operator's Prometheus is told, and nobody else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.config import Settings
from app.domain.access import Scope
from app.main import create_app
from tests.api.programme import ROUTES, UNKNOWN, Api
from tests.conftest import Database

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """An application that has counted nothing yet."""
    update = {"database_url": database.url, "allow_undurable_database": True}
    made = create_app(Settings().model_copy(update=update))
    transport = httpx.ASGITransport(made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


async def _scraped(client: httpx.AsyncClient, key: str) -> Samples:
    answer = await client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _sample(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


# Who is told ------------------------------------------------------------------------------


async def test_metrics_are_for_operators_only(
    client: httpx.AsyncClient, api: Api, operator_key: str
) -> None:
    everything = await api.key_for(*Scope)
    admin = await api.key_for(*Scope, person_id=(await api.admin())["id"])
    answer = await client.get("/metrics")
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
    for key in (everything.key, admin.key):
        answer = await client.get("/metrics", headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    await _scraped(client, operator_key)


async def test_they_can_be_opened_by_a_setting(database: Database) -> None:
    update = {
        "database_url": database.url,
        "allow_undurable_database": True,
        "metrics_open": True,
    }
    made = create_app(Settings().model_copy(update=update))
    transport = httpx.ASGITransport(made)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        assert "okr_requests_total" in (await client.get("/metrics")).text
        assert (await client.post("/metrics")).json()["type"] == "/problems/method-not-allowed"


# What they are told -----------------------------------------------------------------------


async def test_requests_are_counted_by_route_method_and_status(
    client: httpx.AsyncClient, operator_key: str
) -> None:
    api = await Api.found(client, operator_key)
    for _ in range(3):
        await api.request("GET", f"/teams/{UNKNOWN}")
    await api.request("HEAD", "")
    found = await _scraped(client, operator_key)
    route = "/v1/organizations/{organization_id}/teams/{team_id}"
    assert _sample(found, "okr_requests_total", method="GET", route=route, status="404") == 3
    seconds = "okr_request_duration_seconds"
    assert _sample(found, f"{seconds}_count", method="GET", route=route) == 3
    assert 0 < _sample(found, f"{seconds}_sum", method="GET", route=route) < 60
    one = "/v1/organizations/{organization_id}"
    assert _sample(found, "okr_requests_total", method="HEAD", route=one, status="200") == 1


async def test_no_label_is_made_up_by_clients(client: httpx.AsyncClient, operator_key: str) -> None:
    api = await Api.found(client, operator_key)
    before = len(await _scraped(client, operator_key))
    for number in range(50):
        await client.get(f"/nowhere/{number}")
        await client.request(f"M{number}", "/health/live")
        await client.get(f"/static-offline-docs/{number}.js")
        await api.request("GET", f"/teams/{number}?x={number}")
        await api.request("GET", f"/teams?cursor={number}")
        await api.request("POST", f"/teams/{number}")
        await Api(client, operator_key, f"{number}").request("GET", "/teams")
    found = await _scraped(client, operator_key)
    assert len(found) - before < 200
    templates = {route.path_format for route in ROUTES} | {"none", "/metrics"}
    for name, labels in found:
        told = dict(labels)
        if "route" in told:
            assert told["route"] in templates, name
            assert told["method"] in {"GET", "POST", "OTHER"}
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", " ".join(told.values()))
    assert api.org not in str(found)


async def test_events_are_counted_as_they_are_recorded_and_once_only(
    client: httpx.AsyncClient, operator_key: str
) -> None:
    api = await Api.found(client, operator_key)
    before = _sample(await _scraped(client, operator_key), "okr_events_appended_total")
    head = await api.head()
    for _ in range(2):
        headers = {"Idempotency-Key": "once"}
        await api.request("POST", "/teams", json={"name": "Growth"}, headers=headers)
    await api.request("POST", "/teams", json={"name": ""})
    await api.running()
    after = _sample(await _scraped(client, operator_key), "okr_events_appended_total")
    assert after - before == await api.head() - head > 5


async def test_the_pool_and_the_process_are_told(
    client: httpx.AsyncClient, operator_key: str
) -> None:
    found = await _scraped(client, operator_key)
    assert _sample(found, "okr_pool_connections_most") == Settings().pool_size
    connections = [_sample(found, "okr_pool_connections", state=s) for s in ("idle", "used")]
    assert 1 <= sum(connections) <= Settings().pool_size
    assert _sample(found, "process_open_fds") > 0
