"""The tree of teams."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from app.api.bodies.organization import ChangeTeamBody, FormTeamBody, MemberBody
from app.api.lists import ListState
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.messages import Stream
from app.domain.team import (
    AddMember,
    DisbandTeam,
    FormTeam,
    MoveTeam,
    RemoveMember,
    RenameTeam,
    TeamCommand,
)
from app.projections.teams import TeamRow
from app.queries import programme
from app.queries.programme import TeamView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}/teams", tags=["teams"])
CreateTeams = Annotated[Write, creates(Scope.PEOPLE_WRITE)]
WriteTeams = Annotated[Write, writes(Scope.PEOPLE_WRITE)]


@router.post(
    "",
    operation_id="form_team",
    status_code=201,
    response_model=TeamView,
    responses=declared(*WRITES),
)
async def form_team(organization_id: UUID, body: FormTeamBody, write: CreateTeams) -> Response:
    """Form a team. The company is the team at the top, of level `company`."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("team")
        await unit.execute(
            FormTeam(
                team_id=id,
                name=body.name,
                level=body.level,
                parent_id=body.parent_id,
                external=body.external,
            )
        )
        location = f"/v1/organizations/{organization_id}/teams/{id}"
        return await answer(unit, programme.team, id, status=201, location=location)

    return await write(work)


@router.get(
    "",
    operation_id="list_teams",
    response_model=Page[TeamView],
    responses=LISTING,
)
async def list_teams(
    organization_id: UUID,
    page: ListState,
    parent_id: UUID | None = None,
    active: bool | None = None,
) -> Response:
    """Teams, in the order in which they were formed."""
    return await page.rows(TeamRow, programme.teams, parent_id=parent_id, active=active)


@router.get(
    "/{team_id:id}",
    operation_id="get_team",
    response_model=TeamView,
    responses=READING,
)
async def get_team(organization_id: UUID, team_id: UUID, read: ReadState) -> Response:
    """One team, with its members."""
    return await read(programme.team, team_id)


@router.patch(
    "/{team_id:id}",
    operation_id="change_team",
    response_model=TeamView,
    responses=declared(*WRITES, "version-required", "team-loop"),
)
async def change_team(
    organization_id: UUID, team_id: UUID, body: ChangeTeamBody, write: WriteTeams
) -> Response:
    """Rename a team, move it, or both at once."""
    expected = write.require_version()

    async def work(unit: UnitOfWork) -> Answer:
        commands: list[TeamCommand] = []
        if "parent_id" in body.model_fields_set:
            commands.append(MoveTeam(team_id=team_id, parent_id=body.parent_id))
        if "name" in body.model_fields_set:
            commands.append(RenameTeam(team_id=team_id, name=body.name))
        await unit.expect(Stream("team", team_id), expected)
        for command in commands:
            await unit.execute(command)
        return await answer(unit, programme.team, team_id)

    return await write(work)


@router.post(
    "/{team_id:id}:disband",
    operation_id="disband_team",
    response_model=TeamView,
    responses=declared(*WRITES),
)
async def disband_team(organization_id: UUID, team_id: UUID, write: WriteTeams) -> Response:
    """Disband a team that has no teams below it and no open goals."""
    return await write.apply(DisbandTeam(team_id=team_id), programme.team, team_id)


@router.put(
    "/{team_id:id}/members/{person_id:id}",
    operation_id="add_member",
    response_model=TeamView,
    responses=declared(*WRITES),
)
async def add_member(
    organization_id: UUID, team_id: UUID, person_id: UUID, body: MemberBody, write: WriteTeams
) -> Response:
    """Make a person a member of the team, or give a member another part in it."""
    command = AddMember(team_id=team_id, person_id=person_id, role=body.role)
    return await write.apply(command, programme.team, team_id)


@router.delete(
    "/{team_id:id}/members/{person_id:id}",
    operation_id="remove_member",
    response_model=TeamView,
    responses=declared(*WRITES),
)
async def remove_member(
    organization_id: UUID, team_id: UUID, person_id: UUID, write: WriteTeams
) -> Response:
    """Let a person leave the team."""
    command = RemoveMember(team_id=team_id, person_id=person_id)
    return await write.apply(command, programme.team, team_id)
