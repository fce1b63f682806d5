"""Objectives: drafted, proposed, committed, closed."""

from __future__ import annotations

import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers

AGAIN: Json = {"title": "Once more"}


def _body(cycle: Json, team: Json, **more: object) -> Json:
    return {
        "cycle_id": cycle["id"],
        "owner": {"kind": "team", "id": team["id"]},
        "title": "Customers stay",
        **more,
    }


async def _set_up(api: Api) -> tuple[Json, Json]:
    return await api.cycle(), await api.team()


# Drafting ---------------------------------------------------------------------------------


async def test_a_drafted_objective_shows_what_was_said_and_who_owns_it(api: Api) -> None:
    cycle, team = await _set_up(api)
    made = await api.post(
        "/objectives",
        _body(cycle, team, why="Loyalty pays.", why_now="Churn doubled.", origin="negotiated"),
    )
    assert (made["title"], made["why"], made["why_now"], made["origin"]) == (
        "Customers stay",
        "Loyalty pays.",
        "Churn doubled.",
        "negotiated",
    )
    assert made["owner"] == {"kind": "team", "id": team["id"], "name": "Growth"}
    assert (made["status"], made["outcome"], made["version"]) == ("draft", None, 1)
    assert (made["key_results"], made["contributes_to"]) == ([], [])
    assert (made["progress"], made["confidence"], made["score"]) == (None, None, None)
    assert made["health"] == "pending"
    assert await api.get(f"/objectives/{made['id']}") == made

    (event,) = (await api.get("/events", type="objective.drafted"))["items"]
    assert (made["drafted_at"], made["drafted_by"]) == (event["recorded_at"], event["actor"])


async def test_an_objective_is_drafted_with_its_key_results(api: Api) -> None:
    cycle, team = await _set_up(api)
    before = await api.head()
    parts = [{"title": "Active customers", "measure": METRIC, "weight": 2}, {"title": "Launched"}]
    made = await api.post("/objectives", _body(cycle, team, key_results=parts))
    assert [part["title"] for part in made["key_results"]] == ["Active customers", "Launched"]
    assert [part["measure"]["kind"] for part in made["key_results"]] == ["metric", "milestone"]
    assert await api.head() == before + 3
    assert (await api.get("/key-results"))["items"] == made["key_results"]


async def test_the_name_of_an_owner_is_the_one_it_has_now(api: Api) -> None:
    cycle, team = await _set_up(api)
    made = await api.post("/objectives", _body(cycle, team))
    await api.patch(f"/teams/{team['id']}", {"name": "Retention"})
    assert (await api.get(f"/objectives/{made['id']}"))["owner"]["name"] == "Retention"


async def test_an_objective_needs_a_cycle_and_an_owner_that_are_there(api: Api) -> None:
    cycle, team = await _set_up(api)
    nowhere = _body({"id": UNKNOWN}, team)
    problem = await api.refused("not-found", "POST", "/objectives", nowhere)
    assert pointers(problem) == ["/cycle_id"]
    for kind in ("team", "person"):
        nobody = _body(cycle, team, owner={"kind": kind, "id": UNKNOWN})
        problem = await api.refused("not-found", "POST", "/objectives", nobody)
        assert pointers(problem) == ["/owner"]
        assert f"no {kind} {UNKNOWN}" in problem["detail"]


@pytest.mark.parametrize(
    ("problem", "fault", "pointer"),
    [
        ("not-found", {"owner": {"kind": "person", "id": UNKNOWN}}, "/owner"),
        ("refused", {"measure": {**METRIC, "target": 100}}, "/measure/target"),
    ],
)
async def test_a_fault_of_a_key_result_is_pointed_to_where_it_stands(
    api: Api, problem: str, fault: Json, pointer: str
) -> None:
    cycle, team = await _set_up(api)
    body = _body(cycle, team, key_results=[{"title": "Sound"}, {"title": "Faulty", **fault}])
    found = await api.refused(problem, "POST", "/objectives", body)
    assert pointers(found) == [f"/key_results/1{pointer}"]
    assert (await api.get("/objectives"))["items"] == []


