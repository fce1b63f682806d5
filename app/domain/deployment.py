"""Phase 1: ten questions, each answered by a typed decision.

A later answer never rewrites an earlier one, and each command is judged by the decisions of its
moment. A question beside the ten is one more class here, a line in `Decision` and in `EXTENSIONS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, assert_never
from uuid import UUID

from pydantic import AfterValidator, Field, TypeAdapter

from app.domain.errors import DecisionRefuses, NotFound, Refusal
from app.domain.measures import HeldBy, Rung
from app.domain.messages import Command, Decider, Event, Stream, looked_up
from app.domain.values import Count, Level, Line, Prose, Share, Value, not_text, tagged
from app.domain.words import Language, WordList

# The ten decisions ------------------------------------------------------------------------


class Enforcement(StrEnum):
    """What a limit does when it is passed: `warn` records a finding, `refuse` stops the command."""

    WARN = "warn"
    REFUSE = "refuse"


class Cadence(StrEnum):
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    FOUR_MONTH = "four_month"
    HALF_YEAR = "half_year"
    YEAR = "year"
    CUSTOM = "custom"


# Calendar periods differ by a few days; a quarter is also run as 12 to 14 whole weeks.
CADENCE_DAYS: dict[Cadence, range] = {
    Cadence.MONTHLY: range(28, 32),
    Cadence.QUARTERLY: range(84, 99),
    Cadence.FOUR_MONTH: range(112, 127),
    Cadence.HALF_YEAR: range(175, 190),
    Cadence.YEAR: range(358, 372),
}


each_once = AfterValidator(lambda values: tuple(dict.fromkeys(values)))


class Answer(Value):
    """A typed answer to one of the ten questions."""

    model_config = tagged("question")


class Levels(Answer):
    """Question 1: at what level are OKRs set?"""

    question: Literal["levels"] = "levels"
    owners: Annotated[tuple[Level, ...], each_once] = Field(
        default=(Level.COMPANY, Level.TEAM), min_length=1, max_length=3
    )


class Limits(Answer):
    """Question 2: how many? Per owner and cycle, and per objective."""

    question: Literal["limits"] = "limits"
    max_objectives: Count = Field(default=3, ge=1, le=20)
    max_key_results: Count = Field(default=4, ge=1, le=20)
    enforcement: Enforcement = Enforcement.WARN


class Rhythm(Answer):
    """Question 3: how often are OKRs set, at each level, and how often is there a check-in?"""

    question: Literal["cadence"] = "cadence"
    company: Cadence = Cadence.QUARTERLY
    team: Cadence = Cadence.QUARTERLY
    individual: Cadence = Cadence.QUARTERLY
    custom_days: Annotated[int, Field(ge=7, le=731), not_text] | None = None
    check_in_every_days: Count = Field(default=14, ge=1, le=92)
    check_in_grace_days: Count = Field(default=3, ge=0, le=31)

    @property
    def cadences(self) -> tuple[Cadence, ...]:
        return (self.company, self.team, self.individual)

    @property
    def lacks_days(self) -> bool:
        return Cadence.CUSTOM in self.cadences and self.custom_days is None

    def allows(self, length: int) -> bool:
        """Whether a cycle of so many days fits the cadence of some level."""
        return any(
            length == self.custom_days
            if cadence is Cadence.CUSTOM
            else length in CADENCE_DAYS[cadence]
            for cadence in self.cadences
        )


class ScoringRules(Answer):
    """Question 4: how are key results scored? One system for the whole organisation.

    `good` is the score from which a key result counts as well done. A threshold is held for a share
    of the time, or of the check-ins.
    """

    question: Literal["scoring"] = "scoring"
    good: Share = Field(default=Decimal("0.7"), json_schema_extra={"default": 0.7})
    poor: Share = Field(default=Decimal("0.4"), json_schema_extra={"default": 0.4})
    threshold_by: HeldBy = "time"


class MeasureWhatMatters(ScoringRules):
    """The score is the progress from baseline to target: 0.0 to 1.0."""

    model_config = tagged("question", "system")
    system: Literal["measure_what_matters"] = "measure_what_matters"


class StretchTargetCommit(ScoringRules):
    """Three levels agreed before a key result is final, each with its score and probability."""

    model_config = tagged("question", "system")
    system: Literal["stretch_target_commit"] = "stretch_target_commit"
    commit: Share = Field(default=Decimal("0.3"), json_schema_extra={"default": 0.3})
    target: Share = Field(default=Decimal("0.7"), json_schema_extra={"default": 0.7})
    stretch: Share = Field(default=Decimal(1), json_schema_extra={"default": 1})
    commit_probability: Share = Field(default=Decimal("0.9"), json_schema_extra={"default": 0.9})
    target_probability: Share = Field(default=Decimal("0.5"), json_schema_extra={"default": 0.5})
    stretch_probability: Share = Field(default=Decimal("0.1"), json_schema_extra={"default": 0.1})

    @property
    def anchors(self) -> dict[Rung, Decimal]:
        return {
            Rung.NONE: Decimal(0),
            Rung.COMMIT: self.commit,
            Rung.TARGET: self.target,
            Rung.STRETCH: self.stretch,
        }


class RadicalFocus(ScoringRules):
    """Met or not; the confidence that it will be starts at even odds."""

    model_config = tagged("question", "system")
    system: Literal["radical_focus"] = "radical_focus"
    starting_confidence: Share = Field(default=Decimal("0.5"), json_schema_extra={"default": 0.5})


AnyScoring = MeasureWhatMatters | StretchTargetCommit | RadicalFocus
Scoring = Annotated[AnyScoring, Field(discriminator="system")]
scoring_of: TypeAdapter[AnyScoring] = TypeAdapter(Scoring)
"""Reads a scoring decision that was kept as JSON."""


class CycleLength(Answer):
    """Question 5: how long is a cycle, and how long its windows?"""

    question: Literal["cycle_length"] = "cycle_length"
    weeks: Count = Field(default=13, ge=1, le=104)
    planning_days: Count = Field(default=14, ge=1, le=92)
    scoring_days: Count = Field(default=7, ge=1, le=31)
    reflection_notice_days: Count = Field(default=14, ge=1, le=62)


class Tracking(Answer):
    """Question 6: where are key results tracked?"""

    question: Literal["tracking"] = "tracking"
    mechanism: Literal["manual", "integration", "kpi"] = "manual"
    sources: tuple[Line, ...] = Field(default=(), max_length=50)
    unnamed_source: Literal["refuse", "record_as_manual"] = "record_as_manual"


class Kpis(Answer):
    """Question 7: how do KPIs and OKRs live together?"""

    question: Literal["kpis"] = "kpis"
    policy: Literal["health_metrics_beside_okrs", "kpis_only_as_key_results", "separate"] = (
        "health_metrics_beside_okrs"
    )


class AlignmentPolicy(Answer):
    """Question 8: must an objective state what it contributes to?

    Judged when it is committed: `expected` warns; `required` warns up to `required_by_day`, and
    refuses afterwards. The default is `optional`: an unanswered question enforces nothing.
    """

    question: Literal["alignment"] = "alignment"
    policy: Literal["optional", "expected", "required"] = "optional"
    required_by_day: Annotated[int, Field(ge=0, le=366), not_text] | None = Field(
        default=None,
        description="Days after the cycle's start, the last day included; null: from the first.",
    )
    targets: tuple[Literal["objective", "key_result"], ...] = Field(
        default=("objective", "key_result"), min_length=1, max_length=2
    )

    def is_due(self, starts_on: date, at: datetime) -> bool:
        """Whether a required alignment is owed by a moment, in a cycle that starts on a day."""
        days = self.required_by_day
        return days is None or at.astimezone(UTC).date() > starts_on + timedelta(days=days)


class BottomUp(Answer):
    """Question 9: what share of the objectives comes from the teams themselves?"""

    question: Literal["bottom_up"] = "bottom_up"
    target_share: Share = Field(default=Decimal("0.6"), json_schema_extra={"default": 0.6})


class PerformanceReviews(Answer):
    """Question 10: how are OKRs linked to performance reviews?"""

    question: Literal["performance_reviews"] = "performance_reviews"
    link: Literal["decoupled", "informs", "coupled"] = "decoupled"
    individual_scores_visible_to: tuple[Literal["everyone", "team", "leader", "owner"], ...] = (
        Field(default=("everyone",), min_length=1, max_length=4)
    )


# Beside the ten ---------------------------------------------------------------------------


class Severity(StrEnum):
    """What a broken quality rule does.

    `inform` is told when somebody asks, `warn` is recorded at commitment, `refuse` stops it.
    """

    INFORM = "inform"
    WARN = "warn"
    REFUSE = "refuse"


class QualityRule(StrEnum):
    """The rules of `app.domain.quality`, by the id that findings carry."""

    OBJECTIVE_IS_NO_DELIVERABLE = "quality.objective_is_no_deliverable"
    OBJECTIVE_CARRIES_NO_METRIC = "quality.objective_carries_no_metric"
    OBJECTIVE_CAN_BE_RECITED = "quality.objective_can_be_recited"
    OBJECTIVE_HAS_AN_OWNER = "quality.objective_has_an_owner"
    FEW_OBJECTIVES = "quality.few_objectives"
    FEW_KEY_RESULTS = "quality.few_key_results"
    KEY_RESULTS_ARE_COMPLETE = "quality.key_results_are_complete"
    KEY_RESULTS_MEASURE_IMPACT = "quality.key_results_measure_impact"
    LEADING_AND_LAGGING_ARE_MIXED = "quality.leading_and_lagging_are_mixed"
    CONFIDENCE_IS_REALISTIC = "quality.confidence_is_realistic"
    CONTRIBUTION_IS_STATED = "quality.contribution_is_stated"
    DEPENDENCIES_ARE_CARRIED = "quality.dependencies_are_carried"


class QualityChecks(Answer):
    """Beside the ten: how strict are the quality checks, and in which language are goals written?

    A rule that is not named keeps its default severity; `words` are added to the language's own.
    """

    question: Literal["quality"] = "quality"
    language: Language = Language.ENGLISH
    severities: dict[QualityRule, Severity] = Field(default_factory=dict)
    words: dict[WordList, Annotated[tuple[Line, ...], Field(max_length=200)]] = Field(
        default_factory=dict
    )


class _Flat:
    """OpenAPI knows no discriminator within another: the members are listed side by side."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        made: dict[str, Any] = handler(core)
        made.pop("discriminator")
        made["oneOf"] = [leaf for one in made["oneOf"] for leaf in one.get("oneOf", [one])]
        return made


