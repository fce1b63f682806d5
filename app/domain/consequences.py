"""What follows from each answer, in plain language: the blueprint's other half."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from app.domain.deployment import (
    AlignmentPolicy,
    AnyScoring,
    BottomUp,
    CycleLength,
    Enforcement,
    Kpis,
    Levels,
    Limits,
    MeasureWhatMatters,
    PerformanceReviews,
    QualityChecks,
    RadicalFocus,
    Rhythm,
    StretchTargetCommit,
    Tracking,
)
from app.domain.values import Level

AnyAnswer = (
    Levels
    | Limits
    | Rhythm
    | AnyScoring
    | CycleLength
    | Tracking
    | Kpis
    | AlignmentPolicy
    | BottomUp
    | PerformanceReviews
    | QualityChecks
)


def consequence(answer: AnyAnswer) -> str:
    """One or two sentences on what the system does with an answer, and what it does not."""
    match answer:
        case Levels():
            off = [level for level in Level if level not in answer.owners]
            refused = f" One at {' or '.join(off)} level is refused." if off else ""
            return f"Objectives are owned at {' and '.join(answer.owners)} level.{refused}"
        case Limits():
            beyond = "refused" if answer.enforcement is Enforcement.REFUSE else "warned of"
            return (
                f"More than {answer.max_objectives} objective(s) for an owner and cycle, or "
                f"{answer.max_key_results} key result(s) for an objective, is {beyond}."
            )
        case Rhythm():
            return (
                f"Cycles are {answer.company} for the company, {answer.team} for teams, "
                f"{answer.individual} for individuals; another length is refused. A key result "
                f"shows as outdated {answer.check_in_every_days} days and "
                f"{answer.check_in_grace_days} of grace after its last check-in."
            )
        case MeasureWhatMatters() | StretchTargetCommit() | RadicalFocus():
            return _of_scoring(answer)
        case CycleLength():
            return (
                f"Drafting opens {answer.planning_days} days before a cycle, scoring takes its "
                f"last {answer.scoring_days} days, and reflection is announced "
                f"{answer.reflection_notice_days} days before its end."
            )
        case Tracking():
            other = "refused" if answer.unnamed_source == "refuse" else "recorded as manual"
            return (
                f"Key results are mostly tracked this way: {answer.mechanism}. A check-in of a "
                f"source that its key result does not name is {other}."
            )
        case Kpis():
            return {
                "health_metrics_beside_okrs": "KPIs are watched beside OKRs; one that needs focus "
                "becomes a key result, and returns.",
                "kpis_only_as_key_results": "A KPI takes readings only while it is a key result.",
                "separate": "KPIs are watched, and never become key results.",
            }[answer.policy]
        case AlignmentPolicy():
            return _of_alignment(answer)
        case BottomUp():
            return (
                f"The share of objectives that come from the bottom up is measured for each cycle "
                f"against {_percent(answer.target_share)}."
            )
        case PerformanceReviews():
            return f"{_of_reviews(answer)} {_of_discretion(answer)}"
        case QualityChecks():
            return (
                f"Drafts are checked in {answer.language}; {len(answer.severities)} rule(s) have "
                "another severity than their default."
            )
        case _:
            assert_never(answer)


def _of_reviews(answer: PerformanceReviews) -> str:
    return {
        "decoupled": "Scores are withheld from a performance review, which is told why.",
        "informs": "A performance review sees scores, as one thing among others.",
        "coupled": "A performance review sees scores, and rests on them.",
    }[answer.link]


def _of_discretion(answer: PerformanceReviews) -> str:
    if "everyone" in answer.individual_scores_visible_to:
        return "Scores of somebody's own objectives are for everyone to see."
    seen_by = {"team": "the team", "leader": "its leaders", "owner": "whoever owns them"}
    named = [seen_by[one] for one in answer.individual_scores_visible_to if one != "everyone"]
    return (
        f"Scores of somebody's own objectives are seen by {' and '.join(named)}, and by those who "
        "may read the history."
    )


def _of_scoring(answer: AnyScoring) -> str:
    well = f"From {answer.good} on, a key result counts as achieved."
    fixed = "It does not change while a cycle runs."
    match answer:
        case MeasureWhatMatters():
            return f"A score is the progress from baseline to target. {well} {fixed}"
        case StretchTargetCommit():
            return (
                "Three levels are agreed before commitment, anchored at "
                f"{answer.commit}, {answer.target} and {answer.stretch}, and a metric without them "
                f"cannot be committed. {well} {fixed}"
            )
        case RadicalFocus():
            return f"A key result is met or not, nothing between. {fixed}"
        case _:
            assert_never(answer)


def _of_alignment(answer: AlignmentPolicy) -> str:
    targets = " or a ".join(one.replace("_", " ") for one in answer.targets)
    allowed = f"An objective may contribute to a {targets}."
    match answer.policy:
        case "optional":
            return f"{allowed} It need not."
        case "expected":
            return f"{allowed} Committing one that contributes to nothing is warned of."
        case "required":
            day = answer.required_by_day
            when = "" if day is None else f" from day {day + 1} of the cycle on"
            return f"{allowed} Committing one that contributes to nothing is refused{when}."
        case _:
            assert_never(answer.policy)


def _percent(part: Decimal) -> str:
    return f"{(part * 100).normalize():f}%"