@pytest.mark.parametrize("phase", ["planned", "scoring", "reflecting", "closed"])
async def test_no_objective_is_drafted_before_or_after_its_time(api: Api, phase: str) -> None:
    cycle, team = await api.cycle(phase), await api.team()
    problem = await api.refused("invalid-state", "POST", "/objectives", _body(cycle, team))
    assert problem["state"] == phase
    assert "DraftObjective does not apply" in problem["detail"]
    assert "while the cycle is drafting or active" in problem["detail"]


async def test_an_objective_may_come_late(api: Api) -> None:
    cycle, team = await api.cycle("active"), await api.team()
    late = await api.post("/objectives", _body(cycle, team))
    assert (await api.commit(late))["status"] == "committed"


async def test_an_objective_that_was_delivered_before_is_recognised(api: Api) -> None:
    cycle, team = await _set_up(api)
    body = _body(cycle, team, external={"source": "sheet", "external_id": "O1"})
    first = await api.post("/objectives", body)
    problem = await api.refused("already-exists", "POST", "/objectives", body)
    assert problem["existing_id"] == first["id"]


# Lists ------------------------------------------------------------------------------------


async def test_objectives_are_listed_by_cycle_owner_and_status(api: Api) -> None:
    cycle, team = await _set_up(api)
    other_cycle, other_team = await api.cycle(), await api.team("Sales")
    first = await api.post("/objectives", _body(cycle, team))
    second = await api.commit(await api.post("/objectives", _body(cycle, other_team)))
    third = await api.post("/objectives", _body(other_cycle, team))
    for asked, expected in (
        ({}, [first, second, third]),
        ({"cycle_id": cycle["id"]}, [first, second]),
        ({"owner_id": team["id"]}, [first, third]),
        ({"status": "committed"}, [second]),
        ({"cycle_id": cycle["id"], "status": "draft"}, [first]),
        ({"cycle_id": UNKNOWN}, []),
    ):
        assert (await api.get("/objectives", **asked))["items"] == expected


# Revising ---------------------------------------------------------------------------------


async def test_a_draft_is_revised_freely_and_only_in_what_is_stated(api: Api) -> None:
    cycle, team = await _set_up(api)
    made = await api.post("/objectives", _body(cycle, team, why="Loyalty pays.", why_now="Churn."))
    revised = await api.patch(
        f"/objectives/{made['id']}", {"title": "Customers return", "why": None}
    )
    assert revised == {**made, "version": 2, "title": "Customers return", "why": None}


async def test_a_revision_that_changes_nothing_is_no_event(api: Api) -> None:
    cycle, team = await _set_up(api)
    made = await api.commit(await api.post("/objectives", _body(cycle, team)))
    before = await api.head()
    assert await api.patch(f"/objectives/{made['id']}", {"title": "Customers stay"}) == made
    assert await api.head() == before


async def test_a_committed_objective_is_revised_with_a_reason_that_is_kept(api: Api) -> None:
    cycle, team = await _set_up(api)
    made = await api.commit(await api.post("/objectives", _body(cycle, team)))
    path, body = f"/objectives/{made['id']}", {"title": "Customers return"}
    problem = await api.refused("reason-missing", "PATCH", path, body)
    assert pointers(problem) == ["/reason"]

    revised = await api.patch(path, {**body, "reason": "Sharper words."})
    assert revised["title"] == "Customers return"
    (event,) = (await api.get("/events", type="objective.revised"))["items"]
    assert event["data"]["reason"] == "Sharper words."


# Status -----------------------------------------------------------------------------------


async def test_an_objective_is_proposed_and_committed(api: Api) -> None:
    cycle, team = await _set_up(api)
    made = await api.post("/objectives", _body(cycle, team))
    proposed = await api.post(f"/objectives/{made['id']}:propose")
    assert (proposed["status"], proposed["version"]) == ("proposed", 2)
    committed = await api.commit(made)
    assert (committed["status"], committed["version"]) == ("committed", 3)

    for command, name in (("propose", "ProposeObjective"), ("commit", "CommitObjective")):
        problem = await api.refused("invalid-state", "POST", f"/objectives/{made['id']}:{command}")
        assert problem["state"] == "committed"
        assert f"{name} does not apply" in problem["detail"]
        assert "It applies while the objective is draft" in problem["detail"]