Decision = Annotated[
    Levels
    | Limits
    | Rhythm
    | Scoring
    | CycleLength
    | Tracking
    | Kpis
    | AlignmentPolicy
    | BottomUp
    | PerformanceReviews
    | QualityChecks,
    Field(discriminator="question"),
    _Flat(),
]

QUESTIONS: dict[str, str] = {
    "levels": "At what level are OKRs set?",
    "limits": "How many objectives and key results?",
    "cadence": "How often are OKRs set and checked in on?",
    "scoring": "How are key results scored?",
    "cycle_length": "How long is a cycle?",
    "tracking": "Where are key results tracked?",
    "kpis": "How do KPIs and OKRs live together?",
    "alignment": "How are OKRs aligned?",
    "bottom_up": "What share comes from the bottom up?",
    "performance_reviews": "How are OKRs linked to performance reviews?",
}

EXTENSIONS: dict[str, str] = {
    "quality": "How strict are the quality checks?",
}
"""Questions beside the ten, answered in the same way; they do not count among the ten."""
ASKED = {**QUESTIONS, **EXTENSIONS}

# Answers that decide the figures of a running cycle: they wait for its end.
_FIXED_WHILE_RUNNING = frozenset({"scoring"})


# Events -----------------------------------------------------------------------------------


class DeploymentEvent(Event, stream="deployment", key="organization_id"):
    organization_id: UUID


