"""Objectives: drafting within the decisions, committing, changing with a reason, abandoning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.domain.cycle import Phase
from app.domain.dependency import (
    Dependency,
    DependencyPassedOn,
    DependencyStatus,
    OtherSide,
)
from app.domain.deployment import (
    AlignmentPolicy,
    Deployment,
    Levels,
    QualityChecks,
    QualityRule,
    Severity,
)
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    InvalidState,
    NotFound,
    ReasonMissing,
)
from app.domain.hand_over import HandOverObjective
from app.domain.kpi import Focus, Kpi, KpiReturned
from app.domain.kpi_terms import HealthyRange, KpiTerms
from app.domain.objective import (
    ABANDONED,
    AbandonObjective,
    CommitObjective,
    DraftObjective,
    ObjectiveClosed,
    ObjectiveCommand,
    ObjectiveCommitted,
    ObjectiveHandedOver,
    ObjectiveProposed,
    ObjectiveResultReported,
    ObjectiveRevised,
    ObjectiveTerms,
    Outcome,
    ProposeObjective,
    ReportResult,
    ReviseObjective,
    Status,
)
from app.domain.quality import DraftedKeyResult, DraftSet
from app.domain.values import Level, Owner, OwnerKind
from tests.domain.builders import (
    CYCLE,
    DEFAULTS,
    IDS,
    KEY_IDS,
    KEY_RESULT,
    METRIC,
    NOW,
    OBJECTIVE,
    OBJECTIVE_COMMITTED,
    OBJECTIVE_DRAFTED,
    OTHER_OBJECTIVE,
    OWNER,
    PERSON,
    REFUSING,
    TERMS,
    cycle,
    uid,
)
from tests.given import given

SHARPER = ObjectiveTerms(title="Customers succeed, so they stay")
SOUND = DraftSet(
    title=TERMS.title,
    owner_level=Level.TEAM,
    key_results=(DraftedKeyResult("Active customers", METRIC),),
)
CLOSED = ObjectiveClosed(**IDS, outcome=Outcome.ABANDONED)


def _draft(**more: Any) -> DraftObjective:
    values: dict[str, Any] = {
        "at": NOW,
        "objective_id": OBJECTIVE,
        "cycle_id": CYCLE,
        "owner": OWNER,
        "terms": TERMS,
        "cycle": cycle(Phase.DRAFTING),
        "deployment": DEFAULTS,
        "owner_level": Level.TEAM,
        "held": 0,
        "existing": None,
    }
    return DraftObjective(**{**values, **more})


def test_an_objective_is_drafted_while_the_cycle_is_drafting() -> None:
    given().when(_draft()).then(OBJECTIVE_DRAFTED)


def test_a_late_objective_is_drafted_while_the_cycle_is_active() -> None:
    given().when(_draft(cycle=cycle(Phase.ACTIVE))).then(OBJECTIVE_DRAFTED)


@pytest.mark.parametrize("phase", [Phase.PLANNED, Phase.SCORING, Phase.REFLECTING, Phase.CLOSED])
def test_no_objective_is_drafted_in_other_phases(phase: Phase) -> None:
    refusal = given().when(_draft(cycle=cycle(phase))).then_raises(InvalidState, "DraftObjective")
    assert refusal.facts["state"] == phase


def test_unknown_cycles_and_owners_are_named() -> None:
    assert given().when(_draft(cycle=None)).then_raises(NotFound).pointer == "/cycle_id"
    assert given().when(_draft(owner_level=None)).then_raises(NotFound).pointer == "/owner"


def test_a_level_that_is_off_owns_no_objectives() -> None:
    levels = Deployment(levels=Levels(owners=(Level.COMPANY,)))
    given().when(_draft(deployment=levels)).then_raises(DecisionRefuses, "not set at team level")


def test_the_fourth_objective_is_warned_about_and_recorded() -> None:
    (drafted,) = given().when(_draft(held=3)).decide()
    (finding,) = drafted.warnings  # type: ignore[attr-defined]
    assert finding.rule == "limits.max_objectives"
    assert "holds 3" in finding.message


def test_the_third_objective_is_within_the_limit() -> None:
    given().when(_draft(held=2, deployment=REFUSING)).then(OBJECTIVE_DRAFTED)


def test_the_fourth_objective_is_refused_where_that_is_decided() -> None:
    refusal = given().when(_draft(held=3, deployment=REFUSING)).then_raises(DecisionRefuses)
    assert refusal.facts == {"decision": "limits", "rule": "limits.max_objectives"}


def test_a_second_delivery_is_recognised_before_anything_else() -> None:
    late = _draft(existing=uid(7), cycle=cycle(Phase.CLOSED))
    assert given().when(late).then_raises(AlreadyExists).existing == uid(7)


def _on(kind: type[ObjectiveCommand], phase: Phase = Phase.DRAFTING, **more: Any) -> Any:
    return kind(**{"at": NOW, "objective_id": OBJECTIVE, "cycle": cycle(phase), **more})


def _commit(draft: DraftSet = SOUND, **more: Any) -> Any:
    facts = {
        "deployment": DEFAULTS,
        "key_results": len(draft.key_results),
        "aligned": True,
        "owner_level": Level.TEAM,
        "draft": draft,
    }
    return _on(CommitObjective, **{**facts, **more})


def test_a_draft_is_proposed_once() -> None:
    proposed = ObjectiveProposed(**IDS)
    given(OBJECTIVE_DRAFTED).when(_on(ProposeObjective)).then(proposed)
    given(OBJECTIVE_DRAFTED, proposed).when(_on(ProposeObjective)).then_raises(InvalidState)


def test_a_proposed_objective_is_committed() -> None:
    given(OBJECTIVE_DRAFTED, ObjectiveProposed(**IDS)).when(_commit()).then(OBJECTIVE_COMMITTED)


def test_an_objective_without_key_results_is_committed_with_a_warning_or_not_at_all() -> None:
    bare = replace(SOUND, key_results=())
    (committed,) = given(OBJECTIVE_DRAFTED).when(_commit(bare)).decide()
    assert isinstance(committed, ObjectiveCommitted)
    assert [finding.rule for finding in committed.warnings] == ["limits.no_key_results"]
    refused = _commit(bare, deployment=REFUSING)
    given(OBJECTIVE_DRAFTED).when(refused).then_raises(DecisionRefuses, "no key result")


def test_a_weak_set_is_committed_with_one_warning_a_rule_or_not_at_all() -> None:
    parts = tuple(DraftedKeyResult(title, METRIC) for title in ("Hold fairs", "Attend fairs"))
    weak = replace(SOUND, title="Launch a fair", key_results=parts)
    (committed,) = given(OBJECTIVE_DRAFTED).when(_commit(weak)).decide()
    assert isinstance(committed, ObjectiveCommitted)
    assert [(finding.decision, finding.rule) for finding in committed.warnings] == [
        ("quality", "quality.objective_is_no_deliverable"),
        ("quality", "quality.key_results_measure_impact"),
    ]
    strict = Deployment(
        quality=QualityChecks(severities={QualityRule.KEY_RESULTS_MEASURE_IMPACT: Severity.REFUSE})
    )
    refusal = (
        given(OBJECTIVE_DRAFTED)
        .when(_commit(weak, deployment=strict))
        .then_raises(DecisionRefuses, "'Hold fairs' counts an activity")
    )
    assert refusal.facts == {"decision": "quality", "rule": "quality.key_results_measure_impact"}
    assert refusal.pointer == "/key_results/0/title"
    given(OBJECTIVE_DRAFTED).when(_commit(deployment=strict)).then(OBJECTIVE_COMMITTED)


def _policy(**answer: Any) -> Deployment:
    return Deployment(alignment=AlignmentPolicy(**answer))


EXPECTED, REQUIRED = _policy(policy="expected"), _policy(policy="required")


def _findings(command: Any) -> list[tuple[str, str]]:
    (committed,) = given(OBJECTIVE_DRAFTED).when(command).decide()
    assert isinstance(committed, ObjectiveCommitted)
    return [(finding.decision, finding.rule) for finding in committed.warnings]


def test_an_unaligned_objective_is_warned_about_where_alignment_is_expected() -> None:
    warned = [("alignment", "alignment.expected")]
    for level in (Level.TEAM, Level.INDIVIDUAL, None):
        loose = _commit(aligned=False, owner_level=level, deployment=EXPECTED)
        assert _findings(loose) == warned


@pytest.mark.parametrize("policy", [EXPECTED, REQUIRED], ids=["expected", "required"])
def test_what_is_aligned_or_the_companys_satisfies_any_policy(policy: Deployment) -> None:
    assert _findings(_commit(aligned=True, deployment=policy)) == []
    top = _commit(aligned=False, owner_level=Level.COMPANY, deployment=policy)
    assert _findings(top) == []


def test_an_unanswered_alignment_question_enforces_nothing() -> None:
    assert _findings(_commit(aligned=False)) == []


def test_a_required_alignment_is_owed_from_the_first_day_unless_another_is_named() -> None:
    refused = given(OBJECTIVE_DRAFTED).when(_commit(aligned=False, deployment=REQUIRED))
    refusal = refused.then_raises(DecisionRefuses, "align it to a goal")
    assert refusal.facts == {"decision": "alignment", "rule": "alignment.required"}


def test_a_required_alignment_is_warned_about_up_to_its_day_and_refused_after_it() -> None:
    # The cycle starts on 1 January; 31 days later it is 1 February.
    by_day = _policy(policy="required", required_by_day=31)
    for moment in (NOW.replace(month=1), NOW, NOW.replace(hour=23, minute=59)):
        loose = _commit(aligned=False, at=moment, deployment=by_day)
        assert _findings(loose) == [("alignment", "alignment.expected")]
    late = _commit(aligned=False, at=NOW.replace(day=2, hour=0), deployment=by_day)
    given(OBJECTIVE_DRAFTED).when(late).then_raises(DecisionRefuses)
    assert _findings(_commit(at=NOW.replace(month=3), deployment=by_day)) == []


def test_an_objective_is_committed_once() -> None:
    given(OBJECTIVE_DRAFTED, OBJECTIVE_COMMITTED).when(_commit()).then_raises(InvalidState)


def test_a_draft_changes_freely_and_a_committed_objective_with_a_reason() -> None:
    given(OBJECTIVE_DRAFTED).when(_on(ReviseObjective, terms=SHARPER)).then(
        ObjectiveRevised(**IDS, terms=SHARPER)
    )
    committed = given(OBJECTIVE_DRAFTED, OBJECTIVE_COMMITTED)
    committed.when(_on(ReviseObjective, terms=SHARPER)).then_raises(ReasonMissing)
    committed.when(_on(ReviseObjective, terms=SHARPER, reason="Sharper.")).then(
        ObjectiveRevised(**IDS, terms=SHARPER, reason="Sharper.")
    )


def test_a_revision_that_changes_nothing_is_no_event() -> None:
    given(OBJECTIVE_DRAFTED).when(_on(ReviseObjective, terms=TERMS)).then_nothing()


def test_revised_terms_are_what_the_next_revision_is_compared_with() -> None:
    revised = ObjectiveRevised(**IDS, terms=SHARPER)
    given(OBJECTIVE_DRAFTED, revised).when(_on(ReviseObjective, terms=SHARPER)).then_nothing()


def test_a_result_is_reported_in_words_once_there_is_one() -> None:
    given(OBJECTIVE_DRAFTED, OBJECTIVE_COMMITTED).when(
        _on(ReportResult, Phase.SCORING, text="81%")
    ).then(ObjectiveResultReported(**IDS, text="81%"))
    given(OBJECTIVE_DRAFTED).when(_on(ReportResult, text="81%")).then_raises(InvalidState)


def test_abandoning_closes_an_objective_for_good() -> None:
    given(OBJECTIVE_DRAFTED).when(_on(AbandonObjective, reason="The market moved.", kpis=())).then(
        ObjectiveClosed(**IDS, outcome=Outcome.ABANDONED, reason="The market moved.")
    )
    closed = given(OBJECTIVE_DRAFTED, CLOSED)
    closed.when(_on(AbandonObjective, reason="Again.")).then_raises(InvalidState)
    closed.when(_on(ReviseObjective, terms=SHARPER)).then_raises(InvalidState)
    assert closed.state(AbandonObjective).status is Status.CLOSED


def test_a_kpi_in_focus_is_a_health_metric_again_when_its_objective_is_abandoned() -> None:
    watched = KpiTerms(
        name="Customers", unit="customers", owner=OWNER, healthy=HealthyRange(low=METRIC.target)
    )
    kpi = Kpi(uid(71), watched, focus=Focus(KEY_RESULT, OBJECTIVE, CYCLE))
    abandon = _on(AbandonObjective, reason="The market moved.", kpis=(kpi,))
    returned, closed = given(OBJECTIVE_DRAFTED).when(abandon).decide()
    assert returned == KpiReturned(kpi_id=uid(71), **KEY_IDS, reason=ABANDONED)
    assert isinstance(closed, ObjectiveClosed)


# Handing over -----------------------------------------------------------------------------

ADA = Owner(kind=OwnerKind.PERSON, id=PERSON)
SALES = Owner(kind=OwnerKind.TEAM, id=uid(65))
EVERYBODY = Levels(owners=tuple(Level))


def _hand_over(phase: Phase = Phase.ACTIVE, **more: Any) -> Any:
    values: dict[str, Any] = {
        "owner": ADA,
        "reason": "She asked for it.",
        "deployment": Deployment(levels=EVERYBODY),
        "owner_level": Level.INDIVIDUAL,
        "held": 0,
        "needed_of_it": (),
    }
    return _on(HandOverObjective, phase, **{**values, **more})


HANDED_OVER = ObjectiveHandedOver(
    **IDS, previous_owner=OWNER, owner=ADA, reason="She asked for it."
)


@pytest.mark.parametrize("phase", [Phase.DRAFTING, Phase.ACTIVE])
def test_an_objective_is_handed_over_until_its_cycle_is_scored(phase: Phase) -> None:
    for history in ([], [ObjectiveProposed(**IDS)], [OBJECTIVE_COMMITTED]):
        given(OBJECTIVE_DRAFTED, *history).when(_hand_over(phase)).then(HANDED_OVER)


def test_whose_objective_it_is_now_is_who_hands_it_on() -> None:
    handed_over = given(OBJECTIVE_DRAFTED, HANDED_OVER)
    handed_over.when(_hand_over()).then_nothing()
    (back,) = handed_over.when(_hand_over(owner=OWNER, owner_level=Level.TEAM)).decide()
    assert isinstance(back, ObjectiveHandedOver)
    assert (back.previous_owner, back.owner) == (ADA, OWNER)


def test_what_is_needed_of_it_is_asked_of_its_new_owner() -> None:
    need = Dependency(
        uid(61),
        uid(62),
        OTHER_OBJECTIVE,
        OtherSide(kind="objective", id=OBJECTIVE),
        DependencyStatus.ACCEPTED,
    )
    drafted = given(OBJECTIVE_DRAFTED)
    for owner, level, team_id in ((ADA, Level.INDIVIDUAL, None), (SALES, Level.TEAM, SALES.id)):
        command = _hand_over(owner=owner, owner_level=level, needed_of_it=(need,))
        *_, passed_on = drafted.when(command).decide()
        assert passed_on == DependencyPassedOn(
            dependency_id=uid(61), cycle_id=uid(62), on_team_id=team_id
        )


def test_a_closed_objective_stays_whose_it_was() -> None:
    given(OBJECTIVE_DRAFTED, CLOSED).when(_hand_over()).then_raises(InvalidState)


def test_the_new_owner_is_judged_by_the_decisions_of_now() -> None:
    drafted = given(OBJECTIVE_DRAFTED)
    assert drafted.when(_hand_over(owner_level=None)).then_raises(NotFound).pointer == "/owner"
    off = drafted.when(_hand_over(deployment=DEFAULTS)).then_raises(DecisionRefuses)
    assert (off.pointer, off.facts["rule"]) == ("/owner", "levels.owner")
    (warned,) = drafted.when(_hand_over(held=3)).decide()
    assert [f.rule for f in warned.warnings] == [  # type: ignore[attr-defined]
        "limits.max_objectives"
    ]
    refusing = replace(REFUSING, levels=EVERYBODY)
    drafted.when(_hand_over(held=3, deployment=refusing)).then_raises(DecisionRefuses, "holds 3")


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (ReviseObjective, {"terms": SHARPER, "reason": "x"}),
        (HandOverObjective, {"owner": ADA, "reason": "x"}),
        (ProposeObjective, {}),
        (CommitObjective, {"deployment": DEFAULTS, "key_results": 1}),
        (ReportResult, {"text": "x"}),
        (AbandonObjective, {"reason": "x"}),
    ],
)
def test_closed_means_closed(kind: type[ObjectiveCommand], more: dict[str, Any]) -> None:
    command = _on(kind, Phase.CLOSED, **more)
    given(OBJECTIVE_DRAFTED).when(command).then_raises(InvalidState, "next one")
    unknown = _on(kind, **{**more, "cycle": None})
    given().when(unknown).then_raises(NotFound)
