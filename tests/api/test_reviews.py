"""How a programme fared: failure modes, calibration, the survey, and causes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.programme import METRIC, Api, Json

ANSWERS: Json = {
    "stayed_visible": 5, "real_cadence": 5, "outcomes_not_activity": 4, "few_enough": 4,
    "said_early": 4,
}  # fmt: skip


def _modes(report: Json) -> dict[str, tuple[int, int]]:
    return {one["id"]: (one["numerator"], one["denominator"]) for one in report["failure_modes"]}


async def _year(api: Api) -> dict[str, Json]:
    """A past quarter with one of each thing that goes wrong, and one that goes right."""
    company = await api.team("Harbour", level="company")
    growth = await api.team("Growth", parent_id=company["id"])
    await api.decide("limits", max_objectives=1)
    cycle = await api.cycle()
    top = await api.objective(cycle, company, title="Riders choose us every day")
    good = await api.objective(cycle, growth, origin="bottom_up")
    given = await api.objective(cycle, growth, origin="top_down")
    await api.align(good, top)
    for objective in (top, good, given):
        await api.commit(objective)
    await api.move(cycle, "open")
    return {"cycle": cycle, "company": company, "growth": growth, "top": top, "good": good,
            "given": given}  # fmt: skip


async def test_each_failure_mode_is_counted_with_the_items_behind_it(api: Api) -> None:
    made = await _year(api)
    cycle, good, given = made["cycle"], made["good"], made["given"]
    (spoken,) = good["key_results"]
    await api.check_in(spoken, value=200, confidence=0.9, occurred_at="2026-03-25T09:00:00Z")
    report = await api.get(f"/cycles/{cycle['id']}/health")
    assert _modes(report) == {
        # Two never spoke. The cycle was opened late, so silence is short: none is forgotten yet.
        "set_and_forget": (0, 3),
        "too_many": (1, 2),
        "unaligned": (1, 2),
        "top_down": (1, 2),
        "no_reflection": (0, 0),
        "no_leadership_okrs": (0, 1),
        "always_full": (0, 0),
        "said_on_track": (0, 0),
        "no_coach": (1, 1),
    }
    by_id = {one["id"]: one for one in report["failure_modes"]}
    assert by_id["too_many"]["items"] == [made["growth"]["id"]]
    assert by_id["unaligned"]["items"] == [given["id"]]
    assert by_id["unaligned"]["share"] == 0.5
    assert report["bottom_up_share"] == 0.5

    await api.move(cycle, "begin-scoring")
    await api.score(spoken)
    (missed,) = given["key_results"]
    await api.score(missed)
    await api.move(cycle, "begin-reflection")
    reflection = {"team_id": made["growth"]["id"], "worked": ["Short check-ins"]}
    await api.post(f"/cycles/{cycle['id']}/reflections", reflection)
    report = await api.get(f"/cycles/{cycle['id']}/health")
    modes = _modes(report)
    assert (modes["always_full"], modes["no_reflection"]) == ((1, 2), (1, 2))
    assert report["calibration"] == {
        "brier": pytest.approx((0.9 - 1) ** 2), "forecasts": 1, "items": [spoken["id"]],
    }  # fmt: skip


async def test_a_team_sees_its_own_part(api: Api) -> None:
    made = await _year(api)
    path = f"/cycles/{made['cycle']['id']}/health"
    report = await api.get(path, team_id=made["company"]["id"])
    assert _modes(report)["unaligned"] == (0, 0)
    assert _modes(report)["set_and_forget"][1] == 1
    report = await api.get(path, team_id=made["growth"]["id"])
    assert _modes(report)["unaligned"] == (1, 2)


async def test_silence_for_two_rhythms_is_set_and_forget(api: Api) -> None:
    """Seen from a moment long after: the cycle of a quarter that is in the present."""
    cycle, objective = await api.running()
    (key_result,) = objective["key_results"]
    # The opening of a past quarter lies after its end, so its silence has no length.
    assert _modes(await api.get(f"/cycles/{cycle['id']}/health"))["set_and_forget"] == (0, 1)
    await api.check_in(key_result, value=120, occurred_at="2026-01-20T09:00:00Z")
    # From the 20th of January to the end of March nobody said anything.
    assert _modes(await api.get(f"/cycles/{cycle['id']}/health"))["set_and_forget"] == (1, 1)
    await api.check_in(key_result, value=150, occurred_at="2026-03-20T09:00:00Z")
    assert _modes(await api.get(f"/cycles/{cycle['id']}/health"))["set_and_forget"] == (0, 1)


async def test_a_team_is_without_a_coach_until_one_covers_it(api: Api) -> None:
    made = await _year(api)
    path = f"/cycles/{made['cycle']['id']}/health"
    (found,) = [o for o in (await api.get(path))["failure_modes"] if o["id"] == "no_coach"]
    assert found["items"] == [made["growth"]["id"]]
    await api.coach(await api.person(), made["growth"])
    assert _modes(await api.get(path))["no_coach"] == (0, 1)
    # The company is nobody's team to coach.
    assert _modes(await api.get(path, team_id=made["company"]["id"]))["no_coach"] == (0, 0)


async def test_a_past_cycle_is_judged_by_the_decisions_of_its_time(api: Api) -> None:
    made = await _year(api)
    path = f"/cycles/{made['cycle']['id']}/health"
    await api.decide("bottom_up", target_share=0.5)
    await api.move(made["cycle"], "begin-scoring")
    await api.decide("limits", max_objectives=9)
    await api.decide("bottom_up", target_share=0.9)
    report = await api.get(path)
    assert _modes(report)["too_many"] == (1, 2)
    assert report["bottom_up_target"] == 0.5


async def test_what_trends_off_track_and_is_said_to_be_on_track_is_found(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    uptime = {"kind": "threshold", "unit": "percent", "bound": "at_least", "limit": 99}
    titles = {"Slow": METRIC, "Fast": METRIC, "Honest": METRIC, "Held": uptime, "Done": None}
    parts = [
        {"title": title, **({} if measure is None else {"measure": measure})}
        for title, measure in titles.items()
    ]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.move(cycle, "open")
    slow, fast, honest, held, done = objective["key_results"]
    assert slow["trending"] is None

    half = "2026-02-15T00:00:00Z"  # of the quarter is over
    await api.check_in(slow, value=110, health="on_track", occurred_at=half)
    await api.check_in(fast, value=140, health="on_track", occurred_at=half)
    await api.check_in(honest, value=110, health="off_track", occurred_at=half)
    for value, day in ((99, "01"), (98, "05"), (99, "13")):
        at = f"2026-02-{day}T00:00:00Z"
        await api.check_in(held, value=value, health="on_track", occurred_at=at)
    await api.check_in(done, value=False, health="on_track", occurred_at=half)
    seen = [await api.get(f"/key-results/{one['id']}") for one in objective["key_results"]]
    assert [one["trending"] for one in seen] == [
        "off_track", "on_track", "off_track", "off_track", None,
    ]  # fmt: skip
    # A third of the time it was held, and a milestone that is not done yet has no pace.
    assert [one["forecast"] for one in seen[3:]] == [pytest.approx(1 / 3, abs=0.0001), None]

    report = await api.get(f"/cycles/{cycle['id']}/health")
    (found,) = [one for one in report["failure_modes"] if one["id"] == "said_on_track"]
    assert (found["numerator"], found["denominator"]) == (2, 3)
    assert found["items"] == [slow["id"], held["id"]]
    await api.move(cycle, "begin-scoring")
    assert (await api.get(f"/key-results/{slow['id']}"))["trending"] is None


# Calibration of claims --------------------------------------------------------------------

LEVELLED: Json = {**METRIC, "commit": 120, "target": 150, "stretch": 200}
LADDER: Json = {
    "kind": "milestone",
    "levels": {"commit": "A letter", "target": "Signed", "stretch": "Live"},
}


async def _scored(api: Api, system: str, *told: tuple[Json, Any]) -> tuple[Json, list[Json]]:
    """A cycle whose key results were scored, each after one reading."""
    await api.decide("scoring", system=system)
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": f"Part {n}", "measure": measure} for n, (measure, _) in enumerate(told)]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.move(cycle, "open")
    key_results: list[Json] = objective["key_results"]
    for key_result, (_, value) in zip(key_results, told, strict=True):
        if value is not None:
            await api.check_in(key_result, value=value)
    await api.move(cycle, "begin-scoring")
    for key_result in key_results:
        await api.score(key_result)
    return cycle, key_results


async def test_the_claims_of_10_50_and_90_percent_are_held_against_what_came_of_them(
    api: Api,
) -> None:
    cycle, parts = await _scored(
        api, "stretch_target_commit", (LEVELLED, 150), (LEVELLED, 130), (LADDER, "stretch"),
        (LEVELLED, None), ({"kind": "milestone"}, True),
    )  # fmt: skip
    first, second, third, silent, _ = (one["id"] for one in parts)
    claims = (await api.get(f"/cycles/{cycle['id']}/health"))["claims"]
    assert claims["levels"] == [
        {
            "level": "commit", "claimed": 0.9, "reached": 3, "claims": 4, "share": 0.75,
            "brier": 0.21, "items": [first, second, third],
        },
        {
            "level": "target", "claimed": 0.5, "reached": 2, "claims": 4, "share": 0.5,
            "brier": 0.25, "items": [first, third],
        },
        {
            "level": "stretch", "claimed": 0.1, "reached": 1, "claims": 4, "share": 0.25,
            "brier": 0.21, "items": [third],
        },
    ]  # fmt: skip
    assert (claims["claims"], claims["items"]) == (12, [first, second, third, silent])
    assert claims["brier"] == pytest.approx((0.21 + 0.25 + 0.21) / 3, abs=0.0001)


async def test_a_claim_is_judged_by_the_levels_at_commitment(api: Api) -> None:
    await api.decide("scoring", system="stretch_target_commit")
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": "Customers", "measure": LEVELLED}]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.move(cycle, "open")
    (key_result,) = objective["key_results"]
    easier = {"measure": {**LEVELLED, "target": 130}, "reason": "One market less."}
    await api.patch(f"/key-results/{key_result['id']}", easier)
    await api.check_in(key_result, value=140)
    await api.move(cycle, "begin-scoring")
    await api.score(key_result)
    claims = (await api.get(f"/cycles/{cycle['id']}/health"))["claims"]
    assert [one["reached"] for one in claims["levels"]] == [1, 0, 0]


async def test_radical_focus_starts_at_even_odds_and_is_held_to_them(api: Api) -> None:
    cycle, parts = await _scored(api, "radical_focus", (METRIC, 200), (METRIC, 150), (METRIC, None))
    report = await api.get(f"/cycles/{cycle['id']}/health")
    (target,) = report["claims"]["levels"]
    assert (target["level"], target["claimed"]) == ("target", 0.5)
    assert (target["reached"], target["claims"]) == (1, 3)
    assert target["items"] == [parts[0]["id"]]
    # Nobody stated a confidence: it stands where it started.
    assert (report["calibration"]["forecasts"], report["calibration"]["brier"]) == (3, 0.25)


async def test_without_levels_nothing_was_claimed(api: Api) -> None:
    cycle, _ = await _scored(api, "measure_what_matters", (LEVELLED, 150))
    claims = (await api.get(f"/cycles/{cycle['id']}/health"))["claims"]
    assert claims == {"brier": None, "claims": 0, "levels": [], "items": []}


# The survey -------------------------------------------------------------------------------


async def test_a_survey_is_nobodys_and_speaks_once_there_are_three(api: Api) -> None:
    cycle, objective = await api.running()
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, value=130)
    path = f"/cycles/{cycle['id']}/survey"
    await api.refused("invalid-state", "POST", path, {"answers": ANSWERS})
    await api.move(cycle, "begin-scoring")
    await api.score(key_result)
    for _ in range(2):
        seen = await api.post(path, {"answers": ANSWERS}, 201)
        assert (seen["averages"], seen["diagnosis"]) == (None, None)
    seen = await api.post(path, {"answers": {**ANSWERS, "said_early": 1}}, 201)
    assert (seen["answers"], seen["averages"]["said_early"]) == (3, 3.0)
    assert (seen["agreement"], seen["score"]) == (4.2, 0.3)
    assert seen["diagnosis"] == "strategy_problem"

    told = await api.get("/events", type="survey.answered")
    assert {event["actor"] for event in told["items"]} == {"anonymous"}


# Causes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("cause", "warned"), [("capacity", 0), (None, 1)])
async def test_a_score_below_good_names_its_cause_or_a_warning_is_recorded(
    api: Api, cause: str | None, warned: int
) -> None:
    cycle, objective = await api.running()
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, value=110)
    await api.move(cycle, "begin-scoring")
    await api.move(cycle, "begin-reflection")
    choice = {"key_result_id": key_result["id"], "choice": "remove", "cause": cause}
    following = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
    await api.post(f"/cycles/{cycle['id']}:reset", {"next_cycle": following, "choices": [choice]})
    assert (await api.get(f"/key-results/{key_result['id']}"))["cause"] == cause
    warnings = (await api.get(f"/cycles/{cycle['id']}/warnings"))["items"]
    assert sum(one["rule"] == "reflection.cause" for one in warnings) == warned


async def test_a_good_score_needs_no_cause(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": "Customers", "measure": METRIC}]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.move(cycle, "open")
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, value=190)
    await api.move(cycle, "begin-scoring")
    await api.move(cycle, "begin-reflection")
    following = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
    choices = [{"key_result_id": key_result["id"], "choice": "keep"}]
    await api.post(f"/cycles/{cycle['id']}:reset", {"next_cycle": following, "choices": choices})
    warnings = (await api.get(f"/cycles/{cycle['id']}/warnings"))["items"]
    assert [one for one in warnings if one["rule"] == "reflection.cause"] == []
