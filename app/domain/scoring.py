"""Figures: scores, roll-ups and shown health. Pure functions, each with a stated version."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal

from app.domain.values import Health, share

FORMULA = "measure-what-matters/1"
"""Score = progress of the latest check-in, 0 when there is none."""


def computed_score(progress: Decimal | None) -> Decimal:
    """The score that the formula gives: 0 to 1. Silence scores 0."""
    return share(progress if progress is not None else Decimal(0))


def roll_up(weighted: Iterable[tuple[Decimal | None, Decimal]]) -> Decimal | None:
    """The weighted mean of key results' figures, 4 decimals; None where none has a figure.

    A key result without a figure is left out rather than counted as 0: `(figure, weight)`.
    """
    known = [(figure, weight) for figure, weight in weighted if figure is not None]
    total = sum((weight for _, weight in known), Decimal(0))
    if not total:
        return None
    return share(sum((figure * weight for figure, weight in known), Decimal(0)) / total)


def check_in_due(
    last: datetime | None, began: datetime, every_days: int, grace_days: int
) -> datetime:
    """The moment from which silence is `outdated`: a rhythm and its grace after the last word.

    Without any, they run from `began`.
    """
    return (last or began) + timedelta(days=every_days + grace_days)


def shown_health(
    *,
    outcome: str | None,
    reported: Health | None,
    due: datetime | None,
    now: datetime,
) -> str:
    """Health as shown: derived, never typed in.

    A closed outcome comes first, then `outdated` when a check-in is overdue past its grace, then
    what the last check-in said, else `pending`. Silence is never green.
    """
    if outcome is not None:
        return outcome
    if due is not None and now > due:
        return "outdated"
    return reported.value if reported is not None else "pending"


def days(starts_on: date, ends_on: date) -> int:
    """Length of a cycle in days, both ends included."""
    return (ends_on - starts_on).days + 1
