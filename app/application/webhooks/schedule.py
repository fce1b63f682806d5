"""When a message is sent again: a pure function of what has been tried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

DELAYS = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Before each attempt, as Standard Webhooks recommends: a bit more than three days in all."""
JITTER = 0.1
"""The share by which a delay may be longer, so that what failed together comes back apart."""
LONGEST_RETRY_AFTER = timedelta(hours=24)


def next_attempt(
    tries: int, failed_at: datetime, chance: float, retry_after: datetime | None = None
) -> datetime | None:
    """When to try again after so many tries that failed, 1 at least; None: not any more.

    `chance` is from 0 to 1. Whoever asks for more patience has it, up to a day.
    """
    if tries >= len(DELAYS):
        return None
    planned = failed_at + DELAYS[tries] * (1 + JITTER * chance)
    if retry_after is None:
        return planned
    return max(planned, min(retry_after, failed_at + LONGEST_RETRY_AFTER))


def retry_after(stated: str | None, now: datetime) -> datetime | None:
    """What a Retry-After header asks for: seconds, or a date. What is neither asks for nothing."""
    if stated is None:
        return None
    stated = stated.strip()
    if stated.isascii() and stated.isdigit():
        # More digits than any patience has.
        seconds = min(int(stated[:9]), int(LONGEST_RETRY_AFTER.total_seconds()))
        return now + timedelta(seconds=seconds)
    try:
        moment = parsedate_to_datetime(stated)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
