"""Looking back on how the programme was run: failure modes, calibration, the process survey."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from uuid_utils.compat import uuid7

from app.api.bodies.cycles import SurveyBody
from app.api.problems import READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates
from app.application import surveys
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.survey import AnswerSurvey
from app.domain.values import Day
from app.queries import organization_health, programme_health
from app.queries.organization_health import Asked, OrganizationHealth
from app.queries.programme_health import HealthReport, SurveyView

organization = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["reviews"])
router = APIRouter(prefix="/v1/organizations/{organization_id}/cycles", tags=["reviews"])
AnswerIt = Annotated[Write, creates(Scope.REFLECTIONS_WRITE)]


@organization.get(
    "/health",
    operation_id="get_organization_health",
    response_model=OrganizationHealth,
    responses=READING,
)
async def get_organization_health(
    organization_id: UUID,
    read: ReadState,
    cycle_id: Annotated[
        list[UUID] | None, Query(max_length=100, description="Only these cycles.")
    ] = None,
    first_day: Annotated[
        Day | None, Query(alias="from", description="Only cycles that end on this day or later.")
    ] = None,
    last_day: Annotated[
        Day | None, Query(alias="to", description="Only cycles that begin on this day or before.")
    ] = None,
    team_id: UUID | None = None,
) -> Response:
    """The known ways to fail over all cycles, and cycle by cycle, so that a trend is seen."""
    asked = Asked(cycle_id or (), first_day, last_day, team_id)
    return await read(organization_health.health, asked)


@router.get(
    "/{cycle_id:id}/health",
    operation_id="get_programme_health",
    response_model=HealthReport,
    responses=READING,
)
async def get_programme_health(
    organization_id: UUID, cycle_id: UUID, read: ReadState, team_id: UUID | None = None
) -> Response:
    """The known ways to fail, each with its definition, its figures and the items behind it."""
    return await read(programme_health.health, cycle_id, team_id)


@router.get(
    "/{cycle_id:id}/survey",
    operation_id="get_survey",
    response_model=SurveyView,
    responses=READING,
)
async def get_survey(organization_id: UUID, cycle_id: UUID, read: ReadState) -> Response:
    """Averages, and what they say beside the results: a problem of strategy or of rhythm."""
    return await read(programme_health.survey, cycle_id)


@router.post(
    "/{cycle_id:id}/survey",
    operation_id="answer_survey",
    status_code=201,
    response_model=SurveyView,
    responses=declared(*WRITES),
)
async def answer_survey(
    organization_id: UUID, cycle_id: UUID, body: SurveyBody, write: AnswerIt
) -> Response:
    """Answer for nobody in particular: the history does not say who did.

    A person answers once for each cycle: that they took part is kept beside the ledger.
    """

    async def work(unit: UnitOfWork) -> Answer:
        unit.meta = replace(unit.meta, actor="anonymous", correlation_id=uuid7())
        command = AnswerSurvey(
            answer_id=uuid7(),
            cycle_id=cycle_id,
            answers=body.answers,
            person_id=write.caller.person_id,
        )
        await unit.execute(command)
        await surveys.take_part(unit, cycle_id, write.caller.person_id)
        return await answer(unit, programme_health.survey, cycle_id, status=201)

    return await write(work)
