"""People are ids in the ledger; names and e-mail addresses live in the directory, erasable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, assert_never, get_args
from uuid import UUID

from app.domain.coach import Coach, CoachRelieved
from app.domain.errors import AlreadyExists, InvalidState, NotFound
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.team import MemberLeft
from app.domain.values import ExternalRef, Key, Prose

EntryField = Literal["name", "email"]
ENTRY: tuple[EntryField, ...] = get_args(EntryField)
Entry = Mapping[EntryField, str | None]
"""What the directory says of a person. Commands carry it; events never do."""

# Events -----------------------------------------------------------------------------------


class PersonEvent(Event, stream="person", key="person_id"):
    person_id: UUID


class PersonRegistered(PersonEvent, type="person.registered"):
    external: ExternalRef | None = None


class PersonLeft(PersonEvent, type="person.left"):
    """The person left the organisation; what they did stays theirs."""


class PersonCorrected(PersonEvent, type="person.corrected"):
    """Which fields of the directory's entry were corrected; what they say is only there."""

    corrected: tuple[EntryField, ...]


class PersonErased(PersonEvent, type="person.erased"):
    """Name, address and whatever the person wrote were destroyed. Their id and deeds stay."""

    reason: Prose | None = None


class IdentityLinked(PersonEvent, type="person.identity_linked"):
    """Tokens of this issuer speak for the person. Who they are there is not in the ledger."""

    issuer: Key


class IdentityUnlinked(PersonEvent, type="person.identity_unlinked"):
    pass


PersonEvents = (
    PersonRegistered
    | PersonLeft
    | PersonCorrected
    | PersonErased
    | IdentityLinked
    | IdentityUnlinked
)


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Person:
    person_id: UUID
    active: bool
    erased: bool = False
    issuer: str | None = None


def evolve(state: Person | None, event: PersonEvents) -> Person | None:
    match event:
        case PersonRegistered():
            return Person(event.person_id, active=True)
        case PersonLeft():
            return state and replace(state, active=False)
        case PersonCorrected():
            return state
        case PersonErased():
            return state and replace(state, erased=True, issuer=None)
        case IdentityLinked():
            return state and replace(state, issuer=event.issuer)
        case IdentityUnlinked():
            return state and replace(state, issuer=None)
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
class Departing(PersonCommand):
    """What a person leaves behind."""

    teams: tuple[UUID, ...] = looked_up("teams_of_person", lambda _, c: c.person_id)
    coach: Coach | None = looked_up("coach", lambda _, c: c.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDeparture(Departing):
    """The person leaves the organisation, and so its teams; a coach coaches no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasePerson(Departing):
    """The person leaves, if they did not yet, and is erased. Raises NotFound, InvalidState."""

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectPerson(PersonCommand):
    """State fields of the directory's entry anew. Raises NotFound, InvalidState (erased).

    `current` is None once the person was erased from the directory.
    """

    stated: Entry
    current: Entry | None = looked_up("directory_entry", lambda _, c: c.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkIdentity(PersonCommand):
    """Have somebody's tokens speak for the person, in place of any linked before.

    Raises NotFound, InvalidState (left), AlreadyExists when they speak for another person.
    """

    issuer: str
    digest: bytes
    linked_to: UUID | None = looked_up("person_of_identity", lambda _, c: c.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlinkIdentity(PersonCommand):
    """Raises NotFound, InvalidState when none is linked."""


PersonCommands = (
    RegisterPerson | RecordDeparture | ErasePerson | CorrectPerson | LinkIdentity | UnlinkIdentity
)


def _correct(state: Person | None, command: CorrectPerson) -> list[Event]:
    if state is None:
        raise NotFound("person", command.person_id)
    current, stated = command.current, command.stated
    if current is None:
        raise InvalidState(
            "person", "erased from the directory", "CorrectPerson", "Register a new person instead."
        )
    changed = tuple(name for name in ENTRY if stated.get(name, current[name]) != current[name])
    return [PersonCorrected(person_id=state.person_id, corrected=changed)] if changed else []


def _link(state: Person | None, command: LinkIdentity) -> list[Event]:
    if state is None:
        raise NotFound("person", command.person_id)
    if not state.active:
        raise InvalidState(
            "person", "no longer with the organisation", "LinkIdentity", "Link somebody else."
        )
    if command.linked_to not in (None, state.person_id):
        raise AlreadyExists("identity", command.linked_to)
    if command.linked_to is not None:
        return []
    return [IdentityLinked(person_id=state.person_id, issuer=command.issuer)]


def _leave(state: Person, command: Departing) -> list[Event]:
    events: list[Event] = [PersonLeft(person_id=state.person_id)]
    events += [MemberLeft(team_id=id, person_id=state.person_id) for id in command.teams]
    if command.coach is not None and command.coach.active:
        reason = "The person left the organisation."
        events.append(CoachRelieved(person_id=state.person_id, reason=reason))
    return events


def decide(state: Person | None, command: PersonCommands) -> list[Event]:
    match command:
        case RegisterPerson():
            if command.existing is not None:
                raise AlreadyExists("person", command.existing)
            return [PersonRegistered(person_id=command.person_id, external=command.external)]
        case ErasePerson():
            if state is None:
                raise NotFound("person", command.person_id)
            if state.erased:
                raise InvalidState("person", "erased", "ErasePerson", "Nothing to do.")
            departure = _leave(state, command) if state.active else []
            return [*departure, PersonErased(person_id=state.person_id, reason=command.reason)]
        case RecordDeparture():
            if state is None:
                raise NotFound("person", command.person_id)
            if not state.active:
                raise InvalidState(
                    "person", "no longer with the organisation", "RecordDeparture", "Nothing to do."
                )
            return _leave(state, command)
        case CorrectPerson():
            return _correct(state, command)
        case LinkIdentity():
            return _link(state, command)
        case UnlinkIdentity():
            if state is None:
                raise NotFound("person", command.person_id)
            if state.issuer is None:
                raise InvalidState("person", "not linked", "UnlinkIdentity", "Nothing to do.")
            return [IdentityUnlinked(person_id=state.person_id)]
        case _:
            assert_never(command)


decider: Decider[Person | None, PersonCommands, PersonEvents] = Decider(
    category="person", initial=None, evolve=evolve, decide=decide
)
