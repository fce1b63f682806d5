"""Bodies about what is told of goals: check-ins, blockers and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from app.api.bodies.common import ID, Body, example
from app.domain.blocker import BlockerKind
from app.domain.check_in import CheckInTerms
from app.domain.values import (
    ExternalRef,
    Line,
    Moment,
    Number,
    Prose,
    Share,
)


class CheckInBody(CheckInTerms):
    model_config = example(
        value=150, confidence=0.6, health="on_track", note="Two large customers went live."
    )
    occurred_at: Moment | None = Field(default=None, description="When it was true; else now.")
    external: ExternalRef | None = None


class CheckInItem(CheckInBody):
    """A check-in of many: it names its key result."""

    model_config = example(key_result_id=f"{ID}3", value=150, confidence=0.6)
    key_result_id: UUID


class StreamedCheckIn(CheckInItem):
    """A line of a stream. Its external id makes it safe to send once more."""

    model_config = example(
        key_result_id=f"{ID}3", value=150, external={"source": "crm", "external_id": "week-7"}
    )
    external: ExternalRef


@dataclass(frozen=True, slots=True)
class Unfit:
    """What was sent in place of an item, and what validation says of it."""

    sent: Any
    errors: list[Any]


def _or_unfit(value: Any, fit: ValidatorFunctionWrapHandler) -> Any:
    try:
        return fit(value)
    except ValidationError as error:
        return Unfit(value, error.errors(include_url=False, include_context=False))


class CheckInBatchBody(Body):
    """Up to 1,000 check-ins. What is wrong with one item is told of that item."""

    model_config = example(
        items=[{"key_result_id": f"{ID}3", "value": 150, "note": "Two large customers went live."}]
    )
    items: tuple[Annotated[CheckInItem, WrapValidator(_or_unfit)], ...] = Field(
        min_length=1, max_length=1_000
    )


class CorrectCheckInBody(CheckInTerms):
    """What the check-in should have said, as a whole."""

    model_config = example(value=140, confidence=0.6, reason="The report was of the week before.")
    occurred_at: Moment | None = Field(default=None, description="Left out, it stays.")
    reason: Prose


class SucceedBody(Body):
    """The metric that a measured baseline seeds: from the value measured to a target."""

    model_config = example(title="Days from order to delivery from 9 to 4", target=4)
    title: Line
    target: Number
    commit: Number | None = None
    stretch: Number | None = None


class RaiseBlockerBody(Body):
    model_config = example(
        kind="dependency",
        what="The payment team has no one free before May.",
        owner_id=f"{ID}5",
        next_action="Ask for one person for a week.",
    )
    kind: BlockerKind
    what: Prose
    owner_id: UUID
    next_action: Prose


class HandOverBlockerBody(Body):
    model_config = example(owner_id=f"{ID}5", next_action="Decide on Monday.")
    owner_id: UUID | None = None
    next_action: Prose | None = None


class ResolveBlockerBody(Body):
    model_config = example(how="They lent us Ben.")
    how: Prose | None = None


class ScoreBody(Body):
    model_config = example(
        score=0.7,
        comment="Most customers arrived in the last month.",
        adjustment_reason="Two signed contracts start next week.",
    )
    score: Share | None = Field(default=None, description="Left out, the computed one stands.")
    comment: Prose
    adjustment_reason: Prose | None = None
