"""Roles: what a person may do follows from what they are, and reaches as far as that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from app.domain.access import SCOPES_OF, Role, Scope
from tests.api.programme import METRIC, QUARTER, UNKNOWN, Api, Json

_ALL = sorted(Scope)


async def _as(api: Api, person: Json, *scopes: str) -> Api:
    return await api.key_for(*(scopes or _ALL), person_id=person["id"])


async def _join(api: Api, team: Json, person: Json, role: str = "member") -> None:
    await api.put(f"/teams/{team['id']}/members/{person['id']}", {"role": role})


async def _refused(key: Api, name: str, method: str, path: str, body: Json | None = None) -> Json:
    """The problem that somebody who may not read the history is answered with."""
    answer = await key.request(method, path, json=body)
    problem: Json = answer.json()
    assert problem.get("type") == f"/problems/{name}", answer.text
    return problem


class _House:
    """A company over Sales and Growth; Growth is over Search. Everybody has a key of all scopes."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.teams: dict[str, Json] = {}
        self.people: dict[str, Json] = {}
        self.keys: dict[str, Api] = {}
        self.goals: dict[str, Json] = {}

    async def build(self) -> _House:
        api = self.api
        company = await api.team("Harbour", level="company")
        growth = await api.team("Growth", parent_id=company["id"])
        search = await api.team("Search", parent_id=growth["id"])
        sales = await api.team("Sales", parent_id=company["id"])
        self.teams = {"company": company, "growth": growth, "search": search, "sales": sales}
        for name, team, role in (
            ("chief", company, "leader"),
            ("lead", growth, "leader"),
            ("member", search, "member"),
            ("seller", sales, "member"),
        ):
            self.people[name] = await api.person(name)
            await _join(api, team, self.people[name], role)
        for name in ("coach", "guest", "auditor", "newcomer"):
            self.people[name] = await api.person(name)
        self.people["admin"] = await api.admin()
        await api.coach(self.people["coach"], search)
        await api.put(f"/people/{self.people['auditor']['id']}/roles/auditor", {})
        self.keys = {name: await _as(api, self.people[name]) for name in _REACH}
        await api.decide("levels", owners=["company", "team", "individual"])
        self.cycle = await api.cycle()
        for name, team in self.teams.items():
            self.goals[name] = await api.commit(await api.objective(self.cycle, team))
        for name in ("member", "seller"):
            owner = {"kind": "person", "id": self.people[name]["id"]}
            self.goals[name] = await api.commit(
                await api.objective(self.cycle, growth, owner=owner)
            )
        await api.open_anyway(self.cycle)
        return self


@pytest.fixture(scope="module")
async def house(http: httpx.AsyncClient, operator_key: str) -> _House:
    return await _House(await Api.found(http, operator_key)).build()


_REACH: Mapping[str, set[str]] = {
    "admin": {"company", "growth", "search", "sales", "member", "seller"},
    "chief": {"company", "growth", "search", "sales", "member", "seller"},
    "lead": {"growth", "search", "member"},
    "coach": {"search", "member"},
    "member": {"search", "member"},
    "seller": {"sales", "seller"},
    "guest": set(),
    "auditor": set(),
}


@pytest.mark.parametrize("goal", ["company", "growth", "search", "sales", "member", "seller"])
@pytest.mark.parametrize("who", sorted(_REACH))
async def test_one_checks_in_on_what_is_within_reach_and_on_nothing_else(
    house: _House, who: str, goal: str
) -> None:
    key_result = house.goals[goal]["key_results"][0]
    before = await house.api.head()
    path = f"/key-results/{key_result['id']}/check-ins"
    answer = await house.keys[who].request("POST", path, json={"value": 120})
    if goal in _REACH[who]:
        assert answer.status_code == 201, answer.text
        (event,) = (await house.api.get("/events", after=before))["items"]
        assert event["actor"] == f"person/{house.people[who]['id']}"
    else:
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/out-of-reach")
        assert await house.api.head() == before


