"""Bundles: a ledger, or a cycle of it, as a file that proves itself to somebody without a server.

One JSON object a line (`docs/bundle.md`): what it is, a signed checkpoint, the schemas of the
events, the events with the exact text that was kept and a proof of inclusion for each, and an end.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.application import evidence
from app.application.ledgers import Reader
from app.domain.catalog import EVENTS
from app.domain.messages import Stream
from app.events import store
from app.events.envelope import Meta, Recorded
from app.events.store import Filter
from app.evidence.merkle import inclusion_proof, inclusion_proofs, root
from app.evidence.notes import SigningKey, VerifierKey

FORMAT = "okr-ledger-bundle/1"
BLOCK = 256
"""Events whose proofs are made together."""
_LONGEST_LINE = 16_000_000
# What a cycle's events are judged by: decisions, teams and people belong to no cycle.
AROUND = ("organization", "deployment", "person", "team", "roles", "coach")


class NotABundle(Exception):
    """The file is no bundle, or breaks off; the message says where."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the first two lines say. Whether the note is signed, and by whom, is not looked at."""

    org_id: UUID
    cycle_id: UUID | None
    size: int
    verifier: VerifierKey
    note: str

    @classmethod
    def read(cls, parts: Iterator[dict[str, Any]]) -> Opening:
        """Raises NotABundle."""
        try:
            what = next(parts)["bundle"]
            if what["format"] != FORMAT:
                raise NotABundle(f"this is {what['format']!r}, and not {FORMAT!r}")
            cycle_id = what["cycle_id"]
            return cls(
                UUID(what["organization_id"]),
                None if cycle_id is None else UUID(cycle_id),
                int(what["size"]),
                VerifierKey.parse(what["verifier_key"]),
                str(next(parts)["checkpoint"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise NotABundle(f"its first lines do not say what it is: {error!r}") from error


def parts_of(
    lines: Iterable[bytes], progress: Callable[[int], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Each line as the object that it is. Raises NotABundle."""
    for number, text in enumerate(lines, 1):
        try:
            if len(text) > _LONGEST_LINE:
                raise ValueError("it is too long")
            part = json.loads(text)
            if not isinstance(part, dict):
                raise TypeError("it is no JSON object")
        except (ValueError, TypeError, RecursionError) as error:
            raise NotABundle(f"line {number} cannot be read: {error}") from error
        if progress:
            progress(len(text))
        yield part


def line(**content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def event_fields(recorded: Recorded) -> dict[str, Any]:
    """An event as a bundle writes it: all that its hash covers, but the organisation."""
    return {
        "position": recorded.position,
        "category": recorded.stream.category,
        "stream_id": str(recorded.stream.id),
        "version": recorded.version,
        "event_id": str(recorded.event_id),
        "type": recorded.type,
        "schema_version": recorded.schema_version,
        "cycle_id": None if recorded.cycle_id is None else str(recorded.cycle_id),
        "data": recorded.data,
        "actor": recorded.meta.actor,
        "source": recorded.meta.source,
        "correlation_id": str(recorded.meta.correlation_id),
        "causation_id": recorded.meta.causation_id and str(recorded.meta.causation_id),
        "occurred_at": recorded.occurred_at.isoformat(timespec="microseconds"),
        "recorded_at": recorded.recorded_at.isoformat(timespec="microseconds"),
    }


def event_of(org_id: UUID, fields: dict[str, Any]) -> Recorded:
    """What `event_fields` wrote. Raises KeyError, ValueError, TypeError, AttributeError."""
    cycle_id, causation_id = fields["cycle_id"], fields["causation_id"]
    return Recorded(
        org_id=org_id,
        position=int(fields["position"]),
        stream=Stream(str(fields["category"]), UUID(fields["stream_id"])),
        version=int(fields["version"]),
        event_id=UUID(fields["event_id"]),
        type=str(fields["type"]),
        schema_version=int(fields["schema_version"]),
        cycle_id=None if cycle_id is None else UUID(cycle_id),
        data=str(fields["data"]),
        meta=Meta(
            str(fields["actor"]),
            str(fields["source"]),
            UUID(fields["correlation_id"]),
            None if causation_id is None else UUID(causation_id),
        ),
        occurred_at=datetime.fromisoformat(fields["occurred_at"]),
        recorded_at=datetime.fromisoformat(fields["recorded_at"]),
    )


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