class DecisionMade(DeploymentEvent, type="decision.made"):
    """One of the ten questions was answered, or answered anew."""

    decision: Decision
    rationale: Prose
    decided_by: UUID | None = None


DeploymentEvents = DecisionMade


# State ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deployment:
    """The decisions in force. An unanswered question stands at its default."""

    levels: Levels = field(default_factory=Levels)
    limits: Limits = field(default_factory=Limits)
    cadence: Rhythm = field(default_factory=Rhythm)
    scoring: AnyScoring = field(default_factory=MeasureWhatMatters)
    cycle_length: CycleLength = field(default_factory=CycleLength)
    tracking: Tracking = field(default_factory=Tracking)
    kpis: Kpis = field(default_factory=Kpis)
    alignment: AlignmentPolicy = field(default_factory=AlignmentPolicy)
    bottom_up: BottomUp = field(default_factory=BottomUp)
    performance_reviews: PerformanceReviews = field(default_factory=PerformanceReviews)
    quality: QualityChecks = field(default_factory=QualityChecks)
    answered: frozenset[str] = frozenset()


def evolve(state: Deployment, event: DeploymentEvents) -> Deployment:
    match event:
        case DecisionMade(decision=decision):
            answer: dict[str, Any] = {decision.question: decision}
            return replace(state, **answer, answered=state.answered | {decision.question})
        case _:
            assert_never(event)


