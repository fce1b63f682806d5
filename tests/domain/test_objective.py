"""Objectives: drafting within the decisions, committing, changing with a reason, abandoning."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.cycle import Phase
from app.domain.deployment import Deployment, Levels
from app.domain.errors import (
    AlreadyExists,
    DecisionRefuses,
    InvalidState,
    NotFound,
    ReasonMissing,
)
from app.domain.objective import (
    AbandonObjective,
    CommitObjective,
    DraftObjective,
    ObjectiveClosed,
    ObjectiveCommand,
    ObjectiveCommitted,
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
from app.domain.values import Level
from tests.domain.builders import (
    CYCLE,
    DEFAULTS,
    IDS,
    NOW,
    OBJECTIVE,
    OBJECTIVE_COMMITTED,
    OBJECTIVE_DRAFTED,
    OWNER,
    REFUSING,
    TERMS,
    cycle,
    uid,
)
from tests.given import given

SHARPER = ObjectiveTerms(title="Customers succeed, so they stay")
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


def test_a_draft_is_proposed_once() -> None:
    proposed = ObjectiveProposed(**IDS)
    given(OBJECTIVE_DRAFTED).when(_on(ProposeObjective)).then(proposed)
    given(OBJECTIVE_DRAFTED, proposed).when(_on(ProposeObjective)).then_raises(InvalidState)


def test_a_proposed_objective_is_committed() -> None:
    command = _on(CommitObjective, deployment=DEFAULTS, key_results=1)
    given(OBJECTIVE_DRAFTED, ObjectiveProposed(**IDS)).when(command).then(OBJECTIVE_COMMITTED)


def test_an_objective_without_key_results_is_committed_with_a_warning_or_not_at_all() -> None:
    warned = _on(CommitObjective, deployment=DEFAULTS, key_results=0)
    (committed,) = given(OBJECTIVE_DRAFTED).when(warned).decide()
    assert isinstance(committed, ObjectiveCommitted)
    assert [finding.rule for finding in committed.warnings] == ["limits.no_key_results"]
    refused = _on(CommitObjective, deployment=REFUSING, key_results=0)
    given(OBJECTIVE_DRAFTED).when(refused).then_raises(DecisionRefuses, "no key result")


def test_an_objective_is_committed_once() -> None:
    command = _on(CommitObjective, deployment=DEFAULTS, key_results=1)
    given(OBJECTIVE_DRAFTED, OBJECTIVE_COMMITTED).when(command).then_raises(InvalidState)


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
    given(OBJECTIVE_DRAFTED).when(_on(AbandonObjective, reason="The market moved.")).then(
        ObjectiveClosed(**IDS, outcome=Outcome.ABANDONED, reason="The market moved.")
    )
    closed = given(OBJECTIVE_DRAFTED, CLOSED)
    closed.when(_on(AbandonObjective, reason="Again.")).then_raises(InvalidState)
    closed.when(_on(ReviseObjective, terms=SHARPER)).then_raises(InvalidState)
    assert closed.state(AbandonObjective).status is Status.CLOSED


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (ReviseObjective, {"terms": SHARPER, "reason": "x"}),
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
