"""The organisation, its decisions, teams, people and keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field, TypeAdapter

from app.application.ledgers import Reader
from app.domain.access import Scope
from app.domain.consequences import AnyAnswer, consequence
from app.domain.deployment import ASKED, EXTENSIONS, QUESTIONS, Decision, Deployment
from app.domain.errors import NotFound
from app.domain.values import Level
from app.projections.api_keys import ApiKeyRow
from app.projections.decisions import DecisionRow
from app.projections.members import MemberRow
from app.projections.organizations import OrganizationRow
from app.projections.people import PersonRow
from app.projections.teams import TeamRow
from app.queries.views import Resource, View, directory

# The organisation -------------------------------------------------------------------------


class OrganizationView(Resource):
    name: str
    founded_at: datetime


def organization_view(row: OrganizationRow) -> OrganizationView:
    return OrganizationView(
        id=row.organization_id, version=row.version, name=row.name, founded_at=row.founded_at
    )


async def organization(reader: Reader) -> OrganizationView:
    row = await reader.rows.get(OrganizationRow, reader.org_id)
    if row is None:
        raise NotFound("organisation", reader.org_id)
    return organization_view(row)


# Deployment -------------------------------------------------------------------------------


class DecisionView(View):
    """One answer. `in_force_since` is the ledger position from which commands are judged by it."""

    question: str
    asks: str
    decision: Decision
    rationale: str
    decided_by: UUID | None
    actor: str
    decided_at: datetime
    in_force_since: int


class AnswerView(View):
    """A question with its answer in force; unanswered, the default stands.

    `version` is that of all decisions together.
    """

    version: int
    question: str
    asks: str
    answered: bool
    decision: Decision
    consequence: str = Field(description="What the system does with it, in plain language.")
    rationale: str | None = None
    decided_by: UUID | None = None
    decided_at: datetime | None = None
    in_force_since: int | None = None


class DeploymentView(View):
    """The ten questions, and which of them still stand at their defaults.

    `extensions` are answers beside the ten: neither answered nor missing among them.
    """

    version: int
    answered: int
    missing: list[str]
    answers: list[AnswerView]
    extensions: list[AnswerView]


def decision_view(row: DecisionRow) -> DecisionView:
    return DecisionView(
        question=row.question,
        asks=ASKED[row.question],
        decision=row.decision,
        rationale=row.rationale,
        decided_by=row.decided_by,
        actor=row.actor,
        decided_at=row.decided_at,
        in_force_since=row.position,
    )


async def in_force(reader: Reader) -> dict[str, DecisionRow]:
    """The last answer to each question that has one."""
    return {row.question: row for row in await reader.rows.select(DecisionRow)}


_decision_of: TypeAdapter[AnyAnswer] = TypeAdapter(Decision)


def _answer(question: str, rows: dict[str, DecisionRow]) -> AnswerView:
    version = max((row.version for row in rows.values()), default=0)
    asks, row = ASKED[question], rows.get(question)
    if row is None:
        default = getattr(Deployment(), question)
        return AnswerView(
            version=version,
            question=question,
            asks=asks,
            answered=False,
            decision=default,
            consequence=consequence(default),
        )
    return AnswerView(
        version=version,
        question=question,
        asks=asks,
        answered=True,
        decision=row.decision,
        consequence=consequence(_decision_of.validate_python(row.decision)),
        rationale=row.rationale,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        in_force_since=row.position,
    )


async def deployment(reader: Reader) -> DeploymentView:
    rows = await in_force(reader)
    answers = [_answer(question, rows) for question in QUESTIONS]
    return DeploymentView(
        version=answers[0].version,
        answered=sum(question in rows for question in QUESTIONS),
        missing=[question for question in QUESTIONS if question not in rows],
        answers=answers,
        extensions=[_answer(question, rows) for question in EXTENSIONS],
    )


async def decision(reader: Reader, question: str) -> AnswerView:
    if question not in ASKED:
        raise NotFound("question", question)
    return _answer(question, await in_force(reader))


# Teams ------------------------------------------------------------------------------------


class MemberView(View):
    person_id: UUID
    name: str | None
    role: str


class TeamView(Resource):
    name: str
    level: Level
    parent_id: UUID | None
    active: bool
    members: list[MemberView]


async def teams(reader: Reader, rows: list[TeamRow]) -> list[TeamView]:
    """Teams with their members, in three round trips for any number of them."""
    ids = [row.team_id for row in rows]
    members = await reader.rows.select(MemberRow, {"team_id": ids}) if ids else []
    people = await directory(reader, [m.person_id for m in members]) if members else []
    names = {person.person_id: person.name for person in people}
    return [
        TeamView(
            id=row.team_id,
            version=row.version,
            name=row.name,
            level=Level(row.level),
            parent_id=row.parent_id,
            active=row.active,
            members=[
                MemberView(person_id=m.person_id, name=names.get(m.person_id), role=m.role)
                for m in members
                if m.team_id == row.team_id
            ],
        )
        for row in rows
    ]


async def team(reader: Reader, team_id: UUID) -> TeamView:
    row = await reader.rows.get(TeamRow, team_id)
    if row is None:
        raise NotFound("team", team_id)
    return (await teams(reader, [row]))[0]


# People -----------------------------------------------------------------------------------


class PersonView(Resource):
    """Name and address come from the directory, which has no history."""

    name: str | None
    email: str | None
    active: bool
    issuer: str | None = Field(description="The provider whose tokens speak for them.")
    erased: bool = Field(description="Their name, address and texts were destroyed.")
    registered_at: datetime


async def people(reader: Reader, rows: list[PersonRow]) -> list[PersonView]:
    found = await directory(reader, [row.person_id for row in rows]) if rows else []
    entries = {entry.person_id: entry for entry in found}

    def view(row: PersonRow) -> PersonView:
        entry: Any = entries.get(row.person_id)
        return PersonView(
            id=row.person_id,
            version=row.version,
            name=entry and entry.name,
            email=entry and entry.email,
            active=row.active,
            issuer=row.issuer,
            erased=row.erased,
            registered_at=row.registered_at,
        )

    return [view(row) for row in rows]


async def person(reader: Reader, person_id: UUID) -> PersonView:
    row = await reader.rows.get(PersonRow, person_id)
    if row is None:
        raise NotFound("person", person_id)
    return (await people(reader, [row]))[0]


# API keys ---------------------------------------------------------------------------------


class ApiKeyView(Resource):
    """A key's rights; the key itself is shown once, when it is issued."""

    name: str
    scopes: list[Scope]
    person_id: UUID | None
    teams: list[UUID] | None = Field(description="It acts for these only; null for all.")
    key_results: list[UUID] | None = Field(description="It checks in on these only; null for all.")
    sources: list[str] | None = Field(description="It speaks for these only; null for all.")
    issued_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def api_key_view(row: ApiKeyRow) -> ApiKeyView:
    return ApiKeyView(
        id=row.key_id,
        version=row.version,
        name=row.name,
        scopes=row.scopes,
        person_id=row.person_id,
        teams=row.teams,
        key_results=row.key_results,
        sources=row.sources,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


async def api_key(reader: Reader, key_id: UUID) -> ApiKeyView:
    row = await reader.rows.get(ApiKeyRow, key_id)
    if row is None:
        raise NotFound("API key", key_id)
    return api_key_view(row)
