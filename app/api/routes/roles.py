"""Roles: who may do what, and how far."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.bodies.organization import LinkIdentityBody, RoleBody
from app.api.problems import READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, runs
from app.application import identities
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.roles import GrantedRole, GrantRole, WithdrawRole
from app.queries import programme, roles
from app.queries.programme import PersonView
from app.queries.roles import CallerView, PersonRolesView

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["roles"])
WriteRoles = Annotated[Write, runs(Scope.KEYS_WRITE)]


@router.get(
    "/me",
    operation_id="get_caller",
    response_model=CallerView,
    responses=READING,
)
async def get_caller(organization_id: UUID, read: ReadState) -> Response:
    """Who is asking, and what they may do here."""
    return await read(roles.of_caller)


@router.put(
    "/people/{person_id:id}/identity",
    operation_id="link_identity",
    response_model=PersonView,
    responses=declared(*WRITES),
)
async def link_identity(
    organization_id: UUID, person_id: UUID, body: LinkIdentityBody, write: WriteRoles
) -> Response:
    """Have the tokens of somebody at the OpenID Connect provider speak for this person."""

    async def work(unit: UnitOfWork) -> Answer:
        await identities.link(unit, person_id, body.issuer, body.subject)
        return await answer(unit, programme.person, person_id)

    return await write(work)


@router.delete(
    "/people/{person_id:id}/identity",
    operation_id="unlink_identity",
    response_model=PersonView,
    responses=declared(*WRITES),
)
async def unlink_identity(organization_id: UUID, person_id: UUID, write: WriteRoles) -> Response:
    """Tokens speak for the person no longer, from the next request on."""

    async def work(unit: UnitOfWork) -> Answer:
        await identities.unlink(unit, person_id)
        return await answer(unit, programme.person, person_id)

    return await write(work)


@router.get(
    "/people/{person_id:id}/roles",
    operation_id="get_person_roles",
    response_model=PersonRolesView,
    responses=READING,
)
async def get_person_roles(organization_id: UUID, person_id: UUID, read: ReadState) -> Response:
    """The roles of a person: granted ones, and those that teams and coaching bring along."""
    return await read(roles.of_person, person_id)


@router.put(
    "/people/{person_id:id}/roles/{role}",
    operation_id="grant_role",
    response_model=PersonRolesView,
    responses=declared(*WRITES),
)
async def grant_role(
    organization_id: UUID,
    person_id: UUID,
    role: GrantedRole,
    write: WriteRoles,
    body: RoleBody | None = None,
) -> Response:
    """Make somebody an administrator or an auditor. Nobody grants more than they have."""
    command = GrantRole(
        person_id=person_id,
        role=role,
        held=write.caller.scopes,
        reason=body.reason if body else None,
    )
    return await write.apply(command, roles.of_person, person_id)


@router.delete(
    "/people/{person_id:id}/roles/{role}",
    operation_id="withdraw_role",
    response_model=PersonRolesView,
    responses=declared(*WRITES),
)
async def withdraw_role(
    organization_id: UUID, person_id: UUID, role: GrantedRole, write: WriteRoles
) -> Response:
    """Take a granted role back. It works no longer from the next request on."""
    command = WithdrawRole(person_id=person_id, role=role)
    return await write.apply(command, roles.of_person, person_id)
