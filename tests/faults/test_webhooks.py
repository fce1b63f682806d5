"""What is sent to webhooks, when those who send it are killed."""

from __future__ import annotations

from tests.faults import webhooks
from tests.faults.cluster import Place
from tests.faults.sizes import CI


async def test_every_event_arrives_however_often_a_sender_is_killed(
    place: Place, seed: int
) -> None:
    outcome = await webhooks.sender_kills(place, CI.sender_kills, seed, lambda: None)
    assert outcome.rounds == CI.sender_kills
    assert outcome.acknowledged > 0
