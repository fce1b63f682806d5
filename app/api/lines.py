"""A body of lines, read as it arrives, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

LONGEST_LINE = 262_144
"""Bytes of a line: a check-in whose note and next steps are as long as may be, all escaped."""
LINES_TOGETHER = 250
"""Lines that are decided in one transaction."""
_BYTES_TOGETHER = 1_000_000
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its number, from 1; None stands for what was too long to keep."""

    number: int
    text: bytes | None


class LineReader:
    """Parts a body into lines. Empty ones are counted, and left out."""

    def __init__(self, receive: Receive, *, patience: float) -> None:
        """`patience` seconds may pass until the next part of the body is there."""
        self._receive = receive
        self._patience = patience
        self._coming: asyncio.Future[Message] | None = None
        self._begun = bytearray()
        self._is_too_long = False
        self._ready: deque[Line] = deque()
        self._ready_bytes = 0
        self._ended = False
        self.number = 0

    async def some(self) -> list[Line]:
        """What is to be decided together: many lines, or those before a pause; none at the end.

        Raises HTTPException (408) when nothing comes, ClientDisconnect when nothing will.
        """
        while not (self._ended or self._is_enough()):
            if self._coming is None:
                self._coming = asyncio.ensure_future(self._receive())
            patience = _PAUSE_SECONDS if self._ready else self._patience
            done, _ = await asyncio.wait({self._coming}, timeout=patience)
            if not done and self._ready:
                break
            if not done:
                raise HTTPException(408, f"Nothing arrived for {self._patience:g} seconds.")
            message, self._coming = self._coming.result(), None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._take(message.get("body", b""))
            if not message.get("more_body", False):
                self._ended = True
                if self._begun or self._is_too_long:
                    self._end_line()
        together: list[Line] = []
        size = 0
        while self._ready and len(together) < LINES_TOGETHER and size < _BYTES_TOGETHER:
            line = self._ready.popleft()
            together.append(line)
            size += len(line.text or b"")
        self._ready_bytes -= size
        return together

    def close(self) -> None:
        """Wait for no more."""
        if self._coming is not None:
            self._coming.cancel()

    def _is_enough(self) -> bool:
        return len(self._ready) >= LINES_TOGETHER or self._ready_bytes >= _BYTES_TOGETHER

    def _take(self, part: bytes) -> None:
        *whole, rest = part.split(b"\n")
        for piece in whole:
            self._add(piece)
            self._end_line()
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._is_too_long = self._is_too_long or len(self._begun) + len(piece) > LONGEST_LINE
        if self._is_too_long:
            self._begun.clear()
        else:
            self._begun += piece

    def _end_line(self) -> None:
        self.number += 1
        text = None if self._is_too_long else bytes(self._begun).strip(b" \t\r")
        if text != b"":
            self._ready.append(Line(self.number, text))
            self._ready_bytes += len(text or b"")
        self._begun.clear()
        self._is_too_long = False
