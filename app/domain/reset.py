"""The end of a cycle: close it, or reset it into the next one.

One command reaches over every goal of the cycle: it scores what is unscored, records what becomes
of each key result, closes the objectives, and drafts what is kept or modified in the next cycle:
one that it plans, or one that is there already. What goes on beside the goals: see `carry_over`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, assert_never
from uuid import UUID

from app.domain import cycle as cycles
from app.domain.carry_over import (
    Bonds,
    Carried,
    CarryOver,
    Way,
    agree_again,
    declare_anew,
    focus_on,
)
from app.domain.cycle import (
    Cycle,
    CycleClosed,
    CycleCommand,
    CycleEvents,
    Phase,
)
from app.domain.deployment import AnyScoring, Deployment, MeasureWhatMatters
from app.domain.errors import NotFound, Refusal, ResetIncomplete
from app.domain.key_result import (
    Cause,
    Choice,
    KeyResult,
    KeyResultDrafted,
    KeyResultReset,
    KeyResultScored,
    KeyResultTerms,
)
from app.domain.key_result_commands import judge_count
from app.domain.key_result_commands import score as score_key_result
from app.domain.kpi import Kpi, KpiFocused, returned
from app.domain.measures import check
from app.domain.messages import Decider, Event, looked_up
from app.domain.next_cycle import NextCycle, join, plan_next
from app.domain.objective import (
    Objective,
    ObjectiveClosed,
    ObjectiveDrafted,
    Outcome,
    Status,
    judge_owner,
)
from app.domain.scoring import roll_up
from app.domain.values import Finding, Level, Owner, Prose, Value

SCORED_AT_THE_END = "Scored at the end of the cycle from the latest check-in."
ENDED = "The cycle of its key result ended."


@dataclass(frozen=True, slots=True)
class Goal:
    """An objective that is not closed yet, with its key results that were not removed."""

    objective: Objective
    key_results: tuple[KeyResult, ...]


class KeyResultChoice(Value):
    """Keep, modify or remove one key result; a modified one states its new terms.

    One that was scored below good names its primary cause; without one, a warning is recorded.
    """

    key_result_id: UUID
    choice: Choice
    learning: Prose | None = None
    cause: Cause | None = None
    terms: KeyResultTerms | None = None


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseCycle(CycleCommand):
    """Close with nothing carried over. Raises InvalidState unless the cycle is reflecting.

    KPIs that are in focus in the cycle are health metrics again.
    """

    goals: tuple[Goal, ...] = looked_up("open_goals_of_cycle", lambda _, c: c.cycle_id)
    kpis: tuple[Kpi, ...] = looked_up("kpis_in_focus", lambda _, c: {"cycle_id": c.cycle_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetCycle(CycleCommand):
    """Close, and draft what goes on in the next cycle, judged by the decisions of now.

    `next_cycle` is planned as `next_cycle_id`; without one, the cycle of that id is there already,
    planned or drafting: `following`. `held` are the objectives that owners have in it. `fresh_ids`
    holds a new id for all of the cycle that may go on.

    Raises ResetIncomplete while a choice is missing, NotFound (the next cycle, an owner who is
    gone), Refusal where the next cycle does not follow this one, DecisionRefuses.
    """

    next_cycle_id: UUID
    next_cycle: NextCycle | None = None
    choices: tuple[KeyResultChoice, ...]
    carry_over: frozenset[CarryOver] = frozenset()
    goals: tuple[Goal, ...] = looked_up("open_goals_of_cycle", lambda _, c: c.cycle_id)
    fresh_ids: Mapping[UUID, UUID] = looked_up("fresh_ids_of_cycle", lambda _, c: c.cycle_id)
    deployment: Deployment = looked_up("deployment", lambda _, c: None)
    parent: Cycle | None = looked_up("cycle", lambda _, c: c.next_cycle and c.next_cycle.parent_id)
    following: Cycle | None = looked_up(
        "cycle", lambda _, c: None if c.next_cycle else c.next_cycle_id
    )
    others: tuple[Cycle, ...] = looked_up("cycles_not_cancelled", lambda _, c: None)
    held: Mapping[Owner, int] = looked_up("objectives_in_cycle", lambda _, c: c.next_cycle_id)
    bonds: Bonds = looked_up("bonds_of_cycle", lambda _, c: (c.cycle_id, c.carry_over))
    kpis: tuple[Kpi, ...] = looked_up("kpis_in_focus", lambda _, c: {"cycle_id": c.cycle_id})
    owner_levels: Mapping[Owner, Level | None] = looked_up(
        "owner_levels_of_reset", lambda _, c: (c.cycle_id, c.choices)
    )


ResetCommands = CloseCycle | ResetCycle


def _choices(command: ResetCycle) -> dict[UUID, KeyResultChoice]:
    """One choice for each key result of the cycle's committed objectives, and none beside."""
    wanted = {
        key_result.key_result_id
        for goal in command.goals
        if goal.objective.status is Status.COMMITTED
        for key_result in goal.key_results
    }
    given: dict[UUID, KeyResultChoice] = {}
    for index, choice in enumerate(command.choices):
        pointer = f"/choices/{index}"
        if choice.key_result_id not in wanted:
            raise NotFound(
                "committed key result of this cycle",
                choice.key_result_id,
                pointer=f"{pointer}/key_result_id",
            )
        if choice.key_result_id in given:
            raise Refusal(
                f"{choice.key_result_id} is chosen twice; keep one.",
                pointer=f"{pointer}/key_result_id",
            )
        if (choice.choice is Choice.MODIFY) != (choice.terms is not None):
            raise Refusal(
                "terms belong to a modified key result, and only to one.",
                pointer=f"{pointer}/terms",
            )
        if choice.terms is not None:
            check(choice.terms.measure, f"{pointer}/terms/measure")
            owner = choice.terms.owner
            if owner is not None and _is_gone(owner, command):
                raise NotFound(owner.kind, owner.id, pointer=f"{pointer}/terms/owner")
        given[choice.key_result_id] = choice
    missing = wanted - set(given)
    if missing:
        raise ResetIncomplete(
            f"{len(missing)} key result(s) have no keep / modify / remove choice yet.",
            pointer="/choices",
            missing=sorted(map(str, missing)),
        )
    return given


