"""How an event kept under an older schema reads today. Kept events are never rewritten.

An upcaster takes the data of one version and returns that of the next; a chain of them leads to
the present. Each has a golden sample in the tests that must fold for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Data = dict[str, Any]


def _check_in_by_aspect(data: Data) -> Data:
    """Version 1 kept confidence as a percentage, and one last word for all that is said."""
    terms, latest = dict(data["terms"]), data["latest"]
    if terms.get("confidence") is not None:
        terms["confidence"] = terms["confidence"] / 100
    said = [aspect for aspect in ("value", "confidence", "health") if terms.get(aspect) is not None]
    rest = {name: value for name, value in data.items() if name != "latest"}
    return {**rest, "terms": terms, "last_word": ["moment", *said] if latest else []}


def _nothing_before(data: Data) -> Data:
    """Version 1 knew no `previous_id`: nothing was taken over from the cycle before."""
    return data


def _as_it_was(data: Data) -> Data:
    """The next version states more, which nobody can tell of what was kept before."""
    return data


UPCASTERS: dict[tuple[str, int], Callable[[Data], Data]] = {
    ("alignment.agreed", 1): _nothing_before,
    ("check_in.recorded", 1): _check_in_by_aspect,
    ("check_in.recorded", 2): _as_it_was,
    ("key_result.amended", 1): _as_it_was,
    ("reflection.recorded", 1): _as_it_was,
    ("dependency.declared", 1): _nothing_before,
}
"""From (type, version) to the function that makes it the next version."""
