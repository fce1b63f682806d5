"""Organisations."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app.api.bodies.organization import FoundOrganizationBody, RenameOrganizationBody
from app.api.callers import AnyCaller
from app.api.exports import MEDIA_TYPE as CSV
from app.api.exports import Sheet
from app.api.lists import AsCsv, sheet_headers
from app.api.problems import READING, SHEET, WRITES, declared
from app.api.reading import ReadState, json_response
from app.api.writing import Founding, Write, answer, writes
from app.application.idempotency import Answer
from app.application.keys import visible_organizations
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.organization import FoundOrganization, RenameOrganization
from app.queries import programme
from app.queries.programme import OrganizationView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations", tags=["organizations"])
WriteOrganization = Annotated[Write, writes(Scope.ORGANIZATION_WRITE)]


@router.post(
    "",
    operation_id="found_organization",
    status_code=201,
    response_model=OrganizationView,
    responses=declared(*WRITES),
)
async def found_organization(body: FoundOrganizationBody, write: Founding) -> Response:
    """Found an organisation, with a ledger of its own. For operators."""
    id = write.org_id

    async def work(unit: UnitOfWork) -> Answer:
        await unit.execute(FoundOrganization(organization_id=id, name=body.name))
        return await answer(
            unit, programme.organization, status=201, location=f"/v1/organizations/{id}"
        )

    return await write(work, founding=True)


@router.get(
    "",
    operation_id="list_organizations",
    response_model=Page[OrganizationView],
    responses=SHEET
    | declared(
        "unauthenticated",
        "uri-too-long",
        "invalid",
        "too-many-requests",
        "headers-too-large",
        "internal",
        "unavailable",
    ),
)
async def list_organizations(request: Request, caller: AnyCaller, as_csv: AsCsv) -> Response:
    """The organisations that this key may see: all for an operator, else its own."""
    ledgers: Ledgers = request.app.state.ledgers
    rows = await visible_organizations(ledgers.pool, caller)
    views = [programme.organization_view(row) for row in rows]
    if as_csv:
        sheet = Sheet(OrganizationView)
        sheet.add(views)
        return StreamingResponse(sheet.parts(), 200, sheet_headers(request, sheet), CSV)
    page = Page[OrganizationView](items=views)
    return json_response(page.model_dump_json().encode(), headers={"Vary": "Accept"})


@router.get(
    "/{organization_id}",
    operation_id="get_organization",
    response_model=OrganizationView,
    responses=READING,
)
async def get_organization(organization_id: UUID, read: ReadState) -> Response:
    """The organisation: its name, and when it was founded."""
    return await read(programme.organization)


@router.patch(
    "/{organization_id}",
    operation_id="rename_organization",
    response_model=OrganizationView,
    responses=declared(*WRITES, "version-required"),
)
async def rename_organization(
    organization_id: UUID, body: RenameOrganizationBody, write: WriteOrganization
) -> Response:
    """Give the organisation another name."""
    command = RenameOrganization(organization_id=organization_id, name=body.name)
    return await write.apply(command, programme.organization, overwrites=bool)