def _close(goal: Goal, rules: AnyScoring, until: datetime, *, carried_on: bool) -> Iterator[Event]:
    """Score what is unscored and close the objective with the outcome that its scores give."""
    objective = goal.objective
    ids: dict[str, Any] = {
        "objective_id": objective.objective_id,
        "cycle_id": objective.cycle_id,
    }
    if objective.status is not Status.COMMITTED:
        yield ObjectiveClosed(
            **ids, outcome=Outcome.ABANDONED, reason="Never committed before the cycle ended."
        )
        return
    figures = []
    for key_result in goal.key_results:
        final = key_result.score
        if final is None:
            scored = score_key_result(key_result, rules, until, None, SCORED_AT_THE_END, None)
            final = scored.score
            yield scored
        figures.append((final, key_result.terms.weight))
    rolled_up = roll_up(figures)
    achieved = rolled_up is not None and rolled_up >= rules.good
    outcome = Outcome.ACHIEVED if achieved else Outcome.NOT_ACHIEVED
    yield ObjectiveClosed(**ids, outcome=Outcome.CARRIED_ON if carried_on else outcome)


def _is_gone(owner: Owner | None, command: ResetCycle) -> bool:
    return owner is not None and command.owner_levels.get(owner) is None


def _unexplained(
    choice: KeyResultChoice, score: Decimal | None, rules: AnyScoring
) -> tuple[Finding, ...]:
    if choice.cause is not None or score is None or score >= rules.good:
        return ()
    message = "It was scored below good, and no cause was named: nothing is learnt from it."
    return (Finding(rule="reflection.cause", message=message, decision="scoring"),)


def _carry_on(
    goal: Goal,
    choices: Mapping[UUID, KeyResultChoice],
    command: ResetCycle,
    held: int,
    lost: Mapping[UUID, tuple[Finding, ...]],
) -> Iterator[Event]:
    """Draft the successors of an objective and its kept or modified key results.

    `held` are the owner's objectives in the next cycle so far; `lost` tells what does not go on
    with them.
    """
    objective = goal.objective
    successor = command.fresh_ids[objective.objective_id]
    places = {choice.key_result_id: f"/choices/{i}" for i, choice in enumerate(command.choices)}
    carried = [
        key_result
        for key_result in goal.key_results
        if choices[key_result.key_result_id].choice is not Choice.REMOVE
    ]
    first = places[carried[0].key_result_id]
    if _is_gone(objective.owner, command):
        raise Refusal(
            "The objective's owner is gone: remove its key results here, and draft the objective "
            "anew for another owner.",
            pointer=first,
        )
    level = command.owner_levels[objective.owner]
    yield ObjectiveDrafted(
        objective_id=successor,
        cycle_id=command.next_cycle_id,
        owner=objective.owner,
        terms=objective.terms,
        previous_id=objective.objective_id,
        warnings=judge_owner(command.deployment, objective.owner, level, held, first)
        + lost.get(objective.objective_id, ()),
    )
    for count, key_result in enumerate(carried):
        place = places[key_result.key_result_id]
        terms = choices[key_result.key_result_id].terms or key_result.terms
        if _is_gone(terms.owner, command):
            raise Refusal(
                "The key result's owner is gone: modify it, and name another owner or none.",
                pointer=place,
            )
        yield KeyResultDrafted(
            key_result_id=command.fresh_ids[key_result.key_result_id],
            objective_id=successor,
            cycle_id=command.next_cycle_id,
            terms=terms,
            previous_id=key_result.key_result_id,
            warnings=judge_count(command.deployment, count, place)
            + lost.get(key_result.key_result_id, ()),
        )


