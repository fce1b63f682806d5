"""What is due, in the order of time, and the same dates as a calendar feed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from icalendar import Calendar

from app.queries import reminders
from tests.api.programme import METRIC, Api, Json

LATER: Json = {"name": "3000 Q1", "starts_on": "3000-01-01", "ends_on": "3000-03-31"}


async def _due(api: Api, until: str, **more: Any) -> list[tuple[str, str]]:
    found = await api.get("/reminders", until=until, **more)
    return [(one["kind"], one["due_at"][:10]) for one in found["items"]]


# Reminders --------------------------------------------------------------------------------


async def test_the_windows_of_a_planned_cycle_fall_due_in_order(api: Api) -> None:
    await api.cycle("planned", **LATER)
    everything = [
        ("drafting_opens", "2999-12-18"),
        ("reflection_announced", "3000-03-17"),
        ("scoring_begins", "3000-03-25"),
    ]
    assert await _due(api, "3000-12-31") == everything
    assert await _due(api, "3000-03-17") == everything[:2]
    assert await _due(api, "3000-03-16") == everything[:1]
    assert await _due(api, "2999-12-17") == []


async def test_what_was_done_is_due_no_more(api: Api) -> None:
    cycle, person = await api.cycle("planned", **LATER), await api.person()
    # The first cycle that is not over yet would wait for the training.
    override = {"override": {"person_id": person["id"], "reason": "We learn by doing."}}
    left = ["drafting_opens", "reflection_announced", "scoring_begins"]
    for command, done in (
        ("begin-drafting", "drafting_opens"),
        ("open", None),
        ("begin-scoring", "scoring_begins"),
        ("begin-reflection", "reflection_announced"),
        ("close", None),
    ):
        assert [kind for kind, _ in await _due(api, "3000-12-31")] == left
        body = override if command == "open" else None
        await api.post(f"/cycles/{cycle['id']}:{command}", body)
        left = [kind for kind in left if kind != done]
    assert left == []
    assert await _due(api, "3000-12-31") == []


async def test_a_cancelled_cycle_reminds_of_nothing(api: Api) -> None:
    cycle = await api.cycle("planned", **LATER)
    await api.post(f"/cycles/{cycle['id']}:cancel", {"reason": "No."})
    assert await _due(api, "9999-12-31") == []


async def test_check_ins_are_due_when_the_key_result_says_so(api: Api) -> None:
    cycle, objective = await api.running()
    key_result = await api.get(f"/key-results/{objective['key_results'][0]['id']}")
    found = await api.get("/reminders", until="3000-01-01")
    (due,) = [one for one in found["items"] if one["kind"] == "check_in_due"]
    assert due == {
        "kind": "check_in_due",
        "due_at": key_result["check_in_due_at"],
        "overdue": False,
        "title": key_result["title"],
        "cycle_id": cycle["id"],
        "key_result_id": key_result["id"],
        "objective_id": objective["id"],
    }
    # Without a day, the next two weeks are shown: the rhythm and its grace are longer.
    soon = await api.get("/reminders")
    assert [one["kind"] for one in soon["items"] if one["kind"] == "check_in_due"] == []
    await api.decide("cadence", check_in_every_days=7)
    soon = await api.get("/reminders")
    assert [one["kind"] for one in soon["items"] if one["kind"] == "check_in_due"] != []


async def test_what_is_overdue_comes_first_and_says_so(api: Api) -> None:
    await api.cycle("planned", **LATER)
    await api.cycle("planned", name="Long ago", starts_on="2020-01-01", ends_on="2020-03-31")
    found = (await api.get("/reminders", until="3000-12-31"))["items"]
    assert [one["overdue"] for one in found] == [True] * 3 + [False] * 3
    assert [one["title"] for one in found] == ["Long ago"] * 3 + ["3000 Q1"] * 3
    moments = [one["due_at"] for one in found]
    assert moments == sorted(moments)


async def test_reminders_are_bounded_and_say_when_there_are_more(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.cycle("planned", **LATER)
    whole = await api.get("/reminders", until="3000-12-31")
    assert (len(whole["items"]), whole["truncated"], whole["until"]) == (3, False, "3000-12-31")
    monkeypatch.setattr(reminders, "LARGEST", 2)
    part = await api.get("/reminders", until="3000-12-31")
    assert (part["items"], part["truncated"]) == (whole["items"][:2], True)


async def test_reminders_of_the_past_are_those_of_then(api: Api) -> None:
    cycle = await api.cycle("planned", **LATER)
    then = await api.head()
    await api.move(cycle, "begin-drafting")
    assert len(await _due(api, "3000-12-31", as_of=then)) == 3
    assert len(await _due(api, "3000-12-31")) == 2


# The feed ---------------------------------------------------------------------------------


async def _feed(api: Api, **params: Any) -> tuple[dict[str, Any], Any]:
    """The feed's events by what their UIDs begin with, and the response."""
    answer = await api.request("GET", "/calendar.ics", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    calendar = Calendar.from_ical(answer.content)
    assert (calendar["version"], calendar.errors) == ("2.0", [])
    events = {str(one["uid"]): one for one in calendar.walk("VEVENT")}
    assert len(events) == len(calendar.walk("VEVENT")), "UIDs are unique"
    return events, answer


async def test_the_feed_holds_the_dates_of_every_cycle(api: Api) -> None:
    cycle = await api.cycle("planned")
    events, _ = await _feed(api)

    def span(kind: str) -> tuple[date, date | None]:
        found = events[f"{kind}-{cycle['id']}@okr-ledger"]
        return found["dtstart"].dt, found["dtend"].dt if "dtend" in found else None

    assert len(events) == 4
    assert span("drafting") == (date(2025, 12, 18), date(2026, 1, 1))
    assert span("scoring") == (date(2026, 3, 25), date(2026, 4, 1))
    assert span("reflection") == (date(2026, 3, 17), None)
    assert span("check-in") == (date(2026, 1, 15), None)
    rule = events[f"check-in-{cycle['id']}@okr-ledger"]["rrule"]
    assert (rule["freq"], rule["interval"], rule["count"]) == (["DAILY"], [14], [6])
    recorded = (await api.get("/events", type="cycle.planned"))["items"][0]["recorded_at"]
    moment = datetime.fromisoformat(recorded).astimezone(UTC).replace(microsecond=0)
    for event in events.values():
        assert event["dtstamp"].dt == moment
        assert event["summary"].startswith("2026 Q1: ")


async def test_the_feed_is_the_same_until_a_date_changes(api: Api) -> None:
    cycle, objective = await api.running()
    events, before = await _feed(api)
    await api.check_in(objective["key_results"][0], value=150)
    await api.post(f"/objectives/{objective['id']}/key-results", {"title": "x", "measure": METRIC})
    known = {"If-None-Match": before.headers["ETag"]}
    again = await api.request("GET", "/calendar.ics", headers=known)
    assert (again.status_code, again.content) == (304, b"")

    await api.patch(f"/cycles/{cycle['id']}", {"name": "Línea, first; \\ quarter " + "x" * 90})
    renamed, after = await _feed(api)
    assert after.headers["ETag"] != before.headers["ETag"]
    assert renamed.keys() == events.keys()
    for event in renamed.values():
        assert event["summary"].startswith("Línea, first; \\ quarter xxx")
    assert all(len(line) <= 75 for line in after.content.split(b"\r\n"))


async def test_a_moved_cycle_keeps_its_uids_and_a_cancelled_one_leaves_the_feed(api: Api) -> None:
    cycle = await api.cycle("planned")
    before, _ = await _feed(api)
    then = await api.head()
    await api.patch(f"/cycles/{cycle['id']}", {"ends_on": "2026-04-05"})
    moved, _ = await _feed(api)
    assert moved.keys() == before.keys()
    scoring = f"scoring-{cycle['id']}@okr-ledger"
    assert moved[scoring]["dtend"].dt == date(2026, 4, 6)
    await api.post(f"/cycles/{cycle['id']}:cancel", {"reason": "No."})
    assert (await _feed(api))[0] == {}
    assert (await _feed(api, as_of=then))[0] == before


async def test_a_cycle_at_the_calendar_s_ends_is_in_the_feed(api: Api) -> None:
    await api.cycle("planned", name="First", starts_on="0001-01-01", ends_on="0001-03-31")
    await api.cycle("planned", name="Last", starts_on="9999-10-01", ends_on="9999-12-31")
    assert len((await _feed(api))[0]) == 8


async def test_the_feed_needs_a_key_with_the_scope_read(api: Api) -> None:
    weak = await api.key_for("check-ins:write")
    assert (await weak.request("GET", "/calendar.ics")).status_code == 403
    nobody = api.with_key("okr_live_nonsense")
    assert (await nobody.request("GET", "/calendar.ics")).status_code == 401
