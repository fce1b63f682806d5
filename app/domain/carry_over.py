"""What a reset takes into the next cycle beside the goals themselves, where that was asked for.

Nothing carries over by default. What was asked for and cannot go on is told, never dropped in
silence: as a finding on the successor that misses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from uuid import UUID

from app.domain.alignment import AlignmentAgreed
from app.domain.cycle import Cycle, Phase
from app.domain.dependency import DependencyDeclared, OtherSide
from app.domain.deployment import Deployment
from app.domain.key_result import KeyResultTerms
from app.domain.kpi import Kpi, KpiFocused
from app.domain.measures import Milestone
from app.domain.messages import Event
from app.domain.objective import Objective, Status
from app.domain.values import Finding, Owner, OwnerKind, Target


class CarryOver(StrEnum):
    """What goes on with the goals that do."""

    ALIGNMENTS = "alignments"
    DEPENDENCIES = "dependencies"
    KPI_FOCUS = "kpi_focus"


# What there is to take over -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """An alignment that stands. `above` is the objective that it leads to, in its `cycle`.

    `removed`: the key result that it leads to is no more.
    """

    alignment_id: UUID
    objective_id: UUID
    target: Target
    rationale: str
    why_now: str | None
    above: Objective
    cycle: Cycle
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """A dependency that is open or accepted.

    `own_teams` are those of the objective's owner; `other` and `cycle` are of the objective
    depended on, None where a team is; `team_known` tells of that team.
    """

    dependency_id: UUID
    objective_id: UUID
    on: OtherSide
    needed: str
    needed_by: date
    owner: Owner
    own_teams: frozenset[UUID] = frozenset()
    risk_owner_id: UUID | None = None
    risk_owner_known: bool = False
    team_known: bool = False
    other: Objective | None = None
    cycle: Cycle | None = None


@dataclass(frozen=True, slots=True)
class Bonds:
    """What ties a cycle's goals to others."""

    links: tuple[Link, ...] = ()
    needs: tuple[Need, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """From one cycle into the next.

    `terms` holds those of each key result that goes on; `successors` leads from each objective and
    key result that does to the one after it.
    """

    left: Cycle
    next_cycle_id: UUID
    begins: date
    deployment: Deployment
    fresh_ids: Mapping[UUID, UUID]
    successors: Mapping[UUID, UUID]
    terms: Mapping[UUID, KeyResultTerms] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Carried:
    """What goes on, and what is told of the rest: by the objective or key result that misses it."""

    events: tuple[Event, ...] = ()
    lost: Mapping[UUID, tuple[Finding, ...]] = field(default_factory=dict)

    def __add__(self, other: Carried) -> Carried:
        told = dict(self.lost)
        for id, findings in other.lost.items():
            told[id] = (*told.get(id, ()), *findings)
        return Carried((*self.events, *other.events), told)


# Alignments ---------------------------------------------------------------------------------


def _closed(objective: Objective, cycle: Cycle, way: Way) -> str | None:
    """Why nothing can lead to an objective that has no successor; None if something can."""
    if cycle.cycle_id == way.left.cycle_id:
        return "does not go on"
    if cycle.phase is Phase.CLOSED or objective.status is Status.CLOSED:
        return "is closed"
    return None


def _target(link: Link, way: Way) -> tuple[Target, UUID] | str:
    """The goal that an alignment leads to from now on, and its objective; or why to none."""
    kind, id = link.target.kind, link.target.id
    if kind not in way.deployment.alignment.targets:
        return f"is a {kind.replace('_', ' ')}, and alignment to one is not decided any more"
    if id in way.successors:
        above = way.successors[link.above.objective_id]
        return Target(kind=kind, id=way.successors[id]), above
    if link.removed:
        return "was removed"
    return _closed(link.above, link.cycle, way) or (link.target, link.above.objective_id)


def agree_again(way: Way, links: Iterable[Link]) -> Carried:
    """The alignments of the objectives that go on, agreed for their successors.

    To the target's successor, else to the target itself where it stands in another cycle. No loop
    can come of it: what is new leads to what was there, which never leads back to what is new, and
    among the new ones it is the picture of a graph without loops.
    """
    events: list[Event] = []
    lost: dict[UUID, list[str]] = {}
    for link in links:
        if link.objective_id not in way.successors:
            continue
        found = _target(link, way)
        if isinstance(found, str):
            lost.setdefault(link.objective_id, []).append(f"{link.above.terms.title!r} {found}")
            continue
        target, above = found
        events.append(
            AlignmentAgreed(
                alignment_id=way.fresh_ids[link.alignment_id],
                cycle_id=way.next_cycle_id,
                objective_id=way.successors[link.objective_id],
                target=target,
                target_objective_id=above,
                rationale=link.rationale,
                why_now=link.why_now,
                previous_id=link.alignment_id,
            )
        )
    gone = {
        id: f"Not agreed again: {'; '.join(told)}. Align it to a goal of a running cycle."
        for id, told in lost.items()
    }
    return _told("reset.alignment_lost", gone, events)


# Dependencies -------------------------------------------------------------------------------


def _other_side(need: Need, way: Way) -> tuple[OtherSide, UUID | None] | str:
    """Who something is needed from in the next cycle, and their team; or why from nobody."""
    if need.other is None or need.cycle is None:
        if not need.team_known:
            return "the team is gone"
        if need.on.id in need.own_teams:
            return "that team owns the objective itself now"
        return need.on, need.on.id
    other = need.other
    on = need.on
    if on.id in way.successors:
        on = OtherSide(kind="objective", id=way.successors[on.id])
    elif told := _closed(other, need.cycle, way):
        return f"the other objective {told}"
    team_id = other.owner.id if other.owner.kind is OwnerKind.TEAM else None
    if other.owner == need.owner or team_id in need.own_teams:
        return "the other objective is of the same team now"
    return on, team_id


def _moved(day: date, way: Way) -> date:
    """As far into the next cycle as it was in this one, or the calendar's last day."""
    later = way.begins.toordinal() - way.left.starts_on.toordinal()
    return date.fromordinal(min(day.toordinal() + later, date.max.toordinal()))


def declare_anew(way: Way, needs: Iterable[Need]) -> Carried:
    """What the objectives that go on still need from others, who have not accepted it yet."""
    events: list[Event] = []
    lost: dict[UUID, list[str]] = {}
    unwatched: dict[UUID, list[str]] = {}
    for need in needs:
        if need.objective_id not in way.successors:
            continue
        found = _other_side(need, way)
        if isinstance(found, str):
            lost.setdefault(need.objective_id, []).append(f"{need.needed!r} ({found})")
            continue
        on, team_id = found
        if need.risk_owner_id is not None and not need.risk_owner_known:
            unwatched.setdefault(need.objective_id, []).append(repr(need.needed))
        events.append(
            DependencyDeclared(
                dependency_id=way.fresh_ids[need.dependency_id],
                cycle_id=way.next_cycle_id,
                objective_id=way.successors[need.objective_id],
                on=on,
                on_team_id=team_id,
                needed=need.needed,
                needed_by=_moved(need.needed_by, way),
                risk_owner_id=need.risk_owner_id if need.risk_owner_known else None,
                previous_id=need.dependency_id,
            )
        )
    gone = {
        id: f"Not declared anew: {'; '.join(told)}. Declare it on whom it is needed from."
        for id, told in lost.items()
    }
    alone = {
        id: f"Nobody carries the risk now: {'; '.join(told)}. Declare it with another person."
        for id, told in unwatched.items()
    }
    return _told("reset.dependency_lost", gone, events) + _told("reset.risk_owner_gone", alone)


def _told(rule: str, messages: Mapping[UUID, str], events: Sequence[Event] = ()) -> Carried:
    return Carried(
        tuple(events),
        {
            id: (Finding(rule=rule, message=message, decision="alignment"),)
            for id, message in messages.items()
        },
    )


# KPIs ---------------------------------------------------------------------------------------


def _misfit(kpi: Kpi, terms: KeyResultTerms, way: Way) -> str | None:
    """Why a KPI cannot feed a key result of these terms; None if it can."""
    if way.deployment.kpis.policy == "separate":
        return "KPIs and OKRs are kept apart now"
    measure = terms.measure
    if isinstance(measure, Milestone) or measure.unit != kpi.terms.unit:
        return f"it is not measured in {kpi.terms.unit} any more"
    return None


def focus_on(way: Way, kpis: Iterable[Kpi]) -> Carried:
    """The focus of KPIs goes to the successors of the key results that they feed."""
    events: list[Event] = []
    lost: dict[UUID, tuple[Finding, ...]] = {}
    for kpi in kpis:
        focus = kpi.focus
        if focus is None or focus.key_result_id not in way.successors:
            continue
        told = _misfit(kpi, way.terms[focus.key_result_id], way)
        if told is not None:
            message = f"{kpi.terms.name!r} feeds it no longer: {told}. It is only watched again."
            finding = Finding(rule="reset.kpi_focus_lost", message=message, decision="kpis")
            lost[focus.key_result_id] = (finding,)
            continue
        events.append(
            KpiFocused(
                kpi_id=kpi.kpi_id,
                key_result_id=way.successors[focus.key_result_id],
                objective_id=way.successors[focus.objective_id],
                cycle_id=way.next_cycle_id,
            )
        )
    return Carried(tuple(events), lost)
