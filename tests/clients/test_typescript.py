"""The TypeScript client: made from the document, type-checked, and used for a day."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.clients.conftest import Office
from tests.clients.node import FOLDER, install, needs_node, run

pytestmark = needs_node


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    install()


def test_the_types_are_what_the_document_makes() -> None:
    run("npm", "run", "--silent", "drift")


def test_the_lock_file_names_no_registry() -> None:
    lock = (FOLDER / "package-lock.json").read_text()
    assert '"integrity": "sha512-' in lock
    assert '"resolved"' not in lock


async def test_a_frontend_works_for_a_day(office: Office) -> None:
    # Compiling is the type check: strict, and of the example too.
    await asyncio.to_thread(run, "npm", "run", "--silent", "build")
    said = await asyncio.to_thread(run, "node", "dist/examples/day.js", *office.arguments)
    lines = said.splitlines()
    assert re.fullmatch(r"I am person/[0-9a-f-]{36}: member\.", lines[0])
    assert lines[1].endswith(": 3 objectives.")
    assert [line for line in lines if line.startswith("The tree is")] == [
        "The tree is unchanged (304).",
        "The tree is another.",
    ]
    assert '"Improve onboarding": 0 findings.' not in lines
    assert any(line.startswith("  /key_results/0/title: ") for line in lines)
    assert "Refused at /title (422)." in lines
    assert "2 key results, committed." in lines
    assert any(re.match(r"Conflict: .* If-Match expects \d+\.$", line) for line in lines)
    at = lines.index("It stands at 140 now.")
    assert lines[at + 1] == "Checked in: 160."
    assert lines[at + 2] == "Page 1: Customers stay; Support answers within a day"
    assert lines[at + 3].startswith("Page 2: Orders arrive whole; New customers feel at home")
    assert lines[-1] == "4 committed objectives on 2 pages."
