"""Around every request: a correlation id, a line of log, headers that browsers heed, and bounds."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from email.message import Message as Headed
from uuid import UUID

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from app import logs
from app.api.demands import Demanding
from app.api.heads import headers_of
from app.api.problems import render
from app.config import Settings

_log = logging.getLogger(__name__)
_requests = logging.getLogger("app.requests")

CLIENT_WENT_AWAY = 499
DEEPEST = 32
"""Levels of lists and objects in a body; no document of ours has more than ten."""

Watch = Callable[[str, str, int, float], None]
"""Is told of each answer: method, route, status, seconds."""


# What every answer has --------------------------------------------------------------------

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
# The documentation has its files beside it, one script in the page, and styles on its elements.
_PAGE = (
    "default-src 'none'; script-src 'self'{scripts}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Envelope:
    """Gives each request its correlation id: the client's UUID, or a fresh one.

    HEAD is GET without a body. What was asked is logged by the route's template: a path, a query
    and a body may hold what somebody wrote.
    """

    def __init__(self, app: ASGIApp, watch: Watch, hsts_seconds: int = 0) -> None:
        self.app = app
        self._watch = watch
        kept = dict(_SECURITY)
        if hsts_seconds:
            kept["Strict-Transport-Security"] = f"max-age={hsts_seconds}"
        self._headers = _raw(kept)
        self._headers_of_data = _raw({**kept, "Content-Security-Policy": _NOTHING})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        correlation_id = _uuid(headers_of(scope).get("x-correlation-id")) or uuid7()
        scope["correlation_id"] = correlation_id
        correlation_text = str(correlation_id)
        method = scope["method"]
        is_head = method == "HEAD"
        if is_head:
            # A copy: the server heeds the method as well, and sends no end of a body then.
            scope = {**scope, "method": "GET", "is_head": True}
        status = CLIENT_WENT_AWAY
        held: Message | None = None

        async def sending(message: Message) -> None:
            nonlocal status, held
            if message["type"] == "http.response.start":
                status = message["status"]
                own = dict(message.get("headers", ()))
                is_page = own.get(b"content-type", b"").startswith(b"text/html")
                said = {"X-Correlation-Id": correlation_text, **scope.get("rate_limit", {})}
                kept = self._headers if is_page else self._headers_of_data
                message["headers"] = [
                    *message.get("headers", ()),
                    *_raw(said),
                    *(header for header in kept if header[0] not in own),
                ]
                if is_page:
                    # Its policy names the scripts that are in it.
                    held = message
                    return
            elif held is not None:
                start, held = held, None
                policy = _page_policy(message.get("body", b""))
                MutableHeaders(scope=start)["Content-Security-Policy"] = policy
                await send(start)
            if is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            seconds = time.perf_counter() - began
            known = method if method in _METHODS else "OTHER"
            route = _template(scope)
            self._watch(known, route, status, seconds)
            _requests.log(
                logging.ERROR if status >= 500 else logging.INFO,
                "request",
                extra={
                    "facts": {
                        "method": known,
                        "route": route,
                        "status": status,
                        "duration_ms": round(seconds * 1000, 1),
                        "correlation_id": correlation_text,
                        "org_id": _organization(scope),
                        "actor": scope.get("actor_kind"),
                    }
                },
            )


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text)) if text else None
    except ValueError:
        return None


def _template(scope: Scope) -> str:
    """The route that answered, as it is declared; what was asked is not repeated."""
    return str(getattr(scope.get("route"), "path_format", None) or "none")


def _organization(scope: Scope) -> str | None:
    org_id = _uuid(scope.get("path_params", {}).get("organization_id"))
    return None if org_id is None else str(org_id)


def _page_policy(page: bytes) -> str:
    hashes = (hashlib.sha256(script).digest() for script in _SCRIPT.findall(page))
    named = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    return _PAGE.format(scripts=named)


class Failures:
    """What nobody else answers is a problem too, and logged without what it says."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            correlation_id = scope.get("correlation_id")
            logs.report(_log, "unhandled error", error, correlation_id=str(correlation_id))
            if started:
                # The server would log whatever comes here, with all that it says.
                raise AnswerCut("the answer was cut short; the error is in the log") from None
            failed = render(
                "internal", "An unexpected error; it was logged.", instance=scope["path"]
            )
            await failed(scope, receive, sending)


class AnswerCut(Exception):
    """Something failed when the answer had begun already."""


