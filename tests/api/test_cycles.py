"""Cycles: planned, drafting, active, scoring, reflecting, closed."""

from __future__ import annotations

import pytest

from tests.api.programme import QUARTER, UNKNOWN, Api, Json, pointers

PHASES = ["planned", "drafting", "active", "scoring", "reflecting", "closed"]
COMMANDS = {
    "begin-drafting": ("BeginDrafting", "planned"),
    "open": ("OpenCycle", "drafting"),
    "begin-scoring": ("BeginScoring", "active"),
    "begin-reflection": ("BeginReflection", "scoring"),
    "close": ("CloseCycle", "reflecting"),
}
NEXT_STEPS = {
    "planned": ":begin-drafting",
    "drafting": ":open",
    "active": ":begin-scoring",
    "scoring": ":begin-reflection",
    "reflecting": ":reset",
    "closed": "A closed cycle takes no more changes",
}


# Planning ---------------------------------------------------------------------------------


async def test_a_planned_cycle_is_found_by_id_and_in_the_list(api: Api) -> None:
    cycle = await api.cycle("planned")
    assert {name: cycle[name] for name in QUARTER} == QUARTER
    assert (cycle["phase"], cycle["opened_at"], cycle["scoring"]) == ("planned", None, None)
    assert (cycle["previous_id"], cycle["next_id"], cycle["parent_id"]) == (None, None, None)
    assert await api.get(f"/cycles/{cycle['id']}") == cycle
    assert (await api.get("/cycles"))["items"] == [cycle]


async def test_cycles_are_listed_by_phase(api: Api) -> None:
    made = {phase: await api.cycle(phase) for phase in ("planned", "active", "closed")}
    for phase in PHASES:
        found = (await api.get("/cycles", phase=phase))["items"]
        assert found == ([made[phase]] if phase in made else [])


@pytest.mark.parametrize("ends_on", ["2025-12-31", "2026-01-01"])
async def test_a_cycle_ends_after_it_starts(api: Api, ends_on: str) -> None:
    problem = await api.refused("refused", "POST", "/cycles", {**QUARTER, "ends_on": ends_on})
    assert pointers(problem) == ["/ends_on"]


async def test_quarters_nest_in_a_year(api: Api) -> None:
    await api.decide("cadence", company="year")
    year = await api.cycle("planned", name="2026", ends_on="2026-12-31")
    quarter = await api.cycle("planned", parent_id=year["id"])
    assert quarter["parent_id"] == year["id"]

    before = {**QUARTER, "starts_on": "2025-12-31", "parent_id": year["id"]}
    after = {**QUARTER, "starts_on": "2026-10-05", "ends_on": "2027-01-01", "parent_id": year["id"]}
    for outside in (before, after):
        problem = await api.refused("refused", "POST", "/cycles", outside)
        assert pointers(problem) == ["/parent_id"]
        assert "'2026' (2026-01-01 to 2026-12-31)" in problem["detail"]


async def test_a_cycle_nests_in_one_that_is_there(api: Api) -> None:
    body = {**QUARTER, "parent_id": UNKNOWN}
    problem = await api.refused("not-found", "POST", "/cycles", body)
    assert pointers(problem) == ["/parent_id"]
    assert UNKNOWN in problem["detail"]


async def test_a_cycle_that_another_system_delivered_before_is_recognised(api: Api) -> None:
    body = {**QUARTER, "external": {"source": "planner", "external_id": "Q1"}}
    first = await api.post("/cycles", body)
    problem = await api.refused("already-exists", "POST", "/cycles", body)
    assert problem["existing_id"] == first["id"]


# Phases -----------------------------------------------------------------------------------


async def test_a_cycle_passes_through_its_phases_and_says_what_comes_next(api: Api) -> None:
    cycle = await api.cycle("planned")
    seen = [cycle]
    for version, command in enumerate(COMMANDS, 2):
        cycle = await api.move(cycle, command)
        assert cycle["version"] == version
        assert await api.get(f"/cycles/{cycle['id']}") == cycle
        seen.append(cycle)
    assert [one["phase"] for one in seen] == PHASES
    for one in seen:
        assert NEXT_STEPS[one["phase"]] in one["next_step"]


async def test_opening_keeps_the_moment_and_the_scoring_decision_with_the_cycle(api: Api) -> None:
    await api.decide("scoring", good=0.8)
    cycle = await api.cycle("active")
    (opened,) = (await api.get("/events", type="cycle.opened"))["items"]
    assert cycle["opened_at"] == opened["recorded_at"]
    assert (cycle["scoring"]["system"], cycle["scoring"]["good"]) == ("measure_what_matters", 0.8)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("command", COMMANDS)
async def test_each_phase_refuses_the_commands_of_the_others_by_name(
    api: Api, command: str, phase: str
) -> None:
    cycle = await api.cycle(phase)
    name, applies = COMMANDS[command]
    path = f"/cycles/{cycle['id']}:{command}"
    if phase == applies:
        await api.post(path)
        return
    problem = await api.refused("invalid-state", "POST", path)
    assert problem["state"] == phase
    assert f"{name} does not apply: the cycle '2026 Q1' is {phase}." in problem["detail"]
    assert f"while the cycle is {applies}" in problem["detail"]
    assert NEXT_STEPS[phase] in problem["detail"]


# Reflections ------------------------------------------------------------------------------


