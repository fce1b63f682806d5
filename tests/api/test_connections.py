"""What leaves a connection of `okr serve`, and in how many pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.api.connections import Together


class _Server(asyncio.Protocol):
    """Writes what it is told to, to whoever connects."""

    def __init__(self, *parts: bytes, ends: str = "") -> None:
        self._parts, self._ends = parts, ends
        self.sent: list[int] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        plain = transport.write

        def counted(data: bytes) -> None:
            self.sent.append(len(data))
            plain(data)

        transport.write = counted  # type: ignore[method-assign,assignment]
        together = Together(transport, asyncio.get_running_loop())
        for part in self._parts:
            together.write(part)
        if self._ends:
            getattr(together, self._ends)()


@asynccontextmanager
async def _connected(made: _Server) -> AsyncIterator[asyncio.StreamReader]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: made, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader
    finally:
        writer.close()
        server.close()


async def test_a_head_and_its_body_leave_in_one_piece() -> None:
    made = _Server(b"head", b"body")
    async with _connected(made) as reader:
        assert await reader.readexactly(8) == b"headbody"
    assert made.sent == [8]


async def test_much_is_not_held_back() -> None:
    made = _Server(b"a" * 40_000, b"b" * 40_000, b"c")
    async with _connected(made) as reader:
        assert (await reader.readexactly(80_001))[-2:] == b"bc"
    assert made.sent == [80_000, 1]


async def test_what_was_written_is_sent_before_the_end() -> None:
    async with _connected(_Server(b"head", b"body", ends="close")) as reader:
        assert await reader.read() == b"headbody"


async def test_who_is_hung_up_on_is_sent_nothing_more() -> None:
    made = _Server(b"head", ends="abort")
    async with _connected(made) as reader:
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    assert made.sent == []
