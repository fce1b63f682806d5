"""Define clearly: drafts are validated as somebody types, by the rules that guard commitment."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.bodies.goals import ValidateDraftBody
from app.api.problems import ALWAYS, READING, declared
from app.api.reading import Read, ReadState, reads_now
from app.domain.access import Scope
from app.domain.quality import DraftedKeyResult, DraftSet
from app.queries import quality
from app.queries.quality import QualityRulesView, QualityView

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["quality"])


@router.get(
    "/quality-rules",
    operation_id="list_quality_rules",
    response_model=QualityRulesView,
    responses=READING,
)
async def list_quality_rules(organization_id: UUID, read: ReadState) -> Response:
    """The quality checks with their severity in force; all of them, on one page."""
    return await read(quality.rules)


@router.post(
    "/drafts:validate",
    operation_id="validate_draft",
    response_model=QualityView,
    responses=declared(*ALWAYS, "malformed-json", "unsupported-media-type", "too-large"),
)
async def validate_draft(
    organization_id: UUID,
    body: ValidateDraftBody,
    read: Annotated[Read, reads_now(Scope.READ)],
) -> Response:
    """What the quality checks say to a draft, whole or half written. Nothing is recorded."""
    draft = DraftSet(
        title=body.title,
        why_now=body.why_now,
        key_results=tuple(DraftedKeyResult(one.title, one.measure) for one in body.key_results),
        confidence=body.confidence,
    )
    return await read(quality.of_draft, draft, body.owner, body.cycle_id, body.contributes_to)


@router.get(
    "/objectives/{objective_id:id}/quality",
    operation_id="get_objective_quality",
    response_model=QualityView,
    responses=READING,
)
async def get_objective_quality(
    organization_id: UUID, objective_id: UUID, read: ReadState
) -> Response:
    """What the quality checks say to an objective with its key results, as they are."""
    return await read(quality.of_objective, objective_id)
