"""States of streams, kept from one transaction to the next so that they are not folded anew."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.domain.messages import Stream

_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Kept:
    """The fold of a stream up to a version, whose event has this id.

    It holds the text that was readable with the keys of `text_keys_version`.
    """

    state: Any
    version: int
    event_id: UUID
    text_keys_version: int


class States:
    """Folds of committed events, the least used forgotten first.

    They are never believed by themselves: under the ledger's lock, the last event that was folded
    must still be there (a restored database, or a standby that was promoted, may have lost it), and
    whatever was appended since is folded onto it. Once a key of free text is destroyed, no fold
    from before is used.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, Stream], Kept] = OrderedDict()

    def get(self, org_id: UUID, stream: Stream) -> Kept | None:
        kept = self._kept.get((org_id, stream))
        if kept is not None:
            self._kept.move_to_end((org_id, stream))
        return kept

    def keep(self, org_id: UUID, stream: Stream, kept: Kept) -> None:
        self._kept[org_id, stream] = kept
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