# What goes on -----------------------------------------------------------------------------


def _next(state: Cycle, command: ResetCycle) -> tuple[date, list[Event]]:
    """The first day of the next cycle, and what begins it."""
    wanted, following = command.next_cycle, command.following
    if wanted is not None:
        planned = plan_next(
            state,
            wanted,
            cycle_id=command.next_cycle_id,
            deployment=command.deployment,
            parent=command.parent,
            others=command.others,
        )
        return wanted.starts_on, planned
    if following is None:
        raise NotFound("cycle", command.next_cycle_id, pointer="/next_cycle_id")
    return following.starts_on, join(state, following, command.others)


def _carried_over(
    state: Cycle, begins: date, choices: Mapping[UUID, KeyResultChoice], command: ResetCycle
) -> Carried:
    """What goes on beside the goals, and what is told of the rest."""
    successors: dict[UUID, UUID] = {}
    terms: dict[UUID, KeyResultTerms] = {}
    for goal in command.goals:
        for key_result in goal.key_results:
            choice = choices.get(key_result.key_result_id)
            if choice is not None and choice.choice is not Choice.REMOVE:
                terms[key_result.key_result_id] = choice.terms or key_result.terms
                for id in (goal.objective.objective_id, key_result.key_result_id):
                    successors[id] = command.fresh_ids[id]
    way = Way(
        left=state,
        next_cycle_id=command.next_cycle_id,
        begins=begins,
        deployment=command.deployment,
        fresh_ids=command.fresh_ids,
        successors=successors,
        terms=terms,
    )
    carried = Carried()
    if CarryOver.ALIGNMENTS in command.carry_over:
        carried += agree_again(way, command.bonds.links)
    if CarryOver.DEPENDENCIES in command.carry_over:
        carried += declare_anew(way, command.bonds.needs)
    if CarryOver.KPI_FOCUS in command.carry_over:
        carried += focus_on(way, command.kpis)
    return carried


def _reset(state: Cycle, rules: AnyScoring, command: ResetCycle) -> list[Event]:
    choices = _choices(command)
    begins, opening = _next(state, command)
    carried = _carried_over(state, begins, choices, command)
    until = min(command.at, state.ended_at)
    closing: list[Event] = []
    held: Counter[Owner] = Counter(command.held)
    for goal in command.goals:
        chosen = [choices[k.key_result_id] for k in goal.key_results if k.key_result_id in choices]
        carried_on = any(choice.choice is not Choice.REMOVE for choice in chosen)
        ending = list(_close(goal, rules, until, carried_on=carried_on))
        closing.extend(ending)
        scores = {one.key_result_id: one.score for one in goal.key_results}
        scores |= {e.key_result_id: e.score for e in ending if isinstance(e, KeyResultScored)}
        closing.extend(
            KeyResultReset(
                key_result_id=choice.key_result_id,
                objective_id=goal.objective.objective_id,
                cycle_id=state.cycle_id,
                choice=choice.choice,
                learning=choice.learning,
                cause=choice.cause,
                warnings=_unexplained(choice, scores[choice.key_result_id], rules),
                successor_id=None
                if choice.choice is Choice.REMOVE
                else command.fresh_ids[choice.key_result_id],
            )
            for choice in chosen
        )
        if carried_on:
            owner = goal.objective.owner
            opening.extend(_carry_on(goal, choices, command, held[owner], carried.lost))
            held[owner] += 1
    in_focus = {event.kpi_id for event in carried.events if isinstance(event, KpiFocused)}
    left = [kpi for kpi in command.kpis if kpi.kpi_id not in in_focus]
    closing.extend(returned(left, ENDED))
    closed = CycleClosed(cycle_id=state.cycle_id, next_cycle_id=command.next_cycle_id)
    return [*closing, closed, *opening, *carried.events]


def decide(state: Cycle | None, command: ResetCommands) -> list[Event]:
    if state is None:
        raise NotFound("cycle", command.cycle_id)
    state.allow(command, Phase.REFLECTING)
    rules = state.scoring or MeasureWhatMatters()
    match command:
        case CloseCycle():
            until = min(command.at, state.ended_at)
            closing = [
                e for goal in command.goals for e in _close(goal, rules, until, carried_on=False)
            ]
            return [*closing, *returned(command.kpis, ENDED), CycleClosed(cycle_id=state.cycle_id)]
        case ResetCycle():
            return _reset(state, rules, command)
        case _:
            assert_never(command)


decider: Decider[Cycle | None, ResetCommands, CycleEvents] = Decider(
    category="cycle", initial=None, evolve=cycles.evolve, decide=decide
)
