"""Kinds of key result under each scoring system; explained, and scored anew in thought."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.programme import METRIC, Api, Json, pointers

LEVELLED: Json = {**METRIC, "commit": 120, "target": 150, "stretch": 200}
LADDER: Json = {
    "kind": "milestone",
    "levels": {"commit": "A draft", "target": "Signed", "stretch": "Live"},
}
UPTIME: Json = {"kind": "threshold", "unit": "percent", "bound": "at_least", "limit": 99}
UNKNOWN: Json = {"kind": "baseline", "unit": "days"}
KINDS: dict[str, Json] = {
    "metric": LEVELLED,
    "ladder": LADDER,
    "threshold": UPTIME,
    "baseline": UNKNOWN,
    "milestone": {"kind": "milestone"},
}


async def _running(api: Api, system: str, **measures: Json) -> tuple[Json, dict[str, Json]]:
    """An active cycle under a system, and a committed objective with these measures."""
    await api.decide("scoring", system=system)
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": name, "measure": measure} for name, measure in measures.items()]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.move(cycle, "open")
    return cycle, {part["title"]: part for part in objective["key_results"]}


async def _read(api: Api, parts: dict[str, Json]) -> None:
    await api.check_in(parts["metric"], value=135)
    await api.check_in(parts["ladder"], value="commit")
    for value in (99.5, 98, 99.9):
        await api.check_in(parts["threshold"], value=value)
    await api.check_in(parts["baseline"], value=9)
    await api.check_in(parts["milestone"], value=True)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("measure_what_matters", [0.7, 0.3333, 0.6667, 1, 1]),
        ("stretch_target_commit", [0.5, 0.3, 0.6667, 1, 1]),
        ("radical_focus", [0, 0, 0, 1, 1]),
    ],
)
async def test_each_kind_is_scored_by_the_system_decided(
    api: Api, system: str, expected: list[float]
) -> None:
    await api.decide("limits", max_key_results=5)
    await api.decide("scoring", system=system, threshold_by="check_ins")
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": name, "measure": measure} for name, measure in KINDS.items()]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.move(cycle, "open")
    by_name = {part["title"]: part for part in objective["key_results"]}
    await _read(api, by_name)
    assert (await api.get(f"/key-results/{by_name['ladder']['id']}"))["value"] == "commit"

    await api.move(cycle, "begin-scoring")
    scores = [await api.score(by_name[name]) for name in KINDS]
    assert [one["score"] for one in scores] == expected
    assert {one["formula"] for one in scores} == {f"{system.replace('_', '-')}/1"}

    roll_up = await api.get(f"/objectives/{objective['id']}/explain")
    assert [part["figure"] for part in roll_up["parts"]] == expected
    assert roll_up["score"] == pytest.approx(sum(expected) / 5, abs=0.0001)


@pytest.mark.parametrize(
    ("measure", "value", "says"),
    [(LADDER, True, "none, commit, target, stretch"), (UPTIME, "target", "number")],
)
async def test_a_value_of_another_kind_is_told_what_to_give(
    api: Api, measure: Json, value: Any, says: str
) -> None:
    _, parts = await _running(api, "measure_what_matters", one=measure)
    path = f"/key-results/{parts['one']['id']}/check-ins"
    problem = await api.refused("wrong-kind", "POST", path, {"value": value})
    assert says in problem["detail"]


async def test_levels_are_agreed_before_the_key_result_is_final(api: Api) -> None:
    await api.decide("scoring", system="stretch_target_commit")
    cycle, team = await api.cycle(), await api.team()
    draft = await api.objective(cycle, team)
    problem = await api.refused("decision-refuses", "POST", f"/objectives/{draft['id']}:commit")
    assert (problem["decision"], problem["rule"]) == ("scoring", "scoring.levels")
    (part,) = draft["key_results"]
    await api.patch(f"/key-results/{part['id']}", {"measure": LEVELLED})
    await api.commit(draft)


async def test_a_score_is_explained_by_formula_decision_and_events(api: Api) -> None:
    cycle, parts = await _running(api, "stretch_target_commit", metric=LEVELLED)
    decided = (await api.get("/deployment/scoring"))["in_force_since"]
    path = f"/key-results/{parts['metric']['id']}"
    first = await api.check_in(parts["metric"], value=110)
    second = await api.check_in(parts["metric"], value=135)
    await api.post(f"/check-ins/{first['id']}:retract", {"reason": "Of another report."})

    # Before it is scored: what it would be now.
    now = await api.get(f"{path}/explain")
    assert (now["computed"], now["final"], now["scored_position"]) == (0.5, None, None)
    assert (now["formula"], now["rules_in_force_since"]) == ("stretch-target-commit/1", decided)
    assert [one["position"] for one in now["readings"]] == [second["position"]]
    assert "between 120 (scored 0.3) and 150 (scored 0.7)" in now["because"]

    await api.move(cycle, "begin-scoring")
    await api.score(parts["metric"], score=0.6, adjustment_reason="Signed since.")
    then = await api.get(f"{path}/explain")
    assert (then["computed"], then["final"]) == (0.5, 0.6)
    assert then["adjustment_reason"] == "Signed since."
    assert then["scored_position"] == await api.head()


async def test_a_past_cycle_is_scored_anew_under_another_system_and_nothing_is_written(
    api: Api,
) -> None:
    cycle, parts = await _running(api, "measure_what_matters", metric=LEVELLED, other=METRIC)
    await api.check_in(parts["metric"], value=135)
    await api.check_in(parts["other"], value=200)
    await api.move(cycle, "begin-scoring")
    for part in parts.values():
        await api.score(part)
    before = await api.head()
    for system, figures, whole in (
        ("stretch_target_commit", [0.5, 1], 0.75),
        ("radical_focus", [0, 1], 0.5),
        ("measure_what_matters", [0.7, 1], 0.85),
    ):
        rules = {"question": "scoring", "system": system}
        seen = await api.post(f"/cycles/{cycle['id']}:what-if", {"rules": rules})
        assert [part["what_if"] for part in seen["key_results"]] == figures
        assert [part["scored"] for part in seen["key_results"]] == [0.7, 1]
        assert (seen["what_if"], seen["score"]) == (whole, 0.85)
    assert await api.head() == before


async def test_what_was_amended_is_scored_as_committed_too(api: Api) -> None:
    cycle, parts = await _running(api, "measure_what_matters", metric=METRIC)
    path = f"/key-results/{parts['metric']['id']}"
    for target in (180, 150):
        body = {"measure": {**METRIC, "target": target}, "reason": "One market less."}
        await api.patch(path, body)
    await api.check_in(parts["metric"], value=140)
    assert (await api.get(f"{path}/explain"))["as_committed"] == 0.4
    await api.move(cycle, "begin-scoring")
    scored = await api.score(parts["metric"])
    assert (scored["score"], scored["score_as_committed"]) == (0.8, 0.4)


async def test_a_measured_baseline_seeds_a_metric(api: Api) -> None:
    _, parts = await _running(api, "measure_what_matters", unknown=UNKNOWN)
    path = f"/key-results/{parts['unknown']['id']}"
    body = {"title": "Days from 9 to 4", "target": 4}
    await api.refused("refused", "POST", f"{path}:succeed", body)
    await api.check_in(parts["unknown"], value=9)
    seeded = await api.post(f"{path}:succeed", body, 201)
    assert seeded["measure"] == {
        "kind": "metric", "unit": "days", "baseline": 9, "target": 4, "commit": None,
        "stretch": None,
    }  # fmt: skip
    assert seeded["previous_id"] == parts["unknown"]["id"]
    assert (await api.get(path))["successor_id"] == seeded["id"]
    await api.refused("refused", "POST", f"{path}:succeed", body)


# Corrections ------------------------------------------------------------------------------


async def test_a_check_in_is_corrected_without_erasure(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    told = await api.check_in(key_result, value=190, health="on_track")
    before = await api.head()
    fixed = await api.put(
        f"/check-ins/{told['id']}",
        {"value": 150, "health": "at_risk", "reason": "A typing error."},
        if_match="*",
    )
    assert (fixed["value"], fixed["progress"], fixed["reason"]) == (150, 0.5, "A typing error.")
    assert fixed["corrected_at"] is not None
    shown = await api.get(f"/key-results/{key_result['id']}")
    assert (shown["value"], shown["progress"], shown["health"]) == (150, 0.5, "at_risk")

    then = await api.get(f"/key-results/{key_result['id']}", as_of=before)
    assert (then["value"], then["health"]) == (190, "on_track")
    events = await api.get("/events", stream=f"key_result/{key_result['id']}")
    assert [event["type"] for event in events["items"]][-2:] == [
        "check_in.recorded",
        "check_in.corrected",
    ]
    assert (await api.get("/ledger:verify"))["identical"]


async def test_a_retracted_check_in_counts_no_more_and_stays_to_be_seen(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, value=120, confidence=0.4)
    wrong = await api.check_in(key_result, value=190)
    gone = await api.post(f"/check-ins/{wrong['id']}:retract", {"reason": "Another team's."})
    assert (gone["retracted"], gone["value"]) == (True, 190)
    shown = await api.get(f"/key-results/{key_result['id']}")
    assert (shown["value"], shown["progress"], shown["confidence"]) == (120, 0.2, 0.4)
    again = await api.refused(
        "not-found", "POST", f"/check-ins/{wrong['id']}:retract", {"reason": "Again."}
    )
    assert wrong["id"] in again["detail"]
    assert (await api.get("/ledger:verify"))["identical"]


async def test_an_increment_is_shown_beside_the_value_that_it_makes(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    for value in (130, 160):
        told = await api.check_in(key_result, increment=30)
        assert (told["value"], told["increment"]) == (value, 30)
    path = f"/key-results/{key_result['id']}/check-ins"
    problem = await api.refused("refused", "POST", path, {"increment": 1, "value": 2})
    assert pointers(problem) == ["/increment"]


async def test_a_forecast_assumes_the_average_pace(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    assert (await api.get(f"/key-results/{key_result['id']}"))["forecast"] is None
    # A tenth of the way, read when a fifth of the quarter was over.
    await api.check_in(key_result, value=110, occurred_at="2026-01-19T00:00:00Z")
    shown = await api.get(f"/key-results/{key_result['id']}")
    assert shown["forecast"] == pytest.approx(0.5, abs=0.01)
