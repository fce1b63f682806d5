"""A client that costs next to nothing, so that what is slow is the server."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import httpx

_GONE = (OSError, asyncio.IncompleteReadError)


def request(
    method: str, path: str, key: str, body: Any = None, headers: dict[str, str] | None = None
) -> bytes:
    """A request as it goes over the wire."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = {
        "Host": "127.0.0.1",
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


class Wire:
    """One connection, opened again when it is lost."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._address = (parts.hostname, parts.port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes, seconds: float) -> httpx.Response | None:
        """The answer; None where the connection is lost. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            try:
                return await self._asked(sent)
            except _GONE:
                self.close()
                return None

    async def _asked(self, sent: bytes) -> httpx.Response:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(sent)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = httpx.Headers(dict(line.split(": ", 1) for line in head[1:] if line))
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
        return httpx.Response(int(head[0].split(" ")[1]), headers=headers, content=body)

    def close(self) -> None:
        """As a client does that goes away: without a word."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