def _attempts(house: _House) -> dict[str, tuple[str, str, Json]]:
    """Commands that concern different people, and are refused to those whom they are not for."""
    search, growth = house.teams["search"], house.teams["growth"]
    person = house.people["newcomer"]
    cycle = house.cycle
    draft = {
        "cycle_id": cycle["id"],
        "owner": {"kind": "team", "id": search["id"]},
        "title": "Whoever searches finds what they need",
        "key_results": [{"title": "Searches with a click", "measure": METRIC}],
    }
    return {
        "decide": (
            "PUT",
            "/deployment/bottom_up",
            {"decision": {"question": "bottom_up"}, "rationale": "So."},
        ),
        "plan": (
            "POST",
            "/cycles",
            {"name": "Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"},
        ),
        "register": ("POST", "/people", {"name": "Ben Ode"}),
        "form": ("POST", "/teams", {"name": "Ads", "parent_id": growth["id"]}),
        "join": ("PUT", f"/teams/{search['id']}/members/{person['id']}", {"role": "member"}),
        "draft": ("POST", "/objectives", draft),
        "team workshop": (
            "POST",
            "/workshops",
            {
                "kind": "team",
                "title": "OKRs for Search",
                "scheduled_at": "2026-01-12T09:00:00Z",
                "team_id": search["id"],
            },
        ),
        "leadership workshop": (
            "POST",
            "/workshops",
            {"kind": "leadership", "title": "OKRs", "scheduled_at": "2026-01-12T09:00:00Z"},
        ),
        "kpi": (
            "POST",
            "/kpis",
            {
                "name": "Searches",
                "unit": "searches",
                "owner": {"kind": "team", "id": search["id"]},
                "direction": "higher_is_better",
                "healthy": {"low": 500},
            },
        ),
        "key": ("POST", "/api-keys", {"name": "Mine", "scopes": ["read"]}),
        "grant": ("PUT", f"/people/{person['id']}/roles/auditor", {}),
    }


_EVERYTHING = {
    "decide",
    "plan",
    "register",
    "form",
    "join",
    "draft",
    "team workshop",
    "leadership workshop",
    "kpi",
    "key",
    "grant",
}
_MAY: Mapping[str, set[str]] = {
    "admin": _EVERYTHING,
    "chief": _EVERYTHING - {"key", "grant"},
    "lead": {"form", "join", "draft", "team workshop", "kpi"},
    "coach": {"draft", "team workshop", "kpi"},
    "member": {"draft", "kpi"},
    "seller": set(),
    "guest": set(),
    "auditor": set(),
}


@pytest.mark.parametrize("what", sorted(_EVERYTHING))
@pytest.mark.parametrize("who", sorted(_MAY))
async def test_a_command_is_for_whom_it_concerns(house: _House, who: str, what: str) -> None:
    method, path, body = _attempts(house)[what]
    before = await house.api.head()
    answer = await house.keys[who].request(method, path, json=body, headers={"If-Match": "*"})
    if what in _MAY[who]:
        assert answer.status_code in (200, 201), answer.text
    else:
        problem = answer.json()
        assert (answer.status_code, problem["type"]) == (403, "/problems/out-of-reach")
        assert "roles here" in problem["detail"]
        assert await house.api.head() == before


async def test_who_lacks_the_role_is_told_which_role_has_it(house: _House) -> None:
    problem = await _refused(house.keys["member"], "out-of-reach", "GET", "/events")
    assert "history:read" in problem["detail"]
    assert "admin, auditor" in problem["detail"]
    assert (await house.keys["auditor"].get("/events"))["items"]


async def test_everybody_reads_the_state(house: _House) -> None:
    trees = [
        await key.get(f"/cycles/{house.cycle['id']}/tree", as_of=await house.api.head())
        for key in house.keys.values()
    ]
    assert all(tree == trees[0] for tree in trees)


async def test_what_is_unknown_is_not_found_and_not_out_of_reach(house: _House) -> None:
    member = house.keys["member"]
    await _refused(member, "not-found", "POST", f"/key-results/{UNKNOWN}/check-ins", {"value": 1})
    await _refused(member, "not-found", "POST", f"/objectives/{UNKNOWN}:commit")


