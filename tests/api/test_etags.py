"""ETags tell when anything shown has changed, and only then."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi.routing import APIRoute

from tests.api.programme import (
    METRIC,
    OF_SOMEBODY,
    QUARTER,
    ROUTES,
    Api,
    Json,
    Stage,
    each_of,
    method_of,
)

_OF_NOW = {
    "get_ledger",
    "verify_ledger",
    "stream_events",
    "stream_changes",
    "export_ledger",
    "get_webhook_status",
}
"""They tell of the moment, which is another one each time."""
_READS = [
    route
    for route in ROUTES
    if method_of(route) == "GET"
    and "{organization_id}" in route.path
    and route.operation_id not in _OF_NOW | OF_SOMEBODY
]


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


# If-None-Match ----------------------------------------------------------------------------


@each_of(_READS)
async def test_what_has_not_changed_is_not_sent_again(route: APIRoute, stage: Stage) -> None:
    full = await stage.call(route)
    assert full.status_code == 200, full.text
    etag = full.headers["ETag"]
    digest = hashlib.sha256(full.content).hexdigest()[:16]
    is_json = full.headers["Content-Type"] == "application/json"
    version = full.json().get("version") if is_json else None
    assert etag == (f'"{digest}"' if version is None else f'"{version}.{digest}"')

    for known in (etag, f"W/{etag}", f'"other", W/"1.0", {etag}', f'"other",{etag}', "*"):
        unchanged = await stage.call(route, headers={"If-None-Match": known})
        assert (unchanged.status_code, unchanged.content) == (304, b""), known
        assert unchanged.headers["ETag"] == etag
        assert unchanged.headers["Cache-Control"] == full.headers["Cache-Control"]

    for known in ('"other"', etag.strip('"'), f'"{version}"', etag.replace('"', '"x', 1), ""):
        changed = await stage.call(route, headers={"If-None-Match": known})
        assert (changed.status_code, changed.content) == (200, full.content), known


@each_of(_READS)
async def test_whoever_keeps_an_answer_must_ask_again_before_using_it(
    route: APIRoute, stage: Stage
) -> None:
    answer = await stage.call(route)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert int(answer.headers["Ledger-Position"]) == await stage.api.head()


Change = Callable[[Api, Json, Json], Awaitable[object]]


async def _rename_team(api: Api, cycle: Json, objective: Json) -> None:
    await api.patch(f"/teams/{objective['owner']['id']}", {"name": "Retention"})


async def _check_in(api: Api, cycle: Json, objective: Json) -> None:
    await api.check_in(objective["key_results"][0], value=150, confidence=0.5)


async def _draft_key_result(api: Api, cycle: Json, objective: Json) -> None:
    draft = {"title": "Churn", "measure": METRIC}
    await api.post(f"/objectives/{objective['id']}/key-results", draft)


async def _align(api: Api, cycle: Json, objective: Json) -> None:
    await api.align(objective, await api.objective(cycle, objective["owner"]))


async def _begin_scoring(api: Api, cycle: Json, objective: Json) -> None:
    await api.move(cycle, "begin-scoring")


async def _decide_cadence(api: Api, cycle: Json, objective: Json) -> None:
    await api.decide("cadence", check_in_every_days=7)


async def _decide_limits(api: Api, cycle: Json, objective: Json) -> None:
    await api.decide("limits", max_objectives=2)


async def _add_member(api: Api, cycle: Json, objective: Json) -> None:
    person = await api.person()
    await api.put(f"/teams/{objective['owner']['id']}/members/{person['id']}", {"role": "member"})


@pytest.mark.parametrize(
    ("shown", "change"),
    [
        ("/objectives/{objective}", _rename_team),
        ("/objectives/{objective}", _check_in),
        ("/objectives/{objective}", _draft_key_result),
        ("/objectives/{objective}", _align),
        ("/objectives/{objective}", _decide_cadence),
        ("/objectives", _rename_team),
        ("/objectives", _check_in),
        ("/key-results/{key_result}", _check_in),
        ("/key-results/{key_result}", _begin_scoring),
        ("/key-results/{key_result}", _decide_cadence),
        ("/key-results/{key_result}/score", _check_in),
        ("/key-results", _draft_key_result),
        ("/cycles/{cycle}", _begin_scoring),
        ("/cycles/{cycle}/tree", _rename_team),
        ("/cycles/{cycle}/tree", _check_in),
        ("/cycles/{cycle}/tree", _align),
        ("/cycles/{cycle}/tree", _begin_scoring),
        ("/cycles", _begin_scoring),
        ("/teams/{team}", _rename_team),
        ("/teams/{team}", _add_member),
        ("/teams", _add_member),
        ("/alignments", _align),
        ("/deployment", _decide_limits),
        ("/deployment/limits", _decide_limits),
        ("/deployment/decisions", _decide_limits),
        ("/events", _rename_team),
        ("/cycles/{cycle}/history", _check_in),
    ],
)
async def test_an_etag_changes_with_anything_that_is_shown(
    api: Api, shown: str, change: Change
) -> None:
    cycle, objective = await api.running()
    path = shown.format(
        cycle=cycle["id"],
        objective=objective["id"],
        key_result=objective["key_results"][0]["id"],
        team=objective["owner"]["id"],
    )
    before = await api.request("GET", path)
    await change(api, cycle, objective)
    after = await api.request("GET", path, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.content != before.content
    assert after.headers["ETag"] != before.headers["ETag"]


async def test_an_etag_stays_while_other_things_change(api: Api) -> None:
    cycle, objective = await api.running()
    shown = f"/objectives/{objective['id']}"
    before = await api.request("GET", shown)
    await api.team("Retention")
    await api.objective(cycle, objective["owner"])
    after = await api.request("GET", shown, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 304


# What a write answers with ----------------------------------------------------------------


async def _assert_shown(api: Api, written: httpx.Response, path: str) -> Json:
    """What a write answered is what is shown then: to the byte, and under the same ETag."""
    assert written.status_code in (200, 201), written.text
    place = written.headers.get("Location", f"/v1/organizations/{api.org}{path}")
    shown = await api.client.get(place, headers={"Authorization": f"Bearer {api.key}"})
    assert written.headers["ETag"] == shown.headers["ETag"]
    assert written.content == shown.content
    assert written.headers["Ledger-Position"] == shown.headers["Ledger-Position"]
    made: Json = written.json()
    return made


async def test_the_etag_of_a_write_is_that_of_the_next_read(api: Api) -> None:
    async def write(method: str, path: str, body: Json | None = None, shown: str = "") -> Json:
        headers = {"If-Match": "*"} if method != "POST" else {}
        answer = await api.request(method, path, json=body, headers=headers)
        return await _assert_shown(api, answer, shown or path.partition(":")[0])

    await write("PATCH", "", {"name": "Harbour"})
    person = await write("POST", "/people", {"name": "Ada Park"})
    team = await write("POST", "/teams", {"name": "Growth"})
    here = f"/teams/{team['id']}"
    await write("PATCH", here, {"name": "Retention"})
    await write("PUT", f"{here}/members/{person['id']}", {"role": "leader"}, here)
    await write("DELETE", f"{here}/members/{person['id']}", None, here)
    decision = {"decision": {"question": "limits"}, "rationale": "Because."}
    await write("PUT", "/deployment/limits", decision)
    cycle = await write("POST", "/cycles", QUARTER)
    await write("POST", f"/cycles/{cycle['id']}:begin-drafting")
    draft = {
        "cycle_id": cycle["id"],
        "owner": {"kind": "team", "id": team["id"]},
        "title": "Customers stay",
        "key_results": [{"title": "Active customers", "measure": METRIC}],
    }
    objective, above = (
        await write("POST", "/objectives", draft),
        await write("POST", "/objectives", draft),
    )
    here = f"/objectives/{objective['id']}"
    await write("PATCH", here, {"title": "They stay"})
    second = await write("POST", f"{here}/key-results", {"title": "Churn", "measure": METRIC})
    await write("PATCH", f"/key-results/{second['id']}", {"title": "Loss"})
    await write("POST", f"/key-results/{second['id']}:remove", {"reason": "Hard to measure."})
    alignment = await write(
        "POST",
        f"{here}/alignments",
        {"target": {"kind": "objective", "id": above["id"]}, "rationale": "It helps."},
    )
    await write("POST", f"/alignments/{alignment['id']}:withdraw", {"reason": "It does not."})
    other = await write("POST", "/teams", {"name": "Platform"})
    need = {
        "on": {"kind": "team", "id": other["id"]},
        "needed": "Prices per city.",
        "needed_by": "2026-02-13",
    }
    dependency = await write("POST", f"{here}/dependencies", need)
    waits = f"/dependencies/{dependency['id']}"
    await write("POST", f"{waits}:accept", {"person_id": person["id"]})
    await write("POST", f"{waits}:deliver", {})
    await write("POST", f"{waits}:withdraw", {"reason": "It was the wrong thing."})
    await write("POST", f"{here}:propose")
    await write("POST", f"{here}:commit")
    await write("POST", f"/cycles/{cycle['id']}:open")
    metric = objective["key_results"][0]
    await write("POST", f"/key-results/{metric['id']}/check-ins", {"value": 150})
    await write("POST", f"{here}:report-result", {"text": "Half way there."})
    await write("POST", f"/objectives/{above['id']}:abandon", {"reason": "One too many."})
    await write("POST", f"/cycles/{cycle['id']}:begin-scoring")
    await write("PUT", f"/key-results/{metric['id']}/score", {"comment": "Half."})
    await write("POST", f"/cycles/{cycle['id']}:begin-reflection")
    await write("POST", f"/cycles/{cycle['id']}:close")
    await write("POST", f"/people/{person['id']}:depart")


async def test_a_reset_answers_with_the_next_cycle_as_it_is_shown(api: Api) -> None:
    cycle = await api.cycle("reflecting")
    following = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
    body = {"next_cycle": following, "choices": []}
    answer = await api.request("POST", f"/cycles/{cycle['id']}:reset", json=body)
    await _assert_shown(api, answer, f"/cycles/{answer.json()['id']}")


async def test_an_issued_key_has_the_etag_under_which_it_is_shown(api: Api) -> None:
    body = {"name": "Bridge", "scopes": ["read"]}
    issued = await api.request("POST", "/api-keys", json=body)
    shown = await api.request("GET", f"/api-keys/{issued.json()['id']}")
    assert issued.headers["ETag"] == shown.headers["ETag"]
    revoked = await api.request("POST", f"/api-keys/{issued.json()['id']}:revoke")
    await _assert_shown(api, revoked, f"/api-keys/{issued.json()['id']}")
