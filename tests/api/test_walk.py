"""A whole cycle over HTTP, then the tree as it was at five moments."""

from __future__ import annotations

from tests.api.programme import METRIC, Api, Json


def _goal(tree: Json, objective: Json) -> Json:
    """The node of an objective, wherever it stands in a tree."""
    waiting: list[Json] = list(tree["roots"])
    while waiting:
        node = waiting.pop()
        if node["id"] == objective["id"]:
            return node
        waiting += node["children"]
        waiting += [child for part in node["key_results"] for child in part["children"]]
    raise AssertionError(f"{objective['id']} is not in the tree")


async def test_a_cycle_is_walked_and_each_moment_of_it_can_be_seen_again(api: Api) -> None:
    company = await api.team("Harbour", level="company")
    growth = await api.team("Growth", parent_id=company["id"])
    cycle = await api.cycle()
    tree = f"/cycles/{cycle['id']}/tree"

    # 1. Created: two drafts, nothing aligned.
    top = await api.objective(cycle, company, title="Riders choose us every day")
    below = await api.objective(
        cycle,
        growth,
        title="A first ride takes no thought",
        key_results=[
            {"title": "Rides on the first day", "measure": METRIC},
            {"title": "Works without an account", "measure": {"kind": "milestone"}},
        ],
    )
    created = await api.head()

    # 2. Aligned: the team's objective contributes to the company's key result.
    await api.post(
        f"/objectives/{below['id']}/alignments",
        {
            "target": {"kind": "key_result", "id": top["key_results"][0]["id"]},
            "rationale": "Every regular begins with a first ride.",
        },
    )
    aligned = await api.head()

    # 3. Checked in.
    for objective in (top, below):
        await api.commit(objective)
    await api.post(f"/cycles/{cycle['id']}:open")
    metric, milestone = below["key_results"]
    await api.check_in(metric, value=150, confidence=0.6, health="at_risk", note="Half way.")
    checked_in = await api.head()
    moment = (await api.get("/ledger"))["at"]

    # 4. Scored: once as computed, once adjusted with a reason.
    await api.check_in(metric, value=180, confidence=0.8, health="on_track")
    await api.check_in(milestone, value=True)
    await api.post(f"/cycles/{cycle['id']}:begin-scoring")
    await api.put(f"/key-results/{metric['id']}/score", {"comment": "Nearly there."})
    await api.put(
        f"/key-results/{milestone['id']}/score",
        {"score": 0.9, "comment": "Live.", "adjustment_reason": "In one city only."},
    )
    scored = await api.head()

    # 5. Reset: one kept, one modified, one removed.
    await api.post(f"/cycles/{cycle['id']}:begin-reflection")
    await api.post(f"/cycles/{cycle['id']}/reflections", {"worked": ["Short check-ins"]})
    following = await api.post(
        f"/cycles/{cycle['id']}:reset",
        {
            "next_cycle": {
                "name": "2026 Q2",
                "starts_on": "2026-04-01",
                "ends_on": "2026-06-30",
            },
            "choices": [
                {"key_result_id": metric["id"], "choice": "keep", "learning": "Start earlier."},
                {"key_result_id": milestone["id"], "choice": "remove"},
                {
                    "key_result_id": top["key_results"][0]["id"],
                    "choice": "modify",
                    "terms": {"title": "Regulars", "measure": {**METRIC, "target": 300}},
                },
            ],
        },
    )
    reset = await api.head()

    then = await api.get(tree, as_of=created)
    assert then["cycle"]["phase"] == "drafting"
    assert [root["id"] for root in then["roots"]] == [top["id"], below["id"]]
    # The company's objective stands at the top.
    assert then["summary"]["unaligned"] == 1
    assert _goal(then, below)["status"] == "draft"

    then = await api.get(tree, as_of=aligned)
    assert [root["id"] for root in then["roots"]] == [top["id"]]
    assert then["summary"]["levels"] == 2
    assert then["roots"][0]["key_results"][0]["children"][0]["id"] == below["id"]
    assert _goal(then, below)["progress"] is None

    by_position = await api.get(tree, as_of=checked_in)
    by_moment = await api.get(tree, as_of=moment)
    for then in (by_position, by_moment):
        assert then["cycle"]["phase"] == "active"
        seen = _goal(then, below)["key_results"][0]
        assert (seen["value"], seen["progress"], seen["confidence"]) == (150, 0.5, 0.6)
        assert seen["health"] == "at_risk"
        assert _goal(then, below)["key_results"][1]["health"] == "pending"

    then = await api.get(tree, as_of=scored)
    assert then["cycle"]["phase"] == "scoring"
    scores = [part["score"] for part in _goal(then, below)["key_results"]]
    assert scores == [0.8, 0.9]
    assert _goal(then, below)["score"] == 0.85
    assert _goal(then, below)["key_results"][1]["computed_score"] == 1
    assert then["summary"]["scored"] == 2

    then = await api.get(tree, as_of=reset)
    assert then["cycle"]["phase"] == "closed"
    assert then["cycle"]["next_id"] == following["id"]
    assert _goal(then, below)["outcome"] == "carried_on"
    # What nobody scored was scored at the end: silence is 0.
    assert _goal(then, top)["key_results"][0]["score"] == 0

    successor = await api.get(f"/cycles/{following['id']}/tree")
    assert successor["cycle"]["phase"] == "drafting"
    assert successor["cycle"]["previous_id"] == cycle["id"]
    lineage = {root["previous_id"]: root for root in successor["roots"]}
    assert set(lineage) == {top["id"], below["id"]}
    assert [part["title"] for part in lineage[below["id"]]["key_results"]] == [
        "Rides on the first day"
    ]
    modified = lineage[top["id"]]["key_results"][0]
    assert (modified["title"], modified["measure"]["target"]) == ("Regulars", 300)
    assert modified["previous_id"] == top["key_results"][0]["id"]

    verdict = await api.get("/ledger:verify")
    assert verdict["identical"], verdict["differences"]
