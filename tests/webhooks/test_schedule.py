"""When a message is tried again, under a clock that is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.application.webhooks.schedule import (
    DELAYS,
    JITTER,
    LONGEST_RETRY_AFTER,
    next_attempt,
    retry_after,
)

NOW = datetime(2026, 2, 15, 12, tzinfo=UTC)


def test_the_delays_are_those_that_standard_webhooks_recommends() -> None:
    seconds = [delay.total_seconds() for delay in DELAYS]
    hours = [3600 * hours for hours in (2, 5, 10, 14, 20, 24)]
    assert seconds == [0, 5, 300, 1800, *hours]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_message_is_tried_ten_times_in_a_bit_more_than_three_days(chance: float) -> None:
    at, attempts = NOW, 1
    while (following := next_attempt(attempts, at, chance)) is not None:
        assert following > at
        at, attempts = following, attempts + 1
    assert attempts == len(DELAYS) == 10
    assert timedelta(days=3) < at - NOW < timedelta(days=3.6)


@pytest.mark.parametrize("tries", range(1, len(DELAYS)))
def test_chance_makes_a_delay_longer_by_a_tenth_at_most(tries: int) -> None:
    soonest, latest = (next_attempt(tries, NOW, chance) for chance in (0.0, 1.0))
    assert soonest == NOW + DELAYS[tries]
    assert latest == NOW + DELAYS[tries] * (1 + JITTER)


def test_whoever_asks_for_patience_has_it_up_to_a_day() -> None:
    soon, late, never = (NOW + timedelta(hours=hours) for hours in (0, 3, 1000))
    assert next_attempt(1, NOW, 0, soon) == NOW + timedelta(seconds=5)
    assert next_attempt(1, NOW, 0, late) == late
    assert next_attempt(1, NOW, 0, never) == NOW + LONGEST_RETRY_AFTER
    assert next_attempt(len(DELAYS), NOW, 0, late) is None


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\N{SUPERSCRIPT TWO}", None),
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("9" * 5000, 24 * 3600),
        ("Sun, 15 Feb 2026 12:01:00 GMT", 60),
        ("Sun, 15 Feb 2026 12:01:00", 60),
        ("Sun, 99 Feb 2026 12:01:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_what_a_retry_after_header_asks_for(stated: str | None, seconds: int | None) -> None:
    asked = retry_after(stated, NOW)
    assert asked == (None if seconds is None else NOW + timedelta(seconds=seconds))
