"""Define clearly: what makes a set of an objective and its key results weak, and how to mend it.

Pure rules over a draft set. The same ones answer whoever validates a draft, and guard the
commitment. Each is a heuristic on words and counts: it asks for a second look, it proves nothing.
A new rule is a member of `deployment.QualityRule` and an entry of `RULES`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

from app.domain.deployment import Deployment, QualityChecks, QualityRule, Severity
from app.domain.errors import DecisionRefuses
from app.domain.values import Finding, Level, Target, share
from app.domain.words import LANGUAGES, Words

SHORTEST, LONGEST = 4, 18
"""Words of an objective that can be recited."""
SANDBAGGING, FANTASY = Decimal("0.9"), Decimal("0.25")
"""Above, a set is nearly certain; below, hardly anybody believes in it."""

FORMULA = "quality-strength/1"
FORMULA_SAYS = (
    "The weights of the rules that hold, divided by the weights of the rules that could be judged. "
    "A rule that lacks what it judges (key results, say, or a confidence) is left out."
)

_LAMORTE = "Lamorte, execution, first step: define clearly, quality over quantity"
_DEPLOYMENT = "Lamorte, deployment, question {}"
_FIELD = "Common OKR practice"


# What is judged ---------------------------------------------------------------------------


class Measured(Protocol):
    """Any kind of measure: a kind that is unknown here counts as complete."""

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class DraftedKeyResult:
    title: str
    measure: Measured


@dataclass(frozen=True, slots=True)
class DraftSet:
    """An objective with its key results, and what is known around it.

    `owner_level` is None when no owner is stated, or it is unknown or gone; `confidence` is the
    average, 0 to 1; `contributes_to` are goals that exist; `objectives` counts the owner's in the
    cycle, this one included; `open_dependencies` names those that are neither accepted nor
    anybody's risk. A count or confidence that is None is not judged.
    """

    title: str
    why_now: str | None = None
    owner_level: Level | None = None
    key_results: tuple[DraftedKeyResult, ...] = ()
    confidence: Decimal | None = None
    contributes_to: tuple[Target, ...] = ()
    objectives: int | None = None
    open_dependencies: tuple[str, ...] = ()


class Flaw(NamedTuple):
    """Where a rule is broken, as a pointer into the draft, and how to mend it."""

    message: str
    pointer: str


class QualityFinding(NamedTuple):
    rule: QualityRule
    severity: Severity
    flaw: Flaw
    source: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`strength` is 0 to 1 at 4 decimals, by `FORMULA`."""

    findings: tuple[QualityFinding, ...]
    strength: Decimal


@dataclass(frozen=True, slots=True)
class _Standard:
    """What a draft is held against."""

    words: Words
    max_objectives: int
    max_key_results: int


# The rules --------------------------------------------------------------------------------
# Each gives the flaws that it finds, or None when there is nothing that it could judge.

Flaws = Sequence[Flaw] | None


def _no_deliverable(draft: DraftSet, by: _Standard) -> Flaws:
    verb = by.words.verb_of(draft.title, by.words.deliverables)
    if verb is None:
        return ()
    message = (
        f"The objective names a deliverable ({verb!r}). Say what will be different for somebody "
        "once it is there; the deliverable can be a key result."
    )
    return (Flaw(message, "/title"),)


_FIGURE = re.compile(r"\d[\d.,']*")


def _figures(title: str, words: Words) -> Iterator[str]:
    """What looks like a metric in a title."""
    yield from _FIGURE.findall(title)
    yield from (c for c in title if c in "%‰" or unicodedata.category(c) == "Sc")
    phrase = words.phrase_of(title, words.measures)
    if phrase is not None:
        yield phrase


def _no_metric(draft: DraftSet, by: _Standard) -> Flaws:
    found = next(_figures(draft.title, by.words), None)
    if found is None:
        return ()
    message = (
        f"The objective carries a figure ({found!r}). Say in words what shall become true, and "
        "move the figure into a key result."
    )
    return (Flaw(message, "/title"),)


def _recited(draft: DraftSet, by: _Standard) -> Flaws:
    words = len(draft.title.split())
    if SHORTEST <= words <= LONGEST:
        return ()
    mend = "Say for whom, and what changes" if words < SHORTEST else "Cut it to what one remembers"
    return (
        Flaw(
            f"The objective has {words} word(s); {SHORTEST} to {LONGEST} can be recited. {mend}.",
            "/title",
        ),
    )


def _owned(draft: DraftSet, by: _Standard) -> Flaws:
    if draft.owner_level is not None:
        return ()
    message = "No owner is known for the objective. Name one team or person who answers for it."
    return (Flaw(message, "/owner"),)


