"""What decisions do to commands: each is judged by those in force at its moment."""

from __future__ import annotations

import pytest

from tests.api.programme import METRIC, Api, Json, pointers


def _objective(cycle: Json, owner: Json, kind: str = "team") -> Json:
    return {
        "cycle_id": cycle["id"],
        "owner": {"kind": kind, "id": owner["id"]},
        "title": "Customers stay because they succeed",
    }


async def _warnings(api: Api, cycle: Json) -> list[Json]:
    found: list[Json] = (await api.get(f"/cycles/{cycle['id']}/warnings"))["items"]
    return found


# Levels -----------------------------------------------------------------------------------


async def test_an_objective_on_a_level_that_is_off_is_refused_by_that_decision(api: Api) -> None:
    cycle, person = await api.cycle(), await api.person()
    body = _objective(cycle, person, "person")
    problem = await api.refused("decision-refuses", "POST", "/objectives", body)
    assert (problem["decision"], problem["rule"]) == ("levels", "levels.owner")
    assert pointers(problem) == ["/owner"]
    assert "individual level" in problem["detail"]
    assert "company, team" in problem["detail"]

    await api.decide("levels", owners=["company", "team", "individual"])
    made = await api.post("/objectives", body)
    assert made["owner"] == {"kind": "person", "id": person["id"], "name": "Ada Park"}


@pytest.mark.parametrize(("on", "off"), [("company", "team"), ("team", "company")])
async def test_the_level_of_a_team_decides_whether_it_may_own_an_objective(
    api: Api, on: str, off: str
) -> None:
    await api.decide("levels", owners=[on])
    cycle = await api.cycle()
    allowed, other = await api.team("On", level=on), await api.team("Off", level=off)
    await api.post("/objectives", _objective(cycle, allowed))
    problem = await api.refused("decision-refuses", "POST", "/objectives", _objective(cycle, other))
    assert f"not set at {off} level" in problem["detail"]


