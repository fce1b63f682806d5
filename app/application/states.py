"""States of streams, kept from one transaction to the next so that they are not folded anew."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any
from uuid import UUID

from app.domain.catalog import STREAMS
from app.domain.messages import Stream

_MOST = 20_000


class States:
    """Folds of committed events, the least used forgotten first.

    They are never believed by themselves: under the ledger's lock, whatever was appended since is
    read and folded onto them. Events are never changed, so the result is the same.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, Stream], tuple[Any, int]] = OrderedDict()

    def get(self, org_id: UUID, stream: Stream) -> tuple[Any, int]:
        """A state and its version; the initial one at 0 where none is kept."""
        kept = self._kept.get((org_id, stream))
        if kept is None:
            return STREAMS[stream.category].initial, 0
        self._kept.move_to_end((org_id, stream))
        return kept

    def keep(self, org_id: UUID, stream: Stream, state: Any, version: int) -> None:
        self._kept[org_id, stream] = (state, version)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
