"""Many writers at once, with real commits: set rules hold. More of them: `tests/faults`."""

from __future__ import annotations

import asyncio

from tests.api.programme import METRIC, Api


async def test_only_as_many_objectives_as_decided_win_the_race(api: Api) -> None:
    await api.decide("limits", max_objectives=3, enforcement="refuse")
    cycle, team = await api.cycle(), await api.team()
    body = {
        "cycle_id": cycle["id"],
        "owner": {"kind": "team", "id": team["id"]},
        "title": "Customers stay",
        "key_results": [{"title": "Active customers", "measure": METRIC}],
    }
    answers = await asyncio.gather(
        *(api.request("POST", "/objectives", json=body) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 17
    refused = next(answer.json() for answer in answers if answer.status_code == 409)
    assert refused["type"] == "/problems/decision-refuses"
    tree = await api.get(f"/cycles/{cycle['id']}/tree")
    assert (tree["summary"]["objectives"], tree["summary"]["key_results"]) == (3, 3)


async def test_an_alignment_loop_cannot_be_closed_from_two_sides_at_once(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    for _ in range(5):
        one, other = [await api.objective(cycle, team) for _ in range(2)]

        def align(below: str, above: str) -> dict[str, object]:
            return {
                "url": f"/objectives/{below}/alignments",
                "json": {"target": {"kind": "objective", "id": above}, "rationale": "It helps."},
            }

        answers = await asyncio.gather(
            *(
                api.request("POST", str(wish.pop("url")), **wish)  # type: ignore[arg-type]
                for wish in (align(one["id"], other["id"]), align(other["id"], one["id"]))
            )
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_of_two_edits_based_on_the_same_version_one_is_lost_to_nobody(api: Api) -> None:
    team = await api.team()
    answers = await asyncio.gather(
        *(
            api.request(
                "PATCH",
                f"/teams/{team['id']}",
                json={"name": name},
                headers={"If-Match": '"1"'},
            )
            for name in ("One", "Two")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    won = next(answer.json()["name"] for answer in answers if answer.status_code == 200)
    assert (await api.get(f"/teams/{team['id']}"))["name"] == won
