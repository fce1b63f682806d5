"""The calendar of a programme: a year's cycles, changes of what is planned, and what is due."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.bodies.common import ReasonBody
from app.api.bodies.cycles import ChangeCycleBody, PlanYearBody
from app.api.problems import READING, WRITES, declared
from app.api.reading import ReadState, digest_tag
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.cycle import CycleCommand
from app.domain.messages import Stream
from app.domain.planning import CancelCycle, PlanCycles, RenameCycle, RescheduleCycle, year_plan
from app.domain.values import Day
from app.queries import cycles, feed, reminders
from app.queries.cycles import CycleView, PlannedView
from app.queries.reminders import RemindersView

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["cycles"])
CreateCycles = Annotated[Write, creates(Scope.CYCLES_WRITE)]
WriteCycles = Annotated[Write, writes(Scope.CYCLES_WRITE)]


class CalendarResponse(Response):
    media_type = "text/calendar; charset=utf-8"


@router.post(
    "/cycles:plan",
    operation_id="plan_cycles",
    status_code=201,
    response_model=PlannedView,
    responses=declared(*WRITES, "decision-refuses"),
)
async def plan_cycles(organization_id: UUID, body: PlanYearBody, write: CreateCycles) -> Response:
    """Plan a year's cycles from the cadence decided, with their windows.

    Levels of one cadence share their cycles. A year cycle is planned where a level has that
    cadence, or `with_year` asks for one; the shorter ones nest in it, or in `parent_id`, which was
    planned before.
    """

    async def work(unit: UnitOfWork) -> Answer:
        deployment = await unit.state("deployment", organization_id)
        drafts = year_plan(
            deployment,
            body.year,
            starts_on=body.starts_on,
            levels=body.levels,
            with_year=body.with_year,
        )
        ids = tuple(unit.new_id("cycle") for _ in drafts)
        command = PlanCycles(
            ids=ids,
            year=body.year,
            starts_on=body.starts_on,
            levels=body.levels,
            with_year=body.with_year,
            parent_id=body.parent_id,
        )
        await unit.execute(command)
        location = f"/v1/organizations/{organization_id}/cycles"
        return await answer(unit, cycles.planned, ids, status=201, location=location)

    return await write(work)


@router.patch(
    "/cycles/{cycle_id:id}",
    operation_id="change_cycle",
    response_model=CycleView,
    responses=declared(*WRITES, "version-required", "decision-refuses"),
)
async def change_cycle(
    organization_id: UUID, cycle_id: UUID, body: ChangeCycleBody, write: WriteCycles
) -> Response:
    """Rename a cycle, move its days, or both at once. Days move until it is opened."""
    expected = write.require_version()

    async def work(unit: UnitOfWork) -> Answer:
        stated = body.model_fields_set
        commands: list[CycleCommand] = []
        if stated & {"starts_on", "ends_on"}:
            commands.append(
                RescheduleCycle(
                    cycle_id=cycle_id,
                    starts_on=body.starts_on if "starts_on" in stated else None,
                    ends_on=body.ends_on if "ends_on" in stated else None,
                )
            )
        if "name" in stated:
            commands.append(RenameCycle(cycle_id=cycle_id, name=body.name))
        await unit.expect(Stream("cycle", cycle_id), expected)
        for command in commands:
            await unit.execute(command)
        return await answer(unit, cycles.cycle, cycle_id)

    return await write(work)


@router.post(
    "/cycles/{cycle_id:id}:cancel",
    operation_id="cancel_cycle",
    response_model=CycleView,
    responses=declared(*WRITES),
)
async def cancel_cycle(
    organization_id: UUID, cycle_id: UUID, body: ReasonBody, write: WriteCycles
) -> Response:
    """Cancel a cycle that is only planned, and holds no others."""
    command = CancelCycle(cycle_id=cycle_id, reason=body.reason)
    return await write.apply(command, cycles.cycle, cycle_id)


@router.get(
    "/reminders",
    operation_id="get_reminders",
    response_model=RemindersView,
    responses=READING,
)
async def get_reminders(
    organization_id: UUID,
    read: ReadState,
    until: Annotated[
        Day | None,
        Query(description="The last day to look at; else 14 days from the moment shown."),
    ] = None,
) -> Response:
    """What is due and was not done yet, the earliest first; at most 500."""
    last: date | None = until
    return await read(reminders.reminders, last)


@router.get(
    "/calendar.ics",
    operation_id="get_calendar",
    response_class=CalendarResponse,
    responses=READING,
)
async def get_calendar(organization_id: UUID, read: ReadState) -> Response:
    """The dates of all cycles as an iCalendar feed: drafting, check-ins, reflection, scoring."""
    async with read.reader() as reader:
        body = await feed.feed(reader)
    return read.send(body, digest_tag(body), reader, CalendarResponse.media_type)
