"""Bundles: a ledger, or a cycle of it, as a file that proves itself to somebody without a server.

One JSON object a line (`docs/bundle.md`): what it is, a signed checkpoint, the schemas of the
events, the events with the exact text that was kept and a proof of inclusion for each, and an end.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.application import evidence
from app.application.bundle_format import FORMAT, event_fields, line
from app.application.ledgers import Reader
from app.domain.catalog import EVENTS
from app.events import store
from app.events.envelope import Recorded
from app.events.store import Filter
from app.evidence.merkle import inclusion_proof, inclusion_proofs, root
from app.evidence.notes import SigningKey, VerifierKey

BLOCK = 256
"""Events whose proofs are made together."""
# What a cycle's events are judged by: decisions, teams and people belong to no cycle.
AROUND = ("organization", "deployment", "person", "team", "roles", "coach")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bundle has: a ledger up to a size, or a cycle of it, signed.

    Events up to there never change, so that its parts need not be read in one transaction. `roots`
    are those of each BLOCK of events: memory grows by 64 bytes for 256 events.
    """

    org_id: UUID
    size: int
    cycle_id: UUID | None
    verifier: VerifierKey
    note: str
    roots: list[bytes]

    @classmethod
    async def of(cls, reader: Reader, key: SigningKey, cycle_id: UUID | None = None) -> Plan:
        """Reads all hashes, through a cursor."""
        conn, org_id, size = reader.conn, reader.org_id, reader.position
        hashes = store.read_leaf_hashes(conn, org_id, up_to=size)
        roots = [root(block) async for block in _blocks(hashes)]
        note = await evidence.checkpoint(conn, org_id, size, key)
        return cls(org_id, size, cycle_id, key.verifier, note, roots)

    def opening(self) -> Iterator[bytes]:
        """What comes before the events."""
        yield line(
            bundle={
                "format": FORMAT,
                "organization_id": str(self.org_id),
                "cycle_id": None if self.cycle_id is None else str(self.cycle_id),
                "size": self.size,
                "verifier_key": str(self.verifier),
            }
        )
        yield line(checkpoint=self.note)
        for name in sorted(EVENTS):
            yield line(schema=event_schema(name))

    def events(self, block: Sequence[Recorded]) -> list[bytes]:
        """The events of a whole BLOCK (or of the last, shorter one) that belong here."""
        above = inclusion_proof(self.roots, (block[0].position - 1) // BLOCK)
        below = inclusion_proofs([recorded.leaf_hash() for recorded in block])
        return [
            line(
                event=event_fields(recorded),
                leaf_hash=recorded.leaf_hash().hex(),
                proof=[base64.b64encode(node).decode() for node in proof + above],
            )
            for recorded, proof in zip(block, below, strict=True)
            if self.cycle_id is None or _belongs(recorded, self.cycle_id)
        ]

    def ending(self, events: int) -> bytes:
        """Without it, a bundle was cut."""
        return line(end={"events": events})


def event_schema(name: str) -> dict[str, Any]:
    """The schema of an event's `data` as it is written today, by the event's stored type name."""
    event = EVENTS[name]
    schema = event.model_json_schema(mode="serialization")
    return {"type": name, "schema_version": event.schema_version, "schema": schema}


async def export(
    reader: Reader, key: SigningKey, *, cycle_id: UUID | None = None, with_text: bool = False
) -> AsyncIterator[bytes]:
    """The lines of a bundle of the whole ledger, or of a cycle and what it was judged by.

    It is read twice, through cursors. `with_text` adds the keys that free text is sealed with.
    """
    plan = await Plan.of(reader, key, cycle_id)
    for text in plan.opening():
        yield text
    if with_text:
        for author, secret in sorted(reader.texts.keys.items()):
            yield line(text_key={"author": author, "key": base64.b64encode(secret).decode()})
    count = 0
    async for block in _blocks(store.read_all(reader.conn, reader.texts, Filter(up_to=plan.size))):
        for text in plan.events(block):
            count += 1
            yield text
    yield plan.ending(count)


def _belongs(recorded: Recorded, cycle_id: UUID) -> bool:
    return recorded.cycle_id == cycle_id or recorded.stream.category in AROUND


async def _blocks(items: AsyncIterator[Any]) -> AsyncIterator[list[Any]]:
    """Items in lists of a block each; the last may be shorter."""
    block: list[Any] = []
    async for item in items:
        block.append(item)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block
