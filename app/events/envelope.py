"""An event as it is kept: what happened, and everything known about its happening."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.domain.messages import Event, Stream
from app.events.codec import decode
from app.events.texts import Texts


@dataclass(frozen=True, slots=True)
class Meta:
    """Who did it, through what, and as part of what.

    `actor` is `person/ID`, `key/ID` or `operator/ID`; `source` names the way in (`api`, `import`,
    an integration). All events of one request share a correlation id; `causation_id` is the event
    that led to this one, where there is one.
    """

    actor: str
    source: str
    correlation_id: UUID
    causation_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One event of a ledger. Positions run 1, 2, 3, ... without gaps; so do a stream's versions.

    `occurred_at` is when it was true, `recorded_at` when the ledger learnt it. `data` is the exact
    text kept, of schema `schema_version`; `event` is what it says today, upcast if need be, and
    is read once, when it is asked for. `texts` opens what is sealed in it.
    """

    org_id: UUID
    position: int
    stream: Stream
    version: int
    event_id: UUID
    type: str
    schema_version: int
    cycle_id: UUID | None
    data: str
    meta: Meta
    occurred_at: datetime
    recorded_at: datetime
    told: Event | None = field(default=None, compare=False, repr=False)
    texts: Texts | None = field(default=None, compare=False, repr=False)

    @property
    def plain(self) -> str:
        """`data` with its free text opened, as far as the keys are there."""
        return self.texts.opened(self.meta.actor, self.data) if self.texts else self.data

    @property
    def event(self) -> Event:
        """Raises UnreadableEvent."""
        told = self.told
        if told is None:
            told = decode(self.type, self.schema_version, self.plain)
            object.__setattr__(self, "told", told)
        return told

    def leaf_hash(self) -> bytes:
        """SHA-256 of a zero byte and the event's leaf (RFC 9162 style): 32 bytes.

        The leaf is a compact JSON array of everything kept but the hash itself; times are
        RFC 3339 in UTC with microseconds.
        """
        leaf = [
            str(self.org_id),
            self.position,
            self.stream.category,
            str(self.stream.id),
            self.version,
            str(self.event_id),
            self.type,
            self.schema_version,
            self.cycle_id and str(self.cycle_id),
            self.data,
            self.meta.actor,
            self.meta.source,
            str(self.meta.correlation_id),
            self.meta.causation_id and str(self.meta.causation_id),
            self.occurred_at.isoformat(timespec="microseconds"),
            self.recorded_at.isoformat(timespec="microseconds"),
        ]
        text = json.dumps(leaf, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(b"\x00" + text.encode()).digest()
