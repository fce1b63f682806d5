"""A network that falls silent between the server and its database."""

from __future__ import annotations

from tests.faults.cluster import Place
from tests.faults.stalled import stalls, unheard_commits


async def test_a_silent_database_is_told_in_time_and_writes_come_back_by_themselves(
    place: Place, seed: int
) -> None:
    outcome = await stalls(place, 2, seed, lambda: None)
    assert outcome.rounds == 2


async def test_a_commit_that_nobody_heard_of_is_told_as_unknown(place: Place, seed: int) -> None:
    outcome = await unheard_commits(place, 1, seed, lambda: None)
    assert outcome.acknowledged == 1
