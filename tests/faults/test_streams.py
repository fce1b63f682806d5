"""The live feed, when connections to it are cut, and when the server is told to go."""

from __future__ import annotations

from tests.faults import streams
from tests.faults.cluster import Place
from tests.faults.sizes import CI


async def test_a_follower_that_is_cut_off_again_and_again_is_told_every_event_once(
    place: Place, seed: int
) -> None:
    outcome = await streams.disconnects(place, CI.disconnects, seed, lambda: None)
    assert outcome.rounds >= CI.disconnects


async def test_a_server_that_is_told_to_go_ends_its_streams_in_order(
    place: Place, seed: int
) -> None:
    outcome = await streams.open_at_the_end(place, CI.open_streams, seed, lambda: None)
    assert outcome.rounds == CI.open_streams
