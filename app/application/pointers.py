"""Where validation found something wrong, as JSON pointers into what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def pointed(found: Sequence[Mapping[str, Any]], sent: Any) -> list[dict[str, str]]:
    """Pydantic's errors as pointers and details, without what was sent: that may be secret."""
    by_pointer: dict[str, list[str]] = {}
    for error in found:
        pointer = _pointer(error["loc"], sent, missing=error["type"] == "missing")
        by_pointer.setdefault(pointer, []).append(error["msg"].removeprefix("Value error, "))
    # Where several shapes are accepted, each of them says what is wrong.
    return [
        {"pointer": pointer, "detail": "; or: ".join(dict.fromkeys(details))}
        for pointer, details in by_pointer.items()
    ]


def _pointer(location: Sequence[str | int], sent: Any, *, missing: bool) -> str:
    """The way into what was sent; pydantic's location also names members of unions."""
    parts: list[str | int] = []
    for part in location:
        inside = isinstance(sent, dict) if isinstance(part, str) else isinstance(sent, list)
        if inside and (isinstance(part, int) or part in sent):
            parts.append(part)
            sent = sent[part]
    if missing and location:
        parts.append(location[-1])
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "".join(f"/{part}" for part in escaped)
