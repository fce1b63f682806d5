"""Check-ins: what was said, when it was true, and how a key result stands by it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from fastapi import FastAPI

from tests.api.programme import METRIC, UNKNOWN, Api, Json, pointers

MILESTONE: Json = {"kind": "milestone"}
PAST: Json = {"name": "2024 Q1", "starts_on": "2024-01-01", "ends_on": "2024-03-31"}
FUTURE: Json = {"name": "2090 Q1", "starts_on": "2090-01-01", "ends_on": "2090-03-31"}


async def _running(api: Api, *measures: Json, **dates: Any) -> list[Json]:
    """Committed key results of an active cycle: one metric, or one for each measure."""
    cycle, team = await api.cycle(**dates), await api.team()
    parts = [{"title": "A figure", "measure": measure} for measure in measures or (METRIC,)]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.open_anyway(cycle)
    found: list[Json] = objective["key_results"]
    return found


async def _seen(api: Api, key_result: Json) -> Json:
    return await api.get(f"/key-results/{key_result['id']}")


async def _now(api: Api) -> datetime:
    return datetime.fromisoformat((await api.get("/ledger"))["at"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


# What is said -----------------------------------------------------------------------------


async def test_a_check_in_is_kept_as_it_was_said(api: Api) -> None:
    (key_result,) = await _running(api, **PAST)
    said = {
        "value": 150,
        "confidence": 0.6,
        "health": "at_risk",
        "note": "Half way.",
        "next_steps": "Call the other half.",
        "occurred_at": "2024-02-01T12:00:00Z",
    }
    made = await api.check_in(key_result, **said)
    assert {name: made[name] for name in said} == said
    assert (made["progress"], made["key_result_id"]) == (0.5, key_result["id"])
    assert (made["objective_id"], made["cycle_id"]) == (
        key_result["objective_id"],
        key_result["cycle_id"],
    )
    assert await api.get(f"/check-ins/{made['id']}") == made

    (event,) = (await api.get("/events", type="check_in.recorded"))["items"]
    for name in ("position", "recorded_at", "occurred_at", "actor", "source"):
        assert made[name] == event[name]
    assert made["source"] == "api"


async def test_what_is_said_without_a_moment_is_true_as_it_is_recorded(api: Api) -> None:
    (key_result,) = await _running(api)
    made = await api.check_in(key_result, value=150)
    assert made["occurred_at"] == made["recorded_at"]
    assert (await _seen(api, key_result))["last_check_in_at"] == made["recorded_at"]


async def test_check_ins_are_listed_in_the_order_in_which_they_were_recorded(api: Api) -> None:
    key_result, other = await _running(api, METRIC, METRIC, **PAST)
    later = await api.check_in(key_result, value=150, occurred_at="2024-02-01T12:00:00Z")
    await api.check_in(other, value=110)
    earlier = await api.check_in(key_result, value=120, occurred_at="2024-01-15T12:00:00Z")
    assert (await api.get(f"/key-results/{key_result['id']}/check-ins"))["items"] == [
        later,
        earlier,
    ]


@pytest.mark.parametrize(
    "said", [{"value": 0}, {"confidence": 0}, {"health": "on_track"}, {"note": "We wait."}]
)
async def test_one_word_is_enough(api: Api, said: Json) -> None:
    (key_result,) = await _running(api)
    made = await api.check_in(key_result, **said)
    assert {name: made[name] for name in said} == said


@pytest.mark.parametrize("said", [{}, {"next_steps": "Think."}, {"value": None, "health": None}])
async def test_a_check_in_that_says_nothing_is_refused(api: Api, said: Json) -> None:
    (key_result,) = await _running(api)
    path = f"/key-results/{key_result['id']}/check-ins"
    assert pointers(await api.refused("refused", "POST", path, said)) == ["/value"]


# Progress ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baseline", "target", "value", "progress"),
    [
        (100, 200, 150, 0.5),
        (100, 200, 100, 0),
        (100, 200, 90, 0),
        (100, 200, 260, 1),
        (8, 4, 6, 0.5),
        (8, 4, 9, 0),
        (8, 4, 3.5, 1),
        (-10, 10, 0, 0.5),
        (0, 3, 1, 0.3333),
        (0.1, 0.4, 0.2, 0.3333),
    ],
)
async def test_progress_of_a_metric_runs_from_baseline_to_target_up_or_down(
    api: Api, baseline: float, target: float, value: float, progress: float
) -> None:
    measure = {"kind": "metric", "unit": "percent", "baseline": baseline, "target": target}
    (key_result,) = await _running(api, measure)
    made = await api.check_in(key_result, value=value)
    assert (made["value"], made["progress"]) == (value, progress)
    seen = await _seen(api, key_result)
    assert (seen["value"], seen["progress"]) == (value, progress)


async def test_a_milestone_is_reached_or_not(api: Api) -> None:
    (key_result,) = await _running(api, MILESTONE)
    for value, progress in ((False, 0), (True, 1), (False, 0)):
        made = await api.check_in(key_result, value=value)
        assert (made["value"] is value, made["progress"]) == (True, progress)
        seen = await _seen(api, key_result)
        assert (seen["value"] is value, seen["progress"]) == (True, progress)


@pytest.mark.parametrize(
    ("measure", "value", "advice"),
    [
        (METRIC, True, "metric: give its value as a number"),
        (MILESTONE, 1, "milestone: give its value as true or false"),
    ],
)
async def test_a_value_of_the_wrong_kind_is_refused_with_what_to_give(
    api: Api, measure: Json, value: float, advice: str
) -> None:
    (key_result,) = await _running(api, measure)
    path = f"/key-results/{key_result['id']}/check-ins"
    problem = await api.refused("wrong-kind", "POST", path, {"value": value})
    assert pointers(problem) == ["/value"]
    assert advice in problem["detail"]


# How it stands ----------------------------------------------------------------------------


async def test_progress_confidence_and_health_are_three_things(api: Api) -> None:
    (key_result,) = await _running(api)
    for said, stands in (
        ({"value": 150}, (0.5, None, "pending")),
        ({"confidence": 0.9}, (0.5, 0.9, "pending")),
        ({"health": "off_track"}, (0.5, 0.9, "off_track")),
        ({"value": 200}, (1, 0.9, "off_track")),
        ({"note": "We wait."}, (1, 0.9, "off_track")),
        ({"confidence": 0.1, "health": "on_track"}, (1, 0.1, "on_track")),
    ):
        await api.check_in(key_result, **said)
        seen = await _seen(api, key_result)
        assert (seen["progress"], seen["confidence"], seen["health"]) == stands


async def test_a_backdated_check_in_does_not_override_a_later_one(api: Api) -> None:
    (key_result,) = await _running(api, **PAST)
    later = {"value": 150, "confidence": 0.6, "health": "at_risk"}
    await api.check_in(key_result, **later, occurred_at="2024-02-01T12:00:00Z")
    before = await _seen(api, key_result)

    earlier = {"value": 190, "confidence": 0.9, "health": "on_track"}
    made = await api.check_in(key_result, **earlier, occurred_at="2024-01-15T12:00:00Z")
    assert made["progress"] == 0.9
    assert await _seen(api, key_result) == {**before, "version": before["version"] + 1}
    assert before["last_check_in_at"] == "2024-02-01T12:00:00Z"


async def test_a_backdated_reading_of_a_threshold_moves_what_is_shown_at_once(api: Api) -> None:
    cycle, team = await api.cycle(**PAST), await api.team()
    measure = {"kind": "threshold", "unit": "percent", "bound": "at_least", "limit": 99}
    parts = [{"title": "The shop is reachable", "measure": measure}]
    objective = await api.commit(await api.objective(cycle, team, key_results=parts))
    await api.move(cycle, "open")
    (key_result,) = objective["key_results"]
    for day in ("01-10", "01-30"):
        await api.check_in(key_result, value=99.5, occurred_at=f"2024-{day}T12:00:00Z")
    assert (await _seen(api, key_result))["progress"] == 1

    wrong = await api.check_in(key_result, value=97, occurred_at="2024-01-20T12:00:00Z")
    shown = await _seen(api, key_result)
    assert (shown["value"], shown["progress"]) == (99.5, 0.5)
    assert shown["last_check_in_at"] == "2024-01-30T12:00:00Z"
    moved = {"value": 97, "occurred_at": "2024-01-25T12:00:00Z", "reason": "Another day."}
    await api.put(f"/check-ins/{wrong['id']}", moved, if_match="*")
    assert (await _seen(api, key_result))["progress"] == 0.75
    await api.post(f"/check-ins/{wrong['id']}:retract", {"reason": "The probe was off."})
    assert (await _seen(api, key_result))["progress"] == 1
    assert (await api.get("/ledger:verify"))["identical"]


async def test_of_two_check_ins_on_the_same_moment_the_one_recorded_last_counts(api: Api) -> None:
    (key_result,) = await _running(api, **PAST)
    for value in (150, 140):
        await api.check_in(key_result, value=value, occurred_at="2024-02-01T12:00:00Z")
    assert (await _seen(api, key_result))["value"] == 140


async def test_how_it_stands_does_not_depend_on_the_order_in_which_it_was_told(api: Api) -> None:
    told = (
        {"value": 120, "health": "off_track", "occurred_at": "2024-01-15T12:00:00Z"},
        {"confidence": 0.6, "occurred_at": "2024-02-01T12:00:00Z"},
        {"value": 150, "occurred_at": "2024-02-15T12:00:00Z"},
    )
    orders = list(permutations(told))
    for key_result, order in zip(
        await _running(api, *[METRIC] * len(orders), **PAST), orders, strict=True
    ):
        for said in order:
            await api.check_in(key_result, **said)
        seen = await _seen(api, key_result)
        assert seen["last_check_in_at"] == "2024-02-15T12:00:00Z"
        assert (seen["value"], seen["progress"]) == (150, 0.5)
        assert (seen["confidence"], seen["reported_health"]) == (0.6, "off_track")


# When it was true -------------------------------------------------------------------------


async def test_a_check_in_speaks_of_a_moment_within_the_cycle(api: Api) -> None:
    (key_result,) = await _running(api, **PAST)
    await api.check_in(key_result, value=101, occurred_at="2024-01-01T00:00:00Z")
    await api.check_in(key_result, value=102, occurred_at="2024-01-01T01:00:00+01:00")

    path = f"/key-results/{key_result['id']}/check-ins"
    too_early = {"value": 103, "occurred_at": "2023-12-31T23:59:59Z"}
    problem = await api.refused("outside-cycle", "POST", path, too_early)
    assert pointers(problem) == ["/occurred_at"]
    assert "before the cycle began (2024-01-01T00:00:00Z)" in problem["detail"]


async def test_a_cycle_opened_early_begins_with_its_opening(api: Api) -> None:
    (key_result,) = await _running(api, **FUTURE)
    await api.check_in(key_result, value=110)
    opened = await api.get(f"/cycles/{key_result['cycle_id']}")
    before = _moment(opened["opened_at"]) - timedelta(seconds=1)
    path = f"/key-results/{key_result['id']}/check-ins"
    body = {"value": 120, "occurred_at": before.isoformat()}
    assert pointers(await api.refused("outside-cycle", "POST", path, body)) == ["/occurred_at"]


async def test_a_check_in_does_not_speak_of_the_future_but_clocks_may_differ(api: Api) -> None:
    (key_result,) = await _running(api)
    now = await _now(api)
    path = f"/key-results/{key_result['id']}/check-ins"
    ahead = {"value": 120, "occurred_at": (now + timedelta(minutes=10)).isoformat()}
    problem = await api.refused("outside-cycle", "POST", path, ahead)
    assert pointers(problem) == ["/occurred_at"]
    assert "in the future" in problem["detail"]
    await api.check_in(key_result, value=110, occurred_at=(now + timedelta(minutes=4)).isoformat())
    assert (await _seen(api, key_result))["value"] == 110


async def test_a_clock_that_runs_ahead_does_not_silence_the_next_check_in(api: Api) -> None:
    (key_result,) = await _running(api)
    ahead = await _now(api) + timedelta(minutes=4)
    await api.check_in(key_result, value=110, occurred_at=ahead.isoformat())
    await api.check_in(key_result, value=150)
    assert (await _seen(api, key_result))["value"] == 150


# Shown health -----------------------------------------------------------------------------


async def test_a_check_in_is_due_a_rhythm_and_its_grace_after_the_last_word(api: Api) -> None:
    await api.decide("cadence", check_in_every_days=7, check_in_grace_days=2)
    (key_result,) = await _running(api)
    opened = await api.get(f"/cycles/{key_result['cycle_id']}")
    silent = await _seen(api, key_result)
    assert silent["health"] == "pending"
    due = _moment(silent["check_in_due_at"])
    assert due - _moment(opened["opened_at"]) == timedelta(days=9)

    said = await api.check_in(key_result, note="We wait.")
    due = _moment((await _seen(api, key_result))["check_in_due_at"])
    assert due - _moment(said["occurred_at"]) == timedelta(days=9)


async def test_silence_is_outdated_whatever_the_last_check_in_said(api: Api) -> None:
    (key_result,) = await _running(api, **PAST)
    await api.check_in(key_result, health="on_track", occurred_at="2024-02-01T12:00:00Z")
    seen = await _seen(api, key_result)
    assert seen["check_in_due_at"] == "2024-02-18T12:00:00Z"
    assert (seen["health"], seen["reported_health"]) == ("outdated", "on_track")
    assert (await api.get(f"/objectives/{key_result['objective_id']}"))["health"] == "outdated"

    await api.check_in(key_result, note="Still so.")
    assert (await _seen(api, key_result))["health"] == "on_track"


async def test_the_rhythm_in_force_tells_what_is_outdated(api: Api) -> None:
    (key_result,) = await _running(api, **PAST)
    ago = await _now(api) - timedelta(days=2)
    await api.check_in(key_result, health="on_track", occurred_at=ago.isoformat())
    shown = []
    for every, grace in ((14, 3), (1, 0), (1, 2)):
        await api.decide("cadence", check_in_every_days=every, check_in_grace_days=grace)
        shown.append((await _seen(api, key_result))["health"])
    assert shown == ["on_track", "outdated", "on_track"]


async def test_nothing_is_due_before_a_commitment_or_after_the_active_phase(api: Api) -> None:
    cycle, team = await api.cycle("active", **PAST), await api.team()
    objective = await api.objective(cycle, team)
    (key_result,) = objective["key_results"]
    assert (await _seen(api, key_result))["check_in_due_at"] is None

    await api.commit(objective)
    await api.check_in(key_result, health="at_risk", occurred_at="2024-02-01T12:00:00Z")
    assert (await _seen(api, key_result))["health"] == "outdated"
    await api.move(cycle, "begin-scoring")
    seen = await _seen(api, key_result)
    assert (seen["health"], seen["check_in_due_at"]) == ("at_risk", None)


# Refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["drafting", "scoring", "reflecting", "closed"])
async def test_a_check_in_outside_the_active_phase_is_refused(api: Api, phase: str) -> None:
    steps = {"drafting": 0, "scoring": 2, "reflecting": 3, "closed": 4}[phase]
    cycle, team = await api.cycle(), await api.team()
    objective = await api.commit(await api.objective(cycle, team))
    await api.move(cycle, *("open", "begin-scoring", "begin-reflection", "close")[:steps])
    path = f"/key-results/{objective['key_results'][0]['id']}/check-ins"
    problem = await api.refused("invalid-state", "POST", path, {"value": 150})
    assert problem["state"] == phase
    assert "RecordCheckIn does not apply" in problem["detail"]
    assert "while the cycle is active" in problem["detail"]


async def test_a_check_in_on_an_objective_that_is_not_committed_is_refused(api: Api) -> None:
    cycle, team = await api.cycle("active"), await api.team()
    objective = await api.objective(cycle, team)
    path = f"/key-results/{objective['key_results'][0]['id']}/check-ins"
    problem = await api.refused("invalid-state", "POST", path, {"value": 150})
    assert problem["state"] == "draft"
    assert "while the objective is committed" in problem["detail"]
    await api.post(f"/objectives/{objective['id']}:abandon", {"reason": "Too late."})
    assert (await api.refused("invalid-state", "POST", path, {"value": 150}))["state"] == "closed"


async def test_a_second_delivery_is_recognised_even_after_the_cycle_went_on(api: Api) -> None:
    (key_result,) = await _running(api)
    said = {"value": 150, "external": {"source": "metrics", "external_id": "2026-02-01"}}
    first = await api.check_in(key_result, **said)
    await api.move({"id": key_result["cycle_id"]}, "begin-scoring")
    path = f"/key-results/{key_result['id']}/check-ins"
    problem = await api.refused("already-exists", "POST", path, said)
    assert problem["existing_id"] == first["id"]


async def test_an_unknown_check_in_is_not_found(api: Api) -> None:
    problem = await api.refused("not-found", "GET", f"/check-ins/{UNKNOWN}")
    assert f"no check-in {UNKNOWN}" in problem["detail"]


async def test_a_body_that_was_cut_off_is_no_check_in_though_it_could_be_read(
    api: Api, app: FastAPI
) -> None:
    (key_result,) = await _running(api)
    path = f"/v1/organizations/{api.org}/key-results/{key_result['id']}/check-ins"
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"authorization", f"Bearer {api.key}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"100"),
        ],
    }
    coming = iter(
        (
            {"type": "http.request", "body": b'{"value": 150}', "more_body": True},
            {"type": "http.disconnect"},
        )
    )

    async def receive() -> Json:
        return next(coming, {"type": "http.disconnect"})

    async def send(_: Any) -> None:
        pass

    before = await api.head()
    with suppress(Exception):
        await app(scope, receive, send)
    assert await api.head() == before
