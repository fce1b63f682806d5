"""The roles that people have, and what they amount to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.application.authority import grants_of, roles_of
from app.application.ledgers import Reader
from app.domain.access import Grant, Role, Scope
from app.domain.errors import NotFound
from app.projections.people import PersonRow
from app.projections.roles import RoleRow
from app.queries.views import View


class ReachView(View):
    """On whose behalf a role acts: the whole organisation, or these teams and people."""

    organization: bool
    teams: list[UUID]
    people: list[UUID]


class RoleView(View):
    """A role, what it may do, and how far. `granted_at` is null for one that follows from teams."""

    role: Role
    scopes: list[Scope]
    reach: ReachView
    granted_at: datetime | None
    reason: str | None


class PersonRolesView(View):
    person_id: UUID
    roles: list[RoleView]


class CallerView(View):
    """Who is asking, with the roles that the key that was presented leaves them."""

    actor: str = Field(examples=["person/01980000-0000-7000-8000-000000000001"])
    person_id: UUID | None
    scopes: list[Scope] = Field(description="What at least one of the roles may do.")
    roles: list[RoleView]


def _views(grants: Iterable[Grant], granted: Sequence[RoleRow]) -> list[RoleView]:
    rows = {row.role: row for row in granted}
    return [
        RoleView(
            role=grant.role,
            scopes=sorted(grant.scopes),
            reach=ReachView(
                organization=grant.reach.organization,
                teams=sorted(grant.reach.teams),
                people=sorted(grant.reach.people),
            ),
            granted_at=rows[grant.role].granted_at if grant.role in rows else None,
            reason=rows[grant.role].reason if grant.role in rows else None,
        )
        for grant in grants
    ]


async def of_person(reader: Reader, person_id: UUID) -> PersonRolesView:
    """Raises NotFound. Somebody who left has none."""
    if await reader.rows.get(PersonRow, person_id) is None:
        raise NotFound("person", person_id)
    granted = await reader.rows.select(RoleRow, {"person_id": person_id})
    roles = _views(await roles_of(reader.rows, person_id), granted)
    return PersonRolesView(person_id=person_id, roles=roles)


async def of_caller(reader: Reader) -> CallerView:
    caller = reader.caller
    assert caller is not None, "somebody asks"
    grants = await grants_of(reader.rows, caller)
    granted: list[RoleRow] = []
    if caller.person_id is not None:
        granted = await reader.rows.select(RoleRow, {"person_id": caller.person_id})
    return CallerView(
        actor=caller.actor,
        person_id=caller.person_id,
        scopes=sorted({scope for grant in grants for scope in grant.scopes}),
        roles=_views(grants, granted),
    )
