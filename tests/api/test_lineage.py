"""Lineage: a goal through the cycles, with what was scored, chosen and learnt in each."""

from __future__ import annotations

import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json

CYCLES = (
    ("2026 Q1", "2026-01-01", "2026-03-31"),
    ("2026 Q2", "2026-04-01", "2026-06-30"),
    ("2026 Q3", "2026-07-01", "2026-09-30"),
)


async def _reset(api: Api, cycle: Json, number: int, *choices: Json) -> Json:
    """The next cycle, drafting, from one that is running."""
    name, starts_on, ends_on = CYCLES[number]
    following = {"name": name, "starts_on": starts_on, "ends_on": ends_on}
    await api.move(cycle, "begin-scoring", "begin-reflection")
    body = {"next_cycle": following, "choices": list(choices)}
    return await api.post(f"/cycles/{cycle['id']}:reset", body)


async def _only(api: Api, cycle: Json) -> Json:
    (objective,) = (await api.get("/objectives", cycle_id=cycle["id"]))["items"]
    found: Json = objective
    return found


async def _three_quarters(api: Api) -> list[Json]:
    """One objective with a metric that is kept and then modified; all as they stand at the end."""
    first, goal = await api.running()
    (metric,) = goal["key_results"]
    dropped = await api.post(
        f"/objectives/{goal['id']}/key-results", {"title": "Dropped", "measure": METRIC}
    )
    await api.check_in(metric, value=150)
    kept = {"key_result_id": metric["id"], "choice": "keep", "learning": "Start earlier."}
    gone = {"key_result_id": dropped["id"], "choice": "remove"}
    second = await _reset(api, first, 1, kept, gone)
    goal = await api.commit(await _only(api, second))
    await api.move(second, "open")
    (metric,) = goal["key_results"]
    await api.check_in(metric, value=180)
    harder = {"title": "Regulars", "measure": {**METRIC, "target": 300}}
    modified = {
        "key_result_id": metric["id"],
        "choice": "modify",
        "terms": harder,
        "learning": "It was too easy.",
    }
    third = await _reset(api, second, 2, modified)
    return [await _only(api, cycle) for cycle in (first, second, third)]


async def test_a_key_result_is_followed_through_the_cycles_from_any_of_them(api: Api) -> None:
    goals = await _three_quarters(api)
    parts = [next(p for p in goal["key_results"] if p["title"] != "Dropped") for goal in goals]
    ids = [part["id"] for part in parts]
    for id in ids:
        lineage = await api.get(f"/key-results/{id}/lineage")
        assert lineage["id"] == id
        assert [step["id"] for step in lineage["steps"]] == ids
    steps = lineage["steps"]
    assert [step["cycle_name"] for step in steps] == [name for name, _, _ in CYCLES]
    assert [step["title"] for step in steps] == ["Active customers"] * 2 + ["Regulars"]
    assert [step["score"] for step in steps] == [0.5, 0.8, None]
    assert [step["outcome"] for step in steps] == ["not_achieved", "achieved", None]
    assert [step["choice"] for step in steps] == ["keep", "modify", None]
    assert [step["learning"] for step in steps] == ["Start earlier.", "It was too easy.", None]
    assert [step["previous_id"] for step in steps] == [None, *ids[:2]]


async def test_an_objective_is_followed_with_its_key_results(api: Api) -> None:
    goals = await _three_quarters(api)
    ids = [goal["id"] for goal in goals]
    for id in ids:
        lineage = await api.get(f"/objectives/{id}/lineage")
        assert (lineage["id"], [step["id"] for step in lineage["steps"]]) == (id, ids)
    steps = lineage["steps"]
    assert [step["cycle_name"] for step in steps] == [name for name, _, _ in CYCLES]
    # In the first quarter, what was dropped counts as silent: 0.
    assert [step["score"] for step in steps] == [0.25, 0.8, None]
    assert [step["outcome"] for step in steps] == ["carried_on", "carried_on", None]
    assert [len(step["key_results"]) for step in steps] == [2, 1, 1]
    choices = {part["title"]: part["choice"] for part in steps[0]["key_results"]}
    assert choices == {"Active customers": "keep", "Dropped": "remove"}


async def test_a_goal_of_one_cycle_is_its_own_lineage(api: Api) -> None:
    _, goal = await api.running()
    lineage = await api.get(f"/objectives/{goal['id']}/lineage")
    assert [(step["id"], step["title"]) for step in lineage["steps"]] == [
        (goal["id"], goal["title"])
    ]


async def test_a_lineage_is_shown_as_it_was_then(api: Api) -> None:
    first, goal = await api.running()
    (metric,) = goal["key_results"]
    before = await api.head()
    await _reset(api, first, 1, {"key_result_id": metric["id"], "choice": "keep"})
    for path in (f"/objectives/{goal['id']}/lineage", f"/key-results/{metric['id']}/lineage"):
        assert len((await api.get(path))["steps"]) == 2
        (then,) = (await api.get(path, as_of=before))["steps"]
        assert (then["score"], then["outcome"]) == (None, None)


@pytest.mark.parametrize("kind", ["objectives", "key-results"])
async def test_the_lineage_of_an_unknown_goal_is_not_found(api: Api, kind: str) -> None:
    await api.refused("not-found", "GET", f"/{kind}/{UNKNOWN}/lineage")
