"""Dependencies: what one team needs from another, and what becomes of it."""

from __future__ import annotations

import pytest

from tests.api.programme import UNKNOWN, Api, Json, pointers

DAY = "2026-02-13"


async def _two(api: Api) -> tuple[Json, Json, Json]:
    """An objective, a team that it may need, and somebody who speaks for that team."""
    cycle, growth, platform = await api.cycle(), await api.team(), await api.team("Platform")
    return await api.objective(cycle, growth), platform, await api.person()


def _on(target: Json, kind: str = "team", **more: object) -> Json:
    return {
        "on": {"kind": kind, "id": target["id"]},
        "needed": "A sign-in that takes no password.",
        "needed_by": DAY,
        **more,
    }


# Declaring and answering ------------------------------------------------------------------


async def test_a_dependency_says_what_is_needed_of_whom_and_by_when(api: Api) -> None:
    objective, platform, ada = await _two(api)
    made = await api.depend(objective, platform, risk_owner_id=ada["id"])
    assert made["objective_id"] == objective["id"]
    assert made["cycle_id"] == objective["cycle_id"]
    assert made["on"] == {"kind": "team", "id": platform["id"]}
    assert made["on_team_id"] == platform["id"]
    assert (made["needed"], made["needed_by"]) == ("A sign-in that takes no password.", DAY)
    assert made["risk_owner_id"] == ada["id"]
    assert (made["status"], made["answered_by"], made["answer"]) == ("open", None, None)
    assert await api.get(f"/dependencies/{made['id']}") == made


async def test_it_is_accepted_and_delivered(api: Api) -> None:
    objective, platform, ada = await _two(api)
    made = await api.depend(objective, platform)
    path = f"/dependencies/{made['id']}"
    accepted = await api.post(f"{path}:accept", {"person_id": ada["id"], "note": "In March."})
    assert (accepted["status"], accepted["answered_by"]) == ("accepted", ada["id"])
    assert (accepted["answer"], accepted["delivered_at"]) == ("In March.", None)
    delivered = await api.post(f"{path}:deliver", {"note": "Live since Monday."})
    assert (delivered["status"], delivered["delivery_note"]) == ("delivered", "Live since Monday.")
    assert delivered["delivered_at"] is not None
    assert delivered["answer"] == "In March."
    assert await api.get(path) == delivered


async def test_it_is_declined_with_a_reason_and_withdrawn_with_another(api: Api) -> None:
    objective, platform, ada = await _two(api)
    made = await api.depend(objective, platform)
    path = f"/dependencies/{made['id']}"
    declined = await api.post(
        f"{path}:decline", {"person_id": ada["id"], "reason": "Nobody is free."}
    )
    assert (declined["status"], declined["answer"]) == ("declined", "Nobody is free.")
    problem = await api.refused("invalid-state", "POST", f"{path}:accept", {"person_id": ada["id"]})
    assert problem["state"] == "declined"
    assert ":withdraw" in problem["detail"]
    withdrawn = await api.post(f"{path}:withdraw", {"reason": "We do it ourselves."})
    assert (withdrawn["status"], withdrawn["withdrawn_reason"]) == (
        "withdrawn",
        "We do it ourselves.",
    )
    await api.refused("invalid-state", "POST", f"{path}:withdraw", {"reason": "Again."})


async def test_a_dependency_is_recognised_by_its_external_id(api: Api) -> None:
    objective = await api.objective(await api.cycle(), await api.team())
    other = await api.team("Sales")
    external = {"source": "sheet", "external_id": "row 7"}
    first = await api.depend(objective, other, external=external)
    path = f"/objectives/{objective['id']}/dependencies"
    body = {
        "on": {"kind": "team", "id": other["id"]},
        "needed": "Something else.",
        "needed_by": "2026-03-01",
        "external": external,
    }
    problem = await api.refused("already-exists", "POST", path, body)
    assert problem["existing_id"] == first["id"]


async def test_a_dependency_on_an_objective_is_found_by_its_team(api: Api) -> None:
    objective, platform, _ = await _two(api)
    theirs = await api.objective({"id": objective["cycle_id"]}, platform)
    made = await api.depend(objective, theirs, "objective")
    assert made["on"] == {"kind": "objective", "id": theirs["id"]}
    assert (await api.get("/dependencies", on_team_id=platform["id"]))["items"] == [made]


async def test_two_teams_may_need_each_other(api: Api) -> None:
    objective, platform, _ = await _two(api)
    theirs = await api.objective({"id": objective["cycle_id"]}, platform)
    await api.depend(objective, theirs, "objective")
    await api.depend(theirs, objective, "objective")
    assert len((await api.get("/dependencies"))["items"]) == 2


async def test_dependencies_are_listed_by_objective_team_status_and_cycle(api: Api) -> None:
    objective, platform, ada = await _two(api)
    sales = await api.team("Sales")
    other, elsewhere, _ = await _two(api)
    first, second = await api.depend(objective, platform), await api.depend(objective, sales)
    stray = await api.depend(other, elsewhere)
    second = await api.answer(second, "decline", ada)
    for wanted, found in (
        ({}, [first, second, stray]),
        ({"objective_id": objective["id"]}, [first, second]),
        ({"on_team_id": sales["id"]}, [second]),
        ({"status": "open"}, [first, stray]),
        ({"status": "delivered"}, []),
        ({"cycle_id": other["cycle_id"]}, [stray]),
        ({"objective_id": objective["id"], "status": "declined"}, [second]),
    ):
        assert (await api.get("/dependencies", **wanted))["items"] == found, wanted


# Refusals ---------------------------------------------------------------------------------


