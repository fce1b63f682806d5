"""People are ids in the ledger; names and e-mail addresses live in the directory, erasable."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain.coach import Coach, CoachRelieved
from app.domain.errors import AlreadyExists, InvalidState, NotFound
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.team import MemberLeft
from app.domain.values import ExternalRef

# Events -----------------------------------------------------------------------------------


class PersonEvent(Event, stream="person", key="person_id"):
    person_id: UUID


class PersonRegistered(PersonEvent, type="person.registered"):
    external: ExternalRef | None = None


class PersonLeft(PersonEvent, type="person.left"):
    """The person left the organisation; what they did stays theirs."""


PersonEvents = PersonRegistered | PersonLeft


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    person_id: UUID
    active: bool


def evolve(state: Person | None, event: PersonEvents) -> Person | None:
    match event:
        case PersonRegistered():
            return Person(event.person_id, active=True)
        case PersonLeft():
            return state and replace(state, active=False)
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonCommand(Command):
    category: ClassVar[str] = "person"
    person_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPerson(PersonCommand):
    """Raises AlreadyExists when the external id was registered before."""

    external: ExternalRef | None = None
    existing: UUID | None = looked_up("external", lambda _, c: (c.external, "person"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDeparture(PersonCommand):
    """The person leaves the organisation, and so its teams; a coach coaches no more."""

    teams: tuple[UUID, ...] = looked_up("teams_of_person", lambda _, c: c.person_id)
    coach: Coach | None = looked_up("coach", lambda _, c: c.person_id)


PersonCommands = RegisterPerson | RecordDeparture


def decide(state: Person | None, command: PersonCommands) -> list[Event]:
    match command:
        case RegisterPerson():
            if command.existing is not None:
                raise AlreadyExists("person", command.existing)
            return [PersonRegistered(person_id=command.person_id, external=command.external)]
        case RecordDeparture():
            if state is None:
                raise NotFound("person", command.person_id)
            if not state.active:
                raise InvalidState(
                    "person", "no longer with the organisation", "RecordDeparture", "Nothing to do."
                )
            events: list[Event] = [PersonLeft(person_id=state.person_id)]
            events += [MemberLeft(team_id=id, person_id=state.person_id) for id in command.teams]
            if command.coach is not None and command.coach.active:
                reason = "The person left the organisation."
                events.append(CoachRelieved(person_id=state.person_id, reason=reason))
            return events
        case _:
            assert_never(command)


decider: Decider[Person | None, PersonCommands, PersonEvents] = Decider(
    category="person", initial=None, evolve=evolve, decide=decide
)
