"""KPIs beside OKRs: watched, read, brought into focus as key results, and returned."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from uuid_utils.compat import uuid7

from app.api.bodies.common import ReasonBody, narrow, patched
from app.api.bodies.goals import FocusKpiBody, KpiReadingBody, RegisterKpiBody, ReviseKpiBody
from app.api.lists import ListState, each
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.errors import NotFound
from app.domain.kpi_commands import (
    FocusKpi,
    RecordReading,
    RegisterKpi,
    RetireKpi,
    ReturnKpi,
    ReviseKpi,
)
from app.domain.kpi_terms import KpiTerms
from app.projections.kpi_readings import KpiReadingRow
from app.projections.kpis import KpiRow
from app.queries import kpis
from app.queries.kpis import KpiReadingView, KpiView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}/kpis", tags=["KPIs"])
CreateKpis = Annotated[Write, creates(Scope.OBJECTIVES_WRITE)]
WriteKpis = Annotated[Write, writes(Scope.OBJECTIVES_WRITE)]
WriteReadings = Annotated[Write, writes(Scope.CHECK_INS_WRITE)]


@router.post(
    "",
    operation_id="register_kpi",
    status_code=201,
    response_model=KpiView,
    responses=declared(*WRITES),
)
async def register_kpi(organization_id: UUID, body: RegisterKpiBody, write: CreateKpis) -> Response:
    """Register a KPI, with the range in which it is healthy."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("kpi")
        await unit.execute(
            RegisterKpi(kpi_id=id, terms=narrow(KpiTerms, body), external=body.external)
        )
        location = f"/v1/organizations/{organization_id}/kpis/{id}"
        return await answer(unit, kpis.kpi, id, status=201, location=location)

    return await write(work)


@router.get("", operation_id="list_kpis", response_model=Page[KpiView], responses=LISTING)
async def list_kpis(
    organization_id: UUID,
    page: ListState,
    owner_id: UUID | None = None,
    in_focus: bool | None = None,
    in_range: bool | None = None,
    retired: bool | None = None,
) -> Response:
    """KPIs, in the order of their registration."""
    return await page.rows(
        KpiRow,
        kpis.kpis,
        owner_id=owner_id,
        in_focus=in_focus,
        in_range=in_range,
        retired=retired,
    )


@router.get("/{kpi_id:id}", operation_id="get_kpi", response_model=KpiView, responses=READING)
async def get_kpi(organization_id: UUID, kpi_id: UUID, read: ReadState) -> Response:
    """One KPI: its range, its last reading, and whether it is in focus."""
    return await read(kpis.kpi, kpi_id)


@router.patch(
    "/{kpi_id:id}",
    operation_id="revise_kpi",
    response_model=KpiView,
    responses=declared(*WRITES, "version-required", "reason-missing"),
)
async def revise_kpi(
    organization_id: UUID, kpi_id: UUID, body: ReviseKpiBody, write: WriteKpis
) -> Response:
    """Change a KPI. A change of what counts as healthy needs a reason, and judges it anew."""
    expected = write.require_version()

    async def work(unit: UnitOfWork) -> Answer:
        current = await unit.state("kpi", kpi_id)
        if current is None:
            raise NotFound("KPI", kpi_id)
        terms = patched(KpiTerms, current.terms, body)
        command = ReviseKpi(kpi_id=kpi_id, terms=terms, reason=body.reason)
        await unit.execute(command, expected=expected)
        return await answer(unit, kpis.kpi, kpi_id)

    return await write(work)


@router.post(
    "/{kpi_id:id}:retire",
    operation_id="retire_kpi",
    response_model=KpiView,
    responses=declared(*WRITES),
)
async def retire_kpi(
    organization_id: UUID, kpi_id: UUID, body: ReasonBody, write: WriteKpis
) -> Response:
    """Watch a KPI no more; its history stays."""
    return await write.apply(RetireKpi(kpi_id=kpi_id, reason=body.reason), kpis.kpi, kpi_id)


@router.post(
    "/{kpi_id:id}/readings",
    operation_id="record_reading",
    status_code=201,
    response_model=KpiReadingView,
    responses=declared(*WRITES, "decision-refuses", "outside-cycle"),
)
async def record_reading(
    organization_id: UUID, kpi_id: UUID, body: KpiReadingBody, write: WriteReadings
) -> Response:
    """Record a reading. In focus, it is a check-in on the key result as well."""

    async def work(unit: UnitOfWork) -> Answer:
        id = uuid7()
        command = RecordReading(
            kpi_id=kpi_id,
            reading_id=id,
            check_in_id=uuid7(),
            value=body.value,
            occurred_at=body.occurred_at or unit.at,
            note=body.note,
            external=body.external,
        )
        await unit.execute(command, expected=write.expected)
        location = f"/v1/organizations/{organization_id}/kpis/{kpi_id}/readings/{id}"
        return await answer(unit, kpis.reading, kpi_id, id, status=201, location=location)

    return await write(work, recognised=body.external is not None)


@router.get(
    "/{kpi_id:id}/readings",
    operation_id="list_readings",
    response_model=Page[KpiReadingView],
    responses=LISTING,
)
async def list_readings(organization_id: UUID, kpi_id: UUID, page: ListState) -> Response:
    """Every reading of a KPI, in the order in which they were recorded."""
    return await page.rows(
        KpiReadingRow,
        each(kpis.reading_view),
        within=lambda reader: kpis.kpi_row(reader, kpi_id),
        kpi_id=kpi_id,
    )


@router.get(
    "/{kpi_id:id}/readings/{reading_id:id}",
    operation_id="get_reading",
    response_model=KpiReadingView,
    responses=READING,
)
async def get_reading(
    organization_id: UUID, kpi_id: UUID, reading_id: UUID, read: ReadState
) -> Response:
    """One reading of a KPI."""
    return await read(kpis.reading, kpi_id, reading_id)


@router.post(
    "/{kpi_id:id}:focus",
    operation_id="focus_kpi",
    response_model=KpiView,
    responses=declared(*WRITES, "decision-refuses"),
)
async def focus_kpi(
    organization_id: UUID, kpi_id: UUID, body: FocusKpiBody, write: WriteKpis
) -> Response:
    """Make a KPI a key result of an objective, from its latest reading to a target."""

    async def work(unit: UnitOfWork) -> Answer:
        command = FocusKpi(
            kpi_id=kpi_id,
            key_result_id=unit.new_id("key_result"),
            objective_id=body.objective_id,
            target=body.target,
            baseline=body.baseline,
            commit=body.commit,
            stretch=body.stretch,
            title=body.title,
            weight=body.weight,
            owner=body.owner,
        )
        await unit.execute(command, expected=write.expected)
        return await answer(unit, kpis.kpi, kpi_id)

    return await write(work)


@router.post(
    "/{kpi_id:id}:return",
    operation_id="return_kpi",
    response_model=KpiView,
    responses=declared(*WRITES),
)
async def return_kpi(
    organization_id: UUID, kpi_id: UUID, body: ReasonBody, write: WriteKpis
) -> Response:
    """Make a KPI a health metric again; the key result stays, and is fed no more."""
    return await write.apply(ReturnKpi(kpi_id=kpi_id, reason=body.reason), kpis.kpi, kpi_id)