async def test_a_dependency_on_ones_own_team_is_refused(api: Api) -> None:
    objective, platform, _ = await _two(api)
    own = await api.objective({"id": objective["cycle_id"]}, objective["owner"])
    path = f"/objectives/{objective['id']}/dependencies"
    for body in (_on(objective["owner"]), _on(own, "objective"), _on(objective, "objective")):
        problem = await api.refused("refused", "POST", path, body)
        assert pointers(problem) == ["/on/id"]
    await api.depend(objective, platform)


async def test_the_teams_of_a_person_are_that_persons_own(api: Api) -> None:
    await api.decide("levels", owners=["team", "individual"])
    _, platform, ada = await _two(api)
    mine = await api.objective(
        await api.cycle(), platform, owner={"kind": "person", "id": ada["id"]}
    )
    path = f"/objectives/{mine['id']}/dependencies"
    await api.depend(mine, platform)
    await api.put(f"/teams/{platform['id']}/members/{ada['id']}", {"role": "member"})
    await api.refused("refused", "POST", path, _on(platform))


async def test_unknown_teams_goals_and_people_are_pointed_to(api: Api) -> None:
    objective, platform, ada = await _two(api)
    gone = await api.team("Passing")
    await api.post(f"/teams/{gone['id']}:disband")
    await api.post(f"/people/{ada['id']}:depart")
    path = f"/objectives/{objective['id']}/dependencies"
    unknown = {"id": UNKNOWN}
    for body, pointer in (
        (_on(unknown), "/on/id"),
        (_on(unknown, "objective"), "/on/id"),
        (_on(gone), "/on/id"),
        (_on(platform, risk_owner_id=UNKNOWN), "/risk_owner_id"),
        (_on(platform, risk_owner_id=ada["id"]), "/risk_owner_id"),
    ):
        assert pointers(await api.refused("not-found", "POST", path, body)) == [pointer]
    made = await api.depend(objective, platform)
    for word, said in (("accept", {}), ("decline", {"reason": "No."})):
        for person in (UNKNOWN, ada["id"]):
            problem = await api.refused(
                "not-found",
                "POST",
                f"/dependencies/{made['id']}:{word}",
                {"person_id": person, **said},
            )
            assert pointers(problem) == ["/person_id"]


async def test_dependencies_belong_to_planning_and_execution(api: Api) -> None:
    objective, platform, ada = await _two(api)
    made, late = [await api.depend(objective, platform) for _ in range(2)]
    await api.answer(made, "accept", ada)
    cycle = await api.move({"id": objective["cycle_id"]}, "open", "begin-scoring")
    path = f"/objectives/{objective['id']}/dependencies"
    await api.refused("invalid-state", "POST", path, _on(platform))
    body = {"person_id": ada["id"]}
    await api.refused("invalid-state", "POST", f"/dependencies/{late['id']}:accept", body)
    # What came at the very end may still be said.
    await api.post(f"/dependencies/{made['id']}:deliver", {})
    await api.move(cycle, "begin-reflection")
    reason = {"reason": "Too late."}
    await api.refused("invalid-state", "POST", f"/dependencies/{late['id']}:withdraw", reason)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/dependencies/{UNKNOWN}", None),
        ("POST", f"/dependencies/{UNKNOWN}:accept", {"person_id": UNKNOWN}),
        ("POST", f"/dependencies/{UNKNOWN}:decline", {"person_id": UNKNOWN, "reason": "x"}),
        ("POST", f"/dependencies/{UNKNOWN}:deliver", {}),
        ("POST", f"/dependencies/{UNKNOWN}:withdraw", {"reason": "x"}),
        ("POST", f"/objectives/{UNKNOWN}/dependencies", _on({"id": UNKNOWN})),
    ],
)
async def test_an_unknown_dependency_or_objective_is_not_found(
    api: Api, method: str, path: str, body: Json | None
) -> None:
    problem = await api.refused("not-found", method, path, body)
    assert UNKNOWN in problem["detail"]


# The alignment decision -------------------------------------------------------------------


async def test_an_unaligned_objective_below_the_company_is_warned_about_where_expected(
    api: Api,
) -> None:
    await api.decide("alignment", policy="expected")
    company, cycle = await api.team("Harbour", level="company"), await api.cycle()
    top, below, loose = [
        await api.objective(cycle, team)
        for team in (company, await api.team(), await api.team("Sales"))
    ]
    await api.align(below, top)
    for objective in (top, below, loose):
        await api.commit(objective)
    path = f"/cycles/{cycle['id']}/warnings"
    found = [one for one in (await api.get(path))["items"] if one["decision"] == "alignment"]
    assert [(one["rule"], one["subject_id"]) for one in found] == [
        ("alignment.expected", loose["id"])
    ]


async def test_an_unaligned_objective_is_not_committed_where_alignment_is_required(
    api: Api,
) -> None:
    await api.decide("alignment", policy="required")
    cycle = await api.cycle()
    below, above = [await api.objective(cycle, await api.team()) for _ in range(2)]
    path = f"/objectives/{below['id']}:commit"
    problem = await api.refused("decision-refuses", "POST", path)
    assert (problem["decision"], problem["rule"]) == ("alignment", "alignment.required")
    withdrawn = await api.align(below, above)
    await api.post(f"/alignments/{withdrawn['id']}:withdraw", {"reason": "No."})
    await api.refused("decision-refuses", "POST", path)
    await api.align(below, above)
    assert (await api.commit(below))["status"] == "committed"


async def test_unless_the_question_is_answered_alignment_is_optional(api: Api) -> None:
    assert (await api.get("/deployment/alignment"))["decision"]["policy"] == "optional"
    cycle = await api.cycle()
    await api.commit(await api.objective(cycle, await api.team()))
    found = (await api.get(f"/cycles/{cycle['id']}/warnings"))["items"]
    assert [one for one in found if one["decision"] == "alignment"] == []
