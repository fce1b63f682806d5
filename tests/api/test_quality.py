"""Define clearly, over HTTP: drafts validated as somebody types, and the guard of commitment."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers

SOUND: Json = {
    "title": "Customers stay because they succeed",
    "why_now": "Churn doubled since the summer.",
    "key_results": [{"title": "Active customers from 100 to 200", "measure": METRIC}],
}
WEAK: Json = {
    "title": "Launch the new customer portal",
    "key_results": [
        {"title": "Hold ten workshops", "measure": METRIC},
        {"title": "Attend three fairs", "measure": METRIC},
    ],
}
IMPACT = "quality.key_results_measure_impact"
DELIVERABLE = "quality.objective_is_no_deliverable"
RECITED = "quality.objective_can_be_recited"


def _owned(team: Json, **body: Any) -> Json:
    return {"owner": {"kind": "team", "id": team["id"]}, **body}


async def _validated(api: Api, body: Json) -> Json:
    before = await api.head()
    answer = await api.post("/drafts:validate", body, status=200)
    assert await api.head() == before
    return answer


def _rules(verdict: Json) -> set[str]:
    return {finding["rule"] for finding in verdict["findings"]}


async def _warnings(api: Api, cycle: Json) -> list[Json]:
    found: list[Json] = (await api.get(f"/cycles/{cycle['id']}/warnings"))["items"]
    return found


# As somebody types ------------------------------------------------------------------------


async def test_a_sound_draft_has_no_findings_and_full_strength(api: Api) -> None:
    verdict = await _validated(api, _owned(await api.team(), **SOUND))
    assert verdict["findings"] == []
    assert verdict["strength"] == 1
    assert (verdict["language"], verdict["formula"]) == ("en", "quality-strength/1")
    assert "weights" in verdict["formula_says"]


async def test_a_draft_grows_stronger_with_every_line(api: Api) -> None:
    team = await api.team()
    steps: list[Json] = [
        {"title": "Customers"},
        {"title": SOUND["title"]},
        _owned(team, title=SOUND["title"]),
        _owned(team, title=SOUND["title"], key_results=SOUND["key_results"]),
        _owned(team, **SOUND),
    ]
    strengths = [(await _validated(api, step))["strength"] for step in steps]
    assert strengths == sorted(set(strengths))
    assert strengths[-1] == 1


async def test_findings_say_what_where_and_how_to_mend_it(api: Api) -> None:
    verdict = await _validated(api, _owned(await api.team(), **WEAK, why_now="Now."))
    found = {(one["rule"], one["severity"], one["pointer"]) for one in verdict["findings"]}
    assert found == {
        (DELIVERABLE, "warn", "/title"),
        (IMPACT, "warn", "/key_results/0/title"),
        (IMPACT, "warn", "/key_results/1/title"),
    }
    assert all("." in one["message"] and one["source"] for one in verdict["findings"])
    assert verdict["strength"] < 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/title"),
        ({"title": ""}, "/title"),
        ({"title": "  "}, "/title"),
        ({"title": "x", "confidence": 1.1}, "/confidence"),
        ({"title": "x", "key_results": [{"title": ""}]}, "/key_results/0/title"),
        ({"title": "x", "contributes_to": [{"kind": "team", "id": UNKNOWN}]},
         "/contributes_to/0/kind"),
        ({"title": "x", "mood": "good"}, "/mood"),
    ],
)  # fmt: skip
async def test_what_the_schema_demands_is_no_finding(api: Api, body: Json, pointer: str) -> None:
    problem = await api.refused("invalid", "POST", "/drafts:validate", body)
    assert pointers(problem) == [pointer]


async def test_what_a_command_would_refuse_is_a_finding_while_it_is_a_draft(api: Api) -> None:
    standing = {**METRIC, "target": METRIC["baseline"]}
    draft = {**SOUND, "key_results": [{"title": "Active customers", "measure": standing}]}
    verdict = await _validated(api, _owned(await api.team(), **draft))
    (finding,) = verdict["findings"]
    assert finding["rule"] == "quality.key_results_are_complete"
    assert finding["pointer"] == "/key_results/0/measure/target"


async def test_an_owner_or_goal_that_is_unknown_counts_as_none(api: Api) -> None:
    unknown = {"kind": "team", "id": UNKNOWN}
    draft = {
        **SOUND,
        "why_now": None,
        "cycle_id": UNKNOWN,
        "contributes_to": [{"kind": "objective", "id": UNKNOWN}],
    }
    assert _rules(await _validated(api, {**draft, "owner": unknown})) == {
        "quality.objective_has_an_owner",
        "quality.contribution_is_stated",
    }
    team = await api.team()
    await api.post(f"/teams/{team['id']}:disband")
    assert "quality.objective_has_an_owner" in _rules(await _validated(api, _owned(team, **SOUND)))


async def test_goals_that_exist_are_contributed_to(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    above = await api.objective(cycle, team)
    for kind, id in (("objective", above["id"]), ("key_result", above["key_results"][0]["id"])):
        draft = {**SOUND, "why_now": None, "contributes_to": [{"kind": kind, "id": id}]}
        assert _rules(await _validated(api, _owned(team, **draft))) == set()


async def test_the_owners_objectives_in_the_cycle_are_counted(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    draft = _owned(team, **SOUND, cycle_id=cycle["id"])
    for _ in range(3):
        assert _rules(await _validated(api, draft)) == set()
        await api.objective(cycle, team)
    assert _rules(await _validated(api, draft)) == {"quality.few_objectives"}
    await api.decide("limits", max_objectives=4)
    assert _rules(await _validated(api, draft)) == set()


async def test_confidence_is_judged_where_it_is_known(api: Api) -> None:
    draft = _owned(await api.team(), **SOUND)
    for confidence, broken in ((0.5, False), (0.95, True), (0.1, True)):
        verdict = await _validated(api, {**draft, "confidence": confidence})
        assert (_rules(verdict) == {"quality.confidence_is_realistic"}) is broken


# The rules --------------------------------------------------------------------------------


async def test_the_rules_are_listed_with_their_severity_in_force_as_of_any_moment(api: Api) -> None:
    before = await api.get("/quality-rules")
    position = await api.head()
    assert len(before["rules"]) == 12
    assert all(rule["severity"] == rule["default_severity"] for rule in before["rules"])
    assert "launch" in before["words"]["deliverables"]

    await api.decide(
        "quality",
        language="de",
        severities={RECITED: "refuse"},
        words={"deliverables": ["Vorlegen"]},
    )
    after = await api.get("/quality-rules")
    changed = [rule for rule in after["rules"] if rule["severity"] != rule["default_severity"]]
    assert [(rule["rule"], rule["severity"]) for rule in changed] == [(RECITED, "refuse")]
    assert after["language"] == "de"
    assert {"vorlegen", "einführen"} <= set(after["words"]["deliverables"])
    assert await api.get("/quality-rules", as_of=position) == before
    assert (await api.get("/ledger:verify"))["identical"]


async def test_an_organisation_extends_the_words_of_its_language(api: Api) -> None:
    team = await api.team()
    draft = _owned(team, **{**SOUND, "title": "Spin up a portal for everybody"})
    assert _rules(await _validated(api, draft)) == set()
    await api.decide("quality", words={"deliverables": ["spin up"]})
    assert _rules(await _validated(api, draft)) == {DELIVERABLE}


# The decision -----------------------------------------------------------------------------


async def test_quality_is_decided_beside_the_ten(api: Api) -> None:
    await api.decide("quality", severities={IMPACT: "refuse"})
    shown = await api.get("/deployment")
    assert shown["answered"] == 0
    assert len(shown["missing"]) == len(shown["answers"]) == 10
    answer = next(one for one in shown["extensions"] if one["question"] == "quality")
    assert answer["answered"] is True
    assert answer["decision"]["severities"] == {IMPACT: "refuse"}
    assert (await api.get("/deployment/quality"))["decision"] == answer["decision"]
    decisions = (await api.get("/deployment/decisions"))["items"]
    assert [one["question"] for one in decisions] == ["quality"]


async def test_a_rule_that_there_is_not_cannot_be_decided_about(api: Api) -> None:
    body = {
        "decision": {"question": "quality", "severities": {"quality.nothing": "warn"}},
        "rationale": "Because.",
    }
    problem = await api.refused("invalid", "PUT", "/deployment/quality", body)
    assert pointers(problem)[0].startswith("/decision/severities")


# An objective -----------------------------------------------------------------------------


async def test_an_objective_is_judged_with_its_key_results_as_of_any_moment(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team, **WEAK)
    path = f"/objectives/{objective['id']}/quality"
    weak = await api.get(path)
    position = await api.head()
    assert _rules(weak) == {DELIVERABLE, IMPACT, "quality.contribution_is_stated"}

    await api.patch(f"/objectives/{objective['id']}", {"title": SOUND["title"]})
    first, second = objective["key_results"]
    await api.post(f"/key-results/{first['id']}:remove", {})
    await api.patch(f"/key-results/{second['id']}", {"title": "Leads from fairs"})
    await api.align(objective, await api.objective(cycle, team))
    sound = await api.get(path)
    assert (sound["findings"], sound["strength"]) == ([], 1)
    assert await api.get(path, as_of=position) == weak


async def test_the_confidence_of_check_ins_counts(api: Api) -> None:
    _, objective = await api.running()
    await api.check_in(objective["key_results"][0], confidence=1)
    verdict = await api.get(f"/objectives/{objective['id']}/quality")
    assert "quality.confidence_is_realistic" in _rules(verdict)


async def test_a_dependency_is_accepted_or_somebodys_risk(api: Api) -> None:
    cycle, team, other = await api.cycle(), await api.team(), await api.team("Sales")
    objective = await api.objective(cycle, team)
    path = f"/objectives/{objective['id']}/quality"
    rule = "quality.dependencies_are_carried"
    person = await api.person()
    await api.put(f"/teams/{other['id']}/members/{person['id']}", {"role": "member"})
    await api.depend(objective, other, risk_owner_id=person["id"])
    assert rule not in _rules(await api.get(path))
    open_one = await api.depend(objective, other)
    assert rule in _rules(await api.get(path))
    await api.post(f"/dependencies/{open_one['id']}:accept", {"person_id": person["id"]})
    assert rule not in _rules(await api.get(path))


# Commitment -------------------------------------------------------------------------------


async def test_a_sound_set_is_committed_without_a_word(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    await api.commit(await api.objective(cycle, team, **SOUND))
    assert await _warnings(api, cycle) == []


async def test_a_weak_set_is_committed_with_a_warning_a_rule(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team, **WEAK)
    assert await _warnings(api, cycle) == []
    await api.commit(objective)
    warnings = await _warnings(api, cycle)
    assert {(one["decision"], one["rule"]) for one in warnings} == {
        ("quality", DELIVERABLE),
        ("quality", IMPACT),
    }
    assert {one["subject_id"] for one in warnings} == {objective["id"]}
    (impact,) = (one["message"] for one in warnings if one["rule"] == IMPACT)
    assert "Hold ten workshops" in impact
    assert "Attend three fairs" in impact
    assert (await api.get("/ledger:verify"))["identical"]


async def test_a_weak_set_is_refused_where_that_is_decided(api: Api) -> None:
    await api.decide("quality", severities={IMPACT: "refuse", DELIVERABLE: "inform"})
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team, **WEAK)
    path = f"/objectives/{objective['id']}:commit"
    problem = await api.refused("decision-refuses", "POST", path)
    assert (problem["decision"], problem["rule"]) == ("quality", IMPACT)
    assert pointers(problem) == ["/key_results/0/title"]

    for part, title in zip(objective["key_results"], ("Leads", "Orders"), strict=True):
        await api.patch(f"/key-results/{part['id']}", {"title": title})
    assert (await api.commit(objective))["status"] == "committed"
    assert await _warnings(api, cycle) == []


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 500])
async def test_warnings_of_one_event_are_never_parted_between_pages(api: Api, size: int) -> None:
    """A page follows a position, and one event may have several warnings."""
    cycle, team = await api.cycle(), await api.team()
    for _ in range(3):
        await api.commit(await api.objective(cycle, team, **WEAK))
    every = await _warnings(api, cycle)
    of_one = [one for one in every if one["position"] == every[0]["position"]]
    assert 1 < len(of_one) < len(every)
    assert every == sorted(every, key=lambda one: (one["position"], one["rule"]))
    for moment in ({}, {"as_of": await api.head()}):
        asked: Json = {"page_size": size, **moment}
        listed: list[Json] = []
        while True:
            page = await api.get(f"/cycles/{cycle['id']}/warnings", **asked)
            assert len(page["items"]) <= max(size, len(of_one))
            listed += page["items"]
            if page["next_page_token"] is None:
                break
            asked = {**asked, "page_token": page["next_page_token"]}
        assert listed == every


async def test_a_later_decision_leaves_what_was_committed_as_it_is(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.commit(await api.objective(cycle, team, **WEAK))
    warned = await _warnings(api, cycle)
    await api.decide("quality", severities={DELIVERABLE: "refuse"})
    assert await _warnings(api, cycle) == warned
    assert (await api.get(f"/objectives/{objective['id']}"))["status"] == "committed"
    verdict = await api.get(f"/objectives/{objective['id']}/quality")
    severities = {one["rule"]: one["severity"] for one in verdict["findings"]}
    assert severities[DELIVERABLE] == "refuse"
