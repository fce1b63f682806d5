"""States of streams, kept from one transaction to the next so that they are not folded anew."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from app.application.authority import GRANTED_BY
from app.application.keys import Caller
from app.domain.access import Grant
from app.domain.catalog import EVENTS, STREAMS
from app.domain.messages import Stream
from app.events import store
from app.events.statements import Connection
from app.events.store import Filter, Head
from app.events.texts import Texts
from app.projections.registry import tables_of

MOST_FOLDED = 500_000
"""Events in all that is kept, which grows by less than 1 kB with each."""
_MOST_CAUGHT_UP = 500
"""More events than that by others are not folded onto what is kept: it is forgotten."""

_MOST_CALLERS = 1_000
"""Of one ledger."""

Versioned = tuple[Any, int]
"""A stream's state, and its version."""


@dataclass(slots=True)
class Kept:
    """Folds of streams of one ledger, all of them as of one event of it.

    They hold the text that was readable with the keys of `text_keys_version`.
    """

    position: int
    event_id: UUID | None
    text_keys_version: int
    streams: dict[Stream, Versioned] = field(default_factory=dict)
    grants: Mapping[Caller, tuple[Grant, ...]] = field(default_factory=dict)
    """What callers may do, read from rows as of that event."""
    folded: int = 0
    """Events in `streams`, and one more for each of these."""

    def take(self, fresh: Mapping[Stream, Versioned]) -> None:
        """Streams as they were read, or changed."""
        for stream, (state, version) in fresh.items():
            _, before = self.streams.get(stream, (None, -1))
            self.folded += version - before
            self.streams[stream] = state, version


class States:
    """Folds of committed events; where they are too many, those of some ledger are forgotten.

    Of any: where somewhat more are used than there may be, the least used is the next one.

    They are never believed by themselves. Under the ledger's lock, its head must still be the event
    up to which they were folded (a restored database, or a standby that was promoted, may have lost
    it); what was appended since is folded onto them. Once a key of free text is destroyed, no fold
    from before is used.
    """

    def __init__(self, most_folded: int = MOST_FOLDED) -> None:
        self._most_folded = most_folded
        self._kept: dict[UUID, Kept] = {}
        self._folded = 0

    def is_at(self, org_id: UUID, head: Head) -> bool:
        """Whether a ledger is where this process left it: nobody else appended to it since."""
        kept = self._kept.get(org_id)
        return kept is not None and _is_at(kept, head)

    async def current(self, conn: Connection, texts: Texts, head: Head) -> Kept:
        """What is kept of a ledger, as of its head, whose lock is held."""
        kept = self._kept.get(texts.org_id)
        if kept is not None and not _is_at(kept, head):
            kept = await _caught_up(conn, texts, kept, head)
            self._forget(texts.org_id)
        if kept is None:
            kept = Kept(head.position, head.event_id, head.text_keys_version)
        return kept

    def keep(
        self,
        org_id: UUID,
        kept: Kept,
        head: Head,
        fresh: Mapping[Stream, Versioned],
        grants: Mapping[Caller, tuple[Grant, ...]],
    ) -> None:
        """After a commit that led to `head`: what was read or changed in it."""
        before = self._kept.get(org_id)
        if before is not None and before.position > head.position:
            return
        self._forget(org_id)
        kept.position, kept.event_id = head.position, head.event_id
        kept.text_keys_version = head.text_keys_version
        kept.take(fresh)
        kept.grants = grants if len(grants) <= _MOST_CALLERS else {}
        self._kept[org_id] = kept
        self._folded += kept.folded
        if self._folded > self._most_folded:
            others = [id for id in self._kept if id != org_id]
            random.shuffle(others)
            # The one at hand stays: to fold the longest ledger for each request would be the worst.
            while self._folded > self._most_folded and others:
                self._forget(others.pop())

    def _forget(self, org_id: UUID) -> None:
        gone = self._kept.pop(org_id, None)
        self._folded -= 0 if gone is None else gone.folded


def _is_at(kept: Kept, head: Head) -> bool:
    return (kept.position, kept.event_id, kept.text_keys_version) == (
        head.position,
        head.event_id,
        head.text_keys_version,
    )


async def _caught_up(conn: Connection, texts: Texts, kept: Kept, head: Head) -> Kept | None:
    """With what was appended since; None where that is too much, or not a continuation."""
    missing = head.position - kept.position
    if kept.text_keys_version != head.text_keys_version or not 0 < missing <= _MOST_CAUGHT_UP:
        return None
    # From the last event that was folded, to see that it is still the same.
    since = await store.read_page(conn, texts, Filter(after=kept.position - 1), missing + 1)
    if not since or since[0].event_id != kept.event_id:
        return None
    caught_up = replace(kept, streams=dict(kept.streams))
    caught_up.position, caught_up.event_id = head.position, head.event_id
    for recorded in since[1:]:
        kind = EVENTS.get(recorded.type)
        if kind is None or GRANTED_BY & tables_of(kind):
            caught_up.grants = {}
        if recorded.stream in caught_up.streams:
            state, _ = caught_up.streams[recorded.stream]
            evolve = STREAMS[recorded.stream.category].evolve
            caught_up.take({recorded.stream: (evolve(state, recorded.event), recorded.version)})
    return caught_up
