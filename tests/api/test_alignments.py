"""Alignment: who agreed that what contributes to what."""

from __future__ import annotations

import pytest

from tests.api.programme import UNKNOWN, Api, Json, pointers


async def _goals(api: Api, count: int = 2) -> list[Json]:
    """Draft objectives of one cycle, each with one metric."""
    cycle, team = await api.cycle(), await api.team()
    return [await api.objective(cycle, team, title=f"Goal {n}") for n in range(count)]


def _to(target: Json, kind: str = "objective", **more: object) -> Json:
    return {"target": {"kind": kind, "id": target["id"]}, "rationale": "It helps.", **more}


# Agreeing ---------------------------------------------------------------------------------


async def test_an_alignment_is_an_agreement_with_its_reasons_and_its_people(api: Api) -> None:
    below, above = await _goals(api)
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    (key_result,) = above["key_results"]
    made = await api.post(
        f"/objectives/{below['id']}/alignments",
        {
            "target": {"kind": "key_result", "id": key_result["id"]},
            "rationale": "Every regular begins with a first ride.",
            "why_now": "The season starts.",
            "agreed_by": [ada["id"], ben["id"]],
        },
    )
    assert made["objective_id"] == below["id"]
    assert made["target"] == {"kind": "key_result", "id": key_result["id"]}
    assert made["target_objective_id"] == above["id"]
    assert made["rationale"] == "Every regular begins with a first ride."
    assert made["why_now"] == "The season starts."
    assert made["agreed_by"] == [ada["id"], ben["id"]]
    assert (made["withdrawn"], made["withdrawn_reason"]) == (False, None)
    assert await api.get(f"/alignments/{made['id']}") == made
    assert (await api.get(f"/objectives/{below['id']}"))["contributes_to"] == [made]
    assert (await api.get(f"/objectives/{above['id']}"))["contributes_to"] == []


async def test_an_objective_may_contribute_to_several_goals(api: Api) -> None:
    below, one, other = await _goals(api, 3)
    made = [
        await api.align(below, one),
        await api.align(below, one["key_results"][0], "key_result"),
        await api.align(below, other),
    ]
    assert (await api.get(f"/objectives/{below['id']}"))["contributes_to"] == made


async def test_alignments_are_listed_by_cycle_objective_and_target(api: Api) -> None:
    below, middle, top = await _goals(api, 3)
    (stray,) = await _goals(api, 1)
    first, second = await api.align(below, middle), await api.align(middle, top)
    third = await api.align(stray, top)
    gone = await api.align(below, top)
    gone = await api.post(f"/alignments/{gone['id']}:withdraw", {"reason": "Once is enough."})
    for asked, expected in (
        ({}, [first, second, third]),
        ({"cycle_id": below["cycle_id"]}, [first, second]),
        ({"objective_id": below["id"]}, [first]),
        ({"objective_id": below["id"], "withdrawn": "true"}, [first, gone]),
        ({"target_id": top["id"]}, [second, third]),
        ({"target_id": top["id"], "withdrawn": "true"}, [second, third, gone]),
    ):
        assert (await api.get("/alignments", **asked))["items"] == expected


async def test_a_goal_may_contribute_to_one_of_another_running_cycle(api: Api) -> None:
    (quarterly,), (yearly,) = await _goals(api, 1), await _goals(api, 1)
    made = await api.align(quarterly, yearly)
    assert made["cycle_id"] == quarterly["cycle_id"]
    await api.move({"id": yearly["cycle_id"]}, "open", "begin-scoring", "begin-reflection", "close")
    (late,) = await _goals(api, 1)
    path = f"/objectives/{late['id']}/alignments"
    problem = await api.refused("invalid-state", "POST", path, _to(yearly))
    assert problem["state"] == "closed"
    assert "Align to a goal of a running cycle" in problem["detail"]


# Withdrawing ------------------------------------------------------------------------------


async def test_a_withdrawn_alignment_stays_to_be_read_and_counts_no_more(api: Api) -> None:
    below, above = await _goals(api)
    made = await api.align(below, above)
    gone = await api.post(f"/alignments/{made['id']}:withdraw", {"reason": "The plan changed."})
    assert gone == {
        **made,
        "version": 2,
        "withdrawn": True,
        "withdrawn_reason": "The plan changed.",
    }
    assert await api.get(f"/alignments/{made['id']}") == gone
    assert (await api.get(f"/objectives/{below['id']}"))["contributes_to"] == []

    again = {"reason": "Once more."}
    problem = await api.refused(
        "invalid-state", "POST", f"/alignments/{made['id']}:withdraw", again
    )
    assert problem["state"] == "withdrawn"

    # The way is free in both directions again.
    await api.align(above, below)
    await api.refused("alignment-loop", "POST", f"/objectives/{below['id']}/alignments", _to(above))


