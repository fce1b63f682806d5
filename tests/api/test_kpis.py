"""KPIs over HTTP: registered, read, in focus, returned, and what the decision makes of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.api.programme import UNKNOWN, Api, Json, pointers

PAST: Json = {"name": "2024 Q1", "starts_on": "2024-01-01", "ends_on": "2024-03-31"}


async def _seen(api: Api, kpi: Json) -> Json:
    return await api.get(f"/kpis/{kpi['id']}")


async def _readings(api: Api, kpi: Json) -> list[Json]:
    found: list[Json] = (await api.get(f"/kpis/{kpi['id']}/readings"))["items"]
    return found


async def _focus(api: Api, kpi: Json, objective: Json, target: float = 600, **more: object) -> Json:
    body = {"objective_id": objective["id"], "target": target, **more}
    return await api.post(f"/kpis/{kpi['id']}:focus", body)


async def _return(api: Api, kpi: Json) -> Json:
    return await api.post(f"/kpis/{kpi['id']}:return", {"reason": "Watching it is enough."})


async def _now(api: Api) -> datetime:
    return datetime.fromisoformat((await api.get("/ledger"))["at"])


async def _types(api: Api, after: int) -> list[str]:
    events = (await api.get("/events", page_size=500))["items"]
    return [event["type"] for event in events if event["position"] > after]


# Registering ------------------------------------------------------------------------------


async def test_a_kpi_is_kept_as_it_was_registered(api: Api) -> None:
    team = await api.team()
    body = {
        "name": "Churn",
        "unit": "percent",
        "owner": {"kind": "team", "id": team["id"]},
        "direction": "lower_is_better",
        "healthy": {"high": 4.5},
        "description": "Of paying customers, each month.",
    }
    answer = await api.request("POST", "/kpis", json=body)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["Location"] == f"/v1/organizations/{api.org}/kpis/{made['id']}"
    assert made == await _seen(api, made)
    assert {name: made[name] for name in body if name not in ("owner", "healthy")} == {
        name: body[name] for name in body if name not in ("owner", "healthy")
    }
    assert made["owner"] == {**body["owner"], "name": "Growth"}  # type: ignore[dict-item]
    assert made["healthy"] == {"low": None, "high": 4.5}
    assert (made["role"], made["status"], made["retired"]) == ("health_metric", "unknown", False)
    for name in ("value", "measured_at", "focus", "proposal"):
        assert made[name] is None


async def test_a_person_may_own_a_kpi(api: Api) -> None:
    person = await api.person()
    kpi = await api.kpi({"kind": "person", "id": person["id"]})
    assert kpi["owner"] == {"kind": "person", "id": person["id"], "name": "Ada Park"}


@pytest.mark.parametrize(
    ("direction", "healthy", "pointer"),
    [
        ("higher_is_better", {}, "/healthy/low"),
        ("lower_is_better", {"low": 1}, "/healthy/high"),
        ("in_range", {"low": 1}, "/healthy/high"),
        ("in_range", {"low": 2, "high": 1}, "/healthy/low"),
    ],
)
async def test_a_range_that_makes_no_sense_is_refused(
    api: Api, direction: str, healthy: Json, pointer: str
) -> None:
    team = await api.team()
    body = {
        "name": "Churn",
        "unit": "percent",
        "owner": {"kind": "team", "id": team["id"]},
        "direction": direction,
        "healthy": healthy,
    }
    assert pointers(await api.refused("refused", "POST", "/kpis", body)) == [pointer]


async def test_a_kpi_is_recognised_by_its_external_id(api: Api) -> None:
    team = await api.team()
    external = {"source": "warehouse", "external_id": "active"}
    kpi = await api.kpi(team, external=external)
    body = {
        "name": "Again",
        "unit": "customers",
        "owner": {"kind": "team", "id": team["id"]},
        "healthy": {"low": 1},
        "external": external,
    }
    problem = await api.refused("already-exists", "POST", "/kpis", body)
    assert problem["existing_id"] == kpi["id"]


async def test_the_owner_of_a_kpi_is_known(api: Api) -> None:
    body = {
        "name": "Churn",
        "unit": "percent",
        "owner": {"kind": "person", "id": UNKNOWN},
        "healthy": {"low": 1},
    }
    assert pointers(await api.refused("not-found", "POST", "/kpis", body)) == ["/owner"]


async def test_kpis_are_found_by_owner_focus_range_and_end(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    other = await api.team("Sales")
    objective = await api.objective(cycle, team, key_results=[])
    healthy, sick = await api.kpi(team, 520), await api.kpi(other, 480)
    silent, ended = await api.kpi(team), await api.kpi(other)
    await _focus(api, healthy, objective)
    await api.post(f"/kpis/{ended['id']}:retire", {"reason": "Nobody looks at it."})
    for query, found in (
        ({}, [healthy, sick, silent, ended]),
        ({"owner_id": team["id"]}, [healthy, silent]),
        ({"in_focus": True}, [healthy]),
        ({"in_focus": False, "owner_id": team["id"]}, [silent]),
        ({"in_range": True}, [healthy]),
        ({"in_range": False}, [sick]),
        ({"retired": True}, [ended]),
        ({"retired": False}, [healthy, sick, silent]),
    ):
        listed = (await api.get("/kpis", **query))["items"]
        assert [kpi["id"] for kpi in listed] == [kpi["id"] for kpi in found], query
        assert listed == [await _seen(api, kpi) for kpi in listed]


@pytest.mark.parametrize(
    ("method", "end", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("GET", "/readings", None),
        ("POST", "/readings", {"value": 1}),
        ("POST", ":focus", {"objective_id": UNKNOWN, "target": 1}),
        ("POST", ":return", {"reason": "x"}),
        ("POST", ":retire", {"reason": "x"}),
    ],
)
async def test_an_unknown_kpi_is_not_found(
    api: Api, method: str, end: str, body: Json | None
) -> None:
    problem = await api.refused("not-found", method, f"/kpis/{UNKNOWN}{end}", body)
    assert f"no KPI {UNKNOWN}" in problem["detail"]


# Revising and retiring --------------------------------------------------------------------


async def test_a_kpi_is_revised_and_a_new_range_says_why(api: Api) -> None:
    kpi = await api.kpi(await api.team(), 520)
    path = f"/kpis/{kpi['id']}"
    await api.patch(path, {"name": "Active clients", "description": "Every week."})
    problem = await api.refused("reason-missing", "PATCH", path, {"healthy": {"low": 550}})
    assert pointers(problem) == ["/reason"]
    await api.patch(path, {"healthy": {"low": 550}, "reason": "We have grown."})
    seen = await _seen(api, kpi)
    assert (seen["name"], seen["description"]) == ("Active clients", "Every week.")
    assert (seen["healthy"], seen["status"]) == ({"low": 550, "high": None}, "out_of_range")
    assert seen["proposal"]["key_result"]["target"] == 550


async def test_a_revision_can_hand_a_kpi_over(api: Api) -> None:
    kpi, other = await api.kpi(await api.team()), await api.team("Sales")
    owner = {"kind": "team", "id": other["id"]}
    await api.patch(f"/kpis/{kpi['id']}", {"owner": owner})
    assert (await _seen(api, kpi))["owner"] == {**owner, "name": "Sales"}
    unknown = {"owner": {"kind": "team", "id": UNKNOWN}}
    problem = await api.refused("not-found", "PATCH", f"/kpis/{kpi['id']}", unknown)
    assert pointers(problem) == ["/owner"]


async def test_a_retired_kpi_takes_no_more_changes(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    kpi = await api.kpi(team, 480)
    path = f"/kpis/{kpi['id']}"
    retired = await api.post(f"{path}:retire", {"reason": "Nobody looks at it."})
    assert (retired["retired"], retired["retired_reason"]) == (True, "Nobody looks at it.")
    assert (retired["status"], retired["proposal"]) == ("out_of_range", None)
    focus = {"objective_id": objective["id"], "target": 600}
    for method, end, body in (
        ("PATCH", "", {"name": "x"}),
        ("POST", "/readings", {"value": 1}),
        ("POST", ":focus", focus),
        ("POST", ":return", {"reason": "x"}),
        ("POST", ":retire", {"reason": "x"}),
    ):
        problem = await api.refused("invalid-state", method, f"{path}{end}", body)
        assert problem["state"] == "retired"


# Reading ----------------------------------------------------------------------------------


async def test_a_reading_is_kept_as_it_was_said(api: Api) -> None:
    kpi = await api.kpi(await api.team())
    said = {"note": "The holidays.", "occurred_at": "2024-02-01T12:00:00Z"}
    made = await api.read(kpi, 480.25, **said)
    assert {name: made[name] for name in said} == said
    assert (made["value"], made["in_range"], made["check_in_id"]) == (480.25, False, None)
    assert await _readings(api, kpi) == [made]
    assert await api.get(f"/kpis/{kpi['id']}/readings/{made['id']}") == made
    (event,) = (await api.get("/events", type="kpi.reading_recorded"))["items"]
    for name in ("position", "recorded_at", "occurred_at", "actor", "source"):
        assert made[name] == event[name]
    seen = await _seen(api, kpi)
    assert (seen["value"], seen["measured_at"]) == (480.25, said["occurred_at"])


async def test_the_reading_of_the_latest_moment_stands_whenever_it_is_told(api: Api) -> None:
    kpi = await api.kpi(await api.team())
    await api.read(kpi, 520, occurred_at="2024-02-01T12:00:00Z")
    await api.read(kpi, 480, occurred_at="2024-01-01T12:00:00Z")
    seen = await _seen(api, kpi)
    assert (seen["value"], seen["status"], seen["proposal"]) == (520, "in_range", None)
    assert [reading["value"] for reading in await _readings(api, kpi)] == [520, 480]


async def test_the_location_of_a_reading_leads_to_it(api: Api) -> None:
    kpi = await api.kpi(await api.team())
    before = await api.head()
    told = await api.request("POST", f"/kpis/{kpi['id']}/readings", json={"value": 480})
    path = f"/kpis/{kpi['id']}/readings/{told.json()['id']}"
    assert told.headers["Location"] == f"/v1/organizations/{api.org}{path}"
    shown = await api.request("GET", path)
    assert (shown.content, shown.headers["ETag"]) == (told.content, told.headers["ETag"])
    await api.read(kpi, 520)
    assert (await api.request("GET", path)).content == told.content
    await api.refused("not-found", "GET", f"{path}?as_of={before}")


async def test_a_reading_is_not_found_below_another_kpi(api: Api) -> None:
    team = await api.team()
    kpi, other = await api.kpi(team), await api.kpi(team)
    reading = await api.read(kpi, 480)
    for path in (f"/kpis/{other['id']}", f"/kpis/{UNKNOWN}"):
        problem = await api.refused("not-found", "GET", f"{path}/readings/{reading['id']}")
        assert reading["id"] in problem["detail"]
    await api.refused("not-found", "GET", f"/kpis/{kpi['id']}/readings/{UNKNOWN}")


async def test_a_second_delivery_of_a_reading_is_recognised(api: Api) -> None:
    kpi = await api.kpi(await api.team())
    bridge = await api.key_for("check-ins:write", "history:read")
    path = f"/kpis/{kpi['id']}/readings"
    body = {"value": 520, "external": {"source": "warehouse", "external_id": "run/1"}}
    first = await bridge.post(path, body, status=201)
    problem = await bridge.refused("already-exists", "POST", path, body)
    assert problem["existing_id"] == first["id"]
    await bridge.refused("idempotency-key-required", "POST", path, {"value": 520})
    await api.post(f"/kpis/{kpi['id']}:retire", {"reason": "Nobody looks at it."})
    await bridge.refused("already-exists", "POST", path, body)


async def test_a_reading_of_the_future_is_refused(api: Api) -> None:
    kpi = await api.kpi(await api.team())
    path, now = f"/kpis/{kpi['id']}/readings", await _now(api)
    late = {"value": 520, "occurred_at": (now + timedelta(minutes=10)).isoformat()}
    assert pointers(await api.refused("outside-cycle", "POST", path, late)) == ["/occurred_at"]
    ahead = await api.read(kpi, 520, occurred_at=(now + timedelta(minutes=4)).isoformat())
    assert ahead["occurred_at"] == ahead["recorded_at"]


@pytest.mark.parametrize("value", [True, "520", None, 10**10])
async def test_what_is_no_number_is_no_reading(api: Api, value: object) -> None:
    kpi = await api.kpi(await api.team())
    body = {"value": value}
    problem = await api.refused("invalid", "POST", f"/kpis/{kpi['id']}/readings", body)
    assert pointers(problem) == ["/value"]


async def test_readings_take_a_key_of_their_own(api: Api) -> None:
    kpi = await api.kpi(await api.team())
    path = f"/kpis/{kpi['id']}/readings"
    writer = await api.key_for("objectives:write", "history:read")
    await writer.refused("forbidden", "POST", path, {"value": 520})


# Out of range -----------------------------------------------------------------------------


async def test_out_of_range_proposes_an_objective_until_it_is_back(api: Api) -> None:
    team = await api.team()
    kpi = await api.kpi(team, 520)
    before = await api.head()
    await api.read(kpi, 480)
    assert await _types(api, before) == ["kpi.reading_recorded", "kpi.left_range"]
    seen = await _seen(api, kpi)
    assert seen["status"] == "out_of_range"
    assert seen["proposal"] == {
        "title": "Weekly active customers back in the healthy range",
        "owner": {"kind": "team", "id": team["id"]},
        "key_result": {
            "title": "Weekly active customers from 480 to 500 customers",
            "unit": "customers",
            "baseline": 480,
            "target": 500,
        },
    }
    await api.read(kpi, 470)
    assert (await _seen(api, kpi))["proposal"]["key_result"]["baseline"] == 470

    before = await api.head()
    await api.read(kpi, 500)
    assert await _types(api, before) == ["kpi.reading_recorded", "kpi.returned_to_range"]
    seen = await _seen(api, kpi)
    assert (seen["status"], seen["proposal"]) == ("in_range", None)


async def test_what_is_proposed_can_be_drafted_as_it_is(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    kpi = await api.kpi(team, 480)
    proposal = kpi["proposal"]
    objective = await api.post(
        "/objectives",
        {"cycle_id": cycle["id"], "owner": proposal["owner"], "title": proposal["title"]},
    )
    suggested = proposal["key_result"]
    focused = await _focus(api, kpi, objective, suggested["target"], title=suggested["title"])
    assert focused["proposal"] is None
    drafted = await api.get(f"/key-results/{focused['focus']['key_result_id']}")
    assert drafted["title"] == suggested["title"]
    for name in ("unit", "baseline", "target"):
        assert drafted["measure"][name] == suggested[name]
    assert (await _return(api, kpi))["proposal"] == proposal


# Into focus and back ----------------------------------------------------------------------


async def test_a_kpi_in_focus_feeds_its_key_result_until_it_is_returned(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team, key_results=[])
    kpi = await api.kpi(team, 520)
    focused = await _focus(api, kpi, objective, 600, weight=2)
    assert focused["role"] == "key_result"
    assert (focused["focus"]["objective_id"], focused["focus"]["cycle_id"]) == (
        objective["id"],
        cycle["id"],
    )
    path = f"/key-results/{focused['focus']['key_result_id']}"
    drafted = await api.get(path)
    assert (drafted["title"], drafted["weight"]) == ("Weekly active customers", 2)
    assert drafted["measure"] == await _metric(api, path)
    assert (drafted["measure"]["baseline"], drafted["measure"]["target"]) == (520, 600)

    # While the objective is a draft, a reading is a reading.
    assert (await api.read(kpi, 530))["check_in_id"] is None
    await api.commit(objective)
    await api.move(cycle, "open")
    fed = await api.read(kpi, 560, note="Up.")
    (check_in,) = (await api.get(f"{path}/check-ins"))["items"]
    assert check_in["id"] == fed["check_in_id"]
    assert (check_in["value"], check_in["note"], check_in["progress"]) == (560, "Up.", 0.5)
    assert check_in["occurred_at"] == fed["occurred_at"]
    assert (await api.get(path))["progress"] == 0.5

    back = await _return(api, kpi)
    assert (back["role"], back["focus"]) == ("health_metric", None)
    assert (await api.read(kpi, 600))["check_in_id"] is None
    seen = await api.get(path)
    assert (seen["progress"], seen["removed"]) == (0.5, False)
    assert (await api.get("/ledger:verify"))["identical"]


async def test_a_kpi_whose_key_result_is_removed_is_a_health_metric_again(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team, key_results=[])
    kpi = await api.kpi(team, 520)
    focused = await _focus(api, kpi, objective, 600)
    path = f"/key-results/{focused['focus']['key_result_id']}"
    await api.post(f"{path}:remove", {})
    back = await api.get(f"/kpis/{kpi['id']}")
    assert (back["role"], back["focus"]) == ("health_metric", None)
    (event,) = (await api.get("/events", type="kpi.returned"))["items"]
    assert event["data"]["reason"] == "The key result was removed."


async def _metric(api: Api, path: str) -> Json:
    measure: Json = (await api.get(path))["measure"]
    assert (measure["kind"], measure["unit"]) == ("metric", "customers")
    return measure


async def test_a_reading_from_before_the_cycle_or_after_it_is_no_check_in(api: Api) -> None:
    cycle, team = await api.cycle(**PAST), await api.team()
    objective = await api.objective(cycle, team, key_results=[])
    kpi = await api.kpi(team, 520)
    await _focus(api, kpi, objective)
    await api.commit(objective)
    await api.move(cycle, "open")
    early = await api.read(kpi, 510, occurred_at="2023-12-31T12:00:00Z")
    within = await api.read(kpi, 540, occurred_at="2024-02-01T12:00:00Z")
    assert (early["check_in_id"], within["check_in_id"] is not None) == (None, True)
    await api.move(cycle, "begin-scoring")
    assert (await api.read(kpi, 550))["check_in_id"] is None


async def test_a_kpi_is_in_focus_once_at_a_time_and_not_retired_meanwhile(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    kpi = await api.kpi(team, 520)
    path = f"/kpis/{kpi['id']}"
    again = {"objective_id": objective["id"], "target": 700}
    reason = {"reason": "Enough."}
    await api.refused("invalid-state", "POST", f"{path}:return", reason)
    first = await _focus(api, kpi, objective)
    problem = await api.refused("invalid-state", "POST", f"{path}:focus", again)
    assert problem["state"] == "in focus"
    await api.refused("invalid-state", "POST", f"{path}:retire", reason)
    await _return(api, kpi)
    second = await api.post(f"{path}:focus", again)
    assert second["focus"]["key_result_id"] != first["focus"]["key_result_id"]


async def test_a_focus_needs_an_objective_that_takes_key_results(api: Api) -> None:
    team = await api.team()
    kpi = await api.kpi(team, 520)
    path = f"/kpis/{kpi['id']}:focus"
    unknown = {"objective_id": UNKNOWN, "target": 600}
    assert pointers(await api.refused("not-found", "POST", path, unknown)) == ["/objective_id"]
    cycle = await api.cycle()
    objective = await api.objective(cycle, team)
    body = {"objective_id": objective["id"], "target": 600}
    still = {**body, "target": 520}
    assert pointers(await api.refused("refused", "POST", path, still)) == ["/target"]
    twice = {**body, "baseline": 510}
    assert pointers(await api.refused("refused", "POST", path, twice)) == ["/baseline"]
    nobody = {**body, "owner": {"kind": "person", "id": UNKNOWN}}
    assert pointers(await api.refused("not-found", "POST", path, nobody)) == ["/owner"]
    await api.post(f"/objectives/{objective['id']}:abandon", {"reason": "No."})
    assert (await api.refused("invalid-state", "POST", path, body))["state"] == "closed"
    other = await api.objective(cycle, team)
    await api.move(cycle, "open", "begin-scoring")
    late = {**body, "objective_id": other["id"]}
    assert (await api.refused("invalid-state", "POST", path, late))["state"] == "scoring"


async def test_a_kpi_without_a_reading_needs_a_baseline(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    kpi = await api.kpi(team)
    body = {"objective_id": objective["id"], "target": 600}
    problem = await api.refused("refused", "POST", f"/kpis/{kpi['id']}:focus", body)
    assert pointers(problem) == ["/baseline"]
    focused = await _focus(api, kpi, objective, baseline=510)
    drafted = await api.get(f"/key-results/{focused['focus']['key_result_id']}")
    assert drafted["measure"]["baseline"] == 510


async def test_a_focus_is_judged_by_the_limits(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    await api.decide("limits", max_key_results=1)
    objective = await api.objective(cycle, team)
    first, second = await api.kpi(team, 520), await api.kpi(team, 520)
    focused = await _focus(api, first, objective)
    (warning,) = (await api.get(f"/cycles/{cycle['id']}/warnings"))["items"]
    assert warning["rule"] == "limits.max_key_results"
    assert focused["focus"]["key_result_id"] in str(warning)
    await api.decide("limits", max_key_results=1, enforcement="refuse")
    body = {"objective_id": objective["id"], "target": 600}
    await api.refused("decision-refuses", "POST", f"/kpis/{second['id']}:focus", body)


# The decision -----------------------------------------------------------------------------


async def test_kept_apart_no_kpi_becomes_a_key_result(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    kpi = await api.kpi(team, 520)
    await api.decide("kpis", policy="separate")
    body = {"objective_id": objective["id"], "target": 600}
    problem = await api.refused("decision-refuses", "POST", f"/kpis/{kpi['id']}:focus", body)
    assert (problem["decision"], problem["rule"]) == ("kpis", "kpis.separate")
    await api.read(kpi, 530)
    await api.decide("kpis", policy="health_metrics_beside_okrs")
    await _focus(api, kpi, objective)


async def test_only_as_key_results_no_kpi_is_merely_watched(api: Api) -> None:
    await api.decide("kpis", policy="kpis_only_as_key_results")
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    kpi = await api.kpi(team)
    path = f"/kpis/{kpi['id']}/readings"
    problem = await api.refused("decision-refuses", "POST", path, {"value": 520})
    assert (problem["decision"], problem["rule"]) == ("kpis", "kpis.only_as_key_results")
    assert "focus it" in problem["detail"]
    await _focus(api, kpi, objective, baseline=510)
    assert (await api.read(kpi, 520))["value"] == 520
    await _return(api, kpi)
    await api.refused("decision-refuses", "POST", path, {"value": 530})


# Looking back -----------------------------------------------------------------------------


async def test_a_kpi_is_shown_as_it_was(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    objective = await api.objective(cycle, team)
    registered = await api.kpi(team)
    path, shown = f"/kpis/{registered['id']}", []
    then = [await api.head()]
    await api.read(registered, 480)
    then.append(await api.head())
    await _focus(api, registered, objective)
    then.append(await api.head())
    await _return(api, registered)
    await api.read(registered, 520)
    then.append(await api.head())
    for as_of in then:
        seen = await api.get(path, as_of=as_of)
        readings = (await api.get(f"{path}/readings", as_of=as_of))["items"]
        has_proposal = seen["proposal"] is not None
        shown.append((seen["role"], seen["status"], has_proposal, len(readings)))
    assert shown == [
        ("health_metric", "unknown", False, 0),
        ("health_metric", "out_of_range", True, 1),
        ("key_result", "out_of_range", False, 1),
        ("health_metric", "in_range", False, 2),
    ]
