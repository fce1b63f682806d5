"""Many writers at once, with real commits: positions have no gaps, and set rules hold."""

from __future__ import annotations

import asyncio
from uuid import UUID

from tests.api.programme import METRIC, Api


async def test_racing_writers_leave_contiguous_positions_and_versions(api: Api) -> None:
    _, objective = await api.running()
    key_result = objective["key_results"][0]
    before = await api.head()

    answers = await asyncio.gather(
        *(
            api.request("POST", f"/key-results/{key_result['id']}/check-ins", json={"value": n})
            for n in range(100, 140)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    positions = sorted(int(answer.headers["Ledger-Position"]) for answer in answers)
    assert positions == list(range(before + 1, before + 41))

    page = await api.get("/events", stream=f"key_result/{key_result['id']}", page_size=100)
    assert [event["version"] for event in page["items"]] == list(range(1, 42))
    assert (await api.get("/ledger:verify"))["identical"]


async def test_a_reader_with_a_cursor_misses_no_event_while_writers_race(api: Api) -> None:
    team = await api.team()
    done = asyncio.Event()
    seen: list[int] = []

    async def follow() -> None:
        while True:
            finished = done.is_set()
            page = await api.get("/events", after=seen[-1] if seen else 0, page_size=7)
            seen.extend(event["position"] for event in page["items"])
            if finished and not page["items"]:
                return
            await asyncio.sleep(0)

    async def rename(writer: int) -> None:
        for turn in range(5):
            await api.patch_blindly(f"/teams/{team['id']}", {"name": f"{writer}-{turn}"})

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(rename(writer) for writer in range(8)))
    done.set()
    await follower
    assert seen == list(range(1, await api.head() + 1))


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


async def test_one_idempotency_key_has_one_effect_however_often_it_is_sent(api: Api) -> None:
    before = await api.head()
    answers = await asyncio.gather(
        *(
            api.request("POST", "/teams", json={"name": "Once"}, headers={"Idempotency-Key": "abc"})
            for _ in range(30)
        )
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert all(
        answer.json()["type"] == "/problems/in-flight"
        for answer in answers
        if answer.status_code == 409
    )
    made = {UUID(answer.json()["id"]) for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert await api.head() == before + 1


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