# Commands ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeDecision(Command):
    """Answer one of the ten questions. Raises DecisionRefuses, NotFound."""

    category: ClassVar[str] = "deployment"

    organization_id: UUID
    decision: Decision
    rationale: str
    decided_by: UUID | None = None
    running_cycles: tuple[str, ...] = looked_up("running_cycles", lambda _, c: c.organization_id)
    decider_known: bool = looked_up("person_known", lambda _, c: c.decided_by)

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.organization_id)


def _sensible(decision: Decision) -> None:
    """Raise Refusal for an answer that contradicts itself."""
    if isinstance(decision, Rhythm) and decision.lacks_days:
        raise Refusal("A custom cadence needs its length in days.", pointer="/decision/custom_days")
    if isinstance(decision, StretchTargetCommit) and not (
        0 < decision.commit < decision.target < decision.stretch
    ):
        raise Refusal(
            "The scores of commit, target and stretch must rise in this order.",
            pointer="/decision/commit",
        )
    if isinstance(decision, ScoringRules) and decision.poor > decision.good:
        raise Refusal("poor lies above good; choose it below.", pointer="/decision/poor")


def decide(state: Deployment, command: MakeDecision) -> list[DeploymentEvents]:
    match command:
        case MakeDecision(decision=decision):
            if command.decided_by is not None and not command.decider_known:
                raise NotFound("person", command.decided_by, pointer="/decided_by")
            _sensible(decision)
            changed = getattr(state, decision.question) != decision
            if changed and decision.question in _FIXED_WHILE_RUNNING and command.running_cycles:
                raise DecisionRefuses(
                    decision.question,
                    f"{decision.question}.fixed_while_running",
                    f"The {decision.question} decision cannot change while a cycle runs "
                    f"({', '.join(command.running_cycles)}); close it first.",
                    pointer="/decision",
                )
            return [
                DecisionMade(
                    organization_id=command.organization_id,
                    decision=decision,
                    rationale=command.rationale,
                    decided_by=command.decided_by,
                )
            ]
        case _:
            assert_never(command)


decider: Decider[Deployment, MakeDecision, DeploymentEvents] = Decider(
    category="deployment", initial=Deployment(), evolve=evolve, decide=decide
)
