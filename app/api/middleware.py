"""Around every request: a correlation id, headers that browsers heed, and bounds."""

from __future__ import annotations

import logging
from uuid import UUID

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from app.api.problems import render

_log = logging.getLogger(__name__)

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Envelope:
    """Gives each request its correlation id: the client's UUID, or a fresh one.

    HEAD is GET without a body. What nobody else answers is a problem, too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        correlation_id = _uuid(Headers(scope=scope).get("x-correlation-id")) or uuid7()
        scope["correlation_id"] = correlation_id
        is_head = scope["method"] == "HEAD"
        if is_head:
            scope["method"] = "GET"
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Correlation-Id"] = str(correlation_id)
                for name, value in _SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            _log.error("unhandled error, correlation id %s", correlation_id, exc_info=error)
            failed = render(
                "internal", "An unexpected error; it was logged.", instance=scope["path"]
            )
            await failed(scope, receive, sending)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


class BodyLimit:
    """Refuses bodies over a bound, whether or not their length is told beforehand."""

    def __init__(self, app: ASGIApp, largest: int, largest_import: int) -> None:
        self.app = app
        self.largest = largest
        self.largest_import = largest_import

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.largest_import if scope["path"].endswith("/imports") else self.largest
        too_large = f"The body may have at most {limit} bytes."
        told = Headers(scope=scope).get("content-length", "0").lstrip("0") or "0"
        if told.isdigit() and (len(told) > 18 or int(told) > limit):
            refusal = render("too-large", too_large, instance=scope["path"])
            await refusal(scope, receive, send)
            return
        seen = 0

        async def receiving() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                # The one kind of error that goes through whoever reads the body.
                raise HTTPException(413, too_large)
            return message

        await self.app(scope, receiving, send)