def _few_objectives(draft: DraftSet, by: _Standard) -> Flaws:
    if draft.objectives is None:
        return None
    if draft.objectives <= by.max_objectives:
        return ()
    return (
        Flaw(
            f"The owner would hold {draft.objectives} objectives in this cycle; the limit decided "
            f"is {by.max_objectives}. Merge, hand over or abandon one.",
            "/owner",
        ),
    )


def _few_key_results(draft: DraftSet, by: _Standard) -> Flaws:
    count = len(draft.key_results)
    if not count:
        message = "There is no key result, so nothing tells when the objective is reached; add one."
    elif count > by.max_key_results:
        message = (
            f"There are {count} key results; the limit decided is {by.max_key_results}. "
            "Keep the few that tell most."
        )
    else:
        return ()
    return (Flaw(message, "/key_results"),)


_NEEDS = {"metric": ("unit", "baseline", "target"), "threshold": ("unit", "bound", "limit")}
"""What a kind of measure needs. A kind that is not listed is complete as it is."""


def _lacking(measure: Measured) -> Iterator[tuple[str, str]]:
    """Members of a measure that are missing or say nothing, and how to mend each."""
    for name in _NEEDS.get(measure.kind, ()):
        if getattr(measure, name, None) in (None, ""):
            yield name, f"has no {name}; a {measure.kind} needs {', '.join(_NEEDS[measure.kind])}"
    baseline, target = getattr(measure, "baseline", None), getattr(measure, "target", None)
    if measure.kind == "metric" and baseline is not None and baseline == target:
        yield "target", "stands at its target already; choose a target other than its baseline"


def _complete(draft: DraftSet, by: _Standard) -> Flaws:
    if not draft.key_results:
        return None
    return [
        Flaw(f"The key result {_quoted(one.title)} {what}.", f"/key_results/{n}/measure/{name}")
        for n, one in enumerate(draft.key_results)
        for name, what in _lacking(one.measure)
    ]


def _activity(title: str, words: Words) -> str | None:
    return words.verb_of(title, words.activities) or words.phrase_of(title, words.activity_phrases)


def _impact(draft: DraftSet, by: _Standard) -> Flaws:
    if not draft.key_results:
        return None
    return [
        Flaw(
            f"The key result {_quoted(one.title)} counts an activity ({found!r}). "
            "Measure what the activity shall change.",
            f"/key_results/{n}/title",
        )
        for n, one in enumerate(draft.key_results)
        if (found := _activity(one.title, by.words)) is not None
    ]


def _mixed(draft: DraftSet, by: _Standard) -> Flaws:
    """Nothing in a draft says what leads and what lags: the kinds of measure must do."""
    if not draft.key_results:
        return None
    if any(one.measure.kind != "milestone" for one in draft.key_results):
        return ()
    message = (
        "All key results are milestones, so nothing can be seen to move before they are reached. "
        "Add a number that leads there. (A heuristic: milestones are taken for lagging, other "
        "kinds of measure for what moves earlier.)"
    )
    return (Flaw(message, "/key_results"),)


def _realistic(draft: DraftSet, by: _Standard) -> Flaws:
    if draft.confidence is None:
        return None
    told = f"{draft.confidence.normalize():f}"
    if draft.confidence > SANDBAGGING:
        message = (
            f"The average confidence is {told}: above {SANDBAGGING} a set is nearly certain. "
            "Aim higher, or call it a task."
        )
    elif draft.confidence < FANTASY:
        message = (
            f"The average confidence is {told}: below {FANTASY} hardly anybody believes in it. "
            "Aim lower, or remove what stands in the way first."
        )
    else:
        return ()
    return (Flaw(message, "/confidence"),)


def _contributes(draft: DraftSet, by: _Standard) -> Flaws:
    if draft.owner_level is Level.COMPANY:
        return None  # It stands at the top.
    if draft.contributes_to or draft.why_now:
        return ()
    message = (
        "It is not said what the objective contributes to. Align it to a goal, or say in why_now "
        "why it matters now."
    )
    return (Flaw(message, "/contributes_to"),)


def _carried(draft: DraftSet, by: _Standard) -> Flaws:
    return [
        Flaw(
            f"The dependency {_quoted(one)} is neither accepted by the other team nor anybody's "
            "risk. Have it accepted, or name a risk owner.",
            "/dependencies",
        )
        for one in draft.open_dependencies
    ]


def _quoted(title: str) -> str:
    return f"'{title if len(title) <= 80 else title[:79] + '…'}'"


class Rule(NamedTuple):
    """`weight` is what it counts in the strength of a set."""

    id: QualityRule
    title: str
    source: str
    severity: Severity
    weight: int
    flaws: Callable[[DraftSet, _Standard], Flaws]


