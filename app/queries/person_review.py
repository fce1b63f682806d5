"""What a performance review may see of somebody's goals: as much as was decided, and why."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.errors import NotFound
from app.domain.values import OwnerKind
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.people import PersonRow
from app.queries.discretion import WITHHELD, reviews_decided, unseen
from app.queries.views import Figure, View

DECOUPLED = (
    "Performance reviews are decoupled from OKRs here, so that nobody aims low: scores are not "
    "told for a review. The decision is at /deployment/performance_reviews."
)


class ReviewedKeyResult(View):
    key_result_id: UUID
    objective_id: UUID
    cycle_id: UUID
    title: str
    learning: str | None
    score: Figure


class PersonReviewView(View):
    """Key results that somebody owns, or whose objective is theirs."""

    person_id: UUID
    link: Literal["decoupled", "informs", "coupled"]
    withheld: str | None = Field(description="Why there are no scores; null where there are.")
    key_results: list[ReviewedKeyResult]


async def review(reader: Reader, person_id: UUID) -> PersonReviewView:
    """Raises NotFound."""
    if await reader.rows.get(PersonRow, person_id) is None:
        raise NotFound("person", person_id)
    now, then = await reviews_decided(reader), await reviews_decided(reader, reader.rows)
    theirs = {"owner_kind": OwnerKind.PERSON, "owner_id": person_id}
    objectives = [one.objective_id for one in await reader.rows.select(ObjectiveRow, theirs)]
    rows = await reader.rows.select(KeyResultRow, {**theirs, "removed": False})
    if objectives:
        of_objectives = {"objective_id": objectives, "removed": False}
        rows += await reader.rows.select(KeyResultRow, of_objectives)
    own = {row.key_result_id: row for row in sorted(rows, key=lambda row: row.position)}
    decoupled = "decoupled" in (now.link, then.link)
    withheld = DECOUPLED if decoupled else None
    if not decoupled and person_id in await unseen(reader, {person_id}):
        withheld = WITHHELD
    return PersonReviewView(
        person_id=person_id,
        link=then.link,
        withheld=withheld,
        key_results=[
            ReviewedKeyResult(
                key_result_id=row.key_result_id,
                objective_id=row.objective_id,
                cycle_id=row.cycle_id,
                title=row.title,
                learning=row.learning,
                score=None if withheld else row.score,
            )
            for row in own.values()
        ],
    )