async def test_a_reflection_says_what_worked_what_did_not_and_what_to_change(api: Api) -> None:
    cycle, team = await api.cycle("scoring"), await api.team()
    path = f"/cycles/{cycle['id']}/reflections"
    of_team = await api.post(
        path,
        {
            "team_id": team["id"],
            "worked": ["Short check-ins", "Two goals"],
            "did_not_work": ["A metric nobody owned"],
            "change": ["An owner for each"],
        },
    )
    assert (of_team["cycle_id"], of_team["team_id"]) == (cycle["id"], team["id"])
    assert of_team["worked"] == ["Short check-ins", "Two goals"]
    assert of_team["did_not_work"] == ["A metric nobody owned"]
    assert of_team["change"] == ["An owner for each"]

    await api.move(cycle, "begin-reflection")
    of_all = await api.post(path, {"change": ["Fewer goals"]})
    assert (of_all["team_id"], of_all["worked"]) == (None, [])
    assert (await api.get(path))["items"] == [of_team, of_all]


async def test_a_reflection_shows_how_long_it_took_and_is_warned_about_beyond_the_limits(
    api: Api,
) -> None:
    cycle, team, ada = await api.cycle(), await api.team(), await api.person()
    await api.commit(await api.objective(cycle, team))
    await api.objective(cycle, await api.team("Sales"))
    await api.move(cycle, "open", "begin-scoring")
    path, warnings = f"/cycles/{cycle['id']}/reflections", f"/cycles/{cycle['id']}/warnings"
    before = len((await api.get(warnings))["items"])
    said = {"team_id": team["id"], "worked": ["Rhythm"], "participants": [ada["id"]]}
    made = await api.post(path, {**said, "minutes": 30})
    assert (made["minutes"], made["participants"]) == (30, [ada["id"]])
    assert len((await api.get(warnings))["items"]) == before

    # The team has one key result; the other team's is not committed.
    made = await api.post(path, {**said, "minutes": 75})
    assert (await api.get(path))["items"][-1] == made
    found = (await api.get(warnings))["items"][before:]
    assert {one["rule"] for one in found} == {
        "reflection.minutes",
        "reflection.minutes_per_key_result",
    }
    assert any("75 minutes for 1 key result" in one["message"] for one in found)
    # Of everybody, there is no more to look back on.
    await api.post(path, {"worked": ["Rhythm"], "minutes": 31})
    assert len((await api.get(warnings))["items"]) == before + 3

    stranger = {"worked": ["Rhythm"], "participants": [ada["id"], UNKNOWN]}
    problem = await api.refused("not-found", "POST", path, stranger)
    assert pointers(problem) == ["/participants/1"]
    for minutes in (0, 1441, 30.5, "30"):
        await api.refused("invalid", "POST", path, {"worked": ["Rhythm"], "minutes": minutes})


async def test_reflections_and_warnings_are_those_of_one_cycle(api: Api) -> None:
    await api.decide("limits", max_objectives=1)
    first, second, team = await api.cycle(), await api.cycle(), await api.team()
    for cycle in (first, first, second):
        await api.objective(cycle, team)
    await api.move(first, "open", "begin-scoring")
    await api.post(f"/cycles/{first['id']}/reflections", {"worked": ["Rhythm"]})
    for path in ("reflections", "warnings"):
        assert len((await api.get(f"/cycles/{first['id']}/{path}"))["items"]) == 1
        assert (await api.get(f"/cycles/{second['id']}/{path}"))["items"] == []


@pytest.mark.parametrize("phase", ["planned", "drafting", "active", "closed"])
async def test_a_reflection_belongs_to_the_end_of_a_cycle(api: Api, phase: str) -> None:
    cycle = await api.cycle(phase)
    path = f"/cycles/{cycle['id']}/reflections"
    problem = await api.refused("invalid-state", "POST", path, {"worked": ["Too soon"]})
    assert problem["state"] == phase
    assert "RecordReflection does not apply" in problem["detail"]
    assert "while the cycle is scoring or reflecting" in problem["detail"]


async def test_a_reflection_says_something_and_of_a_team_that_is_there(api: Api) -> None:
    cycle = await api.cycle("scoring")
    path = f"/cycles/{cycle['id']}/reflections"
    assert pointers(await api.refused("refused", "POST", path, {})) == ["/worked"]
    stray: Json = {"team_id": UNKNOWN, "worked": ["Rhythm"]}
    assert pointers(await api.refused("not-found", "POST", path, stray)) == ["/team_id"]


async def test_a_reflection_that_was_delivered_before_is_recognised(api: Api) -> None:
    cycle = await api.cycle("scoring")
    path = f"/cycles/{cycle['id']}/reflections"
    body = {"worked": ["Rhythm"], "external": {"source": "survey", "external_id": "7"}}
    first = await api.post(path, body)
    problem = await api.refused("already-exists", "POST", path, body)
    assert problem["existing_id"] == first["id"]


# Unknown ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("GET", "/tree", None),
        ("GET", "/reflections", None),
        ("GET", "/warnings", None),
        ("POST", "/reflections", {"worked": ["Rhythm"]}),
        *(("POST", f":{command}", None) for command in COMMANDS),
    ],
)
async def test_an_unknown_cycle_is_not_found(
    api: Api, method: str, path: str, body: Json | None
) -> None:
    problem = await api.refused("not-found", method, f"/cycles/{UNKNOWN}{path}", body)
    assert f"no cycle {UNKNOWN}" in problem["detail"]
