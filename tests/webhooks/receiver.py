"""A receiver of webhooks on loopback: it keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

SECONDS = 30
"""More than anything here takes."""


@dataclass(frozen=True)
class Received:
    """One message, as it came."""

    target: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.time)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def is_signed(self, secret: str) -> bool:
        """Whether it was, when it came."""
        stated = int(self.headers["webhook-timestamp"])
        right = Webhook(secret).sign(
            self.id, datetime.fromtimestamp(stated, UTC), self.body.decode()
        )
        is_near = abs(self.at - stated) < 60
        return is_near and right in self.headers["webhook-signature"].split(" ")


@dataclass(frozen=True)
class Reply:
    """What a message is answered with; `raw` stands for all of it."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0
    raw: bytes | None = None

    @property
    def content(self) -> bytes:
        if self.raw is not None:
            return self.raw
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        if self.status == 204:
            del headers["Content-Length"]
        lines = [f"HTTP/1.1 {self.status} So", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class Receiver:
    """Where messages arrive."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.reply: Callable[[Received], Reply] = lambda _: Reply()
        self.port = 0
        self.under_way = 0
        self.most_under_way = 0
        self._moved = asyncio.Condition()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/okr"

    async def until(
        self, done: Callable[[list[Received]], bool], seconds: float = SECONDS
    ) -> list[Received]:
        """What was received, as soon as it is what is waited for."""
        async with asyncio.timeout(seconds), self._moved:
            await self._moved.wait_for(lambda: done(self.received))
        return self.received

    async def first(self, count: int, seconds: float = SECONDS) -> list[Received]:
        return await self.until(lambda received: len(received) >= count, seconds)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])
        }
        body = await reader.readexactly(int(headers["content-length"]))
        one = Received(head[0].split()[1], headers, body)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            async with self._moved:
                self.received.append(one)
                self._moved.notify_all()
            reply = self.reply(one)
            await asyncio.sleep(reply.seconds)
            writer.write(reply.content)
            await writer.drain()
        finally:
            self.under_way -= 1

    def hang_up(self) -> None:
        for task in self._connections:
            task.cancel()


@asynccontextmanager
async def receiving(port: int = 0, **options: Any) -> AsyncIterator[Receiver]:
    """A receiver that listens on loopback."""
    made = Receiver()
    server = await asyncio.start_server(made.accept, "127.0.0.1", port, **options)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.hang_up()
