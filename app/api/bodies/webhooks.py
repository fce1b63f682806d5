"""Bodies about webhooks."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from app.api.bodies.common import Body, example, unstated
from app.domain.catalog import EVENTS
from app.domain.values import Moment, Prose
from app.domain.webhook import Url


def _known(type: str) -> str:
    if type not in EVENTS:
        raise ValueError(f"there are no events of type {type[:100]!r}")
    return type


EventType = Annotated[
    str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": sorted(EVENTS)})
]
EventTypes = Annotated[
    tuple[EventType, ...],
    Field(min_length=1, max_length=200, description="Null stands for all, future ones included."),
]


class RegisterWebhookBody(Body):
    model_config = example(
        url="https://hooks.example.org/okr",
        event_types=["check_in.recorded", "objective.committed"],
        description="To the data warehouse.",
    )
    url: Url
    event_types: EventTypes | None = None
    description: Prose | None = None


class ChangeWebhookBody(Body):
    """Only what is stated changes; null `event_types` stand for all."""

    model_config = example(event_types=["check_in.recorded"])
    url: Url = unstated()
    event_types: EventTypes | None = None
    description: Prose | None = None


class RedeliverBody(Body):
    """From where on: the later of the two that are stated, and not before the log begins."""

    model_config = example(since="2026-02-15T12:00:00Z")
    after: int = Field(default=0, ge=0, le=10**15, description="A ledger position.")
    since: Moment | None = None
