"""An integration's day: killed again and again, amid the feed, and amid what it brings in."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.api.programme import Api, Json
from tests.days.conftest import Workplace
from tests.server import OKR, environment, run

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "feed.py"
KILLS = 8
LONGEST_SECONDS = 0.3
"""That one lives, once it has begun, or has done something."""
SCOPES = ("history:read", "check-ins:write")


class Bridge:
    """The example as a process, with its folder and its key."""

    def __init__(self, place: Workplace, key: str, folder: Path) -> None:
        self._where = (place.base, key, place.api.org)
        self._folder = folder
        self.figures = folder / "figures.ndjson"
        self.figures.touch()

    def start(self, what: str) -> subprocess.Popen[str]:
        more = [self.figures] if what == "push" else []
        return subprocess.Popen(
            [sys.executable, EXAMPLE, what, *self._where, *more],
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def killed(self, what: str, seconds: float, *, amid_work: bool) -> None:
        """Begin, and be killed `seconds` after that, or after something was done."""
        process, before = self.start(what), self._done(what)
        assert process.stdout is not None
        began = process.stdout.readline()
        assert began.startswith(("following", "pushing")), began + process.stdout.read()
        while amid_work and process.poll() is None and self._done(what) == before:
            time.sleep(0.01)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        rest = process.communicate(timeout=60)[0]
        assert process.returncode in (0, -signal.SIGKILL), rest

    def _done(self, what: str) -> list[Any]:
        try:
            return self.kept(f"SELECT at FROM places WHERE (name = 'feed') = {what == 'follow'}")
        except sqlite3.OperationalError:
            # Neither of them has begun before.
            return []

    def pushed(self) -> str:
        """Push to the end."""
        process = self.start("push")
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
        return said

    def kept(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self._folder / "feed.db", timeout=30)) as store:
            return store.execute(sql).fetchall()

    async def followed(self, head: int) -> None:
        """Follow until all is there."""
        process = self.start("follow")
        try:
            for _ in range(600):
                if self.kept("SELECT max(position) FROM events") == [(head,)]:
                    return
                await asyncio.sleep(0.1)
            raise AssertionError("it does not come to the end of the ledger")
        finally:
            process.terminate()
            process.communicate(timeout=30)


async def _ledger(api: Api, **asked: str) -> list[Json]:
    """All events, by their pages."""
    found: list[Json] = []
    token: dict[str, str] = {}
    while True:
        page = await api.get("/events", page_size=500, **asked, **token)
        found += page["items"]
        if page["next_page_token"] is None:
            return found
        token = {"page_token": page["next_page_token"]}


def _recorded(events: list[Json], source: str) -> Counter[str]:
    """How often each external id of a source was recorded."""
    external = (event["data"].get("external") for event in events)
    return Counter(one["external_id"] for one in external if one and one["source"] == source)


async def test_one_that_is_killed_again_and_again_misses_nothing_and_does_nothing_twice(
    workplace: Workplace, tmp_path: Path
) -> None:
    api, chance = workplace.api, random.Random(7)  # noqa: S311 (moments, no secrets)
    bridge = Bridge(workplace, (await api.key_for(*SCOPES)).key, tmp_path)
    is_over = asyncio.Event()
    made = 0

    async def grow() -> None:
        """Others work meanwhile, and the source has ever more figures."""
        nonlocal made
        while not is_over.is_set():
            with bridge.figures.open("a") as out:
                for _ in range(25):
                    made += 1
                    key_result = workplace.key_results[made % len(workplace.key_results)]
                    external = {"source": "crm", "external_id": f"figure {made}"}
                    line = {"key_result_id": key_result, "value": made, "external": external}
                    out.write(json.dumps(line) + "\n")
            await api.team(f"Team {made}")
            await asyncio.sleep(0.1)

    async def suffer(what: str) -> None:
        for number in range(KILLS):
            seconds, amid_work = chance.random() * LONGEST_SECONDS, number % 2 == 0
            await asyncio.to_thread(bridge.killed, what, seconds, amid_work=amid_work)

    async with asyncio.TaskGroup() as group:
        growing = group.create_task(grow())
        await asyncio.gather(suffer("follow"), suffer("push"))
        assert len(bridge.kept("SELECT at FROM places WHERE at > 0")) == 2
        is_over.set()
        await growing
    said = await asyncio.to_thread(bridge.pushed)
    assert "refused" not in said

    ledger = await _ledger(api)
    await bridge.followed(ledger[-1]["position"])
    kept = bridge.kept("SELECT position, body FROM events ORDER BY position")
    assert [json.loads(body) for _, body in kept] == ledger
    assert [position for position, _ in kept] == list(range(1, len(ledger) + 1))
    tally = Counter(event["type"] for event in ledger)
    assert dict(bridge.kept("SELECT type, events FROM tally")) == tally
    assert _recorded(ledger, "crm") == {f"figure {n}": 1 for n in range(1, made + 1)}


async def test_a_figure_that_is_still_being_written_is_left_for_the_next_time(
    workplace: Workplace, tmp_path: Path
) -> None:
    bridge = Bridge(workplace, (await workplace.api.key_for(*SCOPES)).key, tmp_path)
    external = {"source": "desk", "external_id": "7"}
    item = {"key_result_id": workplace.key_results[0], "value": 7, "external": external}
    line = json.dumps(item) + "\n"
    for part in (line[:30], line[30:]):
        assert not _recorded(await _ledger(workplace.api), "desk")
        with bridge.figures.open("a") as out:
            out.write(part)
        await asyncio.to_thread(bridge.pushed)
    assert _recorded(await _ledger(workplace.api), "desk") == {"7": 1}


async def test_a_key_that_may_not_follow_is_said_and_not_tried_for_ever(
    workplace: Workplace, tmp_path: Path
) -> None:
    bridge = Bridge(workplace, (await workplace.api.key_for("check-ins:write")).key, tmp_path)
    said, _ = await asyncio.to_thread(bridge.start("follow").communicate, timeout=60)
    assert "403: " in said
    assert "history:read" in said


# `okr check-in --csv` -----------------------------------------------------------------------


async def test_a_table_whose_sending_is_killed_is_sent_again_and_is_there_once(
    workplace: Workplace, tmp_path: Path
) -> None:
    rows, chance = 3_000, random.Random(8)  # noqa: S311
    table = tmp_path / "figures.csv"
    lines = (
        f"{workplace.key_results[n % len(workplace.key_results)]},{n},row {n}" for n in range(rows)
    )
    table.write_text("\n".join(("key_result,value,external_id", *lines)) + "\n")
    key = (await workplace.api.key_for("check-ins:write")).key
    where = ("--server", workplace.base, "--organization", workplace.api.org)
    command = ("check-in", "--csv", str(table), "--source", "sheet", *where)

    def started() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [OKR, *command],
            env=environment(OKR_KEY=key),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    there: list[int] = []
    for _ in range(2):
        # Killed a moment after the ledger has grown by what it sent.
        before, process = await workplace.api.head(), started()
        while process.poll() is None and await workplace.api.head() == before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await asyncio.sleep(chance.random() * 0.3)
        process.kill()
        await asyncio.to_thread(process.wait, 60)
        there.append(_recorded(await _ledger(workplace.api), "sheet").total())
    assert 0 < there[0] < rows, "it was not killed amid its work"

    status, said = await asyncio.to_thread(run, tmp_path, *command, OKR_KEY=key)
    assert status == 0, said
    found = _recorded(await _ledger(workplace.api, type="check_in.recorded"), "sheet")
    assert found == {f"row {n}": 1 for n in range(rows)}
    told = re.search(r"(\d+) recorded, (\d+) known already, 0 refused\.", said)
    assert told is not None, said
    # What was sent last may have been at work when its sender was killed.
    assert int(told[2]) >= there[-1]
    assert int(told[1]) + int(told[2]) == rows
