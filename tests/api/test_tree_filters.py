"""A tree narrowed, sorted and thinned out: what fits, and the way up to its roots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers


def _below(node: Json) -> list[Json]:
    through = [child for part in node["key_results"] for child in part["children"]]
    return [*node["children"], *through]


def _nodes(tree: Json) -> Iterator[Json]:
    waiting = list(tree["roots"])
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting += _below(node)


def _shown(tree: Json) -> dict[str, bool]:
    """The titles of all objectives shown, and whether the filters fit them."""
    return {node["title"]: node["matches"] for node in _nodes(tree)}


async def _three_levels(api: Api) -> tuple[str, dict[str, Json]]:
    """The path of the tree of Top > Middle > Bottom, the last step through a key result; Aside."""
    await api.decide("levels", owners=["company", "team", "individual"])
    cycle, team, other = await api.cycle(), await api.team(), await api.team("Sales")
    ada = await api.person()
    made = {
        "Top": await api.objective(cycle, team, title="Top"),
        "Middle": await api.objective(cycle, other, title="Middle"),
        "Bottom": await api.objective(
            cycle,
            ada,
            title="Bottom",
            owner={"kind": "person", "id": ada["id"]},
            key_results=[{"title": "Straße 7", "measure": METRIC}],
        ),
        "Aside": await api.objective(cycle, other, title="Aside"),
    }
    await api.align(made["Middle"], made["Top"])
    await api.align(made["Bottom"], made["Middle"]["key_results"][0], "key_result")
    return f"/cycles/{cycle['id']}/tree", made


# Filters ----------------------------------------------------------------------------------


async def test_without_filters_everything_matches(api: Api) -> None:
    path, made = await _three_levels(api)
    assert _shown(await api.get(path)) == dict.fromkeys(made, True)


async def test_what_fits_is_shown_with_the_way_up_to_its_root(api: Api) -> None:
    path, made = await _three_levels(api)
    way = {"Top": False, "Middle": False, "Bottom": True}
    ada = made["Bottom"]["owner"]["id"]
    for query in (
        {"text": "bottom"},
        {"text": "STRASSE"},
        {"owner_kind": "person"},
        {"owner_id": ada},
        {"owner_id": ada, "owner_kind": "person", "status": "draft", "health": "pending"},
    ):
        assert _shown(await api.get(path, **query)) == way, query
    sales = {"owner_id": made["Aside"]["owner"]["id"]}
    assert _shown(await api.get(path, **sales)) == {"Aside": True, "Top": False, "Middle": True}
    assert _shown(await api.get(path, text="e", **sales)) == _shown(await api.get(path, **sales))


@pytest.mark.parametrize(
    "query",
    [
        {"text": "nowhere"},
        {"text": "%"},
        {"owner_id": UNKNOWN},
        {"status": "committed"},
        {"health": "achieved"},
        {"owner_kind": "team", "text": "bottom"},
    ],
    ids=str,
)
async def test_where_nothing_fits_the_tree_is_empty_and_its_summary_is_not(
    api: Api, query: Json
) -> None:
    path, made = await _three_levels(api)
    tree = await api.get(path, **query)
    assert tree["roots"] == []
    assert tree["summary"] == (await api.get(path))["summary"]
    assert tree["summary"]["objectives"] == len(made)


async def test_status_and_health_are_those_that_are_shown(api: Api) -> None:
    path, made = await _three_levels(api)
    await api.commit(made["Middle"])
    await api.post(f"/objectives/{made['Aside']['id']}:abandon", {"reason": "The market moved."})
    assert _shown(await api.get(path, status="committed")) == {"Top": False, "Middle": True}
    assert _shown(await api.get(path, health="abandoned")) == {"Aside": True}
    assert _shown(await api.get(path, status="closed")) == {"Aside": True}


async def test_the_title_of_a_removed_key_result_is_not_searched(api: Api) -> None:
    path, made = await _three_levels(api)
    await api.post(f"/key-results/{made['Bottom']['key_results'][0]['id']}:remove", {})
    assert (await api.get(path, text="straße"))["roots"] == []


async def test_what_is_hidden_is_counted_of_what_the_filters_leave(api: Api) -> None:
    path, _ = await _three_levels(api)
    tree = await api.get(path, depth=1, text="middle")
    assert [(node["title"], node["hidden"]) for node in tree["roots"]] == [("Top", 1)]
    assert [node["hidden"] for node in (await api.get(path, depth=1))["roots"]] == [2, 0]


# One subtree ------------------------------------------------------------------------------


async def test_one_objective_can_stand_on_top(api: Api) -> None:
    path, made = await _three_levels(api)
    whole = await api.get(path)
    for name, below in (("Top", ["Middle", "Bottom"]), ("Middle", ["Bottom"]), ("Bottom", [])):
        tree = await api.get(path, root=made[name]["id"])
        assert list(_shown(tree)) == [name, *below]
        assert tree["summary"] == whole["summary"]
        assert tree["roots"][0] in list(_nodes(whole))
    narrowed = await api.get(path, root=made["Middle"]["id"], text="bottom")
    assert _shown(narrowed) == {"Middle": False, "Bottom": True}
    assert (await api.get(path, root=made["Middle"]["id"], text="top"))["roots"] == []


async def test_an_objective_of_another_tree_is_not_found_in_this_one(api: Api) -> None:
    path, made = await _three_levels(api)
    cycle, team = await api.cycle(), made["Top"]["owner"]
    elsewhere = await api.objective(cycle, team)
    for root in (elsewhere["id"], UNKNOWN, made["Top"]["key_results"][0]["id"], team["id"]):
        await api.refused("not-found", "GET", f"{path}?root={root}")


# Fields -----------------------------------------------------------------------------------


async def test_nodes_have_the_fields_that_were_asked_for_and_say_where_they_stand(
    api: Api,
) -> None:
    path, _ = await _three_levels(api)
    whole, thin = await api.get(path), await api.get(path, fields="title,owner,measure")
    assert thin["summary"] == whole["summary"]
    assert thin["cycle"] == whole["cycle"]
    for full, node in zip(_nodes(whole), _nodes(thin), strict=True):
        standing = {"id", "key_results", "children", "hidden", "matches"}
        assert node.keys() == standing | {"title", "owner"}
        assert {node[name] == full[name] for name in ("id", "title", "owner", "hidden")} == {True}
        for known, part in zip(full["key_results"], node["key_results"], strict=True):
            assert part.keys() == {"id", "title", "owner", "measure", "children"}
            assert {part[name] == known[name] for name in ("id", "title", "measure")} == {True}


async def test_a_name_of_where_a_node_stands_may_be_asked_for_too(api: Api) -> None:
    path, _ = await _three_levels(api)
    alone = await api.get(path, fields="id")
    assert alone == await api.get(path, fields="id,children")
    assert {len(node) for node in _nodes(alone)} == {5}


@pytest.mark.parametrize(
    "fields",
    ["", ",", "title,", "nope", "title,nope", "Title", "title, why", "__dict__", "a" * 900],
)
async def test_a_field_that_there_is_not_is_invalid(api: Api, fields: str) -> None:
    cycle = await api.cycle()
    answer = await api.request("GET", f"/cycles/{cycle['id']}/tree", params={"fields": fields})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert pointers(answer.json()) == ["fields"]


# Order ------------------------------------------------------------------------------------


async def _side_by_side(api: Api) -> tuple[str, list[Json]]:
    """b, A, ä and B, checked in on at 0.5, never, 0.2 and 0.5; and a fifth one below the first."""
    cycle, team, sales = await api.cycle(), await api.team("Growth"), await api.team("arts")
    owners = (team, sales, team, sales)
    goals = [
        await api.commit(await api.objective(cycle, owner, title=title))
        for title, owner in zip(("b", "A", "ä", "B"), owners, strict=True)
    ]
    await api.open_anyway(cycle)
    for at, value, health in ((0, 150, "on_track"), (2, 120, "off_track"), (3, 150, "at_risk")):
        await api.check_in(goals[at]["key_results"][0], value=value, health=health)
    return f"/cycles/{cycle['id']}/tree", goals


@pytest.mark.parametrize(
    ("sort", "titles"),
    [
        ("title", "AbBä"),
        ("-title", "äbBA"),
        ("progress", "äbBA"),
        ("-progress", "bBäA"),
        ("health", "äBAb"),
        ("-health", "bABä"),
        ("owner", "ABbä"),
        ("-owner", "bäAB"),
        ("score", "bAäB"),
        ("-score", "bAäB"),
    ],
)
async def test_siblings_are_sorted_and_equals_stay_as_they_were(
    api: Api, sort: str, titles: str
) -> None:
    path, _ = await _side_by_side(api)
    tree = await api.get(path, sort=sort)
    assert "".join(node["title"] for node in tree["roots"]) == titles


async def test_every_level_is_sorted(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    top = await api.objective(cycle, team, title="Top")
    for title in ("b", "a", "c"):
        below = await api.objective(cycle, team, title=title)
        await api.align(below, top)
    (node,) = (await api.get(f"/cycles/{cycle['id']}/tree", sort="-title"))["roots"]
    assert [child["title"] for child in node["children"]] == ["c", "b", "a"]


# Requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("root", "x"),
        ("owner_id", "x"),
        ("owner_kind", "company"),
        ("status", "open"),
        ("health", "green"),
        ("text", ""),
        ("text", "a" * 201),
        ("sort", "size"),
        ("sort", "--title"),
        ("sort", "+title"),
        ("title", "Top"),
    ],
)
async def test_what_no_tree_can_be_asked_for_is_invalid(api: Api, name: str, value: str) -> None:
    cycle = await api.cycle()
    answer = await api.request("GET", f"/cycles/{cycle['id']}/tree", params={name: value})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
    assert pointers(answer.json()) == [name]


@pytest.mark.parametrize("query", [{}, {"fields": "title"}, {"text": "o", "sort": "-title"}])
async def test_what_is_asked_for_has_an_etag_of_its_own(api: Api, query: dict[str, Any]) -> None:
    path, made = await _three_levels(api)
    first = await api.request("GET", path, params=query)
    known = {"If-None-Match": first.headers["ETag"]}
    assert (await api.request("GET", path, params=query, headers=known)).status_code == 304
    other = await api.request("GET", path, params={**query, "depth": 1}, headers=known)
    assert other.status_code == 200
    await api.patch(f"/objectives/{made['Top']['id']}", {"title": "Top of all"})
    assert (await api.request("GET", path, params=query, headers=known)).status_code == 200
