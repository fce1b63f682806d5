"""The tree of a cycle: every goal once, below what it contributes to first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.programme import METRIC, Api, Json, pointers


async def _goals(api: Api, count: int) -> tuple[str, list[Json]]:
    """The path of a tree, and objectives that stand side by side in it."""
    cycle, team = await api.cycle(), await api.team()
    goals = [await api.objective(cycle, team, title=f"Goal {n}") for n in range(count)]
    return f"/cycles/{cycle['id']}/tree", goals


def _below(node: Json) -> list[Json]:
    through = [child for part in node["key_results"] for child in part["children"]]
    return [*node["children"], *through]


def _nodes(tree: Json) -> Iterator[Json]:
    waiting = list(tree["roots"])
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting += _below(node)


def _shape(nodes: list[Json]) -> Json:
    """Titles within titles; `Goal 1 > figure` stands for what is nested below a key result."""
    return {
        node["title"]: _shape(node["children"])
        | {
            f"{node['title']} > figure": _shape(part["children"])
            for part in node["key_results"]
            if part["children"]
        }
        for node in nodes
    }


# Nesting ----------------------------------------------------------------------------------


async def test_a_cycle_without_goals_has_an_empty_tree(api: Api) -> None:
    cycle = await api.cycle("planned")
    tree = await api.get(f"/cycles/{cycle['id']}/tree")
    assert (tree["cycle"], tree["roots"]) == (cycle, [])
    summary = tree["summary"]
    assert (summary["objectives"], summary["levels"], summary["health"]) == (0, 0, {})
    assert (summary["progress"], summary["score"]) == (None, None)


async def test_goals_nest_below_objectives_and_below_key_results(api: Api) -> None:
    path, goals = await _goals(api, 6)
    await api.align(goals[1], goals[0])
    await api.align(goals[2], goals[0]["key_results"][0], "key_result")
    await api.align(goals[3], goals[1]["key_results"][0], "key_result")
    await api.align(goals[4], goals[3])
    tree = await api.get(path)
    assert _shape(tree["roots"]) == {
        "Goal 0": {
            "Goal 1": {"Goal 1 > figure": {"Goal 3": {"Goal 4": {}}}},
            "Goal 0 > figure": {"Goal 2": {}},
        },
        "Goal 5": {},
    }
    assert (tree["summary"]["levels"], tree["summary"]["unaligned"]) == (4, 2)


async def test_a_goal_with_several_parents_stands_below_the_first_and_names_the_others(
    api: Api,
) -> None:
    path, goals = await _goals(api, 3)
    below, first, second = goals
    agreed = [await api.align(below, first), await api.align(below, second)]
    tree = await api.get(path)
    assert _shape(tree["roots"]) == {"Goal 1": {"Goal 0": {}}, "Goal 2": {}}
    assert tree["roots"][0]["children"][0]["contributes_to"] == agreed

    await api.post(f"/alignments/{agreed[0]['id']}:withdraw", {"reason": "The plan changed."})
    tree = await api.get(path)
    assert _shape(tree["roots"]) == {"Goal 1": {}, "Goal 2": {"Goal 0": {}}}
    assert tree["roots"][1]["children"][0]["contributes_to"] == agreed[1:]


async def test_what_contributed_to_a_removed_key_result_stands_below_its_objective(
    api: Api,
) -> None:
    path, goals = await _goals(api, 3)
    top, middle, bottom = goals
    await api.align(middle, top["key_results"][0], "key_result")
    await api.align(bottom, middle)
    await api.post(f"/key-results/{top['key_results'][0]['id']}:remove", {})
    tree = await api.get(path)
    assert _shape(tree["roots"]) == {"Goal 0": {"Goal 1": {"Goal 2": {}}}}
    assert tree["roots"][0]["key_results"] == []
    assert (tree["summary"]["key_results"], tree["summary"]["levels"]) == (2, 3)
    hidden = (await api.get(path, depth=1))["roots"][0]["hidden"]
    assert hidden == 2


async def test_an_abandoned_goal_stays_where_it_was_and_is_not_called_unaligned(api: Api) -> None:
    path, goals = await _goals(api, 3)
    top, middle, bottom = goals
    await api.align(middle, top)
    await api.align(bottom, middle)
    for goal in (top, middle):
        await api.post(f"/objectives/{goal['id']}:abandon", {"reason": "The market moved."})
    tree = await api.get(path)
    assert _shape(tree["roots"]) == {"Goal 0": {"Goal 1": {"Goal 2": {}}}}
    assert [node["health"] for node in _nodes(tree)] == ["abandoned", "abandoned", "pending"]
    assert tree["summary"]["unaligned"] == 0


async def test_what_contributes_to_another_cycle_is_a_root_of_its_own_and_aligned(
    api: Api,
) -> None:
    path, (goal,) = await _goals(api, 1)
    other_path, (above,) = await _goals(api, 1)
    made = await api.align(goal, above)
    tree = await api.get(path)
    assert [root["contributes_to"] for root in tree["roots"]] == [[made]]
    assert tree["summary"]["unaligned"] == 0
    assert _shape((await api.get(other_path))["roots"]) == {"Goal 0": {}}


async def test_a_first_parent_of_another_cycle_does_not_hide_a_second_one_here(api: Api) -> None:
    path, (goal, beside) = await _goals(api, 2)
    _, (elsewhere,) = await _goals(api, 1)
    await api.align(goal, elsewhere)
    await api.align(goal, beside)
    assert _shape((await api.get(path))["roots"]) == {"Goal 1": {"Goal 0": {}}}


async def test_the_tree_of_a_year_can_show_what_its_quarters_contribute(api: Api) -> None:
    await api.decide("cadence", company="year")
    company, team = await api.team("Harbour", level="company"), await api.team()
    dates = {"starts_on": "2026-01-01", "ends_on": "2026-12-31"}
    year, beside = await api.cycle(name="2026", **dates), await api.cycle()
    quarter = await api.cycle(parent_id=year["id"])
    top = await api.objective(year, company, title="Top")
    direct, through, loose = [
        await api.objective(quarter, team, title=title) for title in ("Direct", "Through", "Loose")
    ]
    stranger = await api.objective(beside, team, title="Stranger")
    await api.align(direct, top["key_results"][0], "key_result")
    await api.align(through, direct)
    await api.align(stranger, top)

    path = f"/cycles/{year['id']}/tree"
    alone, whole = await api.get(path), await api.get(path, across=True)
    assert _shape(alone["roots"]) == {"Top": {}}
    assert _shape(whole["roots"]) == {"Top": {"Top > figure": {"Direct": {"Through": {}}}}}
    assert whole["summary"] == alone["summary"]
    assert (await api.get(path, across=True, depth=1))["roots"][0]["hidden"] == 2
    inner = f"/cycles/{quarter['id']}/tree"
    assert await api.get(inner, across=True) == await api.get(inner)
    assert loose["id"] not in {node["id"] for node in _nodes(whole)}


async def test_the_companys_objectives_stand_at_the_top_and_are_not_called_unaligned(
    api: Api,
) -> None:
    company, team, cycle = await api.team(level="company"), await api.team(), await api.cycle()
    await api.objective(cycle, company)
    path = f"/cycles/{cycle['id']}/tree"
    assert (await api.get(path))["summary"]["unaligned"] == 0
    await api.objective(cycle, team)
    assert (await api.get(path))["summary"]["unaligned"] == 1


async def test_every_goal_of_a_cycle_is_in_its_tree_once_and_as_it_is_alone(api: Api) -> None:
    path, goals = await _goals(api, 7)
    for below, above, kind in (
        (1, 0, "objective"),
        (2, 0, "key_result"),
        (2, 1, "objective"),
        (3, 2, "key_result"),
        (3, 2, "objective"),
        (5, 4, "key_result"),
        (5, 0, "objective"),
    ):
        target = goals[above] if kind == "objective" else goals[above]["key_results"][0]
        await api.align(goals[below], target, kind)
    await api.post(f"/key-results/{goals[4]['key_results'][0]['id']}:remove", {})
    await api.post(f"/objectives/{goals[6]['id']}:abandon", {"reason": "The market moved."})

    nodes = list(_nodes(await api.get(path)))
    assert sorted(node["id"] for node in nodes) == sorted(goal["id"] for goal in goals)
    for node in nodes:
        alone = await api.get(f"/objectives/{node['id']}")
        live = [part for part in alone["key_results"] if not part["removed"]]
        shown = [{k: v for k, v in p.items() if k != "children"} for p in node["key_results"]]
        assert shown == live
        for name in alone.keys() - {"key_results"}:
            assert node[name] == alone[name]


# Depth ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "hidden"), [(1, [4]), (2, [0, 2, 0]), (3, [0] * 5)])
async def test_a_tree_is_nested_as_deep_as_asked_and_says_what_is_hidden(
    api: Api, depth: int, hidden: list[int]
) -> None:
    path, goals = await _goals(api, 5)
    await api.align(goals[1], goals[0])
    await api.align(goals[2], goals[0]["key_results"][0], "key_result")
    await api.align(goals[3], goals[1])
    await api.align(goals[4], goals[1]["key_results"][0], "key_result")
    whole = await api.get(path)
    tree = await api.get(path, depth=depth)
    shown = list(_nodes(tree))
    assert [node["hidden"] for node in shown] == hidden
    assert len(shown) + sum(hidden) == 5
    assert tree["summary"] == whole["summary"]


async def test_goals_nested_deeper_than_a_reader_takes_are_counted(api: Api) -> None:
    path, goals = await _goals(api, 34)
    for below, above in zip(goals[1:], goals, strict=False):
        await api.align(below, above)
    tree = await api.get(path)
    nodes = list(_nodes(tree))
    assert (len(nodes), nodes[-1]["hidden"]) == (32, 2)
    assert (tree["summary"]["objectives"], tree["summary"]["levels"]) == (34, 34)


@pytest.mark.parametrize("depth", [0, 33])
async def test_a_depth_out_of_reach_is_invalid(api: Api, depth: int) -> None:
    cycle = await api.cycle()
    problem = await api.refused("invalid", "GET", f"/cycles/{cycle['id']}/tree?depth={depth}")
    assert pointers(problem) == ["depth"]


# Figures ----------------------------------------------------------------------------------


async def test_the_summary_counts_over_the_whole_cycle(api: Api) -> None:
    await api.decide("limits", max_objectives=1)
    cycle, growth, sales = await api.cycle(), await api.team(), await api.team("Sales")
    path = f"/cycles/{cycle['id']}/tree"
    parts = [
        {"title": "Heavy", "measure": METRIC, "weight": 3},
        {"title": "Light", "measure": {"kind": "milestone"}},
        {"title": "Silent", "measure": METRIC},
    ]
    top = await api.objective(cycle, growth, key_results=parts)
    below = await api.objective(cycle, sales)
    await api.objective(cycle, growth, key_results=[])
    await api.align(below, top)
    for objective in (top, below):
        await api.commit(objective)
    await api.move(cycle, "open")
    heavy, light, _ = top["key_results"]
    await api.check_in(heavy, value=120, health="at_risk")
    await api.check_in(light, value=True, health="on_track")

    summary = (await api.get(path))["summary"]
    counts = ("objectives", "key_results", "scored", "unaligned", "levels", "owners", "warnings")
    assert [summary[name] for name in counts] == [3, 4, 0, 2, 2, 2, 1]
    # (3 x 0.2 + 1 x 1) / 4: the silent ones are left out.
    assert (summary["progress"], summary["score"]) == (0.4, None)
    assert summary["health"] == {"at_risk": 1, "on_track": 1, "pending": 2}

    await api.move(cycle, "begin-scoring")
    await api.score(heavy, score=0.9, adjustment_reason="Signed today.")
    await api.score(light)
    summary = (await api.get(path))["summary"]
    # (3 x 0.9 + 1 x 1) / 4
    assert (summary["scored"], summary["score"]) == (2, 0.925)
    assert summary["health"] == {"achieved": 2, "pending": 2}
