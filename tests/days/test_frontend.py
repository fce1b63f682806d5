"""A frontend developer's day: the example that they copy, on a network that cuts the live feed."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.clients.conftest import Office
from tests.clients.conftest import office as office
from tests.clients.node import install, needs_node, run

pytestmark = needs_node
MOST_BYTES = 4_000
"""That one connection of the feed gets; an event has about 1,000."""


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    install()


@dataclass
class Cutter:
    """Listens on loopback, and hands on to a server; whoever follows the feed is cut off."""

    host: str
    port: int
    cuts: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(9))  # noqa: S311

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(self.host, self.port)
        left: list[int] = []

        async def ask() -> None:
            while asked := await reader.read(65_536):
                if b"/events/stream" in asked:
                    left.append(self._chance.randint(1, MOST_BYTES))
                forth.write(asked)
            forth.close()

        async def answer() -> None:
            while told := await back.read(65_536):
                if left:
                    told = told[: left[0]]
                    left[0] -= len(told)
                writer.write(told)
                if left and not left[0]:
                    await writer.drain()
                    self.cuts += 1
                    return

        tasks = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        with suppress(OSError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        writer.close()
        forth.close()


@asynccontextmanager
async def _cutting(base: str) -> AsyncIterator[tuple[Cutter, str]]:
    """A network before a server, and the address there."""
    address = urlsplit(base)
    cutter = Cutter(str(address.hostname), int(address.port or 0))
    async with await asyncio.start_server(cutter.accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield cutter, f"http://127.0.0.1:{port}"


async def test_a_frontend_works_for_a_day(office: Office) -> None:
    # Compiling is the type check: strict, and of the example too.
    await asyncio.to_thread(run, "npm", "run", "--silent", "build")
    async with _cutting(office.base) as (cutter, base):
        said = await asyncio.to_thread(
            run, "node", "dist/examples/day.js", base, office.key, office.org
        )
    lines = said.splitlines()
    assert re.fullmatch(r"I am person/[0-9a-f-]{36}: .*member.*\.", lines[0])
    assert re.match(r"\d of 10 decided\. More than 3 objective", lines[1])
    assert lines[2].startswith("2026 Q1 is active: ")
    assert lines[3:6] == [
        "The whole tree: 3 objectives.",
        "Of the team: Customers stay; Support answers within a day; Orders arrive whole.",
        "Found by a word: Support answers within a day.",
    ]
    assert [line for line in lines if line.startswith("The tree is")] == [
        "The tree is unchanged (304).",
        "The tree is another.",
    ]
    assert any(line.startswith("Mine: Customers stay (") for line in lines)
    assert "Ours: Customers stay; Orders arrive whole; Support answers within a day." in lines
    assert "3 check-ins are due within three weeks." in lines

    # Typing: what was typed over is given up, and the last word is judged.
    typed = lines.index("2 were typed over.")
    first, second = re.findall(r"(\d+) findings\.", "\n".join(lines[typed:]))
    assert int(first) > int(second)
    assert any(line.startswith("  /key_results/0/title: ") for line in lines[typed:])
    assert "Refused at /title (422)." in lines
    assert "2 key results, committed." in lines

    checked = lines.index("Sent twice: one check-in.")
    assert re.match(r"Conflict: .* If-Match expects \d+\.$", lines[checked + 1])
    assert lines[checked + 2 : checked + 4] == ["It stands at 140 now.", "Checked in: 160."]
    assert lines[checked + 4] == "To plot: 0.25, 0.5 beside 0 to 1."
    assert lines[checked + 5] == "Page 1: Customers stay; Support answers within a day"
    assert lines[checked + 6].startswith("Page 2: Orders arrive whole; New customers feel at home")
    assert lines[checked + 7] == "4 committed objectives on 2 pages."

    told = [re.fullmatch(r"Live: check_in\.recorded at (\d+)\.", line) for line in lines[-7:-1]]
    positions = [int(one[1]) for one in told if one]
    assert positions == list(range(positions[0], positions[0] + 6))
    assert lines[-1] == "Every event once: yes."
    assert cutter.cuts >= 2, "the feed was never cut"
