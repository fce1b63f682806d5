"""Many more requests than there are places, connections or seconds for."""

from __future__ import annotations

from tests.faults.cluster import Place
from tests.faults.overload import exhaustion, overload, single_connection, slow_senders


async def test_ten_times_the_load_is_refused_at_once_and_leaves_no_trace(
    place: Place, seed: int
) -> None:
    outcome = await overload(place, 6, seed, lambda: None)
    assert outcome.acknowledged > 0


async def test_reads_that_hold_all_connections_are_bounded_and_keep_nobody_for_long(
    place: Place, seed: int
) -> None:
    outcome = await exhaustion(place, 1, seed, lambda: None)
    assert outcome.rounds == 1


async def test_no_request_needs_a_second_connection_while_it_has_one(
    place: Place, seed: int
) -> None:
    outcome = await single_connection(place, 60, seed, lambda: None)
    assert outcome.acknowledged == 60


async def test_whoever_sends_slowly_keeps_nobody_from_work(place: Place, seed: int) -> None:
    outcome = await slow_senders(place, 30, seed, lambda: None)
    assert outcome.acknowledged == 20
