"""Workshops, coaches, and whether execution may begin."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from app.application.ledgers import Reader
from app.application.preparation import prepared
from app.domain.errors import NotFound
from app.domain.readiness import Condition, assess
from app.domain.workshop import Quorum, WorkshopKind, WorkshopStatus
from app.projections.coaches import CoachRow
from app.projections.workshops import WorkshopRow
from app.queries.views import Resource, View, directory

# Workshops --------------------------------------------------------------------------------


class WorkshopView(Resource):
    """`needed` is how many had to come, and `quorum_reached` whether they did: once completed."""

    kind: WorkshopKind
    title: str
    scheduled_at: datetime
    agenda: list[str]
    team_id: UUID | None
    quorum: Quorum | None
    status: WorkshopStatus
    invited: list[UUID]
    attended: list[UUID]
    outcome: list[str]
    completed_at: datetime | None
    needed: int | None
    quorum_reached: bool | None
    cancelled_reason: str | None


def workshop_view(row: WorkshopRow) -> WorkshopView:
    return WorkshopView(
        id=row.workshop_id,
        version=row.version,
        kind=WorkshopKind(row.kind),
        title=row.title,
        scheduled_at=row.scheduled_at,
        agenda=row.agenda,
        team_id=row.team_id,
        quorum=row.quorum,
        status=WorkshopStatus(row.status),
        invited=row.invited,
        attended=row.attended,
        outcome=row.outcome,
        completed_at=row.completed_at,
        needed=row.needed,
        quorum_reached=row.quorum_reached,
        cancelled_reason=row.cancelled_reason,
    )


async def workshop(reader: Reader, workshop_id: UUID) -> WorkshopView:
    row = await reader.rows.get(WorkshopRow, workshop_id)
    if row is None:
        raise NotFound("workshop", workshop_id)
    return workshop_view(row)


# Coaches ----------------------------------------------------------------------------------


class CertificateView(View):
    """`holds` says whether it has not expired; it holds to the end of its last day, in UTC."""

    workshop_id: UUID
    certified_on: date
    expires_on: date
    holds: bool


class CoachView(Resource):
    """The id is the person's; the name comes from the directory, which has no history."""

    name: str | None
    active: bool
    designated_at: datetime
    certificate: CertificateView | None
    teams: list[UUID]
    relieved_reason: str | None


def _certificate(row: CoachRow, at: datetime) -> CertificateView | None:
    if row.workshop_id is None or row.certified_on is None or row.expires_on is None:
        return None
    return CertificateView(
        workshop_id=row.workshop_id,
        certified_on=row.certified_on,
        expires_on=row.expires_on,
        holds=at.date() <= row.expires_on,
    )


async def coaches(reader: Reader, rows: list[CoachRow]) -> list[CoachView]:
    found = await directory(reader, [row.person_id for row in rows]) if rows else []
    names: dict[Any, str] = {entry.person_id: entry.name for entry in found}
    return [
        CoachView(
            id=row.person_id,
            version=row.version,
            name=names.get(row.person_id),
            active=row.active,
            designated_at=row.designated_at,
            certificate=_certificate(row, reader.at),
            teams=row.teams,
            relieved_reason=row.relieved_reason,
        )
        for row in rows
    ]


async def coach(reader: Reader, person_id: UUID) -> CoachView:
    row = await reader.rows.get(CoachRow, person_id)
    if row is None:
        raise NotFound("coach", person_id)
    return (await coaches(reader, [row]))[0]


# Readiness --------------------------------------------------------------------------------


class OverriddenView(View):
    """The first cycle was opened before all was ready: by whom it was answered for, and why."""

    cycle_id: UUID
    person_id: UUID
    reason: str
    opened_at: datetime


class ReadinessView(View):
    """Whether the first cycle may be opened; each condition tells what is missing."""

    ready: bool
    conditions: list[Condition]
    overridden: OverriddenView | None


async def readiness(reader: Reader) -> ReadinessView:
    facts = await prepared(reader.rows)
    found = assess(facts, reader.at)
    first, overridden = facts.first_cycle, None
    if first is not None and first.override is not None:
        overridden = OverriddenView(
            cycle_id=first.cycle_id,
            person_id=first.override.person_id,
            reason=first.override.reason,
            opened_at=first.opened_at,
        )
    return ReadinessView(
        ready=found.ready, conditions=list(found.conditions), overridden=overridden
    )
