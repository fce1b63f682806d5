"""KPIs: registering, revising, reading, bringing into focus and returning."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from app.domain.check_in import CheckInTerms
from app.domain.cycle import Phase
from app.domain.deployment import Deployment, Kpis, StretchTargetCommit
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    InvalidState,
    NotFound,
    OutsideCycle,
    ReasonMissing,
    Refusal,
)
from app.domain.key_result import CheckInRecorded, KeyResultDrafted, KeyResultTerms
from app.domain.kpi import (
    Kpi,
    KpiFocused,
    KpiLeftRange,
    KpiRegistered,
    KpiRetired,
    KpiReturned,
    KpiReturnedToRange,
    KpiRevised,
    ReadingRecorded,
)
from app.domain.kpi_commands import (
    FocusKpi,
    RecordReading,
    RegisterKpi,
    RetireKpi,
    ReturnKpi,
    ReviseKpi,
    decider,
)
from app.domain.kpi_terms import Direction, HealthyRange, KpiTerms, Proposal, propose
from app.domain.measures import Metric, Milestone
from app.domain.messages import Event
from app.domain.objective import Status
from app.domain.values import ExternalRef, Level, Owner, OwnerKind
from tests.domain.builders import (
    CHECK_IN,
    DEFAULTS,
    KEY_IDS,
    KEY_RESULT,
    NOW,
    OBJECTIVE,
    OWNER,
    PERSON,
    REFUSING,
    YESTERDAY,
    cycle,
    key_result,
    objective,
    uid,
)
from tests.given import given

KPI, READING = uid(71), uid(72)
HEALTHY = HealthyRange(low=Decimal(500), high=Decimal(900))
TERMS = KpiTerms(name="Active customers", unit="customers", owner=OWNER, healthy=HEALTHY)
REGISTERED = KpiRegistered(kpi_id=KPI, terms=TERMS)
FOCUSED = KpiFocused(kpi_id=KPI, **KEY_IDS)
RETURNED = KpiReturned(kpi_id=KPI, **KEY_IDS, reason="Enough.")
RETIRED = KpiRetired(kpi_id=KPI, reason="Nobody looks at it.")
SOMEBODY = Owner(kind=OwnerKind.PERSON, id=PERSON)
SEPARATE = Deployment(kpis=Kpis(policy="separate"))
ONLY_AS_KEY_RESULTS = Deployment(kpis=Kpis(policy="kpis_only_as_key_results"))


def _terms(**changed: Any) -> KpiTerms:
    return TERMS.model_copy(update=changed)


def _range(low: int | None = None, high: int | None = None) -> HealthyRange:
    return HealthyRange(
        low=None if low is None else Decimal(low), high=None if high is None else Decimal(high)
    )


def _register(**more: Any) -> RegisterKpi:
    values: dict[str, Any] = {
        "at": NOW,
        "kpi_id": KPI,
        "terms": TERMS,
        "owner_level": Level.TEAM,
        "existing": None,
    }
    return RegisterKpi(**{**values, **more})


def _revise(reason: str | None = None, owner_level: Level | None = None, **changed: Any) -> Any:
    return ReviseKpi(
        at=NOW, kpi_id=KPI, terms=_terms(**changed), reason=reason, owner_level=owner_level
    )


def _read(value: int, **more: Any) -> RecordReading:
    values: dict[str, Any] = {
        "at": NOW,
        "kpi_id": KPI,
        "reading_id": READING,
        "check_in_id": CHECK_IN,
        "value": Decimal(value),
        "occurred_at": NOW,
        "deployment": DEFAULTS,
        "key_result": None,
        "objective": None,
        "cycle": None,
        "existing": None,
    }
    return RecordReading(**{**values, **more})


def _read_in_focus(value: int, **more: Any) -> RecordReading:
    values: dict[str, Any] = {
        "key_result": key_result(),
        "objective": objective(),
        "cycle": cycle(Phase.ACTIVE),
    }
    return _read(value, **{**values, **more})


def _told(value: int, *, in_range: bool = True, **more: Any) -> ReadingRecorded:
    values: dict[str, Any] = {
        "kpi_id": KPI,
        "reading_id": READING,
        "value": Decimal(value),
        "in_range": in_range,
        "latest": True,
        "occurred_at": NOW,
    }
    return ReadingRecorded(**{**values, **more})


def _focus(target: int = 600, **more: Any) -> FocusKpi:
    values: dict[str, Any] = {
        "at": NOW,
        "kpi_id": KPI,
        "key_result_id": KEY_RESULT,
        "objective_id": OBJECTIVE,
        "target": Decimal(target),
        "objective": objective(Status.DRAFT),
        "cycle": cycle(Phase.DRAFTING),
        "deployment": DEFAULTS,
        "owner_level": None,
        "held": 0,
    }
    return FocusKpi(**{**values, **more})


def _left(value: int, terms: KpiTerms = TERMS) -> KpiLeftRange:
    return KpiLeftRange(kpi_id=KPI, value=Decimal(value), proposal=propose(terms, Decimal(value)))


RETURN = ReturnKpi(at=NOW, kpi_id=KPI, reason="Enough.")
RETIRE = RetireKpi(at=NOW, kpi_id=KPI, reason="Nobody looks at it.")

# Registering ------------------------------------------------------------------------------


def test_a_kpi_is_registered() -> None:
    given().when(_register()).then(REGISTERED)


def test_a_kpi_is_registered_once_and_by_a_known_owner() -> None:
    given().when(_register(existing=uid(9))).then_raises(AlreadyExists)
    unknown = given().when(_register(owner_level=None)).then_raises(NotFound)
    assert unknown.pointer == "/owner"


@pytest.mark.parametrize(
    ("direction", "healthy", "pointer"),
    [
        (Direction.HIGHER_IS_BETTER, _range(), "/healthy/low"),
        (Direction.HIGHER_IS_BETTER, _range(high=9), "/healthy/low"),
        (Direction.LOWER_IS_BETTER, _range(), "/healthy/high"),
        (Direction.LOWER_IS_BETTER, _range(low=1), "/healthy/high"),
        (Direction.IN_RANGE, _range(low=1), "/healthy/high"),
        (Direction.IN_RANGE, _range(high=9), "/healthy/low"),
        (Direction.IN_RANGE, _range(low=9, high=1), "/healthy/low"),
    ],
)
def test_a_healthy_range_fits_the_direction(
    direction: Direction, healthy: HealthyRange, pointer: str
) -> None:
    terms = _terms(direction=direction, healthy=healthy)
    assert given().when(_register(terms=terms)).then_raises(Refusal).pointer == pointer
    revision = _revise("x", direction=direction, healthy=healthy)
    assert given(REGISTERED).when(revision).then_raises(Refusal).pointer == pointer


@pytest.mark.parametrize(
    ("direction", "healthy"),
    [
        (Direction.HIGHER_IS_BETTER, _range(low=1)),
        (Direction.LOWER_IS_BETTER, _range(high=9)),
        (Direction.IN_RANGE, _range(low=5, high=5)),
    ],
)
def test_one_bound_is_enough_where_the_direction_needs_one(
    direction: Direction, healthy: HealthyRange
) -> None:
    terms = _terms(direction=direction, healthy=healthy)
    given().when(_register(terms=terms)).then(KpiRegistered(kpi_id=KPI, terms=terms))


@pytest.mark.parametrize(
    "command",
    [_revise(name="x"), RETIRE, _read(1), _focus(), RETURN],
    ids=lambda c: type(c).__name__,
)
def test_an_unknown_kpi_is_not_found_and_a_retired_one_takes_no_more_commands(
    command: Any,
) -> None:
    given().when(command).then_raises(NotFound, "KPI")
    given(REGISTERED, RETIRED).when(command).then_raises(InvalidState, "retired")


# Revising and retiring --------------------------------------------------------------------


def test_a_new_name_needs_no_reason_and_a_new_range_does() -> None:
    renamed = _terms(name="Active clients")
    given(REGISTERED).when(_revise(name="Active clients")).then(
        KpiRevised(kpi_id=KPI, terms=renamed)
    )
    for changed in ({"healthy": _range(low=1)}, {"direction": Direction.IN_RANGE}):
        missing = given(REGISTERED).when(_revise(**changed)).then_raises(ReasonMissing)
        assert missing.pointer == "/reason"
        given(REGISTERED).when(_revise("We grew.", **changed)).then(
            KpiRevised(kpi_id=KPI, terms=_terms(**changed), reason="We grew.")
        )


def test_a_revision_that_changes_nothing_is_no_event() -> None:
    given(REGISTERED).when(_revise("Why not?")).then_nothing()


def test_a_kpi_keeps_its_unit() -> None:
    refusal = given(REGISTERED).when(_revise("x", unit="people")).then_raises(Refusal)
    assert refusal.pointer == "/unit"


def test_a_new_owner_is_known_and_an_old_one_who_left_may_stay() -> None:
    given(REGISTERED).when(_revise(owner=SOMEBODY)).then_raises(NotFound)
    handed_over = _revise(owner=SOMEBODY, owner_level=Level.INDIVIDUAL)
    given(REGISTERED).when(handed_over).then(KpiRevised(kpi_id=KPI, terms=_terms(owner=SOMEBODY)))
    given(REGISTERED).when(_revise(name="y")).then(KpiRevised(kpi_id=KPI, terms=_terms(name="y")))


def test_a_new_range_judges_the_latest_reading_anew() -> None:
    narrow = _terms(healthy=_range(low=700))
    given(REGISTERED, _told(600)).when(_revise("x", healthy=narrow.healthy)).then(
        KpiRevised(kpi_id=KPI, terms=narrow, in_range=False, reason="x"), _left(600, narrow)
    )
    wide = _terms(healthy=_range(low=100))
    outside = given(REGISTERED, _told(400, in_range=False), _left(400))
    outside.when(_revise("x", healthy=wide.healthy)).then(
        KpiRevised(kpi_id=KPI, terms=wide, in_range=True, reason="x"),
        KpiReturnedToRange(kpi_id=KPI, value=Decimal(400)),
    )


def test_a_revision_of_what_stays_outside_makes_the_proposal_anew() -> None:
    outside = given(REGISTERED, _told(400, in_range=False), _left(400))
    (revised,) = outside.when(_revise("x", healthy=_range(low=450))).decide()
    assert isinstance(revised, KpiRevised)
    assert revised.in_range is False
    assert revised.proposal is not None
    assert revised.proposal.key_result.target == 450


def test_a_kpi_is_retired_but_not_while_in_focus() -> None:
    given(REGISTERED).when(RETIRE).then(RETIRED)
    given(REGISTERED, FOCUSED).when(RETIRE).then_raises(InvalidState, "Return it first")
    given(REGISTERED, FOCUSED, RETURNED).when(RETIRE).then(RETIRED)


# Reading ----------------------------------------------------------------------------------


def test_a_reading_is_recorded_with_whether_it_is_healthy() -> None:
    given(REGISTERED).when(_read(600, note="Fine.")).then(_told(600, note="Fine."))


@pytest.mark.parametrize("value", [500, 900])
def test_both_bounds_belong_to_the_range(value: int) -> None:
    given(REGISTERED).when(_read(value)).then(_told(value))


def test_a_reading_is_recorded_once_even_if_the_kpi_is_retired_since() -> None:
    ref = ExternalRef(source="warehouse", external_id="1")
    given(REGISTERED).when(_read(600, external=ref)).then(_told(600, external=ref))
    again = _read(600, external=ref, existing=READING)
    assert given(REGISTERED).when(again).then_raises(AlreadyExists).existing == READING
    given(REGISTERED, RETIRED).when(again).then_raises(AlreadyExists)


def test_a_reading_is_not_of_the_future_but_for_a_clock_a_little_ahead() -> None:
    late = _read(600, occurred_at=NOW + timedelta(minutes=6))
    assert given(REGISTERED).when(late).then_raises(OutsideCycle).pointer == "/occurred_at"
    given(REGISTERED).when(_read(600, occurred_at=NOW + timedelta(minutes=4))).then(_told(600))


def test_the_latest_reading_is_the_one_of_the_latest_moment() -> None:
    told = given(REGISTERED, _told(600))
    told.when(_read(400, occurred_at=YESTERDAY)).then(
        _told(400, in_range=False, latest=False, occurred_at=YESTERDAY)
    )
    told.when(_read(700)).then(_told(700))


def test_an_older_reading_neither_leaves_the_range_nor_returns_to_it() -> None:
    outside = [REGISTERED, _told(400, in_range=False), _left(400)]
    (told,) = given(*outside).when(_read(600, occurred_at=YESTERDAY)).decide()
    assert isinstance(told, ReadingRecorded)
    assert (told.in_range, told.latest, told.proposal) == (True, False, None)


@pytest.mark.parametrize(("value", "bound"), [(400, 500), (1000, 900)])
def test_leaving_the_range_proposes_a_way_back_to_the_nearest_bound(value: int, bound: int) -> None:
    for before in ([REGISTERED], [REGISTERED, _told(600)]):
        _, left = given(*before).when(_read(value)).decide()
        assert isinstance(left, KpiLeftRange)
        assert left.proposal.title == "Active customers back in the healthy range"
        assert left.proposal.owner == OWNER
        suggested = left.proposal.key_result
        assert (suggested.baseline, suggested.target) == (Decimal(value), Decimal(bound))
        assert (suggested.unit, suggested.title) == (
            "customers",
            f"Active customers from {value} to {bound} customers",
        )


def test_what_stays_outside_has_left_once_and_its_proposal_is_made_anew() -> None:
    outside = given(REGISTERED, _told(400, in_range=False), _left(400))
    for value in (300, 1000):
        outside.when(_read(value)).then(
            _told(value, in_range=False, proposal=propose(TERMS, Decimal(value)))
        )


def test_coming_back_is_told_once() -> None:
    back = KpiReturnedToRange(kpi_id=KPI, value=Decimal(600))
    outside = [REGISTERED, _told(400, in_range=False), _left(400)]
    given(*outside).when(_read(600)).then(_told(600), back)
    given(*outside, _told(600), back).when(_read(700)).then(_told(700))


def test_a_proposal_of_the_longest_name_is_one_line_still() -> None:
    terms = _terms(name="n" * 300, unit="u" * 300)
    proposal = propose(terms, Decimal(1))
    assert isinstance(Proposal.model_validate(proposal.model_dump()), Proposal)
    assert len(proposal.title) == len(proposal.key_result.title) == 300


@given_any(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 20)), max_size=12))
def test_left_and_returned_alternate_whatever_is_read(readings: list[tuple[int, int]]) -> None:
    history: list[Event] = [REGISTERED]
    for value, days_ago in readings:
        command = _read(value, occurred_at=NOW - timedelta(days=days_ago))
        history += given(*history).when(command).decide()
    told = [e for e in history if isinstance(e, KpiLeftRange | KpiReturnedToRange)]
    kinds = [type(event) for event in told]
    assert kinds == [(KpiLeftRange, KpiReturnedToRange)[n % 2] for n in range(len(kinds))]
    state: Kpi | None = decider.fold(history)  # type: ignore[arg-type]
    assert state is not None
    assert (state.in_range is False) == (len(kinds) % 2 == 1)


# Into focus and back ----------------------------------------------------------------------


def test_a_kpi_in_focus_is_a_key_result_from_its_latest_reading_to_the_target() -> None:
    terms = KeyResultTerms(
        title="Active customers",
        measure=Metric(unit="customers", baseline=Decimal(550), target=Decimal(600)),
    )
    given(REGISTERED, _told(550)).when(_focus()).then(
        KeyResultDrafted(**KEY_IDS, terms=terms), FOCUSED
    )


def test_a_focus_has_a_title_a_weight_and_an_owner_of_its_own() -> None:
    own: dict[str, Any] = {"title": "Customers who stay", "weight": Decimal(2), "owner": SOMEBODY}
    focus = _focus(**own, owner_level=Level.INDIVIDUAL)
    drafted, _ = given(REGISTERED, _told(550)).when(focus).decide()
    assert isinstance(drafted, KeyResultDrafted)
    assert {name: getattr(drafted.terms, name) for name in own} == own
    unknown = given(REGISTERED, _told(550)).when(_focus(owner=SOMEBODY)).then_raises(NotFound)
    assert unknown.pointer == "/owner"


def test_a_kpi_without_a_reading_is_focused_from_a_baseline() -> None:
    missing = given(REGISTERED).when(_focus()).then_raises(Refusal)
    assert missing.pointer == "/baseline"
    drafted, _ = given(REGISTERED).when(_focus(baseline=Decimal(510))).decide()
    assert isinstance(drafted, KeyResultDrafted)
    assert isinstance(drafted.terms.measure, Metric)
    assert drafted.terms.measure.baseline == 510
    both = given(REGISTERED, _told(550)).when(_focus(baseline=Decimal(510)))
    assert both.then_raises(Refusal).pointer == "/baseline"


def test_a_focus_goes_somewhere() -> None:
    still = given(REGISTERED, _told(600)).when(_focus(600)).then_raises(Refusal)
    assert still.pointer == "/target"


@pytest.mark.parametrize("phase", [p for p in Phase if p not in (Phase.DRAFTING, Phase.ACTIVE)])
def test_a_kpi_is_focused_while_key_results_are_drafted(phase: Phase) -> None:
    told = given(REGISTERED, _told(550))
    told.when(_focus(cycle=cycle(phase))).then_raises(InvalidState, "FocusKpi")
    told.when(_focus(objective=objective(Status.CLOSED))).then_raises(InvalidState, "FocusKpi")
    unknown = told.when(_focus(objective=None, cycle=None)).then_raises(NotFound)
    assert unknown.pointer == "/objective_id"


def test_a_focus_is_judged_by_the_limits_of_key_results() -> None:
    told = given(REGISTERED, _told(550))
    drafted, _ = told.when(_focus(held=4)).decide()
    assert isinstance(drafted, KeyResultDrafted)
    assert [finding.rule for finding in drafted.warnings] == ["limits.max_key_results"]
    told.when(_focus(held=4, deployment=REFUSING)).then_raises(DecisionRefuses)


def test_a_focus_has_levels_where_scoring_asks_for_them() -> None:
    told = given(REGISTERED, _told(550))
    late: dict[str, Any] = {
        "objective": objective(),
        "deployment": Deployment(scoring=StretchTargetCommit()),
    }
    refusal = told.when(_focus(**late)).then_raises(DecisionRefuses)
    assert (refusal.facts["rule"], refusal.pointer) == ("scoring.levels", "/commit")
    levels: dict[str, Any] = {"commit": Decimal(570), "stretch": Decimal(700)}
    drafted, _ = told.when(_focus(**late, **levels)).decide()
    assert isinstance(drafted, KeyResultDrafted)
    assert {name: getattr(drafted.terms.measure, name) for name in levels} == levels


def test_a_kpi_is_in_focus_once_at_a_time() -> None:
    told = [REGISTERED, _told(550)]
    given(*told, FOCUSED).when(_focus()).then_raises(InvalidState, "return it first")
    given(*told, FOCUSED, RETURNED).when(_focus()).decide()


def test_a_kpi_is_returned_from_focus_only() -> None:
    given(REGISTERED).when(RETURN).then_raises(InvalidState, "Focus it first")
    given(REGISTERED, FOCUSED).when(RETURN).then(RETURNED)
    given(REGISTERED, FOCUSED, RETURNED).when(RETURN).then_raises(InvalidState)


# Feeding the key result -------------------------------------------------------------------


def test_a_reading_in_focus_is_a_check_in_on_its_key_result() -> None:
    told, check_in = given(REGISTERED, FOCUSED).when(_read_in_focus(600, note="Up.")).decide()
    assert told == _told(600, note="Up.", check_in_id=CHECK_IN)
    assert isinstance(check_in, CheckInRecorded)
    assert (check_in.key_result_id, check_in.check_in_id) == (KEY_RESULT, CHECK_IN)
    assert check_in.terms == CheckInTerms(value=Decimal(600), note="Up.")
    assert (check_in.progress, check_in.occurred_at) == (Decimal(1), NOW)


@pytest.mark.parametrize(
    "not_live",
    [
        {"cycle": cycle(Phase.DRAFTING)},
        {"cycle": cycle(Phase.SCORING)},
        {"objective": objective(Status.DRAFT)},
        {"objective": objective(Status.CLOSED)},
        {"key_result": key_result(removed=True)},
        {"occurred_at": cycle(Phase.ACTIVE).began_at - timedelta(days=1)},
        {"key_result": replace(key_result(), terms=KeyResultTerms(title="x", measure=Milestone()))},
    ],
    ids=["drafting", "scoring", "draft", "closed", "removed", "before the cycle", "milestone"],
)
def test_a_reading_that_its_key_result_cannot_take_is_a_reading_still(
    not_live: dict[str, Any],
) -> None:
    (told,) = given(REGISTERED, FOCUSED).when(_read_in_focus(600, **not_live)).decide()
    assert isinstance(told, ReadingRecorded)
    assert told.check_in_id is None


# The decision -----------------------------------------------------------------------------


def test_kept_apart_a_kpi_becomes_no_key_result() -> None:
    told = given(REGISTERED, _told(550))
    refusal = told.when(_focus(deployment=SEPARATE)).then_raises(DecisionRefuses)
    assert (refusal.facts["decision"], refusal.facts["rule"]) == ("kpis", "kpis.separate")
    told.when(_read(600, deployment=SEPARATE)).then(_told(600))


def test_only_as_a_key_result_a_kpi_takes_readings_in_focus() -> None:
    refusal = (
        given(REGISTERED)
        .when(_read(600, deployment=ONLY_AS_KEY_RESULTS))
        .then_raises(DecisionRefuses, "focus it")
    )
    assert refusal.facts["rule"] == "kpis.only_as_key_results"
    drafted, _ = (
        given(REGISTERED)
        .when(_focus(deployment=ONLY_AS_KEY_RESULTS, baseline=Decimal(510)))
        .decide()
    )
    assert isinstance(drafted, KeyResultDrafted)
    in_focus = given(REGISTERED, FOCUSED)
    told, _ = in_focus.when(_read_in_focus(600, deployment=ONLY_AS_KEY_RESULTS)).decide()
    assert told == _told(600, check_in_id=CHECK_IN)