async def test_a_way_that_was_withdrawn_in_the_middle_closes_no_loop(api: Api) -> None:
    bottom, middle, top = await _goals(api, 3)
    await api.align(bottom, middle)
    above = await api.align(middle, top)
    await api.refused("alignment-loop", "POST", f"/objectives/{top['id']}/alignments", _to(bottom))
    await api.post(f"/alignments/{above['id']}:withdraw", {"reason": "The plan changed."})
    await api.align(top, bottom)


async def test_what_was_withdrawn_may_be_agreed_anew(api: Api) -> None:
    below, above = await _goals(api)
    first = await api.align(below, above)
    await api.post(f"/alignments/{first['id']}:withdraw", {"reason": "The plan changed."})
    assert (await api.align(below, above))["id"] != first["id"]


# Refusals ---------------------------------------------------------------------------------


async def test_no_goal_contributes_to_itself_by_any_way(api: Api) -> None:
    bottom, middle, top = await _goals(api, 3)
    await api.align(bottom, middle["key_results"][0], "key_result")
    await api.align(middle, top)
    for target in (bottom, middle, top):
        for kind, goal in (("objective", target), ("key_result", target["key_results"][0])):
            objective = bottom if target is bottom else top
            path = f"/objectives/{objective['id']}/alignments"
            problem = await api.refused("alignment-loop", "POST", path, _to(goal, kind))
            assert pointers(problem) == ["/target/id"]


async def test_the_same_alignment_is_agreed_once(api: Api) -> None:
    below, above = await _goals(api)
    first = await api.align(below, above)
    path = f"/objectives/{below['id']}/alignments"
    problem = await api.refused("already-exists", "POST", path, _to(above, why_now="Now."))
    assert problem["existing_id"] == first["id"]


async def test_unknown_goals_and_people_are_pointed_to(api: Api) -> None:
    below, above = await _goals(api)
    gone = await api.person()
    await api.post(f"/people/{gone['id']}:depart")
    (removed,) = above["key_results"]
    await api.post(f"/key-results/{removed['id']}:remove", {})
    unknown = {"id": UNKNOWN}
    for body, pointer, named in (
        (_to(unknown), "/target/id", f"no objective {UNKNOWN}"),
        (_to(unknown, "key_result"), "/target/id", f"no key result {UNKNOWN}"),
        (_to(removed, "key_result"), "/target/id", f"no key result {removed['id']}"),
        (_to(above, "key_result"), "/target/id", f"no key result {above['id']}"),
        (_to(above, agreed_by=[UNKNOWN]), "/agreed_by", f"no person {UNKNOWN}"),
        (_to(above, agreed_by=[gone["id"]]), "/agreed_by", f"no person {gone['id']}"),
    ):
        path = f"/objectives/{below['id']}/alignments"
        problem = await api.refused("not-found", "POST", path, body)
        assert pointers(problem)[0].startswith(pointer)
        assert named in problem["detail"]


async def test_alignment_belongs_to_planning_and_execution(api: Api) -> None:
    below, above, other = await _goals(api, 3)
    cycle = {"id": below["cycle_id"]}
    await api.move(cycle, "open")
    made = await api.align(below, above)
    for command in ("begin-scoring", "begin-reflection", "close"):
        phase = (await api.move(cycle, command))["phase"]
        for path, body, name in (
            (f"/objectives/{below['id']}/alignments", _to(other), "AlignObjective"),
            (f"/alignments/{made['id']}:withdraw", {"reason": "Late."}, "WithdrawAlignment"),
        ):
            problem = await api.refused("invalid-state", "POST", path, body)
            assert problem["state"] == phase
            assert f"{name} does not apply" in problem["detail"]
            assert "while the cycle is drafting or active" in problem["detail"]


async def test_an_abandoned_objective_contributes_to_nothing_new(api: Api) -> None:
    below, above = await _goals(api)
    await api.post(f"/objectives/{below['id']}:abandon", {"reason": "No time."})
    path = f"/objectives/{below['id']}/alignments"
    assert (await api.refused("invalid-state", "POST", path, _to(above)))["state"] == "closed"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/alignments/{UNKNOWN}", None),
        ("POST", f"/alignments/{UNKNOWN}:withdraw", {"reason": "x"}),
        ("POST", f"/objectives/{UNKNOWN}/alignments", _to({"id": UNKNOWN})),
    ],
)
async def test_an_unknown_alignment_or_objective_is_not_found(
    api: Api, method: str, path: str, body: Json | None
) -> None:
    problem = await api.refused("not-found", method, path, body)
    assert UNKNOWN in problem["detail"]
