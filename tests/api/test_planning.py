"""A year of cycles in one go; renaming, moving and cancelling what is planned."""

from __future__ import annotations

import pytest

from tests.api.programme import QUARTER, UNKNOWN, Api, Json, pointers


async def _plan(api: Api, **terms: object) -> list[Json]:
    answer = await api.post("/cycles:plan", {"year": 2027, **terms}, 201)
    items: list[Json] = answer["items"]
    return items


# A year -----------------------------------------------------------------------------------


async def test_a_year_of_quarters_is_planned_with_windows_and_levels(api: Api) -> None:
    made = await _plan(api)
    assert [cycle["name"] for cycle in made] == ["2027 Q1", "2027 Q2", "2027 Q3", "2027 Q4"]
    assert {(cycle["phase"], *cycle["levels"]) for cycle in made} == {
        ("planned", "company", "team")
    }
    assert made[1]["windows"] == {
        "drafting_from": "2027-03-18",
        "starts_on": "2027-04-01",
        "scoring_from": "2027-06-24",
        "reflection_announced_on": "2027-06-16",
        "ends_on": "2027-06-30",
        "check_in_every_days": 14,
    }
    assert (await api.get("/cycles"))["items"] == made


async def test_the_year_of_the_company_holds_the_quarters_of_the_teams(api: Api) -> None:
    await api.decide("cadence", company="year")
    year, *quarters = await _plan(api)
    assert (year["name"], year["levels"], year["ends_on"]) == ("2027", ["company"], "2027-12-31")
    assert [cycle["parent_id"] for cycle in quarters] == [year["id"]] * 4
    assert {tuple(cycle["levels"]) for cycle in quarters} == {("team",)}


async def test_a_year_that_begins_within_a_month_has_quarters_of_thirteen_weeks(api: Api) -> None:
    made = await _plan(api, starts_on="2027-01-04", levels=["team"], with_year=True)
    assert [cycle["starts_on"] for cycle in made] == [
        "2027-01-04",
        "2027-01-04",
        "2027-04-05",
        "2027-07-05",
        "2027-10-04",
    ]
    assert made[0]["ends_on"] == made[-1]["ends_on"] == "2028-01-02"


async def test_a_generated_cycle_runs_like_any_other(api: Api) -> None:
    first, *_ = await _plan(api)
    cycle = await api.move(first, "begin-drafting")
    objective = await api.commit(await api.objective(cycle, await api.team()))
    assert objective["status"] == "committed"


async def test_a_second_plan_of_the_year_is_refused_and_names_what_is_there(api: Api) -> None:
    first, *_ = await _plan(api)
    problem = await api.refused("refused", "POST", "/cycles:plan", {"year": 2027})
    assert (
        "'2027 Q1' (2027-01-01 to 2027-03-31), which is there for company and team"
        in (problem["detail"])
    )
    assert problem["existing_id"] == first["id"]
    for cycle in await _plan(api, year=2028):
        assert cycle["name"].startswith("2028")


async def test_a_cancelled_cycle_makes_room_for_another(api: Api) -> None:
    for cycle in await _plan(api):
        await api.post(f"/cycles/{cycle['id']}:cancel", {"reason": "Other days."})
    again = await _plan(api, starts_on="2027-01-04")
    assert len(again) == 4


async def test_levels_without_goals_are_refused_by_their_decision(api: Api) -> None:
    body = {"year": 2027, "levels": ["individual"]}
    problem = await api.refused("decision-refuses", "POST", "/cycles:plan", body)
    assert (problem["decision"], pointers(problem)) == ("levels", ["/levels"])


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"year": 2027, "starts_on": "2025-12-31"}, "/starts_on"),
        ({"year": 2027, "starts_on": "2028-01-01"}, "/starts_on"),
    ],
)
async def test_a_year_begins_in_itself_or_the_one_before(
    api: Api, body: Json, pointer: str
) -> None:
    assert pointers(await api.refused("refused", "POST", "/cycles:plan", body)) == [pointer]


@pytest.mark.parametrize(
    "body", [{}, {"year": "2027"}, {"year": 9001}, {"year": 2027, "levels": []}]
)
async def test_a_plan_that_says_nonsense_is_refused(api: Api, body: Json) -> None:
    await api.refused("invalid", "POST", "/cycles:plan", body)


async def test_the_last_year_there_is_can_be_planned(api: Api) -> None:
    made = await _plan(api, year=9000, starts_on="9000-12-31")
    assert made[-1]["ends_on"] == "9001-12-29"


async def test_quarters_nest_in_a_year_that_was_planned_before(api: Api) -> None:
    await api.decide("cadence", company="year")
    (year,) = await _plan(api, levels=["company"])
    quarters = await _plan(api, levels=["team"], parent_id=year["id"])
    assert [cycle["parent_id"] for cycle in quarters] == [year["id"]] * 4


async def test_a_parent_that_cannot_hold_the_year_is_pointed_to(api: Api) -> None:
    await api.decide("cadence", company="year")
    (year,) = await _plan(api, levels=["company"])
    for body, problem in (
        ({"year": 2027, "levels": ["team"], "parent_id": UNKNOWN}, "not-found"),
        ({"year": 2028, "levels": ["team"], "parent_id": year["id"]}, "refused"),
        ({"year": 2028, "parent_id": year["id"]}, "refused"),
    ):
        refused = await api.refused(problem, "POST", "/cycles:plan", body)
        assert pointers(refused) == ["/parent_id"]


# Changes ----------------------------------------------------------------------------------


