"""Schemathesis sends the same few Idempotency-Keys with many bodies: here each gets its own."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context: Any, value: Any) -> bytes:
    """One line, with whatever was made up for it."""
    return json.dumps(value).encode() + b"\n"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    key = (case.headers or {}).get("Idempotency-Key")
    if key and case.meta is not None and case.meta.generation.mode.is_positive:
        case.headers["Idempotency-Key"] = f"{key[:200]}{uuid4().hex}".replace('"', "")
