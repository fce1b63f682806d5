"""Events to and from the exact text that is kept."""

from __future__ import annotations

import json
from collections.abc import Callable

from app.domain.catalog import EVENTS
from app.domain.messages import Event
from app.events.upcasters import UPCASTERS


class UnreadableEvent(Exception):
    """The ledger holds what this version of the program cannot read as an event."""


def encode(event: Event, seal: Callable[[str], str] | None = None) -> str:
    """Compact JSON. What is None by default is left out: absent and null mean the same.

    `seal` makes free text unreadable to whoever lacks its author's key.
    """
    return event.model_dump_json(exclude_none=True, context=seal and {"seal": seal})


def decode(type_name: str, schema_version: int, data: str) -> Event:
    """The event as of today. Raises UnreadableEvent for an unknown type or a newer schema."""
    cls = EVENTS.get(type_name)
    if cls is None or schema_version > cls.schema_version:
        raise UnreadableEvent(
            f"{type_name} version {schema_version} is not known here; "
            "run the version of the program that wrote it, or a newer one."
        )
    try:
        if schema_version == cls.schema_version:
            return cls.model_validate_json(data)
        content = json.loads(data)
        for version in range(schema_version, cls.schema_version):
            content = UPCASTERS[type_name, version](content)
        return cls.model_validate_json(json.dumps(content))
    except (ValueError, LookupError, TypeError) as error:
        raise UnreadableEvent(f"{type_name} version {schema_version} does not say so.") from error
