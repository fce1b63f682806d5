"""An objective is handed over: all that is shown of it follows its new owner."""

from __future__ import annotations

import pytest

from tests.api.programme import UNKNOWN, Api, Json, pointers


def _to(owner: Json, kind: str = "team") -> Json:
    return {"owner": {"kind": kind, "id": owner["id"]}, "reason": "They have the people for it."}


async def _hand_over(api: Api, objective: Json, owner: Json, kind: str = "team") -> Json:
    return await api.post(f"/objectives/{objective['id']}:hand-over", _to(owner, kind))


async def test_every_view_of_an_objective_follows_its_new_owner(api: Api) -> None:
    cycle, objective = await api.running()
    before, sales = objective["owner"], await api.team("Sales")
    position = await api.head()
    handed_over = await _hand_over(api, objective, sales)
    assert (handed_over["owner"]["id"], handed_over["owner"]["name"]) == (sales["id"], "Sales")
    assert handed_over == await api.get(f"/objectives/{objective['id']}")
    assert (await api.get("/objectives", owner_id=sales["id"]))["items"] == [handed_over]
    assert (await api.get("/objectives", owner_id=before["id"]))["items"] == []
    (root,) = (await api.get(f"/cycles/{cycle['id']}/tree"))["roots"]
    assert root["owner"]["name"] == "Sales"
    (unaligned,) = (await api.get(f"/cycles/{cycle['id']}/alignment-report"))["unaligned"]["items"]
    assert unaligned["owner"]["name"] == "Sales"
    then = await api.get(f"/objectives/{objective['id']}", as_of=position)
    assert then["owner"]["id"] == before["id"]
    (event,) = [
        one
        for one in (await api.get(f"/cycles/{cycle['id']}/history", page_size=200))["items"]
        if one["type"] == "objective.handed_over"
    ]
    assert event["data"]["previous_owner"]["id"] == before["id"]
    assert event["data"]["reason"] == "They have the people for it."
    assert (await api.get("/ledger:verify"))["identical"]


async def test_to_whom_it_belongs_already_it_is_not_handed_over_again(api: Api) -> None:
    _, objective = await api.running()
    head = await api.head()
    again = await _hand_over(api, objective, objective["owner"])
    assert (again["version"], await api.head()) == (objective["version"], head)


async def test_a_person_may_own_it_where_that_is_decided(api: Api) -> None:
    _, objective = await api.running()
    ada = await api.person()
    path = f"/objectives/{objective['id']}:hand-over"
    problem = await api.refused("decision-refuses", "POST", path, _to(ada, "person"))
    assert (problem["rule"], pointers(problem)) == ("levels.owner", ["/owner"])
    await api.decide("levels", owners=["company", "team", "individual"])
    handed_over = await _hand_over(api, objective, ada, "person")
    assert handed_over["owner"]["name"] == "Ada Park"


async def test_an_owner_who_is_unknown_or_gone_takes_nothing_over(api: Api) -> None:
    _, objective = await api.running()
    gone = await api.team("Gone")
    await api.post(f"/teams/{gone['id']}:disband")
    path = f"/objectives/{objective['id']}:hand-over"
    for owner in ({"id": UNKNOWN}, gone):
        problem = await api.refused("not-found", "POST", path, _to(owner))
        assert pointers(problem) == ["/owner"]


async def test_the_new_owner_s_limit_is_that_of_now(api: Api) -> None:
    cycle, objective = await api.running()
    sales = await api.team("Sales")
    await api.objective(cycle, sales, title="Theirs")
    await api.decide("limits", max_objectives=1, enforcement="refuse")
    path = f"/objectives/{objective['id']}:hand-over"
    problem = await api.refused("decision-refuses", "POST", path, _to(sales))
    assert (problem["rule"], pointers(problem)) == ("limits.max_objectives", ["/owner"])
    await api.decide("limits", max_objectives=1, enforcement="warn")
    await _hand_over(api, objective, sales)
    (warning,) = [
        one
        for one in (await api.get(f"/cycles/{cycle['id']}/warnings"))["items"]
        if one["rule"] == "limits.max_objectives"
    ]
    assert (warning["subject_id"], warning["decision"]) == (objective["id"], "limits")


async def test_what_is_needed_of_it_is_asked_of_its_new_owner(api: Api) -> None:
    cycle, objective = await api.running()
    support, person = await api.team("Support"), await api.person()
    needing = await api.objective(cycle, await api.team("Needing"), title="Needing")
    accepted = await api.depend(needing, objective, "objective")
    await api.answer(accepted, "accept", person)
    delivered = await api.depend(needing, objective, "objective")
    await api.answer(delivered, "accept", person)
    delivered = await api.post(f"/dependencies/{delivered['id']}:deliver", {"note": None})
    await _hand_over(api, objective, support)
    (asked,) = (await api.get("/dependencies", on_team_id=support["id"]))["items"]
    assert (asked["id"], asked["status"], asked["answered_by"]) == (accepted["id"], "open", None)
    assert await api.get(f"/dependencies/{delivered['id']}") == delivered
    await api.answer(asked, "accept", person)


@pytest.mark.parametrize("phase", ["scoring", "reflecting", "closed"])
async def test_it_is_handed_over_until_its_cycle_is_scored(api: Api, phase: str) -> None:
    cycle, objective = await api.running()
    steps = ("begin-scoring", "begin-reflection", "close")
    await api.move(cycle, *steps[: ("scoring", "reflecting", "closed").index(phase) + 1])
    path = f"/objectives/{objective['id']}:hand-over"
    problem = await api.refused("invalid-state", "POST", path, _to(await api.team("Sales")))
    assert problem["state"] == phase


async def test_what_is_abandoned_stays_whose_it_was(api: Api) -> None:
    _, objective = await api.running()
    await api.post(f"/objectives/{objective['id']}:abandon", {"reason": "The market moved."})
    path = f"/objectives/{objective['id']}:hand-over"
    problem = await api.refused("invalid-state", "POST", path, _to(await api.team("Sales")))
    assert problem["state"] == "closed"
