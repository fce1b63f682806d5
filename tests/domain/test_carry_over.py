"""What goes on beside the goals: alignments, dependencies and the focus of KPIs, when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from app.domain.alignment import AlignmentAgreed
from app.domain.carry_over import Carried, Link, Need, Way, agree_again, declare_anew, focus_on
from app.domain.cycle import Cycle, Phase
from app.domain.dependency import DependencyDeclared, OtherSide
from app.domain.deployment import AlignmentPolicy, Deployment, Kpis
from app.domain.key_result import KeyResultTerms
from app.domain.kpi import Focus, Kpi, KpiFocused
from app.domain.kpi_terms import HealthyRange, KpiTerms
from app.domain.measures import Milestone, Threshold
from app.domain.objective import Objective, Status
from app.domain.values import Finding, Owner, OwnerKind, Target
from tests.domain.builders import (
    CYCLE,
    DEFAULTS,
    KEY_RESULT,
    KEY_TERMS,
    METRIC,
    NEXT_CYCLE,
    OBJECTIVE,
    OTHER_KEY_RESULT,
    OTHER_OBJECTIVE,
    OWNER,
    PERSON,
    TEAM,
    TERMS,
    cycle,
    uid,
)

LINK, NEED, KPI, YEAR, SALES = uid(61), uid(62), uid(63), uid(64), uid(65)
NEXT_STARTS = date(2026, 4, 1)
LEFT = cycle(Phase.REFLECTING)
RUNNING = Cycle(YEAR, "2026", date(2026, 1, 1), date(2026, 12, 31), phase=Phase.ACTIVE)
HERE = Objective(OTHER_OBJECTIVE, CYCLE, Owner(kind=OwnerKind.TEAM, id=SALES), TERMS)
ELSEWHERE = replace(HERE, cycle_id=YEAR, status=Status.COMMITTED)


def after(id: UUID) -> UUID:
    return UUID(int=id.int + 1000)


def _way(*carried_on: UUID, **more: Any) -> Way:
    values: dict[str, Any] = {
        "left": LEFT,
        "next_cycle_id": NEXT_CYCLE,
        "begins": NEXT_STARTS,
        "deployment": DEFAULTS,
        "fresh_ids": {id: after(id) for id in (LINK, NEED)},
        "successors": {id: after(id) for id in carried_on},
        "terms": {KEY_RESULT: KEY_TERMS},
    }
    return Way(**{**values, **more})


def _finding(told: Carried, id: UUID = OBJECTIVE) -> Finding:
    (finding,) = told.lost[id]
    assert told.events == ()
    return finding


# Alignments -------------------------------------------------------------------------------


def _link(**more: Any) -> Link:
    values: dict[str, Any] = {
        "alignment_id": LINK,
        "objective_id": OBJECTIVE,
        "target": Target(kind="objective", id=OTHER_OBJECTIVE),
        "rationale": "It helps.",
        "why_now": "Spring.",
        "above": HERE,
        "cycle": LEFT,
    }
    return Link(**{**values, **more})


def _agreed(target: Target, above: UUID) -> AlignmentAgreed:
    return AlignmentAgreed(
        alignment_id=after(LINK),
        cycle_id=NEXT_CYCLE,
        objective_id=after(OBJECTIVE),
        target=target,
        target_objective_id=above,
        rationale="It helps.",
        why_now="Spring.",
        previous_id=LINK,
    )


def test_an_alignment_leads_to_the_successor_of_its_target_and_nobody_has_agreed_yet() -> None:
    told = agree_again(_way(OBJECTIVE, OTHER_OBJECTIVE), [_link()])
    successor = after(OTHER_OBJECTIVE)
    assert told == Carried((_agreed(Target(kind="objective", id=successor), successor),))
    (event,) = told.events
    assert isinstance(event, AlignmentAgreed)
    assert event.agreed_by == ()


def test_an_alignment_to_a_key_result_leads_to_that_ones_successor() -> None:
    link = _link(target=Target(kind="key_result", id=OTHER_KEY_RESULT))
    told = agree_again(_way(OBJECTIVE, OTHER_OBJECTIVE, OTHER_KEY_RESULT), [link])
    target = Target(kind="key_result", id=after(OTHER_KEY_RESULT))
    assert told.events == (_agreed(target, after(OTHER_OBJECTIVE)),)
    # Its objective goes on, but it does not.
    lost = agree_again(_way(OBJECTIVE, OTHER_OBJECTIVE), [link])
    assert "does not go on" in _finding(lost).message


def test_an_alignment_to_a_goal_of_another_cycle_keeps_its_target() -> None:
    told = agree_again(_way(OBJECTIVE), [_link(above=ELSEWHERE, cycle=RUNNING)])
    assert told.events == (_agreed(Target(kind="objective", id=OTHER_OBJECTIVE), OTHER_OBJECTIVE),)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "does not go on"),
        ({"above": ELSEWHERE, "cycle": replace(RUNNING, phase=Phase.CLOSED)}, "is closed"),
        ({"above": replace(ELSEWHERE, status=Status.CLOSED), "cycle": RUNNING}, "is closed"),
        ({"above": ELSEWHERE, "cycle": RUNNING, "removed": True}, "was removed"),
    ],
)
def test_an_alignment_whose_target_is_no_more_is_told(changes: dict[str, Any], why: str) -> None:
    finding = _finding(agree_again(_way(OBJECTIVE), [_link(**changes)]))
    assert (finding.rule, finding.decision) == ("reset.alignment_lost", "alignment")
    assert f"'{TERMS.title}' {why}" in finding.message


def test_two_alignments_that_are_lost_are_told_at_once() -> None:
    """One finding of a rule stands for an event."""
    finding = _finding(agree_again(_way(OBJECTIVE), [_link(), _link(alignment_id=uid(66))]))
    assert finding.message.count("does not go on") == 2


def test_a_kind_of_target_that_is_not_decided_any_more_is_told() -> None:
    decided = Deployment(alignment=AlignmentPolicy(targets=("key_result",)))
    way = _way(OBJECTIVE, OTHER_OBJECTIVE, deployment=decided)
    assert "not decided any more" in _finding(agree_again(way, [_link()])).message


def test_what_does_not_go_on_takes_no_alignment_along() -> None:
    assert agree_again(_way(OTHER_OBJECTIVE), [_link()]) == Carried()


@given_any(
    edges=st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda e: e[0] < e[1])),
    here=st.sets(st.integers(0, 9)),
    kept=st.sets(st.integers(0, 9)),
)
def test_no_loop_can_come_of_alignments_that_are_agreed_again(
    edges: set[tuple[int, int]], here: set[int], kept: set[int]
) -> None:
    """Of any graph without loops over two cycles: the old and the new links together have none."""
    ids = [uid(200 + n) for n in range(10)]
    goals = [
        replace(HERE if n in here else ELSEWHERE, objective_id=ids[n], status=Status.COMMITTED)
        for n in range(10)
    ]
    links = [
        _link(
            alignment_id=uid(300 + 10 * low + high),
            objective_id=ids[low],
            target=Target(kind="objective", id=ids[high]),
            above=goals[high],
            cycle=LEFT if high in here else RUNNING,
        )
        for low, high in sorted(edges)
    ]
    way = _way(
        *(ids[n] for n in here & kept),
        fresh_ids={link.alignment_id: after(link.alignment_id) for link in links},
    )
    told = agree_again(way, [link for link in links if ids.index(link.objective_id) in here])
    graph: dict[UUID, set[UUID]] = {}
    for link in links:
        graph.setdefault(link.objective_id, set()).add(link.target.id)
    for event in told.events:
        assert isinstance(event, AlignmentAgreed)
        graph.setdefault(event.objective_id, set()).add(event.target.id)
    assert not _has_loop(graph)
    # None of the objectives that go on is forgotten: agreed again, or told.
    mine = {link.objective_id for link in links if link.objective_id in way.successors}
    again = {e.objective_id for e in told.events if isinstance(e, AlignmentAgreed)}
    assert {way.successors[id] for id in mine} == again | {way.successors[id] for id in told.lost}


def _has_loop(graph: Mapping[UUID, set[UUID]]) -> bool:
    left = {node: set(targets) for node, targets in graph.items()}
    while ends := {node for node, targets in left.items() if not targets & set(left)}:
        left = {node: targets for node, targets in left.items() if node not in ends}
    return bool(left)


# Dependencies -----------------------------------------------------------------------------


def _need(**more: Any) -> Need:
    values: dict[str, Any] = {
        "dependency_id": NEED,
        "objective_id": OBJECTIVE,
        "on": OtherSide(kind="team", id=SALES),
        "needed": "A sign-in without a password.",
        "needed_by": date(2026, 2, 13),
        "owner": OWNER,
        "own_teams": frozenset({TEAM}),
        "risk_owner_id": PERSON,
        "risk_owner_known": True,
        "team_known": True,
    }
    return Need(**{**values, **more})


def _declared(**more: Any) -> DependencyDeclared:
    values: dict[str, Any] = {
        "dependency_id": after(NEED),
        "cycle_id": NEXT_CYCLE,
        "objective_id": after(OBJECTIVE),
        "on": OtherSide(kind="team", id=SALES),
        "on_team_id": SALES,
        "needed": "A sign-in without a password.",
        # 90 days lie between the first days of the two cycles.
        "needed_by": date(2026, 5, 14),
        "risk_owner_id": PERSON,
        "previous_id": NEED,
    }
    return DependencyDeclared(**{**values, **more})


def _on(other: Objective, cycle: Cycle, **more: Any) -> Need:
    on = OtherSide(kind="objective", id=other.objective_id)
    return _need(on=on, team_known=False, other=other, cycle=cycle, **more)


def test_a_dependency_is_declared_anew_as_far_into_the_next_cycle() -> None:
    assert declare_anew(_way(OBJECTIVE), [_need()]) == Carried((_declared(),))


def test_a_day_beyond_the_calendar_is_its_last_one() -> None:
    (event,) = declare_anew(_way(OBJECTIVE), [_need(needed_by=date(9999, 12, 30))]).events
    assert isinstance(event, DependencyDeclared)
    assert event.needed_by == date.max


def test_a_dependency_on_an_objective_is_on_its_successor_or_on_what_runs_elsewhere() -> None:
    successor = OtherSide(kind="objective", id=after(OTHER_OBJECTIVE))
    told = declare_anew(_way(OBJECTIVE, OTHER_OBJECTIVE), [_on(HERE, LEFT)])
    assert told.events == (_declared(on=successor),)
    same = OtherSide(kind="objective", id=OTHER_OBJECTIVE)
    told = declare_anew(_way(OBJECTIVE), [_on(ELSEWHERE, RUNNING)])
    assert told.events == (_declared(on=same),)
    hers = replace(ELSEWHERE, owner=Owner(kind=OwnerKind.PERSON, id=PERSON))
    told = declare_anew(_way(OBJECTIVE), [_on(hers, RUNNING)])
    assert told.events == (_declared(on=same, on_team_id=None),)


@pytest.mark.parametrize(
    ("need", "why"),
    [
        (_need(team_known=False), "the team is gone"),
        (_need(own_teams=frozenset({SALES})), "that team owns the objective itself now"),
        (_on(HERE, LEFT), "the other objective does not go on"),
        (_on(ELSEWHERE, replace(RUNNING, phase=Phase.CLOSED)), "the other objective is closed"),
        (_on(replace(ELSEWHERE, owner=OWNER), RUNNING), "is of the same team now"),
        (_on(ELSEWHERE, RUNNING, own_teams=frozenset({SALES})), "is of the same team now"),
    ],
)
def test_a_dependency_that_nobody_can_accept_is_told(need: Need, why: str) -> None:
    finding = _finding(declare_anew(_way(OBJECTIVE), [need]))
    assert finding.rule == "reset.dependency_lost"
    assert "'A sign-in without a password.'" in finding.message
    assert why in finding.message


def test_a_risk_whose_owner_left_is_told_and_nobody_carries_it() -> None:
    told = declare_anew(_way(OBJECTIVE), [_need(risk_owner_known=False)])
    assert told.events == (_declared(risk_owner_id=None),)
    (finding,) = told.lost[OBJECTIVE]
    assert finding.rule == "reset.risk_owner_gone"


def test_what_does_not_go_on_needs_nothing_any_more() -> None:
    assert declare_anew(_way(OTHER_OBJECTIVE), [_need()]) == Carried()


# KPIs -------------------------------------------------------------------------------------

HEALTHY = HealthyRange(low=METRIC.target)
WATCHED = Kpi(
    KPI,
    KpiTerms(name="Customers", unit="customers", owner=OWNER, healthy=HEALTHY),
    focus=Focus(KEY_RESULT, OBJECTIVE, CYCLE),
)


def test_the_focus_of_a_kpi_goes_to_the_successor_of_its_key_result() -> None:
    focused = KpiFocused(
        kpi_id=KPI,
        key_result_id=after(KEY_RESULT),
        objective_id=after(OBJECTIVE),
        cycle_id=NEXT_CYCLE,
    )
    limit = KeyResultTerms(
        title="Stay", measure=Threshold(unit="customers", bound="at_least", limit=METRIC.target)
    )
    for terms in (KEY_TERMS, limit):
        way = _way(OBJECTIVE, KEY_RESULT, terms={KEY_RESULT: terms})
        assert focus_on(way, [WATCHED]) == Carried((focused,))


@pytest.mark.parametrize(
    ("terms", "decided", "why"),
    [
        (
            KEY_TERMS.model_copy(update={"measure": METRIC.model_copy(update={"unit": "rides"})}),
            DEFAULTS,
            "not measured in customers",
        ),
        (KeyResultTerms(title="Launched", measure=Milestone()), DEFAULTS, "not measured in"),
        (KEY_TERMS, Deployment(kpis=Kpis(policy="separate")), "kept apart"),
    ],
)
def test_a_kpi_that_cannot_feed_the_successor_is_told(
    terms: KeyResultTerms, decided: Deployment, why: str
) -> None:
    way = _way(OBJECTIVE, KEY_RESULT, terms={KEY_RESULT: terms}, deployment=decided)
    finding = _finding(focus_on(way, [WATCHED]), KEY_RESULT)
    assert (finding.rule, finding.decision) == ("reset.kpi_focus_lost", "kpis")
    assert why in finding.message


def test_a_kpi_of_a_removed_key_result_is_left_as_it_is() -> None:
    assert focus_on(_way(OBJECTIVE), [WATCHED]) == Carried()
