"""A listener to an event stream, straight into the application: httpx waits for an answer's end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

from tests.api.programme import Api, Json

SECONDS = 10
"""More than anything here takes."""


@dataclass
class Heard:
    """What has come of one stream so far."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    is_over: bool = False
    taking: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, nothing more is taken."""
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def parts(self) -> list[str]:
        """What is whole of it: an empty line ends each part."""
        return self.text.split("\n\n")[:-1]

    @property
    def events(self) -> list[Json]:
        return [event_of(part) for part in self.parts if part.startswith("id: ")]

    @property
    def positions(self) -> list[int]:
        return [event["position"] for event in self.events]

    @property
    def problem(self) -> Json:
        told: Json = json.loads(self.text)
        return told

    async def until(self, count: int) -> list[Json]:
        """Until so many events have come."""
        await self._until(lambda: len(self.events) >= count)
        return self.events

    async def said(self, word: str) -> None:
        """Until something was said."""
        await self._until(lambda: word in self.text)

    async def over(self) -> None:
        """Until nothing more will come."""
        await self._until(lambda: self.is_over)

    async def _until(self, happened: Any) -> None:
        async with asyncio.timeout(SECONDS), self._moved:
            await self._moved.wait_for(happened)

    def leave(self) -> None:
        self._gone.set()

    async def receive(self) -> Json:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.taking.wait()
        async with self._moved:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            else:
                self.text += message.get("body", b"").decode()
                self.is_over = not message.get("more_body", False)
            self._moved.notify_all()


def event_of(part: str) -> Json:
    """The event that one message holds; its lines must say the same."""
    id, kind, data = part.split("\n")
    event: Json = json.loads(data.removeprefix("data: "))
    assert (id, kind) == (f"id: {event['position']}", f"event: {event['type']}"), part
    return event


@asynccontextmanager
async def listening(
    app: FastAPI,
    api: Api,
    query: str = "",
    method: str = "GET",
    feed: str = "events",
    **headers: str,
) -> AsyncIterator[Heard]:
    """A stream of this organisation that is open, or was refused; left, the client is gone."""
    heard = Heard()
    heard.taking.set()
    sent = {"authorization": f"Bearer {api.key}", **headers}
    path = f"/v1/organizations/{api.org}/{feed}/stream"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("127.0.0.1", 1),
        "root_path": "",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in sent.items()],
        "state": {},
    }
    task = asyncio.create_task(app(scope, heard.receive, heard.send))
    try:
        await heard._until(lambda: heard.status)
        yield heard
    finally:
        heard.leave()
        heard.taking.set()
        async with asyncio.timeout(SECONDS):
            await task
