"""How a programme fared: failure modes, calibration, the survey, and causes."""

from __future__ import annotations

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
