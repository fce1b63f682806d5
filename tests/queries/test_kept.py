"""What is kept of a tree is what would be made of it anew."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from app.application.ledgers import Horizon, Ledgers, Reader
from app.queries import kept, tree
from app.queries.goals import ObjectiveView
from app.queries.kept import Goal
from app.queries.tree import TreeView
from tests.api.programme import METRIC, Api, Json


async def _read(reader: Reader, cycle: Json, at: datetime | None = None) -> tuple[bytes, Horizon]:
    then = replace(reader, at=at or reader.at, horizon=Horizon())
    return (await tree.tree(then, UUID(cycle["id"]))).body, then.horizon


async def _same(ledgers: Ledgers, api: Api, cycle: Json) -> TreeView:
    """The tree that is kept up, having made sure that one without a past is the same."""
    async with ledgers.read(UUID(api.org)) as reader:
        kept_up, _ = await _read(reader, cycle)
        kept.SHELVES[False] = kept.Shelf()
        fresh, _ = await _read(reader, cycle)
    assert kept_up == fresh
    return TreeView.model_validate_json(kept_up)


async def test_a_tree_that_is_kept_up_with_every_change_is_the_one_made_anew(
    api: Api, ledgers: Ledgers
) -> None:
    await api.decide("levels", owners=["company", "team", "individual"])
    cycle, team, person = await api.cycle(), await api.team(), await api.person()
    goals = [await api.objective(cycle, team, title=f"Goal {n}") for n in range(4)]
    part = goals[0]["key_results"][0]
    link = await api.align(goals[1], goals[0])

    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: api.align(goals[2], part, "key_result"),
        lambda: api.patch(f"/objectives/{goals[1]['id']}", {"title": "Another"}),
        lambda: api.post(
            f"/objectives/{goals[3]['id']}/key-results", {"title": "Churn", "measure": METRIC}
        ),
        lambda: api.post(f"/alignments/{link['id']}:withdraw", {"reason": "It does not help."}),
        lambda: api.objective(cycle, person, owner={"kind": "person", "id": person["id"]}),
        lambda: api.post(
            f"/objectives/{goals[2]['id']}:hand-over",
            {"owner": {"kind": "person", "id": person["id"]}, "reason": "She asked."},
        ),
        lambda: api.patch(f"/teams/{team['id']}", {"name": "Retention"}),
        lambda: api.patch(f"/people/{person['id']}", {"name": "Ada Lind"}),
        lambda: api.decide("limits", max_objectives=2),
        lambda: api.objective(cycle, team),
        lambda: api.commit(goals[0]),
        lambda: api.open_anyway(cycle),
        lambda: api.check_in(part, value=150, confidence=0.5, health="at_risk"),
        lambda: api.decide("cadence", check_in_every_days=7),
        lambda: api.post(f"/key-results/{part['id']}:remove", {"reason": "Hard to measure."}),
        lambda: api.post(f"/objectives/{goals[0]['id']}:abandon", {"reason": "The market moved."}),
        lambda: api.move(cycle, "begin-scoring"),
    ]
    await _same(ledgers, api, cycle)
    for number, change in enumerate(changes):
        before = await api.head()
        await change()
        assert await api.head() > before, number
        await _same(ledgers, api, cycle)
    assert (await _same(ledgers, api, cycle)).summary.objectives == 6
    await _same_in_the_past(ledgers, api, cycle)


async def _same_in_the_past(ledgers: Ledgers, api: Api, cycle: Json) -> None:
    """Whichever look was the last, each shows what one without another before it does."""
    async with ledgers.read(UUID(api.org)) as now:
        first = (await api.get("/events", type="cycle.planned"))["items"][0]["position"]
        positions = list(range(first, now.position + 1))
        chance = random.Random(26)  # noqa: S311
        shown: dict[int, bytes] = {}
        for _ in range(3):
            chance.shuffle(positions)
            for position in positions:
                past = await ledgers.back(now, position)
                told, _ = await _read(past, cycle)
                if position not in shown:
                    kept.SHELVES[True] = kept.Shelf()
                    shown[position], _ = await _read(past, cycle)
                assert told == shown[position], position


async def test_silence_is_seen_in_what_is_kept_and_the_horizon_says_when(
    api: Api, ledgers: Ledgers
) -> None:
    cycle, objective = await api.running()
    await api.check_in(objective["key_results"][0], value=150, health="on_track")
    async with ledgers.read(UUID(api.org)) as reader:
        body, _ = await _read(reader, cycle)
        part = TreeView.model_validate_json(body).roots[0].key_results[0]
        due = part.check_in_due_at
        assert part.health == "on_track"
        assert due is not None
        for at, health in (
            (due, "on_track"),
            (due + timedelta(microseconds=1), "outdated"),
            (reader.at, "on_track"),
        ):
            body, horizon = await _read(reader, cycle, at)
            shown = TreeView.model_validate_json(body).roots[0].key_results[0]
            assert shown.health == health
            # From one day to the next a cycle may become late.
            assert horizon.until.date() == at.date()
            if at == due:
                assert horizon.until == due


async def test_whoever_looks_back_meets_what_was_there_and_not_what_is_kept_of_now(
    api: Api, ledgers: Ledgers
) -> None:
    cycle, objective = await api.running()
    key_result, before = objective["key_results"][0], await api.head()
    await api.get(f"/cycles/{cycle['id']}/tree")
    await api.check_in(key_result, value=150)
    for as_of, value in ((None, 150), (before, None), (None, 150), (before, None)):
        params = {} if as_of is None else {"as_of": as_of}
        shown = await api.get(f"/cycles/{cycle['id']}/tree", **params)
        assert shown["roots"][0]["key_results"][0]["value"] == value


async def test_what_was_made_before_time_ran_out_is_there_the_next_time(
    api: Api, ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    cycle, team = await api.cycle(), await api.team()
    for number in range(3):
        await api.objective(cycle, team, title=f"Goal {number}")
    cycle_id, make = UUID(cycle["id"]), Goal.of
    made = list[Goal]()

    def until_the_second(view: ObjectiveView, at: datetime) -> Goal:
        if len(made) == 1:
            raise asyncio.CancelledError
        made.append(make(view, at))
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Goal, "of", until_the_second)
        with pytest.raises(asyncio.CancelledError):
            async with ledgers.read(UUID(api.org)) as reader:
                await tree.tree(reader, cycle_id)
    found = kept.SHELVES[False].get((UUID(api.org), cycle_id, None))
    assert found is not None
    assert [*found.made.values()] == made
    shown = await _same(ledgers, api, cycle)
    assert [root.title for root in shown.roots] == ["Goal 0", "Goal 1", "Goal 2"]
