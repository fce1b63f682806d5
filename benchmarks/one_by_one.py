"""One client, one request after the other: how long each takes, in this process."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from benchmarks.common import HOST, BenchmarkFailed

_TIMEOUT_SECONDS = 320
_IDLE_SECONDS = 1
"""While others are measured, a server closes what is idle: after that, a new one is opened."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    etag: str | None
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A keep-alive connection with a key. The plainest one there is: its own time hardly counts."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_SECONDS)
        self._key = {"Authorization": f"Bearer {key}"}
        self._used = time.monotonic()

    def get(self, path: str, *, wanted: int = 200, **headers: str) -> Answer:
        """Raises BenchmarkFailed unless the status is the one wanted."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self._ask("GET", path, None, named, wanted)

    def post(self, path: str, body: Any = None, *, wanted: int = 201) -> Answer:
        """With an Idempotency-Key of its own. Raises BenchmarkFailed on any other status."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        return self._ask("POST", path, json.dumps(body).encode(), headers, wanted)

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], wanted: int
    ) -> Answer:
        if time.monotonic() - self._used > _IDLE_SECONDS:
            self._connection.close()
        self._connection.request(method, path, body, {**self._key, **headers})
        response = self._connection.getresponse()
        text = response.read()
        self._used = time.monotonic()
        if response.status != wanted:
            told = text.decode(errors="replace")[:1000]
            raise BenchmarkFailed(f"{method} {path} answered {response.status}: {told}")
        return Answer(response.status, response.getheader("ETag"), text)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def client(port: int, key: str) -> Iterator[Client]:
    made = Client(port, key)
    try:
        yield made
    finally:
        made.close()


def timed(call: Callable[[], object]) -> float:
    """How many seconds a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
