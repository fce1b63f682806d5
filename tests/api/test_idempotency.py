"""Idempotency-Key: however often a request is sent, it has one effect and one answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.routing import Match
from uuid_utils.compat import uuid7

from app.domain.access import Scope
from app.domain.survey import ASKED
from app.events.statements import Connection
from tests.api.programme import (
    CHANGES_NOTHING,
    METRIC,
    QUARTER,
    ROUTES,
    Api,
    Json,
    method_of,
    pointers,
)

# A secret is not kept, founding is outside organisations, and an import or a stream commits by
# itself.
_TESTED_ALONE = {
    "issue_api_key",
    "register_webhook",
    "rotate_webhook_secret",
    "found_organization",
    "import_document",
    "import_csv",
    "stream_check_ins",
}
_EVERYTHING = sorted(Scope)


async def _post(api: Api, path: str, body: Json | None, key: str, **headers: str) -> httpx.Response:
    return await api.request("POST", path, json=body, headers={"Idempotency-Key": key, **headers})


def _assert_replayed(first: httpx.Response, again: httpx.Response) -> None:
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for name in ("ETag", "Location", "Ledger-Position", "Content-Type"):
        assert again.headers.get(name) == first.headers.get(name)


class _Twice:
    """Sends each request twice, and remembers which operations that were."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.operations: set[str] = set()

    async def __call__(self, path: str, body: Json | None = None) -> Json:
        key = uuid7().hex
        first = await _post(self.api, path, body, key)
        assert first.status_code in (200, 201), first.text
        head = await self.api.head()
        _assert_replayed(first, await _post(self.api, path, body, key))
        assert await self.api.head() == head
        self.operations.add(_operation(f"/v1/organizations/{self.api.org}{path}"))
        made: Json = first.json()
        return made


def _operation(path: str) -> str:
    request = {"type": "http", "method": "POST", "path": path}
    return next(
        str(route.operation_id) for route in ROUTES if route.matches(request)[0] is Match.FULL
    )