async def test_the_owner_of_a_key_result_tells_of_it_though_the_objective_is_anothers(
    api: Api,
) -> None:
    ben = await api.person("Ben Ode")
    owner = {"kind": "person", "id": ben["id"]}
    await api.decide("levels", owners=["company", "team", "individual"])
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": "His", "measure": METRIC, "owner": owner}, {"title": "The team's"}]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.open_anyway(cycle)
    his, theirs = objective["key_results"]
    key = await _as(api, ben)
    assert (await key.check_in(his, value=150))["value"] == 150
    path = f"/key-results/{theirs['id']}/check-ins"
    await _refused(key, "out-of-reach", "POST", path, {"value": True})
    await _refused(key, "out-of-reach", "POST", f"/objectives/{objective['id']}:commit")


async def test_the_other_side_accepts_a_dependency_and_the_own_side_withdraws_it(
    house: _House,
) -> None:
    member, seller = house.keys["member"], house.keys["seller"]
    needed = await member.depend(house.goals["search"], house.teams["sales"])
    body = {"person_id": house.people["seller"]["id"]}
    accept = f"/dependencies/{needed['id']}:accept"
    await _refused(member, "out-of-reach", "POST", accept, body)
    assert (await seller.post(accept, body))["status"] == "accepted"
    withdraw = f"/dependencies/{needed['id']}:withdraw"
    await _refused(seller, "out-of-reach", "POST", withdraw, {"reason": "No."})
    assert (await member.post(withdraw, {"reason": "Done."}))["status"] == "withdrawn"


async def test_a_role_follows_the_team_at_once(api: Api) -> None:
    team, ben = await api.team(), await api.person("Ben Ode")
    key = await _as(api, ben)
    cycle = await api.cycle()
    body = {
        "cycle_id": cycle["id"],
        "owner": {"kind": "team", "id": team["id"]},
        "title": "Customers stay because they succeed",
    }
    await _refused(key, "out-of-reach", "POST", "/objectives", body)
    await _join(api, team, ben)
    assert (await key.post("/objectives", body))["owner"]["id"] == team["id"]
    await api.request("DELETE", f"/teams/{team['id']}/members/{ben['id']}")
    await _refused(key, "out-of-reach", "POST", "/objectives", body)


async def test_a_coach_who_was_relieved_reaches_nothing(api: Api) -> None:
    team, ben = await api.team(), await api.person("Ben Ode")
    await api.coach(ben, team)
    key, cycle = await _as(api, ben), await api.cycle()
    objective = await key.objective(cycle, team)
    await api.post(f"/coaches/{ben['id']}:relieve", {})
    await _refused(key, "out-of-reach", "POST", f"/objectives/{objective['id']}:propose")


async def test_a_key_narrows_the_roles_of_its_person(house: _House) -> None:
    narrow = await _as(house.api, house.people["admin"], "read", "check-ins:write")
    await _refused(narrow, "forbidden", "POST", "/people", {"name": "Ben Ode"})
    path = f"/key-results/{house.goals['sales']['key_results'][0]['id']}/check-ins"
    assert (await narrow.request("POST", path, json={"value": 130})).status_code == 201


# Integrations -----------------------------------------------------------------------------


