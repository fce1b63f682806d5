"""Replay == live state, on a ledger that is large."""

from __future__ import annotations

from tests.faults.cluster import Place
from tests.faults.replays import replays
from tests.faults.sizes import CI


async def test_a_rebuild_changes_no_row_and_the_past_is_what_a_plain_fold_says(
    place: Place, seed: int
) -> None:
    outcome = await replays(place, CI, seed, lambda: None)
    assert outcome.acknowledged >= CI.replay_events
