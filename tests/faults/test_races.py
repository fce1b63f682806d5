"""Concurrent clients over two servers, with real commits."""

from __future__ import annotations

from tests.faults import races
from tests.faults.cluster import Place
from tests.faults.sizes import CI


async def test_what_is_read_of_lists_is_what_was_acknowledged(place: Place, seed: int) -> None:
    outcome = await races.lists(place, CI, seed, lambda: None)
    assert outcome.acknowledged >= CI.list_appends


async def test_one_idempotency_key_has_one_effect_however_often_it_is_sent_at_once(
    place: Place, seed: int
) -> None:
    outcome = await races.duplicates(place, CI, seed, lambda: None)
    assert outcome.rounds == CI.keys


async def test_writers_on_one_stream_lose_no_update(place: Place, seed: int) -> None:
    outcome = await races.one_stream(place, CI, seed, lambda: None)
    assert outcome.acknowledged == CI.writers + CI.editors


async def test_a_reader_of_the_feed_misses_no_event_while_commits_are_delayed(
    place: Place, seed: int
) -> None:
    outcome = await races.followers(place, CI, seed, lambda: None)
    assert outcome.acknowledged == CI.feed_events
