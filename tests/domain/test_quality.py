"""Quality checks: each rule alone, what is in force by decision, and the guard of commitment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies
from pydantic import TypeAdapter, ValidationError

from app.domain.deployment import (
    EXTENSIONS,
    QUESTIONS,
    Decision,
    DecisionMade,
    Deployment,
    Limits,
    MakeDecision,
    QualityChecks,
    QualityRule,
    Severity,
)
from app.domain.errors import DecisionRefuses
from app.domain.measures import Metric, Milestone
from app.domain.quality import (
    RULES,
    DraftedKeyResult,
    DraftSet,
    guard,
    judge,
    severity_in_force,
    words_in_force,
)
from app.domain.values import Finding, Level, Target
from app.domain.words import LANGUAGES, Language, WordList, plain
from tests import given as speaking
from tests.domain.builders import DEFAULTS, METRIC, NOW, ORG, uid

DECISION: TypeAdapter[Any] = TypeAdapter(Decision)
ACTIVE = DraftedKeyResult("Active customers from 100 to 200", METRIC)
SOUND = DraftSet(
    title="Customers stay because they succeed",
    why_now="Churn doubled since the summer.",
    owner_level=Level.TEAM,
    key_results=(ACTIVE, DraftedKeyResult("The first refund-free month", Milestone())),
    confidence=Decimal("0.5"),
    contributes_to=(Target(kind="objective", id=uid(9)),),
    objectives=1,
)
STANDING = METRIC.model_copy(update={"target": METRIC.baseline})


def _with(**changed: Any) -> DraftSet:
    return replace(SOUND, **changed)


def _key_results(*titles: str, measure: Any = METRIC) -> DraftSet:
    return _with(key_results=tuple(DraftedKeyResult(title, measure) for title in titles))


def _titled(title: str) -> DraftSet:
    return _with(title=title)


def _broken(draft: DraftSet, deployment: Deployment = DEFAULTS) -> set[QualityRule]:
    return {finding.rule for finding in judge(draft, deployment).findings}


def _checks(**answer: Any) -> Deployment:
    return Deployment(quality=DECISION.validate_python({"question": "quality", **answer}))


BREAKS: list[tuple[QualityRule, str, DraftSet]] = [
    (QualityRule.OBJECTIVE_IS_NO_DELIVERABLE, "/title", _titled("Launch the new customer portal")),
    (QualityRule.OBJECTIVE_CARRIES_NO_METRIC, "/title", _titled("Customers stay for 12 months")),
    (QualityRule.OBJECTIVE_CAN_BE_RECITED, "/title", _titled("Customers stay")),
    (QualityRule.OBJECTIVE_HAS_AN_OWNER, "/owner", _with(owner_level=None)),
    (QualityRule.FEW_OBJECTIVES, "/owner", _with(objectives=4)),
    (QualityRule.FEW_KEY_RESULTS, "/key_results", _with(key_results=())),
    (
        QualityRule.KEY_RESULTS_ARE_COMPLETE,
        "/key_results/0/measure/target",
        _key_results("Active customers", measure=STANDING),
    ),
    (
        QualityRule.KEY_RESULTS_MEASURE_IMPACT,
        "/key_results/1/title",
        _key_results("Active customers", "Hold ten interviews"),
    ),
    (
        QualityRule.LEADING_AND_LAGGING_ARE_MIXED,
        "/key_results",
        _key_results("The guide is out", "The shop is open", measure=Milestone()),
    ),
    (QualityRule.CONFIDENCE_IS_REALISTIC, "/confidence", _with(confidence=Decimal("0.91"))),
    (
        QualityRule.CONTRIBUTION_IS_STATED,
        "/contributes_to",
        _with(contributes_to=(), why_now=None),
    ),
    (
        QualityRule.DEPENDENCIES_ARE_CARRIED,
        "/dependencies",
        _with(open_dependencies=("A sign-in without a password",)),
    ),
]


# Each rule --------------------------------------------------------------------------------


def test_a_sound_set_breaks_nothing() -> None:
    verdict = judge(SOUND, DEFAULTS)
    assert verdict.findings == ()
    assert verdict.strength == 1


@pytest.mark.parametrize(("rule", "pointer", "draft"), BREAKS, ids=[rule for rule, *_ in BREAKS])
def test_each_rule_is_broken_alone(rule: QualityRule, pointer: str, draft: DraftSet) -> None:
    (finding,) = judge(draft, DEFAULTS).findings
    assert (finding.rule, finding.flaw.pointer) == (rule, pointer)
    assert len(finding.flaw.message) > 20
    assert judge(draft, DEFAULTS).strength < 1


def test_every_rule_is_in_the_catalogue_once_and_tried_here() -> None:
    assert [rule.id for rule in RULES] == list(QualityRule)
    assert {rule for rule, *_ in BREAKS} == set(QualityRule)
    assert all(rule.title and rule.source and rule.weight > 0 for rule in RULES)


@pytest.mark.parametrize(
    "title",
    [
        "Build a portal for every customer",
        "We will launch the customer portal",
        "To migrate everybody to the cloud",
        "IMPLEMENT: the customer portal for all",
        "Roll out the customer portal everywhere",
    ],
)
def test_a_deliverable_is_told_by_the_verb_at_the_beginning(title: str) -> None:
    assert _broken(_titled(title)) == {QualityRule.OBJECTIVE_IS_NO_DELIVERABLE}


@pytest.mark.parametrize(
    "title",
    [
        "Customers build their own reports with ease",
        "Builders trust us with their tools",
        "Shipping is what customers praise",
        "Build times never slow us down",
    ],
)
def test_a_verb_elsewhere_or_inside_another_word_is_no_deliverable(title: str) -> None:
    assert _broken(_titled(title)) == set()


@pytest.mark.parametrize(
    "title",
    [
        "Customers stay for 12 months",
        "Half of our riders, or 50%, stay",
        "We earn more € than ever before",
        "Our MRR makes investors happy",
        "Two thirds percent of all stay",
    ],
)
def test_an_objective_carries_no_figure(title: str) -> None:
    assert _broken(_titled(title)) == {QualityRule.OBJECTIVE_CARRIES_NO_METRIC}


@pytest.mark.parametrize(
    ("words", "fits"), [(1, False), (3, False), (4, True), (18, True), (19, False)]
)
def test_an_objective_has_4_to_18_words(words: int, fits: bool) -> None:
    broken = _broken(_titled(" ".join(["word"] * words)))
    assert (broken == set()) is fits
    assert broken <= {QualityRule.OBJECTIVE_CAN_BE_RECITED}


def test_counts_are_held_against_the_limits_decided() -> None:
    strict = Deployment(limits=Limits(max_objectives=1, max_key_results=1))
    assert _broken(SOUND, strict) == {QualityRule.FEW_KEY_RESULTS}
    assert _broken(_with(objectives=2), strict) == {
        QualityRule.FEW_OBJECTIVES,
        QualityRule.FEW_KEY_RESULTS,
    }
    assert _broken(_with(objectives=3)) == set()
    five = _key_results(*(f"Customers in city {n}" for n in range(5)))
    assert _broken(five) == {QualityRule.FEW_KEY_RESULTS}


@dataclass(frozen=True)
class _Half:
    """A measure that is not filled in."""

    kind: str
    unit: str | None = None
    baseline: Decimal | None = None


def test_a_key_result_says_what_its_measure_lacks() -> None:
    draft = _key_results("Active customers", measure=_Half("metric", baseline=Decimal(1)))
    findings = judge(draft, DEFAULTS).findings
    assert [finding.flaw.pointer for finding in findings] == [
        "/key_results/0/measure/unit",
        "/key_results/0/measure/target",
    ]
    assert _broken(_key_results("Active", measure=_Half("threshold"))) == {
        QualityRule.KEY_RESULTS_ARE_COMPLETE
    }


def test_a_kind_of_measure_that_is_unknown_is_complete() -> None:
    assert _broken(_key_results("Active customers", measure=_Half("new kind"))) == set()


@pytest.mark.parametrize(
    "title",
    [
        "Run 20 interviews with riders",
        "Publish 10 posts",
        "Customer workshops from 0 to 8",
        "Number of calls made",
        "We hold a fair in every city",
        "Attend three conferences",
    ],
)
def test_a_key_result_that_counts_an_activity_is_found(title: str) -> None:
    assert _broken(_key_results(title)) == {QualityRule.KEY_RESULTS_MEASURE_IMPACT}


@pytest.mark.parametrize(
    "title",
    ["Run rate from 1 to 2 million", "Holders of a pass", "Riders who call us back", "Posts read"],
)
def test_a_key_result_that_measures_impact_is_left_alone(title: str) -> None:
    assert _broken(_key_results(title)) == set()


@pytest.mark.parametrize(
    ("confidence", "sound"),
    [("0", False), ("0.2499", False), ("0.25", True), ("0.9", True), ("0.9001", False)],
)
def test_a_set_is_neither_nearly_certain_nor_a_fantasy(confidence: str, sound: bool) -> None:
    assert (_broken(_with(confidence=Decimal(confidence))) == set()) is sound


def test_one_number_among_milestones_is_a_mixture() -> None:
    assert _broken(SOUND) == set()
    assert _broken(_key_results("Active customers")) == set()


def test_why_now_stands_for_a_contribution_and_the_company_contributes_to_nothing() -> None:
    assert _broken(_with(contributes_to=())) == set()
    assert _broken(_with(why_now=None)) == set()
    top = _with(contributes_to=(), why_now=None, owner_level=Level.COMPANY)
    assert _broken(top) == set()


def test_every_open_dependency_is_a_finding() -> None:
    findings = judge(_with(open_dependencies=("A sign-in", "A map")), DEFAULTS).findings
    assert ["A map" in finding.flaw.message for finding in findings] == [False, True]


def test_what_is_unknown_is_not_judged() -> None:
    title_only = DraftSet(title=SOUND.title)
    assert _broken(title_only) == {
        QualityRule.OBJECTIVE_HAS_AN_OWNER,
        QualityRule.FEW_KEY_RESULTS,
        QualityRule.CONTRIBUTION_IS_STATED,
    }
    # Of weights 2 + 1 + 1 (title) + 2 (owner) + 4 (count) + 1 (contribution) + 2 (dependencies),
    # those of the title and the dependencies hold.
    assert judge(title_only, DEFAULTS).strength == Decimal("0.4615")


# Words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", Language)
def test_every_language_has_every_list_in_the_form_that_is_compared(language: Language) -> None:
    words = LANGUAGES[language]
    for name in WordList:
        listed = getattr(words, name)
        assert listed
        assert all(word == plain(word) for word in listed)


def test_german_verbs_stand_at_the_beginning_or_at_the_end() -> None:
    german = _checks(language="de")
    for title in ("Ein neues Portal für alle einführen", "Einführen eines Portals für alle"):
        assert _broken(_titled(title), german) == {QualityRule.OBJECTIVE_IS_NO_DELIVERABLE}
        assert _broken(_titled(title)) == set()
    assert _broken(_titled("Kunden bleiben, weil sie Erfolg haben"), german) == set()
    held = _key_results("Zehn Schulungen durchführen", "Abschließende Käufe")
    assert _broken(held, german) == {QualityRule.KEY_RESULTS_MEASURE_IMPACT}


def test_an_organisation_adds_words_to_a_list() -> None:
    title = _titled("Spin up a portal for everybody")
    own = _checks(words={"deliverables": ["Spin  UP!"], "harmless": ["hold on"]})
    assert _broken(title) == set()
    assert _broken(title, own) == {QualityRule.OBJECTIVE_IS_NO_DELIVERABLE}
    assert _broken(_titled("Launch the new customer portal"), own) == {
        QualityRule.OBJECTIVE_IS_NO_DELIVERABLE
    }
    assert "spin up" in words_in_force(own.quality).deliverables
    waiting = _key_results("Hold on the line in seconds")
    assert _broken(waiting) == {QualityRule.KEY_RESULTS_MEASURE_IMPACT}
    assert _broken(waiting, own) == set()


def test_a_word_without_letters_is_in_no_title() -> None:
    own = _checks(words={"deliverables": ["!"], "activity_phrases": ["…"], "harmless": ["-"]})
    assert _broken(SOUND, own) == set()
    assert _broken(_titled("Launch the new customer portal"), own)


# Determinism and strength -----------------------------------------------------------------

_titles = strategies.one_of(
    strategies.text(min_size=1, max_size=60),
    strategies.sampled_from(["Launch it", "Hold calls", "Customers stay because they succeed"]),
)
_measures = strategies.sampled_from([METRIC, STANDING, Milestone()])
_drafts = strategies.builds(
    DraftSet,
    title=_titles,
    why_now=strategies.none() | strategies.just("Because."),
    owner_level=strategies.none() | strategies.sampled_from(Level),
    key_results=strategies.lists(
        strategies.builds(DraftedKeyResult, _titles, _measures), max_size=6
    ).map(tuple),
    confidence=strategies.none() | strategies.decimals(0, 1, places=4),
    objectives=strategies.none() | strategies.integers(0, 9),
    open_dependencies=strategies.lists(strategies.text(max_size=20), max_size=3).map(tuple),
)


@given(_drafts, strategies.sampled_from(Language))
def test_the_same_draft_is_always_judged_alike(draft: DraftSet, language: Language) -> None:
    deployment = Deployment(quality=QualityChecks(language=language))
    assert judge(draft, deployment) == judge(replace(draft), deployment)


@given(_drafts)
def test_strength_is_a_share_and_whole_without_findings_only(draft: DraftSet) -> None:
    verdict = judge(draft, DEFAULTS)
    assert 0 <= verdict.strength <= 1
    assert (verdict.strength == 1) is (verdict.findings == ())


@given(_drafts)
def test_strength_does_not_depend_on_how_strict_the_checks_are(draft: DraftSet) -> None:
    strict = Deployment(
        quality=QualityChecks(severities=dict.fromkeys(QualityRule, Severity.REFUSE))
    )
    assert judge(draft, strict).strength == judge(draft, DEFAULTS).strength


# The decision -----------------------------------------------------------------------------


def test_nothing_refuses_by_default() -> None:
    assert {rule.severity for rule in RULES} == {Severity.INFORM, Severity.WARN}
    assert {severity_in_force(rule, QualityChecks()) for rule in RULES} == {
        Severity.INFORM,
        Severity.WARN,
    }


def test_quality_is_answered_beside_the_ten_questions() -> None:
    assert set(EXTENSIONS) & set(QUESTIONS) == set()
    answer = DECISION.validate_python({"question": "quality"})
    assert answer == QualityChecks() == Deployment().quality
    stricter = QualityChecks(severities={QualityRule.FEW_KEY_RESULTS: Severity.REFUSE})
    made = DecisionMade(organization_id=ORG, decision=stricter, rationale="Because.")
    command = MakeDecision(
        at=NOW,
        organization_id=ORG,
        decision=stricter,
        rationale="Because.",
        running_cycles=("2026 Q1",),
        decider_known=False,
    )
    speaking.given().when(command).then(made)
    assert speaking.given(made).state(MakeDecision).quality == stricter


@pytest.mark.parametrize(
    "answer",
    [
        {"severities": {"quality.unknown": "warn"}},
        {"severities": {"quality.few_key_results": "shout"}},
        {"severities": {"quality.few_key_results": None}},
        {"language": "tlh"},
        {"words": {"unknown": ["x"]}},
        {"words": {"deliverables": "launch"}},
        {"words": {"deliverables": [""]}},
        {"words": {"deliverables": ["x"] * 201}},
        {"rules": {}},
    ],
)
def test_a_quality_answer_that_is_none_is_invalid(answer: Any) -> None:
    with pytest.raises(ValidationError):
        _checks(**answer)


# The guard --------------------------------------------------------------------------------


def test_what_only_informs_is_not_recorded() -> None:
    informs = {rule.id for rule in RULES if rule.severity is Severity.INFORM}
    for rule, _, draft in BREAKS:
        assert [finding.rule for finding in guard(draft, DEFAULTS)] == (
            [] if rule in informs else [rule]
        )


def test_several_flaws_by_one_rule_are_one_finding() -> None:
    draft = _key_results("Hold ten interviews", "Attend three fairs")
    (finding,) = guard(draft, DEFAULTS)
    assert isinstance(finding, Finding)
    assert (finding.rule, finding.decision) == ("quality.key_results_measure_impact", "quality")
    assert "Hold ten interviews" in finding.message
    assert "Attend three fairs" in finding.message


@pytest.mark.parametrize(("rule", "pointer", "draft"), BREAKS, ids=[rule for rule, *_ in BREAKS])
def test_any_rule_refuses_where_that_is_decided(
    rule: QualityRule, pointer: str, draft: DraftSet
) -> None:
    strict = _checks(severities={rule: "refuse"})
    with pytest.raises(DecisionRefuses) as caught:
        guard(draft, strict)
    assert caught.value.facts == {"decision": "quality", "rule": rule}
    assert caught.value.pointer == pointer
    assert guard(draft, _checks(severities={rule: "inform"})) == ()
    assert guard(SOUND, strict) == ()


def test_a_metric_of_another_unit_and_direction_is_complete() -> None:
    falling = Metric(unit="percent", baseline=Decimal(9), target=Decimal(0))
    assert _broken(_key_results("Failed unlocks", measure=falling)) == set()
