"""People."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.bodies.organization import CorrectPersonBody, ErasePersonBody, RegisterPersonBody
from app.api.demands import demands
from app.api.lists import ListState
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates, writes
from app.application.directory import correct, enter
from app.application.erasure import erase
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.person import ENTRY, Entry, RecordDeparture, RegisterPerson
from app.projections.people import PersonRow
from app.queries import person_review, programme
from app.queries.person_review import PersonReviewView
from app.queries.programme import PersonView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}/people", tags=["people"])
CreatePeople = Annotated[Write, creates(Scope.PEOPLE_WRITE)]
Erase = Annotated[Write, writes(Scope.ORGANIZATION_WRITE)]
WritePeople = Annotated[Write, writes(Scope.PEOPLE_WRITE)]


@router.post(
    "",
    operation_id="register_person",
    status_code=201,
    response_model=PersonView,
    responses=declared(*WRITES),
)
async def register_person(
    organization_id: UUID, body: RegisterPersonBody, write: CreatePeople
) -> Response:
    """Register a person. Name and address go to the directory, never into the ledger."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("person")
        await unit.execute(RegisterPerson(person_id=id, external=body.external))
        await enter(unit.conn, organization_id, id, body.name, body.email)
        location = f"/v1/organizations/{organization_id}/people/{id}"
        return await answer(unit, programme.person, id, status=201, location=location)

    return await write(work)


@router.get(
    "",
    operation_id="list_people",
    response_model=Page[PersonView],
    responses=LISTING,
)
async def list_people(
    organization_id: UUID,
    page: ListState,
    active: bool | None = None,
) -> Response:
    """People, in the order of their registration."""
    return await page.rows(PersonRow, programme.people, active=active)


@router.get(
    "/{person_id:id}",
    operation_id="get_person",
    response_model=PersonView,
    responses=READING,
)
async def get_person(organization_id: UUID, person_id: UUID, read: ReadState) -> Response:
    """One person, with their teams."""
    return await read(programme.person, person_id)


@router.patch(
    "/{person_id:id}",
    operation_id="correct_person",
    response_model=PersonView,
    responses=declared(*WRITES, "version-required"),
)
async def correct_person(
    organization_id: UUID, person_id: UUID, body: CorrectPersonBody, write: WritePeople
) -> Response:
    """Correct a name or an address in the directory. The ledger says that it was, not to what.

    It can be corrected of a person who left, too.
    """
    expected = write.require_version()
    stated: Entry = {name: getattr(body, name) for name in ENTRY if name in body.model_fields_set}

    async def work(unit: UnitOfWork) -> Answer:
        await correct(unit, person_id, stated, expected=expected)
        return await answer(unit, programme.person, person_id)

    return await write(work)


@router.post(
    "/{person_id:id}:depart",
    operation_id="record_departure",
    response_model=PersonView,
    responses=declared(*WRITES),
)
async def record_departure(organization_id: UUID, person_id: UUID, write: WritePeople) -> Response:
    """The person leaves the organisation. What they did stays theirs."""

    command = RecordDeparture(person_id=person_id)
    return await write.apply(command, programme.person, person_id)


@router.post(
    "/{person_id:id}:erase",
    operation_id="erase_person",
    response_model=PersonView,
    responses=declared(*WRITES),
)
@demands(long_statements=True)
async def erase_person(
    organization_id: UUID, person_id: UUID, write: Erase, body: ErasePersonBody | None = None
) -> Response:
    """Destroy a person's name, address, and all that they wrote. Nothing brings it back.

    Their id, scores and every hash stay, so that history still proves itself.
    """

    async def work(unit: UnitOfWork) -> Answer:
        await erase(unit, person_id, body.reason if body else None, expected=write.expected)
        return await answer(unit, programme.person, person_id)

    return await write(work)


@router.get(
    "/{person_id:id}/review",
    operation_id="get_person_review",
    response_model=PersonReviewView,
    responses=READING,
)
async def get_person_review(organization_id: UUID, person_id: UUID, read: ReadState) -> Response:
    """What a performance review may see: scores are withheld where reviews are decoupled."""
    return await read(person_review.review, person_id)
