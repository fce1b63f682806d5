"""The Python example: a frontend's day, against a real server."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from tests.clients.conftest import Office

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "client.py"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )


async def test_a_frontend_works_for_a_day(office: Office) -> None:
    done = await asyncio.to_thread(_run, *office.arguments)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"I am person/[0-9a-f-]{36}: .*member.*\.", lines[0])
    assert lines[1].endswith(": 3 objectives.")
    assert lines[2] == "The tree, read again: 304."
    assert any(line.startswith("  /key_results/0/title: ") for line in lines)
    assert "New customers feel at home within a week: committed." in lines
    assert any(re.fullmatch(r"Conflict: stale-version, now at version \d+\.", it) for it in lines)
    at = lines.index("It stands at 140 now.")
    assert lines[at + 1 :] == [
        "Checked in: 160.",
        "Page 1: Customers stay; Support answers within a day",
        "Page 2: Orders arrive whole; New customers feel at home within a week",
    ]