async def test_a_cycle_is_renamed_and_moved_at_once(api: Api) -> None:
    cycle = await api.cycle("planned")
    path = f"/cycles/{cycle['id']}"
    changed = await api.patch(path, {"name": "First", "ends_on": "2026-04-05"})
    assert (changed["name"], changed["ends_on"], changed["version"]) == ("First", "2026-04-05", 3)
    assert changed["windows"]["scoring_from"] == "2026-03-30"
    assert changed["starts_on"] == cycle["starts_on"]
    assert await api.get(path) == changed


async def test_windows_stay_as_decided_until_the_days_move(api: Api) -> None:
    cycle = await api.cycle("planned")
    path = f"/cycles/{cycle['id']}"
    await api.decide("cycle_length", scoring_days=3)
    assert (await api.get(path))["windows"] == cycle["windows"]
    assert (await api.patch(path, {"name": "First"}))["windows"] == cycle["windows"]
    moved = await api.patch(path, {"ends_on": "2026-03-30"})
    assert moved["windows"]["scoring_from"] == "2026-03-28"


async def test_days_do_not_move_once_a_cycle_runs(api: Api) -> None:
    cycle = await api.cycle("active")
    path = f"/cycles/{cycle['id']}"
    problem = await api.refused("invalid-state", "PATCH", path, {"ends_on": "2026-04-05"})
    assert problem["state"] == "active"
    assert (await api.patch(path, {"name": "First"}))["name"] == "First"


async def test_one_half_of_a_change_does_not_stand_without_the_other(api: Api) -> None:
    cycle = await api.cycle("active")
    body = {"name": "First", "ends_on": "2026-04-05"}
    await api.refused("invalid-state", "PATCH", f"/cycles/{cycle['id']}", body)
    assert (await api.get(f"/cycles/{cycle['id']}"))["name"] == "2026 Q1"


async def test_moved_days_fit_a_cadence(api: Api) -> None:
    cycle = await api.cycle("planned")
    path = f"/cycles/{cycle['id']}"
    problem = await api.refused("decision-refuses", "PATCH", path, {"ends_on": "2026-12-31"})
    assert pointers(problem) == ["/ends_on"]


async def test_a_cancelled_cycle_says_why_and_takes_no_more_commands(api: Api) -> None:
    cycle = await api.cycle("planned")
    path = f"/cycles/{cycle['id']}"
    cancelled = await api.post(f"{path}:cancel", {"reason": "One too many."})
    assert (cancelled["phase"], cancelled["cancelled_reason"]) == ("cancelled", "One too many.")
    assert "takes no more changes" in cancelled["next_step"]
    assert await api.get(path) == cancelled
    assert (await api.get("/cycles", phase="cancelled"))["items"] == [cancelled]
    for command in ("begin-drafting", "open", "begin-scoring", "begin-reflection", "close"):
        await api.refused("invalid-state", "POST", f"{path}:{command}")
    await api.refused("invalid-state", "POST", f"{path}:cancel", {"reason": "Again."})
    await api.refused("invalid-state", "PATCH", path, {"name": "First"})
    problem = await api.refused("refused", "POST", "/cycles", {**QUARTER, "parent_id": cycle["id"]})
    assert pointers(problem) == ["/parent_id"]


async def test_a_drafting_cycle_is_not_cancelled(api: Api) -> None:
    cycle = await api.cycle("drafting")
    path = f"/cycles/{cycle['id']}:cancel"
    await api.refused("invalid-state", "POST", path, {"reason": "Too late."})
    await api.refused("invalid", "POST", path, {})


async def test_a_year_is_cancelled_after_what_it_holds(api: Api) -> None:
    year, *quarters = await _plan(api, with_year=True)
    path = f"/cycles/{year['id']}:cancel"
    problem = await api.refused("refused", "POST", path, {"reason": "No."})
    assert "2027 Q1, 2027 Q2, 2027 Q3, 2027 Q4" in problem["detail"]
    for quarter in quarters:
        await api.post(f"/cycles/{quarter['id']}:cancel", {"reason": "No."})
    assert (await api.post(path, {"reason": "No."}))["phase"] == "cancelled"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PATCH", "", {"name": "First"}), ("POST", ":cancel", {"reason": "No."})],
)
async def test_an_unknown_cycle_is_not_found(api: Api, method: str, path: str, body: Json) -> None:
    await api.refused("not-found", method, f"/cycles/{UNKNOWN}{path}", body)


# Windows are warnings ---------------------------------------------------------------------


async def test_what_is_done_before_its_window_is_allowed_and_shown_as_early(api: Api) -> None:
    first, *_ = await _plan(api, year=2990)
    assert (first["early"], first["late"]) == ([], [])
    drafting = await api.move(first, "begin-drafting")
    assert (drafting["early"], drafting["late"]) == (["drafting"], [])


async def test_what_is_done_after_its_window_is_allowed_and_shown_as_late(api: Api) -> None:
    cycle = await api.cycle("planned", starts_on="2020-01-01", ends_on="2020-03-31")
    assert cycle["late"] == ["drafting", "execution", "scoring"]
    cycle = await api.move(cycle, "begin-drafting")
    assert (cycle["early"], cycle["late"]) == ([], ["drafting", "execution", "scoring"])
    tree = await api.get(f"/cycles/{cycle['id']}/tree")
    assert tree["cycle"]["late"] == cycle["late"]


async def test_the_past_shows_windows_as_they_were(api: Api) -> None:
    cycle = await api.cycle("planned")
    path, then = f"/cycles/{cycle['id']}", await api.head()
    await api.patch(path, {"ends_on": "2026-04-05"})
    assert await api.get(path, as_of=then) == cycle
