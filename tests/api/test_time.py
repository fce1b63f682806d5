"""Time: series to plot, what was true at a moment, what changed between two, and timelines."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from app.domain.catalog import EVENTS
from app.queries.series import MOST_POINTS, thinned
from app.queries.telling import PHRASED
from app.queries.timeline import CATEGORIES
from tests.api.programme import METRIC, Api, Json, pointers
from tests.api.test_as_of import _walk as walk

DAYS = ["2026-01-10", "2026-01-20", "2026-01-30", "2026-02-09"]


async def _told(api: Api) -> tuple[Json, list[Json]]:
    """A key result with four check-ins, told out of order; of two readings each counts anew."""
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    said = []
    for day, value in ((DAYS[3], 190), (DAYS[0], 110), (DAYS[2], 300), (DAYS[1], 130)):
        occurred_at = f"{day}T12:00:00Z"
        said.append(await api.check_in(key_result, value=value, occurred_at=occurred_at))
    return objective, said


async def _correct(api: Api, check_in: Json, **terms: Any) -> None:
    body = {"occurred_at": check_in["occurred_at"], "reason": "Misread.", **terms}
    await api.put(f"/check-ins/{check_in['id']}", body, if_match="*")


# Series -----------------------------------------------------------------------------------


async def test_a_series_tells_apart_what_counts_what_was_corrected_and_what_was_retracted(
    api: Api,
) -> None:
    _, said = await _told(api)
    path = f"/key-results/{said[0]['key_result_id']}/series"
    before = await api.head()
    await _correct(api, said[2], value=150)
    await api.post(f"/check-ins/{said[1]['id']}:retract", {"reason": "Another market."})

    now = await api.get(path)
    assert [(one["at"][:10], one["value"], one["progress"]) for one in now["points"]] == [
        (DAYS[1], 130, 0.3),
        (DAYS[2], 150, 0.5),
        (DAYS[3], 190, 0.9),
    ]
    assert [one["corrected"] for one in now["points"]] == [False, True, False]
    (gone,) = now["retracted"]
    assert (gone["check_in_id"], gone["value"], gone["reason"]) == (
        said[1]["id"],
        110,
        "Another market.",
    )
    then = await api.get(path, as_of=before)
    assert [one["value"] for one in then["points"]] == [110, 130, 300, 190]
    assert not then["retracted"]
    assert not any(one["corrected"] for one in then["points"])


async def test_a_series_has_the_ideal_line_and_ends_with_the_forecast_that_is_shown(
    api: Api,
) -> None:
    _, said = await _told(api)
    path = f"/key-results/{said[0]['key_result_id']}"
    series, shown = await api.get(f"{path}/series"), await api.get(path)
    assert [(one["at"], one["value"], one["progress"]) for one in series["ideal"]] == [
        ("2026-01-01T00:00:00Z", 100, 0),
        ("2026-03-31T23:59:59.999999Z", 200, 1),
    ]
    assert series["points"][-1]["progress"] == shown["progress"]
    forecast = series["forecast"]
    assert (forecast["progress"], forecast["at"][:10]) == (shown["forecast"], "2026-03-31")
    assert forecast["value"] == 100 + 100 * shown["forecast"]


async def test_the_series_of_an_objective_is_the_roll_up_at_each_moment(api: Api) -> None:
    cycle, team = await api.cycle(), await api.team()
    parts = [
        {"title": "Rides", "measure": METRIC, "weight": 3},
        {"title": "Live"},
        {"title": "Reach", "measure": {**METRIC, "baseline": 0, "target": 10}},
    ]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.move(cycle, "open")
    rides, live, reach = objective["key_results"]
    for part, day, said in (
        (reach, "2026-02-20", {"value": 5, "confidence": 0.4, "health": "off_track"}),
        (rides, "2026-01-20", {"value": 120, "confidence": 0.8, "health": "on_track"}),
        (live, "2026-02-01", {"value": True}),
        (rides, "2026-02-10", {"value": 160, "health": "at_risk"}),
    ):
        await api.check_in(part, occurred_at=f"{day}T09:00:00Z", **said)
    series = await api.get(f"/objectives/{objective['id']}/series")
    assert [
        (one["at"][5:10], one["progress"], one["confidence"], one["health"])
        for one in series["points"]
    ] == [
        ("01-20", 0.2, 0.8, "pending"),
        ("02-01", 0.4, 0.8, "pending"),  # (3 * 0.2 + 1) / 4
        ("02-10", 0.7, 0.8, "at_risk"),  # (3 * 0.6 + 1) / 4
        ("02-20", 0.66, 0.7, "off_track"),  # (3 * 0.6 + 1 + 0.5) / 5
    ]
    shown = await api.get(f"/objectives/{objective['id']}")
    assert series["points"][-1]["progress"] == shown["progress"]

    await api.post(f"/key-results/{live['id']}:remove", {"reason": "It misled us."})
    series = await api.get(f"/objectives/{objective['id']}/series")
    assert [one["progress"] for one in series["points"]] == [0.2, 0.6, 0.575]


def test_of_many_points_each_stretch_keeps_the_first_the_last_the_lowest_and_the_highest() -> None:
    points = [(number * 7919) % 1009 for number in range(1300)]
    shown = thinned(list(enumerate(points)), lambda one: one[1])  # type: ignore[arg-type, return-value]
    assert len(shown) <= MOST_POINTS
    assert shown == sorted(shown)
    assert shown[0] == (0, points[0])
    assert shown[-1] == (1299, points[-1])
    values = {value for _, value in shown}
    assert {min(points), max(points)} <= values
    for begin in range(125):
        low, high = 1300 * begin // 125, 1300 * (begin + 1) // 125
        mine = {number: value for number, value in shown if low <= number < high}
        whole = points[low:high]
        assert {low, high - 1} <= set(mine)
        assert {min(whole), max(whole)} <= set(mine.values())
    few = list(enumerate(points[:MOST_POINTS]))
    assert thinned(few, lambda one: one[1]) == few  # type: ignore[arg-type, return-value]


# What was true at a moment ----------------------------------------------------------------


def _fold(events: list[Json], until: datetime) -> dict[str, Any]:
    """The last value of each key result that occurred by a moment, as these events know it."""
    said: dict[str, dict[str, Json]] = defaultdict(dict)
    for event in events:
        data = event["data"]
        match event["type"]:
            case "check_in.recorded" | "check_in.corrected":
                said[data["key_result_id"]][data["check_in_id"]] = data
            case "check_in.retracted":
                del said[data["key_result_id"]][data["check_in_id"]]
    found = {}
    for id, mine in said.items():
        by_then = [one for one in mine.values() if _moment(one["occurred_at"]) <= until]
        valued = [one for one in by_then if "value" in one["terms"]]
        if valued:
            found[id] = max(valued, key=lambda one: _moment(one["occurred_at"]))["terms"]["value"]
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_what_was_true_is_told_as_it_is_known_now_or_was_known_then(api: Api) -> None:
    objective, said = await _told(api)
    id = said[0]["key_result_id"]
    await _correct(api, said[2], value=150, occurred_at=f"{DAYS[0]}T13:00:00Z")
    await api.post(f"/check-ins/{said[3]['id']}:retract", {"reason": "Another market."})
    await _correct(api, said[1], value=170, occurred_at="2026-02-01T12:00:00Z")
    events = (await api.get("/events", page_size=500))["items"]
    first = next(one["position"] for one in events if one["type"] == "check_in.recorded")
    seen = set()
    for day in ("2026-01-01", *DAYS, "2026-02-05", "2026-03-01"):
        until = f"{day}T12:30:00Z"
        for position in (first, first + 2, len(events) - 2, len(events), None):
            known = events if position is None else events[:position]
            asked = {"effective_at": until} | ({} if position is None else {"as_of": position})
            value = _fold(known, _moment(until)).get(id)
            shown = await api.get(f"/key-results/{id}", **asked)
            assert shown["value"] == value, asked
            reached = None if value is None else min(Fraction(value - 100, 100), Fraction(1))
            assert shown["progress"] == (None if reached is None else float(reached))
            for whole in (
                await api.get(f"/objectives/{objective['id']}", **asked),
                (await api.get("/objectives", **asked))["items"][0],
                (await api.get(f"/cycles/{objective['cycle_id']}/tree", **asked))["roots"][0],
            ):
                assert whole["progress"] == shown["progress"]
                assert whole["key_results"][0]["value"] == value
            assert (await api.get("/key-results", **asked))["items"] == [shown]
            listed = await api.get(f"/key-results/{id}/check-ins", **asked)
            assert all(one["occurred_at"] <= until for one in listed["items"])
            seen.add(value)
    assert seen == {None, 110, 130, 150, 170, 190, 300}


async def test_a_goal_that_ended_later_had_not_ended_at_the_moment(api: Api) -> None:
    cycle, objective = await api.running()
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, value=150, occurred_at="2026-01-20T12:00:00Z")
    await api.move(cycle, "begin-scoring")
    await api.score(key_result, score=0.9, adjustment_reason="Signed.")
    await api.move(cycle, "begin-reflection", "close")
    path = f"/cycles/{cycle['id']}/tree"
    now, then = await api.get(path), await api.get(path, effective_at="2026-01-25T00:00:00Z")
    assert (now["cycle"]["phase"], then["cycle"]["phase"]) == ("closed", "active")
    part = then["roots"][0]["key_results"][0]
    assert (part["score"], part["progress"], part["value"]) == (None, 0.5, 150)
    assert now["roots"][0]["key_results"][0]["score"] == 0.9
    # Everything is known of the present moment.
    latest = (await api.get("/ledger"))["at"]
    known = await api.get(path, effective_at=latest)
    assert known["roots"] == now["roots"]
    assert known["cycle"] == now["cycle"]


async def test_silence_is_judged_by_the_moment_that_was(api: Api) -> None:
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    said = {"value": 120, "health": "on_track", "occurred_at": "2026-01-20T12:00:00Z"}
    await api.check_in(key_result, **said)
    path = f"/key-results/{key_result['id']}"
    assert (await api.get(path))["health"] == "outdated"
    assert (await api.get(path, effective_at="2026-01-23T12:00:00Z"))["health"] == "on_track"
    assert (await api.get(path, effective_at="2026-01-19T12:00:00Z"))["health"] == "pending"


async def test_effective_at_is_a_moment_that_has_come_and_no_other_route_takes_it(
    api: Api,
) -> None:
    objective, said = await _told(api)
    path = f"/key-results/{said[0]['key_result_id']}"
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    problem = await api.refused("outside-ledger", "GET", f"{path}?effective_at={tomorrow}")
    assert pointers(problem) == ["effective_at"]
    for wrong in ("7", "yesterday", "2026-01-01T00:00:00"):
        problem = await api.refused("invalid", "GET", f"{path}?effective_at={wrong}")
        assert pointers(problem) == ["effective_at"]
    moment = "effective_at=2026-01-25T00:00:00Z"
    for elsewhere in (
        "/teams",
        f"{path}/score",
        f"{path}/explain",
        f"{path}/series",
        f"{path}/timeline",
        f"/objectives/{objective['id']}/series",
        "/diff",
        "/ledger",
    ):
        problem = await api.refused("invalid", "GET", f"{elsewhere}?{moment}")
        assert pointers(problem) == ["effective_at"], elsewhere


async def test_a_page_of_what_was_true_is_whole(api: Api) -> None:
    _, said = await _told(api)
    path = f"/key-results/{said[0]['key_result_id']}/check-ins"
    asked: Json = {"effective_at": f"{DAYS[2]}T12:00:00Z", "page_size": 2}
    first = await api.get(path, **asked)
    second = await api.get(path, **asked, page_token=first["next_page_token"])
    found = [one["value"] for one in (*first["items"], *second["items"])]
    assert (found, second["next_page_token"]) == ([110, 300, 130], None)


# What changed -----------------------------------------------------------------------------


async def test_a_diff_tells_what_changed_by_whom_in_data_and_in_words(api: Api) -> None:
    ada = await api.admin("Ada Park")
    by_ada = await api.key_for("read", "check-ins:write", "objectives:write", person_id=ada["id"])
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, value=120)
    begin = await api.head()
    said = await by_ada.check_in(key_result, value=150)
    found = await api.get("/diff", **{"from": begin})
    assert (found["from_position"], found["to_position"]) == (begin, begin + 1)
    assert (found["total"], found["left_off"]) == (2, 0)
    by_kind = {one["kind"]: one for one in found["items"]}
    moved = by_kind["key_result"]
    assert moved["words"] == (
        "Ada Park moved 'Active customers' from 120 to 150 (progress 0.2 to 0.5)."
    )
    assert (moved["change"], moved["id"]) == ("changed", key_result["id"])
    fields = {one["field"]: (one["before"], one["after"]) for one in moved["fields"]}
    assert (fields["value"], fields["progress"]) == ((120, 150), (0.2, 0.5))
    assert set(fields) == {"value", "progress", "value_at", "last_check_in_at"}
    (event,) = moved["by"]
    assert (event["position"], event["type"]) == (said["position"], "check_in.recorded")
    assert event["actor"] == f"person/{ada['id']}"
    added = by_kind["check_in"]
    assert (added["change"], added["id"]) == ("added", said["id"])
    assert added["words"] == "Ada Park added a check-in on 'Active customers': 150."

    await api.post(f"/people/{ada['id']}:erase", {"reason": "She asked for it."})
    again = await api.get("/diff", **{"from": begin, "to": begin + 1})
    assert "Ada" not in str(again)
    assert {one["words"] for one in again["items"]} == {
        "Somebody moved 'Active customers' from 120 to 150 (progress 0.2 to 0.5).",
        "Somebody added a check-in on 'Active customers': 150.",
    }


async def test_a_diff_leaves_out_what_was_changed_and_changed_back(api: Api) -> None:
    team = await api.team("One")
    begin = await api.head()
    for name in ("Two", "One"):
        await api.patch(f"/teams/{team['id']}", {"name": name})
    person = await api.person()
    await api.put(f"/teams/{team['id']}/members/{person['id']}", {"role": "member"})
    member = await api.head()
    await api.request("DELETE", f"/teams/{team['id']}/members/{person['id']}")
    found = await api.get("/diff", **{"from": begin})
    assert [one["kind"] for one in found["items"]] == ["person"]
    (gone,) = (await api.get("/diff", **{"from": member}))["items"]
    assert (gone["change"], gone["kind"]) == ("removed", "member")
    assert gone["words"].endswith("took the membership of Ada Park in 'One' away.")
    assert (await api.get("/diff", **{"from": member, "to": member}))["items"] == []


_OBJECTIVE = ("title", "why", "why_now", "origin", "status", "outcome", "result_text")
_KEY_RESULT = ("title", "measure", "weight", "removed", "value", "progress", "confidence", "score")


async def test_a_diff_is_what_two_lists_of_then_differ_in(api: Api) -> None:
    """Compared with what the lists show at both points, one by one."""
    stops = []
    async for _ in walk(api):
        stops.append(await api.head())
    for begin, end in ((stops[2], stops[-1]), (stops[3], stops[5]), (stops[4], stops[6])):
        found: list[Json] = []
        asked: Json = {"from": begin, "to": end, "page_size": 7}
        while True:
            page = await api.get("/diff", **asked)
            found += page["items"]
            assert page["left_off"] == page["total"] - len(found)
            if page["next_page_token"] is None:
                break
            asked["page_token"] = page["next_page_token"]
        assert len(found) == page["total"]
        events = (await api.get("/events", after=begin, page_size=500))["items"]
        between = {one["position"]: one for one in events if one["position"] <= end}
        for one in found:
            assert one["words"][0].isupper()
            assert one["words"].endswith(".")
            assert one["by"]
            for mention in one["by"]:
                assert between[mention["position"]]["type"] == mention["type"]
                assert between[mention["position"]]["actor"] == mention["actor"]
        for kind, path, names in (
            ("objective", "/objectives", _OBJECTIVE),
            ("key_result", "/key-results", _KEY_RESULT),
        ):
            both = []
            for as_of in (begin, end):
                more = {"removed": True} if kind == "key_result" else {}
                items = (await api.get(path, as_of=as_of, page_size=500, **more))["items"]
                both.append({one["id"]: {name: one[name] for name in names} for one in items})
            old, new = both
            told = {one["id"]: one for one in found if one["kind"] == kind}
            added = {id for id, one in told.items() if one["change"] == "added"}
            assert added == set(new) - set(old)
            for id in old:
                expected = {
                    name: (old[id][name], new[id][name])
                    for name in names
                    if old[id][name] != new[id][name]
                }
                fields = told[id]["fields"] if id in told else []
                shown = {
                    one["field"]: (one["before"], one["after"])
                    for one in fields
                    if one["field"] in names
                }
                assert shown == expected, (kind, id)


async def test_a_diff_can_be_of_one_cycle_or_one_objective(api: Api) -> None:
    cycle, objective = await api.running()
    other = await api.objective(cycle, objective["owner"])
    begin = await api.head()
    person = await api.person()
    await api.check_in(objective["key_results"][0], value=150)
    await api.block(objective["key_results"][0], person)
    await api.align(other, objective)
    await api.patch(f"/objectives/{other['id']}", {"why": "So."})
    of = {
        name: {one["kind"] for one in (await api.get("/diff", **{"from": begin}, **asked))["items"]}
        for name, asked in (
            ("all", {}),
            ("cycle", {"cycle_id": cycle["id"]}),
            ("objective", {"objective_id": objective["id"]}),
        )
    }
    mine = {"check_in", "key_result", "blocker", "alignment"}
    assert of == {
        "all": mine | {"person", "objective"},
        "cycle": mine | {"objective"},
        "objective": mine,
    }


async def test_a_diff_is_between_two_points_that_the_ledger_has_reached(api: Api) -> None:
    head = await api.head()
    for pointer, position in (("from", head + 1), ("to", head + 1), ("from", 0), ("to", 0)):
        problem = await api.refused("outside-ledger", "GET", f"/diff?{pointer}={position}")
        assert pointers(problem) == [pointer]
    await api.team()
    for query in (f"from={head + 1}&to={head}", "from=x", "to=x"):
        await api.refused("invalid", "GET", f"/diff?{query}")
    moment = (await api.get("/ledger"))["at"]
    await api.team("Sales")
    found = await api.get("/diff", **{"from": moment})
    assert [one["words"] for one in found["items"]] == ["An operator added the team 'Sales'."]


# Timelines --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 500])
async def test_a_timeline_holds_every_event_that_concerns_its_thing(api: Api, size: int) -> None:
    async for _ in walk(api):
        pass
    events = (await api.get("/events", page_size=500))["items"]
    for cycle in (await api.get("/cycles"))["items"]:
        expected = [
            one["position"]
            for one in events
            if one["cycle_id"] == cycle["id"] and one["stream"]["category"] in CATEGORIES
        ]
        assert await _positions(api, f"/cycles/{cycle['id']}/timeline", size) == expected
    for objective in (await api.get("/objectives"))["items"]:
        id = objective["id"]
        parts = {
            one["data"]["key_result_id"]
            for one in events
            if one["type"] == "key_result.drafted" and one["data"]["objective_id"] == id
        }
        ties = {
            one["stream"]["id"]
            for one in events
            if one["type"] in ("alignment.agreed", "dependency.declared")
            and id
            in (
                one["data"]["objective_id"],
                one["data"].get("target_objective_id"),
                one["data"].get("on", {}).get("id"),
            )
        }
        expected = [one["position"] for one in events if one["stream"]["id"] in {id} | parts | ties]
        assert await _positions(api, f"/objectives/{id}/timeline", size) == expected
        for part in parts:
            ties = {
                one["stream"]["id"]
                for one in events
                if one["type"] == "alignment.agreed" and one["data"]["target"]["id"] == part
            }
            expected = [one["position"] for one in events if one["stream"]["id"] in {part} | ties]
            assert await _positions(api, f"/key-results/{part}/timeline", size) == expected


async def _positions(api: Api, path: str, size: int) -> list[int]:
    found: list[int] = []
    asked: Json = {"page_size": size}
    while True:
        page = await api.get(path, **asked)
        found += [one["position"] for one in page["items"]]
        for one in page["items"]:
            assert "something" not in one["words"], one["words"]
            assert "data" not in one
        if page["next_page_token"] is None:
            return found
        asked["page_token"] = page["next_page_token"]


async def test_a_timeline_says_who_knew_what_when(api: Api) -> None:
    ada = await api.admin("Ada Park")
    by_ada = await api.key_for("read", "check-ins:write", person_id=ada["id"])
    _, objective = await api.running()
    (key_result,) = objective["key_results"]
    await by_ada.check_in(key_result, value=120)
    now = (await api.get("/ledger"))["at"]
    late = await by_ada.check_in(key_result, value=110, occurred_at="2026-01-20T12:00:00Z")
    await by_ada.check_in(key_result, value=150)
    await api.block(key_result, ada)
    told = (await api.get(f"/objectives/{objective['id']}/timeline"))["items"]
    assert [one["type"] for one in told] == [
        "objective.drafted",
        "key_result.drafted",
        "objective.committed",
        *["check_in.recorded"] * 3,
        "blocker.raised",
    ]
    assert [one["words"] for one in told[3:]] == [
        "Ada Park moved 'Active customers' to 120 (progress to 0.2).",
        "Ada Park checked in on 'Active customers': 110.",
        "Ada Park moved 'Active customers' from 120 to 150 (progress 0.2 to 0.5).",
        "An operator raised a blocker on 'Active customers', and named Ada Park.",
    ]
    assert [one["told_late"] for one in told] == [*[False] * 4, True, False, False]
    backdated = told[4]
    assert backdated["occurred_at"] == "2026-01-20T12:00:00Z"
    lag = _moment(late["recorded_at"]) - _moment(late["occurred_at"])
    assert backdated["lag_seconds"] == pytest.approx(lag.total_seconds())
    assert _moment(backdated["recorded_at"]) >= _moment(now)
    changes = {one["kind"]: one["fields"] for one in told[5]["changes"]}
    assert {"field": "value", "before": 120, "after": 150} in changes["key_result"]
    then = await api.get(f"/objectives/{objective['id']}/timeline", as_of=late["position"])
    assert [one["position"] for one in then["items"]] == [one["position"] for one in told[:5]]


async def test_a_timeline_and_a_series_withhold_the_scores_that_the_caller_may_not_see(
    api: Api,
) -> None:
    await api.decide("levels", owners=["company", "team", "individual"])
    await api.decide(
        "performance_reviews", link="decoupled", individual_scores_visible_to=["owner"]
    )
    ada, ben = await api.person("Ada Park"), await api.person("Ben Ruiz")
    cycle = await api.cycle()
    own = {"owner": {"kind": "person", "id": ada["id"]}}
    objective = await api.commit(await api.objective(cycle, ada, **own))
    await api.move(cycle, "open")
    (key_result,) = objective["key_results"]
    await api.check_in(key_result, value=150)
    await api.move(cycle, "begin-scoring")
    await api.score(key_result, score=0.83, comment="Odd.", adjustment_reason="Signed.")
    for person, seen in ((ada, True), (ben, False)):
        caller = await api.key_for("read", person_id=person["id"])
        for path in (
            f"/objectives/{objective['id']}/timeline",
            f"/key-results/{key_result['id']}/timeline",
            f"/cycles/{cycle['id']}/timeline",
        ):
            told = (await caller.get(path))["items"]
            (scored,) = [one for one in told if one["type"] == "key_result.scored"]
            assert ("0.83" in str(told)) == ("Signed." in str(told)) == seen
            assert ("Odd." in str(told)) == seen
            assert (scored["withheld"] is None) == seen
        for path in (
            f"/objectives/{objective['id']}/series",
            f"/key-results/{key_result['id']}/series",
        ):
            assert "0.83" not in str(await caller.get(path))


def test_every_event_of_a_timeline_has_words_of_its_own() -> None:
    told = {name for name, event in EVENTS.items() if event.category in CATEGORIES}
    assert told == PHRASED
