"""Blockers: what stands in the way, whose it is, what is next, and for how long already."""

from __future__ import annotations

from tests.api.programme import UNKNOWN, Api, Json, pointers


async def _blocked(api: Api) -> tuple[Json, Json, Json]:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    person = await api.person()
    return key_result, person, await api.block(key_result, person)


async def test_a_blocker_has_a_kind_an_owner_a_next_action_and_an_age(api: Api) -> None:
    key_result, person, raised = await _blocked(api)
    assert (raised["kind"], raised["owner_id"]) == ("resource", person["id"])
    assert (raised["key_result_id"], raised["age_days"]) == (key_result["id"], 0)
    assert raised["next_action"] == "Ask for one person."
    assert (await api.get("/blockers"))["items"] == [raised]


async def test_a_blocker_is_handed_over_and_resolved(api: Api) -> None:
    _, _, raised = await _blocked(api)
    ben = await api.person("Ben Ruiz")
    path = f"/blockers/{raised['id']}"
    handed = await api.post(f"{path}:hand-over", {"owner_id": ben["id"]})
    assert (handed["owner_id"], handed["next_action"]) == (ben["id"], "Ask for one person.")
    before = await api.head()
    await api.post(f"{path}:hand-over", {"owner_id": ben["id"]})
    assert await api.head() == before

    resolved = await api.post(f"{path}:resolve", {"how": "They lent us Ada."})
    assert (resolved["resolved"], resolved["how"]) == (True, "They lent us Ada.")
    assert (await api.get("/blockers"))["items"] == []
    assert (await api.get("/blockers", resolved=True))["items"] == [resolved]
    await api.refused("invalid-state", "POST", f"{path}:resolve", {})
    assert (await api.get(path, as_of=before))["resolved"] is False


async def test_a_blocker_is_of_a_living_key_result_and_of_somebody(api: Api) -> None:
    key_result, person, raised = await _blocked(api)
    path = f"/key-results/{key_result['id']}"
    body = {key: raised[key] for key in ("kind", "what", "owner_id", "next_action")}
    nobody = await api.refused(
        "not-found", "POST", f"{path}/blockers", {**body, "owner_id": UNKNOWN}
    )
    assert pointers(nobody) == ["/owner_id"]
    stranger = {"owner_id": UNKNOWN}
    problem = await api.refused(
        "not-found", "POST", f"/blockers/{raised['id']}:hand-over", stranger
    )
    assert pointers(problem) == ["/owner_id"]
    await api.post(f"{path}:remove", {"reason": "It misled us."})
    await api.refused("invalid-state", "POST", f"{path}/blockers", body)
    assert person["id"] == raised["owner_id"]


async def test_before_the_cycle_runs_nothing_is_blocked(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    (key_result,) = (await api.objective(cycle, team))["key_results"]
    body = {
        "kind": "external",
        "what": "The law is not passed.",
        "owner_id": (await api.person())["id"],
        "next_action": "Wait.",
    }
    await api.refused("invalid-state", "POST", f"/key-results/{key_result['id']}/blockers", body)
