"""One attempt: a message is posted, and what came of it is told."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpcore
import httpx

from app import __version__
from app.application.webhooks.schedule import retry_after
from app.application.webhooks.targets import Guarded, TargetRefused, Targets

ATTEMPT_SECONDS = 15.0
"""For the name, the connection, the message, and until an answer begins."""
ANSWER_BYTES = 1024
"""So much is read of an answer, and kept."""
_ANSWER_SECONDS = 2.0
"""For so long what an answer begins with is waited for: with the rest, less than a lease."""
_CLOSING_SECONDS = 1.0
_CONNECT_SECONDS = 5.0
"""For one address of a name; there may be others."""
GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. Without an `error` the message arrived.

    `status` is None where there was no answer. `retry_after` is what the receiver asked for.
    """

    status: int | None
    error: str | None
    milliseconds: int
    answer: str | None = None
    retry_after: datetime | None = None

    @property
    def has_arrived(self) -> bool:
        return self.error is None

    @property
    def is_gone(self) -> bool:
        return self.status == GONE


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    text: str
    retry_after: str | None


class Poster:
    """Posts messages, each over a connection of its own."""

    def __init__(self, targets: Targets, seconds: float = ATTEMPT_SECONDS) -> None:
        self._targets = targets
        self._seconds = seconds
        # What a TLS connection is trusted by takes a while to read.
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Raises nothing: whatever goes wrong is the outcome."""
        began = time.monotonic()
        answer, error = None, None
        try:
            async with asyncio.timeout(self._seconds) as limit:
                answer = await self._answer(url, headers, body, limit)
        except (TimeoutError, httpcore.TimeoutException):
            error = f"There was no answer within {self._seconds:g} seconds."
        except TargetRefused as refused:
            error = refused.detail
        except (httpcore.NetworkError, ssl.SSLError, OSError) as failed:
            error = f"No connection: {_told(failed)}."
        except (httpcore.ProtocolError, httpcore.ProxyError, ValueError) as failed:
            error = f"What answered does not speak HTTP as it should: {_told(failed)}."
        milliseconds = round((time.monotonic() - began) * 1000)
        if answer is None:
            return Outcome(None, error, milliseconds)
        if 300 <= answer.status < 400:
            error = f"{answer.status} leads elsewhere, and redirects are not followed."
        elif not 200 <= answer.status < 300:
            error = f"{answer.status} is no success."
        asked = retry_after(answer.retry_after, datetime.now(UTC))
        return Outcome(answer.status, error, milliseconds, answer.text, asked)

    async def _answer(
        self, url: str, headers: Mapping[str, str], body: bytes, limit: asyncio.Timeout
    ) -> _Answer:
        parts = urlsplit(url)
        is_plain = parts.scheme == "http"
        if self._tls is None and not is_plain:
            self._tls = await asyncio.to_thread(httpx.create_ssl_context)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {
            "Host": parts.netloc,
            "User-Agent": f"OKR-Ledger/{__version__}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Accept": "*/*",
            "Connection": "close",
            **headers,
        }
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_connections=1,
                max_keepalive_connections=0,
                network_backend=Guarded(self._targets, is_plain=is_plain),
            ) as pool,
            pool.stream(
                "POST",
                httpcore.URL(
                    scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=target
                ),
                headers=list(sent.items()),
                content=body,
                extensions={"timeout": {"connect": _CONNECT_SECONDS}},
            ) as response,
        ):
            # It has answered in time, however long the rest of it takes.
            clock = asyncio.get_running_loop().time
            limit.reschedule(clock() + _ANSWER_SECONDS + _CLOSING_SECONDS)
            asked = [value for name, value in response.headers if name.lower() == b"retry-after"]
            return _Answer(
                response.status,
                await _beginning(response),
                asked[0].decode("latin-1") if asked else None,
            )


async def _beginning(response: httpcore.Response) -> str:
    """What an answer begins with. It has been given by then, however its body ends."""
    read = b""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            async for part in response.aiter_stream():
                read += part[: ANSWER_BYTES - len(read)]
                if len(read) >= ANSWER_BYTES:
                    break
    except (TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass
    # The database's text cannot hold NUL.
    return read.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _told(error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    told = str(error) or (str(cause) if cause else "") or type(error).__name__
    return told.replace("\x00", "")[:200].rstrip(".")
