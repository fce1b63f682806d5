"""What is mine, and what is a team's: objectives, and the check-ins that are due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.lists import Choice, Listing, ListState, Text
from app.api.problems import LISTING, declared
from app.api.routes.objectives import narrowed
from app.application.ledgers import Reader
from app.domain.objective import Status
from app.domain.values import Day
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.queries import goals, mine
from app.queries.choice import SORTED, GoalSort, ShownHealth
from app.queries.goals import ObjectiveView
from app.queries.mine import DueCheckInView, Mine, MyObjectiveView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["mine"])
Sort = Annotated[GoalSort | None, Query(description=SORTED)]
Until = Annotated[
    Day | None,
    Query(description="What falls due up to the end of this day (UTC); without it, in 14 days."),
]
_OF_SOMEBODY = LISTING | declared("stands-for-nobody")


@router.get(
    "/me/objectives",
    operation_id="list_my_objectives",
    response_model=Page[MyObjectiveView],
    responses=_OF_SOMEBODY,
)
async def list_my_objectives(
    organization_id: UUID,
    page: ListState,
    cycle_id: UUID | None = None,
    status: Status | None = None,
    health: ShownHealth | None = None,
    text: Text | None = None,
    sort: Sort = None,
) -> Response:
    """The objectives that you or your teams own, and those with a key result given to you."""

    async def narrow(reader: Reader) -> dict[str, Any]:
        return {"objective_id": await mine.objective_ids(reader, await mine.of_caller(reader))}

    return await page.rows(
        ObjectiveRow,
        mine.objectives,
        narrow=narrow,
        choice=narrowed(health, text, sort),
        cycle_id=cycle_id,
        status=status,
    )


@router.get(
    "/me/check-ins-due",
    operation_id="list_my_check_ins_due",
    response_model=Page[DueCheckInView],
    responses=_OF_SOMEBODY,
)
async def list_my_check_ins_due(
    organization_id: UUID, page: ListState, until: Until = None
) -> Response:
    """The key results that wait for a check-in of yours or of your teams, the latest first."""
    return await _due(page, mine.of_caller, until)


@router.get(
    "/teams/{team_id:id}/objectives",
    operation_id="list_team_objectives",
    response_model=Page[ObjectiveView],
    responses=LISTING,
)
async def list_team_objectives(
    organization_id: UUID,
    team_id: UUID,
    page: ListState,
    cycle_id: UUID | None = None,
    status: Status | None = None,
    health: ShownHealth | None = None,
    text: Text | None = None,
    sort: Sort = None,
) -> Response:
    """The objectives that the team owns, and those with a key result given to it."""

    async def narrow(reader: Reader) -> dict[str, Any]:
        whose = await mine.of_team(reader, team_id)
        return {"objective_id": await mine.objective_ids(reader, whose)}

    return await page.rows(
        ObjectiveRow,
        goals.objectives,
        narrow=narrow,
        choice=narrowed(health, text, sort),
        cycle_id=cycle_id,
        status=status,
    )


@router.get(
    "/teams/{team_id:id}/check-ins-due",
    operation_id="list_team_check_ins_due",
    response_model=Page[DueCheckInView],
    responses=LISTING,
)
async def list_team_check_ins_due(
    organization_id: UUID, team_id: UUID, page: ListState, until: Until = None
) -> Response:
    """The key results that wait for a check-in of the team, the latest first."""
    return await _due(page, lambda reader: mine.of_team(reader, team_id), until)


async def _due(
    page: Listing, whose: Callable[[Reader], Awaitable[Mine]], until: date | None
) -> Response:
    known: list[Mine] = []
    in_time: list[Callable[[DueCheckInView], bool]] = []

    async def narrow(reader: Reader) -> dict[str, Any]:
        known.append(await whose(reader))
        in_time.append(mine.due_by(reader, until))
        return await mine.running_cycles(reader)

    async def theirs(reader: Reader, rows: list[KeyResultRow]) -> list[KeyResultRow]:
        return await mine.expected_of(reader, rows, known[0])

    choice = Choice(
        rows=theirs,
        views=lambda view: in_time[0](view),
        key=lambda view: float(view.due_at.timestamp()),
    )
    return await page.rows(KeyResultRow, mine.due, narrow=narrow, choice=choice)
