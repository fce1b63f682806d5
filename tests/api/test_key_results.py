"""Key results: drafted, amended, removed."""

from __future__ import annotations

import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers


async def _drafted(api: Api) -> Json:
    """A draft objective with one metric from 100 to 200."""
    return await api.objective(await api.cycle(), await api.team())


# Drafting ---------------------------------------------------------------------------------


async def test_a_drafted_key_result_shows_its_terms_and_no_figure_yet(api: Api) -> None:
    objective, person = await _drafted(api), await api.person()
    owner = {"kind": "person", "id": person["id"]}
    made = await api.post(
        f"/objectives/{objective['id']}/key-results",
        {"title": "Churn from 8 to 4", "measure": {**METRIC, "target": 4}, "weight": 2.5}
        | {"owner": owner},
    )
    assert (made["title"], made["weight"], made["measure"]["target"]) == (
        "Churn from 8 to 4",
        2.5,
        4,
    )
    assert made["owner"] == {**owner, "name": "Ada Park"}
    assert (made["objective_id"], made["cycle_id"]) == (objective["id"], objective["cycle_id"])
    figures = ("value", "progress", "confidence", "computed_score", "score")
    assert [made[name] for name in figures] == [None] * 5
    assert (made["health"], made["reported_health"], made["check_in_due_at"]) == (
        "pending",
        None,
        None,
    )
    assert await api.get(f"/key-results/{made['id']}") == made
    seen = await api.get(f"/objectives/{objective['id']}")
    assert seen["key_results"] == [*objective["key_results"], made]


async def test_a_key_result_without_a_measure_is_a_milestone_of_weight_1(api: Api) -> None:
    objective = await _drafted(api)
    made = await api.post(f"/objectives/{objective['id']}/key-results", {"title": "Launched"})
    milestone = {"kind": "milestone", "levels": None}
    assert (made["measure"], made["weight"], made["owner"]) == (milestone, 1, None)


async def test_a_metric_goes_somewhere(api: Api) -> None:
    objective = await _drafted(api)
    nowhere = {"title": "Standing still", "measure": {**METRIC, "target": 100}}
    (key_result,) = objective["key_results"]
    for method, path in (
        ("POST", f"/objectives/{objective['id']}/key-results"),
        ("PATCH", f"/key-results/{key_result['id']}"),
    ):
        problem = await api.refused("refused", method, path, nowhere)
        assert pointers(problem) == ["/measure/target"]


async def test_the_owner_of_a_key_result_is_there(api: Api) -> None:
    objective = await _drafted(api)
    (key_result,) = objective["key_results"]
    nobody = {"title": "Orphan", "owner": {"kind": "team", "id": UNKNOWN}}
    for method, path in (
        ("POST", f"/objectives/{objective['id']}/key-results"),
        ("PATCH", f"/key-results/{key_result['id']}"),
    ):
        problem = await api.refused("not-found", method, path, nobody)
        assert pointers(problem) == ["/owner"]
        assert f"no team {UNKNOWN}" in problem["detail"]


async def test_a_key_result_that_was_delivered_before_is_recognised(api: Api) -> None:
    objective = await _drafted(api)
    path = f"/objectives/{objective['id']}/key-results"
    body = {"title": "Launched", "external": {"source": "sheet", "external_id": "K1"}}
    first = await api.post(path, body)
    problem = await api.refused("already-exists", "POST", path, body)
    assert problem["existing_id"] == first["id"]


async def test_key_results_are_listed_by_cycle_and_objective_without_removed_ones(
    api: Api,
) -> None:
    first, second = await _drafted(api), await _drafted(api)
    (one,), (other,) = first["key_results"], second["key_results"]
    removed = await api.post(f"/objectives/{first['id']}/key-results", {"title": "Mistake"})
    removed = await api.post(f"/key-results/{removed['id']}:remove", {})
    for asked, expected in (
        ({}, [one, other]),
        ({"cycle_id": first["cycle_id"]}, [one]),
        ({"objective_id": second["id"]}, [other]),
        ({"removed": "true"}, [one, other, removed]),
        ({"objective_id": first["id"], "removed": "true"}, [one, removed]),
        ({"objective_id": UNKNOWN}, []),
    ):
        assert (await api.get("/key-results", **asked))["items"] == expected


# Amending ---------------------------------------------------------------------------------


async def test_a_draft_is_amended_freely_and_only_in_what_is_stated(api: Api) -> None:
    (key_result,) = (await _drafted(api))["key_results"]
    person = await api.person()
    path = f"/key-results/{key_result['id']}"
    amended = await api.patch(path, {"title": "Regulars"})
    assert amended == {**key_result, "version": 2, "title": "Regulars"}

    owned = await api.patch(path, {"owner": {"kind": "person", "id": person["id"]}})
    assert owned["owner"]["name"] == "Ada Park"
    assert (await api.patch(path, {"weight": 4}))["owner"] == owned["owner"]
    assert (await api.patch(path, {"owner": None}))["owner"] is None
    for name in ("title", "measure", "weight"):
        problem = await api.refused("invalid", "PATCH", path, {name: None})
        assert pointers(problem) == [f"/{name}"]


