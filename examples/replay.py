"""What a ledger said at a moment, from a bundle alone: without a server, and without a database.

    .venv/bin/python examples/replay.py ledger.ndjson 2026-03-31T00:00:00Z
    .venv/bin/python examples/replay.py ledger.ndjson 42

The moment is one of recording, or a position of the ledger. Check the bundle first (`okr audit`):
here it is believed. The same functions make the rows that the server shows.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from app.application.bundle_format import Opening, event_of, parts_of
from app.events.envelope import Recorded
from app.events.texts import Texts
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.registry import project
from app.projections.rows import MemoryRows


def until(lines: Iterator[bytes], moment: datetime | int) -> Iterator[Recorded]:
    """The events of a bundle up to a moment, in ledger order."""
    parts = parts_of(lines)
    opening = Opening.read(parts)
    sealed = Texts(opening.org_id, {})
    for part in parts:
        if "event" in part:
            recorded = replace(event_of(opening.org_id, part["event"]), texts=sealed)
            reached = recorded.position if isinstance(moment, int) else recorded.recorded_at
            if reached > moment:  # type: ignore[operator]
                return
            yield recorded


async def shown(rows: MemoryRows) -> list[str]:
    """Objectives and their key results, as they stood."""
    lines = []
    for objective in await rows.select(ObjectiveRow):
        lines.append(f"{objective.title} ({objective.status})")
        own = {"objective_id": objective.objective_id, "removed": False}
        for one in await rows.select(KeyResultRow, own):
            score = "" if one.score is None else f", scored {one.score}"
            lines.append(f"  {one.title}: {one.value}, progress {one.progress}{score}")
    return lines


def main(file: str, stated: str) -> None:
    moment = int(stated) if stated.isdigit() else datetime.fromisoformat(stated)
    rows, last = MemoryRows(), None
    with Path(file).open("rb") as lines:
        for last in until(lines, moment):
            rows.apply(project(last))
    if last is None:
        raise SystemExit("Nothing was recorded by then.")
    print(f"Event {last.position}, recorded at {last.recorded_at.isoformat()}:")
    print("\n".join(asyncio.run(shown(rows))))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: replay.py BUNDLE MOMENT")
    main(*sys.argv[1:])
