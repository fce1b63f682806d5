"""The ten decisions: asked, answered, answered anew."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.programme import UNKNOWN, Api, Json, pointers

ANSWERS: dict[str, Json] = {
    "levels": {"owners": ["company", "team", "individual"]},
    "limits": {"max_objectives": 2, "max_key_results": 5, "enforcement": "refuse"},
    "cadence": {"company": "year", "team": "quarterly", "check_in_every_days": 7},
    "scoring": {"system": "measure_what_matters", "good": 0.8, "poor": 0.3},
    "cycle_length": {"weeks": 12, "planning_days": 10},
    "tracking": {"mechanism": "integration", "sources": ["metrics-bridge"]},
    "kpis": {"policy": "separate"},
    "alignment": {"policy": "required", "required_by_day": 14, "targets": ["key_result"]},
    "bottom_up": {"target_share": 0.5},
    "performance_reviews": {"link": "informs", "individual_scores_visible_to": ["leader"]},
}


async def test_what_nobody_answered_stands_at_its_default(api: Api) -> None:
    deployment = await api.get("/deployment")
    assert deployment["answered"] == 0
    assert deployment["missing"] == list(ANSWERS)
    answers = {answer["question"]: answer for answer in deployment["answers"]}
    assert not any(answer["answered"] for answer in answers.values())
    assert answers["limits"]["decision"] == {
        "question": "limits",
        "max_objectives": 3,
        "max_key_results": 4,
        "enforcement": "warn",
    }
    assert answers["scoring"]["decision"]["good"] == 0.7
    assert answers["cadence"]["in_force_since"] is None
    assert (await api.get("/deployment/decisions"))["items"] == []


@pytest.mark.parametrize(("question", "decision"), ANSWERS.items())
async def test_each_of_the_ten_questions_takes_an_answer(
    api: Api, question: str, decision: Json
) -> None:
    made = await api.decide(question, **decision)
    assert made["decision"].items() >= decision.items()
    assert made["answered"]
    assert await api.get(f"/deployment/{question}") == made

    deployment = await api.get("/deployment")
    assert deployment["answered"] == 1
    assert deployment["missing"] == [name for name in ANSWERS if name != question]
    assert made in deployment["answers"]


async def test_an_answer_names_who_decided_why_and_since_when_it_holds(api: Api) -> None:
    person = await api.person()
    made = await api.put(
        "/deployment/limits",
        {
            "decision": {"question": "limits", "max_objectives": 2},
            "rationale": "Two are what we can recite.",
            "decided_by": person["id"],
        },
    )
    assert made["asks"] == "How many objectives and key results?"
    assert made["rationale"] == "Two are what we can recite."
    assert made["decided_by"] == person["id"]
    assert made["in_force_since"] == await api.head()
    event = (await api.get("/events", type="decision.made"))["items"][0]
    assert (made["decided_at"], made["in_force_since"]) == (
        event["recorded_at"],
        event["position"],
    )


async def test_a_later_answer_takes_over_and_the_earlier_one_stays_to_be_read(api: Api) -> None:
    first = await api.decide("limits", max_objectives=2)
    second = await api.decide("limits", max_objectives=5)
    await api.decide("kpis", policy="separate")

    in_force = await api.get("/deployment/limits")
    assert in_force["decision"]["max_objectives"] == 5
    assert in_force["in_force_since"] == second["in_force_since"]
    assert (await api.get("/deployment"))["answered"] == 2

    every = (await api.get("/deployment/decisions"))["items"]
    assert [one["question"] for one in every] == ["limits", "limits", "kpis"]
    assert [one["decision"].get("max_objectives") for one in every] == [2, 5, None]
    assert every[0]["in_force_since"] == first["in_force_since"]


async def test_an_answer_belongs_to_the_question_of_its_path(api: Api) -> None:
    body = {"decision": {"question": "kpis"}, "rationale": "Because."}
    problem = await api.refused("refused", "PUT", "/deployment/limits", body)
    assert pointers(problem) == ["/decision/question"]
    assert "'kpis'" in problem["detail"]


async def test_there_is_no_eleventh_question(api: Api) -> None:
    await api.refused("not-found", "GET", "/deployment/budget")


async def test_whoever_decided_is_known_and_still_there(api: Api) -> None:
    gone = await api.person()
    await api.post(f"/people/{gone['id']}:depart")
    for person in (UNKNOWN, gone["id"]):
        body = {
            "decision": {"question": "limits"},
            "rationale": "Because.",
            "decided_by": person,
        }
        problem = await api.refused("not-found", "PUT", "/deployment/limits", body)
        assert pointers(problem) == ["/decided_by"]
        assert person in problem["detail"]


async def test_a_custom_cadence_states_its_days(api: Api) -> None:
    def body(**more: Any) -> Json:
        decision = {"question": "cadence", "team": "custom", **more}
        return {"decision": decision, "rationale": "Six weeks suit us."}

    problem = await api.refused("refused", "PUT", "/deployment/cadence", body())
    assert pointers(problem) == ["/decision/custom_days"]

    await api.put("/deployment/cadence", body(custom_days=42))
    six_weeks = {"starts_on": "2026-01-01", "ends_on": "2026-02-11"}
    assert (await api.cycle("planned", **six_weeks))["ends_on"] == "2026-02-11"
    a_day_more = {"name": "Odd", **six_weeks, "ends_on": "2026-02-12"}
    await api.refused("decision-refuses", "POST", "/cycles", a_day_more)


@pytest.mark.parametrize("phase", ["active", "scoring", "reflecting"])
async def test_scoring_does_not_change_under_a_running_cycle(api: Api, phase: str) -> None:
    await api.cycle(phase)
    kinder = {"question": "scoring", "system": "measure_what_matters", "good": 0.5}
    body = {"decision": kinder, "rationale": "Be kinder."}
    problem = await api.refused("decision-refuses", "PUT", "/deployment/scoring", body)
    assert (problem["decision"], problem["rule"]) == ("scoring", "scoring.fixed_while_running")
    assert "2026 Q1" in problem["detail"]
    assert pointers(problem) == ["/decision"]


@pytest.mark.parametrize("phase", ["planned", "drafting", "closed"])
async def test_scoring_changes_while_no_cycle_runs(api: Api, phase: str) -> None:
    await api.cycle(phase)
    assert (await api.decide("scoring", good=0.5))["decision"]["good"] == 0.5


async def test_scoring_may_be_confirmed_while_a_cycle_runs(api: Api) -> None:
    await api.cycle("active")
    confirmed = await api.decide("scoring", good=0.7)
    assert (confirmed["answered"], confirmed["decision"]["good"]) == (True, 0.7)


async def test_the_thresholds_of_scoring_are_in_order(api: Api) -> None:
    body = {
        "decision": {"question": "scoring", "system": "radical_focus", "good": 0.3, "poor": 0.9},
        "rationale": "Poor from 0.9, good from 0.3.",
    }
    problem = await api.refused("refused", "PUT", "/deployment/scoring", body)
    assert pointers(problem) == ["/decision/poor"]
