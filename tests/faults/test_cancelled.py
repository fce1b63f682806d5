"""Clients that go away in the middle of a request."""

from __future__ import annotations

from tests.faults.cancelled import cancellations
from tests.faults.cluster import Place


async def test_requests_that_are_cut_short_leave_nothing_behind(place: Place, seed: int) -> None:
    outcome = await cancellations(place, 300, seed, lambda: None)
    assert outcome.rounds == 300
