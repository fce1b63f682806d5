"""Around every request: a correlation id, a bound on the body, and headers that browsers heed."""

from __future__ import annotations

from uuid import UUID

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from app.api.problems import render

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Envelope:
    """Gives each request its correlation id: the client's UUID, or a fresh one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        correlation_id = _uuid(Headers(scope=scope).get("x-correlation-id")) or uuid7()
        scope["correlation_id"] = correlation_id

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Correlation-Id"] = str(correlation_id)
                for name, value in _SECURITY.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, sending)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


class _TooLarge(Exception):
    pass


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
        told = Headers(scope=scope).get("content-length", "0")
        refusal = render(
            "too-large", f"The body may have at most {limit} bytes.", instance=scope["path"]
        )
        if told.isdigit() and int(told) > limit:
            await refusal(scope, receive, send)
            return
        seen = 0
        started = False

        async def receiving() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge
            return message

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receiving, sending)
        except _TooLarge:
            if started:
                raise
            await refusal(scope, receive, send)
