"""Dependencies: what objectives need from other teams, and what those say to it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.bodies.common import NoteBody, ReasonBody
from app.api.bodies.goals import AcceptDependencyBody, DeclineDependencyBody, DependencyBody
from app.api.lists import ListState, each
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.dependency import (
    AcceptDependency,
    DeclareDependency,
    DeclineDependency,
    DeliverDependency,
    DependencyStatus,
    WithdrawDependency,
)
from app.projections.dependencies import DependencyRow
from app.queries import dependencies
from app.queries.dependencies import DependencyView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["dependencies"])
CreateObjectives = Annotated[Write, creates(Scope.OBJECTIVES_WRITE)]
WriteObjectives = Annotated[Write, writes(Scope.OBJECTIVES_WRITE)]


@router.post(
    "/objectives/{objective_id:id}/dependencies",
    operation_id="declare_dependency",
    status_code=201,
    response_model=DependencyView,
    responses=declared(*WRITES),
)
async def declare_dependency(
    organization_id: UUID, objective_id: UUID, body: DependencyBody, write: CreateObjectives
) -> Response:
    """Say what an objective needs from another team, or from an objective of another team."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("dependency")
        command = DeclareDependency(
            dependency_id=id,
            objective_id=objective_id,
            on=body.on,
            needed=body.needed,
            needed_by=body.needed_by,
            risk_owner_id=body.risk_owner_id,
            external=body.external,
        )
        await unit.execute(command)
        location = f"/v1/organizations/{organization_id}/dependencies/{id}"
        return await answer(unit, dependencies.dependency, id, status=201, location=location)

    return await write(work)


@router.get(
    "/dependencies",
    operation_id="list_dependencies",
    response_model=Page[DependencyView],
    responses=LISTING,
)
async def list_dependencies(
    organization_id: UUID,
    page: ListState,
    objective_id: UUID | None = None,
    on_team_id: UUID | None = None,
    status: DependencyStatus | None = None,
    cycle_id: UUID | None = None,
) -> Response:
    """What objectives need of others, in the order of being said."""
    return await page.rows(
        DependencyRow,
        each(dependencies.dependency_view),
        objective_id=objective_id,
        on_team_id=on_team_id,
        status=status,
        cycle_id=cycle_id,
    )


@router.get(
    "/dependencies/{dependency_id:id}",
    operation_id="get_dependency",
    response_model=DependencyView,
    responses=READING,
)
async def get_dependency(organization_id: UUID, dependency_id: UUID, read: ReadState) -> Response:
    """One dependency: what is needed, by when, and what was answered."""
    return await read(dependencies.dependency, dependency_id)


@router.post(
    "/dependencies/{dependency_id:id}:accept",
    operation_id="accept_dependency",
    response_model=DependencyView,
    responses=declared(*WRITES),
)
async def accept_dependency(
    organization_id: UUID, dependency_id: UUID, body: AcceptDependencyBody, write: WriteObjectives
) -> Response:
    """The other side agrees to deliver."""
    command = AcceptDependency(
        dependency_id=dependency_id, person_id=body.person_id, note=body.note
    )
    return await write.apply(command, dependencies.dependency, dependency_id)


@router.post(
    "/dependencies/{dependency_id:id}:decline",
    operation_id="decline_dependency",
    response_model=DependencyView,
    responses=declared(*WRITES),
)
async def decline_dependency(
    organization_id: UUID, dependency_id: UUID, body: DeclineDependencyBody, write: WriteObjectives
) -> Response:
    """The other side cannot deliver, and says why."""
    command = DeclineDependency(
        dependency_id=dependency_id, person_id=body.person_id, reason=body.reason
    )
    return await write.apply(command, dependencies.dependency, dependency_id)


@router.post(
    "/dependencies/{dependency_id:id}:deliver",
    operation_id="deliver_dependency",
    response_model=DependencyView,
    responses=declared(*WRITES),
)
async def deliver_dependency(
    organization_id: UUID, dependency_id: UUID, body: NoteBody, write: WriteObjectives
) -> Response:
    """What was accepted is there."""
    command = DeliverDependency(dependency_id=dependency_id, note=body.note)
    return await write.apply(command, dependencies.dependency, dependency_id)


@router.post(
    "/dependencies/{dependency_id:id}:withdraw",
    operation_id="withdraw_dependency",
    response_model=DependencyView,
    responses=declared(*WRITES),
)
async def withdraw_dependency(
    organization_id: UUID, dependency_id: UUID, body: ReasonBody, write: WriteObjectives
) -> Response:
    """It is needed no longer, whatever was said to it."""
    command = WithdrawDependency(dependency_id=dependency_id, reason=body.reason)
    return await write.apply(command, dependencies.dependency, dependency_id)
