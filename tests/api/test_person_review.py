"""A performance review sees as much of somebody's scores as was decided, and is told why."""

from __future__ import annotations

import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json


async def _scored(api: Api) -> tuple[Json, Json, Json]:
    """A person with an objective of her own, and a key result within her team's."""
    ada = await api.person()
    hers = {"kind": "person", "id": ada["id"]}
    await api.decide("levels", owners=["company", "team", "individual"])
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": "Hers", "measure": METRIC, "owner": hers}, {"title": "The team's"}]
    shared = await api.commit(await api.objective(cycle, team, key_results=parts))
    own = await api.commit(await api.objective(cycle, team, owner=hers))
    await api.move(cycle, "open")
    for key_result in (shared["key_results"][0], own["key_results"][0]):
        await api.check_in(key_result, value=150)
    await api.move(cycle, "begin-scoring")
    for key_result in (shared["key_results"][0], own["key_results"][0]):
        await api.score(key_result)
    return ada, shared["key_results"][0], own["key_results"][0]


async def test_decoupled_reviews_are_told_no_scores_and_why(api: Api) -> None:
    ada, first, second = await _scored(api)
    seen = await api.get(f"/people/{ada['id']}/review")
    assert seen["link"] == "decoupled"
    assert "decoupled" in seen["withheld"]
    assert [one["key_result_id"] for one in seen["key_results"]] == [first["id"], second["id"]]
    assert [one["score"] for one in seen["key_results"]] == [None, None]


@pytest.mark.parametrize("link", ["informs", "coupled"])
async def test_where_it_is_decided_a_review_sees_the_scores_from_then_on(
    api: Api, link: str
) -> None:
    ada, _, _ = await _scored(api)
    before = await api.head()
    await api.decide("performance_reviews", link=link)
    seen = await api.get(f"/people/{ada['id']}/review")
    assert (seen["link"], seen["withheld"]) == (link, None)
    assert [one["score"] for one in seen["key_results"]] == [0.5, 0.5]
    then = await api.get(f"/people/{ada['id']}/review", as_of=before)
    assert [one["score"] for one in then["key_results"]] == [None, None]


async def test_what_is_anothers_is_not_in_the_review(api: Api) -> None:
    await _scored(api)
    ben = await api.person("Ben Ruiz")
    assert (await api.get(f"/people/{ben['id']}/review"))["key_results"] == []
    await api.refused("not-found", "GET", f"/people/{UNKNOWN}/review")
