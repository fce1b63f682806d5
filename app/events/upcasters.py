"""How an event kept under an older schema reads today. Kept events are never rewritten.

An upcaster takes the data of one version and returns that of the next; a chain of them leads to
the present. Each has a golden sample in the tests that must fold for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Data = dict[str, Any]


def _check_in_confidence_as_share(data: Data) -> Data:
    """Version 1 kept confidence as a percentage, and did not tell values from words."""
    terms = dict(data["terms"])
    if terms.get("confidence") is not None:
        terms["confidence"] = terms["confidence"] / 100
    has_value = terms.get("value") is not None
    return {**data, "terms": terms, "latest_value": data["latest"] and has_value}


UPCASTERS: dict[tuple[str, int], Callable[[Data], Data]] = {
    ("check_in.recorded", 1): _check_in_confidence_as_share,
}
"""From (type, version) to the function that makes it the next version."""
