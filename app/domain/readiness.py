"""Readiness: may execution begin? Computed from plain facts, for whoever asks and for the gate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from app.domain.deployment import QUESTIONS
from app.domain.values import Prose, Value

# Facts ------------------------------------------------------------------------------------


class Override(Value):
    """Who takes it upon themselves to begin before all is ready, and why."""

    person_id: UUID
    reason: Prose


@dataclass(frozen=True, slots=True)
class LeadershipWorkshop:
    """One that was not cancelled. `needed` is its quorum as things stand, in people."""

    workshop_id: UUID
    completed: bool
    attended: int
    needed: int


@dataclass(frozen=True, slots=True)
class ActiveCoach:
    person_id: UUID
    expires_on: date | None
    teams: frozenset[UUID]

    def certified(self, at: datetime) -> bool:
        """A certificate holds up to the end of its last day, in UTC."""
        return self.expires_on is not None and at.date() <= self.expires_on


@dataclass(frozen=True, slots=True)
class CoachedTeam:
    """An active team that is not the company: it needs a coach."""

    team_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class FirstCycle:
    """The first cycle that was opened for practice, not as history."""

    cycle_id: UUID
    opened_at: datetime
    override: Override | None


@dataclass(frozen=True, slots=True)
class Preparation:
    """What readiness is judged by."""

    answered: frozenset[str] = frozenset()
    workshops: tuple[LeadershipWorkshop, ...] = ()
    coaches: tuple[ActiveCoach, ...] = ()
    teams: tuple[CoachedTeam, ...] = ()
    first_cycle: FirstCycle | None = None


# What is made of them ---------------------------------------------------------------------

ConditionName = Literal["deployment", "leadership", "coaches", "coverage"]


class Missing(Value):
    """One thing to do, and what it is about: `ids` of that kind (questions by their names)."""

    condition: ConditionName
    message: str
    kind: Literal["question", "workshop", "coach", "team"]
    ids: tuple[str, ...] = ()


class Condition(Value):
    """Met where there are as many as needed: `have` of `need`."""

    name: ConditionName
    asks: str
    met: bool
    have: int
    need: int
    missing: tuple[Missing, ...] = ()


class Readiness(Value):
    ready: bool
    conditions: tuple[Condition, ...]

    @property
    def missing(self) -> tuple[Missing, ...]:
        return tuple(one for condition in self.conditions for one in condition.missing)


def assess(facts: Preparation, at: datetime) -> Readiness:
    """Whether all conditions are met at a moment."""
    conditions = (
        _deployment(facts),
        _leadership(facts),
        _coaches(facts, at),
        _coverage(facts, at),
    )
    return Readiness(ready=all(one.met for one in conditions), conditions=conditions)


def _condition(
    name: ConditionName, asks: str, have: int, need: int, missing: Iterable[Missing]
) -> Condition:
    met = have >= need
    return Condition(
        name=name,
        asks=asks,
        met=met,
        have=have,
        need=need,
        missing=() if met else tuple(missing),
    )


def _deployment(facts: Preparation) -> Condition:
    open_questions = tuple(name for name in QUESTIONS if name not in facts.answered)
    missing = Missing(
        condition="deployment",
        message=f"{len(open_questions)} deployment question(s) stand at their defaults: "
        f"{', '.join(open_questions)}. Answer them (PUT .../deployment/QUESTION).",
        kind="question",
        ids=open_questions,
    )
    have, need = len(QUESTIONS) - len(open_questions), len(QUESTIONS)
    return _condition("deployment", "Is every deployment question answered?", have, need, [missing])


def _leadership(facts: Preparation) -> Condition:
    """Judged by the workshop that came nearest to its quorum, completed ones first."""
    asks = "Was a leadership workshop completed with its quorum?"
    if not facts.workshops:
        message = "No leadership workshop was scheduled. Schedule one, invite, and hold it."
        none = Missing(condition="leadership", message=message, kind="workshop")
        return _condition("leadership", asks, 0, 1, [none])
    best = max(facts.workshops, key=lambda one: (one.completed, one.attended - one.needed))
    if best.completed:
        message = (
            f"The leadership workshop was completed with {best.attended} of the {best.needed} "
            "people that its quorum needs. Hold another one."
        )
    else:
        message = (
            f"The leadership workshop is not completed: {best.attended} of the {best.needed} "
            "people that its quorum needs are recorded as attending. Hold and complete it."
        )
    have = best.attended if best.completed else min(best.attended, best.needed - 1)
    missing = Missing(
        condition="leadership", message=message, kind="workshop", ids=(str(best.workshop_id),)
    )
    return _condition("leadership", asks, have, best.needed, [missing])


def _coaches(facts: Preparation, at: datetime) -> Condition:
    certified = [one for one in facts.coaches if one.certified(at)]
    missing = Missing(
        condition="coaches",
        message=_no_coach(facts.coaches),
        kind="coach",
        ids=tuple(str(one.person_id) for one in facts.coaches),
    )
    asks = "Is there a coach whose certificate holds?"
    return _condition("coaches", asks, len(certified), 1, [missing])


def _no_coach(coaches: tuple[ActiveCoach, ...]) -> str:
    if not coaches:
        return "No coach is designated. Designate one, and certify them after a coach workshop."
    expired = sum(one.expires_on is not None for one in coaches)
    return (
        f"Of {len(coaches)} coach(es) none is certified: {expired} certificate(s) have expired, "
        f"{len(coaches) - expired} were never given. Certify one after a coach workshop."
    )


def without_coach(facts: Preparation, at: datetime) -> list[CoachedTeam]:
    """The teams that no coach covers whose certificate holds at a moment."""
    covered = {id for one in facts.coaches if one.certified(at) for id in one.teams}
    return [team for team in facts.teams if team.team_id not in covered]


def _coverage(facts: Preparation, at: datetime) -> Condition:
    without = without_coach(facts, at)
    missing = Missing(
        condition="coverage",
        message=f"{len(without)} team(s) have no certified coach: "
        f"{', '.join(team.name for team in without)}. Let a coach cover them (:cover-teams).",
        kind="team",
        ids=tuple(str(team.team_id) for team in without),
    )
    asks = "Is every team but the company covered by a certified coach?"
    have, need = len(facts.teams) - len(without), len(facts.teams)
    return _condition("coverage", asks, have, need, [missing])
