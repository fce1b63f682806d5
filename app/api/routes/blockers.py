"""What stands in the way of key results."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.bodies.check_ins import HandOverBlockerBody, RaiseBlockerBody, ResolveBlockerBody
from app.api.lists import ListState
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.blocker import HandOverBlocker, RaiseBlocker, ResolveBlocker
from app.projections.blockers import BlockerRow
from app.queries import blockers
from app.queries.blockers import BlockerView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["blockers"])
Create = Annotated[Write, creates(Scope.CHECK_INS_WRITE)]
Change = Annotated[Write, writes(Scope.CHECK_INS_WRITE)]


@router.post(
    "/key-results/{key_result_id:id}/blockers",
    operation_id="raise_blocker",
    status_code=201,
    response_model=BlockerView,
    responses=declared(*WRITES),
)
async def raise_blocker(
    organization_id: UUID, key_result_id: UUID, body: RaiseBlockerBody, write: Create
) -> Response:
    """Say what stands in the way, whose it is, and what is done next."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("blocker")
        command = RaiseBlocker(
            blocker_id=id,
            key_result_id=key_result_id,
            kind=body.kind,
            what=body.what,
            owner_id=body.owner_id,
            next_action=body.next_action,
        )
        await unit.execute(command)
        location = f"/v1/organizations/{organization_id}/blockers/{id}"
        return await answer(unit, blockers.blocker, id, status=201, location=location)

    return await write(work)


@router.get(
    "/blockers",
    operation_id="list_blockers",
    response_model=Page[BlockerView],
    responses=LISTING,
)
async def list_blockers(
    organization_id: UUID,
    page: ListState,
    cycle_id: UUID | None = None,
    key_result_id: UUID | None = None,
    owner_id: UUID | None = None,
    resolved: bool = False,
) -> Response:
    """Open blockers, oldest first; with `resolved`, all of them."""
    return await page.rows(
        BlockerRow,
        blockers.blockers,
        cycle_id=cycle_id,
        key_result_id=key_result_id,
        owner_id=owner_id,
        resolved=None if resolved else False,
    )


@router.get(
    "/blockers/{blocker_id:id}",
    operation_id="get_blocker",
    response_model=BlockerView,
    responses=READING,
)
async def get_blocker(organization_id: UUID, blocker_id: UUID, read: ReadState) -> Response:
    """One blocker: who takes care of it, and what is done next."""
    return await read(blockers.blocker, blocker_id)


@router.post(
    "/blockers/{blocker_id:id}:hand-over",
    operation_id="hand_over_blocker",
    response_model=BlockerView,
    responses=declared(*WRITES),
)
async def hand_over_blocker(
    organization_id: UUID, blocker_id: UUID, body: HandOverBlockerBody, write: Change
) -> Response:
    """Name another owner, another next action, or both."""
    command = HandOverBlocker(
        blocker_id=blocker_id, owner_id=body.owner_id, next_action=body.next_action
    )
    return await write.apply(command, blockers.blocker, blocker_id)


@router.post(
    "/blockers/{blocker_id:id}:resolve",
    operation_id="resolve_blocker",
    response_model=BlockerView,
    responses=declared(*WRITES),
)
async def resolve_blocker(
    organization_id: UUID, blocker_id: UUID, body: ResolveBlockerBody, write: Change
) -> Response:
    """Tell how a blocker was overcome."""
    command = ResolveBlocker(blocker_id=blocker_id, how=body.how)
    return await write.apply(command, blockers.blocker, blocker_id)
