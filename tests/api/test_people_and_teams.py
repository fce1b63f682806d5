"""People come and go; teams form a tree."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from tests.api.programme import UNKNOWN, Api, Json, pointers

# People -----------------------------------------------------------------------------------


async def test_a_registered_person_is_found_by_id_and_in_the_list(api: Api) -> None:
    ada = await api.person()
    assert (ada["name"], ada["email"], ada["active"]) == ("Ada Park", "ada@example.org", True)
    assert await api.get(f"/people/{ada['id']}") == ada
    ben = await api.post("/people", {"name": "Ben Ruiz"})
    assert ben["email"] is None
    assert (await api.get("/people"))["items"] == [ada, ben]


async def test_a_name_is_kept_beside_the_ledger_and_never_in_it(api: Api) -> None:
    ada = await api.person()
    (event,) = (await api.get("/events", type="person.registered"))["items"]
    assert event["data"]["person_id"] == ada["id"]
    assert "Ada" not in str(event["data"])
    assert "ada@example.org" not in str(event["data"])


async def test_an_entry_is_corrected_field_by_field(api: Api) -> None:
    ada = await api.person()
    path = f"/people/{ada['id']}"
    renamed = await api.patch(path, {"name": "Ada Lind"})
    assert renamed == {**ada, "name": "Ada Lind", "version": 2}
    unreachable = await api.patch(path, {"email": None})
    assert unreachable == {**renamed, "email": None, "version": 3}
    assert await api.get(path) == unreachable
    await api.refused("invalid", "PATCH", path, {"name": None})
    await api.refused("invalid", "PATCH", path, {"email": "nobody"})
    await api.refused("invalid", "PATCH", path, {"active": False})


async def test_a_correction_is_told_in_the_ledger_without_what_it_says(
    api: Api, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    ada = await api.person()
    words = {"name": "Ada Lindqvist", "email": "lindqvist@example.org"}
    await api.patch(f"/people/{ada['id']}", words)
    await api.patch(f"/people/{ada['id']}", {"email": None})
    events = (await api.get("/events", type="person.corrected"))["items"]
    assert [event["data"] for event in events] == [
        {"person_id": ada["id"], "corrected": ["name", "email"]},
        {"person_id": ada["id"], "corrected": ["email"]},
    ]
    kept = await owner.fetch("SELECT e::text AS row FROM events e WHERE org_id = $1", UUID(api.org))
    assert len(kept) == await api.head()
    for row in kept:
        assert not [one for one in ("Park", "Lindqvist", "@example.org") if one in row["row"]]
        assert "lindqvist" not in row["row"]
    assert (await api.get("/ledger:verify"))["identical"]


async def test_a_correction_to_what_is_there_is_no_event(api: Api) -> None:
    ada = await api.person()
    before = await api.head()
    for body in ({}, {"name": "Ada Park"}, {"name": "Ada Park", "email": "ada@example.org"}):
        assert await api.patch(f"/people/{ada['id']}", body) == ada
    assert await api.head() == before


async def test_a_correction_is_based_on_what_was_read(api: Api) -> None:
    ada = await api.person()
    path = f"/people/{ada['id']}"
    missing = await api.request("PATCH", path, json={"name": "Ada Lind"})
    assert (missing.status_code, missing.json()["type"]) == (428, "/problems/version-required")
    await api.patch(path, {"name": "Ada Lind"})
    stale = await api.request("PATCH", path, json={"name": "Ada Lund"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    assert (await api.get(path))["name"] == "Ada Lind"


async def test_who_left_can_be_corrected_and_is_named_so_wherever_they_are_shown(api: Api) -> None:
    await api.decide("levels", owners=["individual"])
    ada = await api.person()
    objective = await api.objective(
        await api.cycle(), ada, owner={"kind": "person", "id": ada["id"]}
    )
    await api.post(f"/people/{ada['id']}:depart")
    seen = await api.patch(f"/people/{ada['id']}", {"name": "Ada Lind"})
    assert (seen["name"], seen["active"]) == ("Ada Lind", False)
    shown = await api.get(f"/objectives/{objective['id']}", as_of=await api.head() - 1)
    # The directory has no history: a wrong name is wrong for the past, too.
    assert shown["owner"]["name"] == "Ada Lind"


async def test_who_was_erased_from_the_directory_is_not_entered_again(
    api: Api, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    ada = await api.person()
    await owner.execute("DELETE FROM directory WHERE person_id = $1", UUID(ada["id"]))
    problem = await api.refused("invalid-state", "PATCH", f"/people/{ada['id']}", {"name": "Ada"})
    assert problem["state"] == "erased from the directory"
    assert (await api.get(f"/people/{ada['id']}"))["name"] is None


async def test_a_person_departs_once_and_stays_to_be_seen(api: Api) -> None:
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    gone = await api.post(f"/people/{ada['id']}:depart")
    assert gone == {**ada, "active": False, "version": 2}
    assert (await api.get("/people", active="true"))["items"] == [ben]
    assert (await api.get("/people", active="false"))["items"] == [gone]

    problem = await api.refused("invalid-state", "POST", f"/people/{ada['id']}:depart")
    assert problem["state"] == "no longer with the organisation"
    assert "RecordDeparture does not apply" in problem["detail"]


async def test_what_a_departed_person_owns_stays_theirs(api: Api) -> None:
    await api.decide("levels", owners=["individual"])
    cycle, ada = await api.cycle(), await api.person()
    owner = {"kind": "person", "id": ada["id"]}
    objective = await api.objective(cycle, ada, owner=owner)
    await api.post(f"/people/{ada['id']}:depart")
    seen = await api.get(f"/objectives/{objective['id']}")
    assert seen["owner"] == {**owner, "name": "Ada Park"}
    body = {"cycle_id": cycle["id"], "owner": owner, "title": "One more"}
    assert pointers(await api.refused("not-found", "POST", "/objectives", body)) == ["/owner"]


# Teams ------------------------------------------------------------------------------------


async def test_teams_form_a_tree_below_the_company(api: Api) -> None:
    company = await api.team("Harbour", level="company")
    growth = await api.team("Growth", parent_id=company["id"])
    search = await api.team("Search", parent_id=growth["id"])
    assert (company["level"], company["parent_id"]) == ("company", None)
    assert (growth["level"], growth["parent_id"]) == ("team", company["id"])
    assert (await api.get("/teams"))["items"] == [company, growth, search]
    assert (await api.get("/teams", parent_id=growth["id"]))["items"] == [search]
    assert await api.get(f"/teams/{search['id']}") == search


async def test_a_team_is_renamed_and_moved_in_one_change(api: Api) -> None:
    company = await api.team("Harbour", level="company")
    team = await api.team()
    changed = await api.patch(
        f"/teams/{team['id']}", {"name": "Growth and retention", "parent_id": company["id"]}
    )
    assert (changed["name"], changed["parent_id"]) == ("Growth and retention", company["id"])
    assert changed["version"] == 3


async def test_only_what_is_stated_of_a_team_changes(api: Api) -> None:
    company = await api.team("Harbour", level="company")
    team = await api.team(parent_id=company["id"])
    path = f"/teams/{team['id']}"
    assert (await api.patch(path, {"name": "Sales"}))["parent_id"] == company["id"]
    await api.refused("invalid", "PATCH", path, {"name": None})
    at_the_top = await api.patch(path, {"parent_id": None})
    assert (at_the_top["name"], at_the_top["parent_id"]) == ("Sales", None)


async def test_a_change_of_a_team_to_what_it_is_is_no_event(api: Api) -> None:
    team = await api.team()
    before = await api.head()
    await api.patch(f"/teams/{team['id']}", {"name": "Growth", "parent_id": None})
    assert await api.head() == before


async def test_a_team_never_stands_above_itself(api: Api) -> None:
    top = await api.team("Top")
    middle = await api.team("Middle", parent_id=top["id"])
    bottom = await api.team("Bottom", parent_id=middle["id"])
    for parent in (top, middle, bottom):
        body = {"name": "Renamed", "parent_id": parent["id"]}
        problem = await api.refused("team-loop", "PATCH", f"/teams/{top['id']}", body)
        assert pointers(problem) == ["/parent_id"]
    assert (await api.get(f"/teams/{top['id']}"))["name"] == "Top"

    await api.patch(f"/teams/{bottom['id']}", {"parent_id": None})
    await api.patch(f"/teams/{top['id']}", {"parent_id": bottom["id"]})


async def test_a_team_needs_a_parent_that_is_there(api: Api) -> None:
    team, gone = await api.team(), await api.team("Gone")
    await api.post(f"/teams/{gone['id']}:disband")
    for method, path in (("POST", "/teams"), ("PATCH", f"/teams/{team['id']}")):
        body = {"name": "Below", "parent_id": UNKNOWN}
        problem = await api.refused("not-found", method, path, body)
        assert pointers(problem) == ["/parent_id"]
        assert UNKNOWN in problem["detail"]

        body = {"name": "Below", "parent_id": gone["id"]}
        problem = await api.refused("invalid-state", method, path, body)
        assert problem["state"] == "disbanded"
        assert "Choose another parent_id" in problem["detail"]


async def test_a_company_never_stands_below_a_team(api: Api) -> None:
    team, company = await api.team(), await api.team("Harbour", level="company")
    below = {"name": "Harbour", "parent_id": team["id"]}
    for method, path, body in (
        ("POST", "/teams", {**below, "level": "company"}),
        ("PATCH", f"/teams/{company['id']}", below),
    ):
        assert pointers(await api.refused("refused", method, path, body)) == ["/parent_id"]


# Disbanding -------------------------------------------------------------------------------


async def test_a_team_is_disbanded_once_nothing_hangs_on_it(api: Api) -> None:
    above = await api.team("Above")
    team = await api.team(parent_id=above["id"])
    problem = await api.refused("refused", "POST", f"/teams/{above['id']}:disband")
    assert "1 team(s) stand below this one" in problem["detail"]

    cycle = await api.cycle()
    objective = await api.objective(cycle, team)
    problem = await api.refused("refused", "POST", f"/teams/{team['id']}:disband")
    assert "owns 1 objective(s)" in problem["detail"]

    await api.post(f"/objectives/{objective['id']}:abandon", {"reason": "The team is going."})
    for each in (team, above):
        gone = await api.post(f"/teams/{each['id']}:disband")
        assert (gone["active"], gone["name"]) == (False, each["name"])
    assert [one["id"] for one in (await api.get("/teams", active="false"))["items"]] == [
        above["id"],
        team["id"],
    ]
    assert (await api.get("/teams", active="true"))["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"name": "Back"}),
        ("PATCH", "", {"parent_id": None}),
        ("POST", ":disband", None),
        ("PUT", "/members/{person}", {"role": "member"}),
        ("DELETE", "/members/{person}", None),
    ],
)
async def test_a_disbanded_team_takes_no_more_commands(
    api: Api, method: str, path: str, body: Json | None
) -> None:
    team, person = await api.team(), await api.person()
    await api.post(f"/teams/{team['id']}:disband")
    path = f"/teams/{team['id']}{path.format(person=person['id'])}"
    problem = await api.refused("invalid-state", method, path, body)
    assert problem["state"] == "disbanded"
    assert "Form a new team instead" in problem["detail"]


async def test_a_disbanded_team_owns_nothing_new(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    await api.post(f"/teams/{team['id']}:disband")
    owner = {"kind": "team", "id": team["id"]}
    body = {"cycle_id": cycle["id"], "owner": owner, "title": "x"}
    assert pointers(await api.refused("not-found", "POST", "/objectives", body)) == ["/owner"]


# Members ----------------------------------------------------------------------------------


async def _join(api: Api, team: Json, person: Json, role: str = "member") -> list[tuple[str, str]]:
    seen = await api.put(f"/teams/{team['id']}/members/{person['id']}", {"role": role})
    assert seen == await api.get(f"/teams/{team['id']}")
    return [(member["name"], member["role"]) for member in seen["members"]]


async def test_members_join_and_leave_a_team(api: Api) -> None:
    team, ada, ben = await api.team(), await api.person(), await api.person("Ben Ruiz")
    assert team["members"] == []
    assert await _join(api, team, ada, "leader") == [("Ada Park", "leader")]
    assert await _join(api, team, ben) == [("Ada Park", "leader"), ("Ben Ruiz", "member")]

    path = f"/teams/{team['id']}/members/{ada['id']}"
    left = await api.request("DELETE", path)
    assert [member["person_id"] for member in left.json()["members"]] == [ben["id"]]
    problem = await api.refused("not-found", "DELETE", path)
    assert f"no member {ada['id']}" in problem["detail"]


async def test_joining_again_is_no_event(api: Api) -> None:
    team, ada = await api.team(), await api.person()
    await _join(api, team, ada, "leader")
    before = await api.head()
    assert await _join(api, team, ada, "leader") == [("Ada Park", "leader")]
    assert await api.head() == before


async def test_a_member_becomes_the_leader(api: Api) -> None:
    team, ada = await api.team(), await api.person()
    await _join(api, team, ada)
    assert await _join(api, team, ada, "leader") == [("Ada Park", "leader")]


async def test_only_people_who_are_there_join_a_team(api: Api) -> None:
    team, gone = await api.team(), await api.person()
    await api.post(f"/people/{gone['id']}:depart")
    for person in (UNKNOWN, gone["id"]):
        path = f"/teams/{team['id']}/members/{person}"
        problem = await api.refused("not-found", "PUT", path, {"role": "member"})
        assert f"no person {person}" in problem["detail"]


# Unknown ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/people/{UNKNOWN}", None),
        ("POST", f"/people/{UNKNOWN}:depart", None),
        ("PATCH", f"/people/{UNKNOWN}", {"name": "x"}),
        ("PATCH", f"/people/{UNKNOWN}", {}),
        ("GET", f"/teams/{UNKNOWN}", None),
        ("PATCH", f"/teams/{UNKNOWN}", {"name": "x"}),
        ("PATCH", f"/teams/{UNKNOWN}", {}),
        ("POST", f"/teams/{UNKNOWN}:disband", None),
        ("PUT", f"/teams/{UNKNOWN}/members/{UNKNOWN}", {"role": "member"}),
        ("DELETE", f"/teams/{UNKNOWN}/members/{UNKNOWN}", None),
    ],
)
async def test_an_unknown_person_or_team_is_not_found(
    api: Api, method: str, path: str, body: Json | None
) -> None:
    problem = await api.refused("not-found", method, path, body)
    assert UNKNOWN in problem["detail"]


@pytest.mark.parametrize("path", ["/people", "/teams"])
async def test_what_another_system_delivered_before_is_recognised(api: Api, path: str) -> None:
    body = {"name": "Growth", "external": {"source": "hr", "external_id": "42"}}
    first = await api.post(path, body)
    problem = await api.refused("already-exists", "POST", path, {**body, "name": "Other"})
    assert problem["existing_id"] == first["id"]
    other = {"source": "crm", "external_id": "42"}
    assert (await api.post(path, {**body, "external": other}))["id"] != first["id"]
