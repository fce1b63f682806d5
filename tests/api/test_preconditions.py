"""If-Match keeps a change from being lost: 412 where it is stale, 428 where it is missing."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi.routing import APIRoute

from tests.api.programme import CHANGES_NOTHING, ROUTES, Api, Stage, each_of, method_of

_MAKES_A_STREAM = {
    "register_person",
    "form_team",
    "schedule_workshop",
    "answer_survey",
    "raise_blocker",
    "designate_coach",
    "plan_cycle",
    "plan_cycles",
    "draft_objective",
    "draft_key_result",
    "align_objective",
    "register_kpi",
    "declare_dependency",
    "issue_api_key",
    "import_document",
    "import_csv",
    "keep_checkpoint",
    "record_check_ins",
    "stream_check_ins",
    "grant_role",
    "link_identity",
    "unlink_identity",
    "withdraw_role",
    "register_webhook",
    "test_webhook",
    "redeliver",
    "redeliver_all",
}
"""What they make has no version yet that a change could be based on."""
_CHANGES = [
    route
    for route in ROUTES
    if method_of(route) != "GET"
    and "{organization_id}" in route.path
    and route.operation_id not in _MAKES_A_STREAM | CHANGES_NOTHING
]


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


@each_of(_CHANGES)
async def test_a_change_of_what_changed_meanwhile_is_refused(route: APIRoute, stage: Stage) -> None:
    before = await stage.api.head()
    stale = '"99.0123456789abcdef"'
    answer = await stage.call(route, headers={"If-Match": stale})
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (412, "/problems/stale-version"), problem
    assert problem["current_version"] == await _version(stage, route)
    assert await stage.api.head() == before


async def _version(stage: Stage, route: APIRoute) -> int:
    """The version of what a route changes: of the first thing in its path."""
    path = route.path_format.removeprefix("/v1/organizations/{organization_id}")
    kept = re.match(r"(/deployment/\{question\}|/[a-z-]+/\{\w+\})?", path)
    assert kept is not None
    shown = await stage.api.get(kept[0].format(**stage.ids))
    return int(shown["version"])


@each_of(route for route in ROUTES if method_of(route) == "PATCH")
async def test_an_edit_must_say_what_it_is_based_on(route: APIRoute, stage: Stage) -> None:
    before = await stage.api.head()
    answer = await stage.call(route)
    assert (answer.status_code, answer.json()["type"]) == (428, "/problems/version-required")
    assert answer.json()["errors"][0]["pointer"] == "If-Match"
    assert await stage.api.head() == before
    version = await _version(stage, route)
    for based_on in (f'"{version}"', "*"):
        edited = await stage.call(route, headers={"If-Match": based_on})
        assert edited.status_code == 200, edited.text


@pytest.mark.parametrize(
    "path",
    [
        "/people/{person_id}",
        "/teams/{team_id}",
        "/objectives/{objective_id}",
        "/key-results/{key_result_id}",
    ],
)
async def test_an_edit_that_states_nothing_is_held_to_its_version_too(
    stage: Stage, path: str
) -> None:
    here = path.format(**stage.ids)
    stale = await stage.api.request("PATCH", here, json={}, headers={"If-Match": '"99"'})
    assert (stale.status_code, stale.json()["type"]) == (412, "/problems/stale-version")
    version = (await stage.api.get(here))["version"]
    fresh = await stage.api.request("PATCH", here, json={}, headers={"If-Match": f'"{version}"'})
    assert (fresh.status_code, fresh.json()["version"]) == (200, version)


@pytest.mark.parametrize("form", ['"{0}"', "{0}", 'W/"{0}"', '"{0}.0123456789abcdef"', "*"])
async def test_only_the_version_of_an_etag_is_heeded(api: Api, form: str) -> None:
    team = await api.team()
    path = f"/teams/{team['id']}"
    renamed = await api.request(
        "PATCH", path, json={"name": "Retention"}, headers={"If-Match": form.format(1)}
    )
    assert renamed.status_code == 200, renamed.text
    again = await api.request(
        "PATCH", path, json={"name": "Growth"}, headers={"If-Match": form.format(1)}
    )
    assert again.status_code == (200 if form == "*" else 412)


@pytest.mark.parametrize("sent", ["", "x", '"x"', '""', "-1", '"1.xyz"', "1" * 50, "1 OR 1=1"])
async def test_what_is_no_etag_of_ours_is_refused(api: Api, sent: str) -> None:
    team = await api.team()
    answer = await api.request(
        "PATCH", f"/teams/{team['id']}", json={"name": "Retention"}, headers={"If-Match": sent}
    )
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert (await api.get(f"/teams/{team['id']}"))["name"] == "Growth"


async def test_a_first_decision_needs_no_version_and_the_next_one_does(api: Api) -> None:
    path = "/deployment/limits"
    body = {"decision": {"question": "limits", "max_objectives": 2}, "rationale": "Because."}
    first = await api.request("PUT", path, json=body)
    assert (first.status_code, first.json()["answered"]) == (200, True)
    again = await api.request("PUT", path, json=body)
    assert (again.status_code, again.json()["type"]) == (428, "/problems/version-required")
    # Another question is another answer, though they share a version.
    other = {"decision": {"question": "kpis"}, "rationale": "Because."}
    assert (await api.request("PUT", "/deployment/kpis", json=other)).status_code == 200
    stale = await api.request("PUT", path, json=body, headers={"If-Match": first.headers["ETag"]})
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    seen = await api.request("GET", path)
    fresh = await api.request("PUT", path, json=body, headers={"If-Match": seen.headers["ETag"]})
    assert fresh.status_code == 200


async def test_a_first_score_needs_no_version_and_the_next_one_does(api: Api) -> None:
    cycle, objective = await api.running()
    await api.move(cycle, "begin-scoring")
    path = f"/key-results/{objective['key_results'][0]['id']}/score"
    first = await api.request("PUT", path, json={"comment": "Silence."})
    assert (first.status_code, first.json()["score"]) == (200, 0)
    body = {"score": 0.3, "comment": "Heard of it.", "adjustment_reason": "By telephone."}
    again = await api.request("PUT", path, json=body)
    assert (again.status_code, again.json()["type"]) == (428, "/problems/version-required")
    anew = await api.request("PUT", path, json=body, headers={"If-Match": first.headers["ETag"]})
    assert (anew.status_code, anew.json()["score"]) == (200, 0.3)
    stale = await api.request("PUT", path, json=body, headers={"If-Match": first.headers["ETag"]})
    assert (stale.status_code, stale.json()["current_version"]) == (412, anew.json()["version"])


async def test_a_version_read_in_the_past_is_no_basis_for_a_change(api: Api) -> None:
    team = await api.team()
    then = await api.head()
    await api.patch(f"/teams/{team['id']}", {"name": "Retention"})
    past = await api.request("GET", f"/teams/{team['id']}", params={"as_of": then})
    answer = await api.request(
        "PATCH",
        f"/teams/{team['id']}",
        json={"name": "Growth"},
        headers={"If-Match": past.headers["ETag"]},
    )
    assert answer.status_code == 412
