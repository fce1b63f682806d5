"""The form of bundles (`docs/bundle.md`), for whoever reads one; it takes no database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.messages import Stream
from app.events.envelope import Meta, Recorded
from app.evidence.notes import VerifierKey

FORMAT = "okr-ledger-bundle/1"
_LONGEST_LINE = 16_000_000


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
