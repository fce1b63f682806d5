"""How a programme fared over its cycles, each in short and all together."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.queries.organization_health import MOST_CYCLES, MOST_ITEMS, Behind, summed
from tests.api.programme import METRIC, UNKNOWN, Api, Json

QUARTERS = (
    {"name": "2025 Q3", "starts_on": "2025-07-01", "ends_on": "2025-09-30"},
    {"name": "2025 Q4", "starts_on": "2025-10-01", "ends_on": "2025-12-31"},
    {"name": "2026 Q1", "starts_on": "2026-01-01", "ends_on": "2026-03-31"},
)


async def _quarter(api: Api, dates: Json, team: Json, *values: float, **more: Any) -> Json:
    """A quarter that was scored: one metric from 100 to 200, with one reading for each value."""
    cycle = await api.cycle(**dates)
    parts = [{"title": f"Part {n}", "measure": METRIC} for n in range(len(values))]
    objective = await api.objective(cycle, team, key_results=parts, **more)
    objective = await api.commit(objective)
    await api.move(cycle, "open")
    for part, value in zip(objective["key_results"], values, strict=True):
        at = f"{dates['ends_on']}T09:00:00Z"
        await api.check_in(part, value=value, confidence=0.6, occurred_at=at)
    await api.move(cycle, "begin-scoring")
    for part in objective["key_results"]:
        await api.score(part)
    await api.move(cycle, "begin-reflection")
    return {"cycle": cycle["id"], "parts": objective["key_results"], "objective": objective["id"]}


def _counts(modes: dict[str, Json]) -> dict[str, tuple[int, int]]:
    return {id: (one["numerator"], one["denominator"]) for id, one in modes.items()}


def _by_id(report: Json) -> dict[str, Json]:
    return {one["id"]: one for one in report["failure_modes"]}


async def _programme(api: Api) -> dict[str, Any]:
    company = await api.team("Harbour", level="company")
    growth = await api.team("Growth", parent_id=company["id"])
    sales = await api.team("Sales", parent_id=company["id"])
    first = await _quarter(api, QUARTERS[0], growth, 200, 200, origin="top_down")
    second = await _quarter(api, QUARTERS[1], growth, 200, 150, origin="bottom_up")
    third = await _quarter(api, QUARTERS[2], sales, 110, origin="bottom_up")
    looked_back = {"team_id": sales["id"], "worked": ["Short check-ins"]}
    await api.post(f"/cycles/{third['cycle']}/reflections", looked_back)
    return {"growth": growth, "sales": sales, "quarters": [first, second, third]}


async def test_failure_modes_are_added_up_over_cycles_and_shown_for_each(api: Api) -> None:
    made = await _programme(api)
    first, second, _ = made["quarters"]
    report = await api.get("/health")
    modes = _by_id(report)
    assert _counts(modes) == {
        "set_and_forget": (0, 5),
        "too_many": (0, 3),
        "unaligned": (3, 3),
        "top_down": (1, 3),
        "no_reflection": (2, 3),
        "no_leadership_okrs": (3, 3),
        "always_full": (3, 5),
        "said_on_track": (0, 0),
        "no_coach": (2, 2),
    }
    assert modes["always_full"]["share"] == 0.6
    # The newest cycle's come first.
    assert modes["always_full"]["items"] == [
        {"cycle_id": second["cycle"], "id": second["parts"][0]["id"]},
        {"cycle_id": first["cycle"], "id": first["parts"][0]["id"]},
        {"cycle_id": first["cycle"], "id": first["parts"][1]["id"]},
    ]
    assert modes["no_coach"]["items"][0]["cycle_id"] is None
    assert all(one["left_off"] == 0 for one in modes.values())

    assert [one["name"] for one in report["cycles"]] == [q["name"] for q in QUARTERS]
    trend = [one["failure_modes"]["always_full"]["share"] for one in report["cycles"]]
    assert trend == [1, 0.5, 0]
    assert [one["score"] for one in report["cycles"]] == [1, 0.75, 0.1]
    assert [one["bottom_up_share"] for one in report["cycles"]] == [0, 1, 1]
    assert report["bottom_up_share"] == pytest.approx(2 / 3, abs=0.0001)
    for row in report["cycles"]:
        alone = await api.get(f"/cycles/{row['cycle_id']}/health")
        of_cycle = _by_id(alone)
        assert {id: one["share"] for id, one in row["failure_modes"].items()} == {
            id: one["share"] for id, one in of_cycle.items() if id != "no_coach"
        }
        assert row["brier"] == alone["calibration"]["brier"]


async def test_confidence_is_calibrated_over_all_cycles(api: Api) -> None:
    await _programme(api)
    calibration = (await api.get("/health"))["calibration"]
    # Three of five were good, each held at 60%.
    assert calibration["forecasts"] == len(calibration["items"]) == 5
    assert calibration["brier"] == pytest.approx((3 * 0.16 + 2 * 0.36) / 5)


async def test_it_is_narrowed_to_cycles_days_and_a_team(api: Api) -> None:
    made = await _programme(api)
    first, second, third = (one["cycle"] for one in made["quarters"])

    async def shown(**asked: Any) -> list[str]:
        return [one["cycle_id"] for one in (await api.get("/health", **asked))["cycles"]]

    assert await shown(cycle_id=[third, first]) == [first, third]
    assert await shown(**{"from": "2025-10-01"}) == [second, third]
    assert await shown(to="2025-12-31") == [first, second]
    assert await shown(**{"from": "2025-12-31", "to": "2025-12-31"}) == [second]
    assert await shown(**{"from": "2027-01-01"}) == []
    assert await shown(**{"from": "2026-02-01", "to": "2026-01-31"}) == []
    report = await api.get("/health", team_id=made["sales"]["id"])
    assert len(report["cycles"]) == 3
    assert _counts(_by_id(report))["always_full"] == (0, 1)
    assert _counts(_by_id(report))["no_coach"] == (1, 1)


async def test_what_cannot_be_asked_for_is_refused(api: Api) -> None:
    await api.refused("not-found", "GET", f"/health?cycle_id={UNKNOWN}")
    for query in ("from=x", "to=0", "cycle_id=x", "team_id=x", "since=2026-01-01"):
        await api.refused("invalid", "GET", f"/health?{query}")


async def test_only_what_was_opened_and_not_cancelled_is_counted(api: Api) -> None:
    assert (await api.get("/health"))["cycles"] == []
    for phase in ("planned", "drafting"):
        await api.cycle(phase)
    cancelled = await api.cycle("planned")
    await api.post(f"/cycles/{cancelled['id']}:cancel", {"reason": "One too many."})
    opened = await api.cycle("active")
    report = await api.get("/health")
    assert [one["cycle_id"] for one in report["cycles"]] == [opened["id"]]
    assert report["cycles_left_off"] == 0


async def test_the_newest_cycles_are_counted_and_the_others_left_off(api: Api) -> None:
    years = range(1980, 1980 + MOST_CYCLES + 2)
    for year in years:
        await api.cycle(
            "active", name=str(year), starts_on=f"{year}-01-01", ends_on=f"{year}-03-31"
        )
    report = await api.get("/health")
    assert [one["name"] for one in report["cycles"]] == [str(year) for year in years][2:]
    assert report["cycles_left_off"] == 2


async def test_scores_that_are_not_for_everybody_count_for_those_who_may_see_them(
    api: Api,
) -> None:
    await api.decide("levels", owners=["company", "team", "individual"])
    await api.decide("performance_reviews", individual_scores_visible_to=["owner"])
    ada, ben = await api.person(), await api.person("Ben Ruiz")
    quarter = await _quarter(api, QUARTERS[0], ada, 200, owner={"kind": "person", "id": ada["id"]})
    await _quarter(api, QUARTERS[1], await api.team(), 200)
    for person, seen in ((ada, 2), (ben, 1)):
        key = await api.key_for("read", person_id=person["id"])
        report = await key.get("/health")
        assert _counts(_by_id(report))["always_full"] == (seen, seen)
        assert report["calibration"]["forecasts"] == seen
        assert report["withheld"] == 2 - seen
        assert (report["cycles"][0]["score"] is not None) == (seen == 2)
        report = await key.get(f"/cycles/{quarter['cycle']}/health")
        assert _counts(_by_id(report))["always_full"] == (seen - 1, seen - 1)
        assert report["withheld"] == 2 - seen


def test_the_items_behind_a_figure_are_bounded_and_the_figure_is_not() -> None:
    items = [Behind(cycle_id=None, id=UUID(int=n)) for n in range(MOST_ITEMS + 3)]
    mode = summed("x", "X.", items, 200)
    assert (mode.numerator, mode.denominator, mode.left_off) == (MOST_ITEMS + 3, 200, 3)
    assert mode.items == items[:MOST_ITEMS]


async def test_it_is_shown_again_as_it_was_shown_then(api: Api) -> None:
    team = await api.team()
    await _quarter(api, QUARTERS[0], team, 150)
    before, then = await api.get("/health"), await api.head()
    await _quarter(api, QUARTERS[1], team, 200)
    assert await api.get("/health", as_of=then) == before
    assert await api.get("/health") != before
