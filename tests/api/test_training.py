"""Phase 2: workshops, coaches, readiness, and the gate before the first cycle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.deployment import QUESTIONS
from tests.api.programme import UNKNOWN, Api, Json, pointers

HELD: Json = {"kind": "leadership", "title": "OKRs", "scheduled_at": "2026-01-12T09:00:00Z"}
TO_COME: Json = {**HELD, "scheduled_at": "2099-01-12T09:00:00Z"}


async def _invited(api: Api, *people: Json, **more: Any) -> str:
    """The path of a workshop to which these people were invited."""
    made = await api.post("/workshops", {**HELD, **more})
    path = f"/workshops/{made['id']}"
    await api.post(f"{path}:invite", {"people": [one["id"] for one in people]})
    return path


# Workshops --------------------------------------------------------------------------------


async def test_a_scheduled_workshop_is_found_by_id_and_in_the_list(api: Api) -> None:
    made = await api.post("/workshops", {**TO_COME, "agenda": ["Why now"]})
    assert (made["status"], made["agenda"], made["version"]) == ("scheduled", ["Why now"], 1)
    assert made["quorum"] == {"kind": "share", "share": 0.5}
    assert (made["invited"], made["attended"], made["outcome"]) == ([], [], [])
    assert (made["completed_at"], made["needed"], made["quorum_reached"]) == (None, None, None)
    assert await api.get(f"/workshops/{made['id']}") == made
    assert (await api.get("/workshops"))["items"] == [made]


async def test_workshops_are_listed_by_kind_status_and_team(api: Api) -> None:
    team = await api.team()
    leadership = await api.post("/workshops", HELD)
    coach = await api.workshop("coach")
    of_team = await api.post("/workshops", {**HELD, "kind": "team", "team_id": team["id"]})
    for asked, expected in (
        ({"kind": "coach"}, [coach]),
        ({"status": "scheduled"}, [leadership, of_team]),
        ({"status": "completed"}, [coach]),
        ({"status": "cancelled"}, []),
        ({"team_id": team["id"]}, [of_team]),
        ({"team_id": team["id"], "kind": "coach"}, []),
    ):
        assert (await api.get("/workshops", **asked))["items"] == expected


@pytest.mark.parametrize(
    ("body", "name", "pointer"),
    [
        ({**HELD, "kind": "team"}, "refused", "/team_id"),
        ({**HELD, "team_id": UNKNOWN}, "refused", "/team_id"),
        ({**HELD, "kind": "team", "team_id": UNKNOWN}, "not-found", "/team_id"),
        (
            {**HELD, "kind": "coach", "quorum": {"kind": "number", "number": 2}},
            "refused",
            "/quorum",
        ),
        ({**HELD, "quorum": {"kind": "number", "number": 0}}, "invalid", "/quorum/number"),
        ({**HELD, "quorum": {"kind": "share", "share": 2}}, "invalid", "/quorum/share"),
        ({**HELD, "quorum": {"number": 2}}, "invalid", "/quorum"),
        ({**HELD, "kind": "board"}, "invalid", "/kind"),
        ({**HELD, "scheduled_at": "2026-01-12"}, "invalid", "/scheduled_at"),
    ],
)
async def test_a_workshop_that_makes_no_sense_is_refused(
    api: Api, body: Json, name: str, pointer: str
) -> None:
    assert pointers(await api.refused(name, "POST", "/workshops", body)) == [pointer]


async def test_a_workshop_is_held_step_by_step(api: Api) -> None:
    ada, ben, cleo = [await api.person(name) for name in ("Ada Park", "Ben Ruiz", "Cleo Marsh")]
    path = await _invited(api, ada, ben, quorum={"kind": "share", "share": 0.6})
    seen = await api.post(f"{path}:invite", {"people": [ben["id"], cleo["id"]]})
    assert seen["invited"] == [ada["id"], ben["id"], cleo["id"]]
    seen = await api.post(f"{path}:record-attendance", {"people": [cleo["id"], ada["id"]]})
    assert seen["attended"] == [cleo["id"], ada["id"]]
    said = ["Pay stays apart.", "Three goals a team."]
    assert (await api.post(f"{path}:record-outcome", {"outcome": said}))["outcome"] == said
    done = await api.post(f"{path}:complete")
    assert (done["status"], done["needed"], done["quorum_reached"]) == ("completed", 2, True)
    (event,) = (await api.get("/events", type="workshop.completed"))["items"]
    assert done["completed_at"] == event["recorded_at"]
    later = await api.post(f"{path}:record-outcome", {"outcome": said[:1]})
    assert later["outcome"] == said[:1]
    assert await api.get(path) == later


async def test_a_workshop_below_its_quorum_is_completed_and_says_so(api: Api) -> None:
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    path = await _invited(api, ada, ben, quorum={"kind": "number", "number": 2})
    await api.post(f"{path}:record-attendance", {"people": [ada["id"]]})
    done = await api.post(f"{path}:complete")
    assert (done["status"], done["needed"], done["quorum_reached"]) == ("completed", 2, False)


async def test_what_does_not_apply_to_a_workshop_is_refused(api: Api) -> None:
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    path = await _invited(api, ada)
    problem = await api.refused("not-found", "POST", f"{path}:invite", {"people": [UNKNOWN]})
    assert pointers(problem) == ["/people"]
    stranger = {"people": [ben["id"]]}
    problem = await api.refused("refused", "POST", f"{path}:record-attendance", stranger)
    assert pointers(problem) == ["/people"]
    assert "was not invited" in problem["detail"]
    await api.refused("invalid", "POST", f"{path}:record-outcome", {"outcome": []})
    await api.refused("invalid", "POST", f"{path}:cancel", {})


async def test_nothing_came_of_a_workshop_that_is_still_to_come(api: Api) -> None:
    ada = await api.person()
    path = await _invited(api, ada, scheduled_at=TO_COME["scheduled_at"])
    for command, body in (
        ("record-attendance", {"people": [ada["id"]]}),
        ("record-outcome", {"outcome": ["x"]}),
        ("complete", None),
    ):
        problem = await api.refused("refused", "POST", f"{path}:{command}", body)
        assert "2099-01-12 at 09:00 UTC" in problem["detail"]
    moved = await api.post(f"{path}:reschedule", {"scheduled_at": HELD["scheduled_at"]})
    assert moved["scheduled_at"] == HELD["scheduled_at"]
    assert (await api.post(f"{path}:complete"))["quorum_reached"] is False


_COMMANDS: list[tuple[str, Json | None]] = [
    ("invite", {"people": []}),
    ("reschedule", {"scheduled_at": "2026-02-01T09:00:00Z"}),
    ("record-attendance", {"people": []}),
    ("complete", None),
    ("cancel", {"reason": "x"}),
]


@pytest.mark.parametrize(("command", "body"), _COMMANDS)
async def test_a_workshop_that_is_over_takes_no_more_commands(
    api: Api, command: str, body: Json | None
) -> None:
    for last, said in (("complete", None), ("cancel", {"reason": "Nobody could come."})):
        path = await _invited(api)
        over = await api.post(f"{path}:{last}", said)
        problem = await api.refused("invalid-state", "POST", f"{path}:{command}", body)
        assert problem["state"] == over["status"]
        assert over["cancelled_reason"] == (said and said["reason"])
    outcome = {"outcome": ["x"]}
    await api.refused("invalid-state", "POST", f"{path}:record-outcome", outcome)


async def test_an_unknown_workshop_is_not_found(api: Api) -> None:
    for command, body in (*_COMMANDS, ("record-outcome", {"outcome": ["x"]})):
        await api.refused("not-found", "POST", f"/workshops/{UNKNOWN}:{command}", body)
    await api.refused("not-found", "GET", f"/workshops/{UNKNOWN}")


# Coaches ----------------------------------------------------------------------------------


async def test_a_coach_is_designated_certified_and_given_teams(api: Api) -> None:
    ada, team = await api.person(), await api.team()
    made = await api.post("/coaches", {"person_id": ada["id"]})
    assert (made["id"], made["name"], made["active"]) == (ada["id"], "Ada Park", True)
    assert (made["certificate"], made["teams"]) == (None, [])
    path = f"/coaches/{ada['id']}"
    workshop = await api.workshop("coach", ada)
    seen = await api.post(f"{path}:certify", {"workshop_id": workshop["id"]})
    today = datetime.fromisoformat((await api.get("/ledger"))["at"]).date()
    certificate = seen["certificate"]
    assert (certificate["workshop_id"], certificate["holds"]) == (workshop["id"], True)
    assert certificate["certified_on"] == today.isoformat()
    assert certificate["expires_on"][:4] == str(today.year + 1)
    seen = await api.post(f"{path}:cover-teams", {"teams": [team["id"]]})
    assert seen["teams"] == [team["id"]]
    assert await api.get(path) == seen
    assert (await api.get("/coaches"))["items"] == [seen]


async def test_a_certificate_may_end_on_another_day(api: Api) -> None:
    ada = await api.person()
    await api.post("/coaches", {"person_id": ada["id"]})
    workshop = await api.workshop("coach", ada)
    body = {"workshop_id": workshop["id"], "expires_on": "2098-12-31"}
    seen = await api.post(f"/coaches/{ada['id']}:certify", body)
    assert seen["certificate"]["expires_on"] == "2098-12-31"
    past = {**body, "expires_on": "2020-01-01"}
    problem = await api.refused("refused", "POST", f"/coaches/{ada['id']}:certify", past)
    assert pointers(problem) == ["/expires_on"]


async def test_a_certificate_without_ground_is_refused_with_the_reason(api: Api) -> None:
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    await api.post("/coaches", {"person_id": ada["id"]})
    path = f"/coaches/{ada['id']}:certify"
    waiting = await api.post("/workshops", {**HELD, "kind": "coach"})
    for workshop, saying in (
        (await api.workshop("leadership", ada), "one for leadership"),
        (waiting, "is scheduled"),
        (await api.workshop("coach", ben), "did not attend"),
    ):
        problem = await api.refused("refused", "POST", path, {"workshop_id": workshop["id"]})
        assert pointers(problem) == ["/workshop_id"]
        assert saying in problem["detail"]
    problem = await api.refused("not-found", "POST", path, {"workshop_id": UNKNOWN})
    assert pointers(problem) == ["/workshop_id"]


async def test_a_coach_is_relieved_and_may_be_designated_again(api: Api) -> None:
    ada, team = await api.person(), await api.team()
    coach = await api.coach(ada, team)
    path = f"/coaches/{ada['id']}"
    gone = await api.post(f"{path}:relieve", {"reason": "Another task."})
    assert (gone["active"], gone["teams"]) == (False, [])
    assert gone["relieved_reason"] == "Another task."
    assert gone["certificate"] == coach["certificate"]
    assert (await api.get("/coaches", active="true"))["items"] == []
    assert (await api.get("/coaches", active="false"))["items"] == [gone]
    for command, body in (
        ("certify", {"workshop_id": UNKNOWN}),
        ("cover-teams", {"teams": []}),
        ("relieve", None),
    ):
        problem = await api.refused("invalid-state", "POST", f"{path}:{command}", body)
        assert problem["state"] == "relieved"
    again = await api.post("/coaches", {"person_id": ada["id"]})
    assert (again["active"], again["relieved_reason"]) == (True, None)
    assert again["certificate"] == coach["certificate"]
    await api.refused("invalid-state", "POST", "/coaches", {"person_id": ada["id"]})


async def test_only_people_and_teams_that_are_there_coach_and_are_coached(api: Api) -> None:
    ada, gone, team = await api.person(), await api.person("Ben Ruiz"), await api.team()
    await api.post(f"/people/{gone['id']}:depart")
    await api.post(f"/teams/{team['id']}:disband")
    for person in (UNKNOWN, gone["id"]):
        problem = await api.refused("not-found", "POST", "/coaches", {"person_id": person})
        assert pointers(problem) == ["/person_id"]
    await api.post("/coaches", {"person_id": ada["id"]})
    for one in (UNKNOWN, team["id"]):
        path = f"/coaches/{ada['id']}:cover-teams"
        problem = await api.refused("not-found", "POST", path, {"teams": [one]})
        assert pointers(problem) == ["/teams"]
    await api.refused("not-found", "GET", f"/coaches/{gone['id']}")
    await api.refused("not-found", "POST", f"/coaches/{gone['id']}:relieve")


async def test_a_coach_who_leaves_the_organisation_coaches_no_more(api: Api) -> None:
    ada, team = await api.person(), await api.team()
    await api.coach(ada, team)
    await api.post(f"/people/{ada['id']}:depart")
    seen = await api.get(f"/coaches/{ada['id']}")
    assert (seen["active"], seen["teams"]) == (False, [])
    assert "left the organisation" in seen["relieved_reason"]


# Readiness --------------------------------------------------------------------------------


async def _readiness(api: Api, **asked: Any) -> tuple[bool, dict[str, tuple[int, int]]]:
    seen = await api.get("/readiness", **asked)
    figures = {one["name"]: (one["have"], one["need"]) for one in seen["conditions"]}
    for one in seen["conditions"]:
        assert one["met"] == (one["have"] >= one["need"]) == (not one["missing"])
    return seen["ready"], figures


async def _prepare(api: Api) -> Json:
    """All that readiness asks for, of a company with one team; answers with its coach."""
    company = await api.team("Harbour", level="company")
    team = await api.team(parent_id=company["id"])
    for question in QUESTIONS:
        named = {"system": "measure_what_matters"} if question == "scoring" else {}
        await api.decide(question, **named)
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    await api.workshop("leadership", ada, ben)
    return await api.coach(ada, team)


async def test_readiness_grows_step_by_step_and_is_read_as_it_was(api: Api) -> None:
    before = await api.head()
    nothing = {"deployment": (0, 10), "leadership": (0, 1), "coaches": (0, 1), "coverage": (0, 0)}
    assert await _readiness(api) == (False, nothing)
    await _prepare(api)
    prepared = await api.head()
    everything = {
        "deployment": (10, 10),
        "leadership": (2, 1),
        "coaches": (1, 1),
        "coverage": (1, 1),
    }
    assert await _readiness(api) == (True, everything)
    search = await api.team("Search")
    ready, figures = await _readiness(api)
    assert (ready, figures["coverage"]) == (False, (1, 2))
    (coverage,) = (
        one for one in (await api.get("/readiness"))["conditions"] if one["name"] == "coverage"
    )
    (missing,) = coverage["missing"]
    assert (missing["kind"], missing["ids"]) == ("team", [search["id"]])
    assert "Search" in missing["message"]
    assert await _readiness(api, as_of=before) == (False, nothing)
    assert await _readiness(api, as_of=prepared) == (True, everything)


async def test_a_coach_who_is_relieved_leaves_the_teams_without_one(api: Api) -> None:
    coach = await _prepare(api)
    await api.post(f"/coaches/{coach['id']}:relieve")
    ready, figures = await _readiness(api)
    assert (ready, figures["coaches"], figures["coverage"]) == (False, (0, 1), (0, 1))


async def test_a_workshop_below_its_quorum_does_not_count(api: Api) -> None:
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    path = await _invited(api, ada, ben, quorum={"kind": "number", "number": 2})
    await api.post(f"{path}:record-attendance", {"people": [ada["id"]]})
    assert (await _readiness(api))[1]["leadership"] == (1, 2)
    await api.post(f"{path}:complete")
    assert (await _readiness(api))[1]["leadership"] == (1, 2)
    await api.workshop("leadership", ada, ben)
    assert (await _readiness(api))[1]["leadership"] == (2, 1)


# The gate ---------------------------------------------------------------------------------


def _present() -> dict[str, str]:
    """A quarter in whose middle we are."""
    first = datetime.now(UTC).date() - timedelta(days=45)
    last = first + timedelta(days=90)
    return {"starts_on": first.isoformat(), "ends_on": last.isoformat()}


async def _drafting(api: Api) -> str:
    return f"/cycles/{(await api.cycle(**_present()))['id']}"


async def test_the_first_cycle_waits_until_the_organisation_is_ready(api: Api) -> None:
    path = await _drafting(api)
    for body in (None, {}, {"override": None}):
        problem = await api.refused("not-ready", "POST", f"{path}:open", body)
        assert problem["status"] == 409
    shown = (await api.get("/readiness"))["conditions"]
    assert problem["missing"] == [missing for one in shown for missing in one["missing"]]
    assert [one["condition"] for one in problem["missing"]] == [
        "deployment",
        "leadership",
        "coaches",
    ]
    await _prepare(api)
    opened = await api.post(f"{path}:open")
    assert (opened["phase"], opened["override"]) == ("active", None)
    assert (await api.get("/readiness"))["overridden"] is None


async def test_the_first_cycle_is_opened_by_an_override_which_is_shown(api: Api) -> None:
    path, ada = await _drafting(api), await api.person()
    before = await api.head()
    override = {"person_id": ada["id"], "reason": "The workshop is next week."}
    opened = await api.post(f"{path}:open", {"override": override})
    assert (opened["phase"], opened["override"]) == ("active", override)
    assert await api.get(path) == opened
    readiness = await api.get("/readiness")
    assert readiness["ready"] is False
    assert readiness["overridden"] == {
        **override,
        "cycle_id": opened["id"],
        "opened_at": opened["opened_at"],
    }
    assert (await api.get("/readiness", as_of=before))["overridden"] is None
    assert (await api.get(path, as_of=before))["override"] is None
    later = await _drafting(api)
    assert (await api.post(f"{later}:open"))["override"] is None


async def test_an_override_names_a_person_who_is_there_and_a_reason(api: Api) -> None:
    path, gone = f"{await _drafting(api)}:open", await api.person()
    await api.post(f"/people/{gone['id']}:depart")
    for person in (UNKNOWN, gone["id"]):
        body = {"override": {"person_id": person, "reason": "x"}}
        problem = await api.refused("not-found", "POST", path, body)
        assert pointers(problem) == ["/override/person_id"]
    body = {"override": {"person_id": gone["id"]}}
    assert pointers(await api.refused("invalid", "POST", path, body)) == ["/override/reason"]


async def test_a_cycle_that_is_over_is_history_and_neither_waits_nor_counts(api: Api) -> None:
    past = await api.cycle("active")
    assert (past["phase"], past["override"]) == ("active", None)
    await api.refused("not-ready", "POST", f"{await _drafting(api)}:open")
