"""SIGTERM while requests are in flight."""

from __future__ import annotations

from tests.faults.cluster import Place
from tests.faults.shutdown import terminations
from tests.faults.sizes import CI


async def test_a_server_that_is_told_to_go_finishes_what_it_has_begun(
    place: Place, seed: int
) -> None:
    outcome = await terminations(place, CI, seed, lambda: None)
    assert outcome.rounds == CI.terminations
