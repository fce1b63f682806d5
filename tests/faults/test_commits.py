"""Commits made to fail, on every route that writes."""

from __future__ import annotations

from tests.faults.cluster import Place
from tests.faults.commits import CODES, WRITES, failing_commits
from tests.faults.sizes import CI


async def test_what_is_not_committed_is_not_acknowledged_and_nothing_of_it_is_kept(
    place: Place, seed: int
) -> None:
    outcome = await failing_commits(place, CI, seed, lambda: None)
    assert outcome.rounds >= len(WRITES) * len(CODES)