async def test_an_abandoned_objective_says_why_and_is_closed_for_good(api: Api) -> None:
    cycle, team = await _set_up(api)
    made = await api.post("/objectives", _body(cycle, team, key_results=[{"title": "Launched"}]))
    path = f"/objectives/{made['id']}"
    gone = await api.post(f"{path}:abandon", {"reason": "The market moved."})
    assert (gone["status"], gone["outcome"]) == ("closed", "abandoned")
    assert (gone["outcome_reason"], gone["health"]) == ("The market moved.", "abandoned")

    key_result = f"/key-results/{made['key_results'][0]['id']}"
    for method, to, body in (
        ("PATCH", path, {"title": "x"}),
        ("POST", f"{path}:propose", None),
        ("POST", f"{path}:commit", None),
        ("POST", f"{path}:abandon", {"reason": "Again."}),
        ("POST", f"{path}/key-results", AGAIN),
        ("PATCH", key_result, AGAIN),
        ("POST", f"{key_result}:remove", {}),
    ):
        problem = await api.refused("invalid-state", method, to, body)
        assert problem["state"] == "closed"
        assert made["id"] in problem["detail"]


async def test_the_key_results_of_an_abandoned_objective_are_on_track_no_more(api: Api) -> None:
    cycle, objective = await api.running()
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, health="on_track")
    await api.post(f"/objectives/{objective['id']}:abandon", {"reason": "The market moved."})
    seen = await api.get(f"/key-results/{key_result['id']}")
    assert (seen["health"], seen["reported_health"]) == ("abandoned", "on_track")
    summary = (await api.get(f"/cycles/{cycle['id']}/tree"))["summary"]
    # What was abandoned counts nowhere but among the objectives.
    assert (summary["objectives"], summary["key_results"], summary["health"]) == (1, 0, {})


@pytest.mark.parametrize(
    ("command", "body", "open_in"),
    [
        ("propose", None, ["drafting", "active"]),
        ("commit", None, ["drafting", "active"]),
        ("abandon", {"reason": "The market moved."}, ["drafting", "active", "scoring"]),
        ("report-result", {"text": "Halfway."}, ["active", "scoring", "reflecting"]),
    ],
)
async def test_each_command_has_its_phases_of_the_cycle(
    api: Api, command: str, body: Json | None, open_in: list[str]
) -> None:
    cycle, team = await _set_up(api)
    drafts = [await api.post("/objectives", _body(cycle, team)) for _ in range(4)]
    onwards = ["open", "begin-scoring", "begin-reflection", None]
    for draft, onward in zip(drafts, onwards, strict=True):
        phase = cycle["phase"]
        path = f"/objectives/{draft['id']}:{command}"
        if phase in open_in:
            await api.post(path, body)
        else:
            problem = await api.refused("invalid-state", "POST", path, body)
            assert problem["state"] == phase
            assert f"while the cycle is {' or '.join(open_in)}" in problem["detail"]
        if onward:
            cycle = await api.move(cycle, onward)


async def test_a_result_is_said_in_words_and_is_no_score(api: Api) -> None:
    _, objective = await api.running()
    path = f"/objectives/{objective['id']}:report-result"
    await api.post(path, {"text": "One market opened."})
    told = await api.post(path, {"text": "Two of three markets opened."})
    assert told["result_text"] == "Two of three markets opened."
    assert (told["score"], told["status"]) == (None, "committed")


# Figures ----------------------------------------------------------------------------------


