"""What trees and lists of goals can be narrowed and sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar

T = TypeVar("T")

Key = str | float | None
"""What something is sorted by; None where there is nothing to sort it by."""

GoalSort = Literal[
    "title",
    "-title",
    "progress",
    "-progress",
    "score",
    "-score",
    "health",
    "-health",
    "owner",
    "-owner",
]
KeyResultSort = Literal[
    "title",
    "-title",
    "progress",
    "-progress",
    "score",
    "-score",
    "health",
    "-health",
    "due",
    "-due",
]
ShownHealth = Literal[
    "off_track",
    "at_risk",
    "outdated",
    "pending",
    "on_track",
    "not_achieved",
    "achieved",
    "abandoned",
    "removed",
]
"""Every health that is shown, in the order in which it is sorted: the worst first, ends last."""

_RANK = {name: float(at) for at, name in enumerate(ShownHealth.__args__)}  # type: ignore[attr-defined]

SORTED = (
    "Descending with a `-` before it. Equals stay in the order of the ledger, and what has nothing "
    "to be sorted by comes last, both ways. Health goes from the worst to the best."
)


def holds(text: str, *titles: str) -> bool:
    """Whether one of these titles has the text in it, whatever the case."""
    wanted = text.casefold()
    return any(wanted in title.casefold() for title in titles)


def by(sort: str) -> tuple[Callable[[Any], Key], bool]:
    """What a view of a goal is sorted by, and whether downwards."""
    return _KEYS[sort.removeprefix("-")], sort.startswith("-")


def ordered(items: Iterable[T], key: Callable[[T], Key], *, downwards: bool) -> list[T]:
    """Sorted, equals as they were, and what has no key last."""
    keyed = [(key(item), item) for item in items]
    known: list[tuple[Any, T]] = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=downwards)
    return [item for _, item in known] + [item for found, item in keyed if found is None]


def _figure(value: Decimal | None) -> Key:
    return None if value is None else float(value)


def _moment(value: datetime | None) -> Key:
    return None if value is None else value.timestamp()


def _name(view: Any) -> Key:
    named: str | None = view.owner.name
    return None if named is None else named.casefold()


_KEYS: dict[str, Callable[[Any], Key]] = {
    "title": lambda view: view.title.casefold(),
    "progress": lambda view: _figure(view.progress),
    "score": lambda view: _figure(view.score),
    "health": lambda view: _RANK[view.health],
    "owner": _name,
    "due": lambda view: _moment(view.check_in_due_at),
}
