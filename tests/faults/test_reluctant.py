"""A server that is told to go, and clients that do not let go of it."""

from __future__ import annotations

from tests.faults.cluster import Place
from tests.faults.reluctant import reluctance


async def test_no_client_and_no_second_signal_keeps_a_server_that_is_told_to_go(
    place: Place, seed: int
) -> None:
    outcome = await reluctance(place, 1, seed, lambda: None)
    assert outcome.rounds == 1