# Matters of style inform; where the substance is missing, the commitment carries a warning. The
# counts only inform, because the limits decision judges them already, and contributions because
# the alignment decision does.
RULES: tuple[Rule, ...] = (
    Rule(
        QualityRule.OBJECTIVE_IS_NO_DELIVERABLE,
        "The objective names a change of state, not a deliverable.",
        _LAMORTE, Severity.WARN, 2, _no_deliverable,
    ),
    Rule(
        QualityRule.OBJECTIVE_CARRIES_NO_METRIC,
        "The objective carries no figure.",
        _FIELD, Severity.INFORM, 1, _no_metric,
    ),
    Rule(
        QualityRule.OBJECTIVE_CAN_BE_RECITED,
        f"The objective can be recited: {SHORTEST} to {LONGEST} words.",
        _FIELD, Severity.INFORM, 1, _recited,
    ),
    Rule(
        QualityRule.OBJECTIVE_HAS_AN_OWNER,
        "The objective has an owner.",
        _LAMORTE, Severity.WARN, 2, _owned,
    ),
    Rule(
        QualityRule.FEW_OBJECTIVES,
        "The owner holds few enough objectives.",
        _DEPLOYMENT.format(2), Severity.INFORM, 1, _few_objectives,
    ),
    Rule(
        QualityRule.FEW_KEY_RESULTS,
        "There are key results, and few enough.",
        _DEPLOYMENT.format(2), Severity.INFORM, 4, _few_key_results,
    ),
    Rule(
        QualityRule.KEY_RESULTS_ARE_COMPLETE,
        "Every key result has what its measure needs.",
        _LAMORTE, Severity.WARN, 2, _complete,
    ),
    Rule(
        QualityRule.KEY_RESULTS_MEASURE_IMPACT,
        "Every key result measures impact, not activity.",
        _LAMORTE, Severity.WARN, 2, _impact,
    ),
    Rule(
        QualityRule.LEADING_AND_LAGGING_ARE_MIXED,
        "Leading and lagging key results are mixed.",
        _FIELD, Severity.INFORM, 1, _mixed,
    ),
    Rule(
        QualityRule.CONFIDENCE_IS_REALISTIC,
        "The set is neither nearly certain nor a fantasy.",
        f"{_DEPLOYMENT.format(4)}; {_FIELD[0].lower()}{_FIELD[1:]}", Severity.WARN, 2, _realistic,
    ),
    Rule(
        QualityRule.CONTRIBUTION_IS_STATED,
        "What the objective contributes to is stated, or why it matters now.",
        _DEPLOYMENT.format(8), Severity.INFORM, 1, _contributes,
    ),
    Rule(
        QualityRule.DEPENDENCIES_ARE_CARRIED,
        "Every dependency is accepted, or has a risk owner.",
        "Lamorte, execution: align", Severity.WARN, 2, _carried,
    ),
)  # fmt: skip


# The verdict ------------------------------------------------------------------------------


def words_in_force(checks: QualityChecks) -> Words:
    """The word lists of the language decided, with the organisation's own."""
    return LANGUAGES[checks.language].with_more(checks.words)


def severity_in_force(rule: Rule, checks: QualityChecks) -> Severity:
    return checks.severities.get(rule.id, rule.severity)


def judge(draft: DraftSet, deployment: Deployment) -> Verdict:
    """Every rule's findings on a draft set, in the order of `RULES`, and its strength."""
    standard = _Standard(
        words_in_force(deployment.quality),
        deployment.limits.max_objectives,
        deployment.limits.max_key_results,
    )
    findings: list[QualityFinding] = []
    held = judged = 0
    for rule in RULES:
        flaws = rule.flaws(draft, standard)
        if flaws is None:
            continue
        judged += rule.weight
        held += 0 if flaws else rule.weight
        severity = severity_in_force(rule, deployment.quality)
        findings += (QualityFinding(rule.id, severity, flaw, rule.source) for flaw in flaws)
    return Verdict(tuple(findings), share(Decimal(held) / judged))


def guard(draft: DraftSet, deployment: Deployment) -> tuple[Finding, ...]:
    """What the quality decision says to a commitment: findings to record, one per broken rule.

    Raises DecisionRefuses for the first rule that refuses. What only informs is told by `judge`.
    """
    findings = judge(draft, deployment).findings
    warned: dict[QualityRule, list[str]] = {}
    for rule, severity, flaw, _ in findings:
        if severity is Severity.REFUSE:
            raise DecisionRefuses("quality", rule, flaw.message, pointer=flaw.pointer)
        if severity is Severity.WARN:
            warned.setdefault(rule, []).append(flaw.message)
    return tuple(
        Finding(rule=rule, message=" ".join(messages), decision="quality")
        for rule, messages in warned.items()
    )