async def test_every_post_has_one_effect_and_one_answer(api: Api) -> None:
    twice = _Twice(api)
    person = await twice("/people", {"name": "Ada Park", "email": "ada@example.org"})
    company = await twice("/teams", {"name": "Harbour", "level": "company"})
    team = await twice("/teams", {"name": "Growth", "parent_id": company["id"]})
    held = {"kind": "coach", "title": "OKRs", "scheduled_at": "2026-01-12T09:00:00Z"}
    workshop, idle = [f"/workshops/{(await twice('/workshops', held))['id']}" for _ in range(2)]
    await twice(f"{workshop}:reschedule", {"scheduled_at": "2026-01-19T09:00:00Z"})
    await twice(f"{workshop}:invite", {"people": [person["id"]]})
    await twice(f"{workshop}:record-attendance", {"people": [person["id"]]})
    await twice(f"{workshop}:record-outcome", {"outcome": ["Pay stays apart."]})
    await twice(f"{workshop}:complete")
    await twice(f"{idle}:cancel", {"reason": "Nobody could come."})
    await twice("/coaches", {"person_id": person["id"]})
    coach = f"/coaches/{person['id']}"
    await twice(f"{coach}:certify", {"workshop_id": workshop.rpartition("/")[2]})
    await twice(f"{coach}:cover-teams", {"teams": [team["id"]]})
    await twice(f"{coach}:relieve")
    cycle = await twice("/cycles", QUARTER)
    await twice(f"/cycles/{cycle['id']}:begin-drafting")
    year = (await twice("/cycles:plan", {"year": 2027}))["items"]
    await twice(f"/cycles/{year[0]['id']}:cancel", {"reason": "A slow start."})
    draft = {
        "cycle_id": cycle["id"],
        "owner": {"kind": "team", "id": team["id"]},
        "title": "Customers stay",
        "key_results": [{"title": "Active customers", "measure": METRIC}],
    }
    objective, above, other = [await twice("/objectives", draft) for _ in range(3)]
    objectives = f"/objectives/{objective['id']}"
    second = await twice(f"{objectives}/key-results", {"title": "Churn", "measure": METRIC})
    alignment = await twice(
        f"{objectives}/alignments",
        {"target": {"kind": "objective", "id": above["id"]}, "rationale": "It helps."},
    )
    await twice(f"/alignments/{alignment['id']}:withdraw", {"reason": "It does not."})
    need = {
        "on": {"kind": "team", "id": company["id"]},
        "needed": "Prices per city.",
        "needed_by": "2026-02-13",
    }
    first, unmet = [(await twice(f"{objectives}/dependencies", need))["id"] for _ in range(2)]
    await twice(f"/dependencies/{first}:accept", {"person_id": person["id"]})
    await twice(f"/dependencies/{first}:deliver", {})
    declined = {"person_id": person["id"], "reason": "Nobody is free."}
    await twice(f"/dependencies/{unmet}:decline", declined)
    await twice(f"/dependencies/{unmet}:withdraw", {"reason": "No time."})
    await twice(f"/key-results/{second['id']}:remove", {"reason": "Hard to measure."})
    await twice(f"{objectives}:propose")
    await twice(f"{objectives}:commit")
    handed_over = {"owner": {"kind": "team", "id": company["id"]}, "reason": "They have people."}
    await twice(f"/objectives/{other['id']}:hand-over", handed_over)
    await twice(f"/objectives/{other['id']}:abandon", {"reason": "One too many."})
    measure = {"kind": "baseline", "unit": "days"}
    parts = [{"title": "Days to an answer", "measure": measure}]
    measured = await twice("/objectives", {**draft, "key_results": parts})
    await twice(f"/objectives/{measured['id']}:commit")
    await twice(f"/cycles/{cycle['id']}:open")
    metric = objective["key_results"][0]
    told = await twice(f"/key-results/{metric['id']}/check-ins", {"value": 150, "confidence": 0.5})
    await twice("/check-ins:batch", {"items": [{"key_result_id": metric["id"], "value": 151}]})
    await twice(f"/check-ins/{told['id']}:retract", {"reason": "Of another report."})
    stuck = {
        "kind": "clarity",
        "what": "Nobody knows who decides.",
        "owner_id": person["id"],
        "next_action": "Ask on Monday.",
    }
    blocker = await twice(f"/key-results/{metric['id']}/blockers", stuck)
    await twice(f"/blockers/{blocker['id']}:hand-over", {"next_action": "Ask again."})
    await twice(f"/blockers/{blocker['id']}:resolve", {"how": "Ada decides."})
    (unknown,) = measured["key_results"]
    await twice(f"/key-results/{unknown['id']}/check-ins", {"value": 9})
    await twice(f"/key-results/{unknown['id']}:succeed", {"title": "Days to 4", "target": 4})
    kpi = await twice(
        "/kpis",
        {
            "name": "Active customers",
            "unit": "customers",
            "owner": {"kind": "team", "id": team["id"]},
            "healthy": {"low": 500},
        },
    )
    await twice(f"/kpis/{kpi['id']}/readings", {"value": 480})
    await twice(f"/kpis/{kpi['id']}:focus", {"objective_id": above["id"], "target": 600})
    await twice(f"/kpis/{kpi['id']}:return", {"reason": "Watching it is enough."})
    await twice(f"/kpis/{kpi['id']}:retire", {"reason": "Nobody looks at it."})
    await twice(f"{objectives}:report-result", {"text": "Half way there."})
    await twice(f"/cycles/{cycle['id']}:begin-scoring")
    answers = {"answers": dict.fromkeys(ASKED, 3)}
    await twice(f"/cycles/{cycle['id']}/survey", answers)
    await twice(f"/cycles/{cycle['id']}:begin-reflection")
    await twice(f"/cycles/{cycle['id']}/reflections", {"worked": ["Short check-ins"]})
    rest = (await api.get(f"/objectives/{measured['id']}"))["key_results"]
    await twice(
        f"/cycles/{cycle['id']}:reset",
        {
            "next_cycle": _NEXT,
            "choices": [
                {"key_result_id": metric["id"], "choice": "keep"},
                *({"key_result_id": one["id"], "choice": "remove"} for one in rest),
            ],
        },
    )
    finished = await api.cycle("reflecting")
    await twice(f"/cycles/{finished['id']}:close")
    await twice("/ledger/checkpoints")
    await twice(f"/teams/{(await api.team())['id']}:disband")
    await twice(f"/people/{person['id']}:depart")
    await twice(f"/people/{person['id']}:erase")
    key = await api.post("/api-keys", {"name": "Test", "scopes": ["read"]})
    await twice(f"/api-keys/{key['id']}:revoke")
    webhook = await api.webhook()
    here = f"/webhooks/{webhook['id']}"
    failed = await api.try_out(webhook)
    await twice(f"{here}/deliveries/{failed['id']}:redeliver")
    await twice(f"{here}:redeliver")
    await twice(f"{here}:test")
    for command in ("disable", "enable", "remove"):
        await twice(f"{here}:{command}")

    posts = {str(route.operation_id) for route in ROUTES if method_of(route) == "POST"}
    assert twice.operations == posts - _TESTED_ALONE - CHANGES_NOTHING
    assert (await api.get("/ledger:verify"))["identical"]


