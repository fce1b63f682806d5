"""What the events of a ledger change in rows, some events at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.events import store
from app.events.envelope import Recorded
from app.events.statements import Connection
from app.events.store import Filter
from app.events.texts import Texts
from app.garbage import undisturbed
from app.projections.changes import Change
from app.projections.registry import project

_AT_ONCE = 500


async def projected(
    conn: Connection,
    texts: Texts,
    *,
    after: int = 0,
    up_to: int | None = None,
    at_once: int | None = None,
) -> AsyncIterator[tuple[Recorded, list[Change]]]:
    """Each time the last event that is in it, and the changes. Raises UnreadableEvent."""
    page = list[Recorded]()
    async for recorded in store.read_all(conn, texts, Filter(after, up_to)):
        page.append(recorded)
        if len(page) == (at_once or _AT_ONCE):
            yield _changes(page)
            page.clear()
    if page:
        yield _changes(page)


def _changes(page: list[Recorded]) -> tuple[Recorded, list[Change]]:
    with undisturbed():
        return page[-1], [change for recorded in page for change in project(recorded)]
