"""Looking back: what is shown of a position or a moment is what was shown then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI

from tests.api.programme import METRIC, Api, Json, pointers

NEXT: Json = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}

LISTS = {
    "person_id": "/people",
    "team_id": "/teams",
    "workshop_id": "/workshops",
    "cycle_id": "/cycles",
    "objective_id": "/objectives",
    "key_result_id": "/key-results?removed=true",
    "alignment_id": "/alignments?withdrawn=true",
    "dependency_id": "/dependencies",
    "key_id": "/api-keys",
    "kpi_id": "/kpis",
    "blocker_id": "/blockers",
    "webhook_id": "/webhooks?removed=true",
}
"""Where the ids are found that fill the parameter of a path."""
PAGED = {path.partition("?")[0] for path in LISTS.values()}
PAGED |= {"/deployment/decisions", "/coaches"}
PAGED_WITHIN = (
    "/reflections",
    "/warnings",
    "/check-ins",
    "/readings",
    "/history",
    "/events",
    "/timeline",
)
QUESTIONS = ("levels", "limits", "scoring", "kpis")
NARROWED = (
    *LISTS.values(),
    "/people?active=true",
    "/teams?active=false",
    "/workshops?kind=coach",
    "/coaches?active=true",
    "/cycles?phase=active",
    "/objectives?status=committed",
    "/dependencies?status=accepted",
)


async def _walk(api: Api) -> AsyncIterator[None]:
    """A programme in which everything happens that can, with a pause after each stretch."""
    await api.decide("limits", max_objectives=2)
    await api.decide("levels", owners=["company", "team", "individual"])
    company = await api.team("Harbour", level="company")
    growth = await api.team("Growth", parent_id=company["id"])
    passing = await api.team("Passing")
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    await api.patch(f"/people/{ben['id']}", {"email": "ben@example.org"})
    for person, role in ((ada, "leader"), (ben, "member")):
        await api.put(f"/teams/{growth['id']}/members/{person['id']}", {"role": role})
    key = await api.post("/api-keys", {"name": "Bridge", "scopes": ["read"]})
    webhook = await api.webhook()
    kpi = await api.kpi(growth, 520)
    soon = {"title": "Growth", "kind": "team", "scheduled_at": "2099-01-12T09:00:00Z"}
    workshop = await api.post("/workshops", {**soon, "team_id": growth["id"]})
    yield

    await api.workshop("leadership", ada, ben)
    await api.coach(ada, growth, passing)
    await api.coach(ben)
    moved = {"scheduled_at": "2026-01-19T09:00:00Z"}
    await api.post(f"/workshops/{workshop['id']}:reschedule", moved)
    said = {"outcome": ["Three goals a team."]}
    await api.post(f"/workshops/{workshop['id']}:record-outcome", said)
    yield

    cycle = await api.cycle("planned")
    yield

    await api.patch(f"/cycles/{cycle['id']}", {"name": "Spring", "ends_on": "2026-03-30"})
    await api.move(cycle, "begin-drafting")
    await api.patch(f"/webhooks/{webhook['id']}", {"event_types": ["cycle.closed"]})
    parts = [
        {"title": "Rides", "measure": METRIC, "owner": {"kind": "person", "id": ben["id"]}},
        {"title": "Launched"},
        {"title": "Mistake", "measure": METRIC},
    ]
    top = await api.objective(cycle, company)
    below = await api.objective(cycle, growth, key_results=parts)
    third, surplus = [await api.objective(cycle, growth) for _ in range(2)]
    own = await api.objective(cycle, ada, owner={"kind": "person", "id": ada["id"]})
    first = await api.align(below, top["key_results"][0], "key_result")
    await api.align(own, below)
    await api.read(kpi, 480)
    needs = [await api.depend(below, company), await api.depend(below, top, "objective")]
    yield

    await api.patch(f"/objectives/{below['id']}", {"why_now": "The season starts."})
    await api.post(f"/objectives/{below['id']}:propose")
    for objective in (top, below, third, own):
        await api.commit(objective)
    await api.move(cycle, "open")
    await api.post(f"/kpis/{kpi['id']}:focus", {"objective_id": surplus["id"], "target": 600})
    yield

    rides, launched, mistake = below["key_results"]
    await api.check_in(rides, value=150, confidence=0.6, health="at_risk", note="Half way.")
    await api.check_in(launched, value=True)
    await api.check_in(own["key_results"][0], value=120, health="on_track")
    yield

    opened = (await api.get(f"/cycles/{cycle['id']}"))["opened_at"]
    await api.check_in(rides, value=110, health="off_track", occurred_at=opened)
    harder = {**METRIC, "target": 300}
    await api.patch(f"/key-results/{rides['id']}", {"measure": harder, "reason": "It went well."})
    await api.post(f"/key-results/{mistake['id']}:remove", {"reason": "It misled us."})
    await api.post(f"/objectives/{surplus['id']}:abandon", {"reason": "Too many."})
    await api.post(f"/alignments/{first['id']}:withdraw", {"reason": "The plan changed."})
    await api.align(below, top)
    await api.patch(f"/kpis/{kpi['id']}", {"healthy": {"low": 450}, "reason": "We are fewer."})
    await api.answer(needs[0], "accept", ada)
    await api.answer(needs[1], "decline", ada)
    yield

    await api.patch(f"/teams/{growth['id']}", {"name": "Retention", "parent_id": None})
    await api.request("DELETE", f"/teams/{growth['id']}/members/{ben['id']}")
    await api.post(f"/people/{ben['id']}:depart")
    await api.post(f"/teams/{passing['id']}:disband")
    await api.post(f"/workshops/{workshop['id']}:cancel", {"reason": "Nobody could come."})
    await api.post(f"/coaches/{ada['id']}:relieve")
    await api.post(f"/webhooks/{webhook['id']}:disable", {"reason": "They moved."})
    await api.post(f"/api-keys/{key['id']}:revoke")
    await api.post(f"/kpis/{kpi['id']}:retire", {"reason": "Nobody looks at it."})
    await api.decide("limits", max_objectives=5, enforcement="refuse")
    await api.decide("cadence", check_in_every_days=7)
    await api.patch("", {"name": "Harbour Group"})
    yield

    await api.post(f"/dependencies/{needs[0]['id']}:deliver", {"note": "Live."})
    await api.post(f"/dependencies/{needs[1]['id']}:withdraw", {"reason": "No time."})
    await api.move(cycle, "begin-scoring")
    await api.score(rides, score=0.9, adjustment_reason="Signed today.")
    await api.post(f"/objectives/{below['id']}:report-result", {"text": "One market opened."})
    await api.move(cycle, "begin-reflection")
    await api.score(rides)
    reflections = f"/cycles/{cycle['id']}/reflections"
    await api.post(reflections, {"team_id": growth["id"], "worked": ["Short check-ins"]})
    yield

    choices = [
        {
            "key_result_id": rides["id"],
            "choice": "modify",  # its owner has left
            "learning": "Start earlier.",
            "terms": {"title": "Rides", "measure": harder},
        },
        {"key_result_id": launched["id"], "choice": "remove"},
        *(
            {
                "key_result_id": goal["key_results"][0]["id"],
                "choice": "modify",
                "terms": {"title": "Regulars", "measure": harder},
            }
            for goal in (top, third, own)
        ),
    ]
    await api.post(f"/cycles/{cycle['id']}:reset", {"next_cycle": NEXT, "choices": choices})
    yield


@dataclass
class Seen:
    """What every GET of state showed at one point of the ledger."""

    position: int
    moment: str
    bodies: dict[str, Json]


async def _bodies(api: Api, paths: Iterable[str], **asked: Any) -> dict[str, Json]:
    bodies = {}
    for path in paths:
        bare, _, query = path.partition("?")
        narrowed = dict([query.split("=")] if query else [])
        size = {"page_size": 500} if bare in PAGED or bare.endswith(PAGED_WITHIN) else {}
        if bare in ("/calendar.ics", "/ledger/checkpoint"):  # no JSON
            feed = await api.request("GET", bare, params=asked)
            bodies[path] = {"feed": feed.text, "status": feed.status_code}
            continue
        bodies[path] = await api.get(bare, **size, **narrowed, **asked)
    return bodies


async def _paths(api: Api, templates: Iterable[str]) -> list[str]:
    """Every path of state there is now, each template filled with every id."""
    ids: dict[str, list[str]] = {"question": list(QUESTIONS)}
    for parameter, path in LISTS.items():
        ids[parameter] = [item["id"] for item in (await api.get(path))["items"]]
    for told in ("check_in", "reflection"):
        events = await api.get("/events", type=f"{told}.recorded")
        ids[f"{told}_id"] = [event["data"][f"{told}_id"] for event in events["items"]]
    coaches = [item["id"] for item in (await api.get("/coaches"))["items"]]
    readings = (await api.get("/events", type="kpi.reading_recorded"))["items"]
    paths = list(NARROWED)
    for template in templates:
        if "{reading_id}" in template:  # each below its own KPI
            paths += [template.format(**event["data"]) for event in readings]
            continue
        before, brace, rest = template.partition("{")
        parameter, _, after = rest.partition("}")
        if brace and before == "/coaches/":  # not everybody is one
            paths += [f"{before}{id}{after}" for id in coaches]
            continue
        paths += [f"{before}{id}{after}" for id in ids[parameter]] if brace else [before]
    return paths


def _templates(app: FastAPI) -> list[str]:
    """The paths below an organisation that can be asked for an earlier state."""
    root = "/v1/organizations/{organization_id}"
    return [
        path.removeprefix(root)
        for path, operations in app.openapi()["paths"].items()
        if any(one["name"] == "as_of" for one in operations.get("get", {}).get("parameters", ()))
        and not path.startswith(f"{root}/me/")
    ]


async def test_every_state_is_shown_again_as_it_was_shown_then(api: Api, app: FastAPI) -> None:
    templates = _templates(app)
    seen: list[Seen] = []
    async for _ in _walk(api):
        bodies = await _bodies(api, await _paths(api, templates))
        ledger = await api.get("/ledger")
        seen.append(Seen(ledger["head"], ledger["at"], bodies))

    assert len(seen[-1].bodies) > max(len(seen[0].bodies), len(templates))
    for then in seen:
        for as_of in (then.position, then.moment):
            assert await _bodies(api, then.bodies, as_of=as_of) == then.bodies


async def test_every_position_of_a_ledger_can_be_read_even_amid_a_command(api: Api) -> None:
    async for _ in _walk(api):
        pass
    cycle, following = (await api.get("/cycles"))["items"]
    shown = []
    for position in range(1, await api.head() + 1):
        objectives = (await api.get("/objectives", as_of=position))["items"]
        for each in (cycle, following):
            path = f"/cycles/{each['id']}/tree"
            answer = await api.request("GET", path, params={"as_of": position})
            assert answer.status_code in (200, 404), answer.text
            shown.append(answer.status_code)
            if answer.status_code == 200:
                inside = [one for one in objectives if one["cycle_id"] == each["id"]]
                assert answer.json()["summary"]["objectives"] == len(inside)
    assert {200, 404} == set(shown)


# One thing at a time ----------------------------------------------------------------------


async def test_what_was_not_there_yet_is_not_found(api: Api) -> None:
    before = await api.head()
    _, objective = await api.running()
    key_result = objective["key_results"][0]
    said = await api.check_in(key_result, value=150)
    for path in (
        f"/objectives/{objective['id']}",
        f"/key-results/{key_result['id']}",
        f"/key-results/{key_result['id']}/check-ins",
        f"/key-results/{key_result['id']}/score",
        f"/check-ins/{said['id']}",
        f"/cycles/{objective['cycle_id']}/tree",
        f"/teams/{objective['owner']['id']}",
    ):
        await api.get(path, as_of=await api.head())
        await api.refused("not-found", "GET", f"{path}?as_of={before}")
    for path in ("/objectives", "/key-results", "/cycles", "/teams"):
        assert (await api.get(path, as_of=before))["items"] == []


async def test_a_moment_shows_what_was_recorded_by_then(api: Api) -> None:
    team = await api.team("One")
    path = f"/teams/{team['id']}"
    recorded = []
    for name in ("Two", "Three"):
        await api.patch(path, {"name": name})
        (*_, event) = (await api.get("/events", type="team.renamed"))["items"]
        recorded.append(datetime.fromisoformat(event["recorded_at"]))
    tick = timedelta(microseconds=1)
    for moment, name in (
        (recorded[0] - tick, "One"),
        (recorded[0], "Two"),
        (recorded[1] - tick, "Two"),
        (recorded[1], "Three"),
        (recorded[1] + tick, "Three"),
    ):
        assert (await api.get(path, as_of=moment.isoformat()))["name"] == name
        elsewhere = moment.isoformat().replace("+00:00", "Z")
        assert (await api.get(path, as_of=elsewhere))["name"] == name


async def test_an_owner_has_the_name_of_then_and_a_report_the_decisions_of_then(api: Api) -> None:
    _, objective = await api.running()
    before = await api.head()
    await api.patch(f"/teams/{objective['owner']['id']}", {"name": "Retention"})
    await api.decide("limits", max_objectives=1)
    path = f"/objectives/{objective['id']}"
    assert (await api.get(path))["owner"]["name"] == "Retention"
    assert (await api.get(path, as_of=before))["owner"]["name"] == "Growth"
    assert (await api.get("/deployment/limits", as_of=before))["answered"] is False
    assert (await api.get("/deployment", as_of=before))["answered"] == 0
    assert (await api.get("/deployment"))["answered"] == 1


async def test_health_is_derived_by_the_clock_and_the_rhythm_of_the_moment_shown(api: Api) -> None:
    await api.decide("cadence", check_in_every_days=1, check_in_grace_days=0)
    cycle, team = await api.cycle(starts_on="2024-01-01", ends_on="2024-03-31"), await api.team()
    objective = await api.commit(await api.objective(cycle, team))
    await api.move(cycle, "open")
    (key_result,) = objective["key_results"]
    # Due in three seconds from now.
    now = datetime.fromisoformat((await api.get("/ledger"))["at"])
    due = now + timedelta(seconds=3)
    occurred_at = due - timedelta(days=1)
    await api.check_in(key_result, health="on_track", occurred_at=occurred_at.isoformat())
    said = await api.head()
    await api.decide("cadence", check_in_every_days=2, check_in_grace_days=0)
    relaxed = await api.head()
    await api.decide("cadence", check_in_every_days=1, check_in_grace_days=0)

    path = f"/key-results/{key_result['id']}"
    soon = (due + timedelta(seconds=1)).isoformat()
    shown = [
        (await api.get(path, as_of=as_of))["health"]
        for as_of in (said, relaxed, soon, due.isoformat())
    ]
    assert shown == ["on_track", "on_track", "outdated", "on_track"]
    dues = [(await api.get(path, as_of=as_of))["check_in_due_at"] for as_of in (said, relaxed)]
    first, second = map(datetime.fromisoformat, dues)
    assert (first, second) == (due, due + timedelta(days=1))


# Outside ----------------------------------------------------------------------------------


async def test_as_of_lies_within_the_ledger(api: Api) -> None:
    head = await api.head()
    founded = datetime.fromisoformat((await api.get(""))["founded_at"])
    tomorrow = founded + timedelta(days=1)
    for as_of in (0, head + 1, 10**17, "2000-01-01T00:00:00Z", f"{tomorrow:%Y-%m-%dT%H:%M:%SZ}"):
        problem = await api.refused("outside-ledger", "GET", f"?as_of={as_of}")
        assert pointers(problem) == ["as_of"]
    assert (await api.get("", as_of=head))["name"] == "Harbour & Sons"
    assert (await api.get("", as_of=founded.isoformat()))["name"] == "Harbour & Sons"