_NEXT = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}


def _document() -> Json:
    return {
        "source": "planning-sheet",
        "cycle": QUARTER,
        "owners": [{"key": "growth", "name": "Growth"}],
        "objectives": [{"key": "stay", "owner": "growth", "title": "Customers stay"}],
    }


async def test_an_import_heeds_a_key_or_takes_none(api: Api) -> None:
    (route,) = [route for route in ROUTES if route.operation_id == "import_document"]
    needed = [
        header.alias for part in route.dependant.dependencies for header in part.header_params
    ]
    first, again = [await _post(api, "/imports", _document(), "k") for _ in range(2)]
    assert first.status_code == 200, first.text
    assert await api.head() == first.json()["position"]
    if "Idempotency-Key" in needed:
        _assert_replayed(first, again)


async def test_an_organization_is_founded_once(http: httpx.AsyncClient, operator_key: str) -> None:
    headers = {"Authorization": f"Bearer {operator_key}", "Idempotency-Key": uuid7().hex}
    body = {"name": f"Harbour {uuid7()}"}
    first, again = [
        await http.post("/v1/organizations", json=body, headers=headers) for _ in range(2)
    ]
    assert first.status_code == 201
    _assert_replayed(first, again)
    listed = await http.get("/v1/organizations", headers=headers)
    assert [one["name"] for one in listed.json()["items"]].count(body["name"]) == 1


async def test_a_repeated_issue_of_a_key_does_not_show_the_secret(api: Api) -> None:
    body: Json = {"name": "Bridge", "scopes": ["read"]}
    first, again = [await _post(api, "/api-keys", body, "issue") for _ in range(2)]
    assert first.json()["key"].startswith("okr_live_")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.status_code == 201
    assert again.json() == {**first.json(), "key": None}
    for name in ("ETag", "Location", "Ledger-Position"):
        assert again.headers[name] == first.headers[name]
    assert len((await api.get("/api-keys"))["items"]) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_other_methods_heed_a_key_too(api: Api, method: str) -> None:
    team, person = await api.team(), await api.person()
    member = f"/teams/{team['id']}/members/{person['id']}"
    if method == "DELETE":
        await api.put(member, {"role": "member"})
    path = f"/teams/{team['id']}" if method == "PATCH" else member
    body = {"PUT": {"role": "leader"}, "PATCH": {"name": "Retention"}, "DELETE": None}[method]
    first, again = [
        await api.request(
            method, path, json=body, headers={"Idempotency-Key": "k", "If-Match": "*"}
        )
        for _ in range(2)
    ]
    assert first.status_code == 200, first.text
    _assert_replayed(first, again)


# When two requests are the same one -------------------------------------------------------


async def test_another_body_under_the_same_key_is_refused(api: Api) -> None:
    await _post(api, "/teams", {"name": "Growth"}, "k")
    before = await api.head()
    for body in ({"name": "Retention"}, {"name": "Growth", "level": "team"}):
        answer = await _post(api, "/teams", body, "k")
        assert answer.status_code == 422
        assert answer.json()["type"] == "/problems/idempotency-key-reused"
    assert await api.head() == before


