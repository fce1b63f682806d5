"""Quality: the rules in force, and what they say to a draft or to an objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from pydantic import Field, TypeAdapter

from app.application import draft_sets
from app.application.ledgers import Reader
from app.domain.deployment import Decision, Deployment, QualityRule, Severity
from app.domain.errors import NotFound
from app.domain.quality import (
    FORMULA,
    FORMULA_SAYS,
    RULES,
    DraftSet,
    judge,
    severity_in_force,
    words_in_force,
)
from app.domain.values import Owner, Target
from app.domain.words import Language, WordList
from app.queries.programme import in_force
from app.queries.views import Figure, View

_DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)


class RuleView(View):
    """`severity` is the one in force; `weight` is what the rule counts in a set's strength."""

    rule: QualityRule
    title: str
    source: str
    severity: Severity
    default_severity: Severity
    weight: int


class QualityRulesView(View):
    """`words` are the lists of the language, with the organisation's own."""

    language: Language
    rules: list[RuleView]
    words: dict[WordList, list[str]]
    formula: str
    formula_says: str


class QualityFindingView(View):
    """`pointer` leads to what should be mended, `message` says how."""

    rule: QualityRule
    severity: Severity
    message: str
    pointer: str = Field(examples=["/key_results/0/title"])
    source: str


class QualityView(View):
    """What the rules say. `strength` is a hint for whoever writes, and judges nobody."""

    language: Language
    findings: list[QualityFindingView]
    strength: Figure
    formula: str
    formula_says: str


async def _deployment(reader: Reader) -> Deployment:
    """The decisions that quality is judged by."""
    rows = await in_force(reader)
    answers: dict[str, Any] = {
        question: _DECISION.validate_python(rows[question].decision)
        for question in ("limits", "quality")
        if question in rows
    }
    return Deployment(**answers)


def _view(draft: DraftSet, deployment: Deployment) -> QualityView:
    verdict = judge(draft, deployment)
    return QualityView(
        language=deployment.quality.language,
        findings=[
            QualityFindingView(
                rule=found.rule,
                severity=found.severity,
                message=found.flaw.message,
                pointer=found.flaw.pointer,
                source=found.source,
            )
            for found in verdict.findings
        ],
        strength=verdict.strength,
        formula=FORMULA,
        formula_says=FORMULA_SAYS,
    )


async def rules(reader: Reader) -> QualityRulesView:
    checks = (await _deployment(reader)).quality
    words = words_in_force(checks)
    return QualityRulesView(
        language=checks.language,
        rules=[
            RuleView(
                rule=rule.id,
                title=rule.title,
                source=rule.source,
                severity=severity_in_force(rule, checks),
                default_severity=rule.severity,
                weight=rule.weight,
            )
            for rule in RULES
        ],
        words={name: sorted(getattr(words, name)) for name in WordList},
        formula=FORMULA,
        formula_says=FORMULA_SAYS,
    )


async def of_objective(reader: Reader, objective_id: UUID) -> QualityView:
    draft = await draft_sets.drafted(reader.rows, objective_id)
    if draft is None:
        raise NotFound("objective", objective_id)
    return _view(draft, await _deployment(reader))


async def of_draft(
    reader: Reader,
    draft: DraftSet,
    owner: Owner | None,
    cycle_id: UUID | None,
    targets: Sequence[Target],
) -> QualityView:
    """A draft that nothing is recorded of: what it refers to is looked up, if it is there."""
    rows = reader.rows
    level = await draft_sets.level_of(rows, owner)
    count = None
    if owner is not None and level is not None and cycle_id is not None:
        count = await draft_sets.held(rows, owner, cycle_id)
    complete = replace(
        draft,
        owner_level=level,
        contributes_to=await draft_sets.known(rows, targets),
        objectives=None if count is None else count + 1,
    )
    return _view(complete, await _deployment(reader))
