"""Pages of a list: every item once, in order, whatever the size; and tokens that fit one query."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
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
)


def _is_paged(needed: Dependant) -> bool:
    """Whether a page token is taken, by a route or by what it depends on."""
    here = any(parameter.name == "page_token" for parameter in needed.query_params)
    return here or any(_is_paged(below) for below in needed.dependencies)


# Of what is due: by tests/api/test_my_lists.py, since the crowd's cycle is being scored.
_ELSEWHERE = OF_SOMEBODY | {"list_team_check_ins_due"}
_LISTS = [
    route for route in ROUTES if _is_paged(route.dependant) and route.operation_id not in _ELSEWHERE
]


@pytest.fixture(scope="module")
async def crowd(http: httpx.AsyncClient, operator_key: str) -> Stage:
    """An organisation with at least three of everything that is listed."""
    stage = await (await Api.found(http, operator_key)).one_of_each()
    api, ids = stage.api, stage.ids
    cycle, team = {"id": ids["cycle_id"]}, {"id": ids["team_id"]}
    for number in range(3):
        await api.coach(await api.person(f"Person {number}"))
        await api.team(f"Team {number}", parent_id=team["id"])
        await api.decide("limits", max_objectives=number + 1)
        await api.key_for("read")
        await api.webhook()
        await api.try_out({"id": ids["webhook_id"]})
        await api.kpi(team)
        await api.read({"id": ids["kpi_id"]}, 520 + number)
        # Each is one more than was decided, so there are warnings too.
        above = await api.objective(cycle, team)
        await api.align({"id": ids["objective_id"]}, above)
        await api.depend({"id": ids["objective_id"]}, await api.team(f"Other team {number}"))
        await api.check_in({"id": ids["key_result_id"]}, value=160 + number)
        await api.block({"id": ids["key_result_id"]}, {"id": ids["person_id"]}, f"{number}")
        draft = {"title": f"Key result {number}", "measure": METRIC}
        await api.post(f"/objectives/{ids['objective_id']}/key-results", draft)
    for _ in range(2):
        await api.cycle("planned")
    await api.move(cycle, "begin-scoring")
    for number in range(4):
        await api.post(f"/cycles/{cycle['id']}/reflections", {"worked": [f"Thing {number}"]})
    return stage


async def _page(stage: Stage, route: APIRoute, **query: Any) -> tuple[Json, httpx.Response]:
    answer = await stage.call(route, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json(), answer


async def _walk(stage: Stage, route: APIRoute, **query: Any) -> list[list[Json]]:
    """The items of every page, by `next_page_token`."""
    pages, token = [], None
    while True:
        page, _ = await _page(stage, route, **query, **({"page_token": token} if token else {}))
        pages.append(page["items"])
        token = page["next_page_token"]
        if token is None:
            return pages
        assert len(pages) < 200, "the pages have no end"


def test_every_list_is_paged() -> None:
    assert {route.operation_id for route in _LISTS} == {
        "list_decisions",
        "list_people",
        "list_teams",
        "list_team_objectives",
        "list_workshops",
        "list_coaches",
        "list_cycles",
        "list_reflections",
        "list_warnings",
        "list_objectives",
        "list_key_results",
        "list_check_ins",
        "list_alignments",
        "list_dependencies",
        "list_blockers",
        "get_cycle_history",
        "get_cycle_timeline",
        "get_objective_timeline",
        "get_key_result_timeline",
        "get_diff",
        "list_events",
        "list_api_keys",
        "list_kpis",
        "list_readings",
        "list_webhooks",
        "list_deliveries",
    }


@each_of(_LISTS)
async def test_a_list_is_walked_page_by_page(route: APIRoute, crowd: Stage) -> None:
    whole, _ = await _page(crowd, route, page_size=500)
    items, number = whole["items"], len(whole["items"])
    assert number >= 3
    assert whole["next_page_token"] is None
    assert len({json.dumps(item, sort_keys=True) for item in items}) == number
    for size in sorted({1, 2, 3, 5, number - 1, number, number + 1}):
        pages = await _walk(crowd, route, page_size=size)
        assert [item for page in pages for item in page] == items
        assert {len(page) for page in pages[:-1]} <= {size}
        assert 1 <= len(pages[-1]) <= size


@each_of(_LISTS)
async def test_the_link_of_a_page_leads_to_the_next_one(route: APIRoute, crowd: Stage) -> None:
    whole, last = await _page(crowd, route, page_size=500)
    assert "Link" not in last.headers
    page, answer = await _page(crowd, route, page_size=1)
    seen = page["items"]
    while "Link" in answer.headers:
        link = answer.headers["Link"]
        assert link.startswith("</v1/organizations/")
        assert link.endswith('>; rel="next"')
        answer = await crowd.api.client.get(
            link[1 : link.index(">")], headers={"Authorization": f"Bearer {crowd.api.key}"}
        )
        assert answer.status_code == 200, answer.text
        seen += answer.json()["items"]
    assert seen == whole["items"]


async def test_an_oversize_page_is_a_page_of_500(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    drafts = [{"title": f"Key result {number}", "measure": METRIC} for number in range(20)]
    for _ in range(25):
        await api.objective(cycle, team, key_results=drafts)
    await api.objective(cycle, team)
    for size in ("501", "100000", str(2**62), str(10**30)):
        page = await api.get("/key-results", page_size=size)
        assert len(page["items"]) == 500
        rest = await api.get("/key-results", page_size=size, page_token=page["next_page_token"])
        assert len(rest["items"]) == 1
        assert rest["next_page_token"] is None


async def test_a_page_has_50_items_unless_more_are_asked_for(api: Api) -> None:
    for number in range(51):
        await api.team(f"Team {number}")
    page = await api.get("/teams")
    assert [item["name"] for item in page["items"]] == [f"Team {n}" for n in range(50)]
    assert [item["name"] for item in (await api.get("/teams", page_size=51))["items"]][50:] == [
        "Team 50"
    ]


@pytest.mark.parametrize("size", ["0", "-1", "x", "1.5", "", "true", "1e2", "\N{SUPERSCRIPT TWO}"])
async def test_what_is_no_page_size_is_refused(api: Api, size: str) -> None:
    answer = await api.request("GET", "/people", params={"page_size": size})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert answer.json()["errors"][0]["pointer"] == "page_size"


# Tokens -----------------------------------------------------------------------------------


async def _token(stage: Stage, path: str, **query: Any) -> str:
    page = await stage.api.get(path, page_size=1, **query)
    assert page["next_page_token"] is not None
    return str(page["next_page_token"])


async def _status(stage: Stage, path: str, **query: Any) -> tuple[int, str]:
    answer = await stage.api.request("GET", path, params=query)
    return answer.status_code, answer.json().get("type", "")


_MISFIT = (400, "/problems/page-token")


async def test_a_token_fits_only_the_query_that_it_came_from(crowd: Stage) -> None:
    cycle = crowd.ids["cycle_id"]
    token = await _token(crowd, "/objectives", cycle_id=cycle)
    fits = {"cycle_id": cycle, "page_token": token}
    assert (await _status(crowd, "/objectives", **fits))[0] == 200
    # Another size is no other query.
    assert (await _status(crowd, "/objectives", **fits, page_size=7))[0] == 200
    for changed in ({"status": "draft"}, {"as_of": await crowd.api.head()}):
        assert await _status(crowd, "/objectives", **fits, **changed) == _MISFIT
    assert await _status(crowd, "/objectives", page_token=token) == _MISFIT
    other = {**fits, "cycle_id": crowd.ids["team_id"]}
    assert await _status(crowd, "/objectives", **other) == _MISFIT
    assert await _status(crowd, "/key-results", **fits) == _MISFIT
    assert await _status(crowd, "/people", page_token=token) == _MISFIT


async def test_the_order_of_a_query_is_no_other_query(crowd: Stage) -> None:
    query = {"cycle_id": crowd.ids["cycle_id"], "status": "draft"}
    token = await _token(crowd, "/objectives", **query)
    turned = dict(reversed(query.items()))
    assert (await _status(crowd, "/objectives", page_token=token, **turned))[0] == 200


async def test_a_token_of_another_organization_fits_nothing(
    crowd: Stage, http: httpx.AsyncClient, operator_key: str
) -> None:
    other = await Api.found(http, operator_key)
    answer = await other.request(
        "GET", "/people", params={"page_token": await _token(crowd, "/people")}
    )
    assert (answer.status_code, answer.json()["type"]) == _MISFIT


def _encoded(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "!!!!",
        "\N{SNOWMAN}",
        "=" * 10,
        "A" * 500,
        _encoded("null"),
        _encoded("[]"),
        _encoded("{}"),
        _encoded("7"),
        _encoded('"7"'),
        _encoded("[1]"),
        _encoded("[1, 2, 3]"),
        _encoded('{"a": 1, "b": 2}'),
        _encoded("[" * 370),
        _encoded("[" * 180 + "]" * 180),
        _encoded("[1, NaN]"),
        _encoded("9" * 370),
        _encoded(b"\xff\xfe\xfd"),
        _encoded('[1, "\\ud800"]'),
    ],
    ids=range(20),
)
async def test_what_is_no_token_is_refused(api: Api, token: str) -> None:
    answer = await api.request("GET", "/people", params={"page_token": token})
    assert (answer.status_code, answer.json()["type"]) == _MISFIT
    assert answer.json()["errors"][0]["pointer"] == "page_token"


async def test_a_huge_token_is_refused_unread(api: Api) -> None:
    answer = await api.request("GET", "/people", params={"page_token": "A" * 1_000})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")


@pytest.mark.parametrize(
    "after",
    ["-1", "1.5", "null", '"1"', "[]", "1e400", "NaN", str(2**62), str(2**63), "9" * 300],
)
async def test_a_forged_token_never_fails_the_server(crowd: Stage, after: str) -> None:
    token = await _token(crowd, "/people")
    padded = token + "=" * (-len(token) % 4)
    _, fingerprint = json.loads(base64.urlsafe_b64decode(padded))
    forged = _encoded(f'[{after}, "{fingerprint}"]')
    assert await _status(crowd, "/people", page_token=forged) == _MISFIT


# While the ledger goes on -----------------------------------------------------------------


@pytest.mark.parametrize("by_moment", [False, True])
async def test_a_walk_through_the_past_stays_at_its_moment(api: Api, by_moment: bool) -> None:
    teams = [await api.team(f"Team {number}") for number in range(4)]
    ledger = await api.get("/ledger")
    then = ledger["at"] if by_moment else ledger["head"]
    seen, token = [], None
    for _ in range(4):
        page = await api.get(
            "/teams", page_size=1, as_of=then, **({"page_token": token} if token else {})
        )
        seen += page["items"]
        token = page["next_page_token"]
        await api.team("Later")
        await api.patch(f"/teams/{teams[3]['id']}", {"name": f"Renamed {len(seen)}"})
    assert [team["name"] for team in seen] == [f"Team {number}" for number in range(4)]
    assert token is None


async def test_a_walk_through_the_present_misses_nothing_that_was_there(api: Api) -> None:
    for number in range(3):
        await api.post("/cycles", {**QUARTER, "name": f"Cycle {number}"})
    page = await api.get("/cycles", page_size=2)
    await api.post("/cycles", {**QUARTER, "name": "Cycle 3"})
    rest = await api.get("/cycles", page_size=2, page_token=page["next_page_token"])
    assert [cycle["name"] for cycle in page["items"] + rest["items"]] == [
        f"Cycle {number}" for number in range(4)
    ]
