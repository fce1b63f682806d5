"""Phase 2: workshops, coaches, and the readiness that the first cycle waits for."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.bodies.common import OptionalReasonBody, ReasonBody
from app.api.bodies.preparation import (
    CertifyCoachBody,
    CoverTeamsBody,
    DesignateCoachBody,
    OutcomeBody,
    PeopleBody,
    RescheduleWorkshopBody,
    ScheduleWorkshopBody,
)
from app.api.lists import ListState, each
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.coach import CertifyCoach, CoverTeams, DesignateCoach, RelieveCoach
from app.domain.workshop import (
    CancelWorkshop,
    CompleteWorkshop,
    InvitePeople,
    RecordAttendance,
    RecordOutcome,
    RescheduleWorkshop,
    ScheduleWorkshop,
    WorkshopCommand,
    WorkshopKind,
    WorkshopStatus,
)
from app.projections.coaches import CoachRow
from app.projections.workshops import WorkshopRow
from app.queries import training
from app.queries.training import CoachView, ReadinessView, WorkshopView
from app.queries.views import Page

_ORGANIZATION = "/v1/organizations/{organization_id}"
workshops = APIRouter(prefix=f"{_ORGANIZATION}/workshops", tags=["training"])
coaches = APIRouter(prefix=f"{_ORGANIZATION}/coaches", tags=["training"])
readiness = APIRouter(prefix=f"{_ORGANIZATION}/readiness", tags=["training"])
CreateTraining = Annotated[Write, creates(Scope.TRAINING_WRITE)]
WriteTraining = Annotated[Write, writes(Scope.TRAINING_WRITE)]


async def _of_workshop(write: Write, command: WorkshopCommand) -> Response:
    return await write.apply(command, training.workshop, command.workshop_id)


# Workshops --------------------------------------------------------------------------------


@workshops.post(
    "",
    operation_id="schedule_workshop",
    status_code=201,
    response_model=WorkshopView,
    responses=declared(*WRITES),
)
async def schedule_workshop(
    organization_id: UUID, body: ScheduleWorkshopBody, write: CreateTraining
) -> Response:
    """Schedule a workshop, or enter one that was held.

    A leadership workshop that states no quorum needs half of those invited.
    """

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("workshop")
        await unit.execute(
            ScheduleWorkshop(
                workshop_id=id,
                kind=body.kind,
                title=body.title,
                scheduled_at=body.scheduled_at,
                agenda=body.agenda,
                team_id=body.team_id,
                quorum=body.quorum,
            )
        )
        location = f"/v1/organizations/{organization_id}/workshops/{id}"
        return await answer(unit, training.workshop, id, status=201, location=location)

    return await write(work)


@workshops.get(
    "",
    operation_id="list_workshops",
    response_model=Page[WorkshopView],
    responses=LISTING,
)
async def list_workshops(
    organization_id: UUID,
    page: ListState,
    kind: WorkshopKind | None = None,
    status: WorkshopStatus | None = None,
    team_id: UUID | None = None,
) -> Response:
    """Workshops, in the order in which they were scheduled."""
    view = each(training.workshop_view)
    return await page.rows(WorkshopRow, view, kind=kind, status=status, team_id=team_id)


@workshops.get(
    "/{workshop_id:id}",
    operation_id="get_workshop",
    response_model=WorkshopView,
    responses=READING,
)
async def get_workshop(organization_id: UUID, workshop_id: UUID, read: ReadState) -> Response:
    """One workshop: who was invited, who came, and what it led to."""
    return await read(training.workshop, workshop_id)


@workshops.post(
    "/{workshop_id:id}:invite",
    operation_id="invite_people",
    response_model=WorkshopView,
    responses=declared(*WRITES),
)
async def invite_people(
    organization_id: UUID, workshop_id: UUID, body: PeopleBody, write: WriteTraining
) -> Response:
    """Invite people, beside those who are invited already."""
    return await _of_workshop(write, InvitePeople(workshop_id=workshop_id, people=body.people))


@workshops.post(
    "/{workshop_id:id}:record-attendance",
    operation_id="record_attendance",
    response_model=WorkshopView,
    responses=declared(*WRITES),
)
async def record_attendance(
    organization_id: UUID, workshop_id: UUID, body: PeopleBody, write: WriteTraining
) -> Response:
    """Say who came, of those invited: all of them, in place of what was said before."""
    return await _of_workshop(write, RecordAttendance(workshop_id=workshop_id, people=body.people))


@workshops.post(
    "/{workshop_id:id}:record-outcome",
    operation_id="record_outcome",
    response_model=WorkshopView,
    responses=declared(*WRITES),
)
async def record_outcome(
    organization_id: UUID, workshop_id: UUID, body: OutcomeBody, write: WriteTraining
) -> Response:
    """Say what introducing OKRs means for us, in place of what was said before."""
    return await _of_workshop(write, RecordOutcome(workshop_id=workshop_id, outcome=body.outcome))


@workshops.post(
    "/{workshop_id:id}:complete",
    operation_id="complete_workshop",
    response_model=WorkshopView,
    responses=declared(*WRITES),
)
async def complete_workshop(
    organization_id: UUID, workshop_id: UUID, write: WriteTraining
) -> Response:
    """Complete a workshop. Below its quorum it is completed too, but does not count."""
    return await _of_workshop(write, CompleteWorkshop(workshop_id=workshop_id))


@workshops.post(
    "/{workshop_id:id}:cancel",
    operation_id="cancel_workshop",
    response_model=WorkshopView,
    responses=declared(*WRITES),
)
async def cancel_workshop(
    organization_id: UUID, workshop_id: UUID, body: ReasonBody, write: WriteTraining
) -> Response:
    """Call a workshop off, and say why."""
    return await _of_workshop(write, CancelWorkshop(workshop_id=workshop_id, reason=body.reason))


@workshops.post(
    "/{workshop_id:id}:reschedule",
    operation_id="reschedule_workshop",
    response_model=WorkshopView,
    responses=declared(*WRITES),
)
async def reschedule_workshop(
    organization_id: UUID, workshop_id: UUID, body: RescheduleWorkshopBody, write: WriteTraining
) -> Response:
    """Move a workshop to another time."""
    command = RescheduleWorkshop(
        workshop_id=workshop_id, scheduled_at=body.scheduled_at, reason=body.reason
    )
    return await _of_workshop(write, command)


# Coaches ----------------------------------------------------------------------------------


@coaches.post(
    "",
    operation_id="designate_coach",
    status_code=201,
    response_model=CoachView,
    responses=declared(*WRITES),
)
async def designate_coach(
    organization_id: UUID, body: DesignateCoachBody, write: CreateTraining
) -> Response:
    """Designate a person as a coach; one who was relieved may be designated again."""

    async def work(unit: UnitOfWork) -> Answer:
        await unit.execute(DesignateCoach(person_id=body.person_id))
        location = f"/v1/organizations/{organization_id}/coaches/{body.person_id}"
        return await answer(unit, training.coach, body.person_id, status=201, location=location)

    return await write(work)


@coaches.get(
    "",
    operation_id="list_coaches",
    response_model=Page[CoachView],
    responses=LISTING,
)
async def list_coaches(
    organization_id: UUID, page: ListState, active: bool | None = None
) -> Response:
    """Coaches, in the order of their designation."""
    return await page.rows(CoachRow, training.coaches, active=active)


@coaches.get(
    "/{person_id:id}",
    operation_id="get_coach",
    response_model=CoachView,
    responses=READING,
)
async def get_coach(organization_id: UUID, person_id: UUID, read: ReadState) -> Response:
    """One coach: certified until when, and for which teams."""
    return await read(training.coach, person_id)


@coaches.post(
    "/{person_id:id}:certify",
    operation_id="certify_coach",
    response_model=CoachView,
    responses=declared(*WRITES),
)
async def certify_coach(
    organization_id: UUID, person_id: UUID, body: CertifyCoachBody, write: WriteTraining
) -> Response:
    """Certify a coach who attended a completed coach workshop; by default for a year."""
    command = CertifyCoach(
        person_id=person_id, workshop_id=body.workshop_id, expires_on=body.expires_on
    )
    return await write.apply(command, training.coach, person_id)


@coaches.post(
    "/{person_id:id}:cover-teams",
    operation_id="cover_teams",
    response_model=CoachView,
    responses=declared(*WRITES),
)
async def cover_teams(
    organization_id: UUID, person_id: UUID, body: CoverTeamsBody, write: WriteTraining
) -> Response:
    """Say which teams the coach covers: all of them, in place of what was said before."""
    command = CoverTeams(person_id=person_id, teams=body.teams)
    return await write.apply(command, training.coach, person_id)


@coaches.post(
    "/{person_id:id}:relieve",
    operation_id="relieve_coach",
    response_model=CoachView,
    responses=declared(*WRITES),
)
async def relieve_coach(
    organization_id: UUID,
    person_id: UUID,
    write: WriteTraining,
    body: OptionalReasonBody | None = None,
) -> Response:
    """Let a coach go, and say why."""
    command = RelieveCoach(person_id=person_id, reason=body.reason if body else None)
    return await write.apply(command, training.coach, person_id)


# Readiness --------------------------------------------------------------------------------


@readiness.get(
    "",
    operation_id="get_readiness",
    response_model=ReadinessView,
    responses=READING,
)
async def get_readiness(organization_id: UUID, read: ReadState) -> Response:
    """Whether the first cycle may be opened, or what is missing, and if that was overridden."""
    return await read(training.readiness)