async def test_an_integration_may_be_kept_to_teams(house: _House) -> None:
    teams = [house.teams["search"]["id"]]
    bridge = await house.api.key_for("read", "check-ins:write", teams=teams)
    for goal, status in (("search", 201), ("member", 201), ("growth", 403), ("seller", 403)):
        path = f"/key-results/{house.goals[goal]['key_results'][0]['id']}/check-ins"
        answer = await bridge.request(
            "POST", path, json={"value": 140}, headers={"Idempotency-Key": goal}
        )
        assert answer.status_code == status, (goal, answer.text)
    issued = (await house.api.get("/api-keys"))["items"]
    assert teams in [key["teams"] for key in issued]


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"teams": [UNKNOWN]}, "/teams"),
        ({"teams": "its", "person_id": "hers"}, "/teams"),
        ({"teams": "its", "scopes": ["read", "history:read"]}, "/scopes"),
    ],
)
async def test_a_key_of_teams_that_makes_no_sense_is_refused(
    api: Api, more: dict[str, Any], pointer: str
) -> None:
    if more["teams"] == "its":
        more["teams"] = [(await api.team())["id"]]
    if "person_id" in more:
        more["person_id"] = (await api.person())["id"]
    answer = await api.request("POST", "/api-keys", json={"name": "B", "scopes": ["read"], **more})
    assert answer.status_code in (404, 409), answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_an_import_is_judged_item_by_item(api: Api) -> None:
    team = await api.team()
    bridge = await api.key_for("read", "imports:write", teams=[team["id"]])
    document = {
        "source": "sheet",
        "cycle": QUARTER,
        "owners": [{"key": "ads", "name": "Ads"}],
        "objectives": [{"key": "stay", "owner": "ads", "title": "Customers stay"}],
    }
    report = await bridge.post("/imports", document)
    refused = {item["kind"] for item in report["items"] if item["outcome"] == "refused"}
    assert refused >= {"owners", "cycles", "objectives"}
    assert "created" not in {item["outcome"] for item in report["items"]}
    assert {item["problem"]["type"] for item in report["items"]} >= {"/problems/out-of-reach"}
    by_admin = await api.post("/imports", document)
    assert {item["outcome"] for item in by_admin["items"]} == {"created"}


# Granting ---------------------------------------------------------------------------------


async def test_a_role_is_granted_and_withdrawn_by_events_with_their_reasons(api: Api) -> None:
    person = await api.person()
    here = f"/people/{person['id']}/roles"
    granted = await api.put(f"{here}/auditor", {"reason": "The yearly audit."})
    assert [(one["role"], one["reason"]) for one in granted["roles"]] == [
        ("auditor", "The yearly audit."),
        ("member", None),
    ]
    before = await api.head()
    await api.put(f"{here}/auditor", {"reason": "Once more."})
    assert await api.head() == before
    answer = await api.request("DELETE", f"{here}/auditor")
    assert [one["role"] for one in answer.json()["roles"]] == ["member"]
    await api.refused("invalid-state", "DELETE", f"{here}/auditor")
    kinds = [event["type"] for event in (await api.get("/events"))["items"]]
    assert kinds[-2:] == ["role.granted", "role.withdrawn"]
    past = await api.get(here, as_of=before)
    assert [one["role"] for one in past["roles"]] == ["auditor", "member"]


async def test_nobody_grants_a_role_that_may_more_than_they(api: Api) -> None:
    keeper = await api.key_for("keys:write", "read", "history:read")
    person = await api.person()
    here = f"/people/{person['id']}/roles"
    await _refused(keeper, "refused", "PUT", f"{here}/admin", {})
    assert (await keeper.put(f"{here}/auditor", {}))["roles"][0]["role"] == "auditor"


async def test_somebody_who_left_has_no_role(api: Api) -> None:
    person = await api.admin()
    await api.post(f"/people/{person['id']}:depart")
    assert (await api.get(f"/people/{person['id']}/roles"))["roles"] == []


# Who am I ---------------------------------------------------------------------------------


async def test_a_caller_is_told_what_they_may_do(house: _House) -> None:
    me = await house.keys["lead"].get("/me")
    assert me["person_id"] == house.people["lead"]["id"]
    leader, member = me["roles"]
    assert (leader["role"], member["role"]) == ("leader", "member")
    below = {house.teams["growth"]["id"], house.teams["search"]["id"]}
    assert set(leader["reach"]["teams"]) >= below
    assert house.teams["sales"]["id"] not in leader["reach"]["teams"]
    assert set(leader["reach"]["people"]) >= {
        house.people["lead"]["id"],
        house.people["member"]["id"],
    }
    assert set(leader["scopes"]) == SCOPES_OF[Role.LEADER]
    narrow = await _as(house.api, house.people["lead"], "read")
    assert (await narrow.get("/me"))["scopes"] == ["read"]
    assert (await house.api.get("/me"))["person_id"] is None


# Individual scores ------------------------------------------------------------------------