class Cors(CORSMiddleware):
    """Lets the pages of named origins use the API; they send no cookies, since there are none."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=(
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-Match",
                "If-None-Match",
                "Last-Event-ID",
                "X-Correlation-Id",
            ),
            expose_headers=(
                "ETag",
                "Ledger-Position",
                "Link",
                "Location",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "X-Correlation-Id",
            ),
            max_age=600,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Starlette's own, whose refusals are plain text, as a problem."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        kept = {name: value for name, value in answer.headers.items() if name[:7] != "content"}
        return render(
            "bad-request",
            "This origin, method or header is not let through: see OKR_CORS_ORIGINS.",
            headers=kept,
        )


# What every request is held to ------------------------------------------------------------

_STRING = re.compile(rb'"[^"]*"')
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


class Bounds:
    """Refuses what is too long, too deep, too slow, or written in a way that nobody here reads."""

    def __init__(self, app: ASGIApp, settings: Settings, demanding: Demanding) -> None:
        self.app = app
        self._settings = settings
        self._demanding = demanding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, demanded = headers_of(scope), self._demanding.of(scope)
        if demanded.by_line:
            # Of any length: whoever reads it bounds each line, and each pause.
            refusal = self._head(scope) or _encoding(scope, headers)
            await (refusal or self.app)(scope, receive, _closing(send))
            return
        told = headers.get("content-length", "0").lstrip("0") or "0"
        settings = self._settings
        limit = settings.max_import_bytes if demanded.large_body else settings.max_body_bytes
        refusal = (
            self._head(scope) or _encoding(scope, headers) or _length(scope, told, limit, headers)
        )
        # No body: nothing to wait for, and nothing left over.
        whole = told == "0" and "transfer-encoding" not in headers
        seen, parts = 0, list[bytes]()
        ends = time.monotonic() + self._settings.body_seconds

        async def receiving() -> Message:
            nonlocal seen, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(max(0.0, ends - time.monotonic())):
                    message = await receive()
            except TimeoutError as slow:
                # The one kind of error that goes through whoever reads the body.
                raise HTTPException(
                    408,
                    f"The body did not arrive in {self._settings.body_seconds:g} seconds.",
                ) from slow
            part = message.get("body", b"")
            seen += len(part)
            if seen > limit:
                raise HTTPException(413, _too_large(limit))
            parts.append(part)
            if message["type"] == "http.disconnect":
                whole = True
            elif not message.get("more_body", False):
                whole = True
                _check_document(b"".join(parts))
                parts.clear()
            return message

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and not whole:
                # Whoever sends on must not keep the connection by that.
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        answering = self.app if refusal is None else refusal
        await answering(scope, receiving, sending)

    def _head(self, scope: Scope) -> Response | None:
        url = len(scope.get("raw_path") or b"") + len(scope.get("query_string", b""))
        if url > self._settings.max_url_bytes:
            most = self._settings.max_url_bytes
            return render("uri-too-long", f"The address may have at most {most} bytes.")
        size = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size > self._settings.max_header_bytes:
            most = self._settings.max_header_bytes
            told = f"The headers may have at most {most} bytes."
            return render("headers-too-large", told, instance=scope["path"])
        return None


def _closing(send: Send) -> Send:
    """The answer begins before the body has ended: its connection is for nothing else."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Connection"] = "close"
        await send(message)

    return sending


def _too_large(limit: int) -> str:
    return f"The body may have at most {limit} bytes."


def _length(scope: Scope, told: str, limit: int, headers: Mapping[str, str]) -> Response | None:
    if told.isdigit() and (len(told) > 18 or int(told) > limit):
        return render("too-large", _too_large(limit), instance=scope["path"])
    return None


def _encoding(scope: Scope, headers: Mapping[str, str]) -> Response | None:
    """Refuse what would have to be unpacked, or read as anything but UTF-8."""
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return render(
            "unsupported-media-type",
            "The body is compressed: send it as it is.",
            instance=scope["path"],
            headers={"Accept-Encoding": "identity"},
        )
    typed = headers.get("content-type", "")
    if "charset" in typed.lower():
        parsed = Headed()
        parsed["Content-Type"] = typed
        charset = parsed.get_param("charset")
        if not isinstance(charset, str) or charset.lower() not in ("utf-8", "utf8", "us-ascii"):
            return render(
                "unsupported-media-type", "JSON is sent in UTF-8.", instance=scope["path"]
            )
    return None


def _check_document(body: bytes) -> None:
    """Raise for what no reader should be given: another encoding than UTF-8, or great depth."""
    if b"\0" in body:
        # UTF-16 and UTF-32 have it in each character of JSON, and UTF-8 never does.
        no_text = UnicodeDecodeError("utf-8", b"\0", 0, 1, "a NUL")
        raise HTTPException(400, "The body is no JSON in UTF-8.") from no_text
    if too_deep(body):
        raise HTTPException(400, f"The body is nested more than {DEEPEST} levels deep.")


def too_deep(body: bytes) -> bool:
    """Whether JSON is nested deeper than `DEEPEST`; of what is no JSON, either answer will do.

    Nothing is parsed, and all the work is done in C: what is no bracket is left out, and then the
    innermost pairs, level by level.
    """
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return False
    if b"\\" in body:
        body = _ESCAPE.sub(b"", body)
    body = body.translate(_ONE_KIND, _NO_STRUCTURE)
    # Two quotes in a row end a string and begin the next, or are an empty one.
    body = _STRING.sub(b"", body.replace(b'""', b"")).replace(b'"', b"")
    for _ in range(DEEPEST):
        body = body.replace(b"[]", b"")
    return b"[" in body
