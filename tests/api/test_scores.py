"""Scores: computed by a formula, adjusted with a reason; both are kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.programme import METRIC, Api, Json, pointers


async def _scoring(api: Api, **said: Any) -> Json:
    """A key result of a cycle in scoring, with one check-in if something is said."""
    cycle, objective = await api.running()
    key_result: Json = objective["key_results"][0]
    if said:
        await api.check_in(key_result, **said)
    await api.move(cycle, "begin-scoring")
    return key_result


async def test_nothing_is_scored_until_somebody_scores_it(api: Api) -> None:
    key_result = await _scoring(api, value=180)
    seen = await api.get(f"/key-results/{key_result['id']}/score")
    assert seen["key_result_id"] == key_result["id"]
    assert (seen["score"], seen["comment"], seen["formula"]) == (None, None, None)


@pytest.mark.parametrize(
    ("said", "computed"), [({"value": 180}, 0.8), ({"confidence": 0.9}, 0), ({}, 0)]
)
async def test_without_a_score_of_its_own_the_computed_one_stands(
    api: Api, said: Json, computed: float
) -> None:
    key_result = await _scoring(api, **said)
    made = await api.score(key_result, comment="Nearly there.")
    assert (made["computed_score"], made["score"]) == (computed, computed)
    assert (made["comment"], made["adjustment_reason"]) == ("Nearly there.", None)
    assert made["formula"] == "measure-what-matters/1"
    assert await api.get(f"/key-results/{key_result['id']}/score") == made

    seen = await api.get(f"/key-results/{key_result['id']}")
    assert (seen["computed_score"], seen["score"]) == (computed, computed)
    assert (seen["score_comment"], seen["score_formula"]) == (
        "Nearly there.",
        "measure-what-matters/1",
    )


async def test_an_adjusted_score_needs_a_reason_and_both_scores_are_kept(api: Api) -> None:
    key_result = await _scoring(api, value=180)
    path = f"/key-results/{key_result['id']}/score"
    body = {"score": 0.9, "comment": "Two start next week."}
    problem = await api.refused("reason-missing", "PUT", path, body)
    assert pointers(problem) == ["/adjustment_reason"]
    assert "computed score is 0.8; say why 0.9 is the better one" in problem["detail"]

    made = await api.score(key_result, score=0.9, adjustment_reason="The contracts are signed.")
    assert (made["computed_score"], made["score"]) == (0.8, 0.9)
    assert made["adjustment_reason"] == "The contracts are signed."
    seen = await api.get(f"/key-results/{key_result['id']}")
    assert (seen["computed_score"], seen["score"]) == (0.8, 0.9)


async def test_the_computed_score_said_aloud_is_no_adjustment(api: Api) -> None:
    key_result = await _scoring(api, value=180)
    made = await api.score(key_result, score=0.8, adjustment_reason="None needed.")
    assert (made["score"], made["adjustment_reason"]) == (0.8, None)


async def test_a_key_result_may_be_scored_anew_and_the_first_score_stays_in_history(
    api: Api,
) -> None:
    key_result = await _scoring(api, value=180)
    await api.score(key_result, score=0.5, adjustment_reason="Too early to say.")
    anew = await api.score(key_result, comment="It held.")
    assert (anew["score"], anew["comment"], anew["adjustment_reason"]) == (0.8, "It held.", None)
    told = (await api.get("/events", type="key_result.scored"))["items"]
    assert [event["data"]["score"] for event in told] == [0.5, 0.8]


async def test_the_score_is_computed_from_the_value_that_is_true_last(api: Api) -> None:
    cycle, team = await api.cycle(starts_on="2024-01-01", ends_on="2024-03-31"), await api.team()
    objective = await api.commit(await api.objective(cycle, team))
    (key_result,) = objective["key_results"]
    await api.move(cycle, "open")
    await api.check_in(key_result, value=180, occurred_at="2024-03-01T12:00:00Z")
    await api.check_in(key_result, value=120, occurred_at="2024-02-01T12:00:00Z")
    await api.patch(
        f"/key-results/{key_result['id']}",
        {"measure": {**METRIC, "target": 300}, "reason": "Twice as far."},
    )
    await api.move(cycle, "begin-scoring")
    assert (await api.score(key_result))["computed_score"] == 0.4


@pytest.mark.parametrize(("score", "health"), [(0.7, "achieved"), (0.69, "not_achieved")])
async def test_a_score_is_the_end_of_a_key_result_as_scoring_decides(
    api: Api, score: float, health: str
) -> None:
    key_result = await _scoring(api, value=180, health="at_risk")
    await api.score(key_result, score=score, adjustment_reason="Seen with our own eyes.")
    seen = await api.get(f"/key-results/{key_result['id']}")
    assert (seen["health"], seen["reported_health"]) == (health, "at_risk")


# Refusals ---------------------------------------------------------------------------------


async def test_scores_are_given_while_scoring_and_reflecting(api: Api) -> None:
    cycle, objective = await api.running()
    path = f"/key-results/{objective['key_results'][0]['id']}/score"
    for command in ("begin-scoring", "begin-reflection", "close", None):
        phase = cycle["phase"]
        if phase in ("scoring", "reflecting"):
            await api.put(path, {"comment": f"While {phase}."}, if_match="*")
        else:
            problem = await api.refused("invalid-state", "PUT", path, {"comment": "Now?"})
            assert problem["state"] == phase
            assert "ScoreKeyResult does not apply" in problem["detail"]
            assert "while the cycle is scoring or reflecting" in problem["detail"]
        if command:
            cycle = await api.move(cycle, command)


async def test_what_was_never_committed_is_not_scored(api: Api) -> None:
    cycle, team = await api.cycle("active"), await api.team()
    objective = await api.objective(cycle, team)
    await api.move(cycle, "begin-scoring")
    path = f"/key-results/{objective['key_results'][0]['id']}/score"
    problem = await api.refused("invalid-state", "PUT", path, {"comment": "Well."})
    assert problem["state"] == "draft"
    assert "while the objective is committed" in problem["detail"]
