"""The end of a cycle: scores, outcomes, and what the next cycle begins with."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from app.domain.alignment import AlignmentAgreed
from app.domain.calendar import windows
from app.domain.carry_over import Bonds, CarryOver, Link, Need
from app.domain.check_in import CheckIn, CheckIns
from app.domain.cycle import (
    Cycle,
    CycleClosed,
    CycleContinued,
    CycleDraftingBegun,
    CycleEvents,
    CyclePlanned,
    Phase,
)
from app.domain.dependency import DependencyDeclared, OtherSide
from app.domain.deployment import Cadence, Deployment, Enforcement, Limits, Rhythm
from app.domain.errors import DecisionRefuses, InvalidState, NotFound, Refusal, ResetIncomplete
from app.domain.key_result import (
    Choice,
    KeyResult,
    KeyResultDrafted,
    KeyResultReset,
    KeyResultScored,
    KeyResultTerms,
)
from app.domain.kpi import Focus, Kpi, KpiFocused, KpiReturned
from app.domain.kpi_terms import HealthyRange, KpiTerms
from app.domain.next_cycle import NextCycle
from app.domain.objective import Objective, ObjectiveClosed, ObjectiveDrafted, Outcome, Status
from app.domain.reset import (
    ENDED,
    SCORED_AT_THE_END,
    CloseCycle,
    Goal,
    KeyResultChoice,
    ResetCycle,
)
from app.domain.scoring import FORMULAS
from app.domain.values import Level, Owner, OwnerKind, Target
from tests.domain.builders import (
    CHECK_IN,
    CYCLE,
    DEFAULTS,
    HISTORY,
    IDS,
    KEY_IDS,
    KEY_RESULT,
    KEY_TERMS,
    METRIC,
    NEXT_CYCLE,
    NOW,
    OBJECTIVE,
    OTHER_KEY_RESULT,
    OWNER,
    PERSON,
    PLANNED,
    STARTS,
    TERMS,
    key_result,
    objective,
    uid,
)
from tests.given import Given, given

FRESH = {OBJECTIVE: uid(101), KEY_RESULT: uid(102), OTHER_KEY_RESULT: uid(103)}
NEXT = NextCycle(name="2026 Q2", starts_on=date(2026, 4, 1), ends_on=date(2026, 6, 30))
OTHER = KeyResult(OTHER_KEY_RESULT, OBJECTIVE, CYCLE, KEY_TERMS, score=Decimal("0.9"))


def _reflecting() -> Given:
    return given(*HISTORY[Phase.REFLECTING])


def _goal(*key_results: KeyResult, status: Status = Status.COMMITTED) -> Goal:
    return Goal(objective(status), key_results)


def _reset(*choices: KeyResultChoice, **more: Any) -> ResetCycle:
    values: dict[str, Any] = {
        "at": NOW,
        "cycle_id": CYCLE,
        "next_cycle_id": NEXT_CYCLE,
        "next_cycle": NEXT,
        "choices": choices,
        "goals": (_goal(key_result(score=Decimal("0.8"))),),
        "fresh_ids": FRESH,
        "deployment": DEFAULTS,
        "parent": None,
        "owner_levels": {OWNER: Level.TEAM},
        "following": None,
        "others": (),
        "held": {},
        "bonds": Bonds(),
        "kpis": (),
    }
    return ResetCycle(**{**values, **more})


def _close(*goals: Goal, kpis: tuple[Kpi, ...] = ()) -> CloseCycle:
    return CloseCycle(at=NOW, cycle_id=CYCLE, goals=goals, kpis=kpis)


def _choose(choice: Choice, id: Any = KEY_RESULT, **more: Any) -> KeyResultChoice:
    return KeyResultChoice(key_result_id=id, choice=choice, **more)


PLANNED_NEXT = CyclePlanned(
    cycle_id=NEXT_CYCLE,
    name="2026 Q2",
    starts_on=NEXT.starts_on,
    ends_on=NEXT.ends_on,
    previous_id=CYCLE,
    windows=windows(NEXT.starts_on, NEXT.ends_on, DEFAULTS),
)
CLOSED = CycleClosed(cycle_id=CYCLE, next_cycle_id=NEXT_CYCLE)
BEGUN = CycleDraftingBegun(cycle_id=NEXT_CYCLE)
SUCCESSOR = ObjectiveDrafted(
    objective_id=FRESH[OBJECTIVE],
    cycle_id=NEXT_CYCLE,
    owner=OWNER,
    terms=TERMS,
    previous_id=OBJECTIVE,
)


def _successor(terms: KeyResultTerms) -> KeyResultDrafted:
    return KeyResultDrafted(
        key_result_id=FRESH[KEY_RESULT],
        objective_id=FRESH[OBJECTIVE],
        cycle_id=NEXT_CYCLE,
        terms=terms,
        previous_id=KEY_RESULT,
    )


def test_a_kept_key_result_is_drafted_again_with_its_lineage() -> None:
    _reflecting().when(_reset(_choose(Choice.KEEP, learning="Start earlier."))).then(
        ObjectiveClosed(**IDS, outcome=Outcome.CARRIED_ON),
        KeyResultReset(
            **KEY_IDS,
            choice=Choice.KEEP,
            learning="Start earlier.",
            successor_id=FRESH[KEY_RESULT],
        ),
        CLOSED,
        PLANNED_NEXT,
        BEGUN,
        SUCCESSOR,
        _successor(KEY_TERMS),
    )


def test_who_is_gone_owns_nothing_in_the_next_cycle() -> None:
    keep = _reset(_choose(Choice.KEEP), owner_levels={OWNER: None})
    refusal = _reflecting().when(keep).then_raises(Refusal, "objective's owner is gone")
    assert refusal.pointer == "/choices/0"
    ada = Owner(kind=OwnerKind.PERSON, id=PERSON)
    hers = key_result(score=Decimal(1), terms=KEY_TERMS.model_copy(update={"owner": ada}))
    keep = _reset(_choose(Choice.KEEP), goals=(_goal(hers),))
    _reflecting().when(keep).then_raises(Refusal, "key result's owner is gone")
    choice = _choose(Choice.MODIFY, terms=hers.terms)
    unknown = _reflecting().when(_reset(choice)).then_raises(NotFound)
    assert unknown.pointer == "/choices/0/terms/owner"


def test_what_is_carried_on_is_judged_by_the_limits_of_now() -> None:
    one = Deployment(limits=Limits(max_objectives=1, enforcement=Enforcement.REFUSE))
    other = Goal(replace(objective(), objective_id=uid(20)), (OTHER,))
    fresh = {**FRESH, uid(20): uid(104)}
    both = (_choose(Choice.KEEP), _choose(Choice.KEEP, OTHER_KEY_RESULT))
    goals = (_goal(key_result(score=Decimal(1))), other)
    reset = _reset(*both, goals=goals, fresh_ids=fresh, deployment=one)
    assert _reflecting().when(reset).then_raises(DecisionRefuses).pointer == "/choices/1"
    warned = _reset(
        *both, goals=goals, fresh_ids=fresh, deployment=Deployment(limits=Limits(max_objectives=1))
    )
    drafted = [e for e in _reflecting().when(warned).decide() if isinstance(e, ObjectiveDrafted)]
    assert [len(event.warnings) for event in drafted] == [0, 1]


def test_the_next_cycle_begins_later() -> None:
    early = NEXT.model_copy(update={"starts_on": STARTS})
    reset = _reset(_choose(Choice.KEEP), next_cycle=early)
    refusal = _reflecting().when(reset).then_raises(Refusal, "begin after this one did")
    assert refusal.pointer == "/next_cycle/starts_on"


def test_a_modified_key_result_is_drafted_with_its_new_terms() -> None:
    harder = KEY_TERMS.model_copy(
        update={"measure": METRIC.model_copy(update={"target": Decimal(300)})}
    )
    events = _reflecting().when(_reset(_choose(Choice.MODIFY, terms=harder))).decide()
    assert events[-1] == _successor(harder)


def test_a_removed_key_result_goes_no_further_and_neither_does_an_empty_objective() -> None:
    _reflecting().when(_reset(_choose(Choice.REMOVE))).then(
        ObjectiveClosed(**IDS, outcome=Outcome.ACHIEVED),
        KeyResultReset(**KEY_IDS, choice=Choice.REMOVE),
        CLOSED,
        PLANNED_NEXT,
        BEGUN,
    )


def test_what_nobody_scored_is_scored_from_its_latest_value() -> None:
    said = CheckIn(CHECK_IN, NOW, Decimal(150))
    unscored = _goal(key_result(check_ins=CheckIns([said]), last={"value": said}))
    events = _reflecting().when(_reset(_choose(Choice.REMOVE), goals=(unscored,))).decide()
    assert events[0] == KeyResultScored(
        **KEY_IDS,
        computed=Decimal("0.5"),
        score=Decimal("0.5"),
        formula=FORMULAS["measure_what_matters"],
        comment=SCORED_AT_THE_END,
    )
    assert events[1] == ObjectiveClosed(**IDS, outcome=Outcome.NOT_ACHIEVED)


def test_an_objective_is_achieved_when_its_roll_up_is_good() -> None:
    for other, outcome in ((OTHER, Outcome.ACHIEVED), (None, Outcome.NOT_ACHIEVED)):
        parts = [key_result(score=Decimal("0.5")), *([other] if other else [])]
        closed = _reflecting().when(_close(_goal(*parts)))
        assert closed.decide()[0] == ObjectiveClosed(**IDS, outcome=outcome)


def test_what_was_never_committed_is_abandoned() -> None:
    draft = _goal(key_result(), status=Status.DRAFT)
    _reflecting().when(_close(draft)).then(
        ObjectiveClosed(
            **IDS,
            outcome=Outcome.ABANDONED,
            reason="Never committed before the cycle ended.",
        ),
        CycleClosed(cycle_id=CYCLE),
    )


def test_every_key_result_needs_a_choice() -> None:
    both = _goal(key_result(), OTHER)
    refusal = (
        _reflecting().when(_reset(_choose(Choice.KEEP), goals=(both,))).then_raises(ResetIncomplete)
    )
    assert refusal.facts["missing"] == [str(OTHER_KEY_RESULT)]


def test_choices_fit_the_cycle() -> None:
    stranger = _choose(Choice.KEEP, uid(77))
    unknown = _reflecting().when(_reset(stranger)).then_raises(NotFound)
    assert unknown.pointer == "/choices/0/key_result_id"
    keep = _choose(Choice.KEEP)
    _reflecting().when(_reset(keep, keep)).then_raises(Refusal, "chosen twice")
    _reflecting().when(_reset(_choose(Choice.MODIFY))).then_raises(Refusal, "terms belong")
    surplus = _choose(Choice.KEEP, terms=KEY_TERMS)
    _reflecting().when(_reset(surplus)).then_raises(Refusal, "terms belong")


def test_the_next_cycle_fits_the_cadence_of_its_moment() -> None:
    yearly = Deployment(
        cadence=Rhythm(company=Cadence.YEAR, team=Cadence.YEAR, individual=Cadence.YEAR)
    )
    refusal = (
        _reflecting()
        .when(_reset(_choose(Choice.KEEP), deployment=yearly))
        .then_raises(DecisionRefuses)
    )
    assert refusal.pointer == "/next_cycle/ends_on"


def test_a_cycle_is_reset_while_reflecting_only() -> None:
    given(*HISTORY[Phase.SCORING]).when(_reset(_choose(Choice.KEEP))).then_raises(InvalidState)
    given().when(_reset(_choose(Choice.KEEP))).then_raises(NotFound)


# A cycle that is there already -----------------------------------------------------------

COMPANY, TEAM_LEVEL = Level.COMPANY, Level.TEAM
FOLLOWING = Cycle(NEXT_CYCLE, "Spring", NEXT.starts_on, NEXT.ends_on)


def _into(following: Cycle | None = FOLLOWING, **more: Any) -> ResetCycle:
    return _reset(_choose(Choice.KEEP), next_cycle=None, following=following, **more)


def _reflecting_for(*levels: Level) -> Given:
    planned = PLANNED.model_copy(update={"levels": levels or None})
    history: list[CycleEvents] = [planned, *HISTORY[Phase.REFLECTING][1:]]
    return given(*history)


def test_a_planned_cycle_is_continued_and_its_drafting_begins() -> None:
    events = _reflecting().when(_into()).decide()
    assert events[2:] == [
        CLOSED,
        CycleContinued(cycle_id=NEXT_CYCLE, previous_id=CYCLE),
        BEGUN,
        SUCCESSOR,
        _successor(KEY_TERMS),
    ]


def test_a_cycle_that_drafts_already_is_continued_as_it_is() -> None:
    events = _reflecting().when(_into(replace(FOLLOWING, phase=Phase.DRAFTING))).decide()
    assert BEGUN not in events
    assert SUCCESSOR in events


def test_an_unknown_next_cycle_is_pointed_to() -> None:
    assert _reflecting().when(_into(None)).then_raises(NotFound).pointer == "/next_cycle_id"


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({"starts_on": STARTS}, "does not begin after this one did (2026-01-01)"),
        ({"phase": Phase.ACTIVE}, "is active"),
        ({"phase": Phase.CLOSED}, "is closed"),
        ({"phase": Phase.CANCELLED}, "is cancelled"),
        ({"parent_id": CYCLE}, "lies within this one"),
        ({"levels": (COMPANY,)}, "is for company, and this one for team"),
    ],
)
def test_a_cycle_that_does_not_follow_is_refused_and_those_that_do_are_named(
    changes: dict[str, Any], saying: str
) -> None:
    fitting = Cycle(uid(90), "Summer", date(2026, 7, 1), date(2026, 9, 30))
    wrong = replace(FOLLOWING, **changes)
    past = replace(fitting, cycle_id=uid(91), name="Long ago", starts_on=date(2025, 7, 1))
    reset = _into(wrong, others=(past, wrong, fitting))
    refusal = _reflecting_for(TEAM_LEVEL).when(reset).then_raises(Refusal, saying)
    assert refusal.pointer == "/next_cycle_id"
    assert refusal.detail.endswith(f"Name one of these: 'Summer' ({uid(90)}).")
    alone = _reflecting_for(TEAM_LEVEL).when(_into(wrong, others=(past, wrong)))
    assert alone.then_raises(Refusal).detail.endswith("Plan one: next_cycle.")


@pytest.mark.parametrize(
    ("own", "of_next"), [((), (COMPANY,)), ((TEAM_LEVEL,), ()), ((COMPANY, TEAM_LEVEL), (COMPANY,))]
)
def test_one_level_in_common_is_enough_and_none_stated_is_any(
    own: tuple[Level, ...], of_next: tuple[Level, ...]
) -> None:
    into = _into(replace(FOLLOWING, levels=of_next))
    assert SUCCESSOR in _reflecting_for(*own).when(into).decide()


def test_what_owners_hold_in_the_next_cycle_counts_for_its_limits() -> None:
    one = Limits(max_objectives=1, enforcement=Enforcement.REFUSE)
    full = _into(held={OWNER: 1}, deployment=Deployment(limits=one))
    assert _reflecting().when(full).then_raises(DecisionRefuses).pointer == "/choices/0"
    room = _into(held={OWNER: 0}, deployment=Deployment(limits=one))
    assert SUCCESSOR in _reflecting().when(room).decide()


# Levels ----------------------------------------------------------------------------------


def _levels(given: Given, **more: Any) -> Any:
    events = given.when(_reset(_choose(Choice.KEEP), **more)).decide()
    (planned,) = [event for event in events if isinstance(event, CyclePlanned)]
    return planned.levels


def test_the_next_cycle_is_for_the_levels_of_this_one_unless_it_says_otherwise() -> None:
    assert _levels(_reflecting()) is None
    assert _levels(_reflecting_for(COMPANY, TEAM_LEVEL)) == (COMPANY, TEAM_LEVEL)
    stated = NEXT.model_copy(update={"levels": (TEAM_LEVEL, TEAM_LEVEL)})
    assert _levels(_reflecting_for(COMPANY), next_cycle=stated) == (TEAM_LEVEL,)


def test_a_level_at_which_no_goals_are_set_has_no_next_cycle() -> None:
    stated = NEXT.model_copy(update={"levels": (Level.INDIVIDUAL,)})
    reset = _reset(_choose(Choice.KEEP), next_cycle=stated)
    refusal = _reflecting().when(reset).then_raises(DecisionRefuses, "level individual")
    assert refusal.pointer == "/next_cycle/levels"


def test_a_cycle_of_the_same_level_that_is_planned_for_these_days_is_to_be_named() -> None:
    planned = replace(FOLLOWING, cycle_id=uid(90), levels=(TEAM_LEVEL,))
    reset = _reset(_choose(Choice.KEEP), others=(planned,))
    refusal = _reflecting_for(TEAM_LEVEL).when(reset).then_raises(Refusal, "overlaps 'Spring'")
    assert "name that one as next_cycle_id" in refusal.detail
    assert (refusal.pointer, refusal.facts) == (
        "/next_cycle/starts_on",
        {"existing_id": str(uid(90))},
    )
    for free in (replace(planned, levels=(COMPANY,)), replace(planned, phase=Phase.CLOSED)):
        shared = _reset(_choose(Choice.KEEP), others=(free,))
        assert SUCCESSOR in _reflecting_for(TEAM_LEVEL).when(shared).decide()
    own = replace(planned, cycle_id=CYCLE)
    assert SUCCESSOR in _reflecting_for(TEAM_LEVEL).when(replace(reset, others=(own,))).decide()


# KPIs ------------------------------------------------------------------------------------

WATCHED = Kpi(
    uid(71),
    KpiTerms(
        name="Active customers",
        unit="customers",
        owner=OWNER,
        healthy=HealthyRange(low=Decimal(500)),
    ),
    focus=Focus(KEY_RESULT, OBJECTIVE, CYCLE),
)
RETURNED = KpiReturned(kpi_id=uid(71), **KEY_IDS, reason=ENDED)


def test_a_kpi_in_focus_is_a_health_metric_again_when_the_cycle_ends() -> None:
    goal = _goal(key_result(score=Decimal(1)))
    closed = _reflecting().when(_close(goal, kpis=(WATCHED,))).decide()
    assert closed[-2:] == [RETURNED, CycleClosed(cycle_id=CYCLE)]
    for choice in (Choice.KEEP, Choice.REMOVE):
        events = _reflecting().when(_reset(_choose(choice), kpis=(WATCHED,))).decide()
        assert events[events.index(CLOSED) - 1] == RETURNED


# What goes on beside the goals: see `test_carry_over` ------------------------------------

EVERYTHING = frozenset(CarryOver)
SALES = Owner(kind=OwnerKind.TEAM, id=uid(65))
YEAR = Cycle(uid(64), "2026", date(2026, 1, 1), date(2026, 12, 31), phase=Phase.ACTIVE)
LINK = Link(
    alignment_id=uid(61),
    objective_id=OBJECTIVE,
    target=Target(kind="objective", id=uid(66)),
    rationale="It helps.",
    why_now=None,
    above=Objective(uid(66), YEAR.cycle_id, SALES, TERMS, Status.COMMITTED),
    cycle=YEAR,
)
NEED = Need(
    dependency_id=uid(62),
    objective_id=OBJECTIVE,
    on=OtherSide(kind="team", id=SALES.id),
    needed="Prices.",
    needed_by=date(2026, 2, 13),
    owner=OWNER,
    team_known=True,
)
TIED = {**FRESH, uid(61): uid(161), uid(62): uid(162)}


def _tied(*links: Link, needs: tuple[Need, ...] = (), **more: Any) -> ResetCycle:
    bonds = Bonds(links, needs)
    values = {"bonds": bonds, "kpis": (WATCHED,), "fresh_ids": TIED, "carry_over": EVERYTHING}
    return _reset(_choose(Choice.KEEP), **{**values, **more})


def test_what_was_asked_for_goes_on_after_all_is_drafted() -> None:
    events = _reflecting().when(_tied(LINK, needs=(NEED,))).decide()
    assert [type(event) for event in events[-4:]] == [
        KeyResultDrafted,
        AlignmentAgreed,
        DependencyDeclared,
        KpiFocused,
    ]
    assert RETURNED not in events


@pytest.mark.parametrize("wanted", list(CarryOver))
def test_nothing_goes_on_that_was_not_asked_for(wanted: CarryOver) -> None:
    reset = _tied(LINK, needs=(NEED,), carry_over=frozenset({wanted}))
    events = _reflecting().when(reset).decide()
    kinds = {
        CarryOver.ALIGNMENTS: AlignmentAgreed,
        CarryOver.DEPENDENCIES: DependencyDeclared,
        CarryOver.KPI_FOCUS: KpiFocused,
    }
    found = [event for event in events if isinstance(event, tuple(kinds.values()))]
    assert [type(event) for event in found] == [kinds[wanted]]
    assert (RETURNED in events) is (wanted is not CarryOver.KPI_FOCUS)


def test_what_cannot_go_on_is_told_where_it_is_missed() -> None:
    closed = replace(LINK, cycle=replace(YEAR, phase=Phase.CLOSED))
    gone = replace(NEED, team_known=False)
    other = _choose(Choice.MODIFY, terms=KeyResultTerms(title="Launched"))
    reset = replace(_tied(closed, needs=(gone,)), choices=(other,))
    events = _reflecting().when(reset).decide()
    told = [
        [finding.rule for finding in event.warnings]
        for event in events
        if isinstance(event, ObjectiveDrafted | KeyResultDrafted)
    ]
    assert told == [
        ["reset.alignment_lost", "reset.dependency_lost"],
        ["reset.kpi_focus_lost"],
    ]
    assert RETURNED in events
