"""Lineage: goals through the cycles."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from app.api.problems import READING
from app.api.reading import ReadState
from app.queries import lineage
from app.queries.lineage import KeyResultLineageView, ObjectiveLineageView

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["lineage"])


@router.get(
    "/objectives/{objective_id:id}/lineage",
    operation_id="get_objective_lineage",
    response_model=ObjectiveLineageView,
    responses=READING,
)
async def get_objective_lineage(
    organization_id: UUID, objective_id: UUID, read: ReadState
) -> Response:
    """The objective in every cycle that it was carried through, oldest first."""
    return await read(lineage.of_objective, objective_id)


@router.get(
    "/key-results/{key_result_id:id}/lineage",
    operation_id="get_key_result_lineage",
    response_model=KeyResultLineageView,
    responses=READING,
)
async def get_key_result_lineage(
    organization_id: UUID, key_result_id: UUID, read: ReadState
) -> Response:
    """The key result in every cycle that it was kept or modified through, oldest first."""
    return await read(lineage.of_key_result, key_result_id)
