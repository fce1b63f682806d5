"""Real answers, kept as the examples of the OpenAPI document.

With OKR_KEEP_ANSWERS=1 the tests that call the application itself leave in `app/api/examples.json`
an answer for each operation that has no example yet, or one that fits its schema no longer:

    OKR_KEEP_ANSWERS=1 .venv/bin/python -m pytest -q tests/api
"""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fasteners
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.openapi import EXAMPLES

Json = dict[str, Any]

_BYTES = 1_500
"""An example that is longer than this hides more than it shows."""
_LOCK = Path(tempfile.gettempdir()) / "okr-examples.lock"
_SECRET = re.compile(r"okr_[a-z]+_[0-9A-Za-z]+")
_SIGNING = re.compile(r"whsec_[0-9A-Za-z+/=]+")
_SIGNING_SHOWN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""That of the Standard Webhooks specification."""


def schemas(document: Json) -> dict[str, Json]:
    """By operation, what it answers with as JSON when all goes well; most do.

    The import's schema, which is an answer too, needs no example: it is always the same.
    """
    return {
        operation["operationId"]: {
            **response["content"]["application/json"]["schema"],
            "components": document["components"],
        }
        for operations in document["paths"].values()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        if status in ("200", "201") and "application/json" in response.get("content", {})
        if operation["operationId"] != "get_import_schema"
    }


@dataclass
class Answers:
    """The best answer so far of each operation: the longest that is short enough."""

    app: ASGIApp
    kept: dict[str, bytes] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, parts = 0, []

        async def look(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, look)
        name = getattr(scope.get("route"), "operation_id", None)
        if name is not None and status in (200, 201):
            self._take(name, b"".join(parts))

    def _take(self, name: str, body: bytes) -> None:
        best = self.kept.get(name)
        if best is None or _rank(body) > _rank(best):
            self.kept[name] = body

    def write(self, app: FastAPI) -> None:
        """Add what is missing, and renew what does not fit."""
        wanted = schemas(app.openapi())
        with fasteners.InterProcessLock(_LOCK):
            found: Json = json.loads(EXAMPLES.read_text()) if EXAMPLES.exists() else {}
            for name, schema in wanted.items():
                fits = Draft202012Validator(schema).is_valid
                if name in self.kept and (name not in found or not fits(found[name])):
                    shown = _SECRET.sub("okr_live_...", self.kept[name].decode())
                    shown = _SIGNING.sub(_SIGNING_SHOWN, shown)
                    if fits(json.loads(shown)):
                        found[name] = json.loads(shown)
            kept = {name: found[name] for name in sorted(found.keys() & wanted.keys())}
            EXAMPLES.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def _rank(body: bytes) -> tuple[bool, int]:
    """An answer that is short enough beats a long one, and then what shows more."""
    fits = len(body) <= _BYTES
    return fits, len(body) if fits else -len(body)
