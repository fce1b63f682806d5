"""History: every event as it was recorded, and whose it is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from uuid_utils.compat import uuid7

from app.domain.catalog import EVENTS
from tests.api.programme import METRIC, Api, Json, Stage, pointers


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


async def _events(api: Api, path: str = "/events", **query: Any) -> list[Json]:
    page = await api.get(path, page_size=500, **query)
    assert page["next_page_token"] is None
    items: list[Json] = page["items"]
    return items


# What is told -----------------------------------------------------------------------------


async def test_a_cycles_history_is_every_event_of_it_in_order(api: Api) -> None:
    cycle, objective = await api.running()
    metric = objective["key_results"][0]
    other = await api.cycle("planned")
    await api.check_in(metric, value=150)
    above = await api.objective(cycle, objective["owner"], key_results=[])
    await api.align(objective, above)
    await api.move(cycle, "begin-scoring")
    await api.score(metric)
    await api.move(cycle, "begin-reflection")
    await api.post(f"/cycles/{cycle['id']}/reflections", {"worked": ["Short check-ins"]})
    await api.move(cycle, "close")

    history = await _events(api, f"/cycles/{cycle['id']}/history")
    assert [event["type"] for event in history] == [
        "cycle.planned",
        "cycle.drafting_begun",
        "objective.drafted",
        "key_result.drafted",
        "objective.committed",
        "cycle.opened",
        "check_in.recorded",
        "objective.drafted",
        "alignment.agreed",
        "cycle.scoring_begun",
        "key_result.scored",
        "cycle.reflection_begun",
        "reflection.recorded",
        "objective.closed",
        "objective.closed",
        "cycle.closed",
    ]
    assert {event["cycle_id"] for event in history} == {cycle["id"]}
    positions = [event["position"] for event in history]
    assert positions == sorted(set(positions))
    assert [e["type"] for e in await _events(api, f"/cycles/{other['id']}/history")] == [
        "cycle.planned"
    ]


async def test_positions_and_versions_have_no_gaps(stage: Stage) -> None:
    events = await _events(stage.api)
    assert [event["position"] for event in events] == list(range(1, await stage.api.head() + 1))
    versions: Counter[str] = Counter()
    for event in events:
        stream = "{category}/{id}".format(**event["stream"])
        versions[stream] += 1
        assert event["version"] == versions[stream]
    assert len({event["event_id"] for event in events}) == len(events)
    moments = [datetime.fromisoformat(event["recorded_at"]) for event in events]
    assert moments == sorted(moments)


async def test_data_is_what_was_said(api: Api) -> None:
    _, objective = await api.running()
    metric = objective["key_results"][0]
    said = {
        "value": 150.5,
        "confidence": 0.6,
        "health": "at_risk",
        "note": "Half \N{VULGAR FRACTION ONE HALF} way \N{ROCKET}",
    }
    check_in = await api.check_in(metric, **said)
    (event,) = await _events(api, type="check_in.recorded")
    assert event["stream"] == {"category": "key_result", "id": metric["id"]}
    assert event["version"] == 2
    assert event["schema_version"] == EVENTS["check_in.recorded"].schema_version
    assert event["cycle_id"] == objective["cycle_id"]
    assert event["causation_id"] is None
    assert event["position"] == check_in["position"]
    data = event["data"]
    assert data["terms"] == said
    assert data["check_in_id"] == check_in["id"]
    assert (data["key_result_id"], data["objective_id"]) == (metric["id"], objective["id"])
    assert data["progress"] == check_in["progress"] == 0.505


async def test_a_persons_name_is_in_no_event(api: Api) -> None:
    await api.person("Ada Unforgettable")
    answer = await api.request("GET", "/events")
    assert [event["type"] for event in answer.json()["items"]][-1] == "person.registered"
    assert "Unforgettable" not in answer.text
    assert "ada@example.org" not in answer.text


async def test_what_happened_and_what_was_learnt_have_their_own_times(api: Api) -> None:
    # A cycle of the past, so that a check-in may speak of one of its days.
    start = datetime.now(UTC).date() - timedelta(days=60)
    dates = {"starts_on": f"{start}", "ends_on": f"{start + timedelta(days=89)}"}
    cycle, team = await api.cycle(**dates), await api.team()
    objective = await api.commit(await api.objective(cycle, team))
    await api.open_anyway(cycle)
    happened = datetime.combine(start, datetime.min.time(), UTC) + timedelta(days=5)
    local = happened.isoformat().replace("T00:00:00+00:00", "T05:30:00+05:30")
    await api.check_in(objective["key_results"][0], value=150, occurred_at=local)
    (event,) = await _events(api, type="check_in.recorded")
    assert datetime.fromisoformat(event["occurred_at"]) == happened
    learnt = datetime.fromisoformat(event["recorded_at"])
    assert timedelta(0) <= datetime.now(UTC) - learnt < timedelta(minutes=1)
    assert event["recorded_at"].endswith("Z")
    (opened,) = await _events(api, type="cycle.opened")
    assert opened["occurred_at"] == opened["recorded_at"]


# Who did it, and in what ------------------------------------------------------------------


async def test_every_event_names_who_did_it(api: Api) -> None:
    person = await api.admin()
    key = await api.post("/api-keys", {"name": "Bridge", "scopes": ["people:write"]})
    ada = await api.key_for("people:write", person_id=person["id"])
    await ada.team("By a person")
    made = await api.with_key(key["key"]).request(
        "POST", "/teams", json={"name": "By a key"}, headers={"Idempotency-Key": "k"}
    )
    assert made.status_code == 201
    by_key, by_person = f"key/{key['id']}", f"person/{person['id']}"
    teams = await _events(api, type="team.formed")
    assert [event["actor"] for event in teams] == [by_person, by_key]
    assert {event["source"] for event in teams} == {"api"}
    for actor, name in ((by_person, "By a person"), (by_key, "By a key")):
        (event,) = await _events(api, actor=actor)
        assert event["data"]["name"] == name
    (founded,) = await _events(api, type="organization.founded")
    assert founded["actor"].startswith("operator/")
    assert await _events(api, actor="key/nobody") == []


async def test_all_events_of_a_request_carry_the_correlation_id_that_it_was_sent_with(
    api: Api,
) -> None:
    cycle, team = await api.cycle(), await api.team()
    ours = str(uuid7())
    draft = {
        "cycle_id": cycle["id"],
        "owner": {"kind": "team", "id": team["id"]},
        "title": "Customers stay",
        "key_results": [{"title": f"Key result {n}", "measure": METRIC} for n in range(3)],
    }
    answer = await api.request(
        "POST", "/objectives", json=draft, headers={"X-Correlation-Id": ours}
    )
    assert answer.headers["X-Correlation-Id"] == ours
    events = [event for event in await _events(api) if event["correlation_id"] == ours]
    assert [event["type"] for event in events] == ["objective.drafted"] + 3 * ["key_result.drafted"]


@pytest.mark.parametrize("sent", ["", "no uuid", "1" * 5_000, None])
async def test_a_request_without_a_correlation_id_is_given_one(api: Api, sent: str | None) -> None:
    headers = {} if sent is None else {"X-Correlation-Id": sent}
    answer = await api.request("POST", "/teams", json={"name": "Growth"}, headers=headers)
    given = answer.headers["X-Correlation-Id"]
    (event,) = await _events(api, type="team.formed")
    assert event["correlation_id"] == given == str(UUID(given))
    again = await api.request("GET", "")
    assert again.headers["X-Correlation-Id"] != given


# Filters ----------------------------------------------------------------------------------


async def test_events_are_found_by_type_and_by_several_types(stage: Stage) -> None:
    every = await _events(stage.api)
    for wanted in (["team.formed"], ["team.formed", "cycle.opened", "check_in.recorded"]):
        found = await _events(stage.api, type=wanted)
        assert found == [event for event in every if event["type"] in wanted]
        assert {event["type"] for event in found} == set(wanted)


async def test_events_are_found_by_stream(stage: Stage) -> None:
    name = f"key_result/{stage.ids['key_result_id']}"
    found = await _events(stage.api, stream=name)
    assert [event["version"] for event in found] == [1, 2]
    # The id alone is not enough: it must be of that category.
    assert await _events(stage.api, stream=f"team/{stage.ids['key_result_id']}") == []


async def test_filters_are_combined_with_each_other_and_with_pages(stage: Stage) -> None:
    api = stage.api
    every = await _events(api)
    actor = every[0]["actor"]
    query = {"type": ["objective.drafted", "key_result.drafted"], "actor": actor, "after": 3}
    wanted = [event for event in every if event["type"] in query["type"] and event["position"] > 3]
    assert len(wanted) == 4
    seen: list[Json] = []
    page = await api.get("/events", page_size=3, **query)
    seen += page["items"]
    page = await api.get("/events", page_size=3, page_token=page["next_page_token"], **query)
    assert seen + page["items"] == wanted
    assert page["next_page_token"] is None

    path = f"/cycles/{stage.ids['cycle_id']}/history"
    stream = f"objective/{stage.ids['objective_id']}"
    found = await _events(api, path, stream=stream, type="objective.committed", actor=actor)
    assert [event["version"] for event in found] == [2]


async def test_after_a_position_come_the_later_ones(stage: Stage) -> None:
    head = await stage.api.head()
    every = await _events(stage.api)
    for after in (0, 1, head - 1, head, head + 1, 2**62):
        assert await _events(stage.api, after=after) == every[after:]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"type": "no.such"}, "type"),
        ({"type": ["team.formed", "no.such"]}, "type"),
        ({"type": ""}, "type"),
        ({"type": ["team.formed"] * 51}, "type"),
        ({"actor": ""}, "actor"),
        ({"actor": "a\x00b"}, "actor"),
        ({"actor": "a" * 401}, "actor"),
        ({"stream": "team"}, "stream"),
        ({"stream": "team/x"}, "stream"),
        ({"stream": "nothing/01980000-0000-7000-8000-000000000001"}, "stream"),
        ({"stream": "team/01980000-0000-7000-8000-000000000001\n"}, "stream"),
    ],
)
async def test_what_is_no_filter_is_refused(
    stage: Stage, query: dict[str, Any], pointer: str
) -> None:
    for path in ("/events", f"/cycles/{stage.ids['cycle_id']}/history"):
        answer = await stage.api.request("GET", path, params=query)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")
        assert pointers(answer.json())[0] == pointer


async def test_the_history_of_no_cycle_is_not_found(stage: Stage) -> None:
    for id in ("01980000-0000-7000-8000-00000000dead", stage.ids["team_id"]):
        await stage.api.refused("not-found", "GET", f"/cycles/{id}/history")


async def test_history_ends_at_the_moment_that_is_looked_back_to(api: Api) -> None:
    cycle = await api.cycle("planned")
    then = await api.get("/ledger")
    await api.move(cycle, "begin-drafting", "open")
    path = f"/cycles/{cycle['id']}/history"
    for as_of in (then["head"], then["at"]):
        assert [e["type"] for e in await _events(api, path, as_of=as_of)] == ["cycle.planned"]
        assert len(await _events(api, as_of=as_of)) == then["head"]
    assert len(await _events(api, path)) == 3
    # Before it was planned there was no such cycle.
    answer = await api.request("GET", path, params={"as_of": then["head"] - 1})
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
