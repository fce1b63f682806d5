"""kill -9 of the server, a Postgres backend and the postmaster, under load."""

from __future__ import annotations

from tests.faults.cluster import Place
from tests.faults.crashes import kills
from tests.faults.sizes import CI


async def test_nothing_acknowledged_is_lost_and_every_retry_has_one_effect(
    place: Place, seed: int
) -> None:
    outcome = await kills(place, CI, seed, lambda: None)
    assert outcome.rounds == CI.kill_rounds
    assert outcome.acknowledged >= CI.kill_rounds * CI.acknowledged_a_round
