"""The alignment report: what of a cycle hangs together, and what does not."""

from __future__ import annotations

from tests.api.programme import METRIC, UNKNOWN, Api, Json

YEAR: Json = {"name": "2026", "starts_on": "2026-01-01", "ends_on": "2026-12-31"}


async def _report(api: Api, cycle: Json, **asked: object) -> Json:
    return await api.get(f"/cycles/{cycle['id']}/alignment-report", **asked)


def _figures(count: Json) -> tuple[int, int, float | None]:
    return count["numerator"], count["denominator"], count["share"]


def _titles(count: Json) -> list[str]:
    assert count["numerator"] == len(count["items"])
    return [item["title"] for item in count["items"]]


async def test_a_cycle_without_goals_has_nothing_to_count(api: Api) -> None:
    cycle = await api.cycle("planned")
    report = await _report(api, cycle)
    assert (report["cycle_id"], report["cycle_name"]) == (cycle["id"], cycle["name"])
    counts = [count for count in report.values() if isinstance(count, dict)]
    assert len(counts) == 10
    assert {_figures(count) for count in counts} == {(0, 0, None)}


async def test_goals_below_the_company_are_aligned_or_not(api: Api) -> None:
    company, cycle = await api.team("Harbour", level="company"), await api.cycle()
    teams = [await api.team(f"Team {number}") for number in range(3)]
    top = await api.objective(cycle, company, title="Top")
    one, two, loose = [
        await api.objective(cycle, team, title=title)
        for team, title in zip(teams, ("One", "Two", "Loose"), strict=True)
    ]
    dropped = await api.objective(cycle, teams[0], title="Dropped")
    await api.post(f"/objectives/{dropped['id']}:abandon", {"reason": "Too many."})
    await api.align(one, top)
    await api.align(two, top["key_results"][0], "key_result")
    await api.align(two, one)
    before = await api.head()

    report = await _report(api, cycle)
    assert (_titles(report["aligned"]), _titles(report["unaligned"])) == (["One", "Two"], ["Loose"])
    assert _figures(report["aligned"]) == (2, 3, 0.6667)
    assert _figures(report["unaligned"]) == (1, 3, 0.3333)
    (item,) = report["unaligned"]["items"]
    assert item == {
        "kind": "objective",
        "id": loose["id"],
        "objective_id": loose["id"],
        "title": "Loose",
        "owner": loose["owner"],
    }
    assert _titles(report["several_parents"]) == ["Two"]
    assert _figures(report["several_parents"]) == (1, 2, 0.5)
    assert _figures(report["orphaned"]) == (0, 2, 0)
    summary = (await api.get(f"/cycles/{cycle['id']}/tree"))["summary"]
    assert summary["unaligned"] == 1

    await api.align(loose, top)
    assert _figures((await _report(api, cycle))["unaligned"]) == (0, 3, 0)
    assert await _report(api, cycle, as_of=before) == report


async def test_a_goal_is_orphaned_once_all_that_it_contributed_to_is_gone(api: Api) -> None:
    team, other = await api.team(), await api.team("Sales")
    beside, cycle = await api.cycle("active"), await api.cycle()
    parts = [{"title": name, "measure": METRIC} for name in ("Kept", "Removed")]
    above = await api.objective(cycle, other, title="Above", key_results=parts)
    passing = await api.objective(cycle, other, title="Passing")
    elsewhere = await api.objective(beside, other, title="Elsewhere")
    names = ("Withdrawn", "Removed", "Abandoned", "Closed", "Held by one")
    goals = [await api.objective(cycle, team, title=name) for name in names]
    withdrawn, removed, abandoned, closed, held = goals
    link = await api.align(withdrawn, above)
    await api.align(removed, above["key_results"][1], "key_result")
    await api.align(abandoned, passing)
    await api.align(closed, elsewhere)
    await api.align(held, passing)
    await api.align(held, above)
    assert _figures((await _report(api, cycle))["orphaned"]) == (0, 5, 0)

    await api.post(f"/alignments/{link['id']}:withdraw", {"reason": "The plan changed."})
    await api.post(f"/key-results/{above['key_results'][1]['id']}:remove", {})
    await api.post(f"/objectives/{passing['id']}:abandon", {"reason": "No time."})
    await api.move(beside, "begin-scoring", "begin-reflection", "close")
    report = await _report(api, cycle)
    assert _titles(report["orphaned"]) == list(names[:4])
    assert _figures(report["orphaned"]) == (4, 5, 0.8)
    # An agreement that stands is one, whatever became of its target.
    assert _titles(report["aligned"]) == list(names[1:])


async def test_what_the_company_wants_and_nobody_contributes_to_is_named(api: Api) -> None:
    await api.decide("cadence", company="year")
    company, team = await api.team("Harbour", level="company"), await api.team()
    year, cycle = await api.cycle(**YEAR), await api.cycle()
    parts = [{"title": name, "measure": METRIC} for name in ("Wanted", "Alone")]
    backed = await api.objective(year, company, title="Backed", key_results=parts)
    await api.objective(year, company, title="On its own", key_results=[])
    below = await api.objective(cycle, team)
    await api.align(below, backed["key_results"][0], "key_result")

    report = await _report(api, year)
    assert _titles(report["objectives_without_contributors"]) == ["On its own"]
    assert _figures(report["objectives_without_contributors"]) == (1, 2, 0.5)
    bare = report["key_results_without_contributors"]
    assert (_titles(bare), _figures(bare)) == (["Alone"], (1, 2, 0.5))
    assert bare["items"][0]["kind"] == "key_result"
    assert bare["items"][0]["objective_id"] == backed["id"]

    await api.post(f"/objectives/{below['id']}:abandon", {"reason": "No time."})
    report = await _report(api, year)
    assert _figures(report["objectives_without_contributors"]) == (2, 2, 1)


async def test_dependencies_that_wait_are_told_apart(api: Api) -> None:
    cycle, growth, platform = await api.cycle(), await api.team(), await api.team("Platform")
    ada = await api.person()
    goal = await api.objective(cycle, growth)
    late, soon = {"needed_by": "2001-01-01"}, {"needed_by": "9000-01-01"}
    risk = {"risk_owner_id": ada["id"]}
    waiting = await api.depend(goal, platform, **late)
    watched = await api.depend(goal, platform, **soon, **risk)
    declined = await api.answer(await api.depend(goal, platform, **late, **risk), "decline", ada)
    promised = await api.answer(await api.depend(goal, platform, **soon), "accept", ada)
    done = await api.answer(await api.depend(goal, platform, **late), "accept", ada)
    await api.post(f"/dependencies/{done['id']}:deliver", {})
    moot = await api.depend(goal, platform, **late)
    await api.post(f"/dependencies/{moot['id']}:withdraw", {"reason": "No."})

    report = await _report(api, cycle)
    for name, expected in (
        ("open", [waiting, watched]),
        ("declined", [declined]),
        ("overdue", [waiting, declined]),
        ("without_risk_owner", [waiting, promised]),
    ):
        assert report[name]["items"] == expected, name
        assert report[name]["denominator"] == 5

    await api.post(f"/objectives/{goal['id']}:abandon", {"reason": "No time."})
    assert _figures((await _report(api, cycle))["open"]) == (0, 0, None)


async def test_the_report_of_an_unknown_cycle_is_not_found(api: Api) -> None:
    await api.refused("not-found", "GET", f"/cycles/{UNKNOWN}/alignment-report")
