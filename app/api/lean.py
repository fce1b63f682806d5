"""The short way of a check-in: what most requests are, and what they need, without a search for it.

It leads to the same handler as the declared route, with the same caller, body and headers, and
takes plain requests only. Whatever is unlike them, or not valid, goes the way of all others, which
says what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.bodies.check_ins import CheckInBody
from app.api.callers import caller_of
from app.api.reading import IDEMPOTENCY_KEY, IF_MATCH
from app.api.routes.key_results import record_check_in
from app.api.writing import write_of
from app.domain.access import Scope as Right

_ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_PATH = re.compile(f"/v1/organizations/({_ID})/key-results/({_ID})/check-ins")
_READ = {b"authorization", b"content-type", b"idempotency-key", b"if-match"}


class Lean:
    """Stands before the router."""

    def __init__(self, app: ASGIApp, routes: list[Any]) -> None:
        self.app = app
        (self._route,) = (
            route
            for route in routes
            if isinstance(route, APIRoute) and route.endpoint is record_check_in
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = None
        if scope["type"] == "http" and scope["method"] == "POST" and not scope["query_string"]:
            asked = _PATH.fullmatch(scope["path"])
        headers = _headers(scope) if asked else None
        if asked is None or headers is None:
            await self.app(scope, receive, send)
            return
        messages = await _received(receive)
        stated = _stated(messages)
        again = _again(messages, receive)
        if stated is None:
            await self.app(scope, again, send)
            return
        org_id, key_result_id = UUID(asked[1]), UUID(asked[2])
        # What logs, metrics and the search for the caller are told of every request.
        scope["route"] = self._route
        scope["path_params"] = {"organization_id": org_id, "key_result_id": key_result_id}
        request = Request(scope, again)
        caller = await caller_of(request, headers[b"authorization"])
        write = await write_of(
            request,
            org_id,
            caller,
            Right.CHECK_INS_WRITE,
            headers.get(b"idempotency-key"),
            headers.get(b"if-match"),
        )
        response = await record_check_in(org_id, key_result_id, stated, write)
        await response(scope, receive, send)


def _headers(scope: Scope) -> Mapping[bytes, str] | None:
    """The headers that count, each there once and as it should be; None where one is not."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            if name in found:
                return None
            found[name] = value.decode("latin-1")
    scheme, _, credential = found.get(b"authorization", "").partition(" ")
    plain = (
        scheme.lower() == "bearer"
        and credential
        and found.get(b"content-type") == "application/json"
        and _is(IDEMPOTENCY_KEY, found.get(b"idempotency-key"))
        and _is(IF_MATCH, found.get(b"if-match"))
    )
    return {**found, b"authorization": credential} if plain else None


def _is(pattern: re.Pattern[str], value: str | None) -> bool:
    return value is None or pattern.fullmatch(value) is not None


async def _received(receive: Receive) -> list[Message]:
    """Everything up to the end of the body, or the client's leaving."""
    messages = [await receive()]
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _again(messages: list[Message], receive: Receive) -> Receive:
    """What was received already, once more."""
    left = iter(messages)

    async def receiving() -> Message:
        for message in left:
            return message
        return await receive()

    return receiving


def _stated(messages: list[Message]) -> CheckInBody | None:
    """A check-in, read as any body is; None where it is not valid, or did not come to its end."""
    if messages[-1]["type"] != "http.request":
        return None
    try:
        return CheckInBody.model_validate(
            json.loads(b"".join(m.get("body", b"") for m in messages))
        )
    except (ValidationError, ValueError, RecursionError):
        return None
