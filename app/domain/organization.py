"""The organisation: the one whose ledger this is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain.errors import AlreadyExists, NotFound
from app.domain.messages import Command, Decider, Event, Stream
from app.domain.values import ExternalRef, Line

# Events -----------------------------------------------------------------------------------


class OrganizationEvent(Event, stream="organization", key="organization_id"):
    organization_id: UUID


class OrganizationFounded(OrganizationEvent, type="organization.founded"):
    name: Line
    external: ExternalRef | None = None


class OrganizationRenamed(OrganizationEvent, type="organization.renamed"):
    name: Line


OrganizationEvents = OrganizationFounded | OrganizationRenamed


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Organization:
    organization_id: UUID
    name: str


def evolve(state: Organization | None, event: OrganizationEvents) -> Organization:
    match event:
        case OrganizationFounded() | OrganizationRenamed():
            return Organization(event.organization_id, event.name)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationCommand(Command):
    category: ClassVar[str] = "organization"
    organization_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.organization_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOrganization(OrganizationCommand):
    name: str
    external: ExternalRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameOrganization(OrganizationCommand):
    name: str


OrganizationCommands = FoundOrganization | RenameOrganization


def decide(state: Organization | None, command: OrganizationCommands) -> list[OrganizationEvents]:
    match command:
        case FoundOrganization():
            if state is not None:
                raise AlreadyExists("organisation", state.organization_id)
            return [
                OrganizationFounded(
                    organization_id=command.organization_id,
                    name=command.name,
                    external=command.external,
                )
            ]
        case RenameOrganization():
            if state is None:
                raise NotFound("organisation", command.organization_id)
            if state.name == command.name:
                return []
            return [OrganizationRenamed(organization_id=state.organization_id, name=command.name)]
        case _:
            assert_never(command)


decider: Decider[Organization | None, OrganizationCommands, OrganizationEvents] = Decider(
    category="organization", initial=None, evolve=evolve, decide=decide
)
