"""An integration that may be killed at any moment: it follows the ledger, and brings figures in.

    feed.py follow http://127.0.0.1:8000 okr_live_... ORGANIZATION_ID
    feed.py push   http://127.0.0.1:8000 okr_live_... ORGANIZATION_ID FIGURES

`follow` takes every event into a store of its own (`feed.db`, or FEED_STORE), and goes on for ever;
its key has the scope `history:read`. `push` sends what is new in a file of figures, and ends; its
key has `check-ins:write`. A line of the file is an item of `check-ins:batch` with an external id:

    {"key_result_id": "0198...", "value": 150, "external": {"source": "crm", "external_id": "7"}}

Two rules make a kill harmless. What is made of an event is kept in one transaction with the place
in the feed, so that none is missed, and none counts twice. And a figure has its source's id, so
that what was sent without hearing the answer is sent again, and recorded once.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import IO, Any

import httpx

Json = dict[str, Any]

TOGETHER = 200
"""Figures of one request; the server takes up to 1,000."""
BUSY = (429, 503)

SCHEMA = """
CREATE TABLE IF NOT EXISTS places (name TEXT PRIMARY KEY, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS events (position INTEGER PRIMARY KEY, type TEXT, body TEXT);
CREATE TABLE IF NOT EXISTS tally (type TEXT PRIMARY KEY, events INTEGER NOT NULL);
"""


class Store:
    """What was made of the feed, and the places that were reached."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, timeout=30)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        self._db.close()

    def place(self, name: str) -> int:
        """0 at the beginning."""
        found = self._db.execute("SELECT at FROM places WHERE name = ?", (name,)).fetchone()
        return int(found[0]) if found else 0

    def reached(self, name: str, at: int) -> None:
        with self._db:
            self._reached(name, at)

    def take(self, event: Json) -> None:
        """All that is made of an event, together with the place: both are there, or neither."""
        with self._db:
            self._db.execute(
                "INSERT INTO events VALUES (?, ?, ?)",
                (event["position"], event["type"], json.dumps(event)),
            )
            # Counting twice would show: this is no effect that may simply be repeated.
            self._db.execute(
                "INSERT INTO tally VALUES (?, 1) "
                "ON CONFLICT (type) DO UPDATE SET events = events + 1",
                (event["type"],),
            )
            self._reached("feed", event["position"])

    def _reached(self, name: str, at: int) -> None:
        self._db.execute(
            "INSERT INTO places VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
            (name, at),
        )


# The feed ---------------------------------------------------------------------------------


def follow(client: httpx.Client, store: Store) -> None:
    """Take event after event; connect again whenever the connection is gone."""
    while True:
        at = store.place("feed")
        print(f"following after {at}", flush=True)
        try:
            with client.stream(
                "GET", "/events/stream", headers={"Last-Event-ID": str(at)}
            ) as answer:
                if answer.status_code == 200:
                    for event in events_of(answer):
                        store.take(event)
                elif answer.status_code not in BUSY:
                    # The key is not valid any more, or this is another ledger: for a person.
                    answer.read()
                    raise SystemExit(f"{answer.status_code}: {answer.text}")
        except httpx.TransportError as lost:
            print(f"lost the connection: {lost}", flush=True)
        time.sleep(1)


def events_of(answer: httpx.Response) -> Iterator[Json]:
    """The events of a stream. An empty line ends one: what a cut leaves of it is none."""
    data = ""
    for line in answer.iter_lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
        elif not line and data:
            yield json.loads(data)
            data = ""


# The figures ------------------------------------------------------------------------------


def push(client: httpx.Client, store: Store, figures: Path) -> None:
    """Send what the file has after the place that was reached. Each figure is recorded once."""
    place = str(figures.resolve())
    with figures.open("rb") as lines:
        lines.seek(store.place(place))
        print(f"pushing from byte {lines.tell()}", flush=True)
        while items := list(islice(whole_lines(lines), TOGETHER)):
            for item, result in zip(items, sent(client, items), strict=True):
                problem = result.get("problem")
                if problem and problem["type"] != "/problems/already-exists":
                    print(f"refused: {item}: {problem['detail']}", flush=True)
            # Killed before this line, the same figures are sent again: they are known by their ids.
            store.reached(place, lines.tell())


def whole_lines(lines: IO[bytes]) -> Iterator[Json]:
    """The last line may still be written: it is left for the next time."""
    while (line := lines.readline()).endswith(b"\n"):
        yield json.loads(line)
    lines.seek(-len(line), os.SEEK_CUR)


def sent(client: httpx.Client, items: list[Json]) -> list[Json]:
    """What became of each, in order. Asks until there is an answer."""
    while True:
        try:
            answer = client.post("/check-ins:batch?partial=true", json={"items": items})
        except httpx.TransportError as lost:
            print(f"no answer: {lost}", flush=True)
        else:
            if answer.status_code == 207:
                results: list[Json] = answer.json()["items"]
                return results
            if answer.status_code not in BUSY:
                raise SystemExit(f"{answer.status_code}: {answer.text}")
        time.sleep(1)


def main(what: str, base: str, key: str, organization: str, *figures: str) -> None:
    with (
        closing(Store(os.environ.get("FEED_STORE", "feed.db"))) as store,
        httpx.Client(
            base_url=f"{base}/v1/organizations/{organization}",
            headers={"Authorization": f"Bearer {key}"},
            # A stream says at least every 15 seconds that it is there.
            timeout=60,
        ) as client,
    ):
        if what == "follow":
            follow(client, store)
        else:
            push(client, store, Path(*figures))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) != {"follow": 4, "push": 5}.get(arguments[0] if arguments else ""):
        raise SystemExit(
            "usage: feed.py follow BASE_URL KEY ORGANIZATION_ID\n"
            "       feed.py push BASE_URL KEY ORGANIZATION_ID FIGURES"
        )
    main(*arguments)