async def test_a_key_counts_for_one_path(api: Api) -> None:
    team = await _post(api, "/teams", {"name": "Growth"}, "k")
    person = await _post(api, "/people", {"name": "Ada Park"}, "k")
    assert (team.status_code, person.status_code) == (201, 201)
    other = await api.team("Retention")
    ends = [
        await _post(api, f"/teams/{id}:disband", None, "k")
        for id in (team.json()["id"], other["id"])
    ]
    assert [end.json()["id"] for end in ends] == [team.json()["id"], other["id"]]
    assert not [end for end in ends if "Idempotency-Replayed" in end.headers]


async def test_a_key_counts_for_one_credential(api: Api) -> None:
    person = await api.admin()
    keys = [await api.key_for("people:write", person_id=person["id"]) for _ in range(2)]
    answers = [await _post(caller, "/teams", {"name": "Growth"}, "k") for caller in (api, *keys)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 3
    # Even another body is no conflict, and each replays its own.
    _assert_replayed(answers[1], await _post(keys[0], "/teams", {"name": "Growth"}, "k"))


async def test_a_key_counts_for_one_organization(
    api: Api, http: httpx.AsyncClient, operator_key: str
) -> None:
    other = await Api.found(http, operator_key)
    answers = [await _post(tenant, "/teams", {"name": "Growth"}, "k") for tenant in (api, other)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 2


@pytest.mark.parametrize(("first", "again"), [("abc-1", '"abc-1"'), ('"abc-1"', "abc-1")])
async def test_quoted_and_bare_keys_are_the_same(api: Api, first: str, again: str) -> None:
    answers = [await _post(api, "/teams", {"name": "Growth"}, key) for key in (first, again)]
    _assert_replayed(*answers)


@pytest.mark.parametrize("key", ["x", "a b", "x" * 255, f'"{"x" * 255}"', "~!#/:;=?@[]^_`{|}"])
async def test_what_may_be_a_key(api: Api, key: str) -> None:
    answers = [await _post(api, "/teams", {"name": "Growth"}, key) for _ in range(2)]
    _assert_replayed(*answers)


@pytest.mark.parametrize(
    "key",
    [
        "",
        '""',
        '"',
        " ",
        "x" * 256,
        f'"{"x" * 256}"',
        'a"b',
        "a\tb",
        "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
        "a\x00b",
    ],
)
async def test_what_may_be_no_key(api: Api, key: str) -> None:
    before = await api.head()
    answer = await api.client.post(
        f"/v1/organizations/{api.org}/teams",
        json={"name": "Growth"},
        headers={b"Authorization": f"Bearer {api.key}".encode(), b"Idempotency-Key": key.encode()},
    )
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert pointers(answer.json()) == ["Idempotency-Key"]
    assert await api.head() == before


# Refusals ---------------------------------------------------------------------------------


async def test_a_refused_request_keeps_nothing_so_its_key_may_be_used_once_mended(
    api: Api,
) -> None:
    cycle = await api.cycle("planned")
    path = f"/cycles/{cycle['id']}:open"
    for _ in range(2):
        refused = await _post(api, path, None, "k")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/invalid-state")
        assert "Idempotency-Replayed" not in refused.headers
    await api.move(cycle, "begin-drafting")
    opened = await _post(api, path, None, "k")
    assert (opened.status_code, opened.json()["phase"]) == (200, "active")
    _assert_replayed(opened, await _post(api, path, None, "k"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": ""}, 422),
        ({"name": "Growth", "parent_id": "01980000-0000-7000-8000-00000000dead"}, 404),
        ({"name": "Growth", "level": "company", "parent_id": "the team"}, 409),
    ],
)
async def test_the_key_of_a_refused_body_may_be_used_for_the_mended_one(
    api: Api, body: Json, status: int
) -> None:
    team = await api.team("Harbour")
    if body.get("parent_id") == "the team":
        body = {**body, "parent_id": team["id"]}
    assert (await _post(api, "/teams", body, "k")).status_code == status
    mended = await _post(api, "/teams", {"name": "Growth"}, "k")
    assert mended.status_code == 201
    assert "Idempotency-Replayed" not in mended.headers


async def test_a_retry_with_a_stale_version_is_answered_again(api: Api) -> None:
    team = await api.team()
    headers = {"Idempotency-Key": "k", "If-Match": '"1"'}
    path = f"/teams/{team['id']}"
    first = await api.request("PATCH", path, json={"name": "Retention"}, headers=headers)
    assert first.json()["version"] == 2
    _assert_replayed(
        first, await api.request("PATCH", path, json={"name": "Retention"}, headers=headers)
    )
    _, objective = await api.running()
    version = f'"{objective["version"]}"'
    abandon = f"/objectives/{objective['id']}:abandon"
    answers = [
        await _post(api, abandon, {"reason": "No."}, "k", **{"If-Match": version}) for _ in range(2)
    ]
    _assert_replayed(*answers)


# Integrations -----------------------------------------------------------------------------


async def test_an_integration_must_send_a_key(api: Api) -> None:
    _, objective = await api.running()
    bridge = await api.key_for(*_EVERYTHING)
    check_ins = f"/key-results/{objective['key_results'][0]['id']}/check-ins"
    wishes: list[tuple[str, Any]] = [
        ("/teams", {"name": "Growth"}),
        ("/people", {"name": "Ada Park"}),
        (f"/objectives/{objective['id']}:abandon", {"reason": "No."}),
        ("/api-keys", {"name": "Test", "scopes": ["read"]}),
        (check_ins, {"value": 150}),
    ]
    for path, body in wishes:
        problem = await bridge.refused("idempotency-key-required", "POST", path, body)
        assert problem["status"] == 400
        assert pointers(problem) == ["Idempotency-Key"]
    for path, body in reversed(wishes):
        answer = await _post(bridge, path, body, "k")
        assert answer.status_code in (200, 201), answer.text


async def test_a_check_in_with_an_external_id_is_told_by_that(api: Api) -> None:
    _, objective = await api.running()
    bridge = await api.key_for("check-ins:write", "history:read")
    path = f"/key-results/{objective['key_results'][0]['id']}/check-ins"
    body = {"value": 150, "external": {"source": "warehouse", "external_id": "run/1"}}
    first, again = [await bridge.request("POST", path, json=body) for _ in range(2)]
    assert first.status_code == 201
    assert (again.status_code, again.json()["type"]) == (409, "/problems/already-exists")
    assert again.json()["existing_id"] == first.json()["id"]


async def test_a_person_need_not_send_a_key(api: Api) -> None:
    ada = await api.key_for(*_EVERYTHING, person_id=(await api.admin())["id"])
    assert (await ada.team())["name"] == "Growth"


async def test_what_an_integration_may_repeat_safely_needs_no_key(api: Api) -> None:
    bridge = await api.key_for(*_EVERYTHING)
    team, person = await api.team(), await api.person()
    await bridge.put(f"/teams/{team['id']}/members/{person['id']}", {"role": "leader"})
    await bridge.patch_blindly(f"/teams/{team['id']}", {"name": "Retention"})
    await bridge.post("/imports", _document())


# Forgetting -------------------------------------------------------------------------------


async def _keys_kept(owner: Connection, api: Api) -> int:
    kept = await owner.fetchval(
        "SELECT count(*) FROM idempotency_keys WHERE org_id = $1::uuid", api.org
    )
    return int(kept)


async def _age(owner: Connection, api: Api, hours: int) -> None:
    await owner.execute(
        "UPDATE idempotency_keys SET created_at = created_at - make_interval(hours => $2) "
        "WHERE org_id = $1::uuid",
        api.org,
        hours,
    )


async def test_old_keys_are_forgotten_a_few_at_a_time(api: Api, owner: Connection) -> None:
    for number in range(25):
        await _post(api, "/teams", {"name": "Growth"}, f"old-{number}")
    await _age(owner, api, 49)
    left = []
    for number in range(4):
        await _post(api, "/teams", {"name": "Growth"}, f"new-{number}")
        left.append(await _keys_kept(owner, api))
    assert left == [16, 7, 3, 4]
    forgotten = await _post(api, "/teams", {"name": "Growth"}, "old-0")
    assert forgotten.status_code == 201
    assert "Idempotency-Replayed" not in forgotten.headers


async def test_a_key_is_remembered_for_two_days(api: Api, owner: Connection) -> None:
    first = await _post(api, "/teams", {"name": "Growth"}, "k")
    await _age(owner, api, 47)
    await _post(api, "/teams", {"name": "Growth"}, "another")
    _assert_replayed(first, await _post(api, "/teams", {"name": "Growth"}, "k"))
