"""Points of a ledger that what was read there can be held to, later and in other transactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from app.events import store
from app.events.statements import Connection
from app.events.store import LedgerMissing
from app.events.texts import Texts


@dataclass(frozen=True, slots=True)
class Mark:
    """A position, by what is there: another database, or one that was restored, has another event.

    `text_keys_version` moves when a text can be read no more, or when rows were made anew.
    """

    position: int
    event_id: UUID
    text_keys_version: int

    @classmethod
    async def at(cls, conn: Connection, texts: Texts, position: int) -> Self:
        """The mark of a position. Raises LedgerMissing where it is not in the ledger."""
        event_id, _ = await store.event_at(conn, texts.org_id, position)
        return cls(position, event_id, texts.version)

    async def is_in(self, conn: Connection, texts: Texts) -> bool:
        """Whether the ledger went through here."""
        if self.text_keys_version != texts.version:
            return False
        try:
            return self == await self.at(conn, texts, self.position)
        except LedgerMissing:
            return False