async def test_figures_are_weighted_means_over_the_key_results_that_have_one(api: Api) -> None:
    cycle, team = await _set_up(api)
    parts = [
        {"title": "Heavy", "measure": METRIC, "weight": 3},
        {"title": "Light", "measure": {"kind": "milestone"}},
        {"title": "Silent", "measure": METRIC, "weight": 50},
    ]
    objective = await api.commit(
        await api.post("/objectives", _body(cycle, team, key_results=parts))
    )
    await api.move(cycle, "open")
    heavy, light, _ = objective["key_results"]
    await api.check_in(heavy, value=120, confidence=0.5)
    seen = await api.get(f"/objectives/{objective['id']}")
    assert (seen["progress"], seen["confidence"]) == (0.2, 0.5)

    await api.check_in(light, value=True)
    seen = await api.get(f"/objectives/{objective['id']}")
    # (3 x 0.2 + 1 x 1) / 4; of the two, only one told its confidence.
    assert (seen["progress"], seen["confidence"], seen["score"]) == (0.4, 0.5, None)

    await api.move(cycle, "begin-scoring")
    await api.score(heavy)
    assert (await api.get(f"/objectives/{objective['id']}"))["score"] == 0.2
    await api.score(light)
    assert (await api.get(f"/objectives/{objective['id']}"))["score"] == 0.4


async def test_a_removed_key_result_counts_no_more(api: Api) -> None:
    cycle, team = await _set_up(api)
    parts = [{"title": name, "measure": METRIC} for name in ("Kept", "Removed")]
    made = await api.post("/objectives", _body(cycle, team, key_results=parts))
    await api.commit(made)
    await api.move(cycle, "open")
    kept, removed = made["key_results"]
    await api.check_in(kept, value=150, health="on_track")
    await api.check_in(removed, value=100, health="off_track")
    seen = await api.get(f"/objectives/{made['id']}")
    assert (seen["progress"], seen["health"]) == (0.25, "off_track")

    await api.post(f"/key-results/{removed['id']}:remove", {"reason": "It misled us."})
    seen = await api.get(f"/objectives/{made['id']}")
    assert (seen["progress"], seen["health"]) == (0.5, "on_track")


async def test_an_objective_shows_the_worst_health_of_its_key_results(api: Api) -> None:
    cycle, team = await _set_up(api)
    parts = [{"title": name, "measure": METRIC} for name in ("One", "Other")]
    made = await api.post("/objectives", _body(cycle, team, key_results=parts))
    await api.commit(made)
    await api.move(cycle, "open")
    one, other = made["key_results"]
    for health, shown in (
        ("on_track", "pending"),  # the other has not said anything: silence is never green
        ("at_risk", "at_risk"),
        ("off_track", "off_track"),
    ):
        await api.check_in(one, health=health)
        assert (await api.get(f"/objectives/{made['id']}"))["health"] == shown
    await api.check_in(one, health="on_track")
    await api.check_in(other, health="on_track")
    assert (await api.get(f"/objectives/{made['id']}"))["health"] == "on_track"


async def test_an_objective_is_achieved_once_all_of_its_key_results_are(api: Api) -> None:
    cycle, team = await _set_up(api)
    parts = [{"title": name} for name in ("One", "Other")]
    made = await api.post("/objectives", _body(cycle, team, key_results=parts))
    await api.commit(made)
    await api.move(cycle, "open", "begin-scoring")
    shown = []
    for part, score in ((0, 0.7), (1, 0.69), (1, 0.7)):
        key_result = made["key_results"][part]
        await api.score(key_result, score=score, adjustment_reason="Seen with our own eyes.")
        shown.append((await api.get(f"/objectives/{made['id']}"))["health"])
    assert shown == ["pending", "not_achieved", "achieved"]


# Unknown ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("POST", ":propose", None),
        ("POST", ":commit", None),
        ("POST", ":hand-over", {"owner": {"kind": "team", "id": UNKNOWN}, "reason": "x"}),
        ("POST", ":abandon", {"reason": "x"}),
        ("POST", ":report-result", {"text": "x"}),
        ("POST", "/key-results", {"title": "x"}),
    ],
)
async def test_an_unknown_objective_is_not_found(
    api: Api, method: str, path: str, body: Json | None
) -> None:
    problem = await api.refused("not-found", method, f"/objectives/{UNKNOWN}{path}", body)
    assert f"no objective {UNKNOWN}" in problem["detail"]
