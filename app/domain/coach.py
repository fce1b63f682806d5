"""Phase 2: OKR coaches. Designated, certified by a workshop, and covering teams.

A coach's stream has the id of the person.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar, assert_never
from uuid import UUID

from app.domain.errors import InvalidState, NotFound, Refusal
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.values import Day, Prose
from app.domain.workshop import Workshop, WorkshopKind, WorkshopStatus

# Events -----------------------------------------------------------------------------------


class CoachEvent(Event, stream="coach", key="person_id"):
    person_id: UUID


class CoachDesignated(CoachEvent, type="coach.designated"):
    """Somebody shall coach; who was relieved before may be designated again."""


class CoachCertified(CoachEvent, type="coach.certified"):
    """The certificate rests on this workshop, and holds up to the end of its last day (UTC)."""

    workshop_id: UUID
    certified_on: Day
    expires_on: Day


class TeamsCovered(CoachEvent, type="coach.teams_covered"):
    """`teams` are all that the coach covers from now on."""

    teams: tuple[UUID, ...]


class CoachRelieved(CoachEvent, type="coach.relieved"):
    """The coach covers no team any more; the certificate stays the person's."""

    reason: Prose | None = None


CoachEvents = CoachDesignated | CoachCertified | TeamsCovered | CoachRelieved


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coach:
    person_id: UUID
    active: bool = True
    expires_on: date | None = None
    teams: tuple[UUID, ...] = ()


def evolve(state: Coach | None, event: CoachEvents) -> Coach:
    if isinstance(event, CoachDesignated):
        return Coach(event.person_id) if state is None else replace(state, active=True)
    assert state is not None, "a coach's stream starts with coach.designated"
    match event:
        case CoachCertified():
            return replace(state, expires_on=event.expires_on)
        case TeamsCovered():
            return replace(state, teams=event.teams)
        case CoachRelieved():
            return replace(state, active=False, teams=())
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CoachCommand(Command):
    category: ClassVar[str] = "coach"
    person_id: UUID

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignateCoach(CoachCommand):
    """Raises NotFound (person), InvalidState when the person is a coach already."""

    person_known: bool = looked_up("person_known", lambda _, c: c.person_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyCoach(CoachCommand):
    """Raises NotFound (workshop), Refusal where the workshop is no ground for a certificate.

    Without `expires_on` the certificate holds for a year.
    """

    workshop_id: UUID
    expires_on: date | None = None
    workshop: Workshop | None = looked_up("workshop", lambda _, c: c.workshop_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverTeams(CoachCommand):
    """Say which teams the coach covers; none is an answer too. Raises NotFound (team)."""

    teams: tuple[UUID, ...]
    unknown: tuple[UUID, ...] = looked_up("unknown_teams", lambda _, c: c.teams)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelieveCoach(CoachCommand):
    reason: str | None = None


CoachCommands = DesignateCoach | CertifyCoach | CoverTeams | RelieveCoach


def a_year_after(day: date) -> date:
    """The same day of the next year; of 29 February, the 28th."""
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return day.replace(year=day.year + 1, day=28)


def _certify(state: Coach, command: CertifyCoach) -> CoachCertified:
    workshop = command.workshop
    if workshop is None:
        raise NotFound("workshop", command.workshop_id, pointer="/workshop_id")
    if workshop.kind is not WorkshopKind.COACH:
        raise Refusal(
            f"The workshop is one for {workshop.kind}; a certificate rests on a coach workshop.",
            pointer="/workshop_id",
        )
    if workshop.status is not WorkshopStatus.COMPLETED:
        raise Refusal(
            f"The workshop is {workshop.status}; a certificate rests on a completed one.",
            pointer="/workshop_id",
        )
    if state.person_id not in workshop.attended:
        raise Refusal(
            "The person did not attend this workshop; name one that they attended.",
            pointer="/workshop_id",
        )
    today = command.at.date()
    expires_on = command.expires_on or a_year_after(today)
    if expires_on < today:
        raise Refusal("expires_on lies in the past.", pointer="/expires_on")
    return CoachCertified(
        person_id=state.person_id,
        workshop_id=command.workshop_id,
        certified_on=today,
        expires_on=expires_on,
    )


def decide(state: Coach | None, command: CoachCommands) -> list[CoachEvents]:
    id = command.person_id
    if isinstance(command, DesignateCoach):
        if not command.person_known:
            raise NotFound("person", id, pointer="/person_id")
        if state is not None and state.active:
            raise InvalidState("person", "a coach already", "DesignateCoach", "Nothing to do.")
        return [CoachDesignated(person_id=id)]
    if state is None:
        raise NotFound("coach", id)
    if not state.active:
        instead = "Designate the person again (POST .../coaches)."
        raise InvalidState("coach", "relieved", type(command).__name__, instead)
    match command:
        case CertifyCoach():
            return [_certify(state, command)]
        case CoverTeams():
            for team in command.unknown:
                raise NotFound("team", team, pointer="/teams")
            teams = tuple(dict.fromkeys(command.teams))
            return [] if teams == state.teams else [TeamsCovered(person_id=id, teams=teams)]
        case RelieveCoach():
            return [CoachRelieved(person_id=id, reason=command.reason)]
        case _:
            assert_never(command)


decider: Decider[Coach | None, CoachCommands, CoachEvents] = Decider(
    category="coach", initial=None, evolve=evolve, decide=decide
)
