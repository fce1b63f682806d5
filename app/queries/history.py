"""Events as they were recorded: for auditors, and for whoever follows the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from pydantic_core import from_json

from app.application.ledgers import Reader
from app.domain.catalog import STREAMS
from app.events import store
from app.events.envelope import Recorded
from app.events.store import Filter
from app.queries.views import View


class StreamView(View):
    category: str
    id: UUID


class EventView(View):
    """One event. `data` is what was recorded, under `schema_version`, with its free text opened.

    `kept` is how it is kept, where that differs: free text is sealed with a key of its author's.
    """

    position: int
    event_id: UUID
    type: str = Field(examples=["check_in.recorded"])
    schema_version: int
    stream: StreamView
    version: int
    cycle_id: UUID | None
    data: dict[str, Any]
    kept: dict[str, Any] | None = Field(description="Null where nothing in `data` is sealed.")
    actor: str
    source: str
    correlation_id: UUID
    causation_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    leaf_hash: str = Field(
        description="SHA-256 over everything recorded, in hexadecimal; of `kept`, else of `data`, "
        "over the very bytes of this answer."
    )


class ChangeView(View):
    """That something happened, and to what; nothing of what was said, or by whom."""

    position: int
    type: str = Field(examples=["check_in.recorded"])
    stream: StreamView
    cycle_id: UUID | None
    recorded_at: datetime


def event_view(recorded: Recorded) -> EventView:
    return EventView(
        position=recorded.position,
        event_id=recorded.event_id,
        type=recorded.type,
        schema_version=recorded.schema_version,
        stream=StreamView(category=recorded.stream.category, id=recorded.stream.id),
        version=recorded.version,
        cycle_id=recorded.cycle_id,
        data=from_json(recorded.plain),
        kept=None if recorded.plain == recorded.data else from_json(recorded.data),
        actor=recorded.meta.actor,
        source=recorded.meta.source,
        correlation_id=recorded.meta.correlation_id,
        causation_id=recorded.meta.causation_id,
        occurred_at=recorded.occurred_at,
        recorded_at=recorded.recorded_at,
        leaf_hash=recorded.leaf_hash().hex(),
    )


def change_view(recorded: Recorded) -> ChangeView:
    return ChangeView(
        position=recorded.position,
        type=recorded.type,
        stream=StreamView(category=recorded.stream.category, id=recorded.stream.id),
        cycle_id=recorded.cycle_id,
        recorded_at=recorded.recorded_at,
    )


SHOWN_TO_ALL = tuple(STREAMS.keys() - {"api_key", "webhook", "survey_answer"})
"""Categories of what anybody who reads goals may see. When somebody answers a survey tells who."""


async def changes(reader: Reader, wanted: Filter, limit: int) -> list[ChangeView]:
    """Like `events`, of what is shown to all."""
    shown = replace(wanted, categories=SHOWN_TO_ALL)
    return [
        change_view(recorded)
        for recorded in await store.read_page(reader.conn, reader.texts, shown, limit)
    ]


async def events(reader: Reader, wanted: Filter, limit: int) -> list[EventView]:
    """Events up to the moment that the reader stands at."""
    return [
        event_view(recorded)
        for recorded in await store.read_page(reader.conn, reader.texts, wanted, limit)
    ]