async def test_a_level_turned_off_leaves_what_was_drafted_before_to_run_on(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    await api.decide("levels", owners=["company"])
    await api.refused("decision-refuses", "POST", "/objectives", _objective(cycle, team))
    assert (await api.commit(objective))["status"] == "committed"


# Limits -----------------------------------------------------------------------------------


async def test_a_fourth_objective_is_recorded_and_warned_about_by_default(api: Api) -> None:
    cycle, team, other = await api.cycle(), await api.team(), await api.team("Sales")
    for owner in (team, team, team, other):
        await api.objective(cycle, owner)
    assert await _warnings(api, cycle) == []

    fourth = await api.objective(cycle, team)
    (warning,) = await _warnings(api, cycle)
    assert (warning["decision"], warning["rule"]) == ("limits", "limits.max_objectives")
    assert (warning["subject_kind"], warning["subject_id"]) == ("objective", fourth["id"])
    assert "holds 3 objective(s)" in warning["message"]
    assert (await api.get(f"/cycles/{cycle['id']}/tree"))["summary"]["warnings"] == 1


async def test_a_fourth_objective_is_refused_where_limits_refuse(api: Api) -> None:
    await api.decide("limits", max_objectives=3, enforcement="refuse")
    cycle, team = await api.cycle(), await api.team()
    for _ in range(3):
        await api.objective(cycle, team)

    fourth = {
        **_objective(cycle, team),
        "key_results": [{"title": "Active customers", "measure": METRIC}],
    }
    problem = await api.refused("decision-refuses", "POST", "/objectives", fourth)
    assert (problem["decision"], problem["rule"]) == ("limits", "limits.max_objectives")
    assert pointers(problem) == ["/owner"]
    assert len((await api.get("/objectives", owner_id=team["id"]))["items"]) == 3
    assert await _warnings(api, cycle) == []


async def test_an_abandoned_objective_and_one_of_another_cycle_do_not_count(api: Api) -> None:
    await api.decide("limits", max_objectives=1, enforcement="refuse")
    cycle, following, team = await api.cycle(), await api.cycle(), await api.team()
    first = await api.objective(cycle, team)
    await api.objective(following, team)
    await api.refused("decision-refuses", "POST", "/objectives", _objective(cycle, team))
    await api.post(f"/objectives/{first['id']}:abandon", {"reason": "Too many."})
    await api.objective(cycle, team)


async def test_a_fifth_key_result_is_warned_about_or_refused(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    path, body = f"/objectives/{objective['id']}/key-results", {"title": "One more"}
    for _ in range(3):
        await api.post(path, body)
    assert await _warnings(api, cycle) == []

    fifth = await api.post(path, body)
    (warning,) = await _warnings(api, cycle)
    assert warning["rule"] == "limits.max_key_results"
    assert (warning["subject_kind"], warning["subject_id"]) == ("key_result", fifth["id"])

    await api.decide("limits", max_key_results=5, enforcement="refuse")
    problem = await api.refused("decision-refuses", "POST", path, body)
    assert problem["rule"] == "limits.max_key_results"
    await api.post(f"/key-results/{fifth['id']}:remove", {})
    await api.post(path, body)


async def test_an_objective_with_too_many_key_results_is_drafted_as_a_whole_or_not(
    api: Api,
) -> None:
    await api.decide("limits", max_key_results=2, enforcement="refuse")
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": f"Part {n}"} for n in range(3)]
    body = {**_objective(cycle, team), "key_results": parts}
    await api.refused("decision-refuses", "POST", "/objectives", body)
    assert (await api.get("/objectives"))["items"] == []
    assert (await api.get("/key-results"))["items"] == []


async def test_an_objective_without_key_results_is_committed_with_a_warning_or_not_at_all(
    api: Api,
) -> None:
    cycle, team = await api.cycle(), await api.team()
    bare, other = [await api.objective(cycle, team, key_results=[]) for _ in range(2)]
    assert (await api.commit(bare))["status"] == "committed"
    (warning,) = await _warnings(api, cycle)
    assert (warning["rule"], warning["subject_id"]) == ("limits.no_key_results", bare["id"])

    await api.decide("limits", enforcement="refuse")
    problem = await api.refused("decision-refuses", "POST", f"/objectives/{other['id']}:commit")
    assert (problem["decision"], problem["rule"]) == ("limits", "limits.no_key_results")


async def test_a_later_decision_changes_nothing_of_what_was(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    for _ in range(4):
        await api.objective(cycle, team)
    warned = await _warnings(api, cycle)
    before = await api.get("/objectives")

    await api.decide("limits", max_objectives=1, enforcement="refuse")
    await api.refused("decision-refuses", "POST", "/objectives", _objective(cycle, team))
    assert await api.get("/objectives") == before
    assert await _warnings(api, cycle) == warned
    assert len(warned) == 1

    await api.decide("limits", max_objectives=9, enforcement="refuse")
    await api.objective(cycle, team)
    assert await _warnings(api, cycle) == warned


# Cadence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends_on", "length"),
    [("2026-02-01", 32), ("2026-03-24", 83), ("2026-04-09", 99), ("2026-12-31", 365)],
)
async def test_a_cycle_that_fits_no_cadence_is_refused(api: Api, ends_on: str, length: int) -> None:
    body = {"name": "Odd", "starts_on": "2026-01-01", "ends_on": ends_on}
    problem = await api.refused("decision-refuses", "POST", "/cycles", body)
    assert (problem["decision"], problem["rule"]) == ("cadence", "cadence.length")
    assert pointers(problem) == ["/ends_on"]
    assert f"{length} days fit no cadence decided (quarterly)" in problem["detail"]


@pytest.mark.parametrize(
    ("cadence", "ends_on"),
    [
        ("monthly", "2026-01-31"),
        ("quarterly", "2026-03-31"),
        ("four_month", "2026-04-30"),
        ("half_year", "2026-06-30"),
        ("year", "2026-12-31"),
    ],
)
async def test_a_cycle_fits_the_cadence_decided_for_any_level(
    api: Api, cadence: str, ends_on: str
) -> None:
    await api.decide("cadence", company=cadence, team="quarterly")
    assert (await api.cycle("planned", ends_on=ends_on))["ends_on"] == ends_on
    assert (await api.cycle("planned"))["ends_on"] == "2026-03-31"


async def test_a_cadence_decided_later_leaves_a_planned_cycle_as_it_is(api: Api) -> None:
    planned = await api.cycle("planned")
    await api.decide("cadence", company="year", team="year", individual="year")
    await api.refused(
        "decision-refuses",
        "POST",
        "/cycles",
        {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"},
    )
    assert (await api.move(planned, "begin-drafting", "open"))["phase"] == "active"


# Scoring and alignment --------------------------------------------------------------------


async def test_a_cycle_keeps_the_scoring_it_was_opened_under(api: Api) -> None:
    await api.decide("scoring", good=0.6)
    cycle, objective = await api.running()
    key_result = objective["key_results"][0]
    await api.check_in(key_result, value=160)
    await api.move(cycle, "begin-scoring", "begin-reflection", "close")

    await api.decide("scoring", good=0.9)
    closed = await api.get(f"/cycles/{cycle['id']}")
    assert closed["scoring"]["good"] == 0.6
    seen = await api.get(f"/objectives/{objective['id']}")
    assert (seen["outcome"], seen["score"]) == ("achieved", 0.6)
    assert seen["key_results"][0]["health"] == "achieved"

    assert (await api.cycle("active"))["scoring"]["good"] == 0.9


async def test_alignment_to_a_kind_of_goal_not_decided_is_refused(api: Api) -> None:
    await api.decide("alignment", targets=["key_result"])
    cycle, team = await api.cycle(), await api.team()
    below, above = [await api.objective(cycle, team) for _ in range(2)]
    problem = await api.refused(
        "decision-refuses",
        "POST",
        f"/objectives/{below['id']}/alignments",
        {"target": {"kind": "objective", "id": above["id"]}, "rationale": "It helps."},
    )
    assert (problem["decision"], problem["rule"]) == ("alignment", "alignment.targets")
    assert pointers(problem) == ["/target/kind"]
    made = await api.align(below, above["key_results"][0], "key_result")
    assert made["target_objective_id"] == above["id"]


# Tracking ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("unnamed", "status"), [("refuse", 409), ("record_as_manual", 201)])
async def test_a_source_that_nobody_named_is_refused_or_recorded_as_manual(
    api: Api, unnamed: str, status: int
) -> None:
    await api.decide("tracking", mechanism="integration", unnamed_source=unnamed)
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    path = f"/key-results/{key_result['id']}"
    by_bridge = {"value": 120, "external": {"source": "metrics-bridge", "external_id": "1"}}
    before = await api.head()
    answer = await api.request("POST", f"{path}/check-ins", json=by_bridge)
    assert answer.status_code == status
    if status == 409:
        problem = answer.json()
        assert (problem["decision"], problem["rule"]) == ("tracking", "tracking.unnamed_source")
        assert await api.head() == before
    else:
        assert answer.json()["tracking"] == "manual"

    await api.patch(path, {"tracked_by": "metrics-bridge", "reason": "The bridge reports it."})
    by_bridge["external"] = {"source": "metrics-bridge", "external_id": "2"}
    told = await api.post(f"{path}/check-ins", by_bridge)
    assert told["tracking"] == "integration"
    assert (await api.check_in(key_result, value=130))["tracking"] == "manual"
