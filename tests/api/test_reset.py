"""The end of a cycle: outcomes, and what the next one begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers

NEXT: Json = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
HARDER: Json = {
    "title": "Regulars",
    "measure": {**METRIC, "target": 300, "commit": None, "stretch": None},
    "weight": 2,
}
AT_THE_END = "Scored at the end of the cycle from the latest check-in."


@dataclass
class Ended:
    """A cycle that reflects, and its goals: one of two parts, one of one, and a draft."""

    api: Api
    cycle: Json
    both: Json
    single: Json
    draft: Json

    @property
    def key_results(self) -> list[Json]:
        return [*self.both["key_results"], *self.single["key_results"]]

    def choose(self, *choices: str | Json) -> list[Json]:
        """A choice for each committed key result, in order."""
        stated = ({"choice": one} if isinstance(one, str) else one for one in choices)
        return [
            {"key_result_id": key_result["id"], **choice}
            for key_result, choice in zip(self.key_results, stated, strict=True)
        ]

    def body(self, *choices: str | Json, **next_cycle: Any) -> Json:
        return {"next_cycle": {**NEXT, **next_cycle}, "choices": self.choose(*choices)}

    async def reset(self, *choices: str | Json) -> Json:
        return await self.api.post(f"/cycles/{self.cycle['id']}:reset", self.body(*choices))

    async def refused(self, problem: str, body: Json) -> Json:
        return await self.api.refused(problem, "POST", f"/cycles/{self.cycle['id']}:reset", body)

    async def see(self, goal: Json) -> Json:
        return await self.api.get(f"/objectives/{goal['id']}")


@pytest.fixture
async def ended(api: Api) -> Ended:
    """`both` stands at 0.9 (scored 1 by hand) and at 0.4, `single` is silent."""
    cycle, team = await api.cycle(), await api.team()
    parts = [{"title": name, "measure": METRIC} for name in ("Rides", "Regulars")]
    both = await api.objective(
        cycle, team, title="Riders stay", why_now="Spring.", key_results=parts
    )
    single = await api.objective(cycle, team, title="Drivers stay")
    draft = await api.objective(cycle, team, title="Somebody should")
    for objective in (both, single):
        await api.commit(objective)
    await api.move(cycle, "open")
    first, second = both["key_results"]
    await api.check_in(first, value=190, confidence=0.9, health="on_track")
    await api.check_in(second, value=140)
    await api.move(cycle, "begin-scoring")
    await api.score(first, score=1, adjustment_reason="The last ten signed today.")
    cycle = await api.move(cycle, "begin-reflection")
    return Ended(api, cycle, both, single, draft)


# Closing ----------------------------------------------------------------------------------


async def test_closing_scores_what_is_unscored_and_carries_nothing_over(ended: Ended) -> None:
    api = ended.api
    closed = await api.move(ended.cycle, "close")
    assert (closed["phase"], closed["next_id"]) == ("closed", None)
    scores = [await api.get(f"/key-results/{k['id']}/score") for k in ended.key_results]
    assert [(one["computed_score"], one["score"]) for one in scores] == [
        (0.9, 1),
        (0.4, 0.4),
        (0, 0),
    ]
    assert [one["comment"] for one in scores] == ["As it went.", AT_THE_END, AT_THE_END]
    for key_result in ended.key_results:
        seen = await api.get(f"/key-results/{key_result['id']}")
        assert (seen["choice"], seen["learning"], seen["successor_id"]) == (None, None, None)
    assert (await api.get("/cycles"))["items"] == [closed]


async def test_closing_gives_each_objective_the_outcome_of_its_scores(ended: Ended) -> None:
    await ended.api.move(ended.cycle, "close")
    both, single, draft = [await ended.see(g) for g in (ended.both, ended.single, ended.draft)]
    assert {goal["status"] for goal in (both, single, draft)} == {"closed"}
    # (1 + 0.4) / 2 is the 0.7 that counts as good.
    assert (both["score"], both["outcome"], both["outcome_reason"]) == (0.7, "achieved", None)
    assert (single["score"], single["outcome"]) == (0, "not_achieved")
    assert (draft["score"], draft["outcome"]) == (None, "abandoned")
    assert draft["outcome_reason"] == "Never committed before the cycle ended."


# Resetting --------------------------------------------------------------------------------


async def test_a_reset_closes_the_cycle_and_drafts_the_next_one(ended: Ended) -> None:
    following = await ended.reset("remove", "remove", "remove")
    assert {name: following[name] for name in NEXT} == NEXT
    assert (following["phase"], following["previous_id"]) == ("drafting", ended.cycle["id"])
    closed = await ended.api.get(f"/cycles/{ended.cycle['id']}")
    assert (closed["phase"], closed["next_id"]) == ("closed", following["id"])
    assert await ended.api.get(f"/cycles/{following['id']}") == following
    assert (await ended.api.get("/objectives", cycle_id=following["id"]))["items"] == []


async def test_kept_and_modified_key_results_go_on_and_removed_ones_do_not(ended: Ended) -> None:
    api = ended.api
    following = await ended.reset(
        {"choice": "keep", "learning": "Start earlier."},
        {"choice": "remove", "learning": "Nobody could move it."},
        {"choice": "modify", "terms": HARDER},
    )
    both, single = (await api.get("/objectives", cycle_id=following["id"]))["items"]
    assert [(g["title"], g["previous_id"]) for g in (both, single)] == [
        ("Riders stay", ended.both["id"]),
        ("Drivers stay", ended.single["id"]),
    ]
    assert (both["owner"], both["why_now"], both["status"]) == (
        ended.both["owner"],
        "Spring.",
        "draft",
    )
    (kept,), (modified,) = both["key_results"], single["key_results"]
    was_kept, was_removed, was_modified = [
        await api.get(f"/key-results/{key_result['id']}") for key_result in ended.key_results
    ]
    assert (kept["title"], kept["measure"], kept["previous_id"]) == (
        "Rides",
        was_kept["measure"],
        was_kept["id"],
    )
    assert {name: modified[name] for name in HARDER} == HARDER
    assert modified["previous_id"] == was_modified["id"]

    assert [(k["choice"], k["successor_id"]) for k in (was_kept, was_removed, was_modified)] == [
        ("keep", kept["id"]),
        ("remove", None),
        ("modify", modified["id"]),
    ]
    assert was_kept["learning"] == "Start earlier."
    assert was_removed["learning"] == "Nobody could move it."
    assert was_modified["title"] == "Active customers"


async def test_what_is_kept_begins_anew(ended: Ended) -> None:
    following = await ended.reset("keep", "remove", "remove")
    (kept,) = (await ended.api.get("/key-results", cycle_id=following["id"]))["items"]
    assert (kept["value"], kept["progress"], kept["confidence"], kept["score"]) == (None,) * 4
    assert (kept["health"], kept["last_check_in_at"], kept["choice"]) == ("pending", None, None)
    assert (await ended.api.get(f"/key-results/{kept['id']}/check-ins"))["items"] == []


async def test_a_reset_gives_each_objective_its_outcome_and_scores_the_rest(ended: Ended) -> None:
    await ended.reset("remove", "remove", "keep")
    both, single, draft = [await ended.see(g) for g in (ended.both, ended.single, ended.draft)]
    assert (both["outcome"], both["score"]) == ("achieved", 0.7)
    assert (single["outcome"], single["score"]) == ("carried_on", 0)
    assert draft["outcome"] == "abandoned"
    assert single["key_results"][0]["score_comment"] == AT_THE_END
    assert [k["health"] for k in both["key_results"]] == ["achieved", "not_achieved"]


async def test_a_key_result_removed_before_asks_for_no_choice(api: Api) -> None:
    cycle, objective = await api.running()
    (removed,) = objective["key_results"]
    kept = await api.post(f"/objectives/{objective['id']}/key-results", {"title": "Launched"})
    await api.post(f"/key-results/{removed['id']}:remove", {"reason": "It misled us."})
    await api.move(cycle, "begin-scoring", "begin-reflection")
    path = f"/cycles/{cycle['id']}:reset"
    choice = {"choice": "keep"}
    body = {"next_cycle": NEXT, "choices": [{"key_result_id": removed["id"], **choice}]}
    await api.refused("not-found", "POST", path, body)
    body = {"next_cycle": NEXT, "choices": [{"key_result_id": kept["id"], **choice}]}
    following = await api.post(path, body)
    (drafted,) = (await api.get("/key-results", cycle_id=following["id"]))["items"]
    assert drafted["previous_id"] == kept["id"]


async def test_an_alignment_is_not_carried_over(api: Api) -> None:
    cycle, objective = await api.running()
    above = await api.commit(await api.objective(cycle, {"id": objective["owner"]["id"]}))
    await api.align(objective, above)
    await api.move(cycle, "begin-scoring", "begin-reflection")
    keep = [
        {"key_result_id": goal["key_results"][0]["id"], "choice": "keep"}
        for goal in (objective, above)
    ]
    following = await api.post(
        f"/cycles/{cycle['id']}:reset", {"next_cycle": NEXT, "choices": keep}
    )
    tree = await api.get(f"/cycles/{following['id']}/tree")
    assert [root["contributes_to"] for root in tree["roots"]] == [[], []]


async def test_lineage_leads_from_cycle_to_cycle(ended: Ended) -> None:
    api = ended.api
    second = await ended.reset("keep", "remove", "remove")
    (objective,) = (await api.get("/objectives", cycle_id=second["id"]))["items"]
    await api.commit(objective)
    await api.move(second, "open", "begin-scoring", "begin-reflection")
    (middle,) = objective["key_results"]
    third = await api.post(
        f"/cycles/{second['id']}:reset",
        {
            "next_cycle": {"name": "Q3", "starts_on": "2026-07-01", "ends_on": "2026-09-30"},
            "choices": [{"key_result_id": middle["id"], "choice": "keep"}],
        },
    )
    (last,) = (await api.get("/key-results", cycle_id=third["id"]))["items"]
    here = last
    for earlier in (middle, ended.key_results[0]):
        before = await api.get(f"/key-results/{here['previous_id']}")
        assert (before["id"], before["successor_id"]) == (earlier["id"], here["id"])
        here = before
    assert third["previous_id"] == second["id"]
    assert second["previous_id"] == ended.cycle["id"]


# Refusals ---------------------------------------------------------------------------------


async def test_every_key_result_needs_a_choice_and_the_missing_ones_are_listed(
    ended: Ended,
) -> None:
    body = ended.body("keep", "keep", "keep")
    body["choices"] = body["choices"][1:2]
    problem = await ended.refused("reset-incomplete", body)
    first, _, third = ended.key_results
    assert sorted(problem["missing"]) == sorted([first["id"], third["id"]])
    assert pointers(problem) == ["/choices"]
    assert "2 key result(s)" in problem["detail"]


async def test_a_refused_reset_changes_nothing(ended: Ended) -> None:
    paths = ("/cycles", "/objectives", "/key-results", f"/cycles/{ended.cycle['id']}/tree")
    before = [await ended.api.get(path) for path in paths]
    body = ended.body("keep", "keep", "keep")
    body["choices"].pop()
    await ended.refused("reset-incomplete", body)
    assert [await ended.api.get(path) for path in paths] == before
    await ended.reset("keep", "keep", "keep")


@pytest.mark.parametrize(
    ("choice", "problem", "pointer"),
    [
        ({"choice": "modify"}, "refused", "/terms"),
        ({"choice": "keep", "terms": HARDER}, "refused", "/terms"),
        ({"choice": "remove", "terms": HARDER}, "refused", "/terms"),
        (
            {"choice": "modify", "terms": {"title": "x", "measure": {**METRIC, "target": 100}}},
            "refused",
            "/terms/measure/target",
        ),
        (
            {
                "choice": "modify",
                "terms": {"title": "x", "owner": {"kind": "person", "id": UNKNOWN}},
            },
            "not-found",
            "/terms/owner",
        ),
        ({"key_result_id": UNKNOWN, "choice": "keep"}, "not-found", "/key_result_id"),
    ],
)
async def test_a_faulty_choice_is_pointed_to(
    ended: Ended, choice: Json, problem: str, pointer: str
) -> None:
    found = await ended.refused(problem, ended.body("keep", choice, "keep"))
    assert pointers(found) == [f"/choices/1{pointer}"]


async def test_a_key_result_is_chosen_once(ended: Ended) -> None:
    body = ended.body("keep", "keep", "keep")
    body["choices"] += body["choices"][:1]
    problem = await ended.refused("refused", body)
    assert pointers(problem) == ["/choices/3/key_result_id"]
    assert "chosen twice" in problem["detail"]


async def test_a_draft_has_nothing_to_choose(ended: Ended) -> None:
    body = ended.body("keep", "keep", "keep")
    (draft,) = ended.draft["key_results"]
    body["choices"].append({"key_result_id": draft["id"], "choice": "keep"})
    assert pointers(await ended.refused("not-found", body)) == ["/choices/3/key_result_id"]


async def test_the_next_cycle_is_judged_like_any_other(ended: Ended) -> None:
    choices = ("keep", "keep", "keep")
    backwards = ended.body(*choices, ends_on="2026-03-31")
    assert pointers(await ended.refused("refused", backwards)) == ["/next_cycle/ends_on"]

    await ended.api.decide("cadence", company="monthly", team="monthly", individual="monthly")
    problem = await ended.refused("decision-refuses", ended.body(*choices))
    assert (problem["decision"], problem["rule"]) == ("cadence", "cadence.length")
    assert pointers(problem) == ["/next_cycle/ends_on"]


async def test_what_is_carried_over_is_judged_by_the_limits_of_its_moment(ended: Ended) -> None:
    await ended.api.decide("limits", max_objectives=1, enforcement="refuse")
    problem = await ended.refused("decision-refuses", ended.body("keep", "keep", "keep"))
    assert (problem["decision"], problem["rule"]) == ("limits", "limits.max_objectives")
    await ended.reset("keep", "keep", "remove")


@pytest.mark.parametrize("phase", ["planned", "drafting", "active", "scoring", "closed"])
async def test_only_a_cycle_that_reflects_is_reset(api: Api, phase: str) -> None:
    cycle = await api.cycle(phase)
    body = {"next_cycle": NEXT, "choices": []}
    problem = await api.refused("invalid-state", "POST", f"/cycles/{cycle['id']}:reset", body)
    assert problem["state"] == phase
    assert "ResetCycle does not apply" in problem["detail"]
    assert "while the cycle is reflecting" in problem["detail"]


async def test_an_unknown_cycle_is_not_reset(api: Api) -> None:
    body = {"next_cycle": NEXT, "choices": []}
    problem = await api.refused("not-found", "POST", f"/cycles/{UNKNOWN}:reset", body)
    assert f"no cycle {UNKNOWN}" in problem["detail"]


# Into a cycle that is there already -------------------------------------------------------


async def test_a_reset_goes_on_in_a_cycle_that_was_planned_before(ended: Ended) -> None:
    api = ended.api
    planned = await api.cycle("planned", **NEXT)
    body = {"next_cycle_id": planned["id"], "choices": ended.choose("keep", "remove", "keep")}
    answer = await api.request("POST", f"/cycles/{ended.cycle['id']}:reset", json=body)
    assert answer.status_code == 201
    assert answer.headers["Location"].endswith(f"/cycles/{planned['id']}")
    following = answer.json()
    assert following == await api.get(f"/cycles/{planned['id']}")
    assert (following["id"], following["phase"]) == (planned["id"], "drafting")
    assert following["previous_id"] == ended.cycle["id"]
    closed = await api.get(f"/cycles/{ended.cycle['id']}")
    assert (closed["phase"], closed["next_id"]) == ("closed", planned["id"])
    both, single = (await api.get("/objectives", cycle_id=planned["id"]))["items"]
    assert [one["previous_id"] for one in (both, single)] == [ended.both["id"], ended.single["id"]]
    assert (await api.get("/ledger:verify"))["identical"]


async def test_what_owners_have_in_the_next_cycle_counts_for_its_limits(ended: Ended) -> None:
    api = ended.api
    await api.decide("limits", max_objectives=2, enforcement="refuse")
    drafting = await api.cycle("drafting", **NEXT)
    first = await api.objective(drafting, ended.both["owner"], title="Of another plan")
    choices = ended.choose("keep", "keep", "keep")
    body = {"next_cycle_id": drafting["id"], "choices": choices}
    problem = await ended.refused("decision-refuses", body)
    assert problem["rule"] == "limits.max_objectives"
    await api.post(f"/objectives/{first['id']}:abandon", {"reason": "Too many."})
    following = await api.post(f"/cycles/{ended.cycle['id']}:reset", body)
    assert following["version"] == drafting["version"] + 1


async def test_one_next_cycle_is_stated(ended: Ended) -> None:
    planned = await ended.api.cycle("planned", **NEXT)
    body = ended.body("keep", "keep", "keep")
    choices = {"choices": body["choices"]}
    nobody: Json = {**choices, "next_cycle_id": None}
    for wrong in (choices, {**body, "next_cycle_id": planned["id"]}, nobody):
        await ended.refused("invalid", wrong)


async def test_a_cycle_that_does_not_follow_is_refused_and_one_that_does_is_named(
    ended: Ended,
) -> None:
    api = ended.api
    choices = ended.choose("keep", "keep", "keep")

    async def refused(cycle_id: str, problem: str = "refused") -> str:
        body = {"next_cycle_id": cycle_id, "choices": choices}
        found = await ended.refused(problem, body)
        assert pointers(found) == ["/next_cycle_id"]
        detail: str = found["detail"]
        return detail

    await refused(UNKNOWN, "not-found")
    assert "Plan one: next_cycle" in await refused(ended.cycle["id"])
    active = await api.cycle("active", **{**NEXT, "name": "Running"})
    spring = await api.cycle("planned", **NEXT)
    detail = await refused(active["id"])
    assert "'Running' is active" in detail
    assert f"Name one of these: '2026 Q2' ({spring['id']})" in detail


async def test_a_cycle_of_other_levels_does_not_follow(api: Api) -> None:
    await api.decide("cadence", company="half_year")
    spring, *_ = await _year(api, "company")
    first, second, *_ = await _year(api, "team")
    ended = await api.move(first, "begin-drafting", "open", "begin-scoring", "begin-reflection")
    path = f"/cycles/{ended['id']}:reset"
    body: Json = {"next_cycle_id": second["id"], "choices": []}
    autumn = (await api.get("/cycles"))["items"][1]
    problem = await api.refused("refused", "POST", path, {**body, "next_cycle_id": autumn["id"]})
    assert "is for company, and this one for team" in problem["detail"]
    assert second["id"] in problem["detail"]
    assert spring["id"] not in problem["detail"]
    taken = {"name": "Again", "starts_on": second["starts_on"], "ends_on": second["ends_on"]}
    problem = await api.refused("refused", "POST", path, {"next_cycle": taken, "choices": []})
    assert problem["existing_id"] == second["id"]
    assert "next_cycle_id" in problem["detail"]
    assert (await api.post(path, body))["levels"] == ["team"]


async def _year(api: Api, level: str) -> list[Json]:
    items: list[Json] = (await api.post("/cycles:plan", {"year": 2026, "levels": [level]}))["items"]
    return items


async def test_the_next_cycle_is_for_the_same_levels_unless_it_says_otherwise(api: Api) -> None:
    first, *others = (await api.post("/cycles:plan", {"year": 2026}))["items"]
    for other in others:
        await api.post(f"/cycles/{other['id']}:cancel", {"reason": "One at a time."})
    cycle = await api.move(first, "begin-drafting")
    await api.open_anyway(cycle)
    await api.move(cycle, "begin-scoring", "begin-reflection")
    spring = await api.post(f"/cycles/{cycle['id']}:reset", {"next_cycle": NEXT, "choices": []})
    assert spring["levels"] == ["company", "team"]
    await api.move(spring, "open", "begin-scoring", "begin-reflection")
    summer = {"name": "Q3", "starts_on": "2026-07-01", "ends_on": "2026-09-30"}
    path, wrong = f"/cycles/{spring['id']}:reset", {**summer, "levels": ["individual"]}
    body = {"next_cycle": wrong, "choices": []}
    problem = await api.refused("decision-refuses", "POST", path, body)
    assert pointers(problem) == ["/next_cycle/levels"]
    body = {"next_cycle": {**summer, "levels": ["team"]}, "choices": []}
    assert (await api.post(path, body))["levels"] == ["team"]


# What goes on beside the goals ------------------------------------------------------------


async def _reflecting(api: Api, *objectives: Json) -> list[Json]:
    """Their cycle in reflection, and the choices that keep all of their key results."""
    cycle = {"id": objectives[0]["cycle_id"]}
    await api.move(cycle, "begin-scoring", "begin-reflection")
    return [
        {"key_result_id": key_result["id"], "choice": "keep"}
        for objective in objectives
        for key_result in (await api.get(f"/objectives/{objective['id']}"))["key_results"]
    ]


async def _carry_over(api: Api, cycle: Json, choices: list[Json], *wanted: str) -> Json:
    body = {"next_cycle": NEXT, "choices": choices, "carry_over": wanted}
    return await api.post(f"/cycles/{cycle['id']}:reset", body)


async def _told(api: Api, cycle: Json) -> list[tuple[str, str, str]]:
    warnings = (await api.get(f"/cycles/{cycle['id']}/warnings"))["items"]
    return [(one["rule"], one["subject_id"], one["message"]) for one in warnings]


async def _events(api: Api, cycle: Json, kind: str) -> list[Json]:
    events = (await api.get(f"/cycles/{cycle['id']}/history", page_size=200))["items"]
    return [event["data"] for event in events if event["type"] == kind]


async def test_alignments_are_agreed_again_between_those_that_go_on(api: Api) -> None:
    await api.decide("cadence", company="year")
    year = await api.cycle("drafting", name="2026", ends_on="2026-12-31")
    cycle, objective = await api.running()
    team = objective["owner"]
    above = await api.commit(await api.objective(cycle, team, title="Above"))
    strategy = await api.objective(year, team, title="Strategy")
    first = await api.post(
        f"/objectives/{objective['id']}/alignments",
        {
            "target": {"kind": "key_result", "id": above["key_results"][0]["id"]},
            "rationale": "It helps.",
            "why_now": "Spring.",
            "agreed_by": [(await api.person())["id"]],
        },
    )
    second = await api.align(above, strategy)
    withdrawn = await api.align(objective, strategy)
    await api.post(f"/alignments/{withdrawn['id']}:withdraw", {"reason": "It does not."})
    choices = await _reflecting(api, objective, above)
    following = await _carry_over(api, cycle, choices, "alignments")

    below_again, above_again = (await api.get("/objectives", cycle_id=following["id"]))["items"]
    (one,), (other,) = below_again["contributes_to"], above_again["contributes_to"]
    assert one["target"] == {"kind": "key_result", "id": above_again["key_results"][0]["id"]}
    assert one["target_objective_id"] == above_again["id"]
    assert (one["rationale"], one["why_now"], one["agreed_by"]) == ("It helps.", "Spring.", [])
    assert other["target"] == {"kind": "objective", "id": strategy["id"]}
    agreed = await _events(api, following, "alignment.agreed")
    assert [event["previous_id"] for event in agreed] == [first["id"], second["id"]]
    tree = await api.get(f"/cycles/{following['id']}/tree")
    (root,) = tree["roots"]
    (part,) = root["key_results"]
    assert root["id"] == above_again["id"]
    assert [child["id"] for child in part["children"]] == [below_again["id"]]
    assert await _told(api, following) == []
    assert (await api.get("/ledger:verify"))["identical"]


async def test_an_alignment_whose_target_does_not_go_on_is_told_as_a_warning(api: Api) -> None:
    cycle, objective = await api.running()
    above = await api.commit(await api.objective(cycle, objective["owner"], title="Above"))
    await api.align(objective, above)
    keep, drop = await _reflecting(api, objective, above)
    choices = [keep, {**drop, "choice": "remove"}]
    following = await _carry_over(api, cycle, choices, "alignments")
    (successor,) = (await api.get("/objectives", cycle_id=following["id"]))["items"]
    assert successor["contributes_to"] == []
    ((rule, subject, message),) = await _told(api, following)
    assert (rule, subject) == ("reset.alignment_lost", successor["id"])
    assert "'Above' does not go on" in message


async def test_dependencies_are_declared_anew_and_not_accepted_yet(api: Api) -> None:
    cycle, objective = await api.running()
    sales, support, person = await api.team("Sales"), await api.team("Support"), await api.person()
    theirs = await api.commit(await api.objective(cycle, sales, title="Theirs"))
    accepted = await api.depend(objective, sales, risk_owner_id=person["id"])
    await api.answer(accepted, "accept", person)
    on_goal = await api.depend(objective, theirs, "objective")
    declined = await api.depend(objective, support)
    await api.answer(declined, "decline", person)
    lost = await api.depend(theirs, support, needed="Prices per city.")
    await api.post(f"/teams/{support['id']}:disband")
    choices = await _reflecting(api, objective, theirs)
    following = await _carry_over(api, cycle, choices, "dependencies")

    mine, other = (await api.get("/objectives", cycle_id=following["id"]))["items"]
    first, second = (await api.get("/dependencies", cycle_id=following["id"]))["items"]
    assert [one["previous_id"] for one in (first, second)] == [accepted["id"], on_goal["id"]]
    assert {one["objective_id"] for one in (first, second)} == {mine["id"]}
    assert (first["status"], first["answered_by"]) == ("open", None)
    # 13 February is day 44 of the first quarter, and 14 May is that of the second.
    assert (first["needed_by"], first["risk_owner_id"]) == ("2026-05-14", person["id"])
    assert second["on"] == {"kind": "objective", "id": other["id"]}
    assert second["on_team_id"] == sales["id"]
    ((rule, subject, message),) = await _told(api, following)
    assert (rule, subject) == ("reset.dependency_lost", other["id"])
    assert lost["needed"] in message
    assert (await api.get(f"/dependencies/{accepted['id']}"))["status"] == "accepted"
    await api.answer(first, "accept", person)


async def test_a_kpi_feeds_the_successor_of_its_key_result(api: Api) -> None:
    cycle, objective = await api.running()
    kpi = await api.kpi(objective["owner"], 480)
    path = f"/kpis/{kpi['id']}"
    focus = {"objective_id": objective["id"], "target": 600}
    before = (await api.post(f"{path}:focus", focus))["focus"]
    choices = await _reflecting(api, objective)
    following = await _carry_over(api, cycle, choices, "kpi_focus")
    after = await api.get(path)
    assert (after["role"], after["focus"]["cycle_id"]) == ("key_result", following["id"])
    successor = await api.get(f"/key-results/{after['focus']['key_result_id']}")
    assert successor["previous_id"] == before["key_result_id"]
    await api.commit({"id": successor["objective_id"]})
    await api.move(following, "open")
    told = await api.read(kpi, 540)
    fed = await api.get(f"/key-results/{successor['id']}")
    assert (fed["value"], told["check_in_id"] is not None) == (540, True)


@pytest.mark.parametrize("end", ["close", "keep", "remove", "abandon"])
async def test_a_kpi_is_only_watched_again_once_its_key_result_is_closed(
    api: Api, end: str
) -> None:
    cycle, objective = await api.running()
    kpi = await api.kpi(objective["owner"], 480)
    path = f"/kpis/{kpi['id']}"
    focus = {"objective_id": objective["id"], "target": 600}
    focused = (await api.post(f"{path}:focus", focus))["focus"]
    if end == "abandon":
        await api.post(f"/objectives/{objective['id']}:abandon", {"reason": "The market moved."})
    else:
        choices = await _reflecting(api, objective)
        if end == "close":
            await api.move(cycle, "close")
        else:
            await _carry_over(api, cycle, [{**one, "choice": end} for one in choices])
    watched = await api.get(path)
    assert (watched["role"], watched["focus"]) == ("health_metric", None)
    (returned,) = await _events(api, cycle, "kpi.returned")
    assert returned["key_result_id"] == focused["key_result_id"]
    await api.post(f"{path}:retire", {"reason": "Nobody looks at it."})


async def test_nothing_is_carried_over_that_was_not_asked_for(api: Api) -> None:
    cycle, objective = await api.running()
    above = await api.commit(await api.objective(cycle, objective["owner"], title="Above"))
    await api.align(objective, above)
    await api.depend(objective, await api.team("Sales"))
    following = await _carry_over(api, cycle, await _reflecting(api, objective, above))
    assert (await api.get("/alignments", cycle_id=following["id"]))["items"] == []
    assert (await api.get("/dependencies", cycle_id=following["id"]))["items"] == []
    assert await _told(api, following) == []
