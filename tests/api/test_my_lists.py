"""What is mine and what is a team's; lists of goals that are narrowed and sorted."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers


@dataclass(frozen=True)
class Office:
    """Ada, member of Growth, asks; Ben and Sales are others. Six goals, some of them hers."""

    api: Api
    ada: Api
    person: Json
    growth: Json
    sales: Json
    cycle: Json
    goals: dict[str, Json]


async def _office(api: Api) -> Office:
    await api.decide("levels", owners=["company", "team", "individual"])
    cycle, growth, sales = await api.cycle(), await api.team(), await api.team("Sales")
    ada, ben = await api.admin("Ada Park"), await api.person("Ben Ruiz")
    await api.put(f"/teams/{growth['id']}/members/{ada['id']}", {"role": "member"})

    def given(kind: str, to: Json) -> Json:
        owner = {"kind": kind, "id": to["id"]}
        parts = [{"title": "Part", "measure": METRIC, "owner": owner}, {"title": "Rest"}]
        return {"key_results": parts}

    def own(person: Json) -> Json:
        return {"owner": {"kind": "person", "id": person["id"]}}

    goals = {
        "Own": await api.objective(cycle, ada, title="Own", **own(ada)),
        "Given": await api.objective(cycle, sales, title="Given", **given("person", ada)),
        "Teams": await api.objective(cycle, growth, title="Teams"),
        "To the team": await api.objective(
            cycle, sales, title="To the team", **given("team", growth)
        ),
        "Handed on": await api.objective(cycle, growth, title="Handed on", **given("person", ben)),
        "Other": await api.objective(cycle, ben, title="Other", **own(ben)),
    }
    key = await api.key_for("read", person_id=ada["id"])
    return Office(api, key, ada, growth, sales, cycle, goals)


def _titles(page: Json) -> list[str]:
    return [item["title"] for item in page["items"]]


# Mine -------------------------------------------------------------------------------------


async def test_my_objectives_are_those_i_own_was_given_a_part_of_or_have_through_a_team(
    api: Api,
) -> None:
    office = await _office(api)
    page = await office.ada.get("/me/objectives")
    assert {item["title"]: item["because"] for item in page["items"]} == {
        "Own": ["owner"],
        "Given": ["given"],
        "Teams": ["team"],
        "To the team": ["team"],
        "Handed on": ["team"],
    }
    for item in page["items"]:
        del item["because"]
        assert item == await office.ada.get(f"/objectives/{item['id']}")


async def test_my_objectives_can_be_narrowed_sorted_and_walked(api: Api) -> None:
    office = await _office(api)
    ask = office.ada.get
    assert _titles(await ask("/me/objectives", text="TEAM")) == ["Teams", "To the team"]
    assert _titles(await ask("/me/objectives", status="committed")) == []
    other = await api.cycle()
    assert _titles(await ask("/me/objectives", cycle_id=other["id"])) == []
    whole = _titles(await ask("/me/objectives", sort="-title"))
    assert whole == ["To the team", "Teams", "Own", "Handed on", "Given"]
    first = await ask("/me/objectives", sort="-title", page_size=2)
    token = first["next_page_token"]
    rest = await ask("/me/objectives", sort="-title", page_size=9, page_token=token)
    assert _titles(first) + _titles(rest) == whole


async def test_a_part_that_was_removed_makes_nothing_mine(api: Api) -> None:
    office = await _office(api)
    part = office.goals["Given"]["key_results"][0]
    await api.post(f"/key-results/{part['id']}:remove", {})
    assert "Given" not in _titles(await office.ada.get("/me/objectives"))


@pytest.mark.parametrize("path", ["/me/objectives", "/me/check-ins-due"])
async def test_a_key_that_stands_for_nobody_is_told_so(api: Api, path: str) -> None:
    for key in (api, await api.key_for("read")):
        answer = await key.request("GET", path)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/stands-for-nobody")
        assert "stands for nobody" in answer.json()["detail"]


async def test_a_teams_objectives_are_those_it_owns_or_was_given_a_part_of(api: Api) -> None:
    office = await _office(api)
    path = f"/teams/{office.growth['id']}/objectives"
    assert _titles(await api.get(path)) == ["Teams", "To the team", "Handed on"]
    assert _titles(await api.get(path, sort="title")) == ["Handed on", "Teams", "To the team"]
    assert _titles(await api.get(path, text="teams", health="pending")) == ["Teams"]


@pytest.mark.parametrize("path", ["objectives", "check-ins-due"])
async def test_a_team_that_is_unknown_has_no_lists(api: Api, path: str) -> None:
    await api.refused("not-found", "GET", f"/teams/{UNKNOWN}/{path}")
    await api.refused("invalid", "GET", f"/teams/{(await api.team())['id']}/{path}?limit=3")


# Due --------------------------------------------------------------------------------------


async def _running(office: Office) -> None:
    for name, goal in office.goals.items():
        if name != "Teams":
            await office.api.commit(goal)
    await office.api.open_anyway(office.cycle)


async def test_check_ins_are_due_from_whoever_a_key_result_was_given_to_or_else_the_owner(
    api: Api,
) -> None:
    office = await _office(api)
    assert (await office.ada.get("/me/check-ins-due", until="2099-12-31"))["items"] == []
    await _running(office)
    page = await office.ada.get("/me/check-ins-due", until="2099-12-31")
    found = {(item["objective_title"], item["title"]) for item in page["items"]}
    # Teams is a draft, and in Handed on a part is another's.
    mine = {("Own", "Active customers"), ("Given", "Part"), ("To the team", "Part")}
    assert found == mine | {("Handed on", "Rest")}
    for item in page["items"]:
        key_result = await api.get(f"/key-results/{item['key_result_id']}")
        assert item["due_at"] == key_result["check_in_due_at"]
        assert (item["overdue"], item["late_days"]) == (False, 0)
    owners = {item["objective_title"]: item["owner"]["name"] for item in page["items"]}
    assert (owners["Given"], owners["Handed on"]) == ("Ada Park", "Growth")

    team = await api.get(f"/teams/{office.growth['id']}/check-ins-due", until="2099-12-31")
    assert {(i["objective_title"], i["title"]) for i in team["items"]} == {
        ("To the team", "Part"),
        ("Handed on", "Rest"),
    }


async def test_what_is_due_comes_in_the_order_of_time_and_says_how_late_it_is(api: Api) -> None:
    await api.decide("cadence", check_in_every_days=7, check_in_grace_days=1)
    cycle, team = await api.cycle(starts_on="2024-01-01", ends_on="2024-03-31"), await api.team()
    parts = [{"title": title, "measure": METRIC} for title in ("Never", "Late", "Later", "Fresh")]
    goal = await api.commit(await api.objective(cycle, team, key_results=parts))
    cycle = await api.move(cycle, "open")
    now = datetime.fromisoformat((await api.get("/ledger"))["at"])
    for part, days in zip(goal["key_results"][1:], (10, 30, 0), strict=True):
        said = {"value": 120, "occurred_at": (now - timedelta(days=days)).isoformat()}
        await api.check_in(part, **said)

    path = f"/teams/{team['id']}/check-ins-due"
    page = await api.get(path)
    shown = [(item["title"], item["overdue"], item["late_days"]) for item in page["items"]]
    assert shown == [
        ("Later", True, 22),
        ("Late", True, 2),
        ("Never", False, 0),
        ("Fresh", False, 0),
    ]
    assert [item["health"] for item in page["items"][:2]] == ["outdated"] * 2
    soon = await api.get(path, until=now.date().isoformat())
    assert [item["title"] for item in soon["items"]] == ["Later", "Late"]

    walked, token = [], None
    for _ in range(4):
        query: Json = {} if token is None else {"page_token": token}
        one = await api.get(path, page_size=1, **query)
        walked += one["items"]
        token = one["next_page_token"]
    assert [item["title"] for item in walked] == ["Later", "Late", "Never", "Fresh"]
    assert token is None


async def test_a_walk_by_what_is_due_misses_nothing_when_somebody_checks_in_meanwhile(
    api: Api,
) -> None:
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": f"{number}", "measure": METRIC} for number in range(4)]
    goal = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.open_anyway(cycle)
    path = f"/teams/{team['id']}/check-ins-due"
    until = {"until": "2099-12-31"}
    page = await api.get(path, page_size=2, **until)
    await api.check_in(goal["key_results"][1], value=120)
    rest = await api.get(path, page_size=9, page_token=page["next_page_token"], **until)
    assert [item["title"] for item in page["items"] + rest["items"]] == ["0", "1", "2", "3", "1"]


@pytest.mark.parametrize("until", ["x", "2026-13-01", "1700000000", ""])
async def test_a_day_that_is_none_is_invalid(api: Api, until: str) -> None:
    path = f"/teams/{(await api.team())['id']}/check-ins-due"
    answer = await api.request("GET", path, params={"until": until})
    assert (answer.status_code, pointers(answer.json())) == (422, ["until"])


# Lists of goals ---------------------------------------------------------------------------


async def test_objectives_are_narrowed_by_owner_level_health_and_text(api: Api) -> None:
    office = await _office(api)
    company = await api.team("Harbour", level="company")
    await api.objective(office.cycle, company, title="Company")
    sales = office.sales["id"]
    for query, titles in (
        ({"owner_kind": "person"}, ["Own", "Other"]),
        ({"level": "individual"}, ["Own", "Other"]),
        ({"level": "company"}, ["Company"]),
        ({"level": "team", "text": "team"}, ["Teams", "To the team"]),
        ({"level": "team", "owner_id": sales}, ["Given", "To the team"]),
        ({"level": "company", "owner_id": sales}, []),
        ({"level": "individual", "owner_kind": "team"}, []),
        ({"owner_id": sales, "owner_kind": "team", "status": "draft"}, ["Given", "To the team"]),
        ({"health": "on_track"}, []),
        ({"text": "%"}, []),
    ):
        assert _titles(await api.get("/objectives", **query)) == titles, query


async def test_key_results_are_narrowed_by_whoever_they_were_given_to(api: Api) -> None:
    office = await _office(api)
    await api.commit(office.goals["Own"])
    for query, count in (
        ({"owner_id": office.person["id"]}, 2),
        ({"level": "individual"}, 4),
        ({"level": "team", "text": "REST"}, 3),
        ({"owner_kind": "team", "owner_id": office.growth["id"]}, 3),
        ({"status": "committed"}, 1),
        ({"status": "draft", "owner_id": office.person["id"], "health": "pending"}, 1),
        ({"level": "company"}, 0),
    ):
        assert len((await api.get("/key-results", **query))["items"]) == count, query


@pytest.mark.parametrize("sort", ["title", "-title", "progress", "-progress", "health", "owner"])
async def test_a_sorted_list_is_walked_page_by_page(api: Api, sort: str) -> None:
    cycle, teams = await api.cycle(), [await api.team(name) for name in ("b", "A")]
    goals = [
        await api.commit(await api.objective(cycle, teams[n % 2], title="xXyYz"[n]))
        for n in range(5)
    ]
    await api.open_anyway(cycle)
    for n, value in ((0, 150), (1, 110), (3, 150)):
        await api.check_in(goals[n]["key_results"][0], value=value, health="at_risk")
    whole = (await api.get("/objectives", sort=sort))["items"]
    assert sorted(goal["id"] for goal in whole) == sorted(goal["id"] for goal in goals)
    for size in (1, 2, 3, 5):
        walked, query = list[Json](), dict[str, Any]()
        while True:
            page = await api.get("/objectives", sort=sort, page_size=size, **query)
            walked += page["items"]
            query = {"page_token": page["next_page_token"]}
            if query["page_token"] is None:
                break
        assert walked == whole
    if sort == "-progress":
        assert _titles({"items": whole}) == ["x", "Y", "X", "y", "z"]


async def test_key_results_are_sorted_by_when_they_are_due(api: Api) -> None:
    office = await _office(api)
    await _running(office)
    first = office.goals["Own"]["key_results"][0]
    await api.check_in(first, value=120)
    found = (await api.get("/key-results", sort="-due"))["items"]
    assert found[0]["id"] == first["id"]
    assert [one["check_in_due_at"] for one in found][-1] is None


@pytest.mark.parametrize(
    "query",
    ["sort=size", "sort=", "level=group", "text=", "health=green", "owner_kind=x", "sort=due"],
)
async def test_what_no_list_can_be_asked_for_is_invalid(api: Api, query: str) -> None:
    problem = await api.refused("invalid", "GET", f"/objectives?{query}")
    assert pointers(problem) == [query.partition("=")[0]]


@pytest.mark.parametrize("key", [["x"], [True], [[]], [{}], [1, 2], ["a" * 200], [None]])
async def test_a_forged_key_in_a_token_never_fails_the_server(api: Api, key: list[Any]) -> None:
    cycle, team = await api.cycle(), await api.team()
    for _ in range(2):
        await api.objective(cycle, team)
    for sort in ("progress", "title"):
        page = await api.get("/objectives", sort=sort, page_size=1)
        token = page["next_page_token"]
        after, of_query, _ = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        content = json.dumps([after, of_query, *key]).encode()
        forged = base64.urlsafe_b64encode(content).decode().rstrip("=")
        query = {"sort": sort, "page_token": forged}
        answer = await api.request("GET", "/objectives", params=query)
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            assert answer.json()["type"] == "/problems/page-token"


async def test_a_token_of_one_order_fits_no_other(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    for _ in range(2):
        await api.objective(cycle, team)
    token = (await api.get("/objectives", sort="title", page_size=1))["next_page_token"]
    for query in ("sort=-title", "sort=progress", "text=e&sort=title", "status=draft"):
        await api.refused("page-token", "GET", f"/objectives?{query}&page_token={token}")
