"""Alignment: recorded agreements on what contributes to what."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.bodies.common import ReasonBody
from app.api.bodies.goals import AlignBody
from app.api.lists import ListState, each
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.alignment import AlignObjective, WithdrawAlignment
from app.projections.alignments import AlignmentRow
from app.queries import alignment_report, alignments
from app.queries.alignment_report import AlignmentReportView
from app.queries.alignments import AlignmentView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["alignments"])
CreateObjectives = Annotated[Write, creates(Scope.OBJECTIVES_WRITE)]
WriteObjectives = Annotated[Write, writes(Scope.OBJECTIVES_WRITE)]


@router.post(
    "/objectives/{objective_id:id}/alignments",
    operation_id="align_objective",
    status_code=201,
    response_model=AlignmentView,
    responses=declared(*WRITES, "alignment-loop", "decision-refuses"),
)
async def align_objective(
    organization_id: UUID, objective_id: UUID, body: AlignBody, write: CreateObjectives
) -> Response:
    """Record the agreement that an objective contributes to a goal. It may have several."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("alignment")
        command = AlignObjective(
            alignment_id=id,
            objective_id=objective_id,
            target=body.target,
            rationale=body.rationale,
            why_now=body.why_now,
            agreed_by=body.agreed_by,
        )
        await unit.execute(command)
        location = f"/v1/organizations/{organization_id}/alignments/{id}"
        return await answer(unit, alignments.alignment, id, status=201, location=location)

    return await write(work)


@router.get(
    "/alignments",
    operation_id="list_alignments",
    response_model=Page[AlignmentView],
    responses=LISTING,
)
async def list_alignments(
    organization_id: UUID,
    page: ListState,
    cycle_id: UUID | None = None,
    objective_id: UUID | None = None,
    target_id: UUID | None = None,
    withdrawn: bool = False,
) -> Response:
    """Which goal contributes to which, in the order of being said."""
    return await page.rows(
        AlignmentRow,
        each(alignments.alignment_view),
        cycle_id=cycle_id,
        objective_id=objective_id,
        target_id=target_id,
        withdrawn=None if withdrawn else False,
    )


@router.get(
    "/cycles/{cycle_id:id}/alignment-report",
    operation_id="get_alignment_report",
    response_model=AlignmentReportView,
    responses=READING,
)
async def get_alignment_report(organization_id: UUID, cycle_id: UUID, read: ReadState) -> Response:
    """Who contributes to what, what nobody contributes to, and which dependencies wait."""
    return await read(alignment_report.alignment_report, cycle_id)


@router.get(
    "/alignments/{alignment_id:id}",
    operation_id="get_alignment",
    response_model=AlignmentView,
    responses=READING,
)
async def get_alignment(organization_id: UUID, alignment_id: UUID, read: ReadState) -> Response:
    """One alignment: who contributes to what, and why."""
    return await read(alignments.alignment, alignment_id)


@router.post(
    "/alignments/{alignment_id:id}:withdraw",
    operation_id="withdraw_alignment",
    response_model=AlignmentView,
    responses=declared(*WRITES),
)
async def withdraw_alignment(
    organization_id: UUID, alignment_id: UUID, body: ReasonBody, write: WriteObjectives
) -> Response:
    """Take an alignment back, and say why."""
    command = WithdrawAlignment(alignment_id=alignment_id, reason=body.reason)
    return await write.apply(command, alignments.alignment, alignment_id)
