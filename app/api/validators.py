"""ETags that were given out, so that a question whether they still hold costs no query.

An answer is the same while the ledger's head is, up to the moment at which time changes it. The
head is read from the database with each request; what is kept here says only which one it was.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.application.keys import Caller
from app.application.ledgers import Reader
from app.application.marks import Mark
from app.events import store

Asked = tuple[UUID, Caller, str]
"""The organisation, who asks, and for what: the same question has the same answer."""

MOST = 10_000
"""Answers that are remembered by a process, about 1 kB each."""


@dataclass(frozen=True, slots=True)
class Given:
    """The headers of an answer: as of a head, and from one moment to another, both included."""

    head: Mark
    since: datetime
    until: datetime
    headers: Mapping[str, str]


class Validators:
    """What was answered last to each question."""

    def __init__(self) -> None:
        self._given: OrderedDict[Asked, Given] = OrderedDict()

    def get(self, asked: Asked, head: Mark, at: datetime) -> Mapping[str, str] | None:
        """The headers that hold at a moment, while this is the ledger's head."""
        found = self._given.get(asked)
        if found is None or found.head != head or not found.since <= at <= found.until:
            return None
        self._given.move_to_end(asked)
        return found.headers

    def put(self, asked: Asked, given: Given) -> None:
        self._given[asked] = given
        self._given.move_to_end(asked)
        if len(self._given) > MOST:
            self._given.popitem(last=False)


async def head_of(reader: Reader) -> Mark:
    """The ledger's head, wherever the reader looks back to."""
    position = reader.position
    if reader.is_past:
        position = (await store.read_head(reader.conn, reader.org_id)).position
    return await Mark.at(reader.conn, reader.texts, position)
