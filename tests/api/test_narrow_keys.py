"""Keys that are narrowed to key results and to sources: a leaked one does little."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers

_CHECKS_IN = ("read", "check-ins:write")


async def _running(api: Api, *tracked_by: str | None) -> list[Json]:
    """Committed metrics of an active cycle, each tracked by a source, or by hand."""
    cycle, team = await api.cycle(), await api.team()
    parts = [
        {"title": f"Figure {n}", "measure": METRIC, "tracked_by": source}
        for n, source in enumerate(tracked_by)
    ]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.open_anyway(cycle)
    found: list[Json] = objective["key_results"]
    return found


async def _check_in(key: Api, key_result: Json, source: str | None, id: str = "1") -> Json:
    """What a check-in is answered with, from a source or by hand."""
    body: Json = {"value": 150}
    if source is not None:
        body["external"] = {"source": source, "external_id": f"{key_result['id']} {id}"}
    answer = await key.request(
        "POST",
        f"/key-results/{key_result['id']}/check-ins",
        json=body,
        headers={"Idempotency-Key": f"{key_result['id']} {source} {id}"},
    )
    made: Json = answer.json()
    return made


def _is_out_of_reach(answer: Json) -> bool:
    return bool(answer.get("type") == "/problems/out-of-reach")


async def test_a_key_narrowed_to_key_results_checks_in_on_these_alone(api: Api) -> None:
    own, other = await _running(api, None, None)
    key = await api.key_for(*_CHECKS_IN, key_results=[own["id"]])
    made = await _check_in(key, own, None)
    assert made["value"] == 150
    before = await api.head()
    refused = await _check_in(key, other, None)
    assert _is_out_of_reach(refused)
    assert "narrowed to key results" in refused["detail"]
    assert await api.head() == before
    # What was said may be put right by whoever may say it.
    corrected = await key.request(
        "PUT",
        f"/check-ins/{made['id']}",
        json={"value": 140, "reason": "Of another week."},
        headers={"If-Match": "*"},
    )
    assert corrected.json()["value"] == 140


async def test_an_unknown_key_result_is_beyond_a_narrowed_key(api: Api) -> None:
    (own,) = await _running(api, None)
    key = await api.key_for(*_CHECKS_IN, key_results=[own["id"]])
    assert _is_out_of_reach(await _check_in(key, {"id": UNKNOWN}, None))


async def test_a_key_narrowed_to_sources_speaks_for_these_alone(api: Api) -> None:
    by_hand, by_crm, by_other = await _running(api, None, "crm", "warehouse")
    key = await api.key_for(*_CHECKS_IN, sources=["crm", "erp"])
    assert (await _check_in(key, by_hand, "crm"))["tracking"] == "manual"
    assert (await _check_in(key, by_crm, "crm"))["tracking"] == "integration"
    assert (await _check_in(key, by_other, "erp"))["value"] == 150
    # Without a source it speaks as the integration that the key result is left to.
    assert (await _check_in(key, by_crm, None))["value"] == 150
    before = await api.head()
    for key_result, source in (
        (by_hand, None),
        (by_hand, "CRM"),
        (by_crm, "warehouse"),
        (by_other, "warehouse"),
        (by_other, None),
    ):
        assert _is_out_of_reach(await _check_in(key, key_result, source, "2")), (key_result, source)
    assert await api.head() == before


async def test_a_key_narrowed_twice_and_to_teams_needs_all_of_it(api: Api) -> None:
    own, other = await _running(api, None, None)
    key = await api.key_for(*_CHECKS_IN, key_results=[own["id"]], sources=["crm"])
    assert (await _check_in(key, own, "crm"))["value"] == 150
    for key_result, source in ((own, "erp"), (own, None), (other, "crm")):
        assert _is_out_of_reach(await _check_in(key, key_result, source))
    elsewhere = await api.team("Sales")
    far = await api.key_for(*_CHECKS_IN, key_results=[own["id"]], teams=[elsewhere["id"]])
    assert _is_out_of_reach(await _check_in(far, own, None))


async def test_a_batch_is_judged_item_by_item(api: Api) -> None:
    own, other = await _running(api, None, None)
    key = await api.key_for("check-ins:write", key_results=[own["id"]], sources=["crm"])
    items = [
        {
            "key_result_id": key_result["id"],
            "value": 120,
            "external": {"source": source, "external_id": str(n)},
        }
        for n, (key_result, source) in enumerate(
            [(own, "crm"), (other, "crm"), (own, "erp"), (own, "crm")]
        )
    ]
    answer = await key.request("POST", "/check-ins:batch?partial=true", json={"items": items})
    assert [item["status"] for item in answer.json()["items"]] == [201, 403, 403, 201]
    whole = await key.request("POST", "/check-ins:batch", json={"items": items[1:]})
    assert (whole.status_code, whole.json()["type"]) == (403, "/problems/out-of-reach")


async def test_a_narrowed_key_does_nothing_else(api: Api) -> None:
    (own,) = await _running(api, "crm")
    kpi = await api.kpi(await api.team("Sales"))
    reading = {"value": 510, "external": {"source": "crm", "external_id": "1"}}
    to_key_results = await api.key_for("check-ins:write", key_results=[own["id"]])
    to_sources = await api.key_for("check-ins:write", sources=["crm"])
    path = f"/kpis/{kpi['id']}/readings"
    answer = await to_key_results.request("POST", path, json=reading)
    assert _is_out_of_reach(answer.json())
    # A reading has a source, too.
    assert (await to_sources.request("POST", path, json=reading)).status_code == 201
    reading["external"] = {"source": "erp", "external_id": "1"}
    assert _is_out_of_reach((await to_sources.request("POST", path, json=reading)).json())


@pytest.mark.parametrize("narrowed", [{"sources": ["crm"]}, {"key_results": None}])
@pytest.mark.parametrize("scope", ["keys:write", "history:read", "imports:write", "scores:write"])
async def test_a_narrowed_key_has_no_wider_scope(narrowed: Json, scope: str, api: Api) -> None:
    (own,) = await _running(api, None)
    narrowed = {"key_results": [own["id"]]} if "key_results" in narrowed else narrowed
    body = {"name": "Bridge", "scopes": ["check-ins:write", scope], **narrowed}
    problem = await api.refused("refused", "POST", "/api-keys", body)
    assert pointers(problem) == ["/scopes"]


@pytest.mark.parametrize(
    ("narrowed", "name", "at"),
    [
        ({"key_results": [UNKNOWN]}, "not-found", "/key_results/0"),
        ({"key_results": []}, "invalid", "/key_results"),
        ({"key_results": ["x"]}, "invalid", "/key_results/0"),
        ({"key_results": [UNKNOWN] * 101}, "invalid", "/key_results"),
        ({"sources": []}, "invalid", "/sources"),
        ({"sources": [""]}, "invalid", "/sources/0"),
        ({"sources": ["a\0b"]}, "invalid", "/sources/0"),
        ({"sources": ["x" * 401]}, "invalid", "/sources/0"),
        ({"sources": ["x"] * 21}, "invalid", "/sources"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_a_key_is_narrowed_to_has_its_bounds(
    narrowed: Json, name: str, at: str, api: Api
) -> None:
    body = {"name": "Bridge", "scopes": ["check-ins:write"], **narrowed}
    # A list without its refused members may be refused in its turn.
    assert pointers(await api.refused(name, "POST", "/api-keys", body))[0] == at


async def test_key_results_of_another_organisation_are_unknown(
    http: httpx.AsyncClient, operator_key: str, api: Api
) -> None:
    other = await Api.found(http, operator_key)
    (foreign,) = await _running(other, None)
    body = {"name": "Bridge", "scopes": ["check-ins:write"], "key_results": [foreign["id"]]}
    await api.refused("not-found", "POST", "/api-keys", body)


@pytest.mark.parametrize("narrowed", ["key_results", "sources"])
async def test_a_persons_key_is_not_narrowed(narrowed: str, api: Api) -> None:
    (own,) = await _running(api, None)
    person = await api.admin()
    to: Any = {"key_results": [own["id"]], "sources": ["crm"]}[narrowed]
    body = {"name": "Ada", "scopes": ["read"], "person_id": person["id"], narrowed: to}
    assert pointers(await api.refused("refused", "POST", "/api-keys", body)) == [f"/{narrowed}"]


async def test_a_key_shows_what_it_is_narrowed_to(api: Api) -> None:
    (own,) = await _running(api, None)
    wide = await api.post("/api-keys", {"name": "Wide", "scopes": ["read"]})
    assert (wide["key_results"], wide["sources"]) == (None, None)
    body = {"name": "Bridge", "scopes": list(_CHECKS_IN), "key_results": [own["id"]]}
    made = await api.post("/api-keys", {**body, "sources": ["crm"]})
    shown = await api.get(f"/api-keys/{made['id']}")
    assert (shown["key_results"], shown["sources"]) == ([own["id"]], ["crm"])
    first, second = (await api.get("/events", type="api_key.issued"))["items"][-2:]
    assert "sources" not in first["data"]
    assert (second["data"]["key_results"], second["data"]["sources"]) == ([own["id"]], ["crm"])
    assert (await api.get("/ledger:verify"))["identical"]