async def test_an_amendment_after_commitment_needs_a_reason_that_is_kept(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    path, body = f"/key-results/{key_result['id']}", {"measure": {**METRIC, "target": 150}}
    problem = await api.refused("reason-missing", "PATCH", path, body)
    assert pointers(problem) == ["/reason"]
    assert (await api.get(path))["measure"]["target"] == 200

    amended = await api.patch(path, {**body, "reason": "One market was postponed."})
    assert amended["measure"]["target"] == 150
    (event,) = (await api.get("/events", type="key_result.amended"))["items"]
    assert event["data"]["reason"] == "One market was postponed."


async def test_an_amended_target_measures_the_latest_value_anew(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    said = await api.check_in(key_result, value=140)
    amended = await api.patch(
        f"/key-results/{key_result['id']}",
        {"measure": {**METRIC, "target": 180}, "reason": "One market was postponed."},
    )
    assert (amended["value"], amended["progress"]) == (140, 0.5)
    assert (await api.get(f"/objectives/{objective['id']}"))["progress"] == 0.5
    # What was said then was measured by the target of then.
    assert (await api.get(f"/check-ins/{said['id']}"))["progress"] == 0.4


async def test_a_key_result_of_another_kind_has_no_value_until_a_check_in_gives_one(
    api: Api,
) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, value=150)
    path = f"/key-results/{key_result['id']}"
    amended = await api.patch(
        path, {"measure": {"kind": "milestone"}, "reason": "It was never a number."}
    )
    # 150 customers say nothing of whether the milestone was reached.
    assert (amended["value"], amended["progress"]) == (None, None)

    await api.check_in(key_result, value=True)
    assert (await api.get(path))["progress"] == 1
    amended = await api.patch(path, {"measure": METRIC, "reason": "It is one after all."})
    # The reading of before is one of this measure again.
    assert (amended["value"], amended["progress"]) == (150, 0.5)


async def test_an_amendment_that_changes_nothing_is_no_event(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    before = await api.head()
    await api.patch(f"/key-results/{key_result['id']}", {"title": "Active customers"})
    assert await api.head() == before


async def test_a_key_result_whose_owner_left_may_still_be_amended(api: Api) -> None:
    (key_result,) = (await _drafted(api))["key_results"]
    person = await api.person()
    path = f"/key-results/{key_result['id']}"
    await api.patch(path, {"owner": {"kind": "person", "id": person["id"]}})
    await api.post(f"/people/{person['id']}:depart")
    assert (await api.patch(path, {"title": "Regulars"}))["title"] == "Regulars"


# Removing ---------------------------------------------------------------------------------


async def test_a_draft_is_removed_without_a_reason_and_a_committed_one_with_it(api: Api) -> None:
    objective = await _drafted(api)
    path = f"/objectives/{objective['id']}/key-results"
    mistake = await api.post(path, {"title": "Mistake"})
    assert (await api.post(f"/key-results/{mistake['id']}:remove", {}))["removed"]

    await api.commit(objective)
    (key_result,) = objective["key_results"]
    path = f"/key-results/{key_result['id']}"
    problem = await api.refused("reason-missing", "POST", f"{path}:remove", {})
    assert pointers(problem) == ["/reason"]
    removed = await api.post(f"{path}:remove", {"reason": "It misled us."})
    assert (removed["removed"], removed["health"]) == (True, "removed")
    assert await api.get(path) == removed


async def test_a_removed_key_result_takes_no_more_commands(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    path = f"/key-results/{key_result['id']}"
    await api.post(f"{path}:remove", {"reason": "It misled us."})
    for method, to, body in (
        ("PATCH", path, {"title": "x", "reason": "x"}),
        ("POST", f"{path}:remove", {"reason": "x"}),
        ("POST", f"{path}/check-ins", {"value": 1}),
        ("PUT", f"{path}/score", {"comment": "x"}),
    ):
        problem = await api.refused("invalid-state", method, to, body)
        assert problem["state"] == "removed"
        assert "Draft a new one instead" in problem["detail"]


@pytest.mark.parametrize("phase", ["scoring", "reflecting", "closed"])
async def test_the_terms_of_a_key_result_are_settled_once_it_is_scored(
    api: Api, phase: str
) -> None:
    cycle, objective = await api.running()
    steps = ["begin-scoring", "begin-reflection", "close"]
    phases = ["scoring", "reflecting", "closed"]
    await api.move(cycle, *steps[: phases.index(phase) + 1])
    path = f"/key-results/{objective['key_results'][0]['id']}"
    for method, to, body, command in (
        ("POST", f"/objectives/{objective['id']}/key-results", {"title": "x"}, "DraftKeyResult"),
        ("PATCH", path, {"title": "x", "reason": "x"}, "AmendKeyResult"),
        ("POST", f"{path}:remove", {"reason": "x"}, "RemoveKeyResult"),
    ):
        problem = await api.refused("invalid-state", method, to, body)
        assert problem["state"] == phase
        assert f"{command} does not apply" in problem["detail"]
        assert "while the cycle is drafting or active" in problem["detail"]


# Unknown ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("POST", ":remove", {}),
        ("GET", "/check-ins", None),
        ("POST", "/check-ins", {"value": 1}),
        ("GET", "/score", None),
        ("PUT", "/score", {"comment": "x"}),
    ],
)
async def test_an_unknown_key_result_is_not_found(
    api: Api, method: str, path: str, body: Json | None
) -> None:
    problem = await api.refused("not-found", method, f"/key-results/{UNKNOWN}{path}", body)
    assert f"no key result {UNKNOWN}" in problem["detail"]