async def _scored_house(house: _House, *visible_to: str) -> Json:
    """The member's own goal, scored; who may see that was decided."""
    decided = {"link": "informs", "individual_scores_visible_to": list(visible_to)}
    await house.api.decide("performance_reviews", **decided)
    cycle = await house.api.get(f"/cycles/{house.cycle['id']}")
    if cycle["phase"] == "active":
        await house.api.post(f"/cycles/{house.cycle['id']}:begin-scoring")
        for goal in ("member", "search"):
            await house.api.score(house.goals[goal]["key_results"][0])
    return house.goals["member"]


_SEES: Mapping[tuple[str, ...], set[str]] = {
    ("everyone",): {*_REACH},
    ("owner",): {"member"},
    ("team",): {"member", "coach"},
    ("leader",): {"lead", "chief"},
    ("owner", "leader"): {"member", "lead", "chief"},
}


@pytest.mark.parametrize("visible_to", sorted(_SEES))
async def test_individual_scores_are_seen_by_those_whom_the_decision_names(
    house: _House, visible_to: tuple[str, ...]
) -> None:
    goal = await _scored_house(house, *visible_to)
    key_result = goal["key_results"][0]["id"]
    cycle = house.cycle["id"]
    # Whoever may read the history sees all.
    sees = _SEES[visible_to] | {"admin", "auditor"}
    for who, key in house.keys.items():
        seen = who in sees
        shown = await key.get(f"/key-results/{key_result}")
        assert (shown["score"] is not None) == seen, (who, shown)
        assert (shown["computed_score"] is not None) == seen, who
        assert (shown["withheld"] is None) == seen, who
        assert ((await key.get(f"/key-results/{key_result}/score"))["score"] is not None) == seen
        assert ((await key.get(f"/objectives/{goal['id']}"))["score"] is not None) == seen
        for path in (f"/key-results/{key_result}/explain", f"/objectives/{goal['id']}/explain"):
            explained = await key.request("GET", path)
            assert explained.status_code == (200 if seen else 403), (who, explained.text)
            if not seen:
                assert explained.json()["type"] == "/problems/scores-withheld"
        lineage = await key.get(f"/objectives/{goal['id']}/lineage")
        assert (lineage["steps"][0]["score"] is not None) == seen
        tree = await key.get(f"/cycles/{cycle}/tree")
        assert tree["summary"]["scored"] == (2 if seen else 1)
        other = {"rules": {"question": "scoring", "system": "radical_focus"}}
        what_if = await key.post(f"/cycles/{cycle}:what-if", other)
        listed = [one["key_result_id"] for one in what_if["key_results"]]
        assert (key_result in listed) == seen
        review = await key.get(f"/people/{house.people['member']['id']}/review")
        assert (review["key_results"][0]["score"] is not None) == seen
        # What a team owns is the team's to show.
        shared = house.goals["search"]["key_results"][0]["id"]
        assert (await key.get(f"/key-results/{shared}"))["score"] is not None


async def test_a_stricter_decision_holds_for_the_past_too(house: _House) -> None:
    goal = await _scored_house(house, "everyone")
    then = await house.api.head()
    await _scored_house(house, "owner")
    path = f"/key-results/{goal['key_results'][0]['id']}"
    assert (await house.keys["seller"].get(path, as_of=then))["score"] is None
    assert (await house.keys["member"].get(path, as_of=then))["score"] is not None


async def test_a_key_that_stands_for_nobody_sees_scores_if_it_may_read_the_history(
    house: _House,
) -> None:
    goal = await _scored_house(house, "leader")
    path = f"/key-results/{goal['key_results'][0]['id']}"
    board, audit = [await house.api.key_for("read", *more) for more in ((), ("history:read",))]
    assert (await board.get(path))["score"] is None
    assert (await audit.get(path))["score"] is not None


async def test_an_identity_is_linked_and_unlinked_by_events(api: Api) -> None:
    person = await api.person()
    here = f"/people/{person['id']}/identity"
    body = {"issuer": "https://login.example.org", "subject": "00u1"}
    assert (await api.put(here, body))["issuer"] == "https://login.example.org"
    answer = await api.request("DELETE", here)
    assert (answer.status_code, answer.json()["issuer"]) == (200, None)
    kinds = [event["type"] for event in (await api.get("/events"))["items"]]
    assert kinds[-2:] == ["person.identity_linked", "person.identity_unlinked"]
