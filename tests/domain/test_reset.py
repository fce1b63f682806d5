"""The end of a cycle: scores, outcomes, and what the next cycle begins with."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from app.domain.calendar import windows
from app.domain.cycle import CycleClosed, CycleDraftingBegun, CyclePlanned, Phase
from app.domain.deployment import Cadence, Deployment, Enforcement, Limits, Rhythm
from app.domain.errors import DecisionRefuses, InvalidState, NotFound, Refusal, ResetIncomplete
from app.domain.key_result import (
    CheckIn,
    CheckInTerms,
    Choice,
    KeyResult,
    KeyResultDrafted,
    KeyResultReset,
    KeyResultScored,
    KeyResultTerms,
)
from app.domain.objective import ObjectiveClosed, ObjectiveDrafted, Outcome, Status
from app.domain.reset import (
    SCORED_AT_THE_END,
    CloseCycle,
    Goal,
    KeyResultChoice,
    NextCycle,
    ResetCycle,
)
from app.domain.scoring import FORMULAS
from app.domain.values import Level, Owner, OwnerKind
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
    }
    return ResetCycle(**{**values, **more})


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
    said = CheckIn(CHECK_IN, CheckInTerms(value=Decimal(150)), NOW)
    unscored = _goal(key_result(check_ins={CHECK_IN: said}, last={"value": said}))
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
        closed = _reflecting().when(CloseCycle(at=NOW, cycle_id=CYCLE, goals=(_goal(*parts),)))
        assert closed.decide()[0] == ObjectiveClosed(**IDS, outcome=outcome)


def test_what_was_never_committed_is_abandoned() -> None:
    draft = _goal(key_result(), status=Status.DRAFT)
    _reflecting().when(CloseCycle(at=NOW, cycle_id=CYCLE, goals=(draft,))).then(
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
