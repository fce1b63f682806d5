"""What requests say. Terms of goals are the domain's own; here is only what HTTP adds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Self, TypeVar
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from app.domain.access import Scope
from app.domain.blocker import BlockerKind
from app.domain.carry_over import CarryOver
from app.domain.cycle import Minutes
from app.domain.dependency import OtherSide
from app.domain.deployment import Decision, Scoring
from app.domain.key_result import CheckInTerms, KeyResultTerms, Weight
from app.domain.kpi_terms import Direction, HealthyRange, KpiTerms
from app.domain.measures import Measure
from app.domain.next_cycle import NextCycle
from app.domain.objective import ObjectiveTerms
from app.domain.readiness import Override
from app.domain.reset import KeyResultChoice
from app.domain.survey import SurveyAnswers
from app.domain.team import MemberRole, TeamLevel
from app.domain.values import (
    Count,
    Day,
    ExternalRef,
    Key,
    Level,
    Line,
    Moment,
    Number,
    Origin,
    Owner,
    Prose,
    Share,
    Target,
)
from app.domain.workshop import Quorum, WorkshopKind

M = TypeVar("M", bound=BaseModel)

_ID = "01980000-0000-7000-8000-00000000000"


def narrow(model: type[M], body: BaseModel) -> M:
    """The part of a body that is such a model; it was validated with the body."""
    return model.model_construct(**{name: getattr(body, name) for name in model.model_fields})


def patched(model: type[M], current: M, patch: BaseModel) -> M:
    """`current` with what the patch states."""
    stated = patch.model_fields_set & set(model.model_fields)
    return current.model_copy(update={name: getattr(patch, name) for name in stated})


def unstated() -> Any:
    """The default of a field that may be left out, but is never null."""
    return Field(default_factory=lambda: None)


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FoundOrganizationBody(Body):
    model_config = _example(name="Harbour & Sons")
    name: Line


class RenameOrganizationBody(FoundOrganizationBody):
    pass


class MakeDecisionBody(Body):
    model_config = _example(
        decision={"question": "limits", "max_objectives": 3, "enforcement": "refuse"},
        rationale="Three goals are what a team can recite.",
    )
    decision: Decision
    rationale: Prose
    decided_by: UUID | None = None


Email = Annotated[
    str,
    StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$"),
]


class RegisterPersonBody(Body):
    model_config = _example(name="Ada Park", email="ada@example.org")
    name: Line
    email: Email | None = None
    external: ExternalRef | None = None


class CorrectPersonBody(Body):
    """Only what is stated changes; a null `email` takes the address out of the directory."""

    model_config = _example(name="Ada Lindqvist", email="ada.lindqvist@example.org")
    name: Line = unstated()
    email: Email | None = None


class FormTeamBody(Body):
    model_config = _example(name="Growth", level="team")
    name: Line
    level: TeamLevel = Level.TEAM
    parent_id: UUID | None = None
    external: ExternalRef | None = None


class ChangeTeamBody(Body):
    """Only what is stated changes; a null `parent_id` moves the team to the top."""

    model_config = _example(name="Growth and retention")
    name: Line = unstated()
    parent_id: UUID | None = None


class MemberBody(Body):
    model_config = _example(role="leader")
    role: MemberRole = "member"


class PlanCycleBody(Body):
    model_config = _example(name="2026 Q1", starts_on="2026-01-01", ends_on="2026-03-31")
    name: Line
    starts_on: Day
    ends_on: Day
    parent_id: UUID | None = None
    external: ExternalRef | None = None


class PlanYearBody(Body):
    """Levels left out are all that are decided."""

    model_config = _example(year=2028)
    year: Count = Field(ge=1000, le=9000, description="What the year is called.")
    starts_on: Day | None = Field(
        default=None,
        description="Its first day, else 1 January: the first of a month counts calendar months, "
        "any other day whole weeks. It may lie in the calendar year before.",
    )
    levels: tuple[Level, ...] | None = Field(default=None, min_length=1, max_length=3)
    with_year: bool = Field(
        default=False, description="Plan a year cycle that holds the others, decided or not."
    )
    parent_id: UUID | None = Field(
        default=None, description="A cycle that is there already, and shall hold these."
    )


class ChangeCycleBody(Body):
    """Only what is stated changes."""

    model_config = _example(name="The first quarter")
    name: Line = unstated()
    starts_on: Day = unstated()
    ends_on: Day = unstated()


class OpenCycleBody(Body):
    """The first cycle needs an override while deployment and training are not done."""

    model_config = _example(
        override={"person_id": f"{_ID}5", "reason": "The workshop is next week; we learn by doing."}
    )
    override: Override | None = None


class ScheduleWorkshopBody(Body):
    model_config = _example(
        kind="leadership",
        title="What OKRs mean for us",
        scheduled_at="2026-01-12T09:00:00Z",
        agenda=["Why now", "Who owns goals", "What we stop doing"],
        quorum={"kind": "share", "share": 0.75},
    )
    kind: WorkshopKind
    title: Line
    scheduled_at: Moment
    agenda: tuple[Prose, ...] = Field(default=(), max_length=50)
    team_id: UUID | None = Field(default=None, description="Of a team workshop, and only there.")
    quorum: Quorum | None = Field(default=None, description="Of a leadership workshop.")


class PeopleBody(Body):
    model_config = _example(people=[f"{_ID}5"])
    people: tuple[UUID, ...] = Field(max_length=500)


class OutcomeBody(Body):
    model_config = _example(outcome=["Three goals a team, and no more.", "Pay stays apart."])
    outcome: tuple[Prose, ...] = Field(min_length=1, max_length=50)


class RescheduleWorkshopBody(Body):
    model_config = _example(scheduled_at="2026-01-19T09:00:00Z", reason="Two leaders are away.")
    scheduled_at: Moment
    reason: Prose | None = None


class DesignateCoachBody(Body):
    model_config = _example(person_id=f"{_ID}5")
    person_id: UUID


class CertifyCoachBody(Body):
    model_config = _example(workshop_id=f"{_ID}6")
    workshop_id: UUID
    expires_on: Day | None = Field(default=None, description="The last day; a year by default.")


class CoverTeamsBody(Body):
    model_config = _example(teams=[f"{_ID}3"])
    teams: tuple[UUID, ...] = Field(max_length=500)


class ReflectionBody(Body):
    model_config = _example(
        worked=["Check-ins stayed short"], did_not_work=["Two goals nobody looked at"],
        change=["Two objectives, not three"], minutes=45,
    )  # fmt: skip
    team_id: UUID | None = None
    worked: tuple[Prose, ...] = Field(default=(), max_length=50)
    did_not_work: tuple[Prose, ...] = Field(default=(), max_length=50)
    change: tuple[Prose, ...] = Field(default=(), max_length=50)
    minutes: Minutes | None = Field(
        default=None,
        description="How long it took. Outside 30 to 60, or above 10 for each key result, it is "
        "recorded with a warning.",
    )
    participants: tuple[UUID, ...] = Field(
        default=(), max_length=500, description="The people who took part."
    )
    external: ExternalRef | None = None


def _one_next_cycle(schema: dict[str, Any]) -> None:
    choices = [{"key_result_id": f"{_ID}1", "choice": "keep", "learning": "Start earlier."}]
    planned = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
    schema["examples"] = [
        {"next_cycle": planned, "choices": choices},
        {"next_cycle_id": f"{_ID}2", "choices": choices, "carry_over": ["alignments"]},
    ]
    schema["oneOf"] = [{"required": ["next_cycle"]}, {"required": ["next_cycle_id"]}]


class ResetBody(Body):
    """Either `next_cycle`, which is planned, or `next_cycle_id`, which is there already."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_one_next_cycle)
    next_cycle: NextCycle = unstated()
    next_cycle_id: Annotated[
        UUID,
        Field(
            description="A cycle that is planned or drafting, begins after this one did, and "
            "shares a level with it."
        ),
    ] = unstated()
    choices: tuple[KeyResultChoice, ...] = Field(max_length=20_000)
    carry_over: tuple[CarryOver, ...] = Field(
        default=(), max_length=3, description="What goes on with the goals: nothing by default."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.next_cycle is None) == (self.next_cycle_id is None):
            raise ValueError("state either next_cycle or next_cycle_id, and one of them only")
        return self


class DraftKeyResultBody(KeyResultTerms):
    model_config = _example(
        title="Active customers from 120 to 200",
        measure={"kind": "metric", "unit": "customers", "baseline": 120, "target": 200},
    )
    external: ExternalRef | None = None


class DraftObjectiveBody(ObjectiveTerms):
    model_config = _example(
        cycle_id=f"{_ID}2",
        owner={"kind": "team", "id": f"{_ID}3"},
        title="Customers stay because they succeed",
        why_now="Churn doubled since the summer.",
        key_results=[
            {
                "title": "Active customers from 120 to 200",
                "measure": {
                    "kind": "metric", "unit": "customers", "baseline": 120, "target": 200,
                },
            }
        ],
    )  # fmt: skip
    cycle_id: UUID
    owner: Owner
    external: ExternalRef | None = None
    key_results: tuple[DraftKeyResultBody, ...] = Field(
        default=(), max_length=20, description="Drafted with the objective, all or nothing."
    )


class ValidateDraftBody(ObjectiveTerms):
    """A draft as far as it is written. An owner, cycle or goal that is unknown counts as none."""

    model_config = _example(
        title="Customers stay because they succeed",
        why_now="Churn doubled since the summer.",
        owner={"kind": "team", "id": f"{_ID}3"},
        key_results=[{"title": "Hold ten workshops"}],
        confidence=0.5,
    )
    cycle_id: UUID | None = None
    owner: Owner | None = None
    external: ExternalRef | None = None
    key_results: tuple[DraftKeyResultBody, ...] = Field(default=(), max_length=50)
    contributes_to: tuple[Target, ...] = Field(default=(), max_length=50)
    confidence: Share | None = Field(
        default=None, description="The average over the key results, if it is known."
    )


class ReviseObjectiveBody(Body):
    """Only what is stated changes. Once committed, a reason is needed."""

    model_config = _example(title="Customers stay because they succeed", reason="Sharper words.")
    title: Line = unstated()
    why: Prose | None = None
    why_now: Prose | None = None
    origin: Origin = unstated()
    reason: Prose | None = None


class HandOverBody(Body):
    model_config = _example(
        owner={"kind": "team", "id": f"{_ID}3"}, reason="Growth has the people for it now."
    )
    owner: Owner
    reason: Prose


class ReasonBody(Body):
    model_config = _example(reason="The market moved.")
    reason: Prose


class OptionalReasonBody(Body):
    model_config = _example(reason="It measures the wrong thing.")
    reason: Prose | None = None


class ResultBody(Body):
    model_config = _example(text="Two of three markets opened; the third follows in May.")
    text: Prose


class AmendKeyResultBody(Body):
    """Only what is stated changes. Once the objective is committed, a reason is needed."""

    model_config = _example(
        measure={"kind": "metric", "unit": "customers", "baseline": 120, "target": 180},
        reason="One market was postponed.",
    )
    title: Line = unstated()
    measure: Measure = unstated()
    weight: Weight = unstated()
    owner: Owner | None = None
    tracked_by: Key | None = None
    reason: Prose | None = None


class AlignBody(Body):
    model_config = _example(
        target={"kind": "key_result", "id": f"{_ID}4"},
        rationale="Every point of activation moves the company's retention.",
    )
    target: Target
    rationale: Prose
    why_now: Prose | None = None
    agreed_by: tuple[UUID, ...] = Field(default=(), max_length=50)


class DependencyBody(Body):
    model_config = _example(
        on={"kind": "team", "id": f"{_ID}3"},
        needed="A sign-in that takes no password.",
        needed_by="2026-02-13",
    )
    on: OtherSide
    needed: Prose
    needed_by: Day
    risk_owner_id: UUID | None = Field(
        default=None, description="Who watches over what happens if it does not come."
    )
    external: ExternalRef | None = None


class AcceptDependencyBody(Body):
    model_config = _example(person_id=f"{_ID}5", note="Planned for our second sprint.")
    person_id: UUID = Field(description="Who speaks for the other side.")
    note: Prose | None = None


class DeclineDependencyBody(Body):
    model_config = _example(person_id=f"{_ID}5", reason="Nobody is free before April.")
    person_id: UUID = Field(description="Who speaks for the other side.")
    reason: Prose


class NoteBody(Body):
    model_config = _example(note="Live since Monday.")
    note: Prose | None = None


class RegisterKpiBody(KpiTerms):
    model_config = _example(
        name="Weekly active customers",
        unit="customers",
        owner={"kind": "team", "id": f"{_ID}3"},
        direction="higher_is_better",
        healthy={"low": 500},
    )
    external: ExternalRef | None = None


class ReviseKpiBody(Body):
    """Only what is stated changes. What counts as healthy changes with a reason."""

    model_config = _example(healthy={"low": 550}, reason="We have grown.")
    name: Line = unstated()
    owner: Owner = unstated()
    direction: Direction = unstated()
    healthy: HealthyRange = unstated()
    description: Prose | None = None
    reason: Prose | None = None


class KpiReadingBody(Body):
    model_config = _example(value=480, note="The holidays.")
    value: Number
    occurred_at: Moment | None = Field(default=None, description="When it was true; else now.")
    note: Prose | None = None
    external: ExternalRef | None = None


class FocusKpiBody(Body):
    model_config = _example(objective_id=f"{_ID}4", target=600)
    objective_id: UUID
    target: Number
    baseline: Number | None = Field(
        default=None, description="For a KPI without a reading; else the latest one is it."
    )
    commit: Number | None = None
    stretch: Number | None = None
    title: Line | None = Field(default=None, description="Left out, it is the KPI's name.")
    weight: Weight = Field(default=Decimal(1), json_schema_extra={"default": 1})
    owner: Owner | None = Field(default=None, description="Where it differs from the objective's.")


class CheckInBody(CheckInTerms):
    model_config = _example(
        value=150, confidence=0.6, health="on_track", note="Two large customers went live."
    )
    occurred_at: Moment | None = Field(default=None, description="When it was true; else now.")
    external: ExternalRef | None = None


class CheckInItem(CheckInBody):
    """A check-in of many: it names its key result."""

    model_config = _example(key_result_id=f"{_ID}3", value=150, confidence=0.6)
    key_result_id: UUID


class StreamedCheckIn(CheckInItem):
    """A line of a stream. Its external id makes it safe to send once more."""

    model_config = _example(
        key_result_id=f"{_ID}3", value=150, external={"source": "crm", "external_id": "week-7"}
    )
    external: ExternalRef


@dataclass(frozen=True, slots=True)
class Unfit:
    """What was sent in place of an item, and what validation says of it."""

    sent: Any
    errors: list[Any]


def _or_unfit(value: Any, fit: ValidatorFunctionWrapHandler) -> Any:
    try:
        return fit(value)
    except ValidationError as error:
        return Unfit(value, error.errors(include_url=False, include_context=False))


class CheckInBatchBody(Body):
    """Up to 1,000 check-ins. What is wrong with one item is told of that item."""

    model_config = _example(
        items=[{"key_result_id": f"{_ID}3", "value": 150, "note": "Two large customers went live."}]
    )
    items: tuple[Annotated[CheckInItem, WrapValidator(_or_unfit)], ...] = Field(
        min_length=1, max_length=1_000
    )


class CorrectCheckInBody(CheckInTerms):
    """What the check-in should have said, as a whole."""

    model_config = _example(value=140, confidence=0.6, reason="The report was of the week before.")
    occurred_at: Moment | None = Field(default=None, description="Left out, it stays.")
    reason: Prose


class SucceedBody(Body):
    """The metric that a measured baseline seeds: from the value measured to a target."""

    model_config = _example(title="Days from order to delivery from 9 to 4", target=4)
    title: Line
    target: Number
    commit: Number | None = None
    stretch: Number | None = None


class WhatIfBody(Body):
    model_config = _example(rules={"question": "scoring", "system": "radical_focus"})
    rules: Scoring


class RaiseBlockerBody(Body):
    model_config = _example(
        kind="dependency",
        what="The payment team has no one free before May.",
        owner_id=f"{_ID}5",
        next_action="Ask for one person for a week.",
    )
    kind: BlockerKind
    what: Prose
    owner_id: UUID
    next_action: Prose


class HandOverBlockerBody(Body):
    model_config = _example(owner_id=f"{_ID}5", next_action="Decide on Monday.")
    owner_id: UUID | None = None
    next_action: Prose | None = None


class ResolveBlockerBody(Body):
    model_config = _example(how="They lent us Ben.")
    how: Prose | None = None


class SurveyBody(Body):
    model_config = _example(
        answers={
            "stayed_visible": 4, "real_cadence": 5, "outcomes_not_activity": 3, "few_enough": 4,
            "said_early": 2,
        }
    )  # fmt: skip
    answers: SurveyAnswers


class ScoreBody(Body):
    model_config = _example(
        score=0.7,
        comment="Most customers arrived in the last month.",
        adjustment_reason="Two signed contracts start next week.",
    )
    score: Share | None = Field(default=None, description="Left out, the computed one stands.")
    comment: Prose
    adjustment_reason: Prose | None = None


class IssueKeyBody(Body):
    model_config = _example(name="Metrics bridge", scopes=["read", "check-ins:write"])
    name: Line
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=20)
    person_id: UUID | None = Field(
        default=None, description="Whom the key stands for: it does what their roles allow."
    )
    teams: tuple[UUID, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="For a key that stands for nobody: it acts for these teams and their members.",
    )
    key_results: tuple[UUID, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="For a key that stands for nobody: it checks in on these alone.",
    )
    sources: tuple[Key, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="For a key that stands for nobody: it checks in with an external id of one of "
        "these sources, or on a key result that one of them tracks.",
    )
    expires_at: Moment | None = None


class ErasePersonBody(Body):
    model_config = _example(reason="She asked for it.")
    reason: Prose | None = None


class LinkIdentityBody(Body):
    model_config = _example(issuer="https://login.example.org", subject="00u1a2b3")
    issuer: Key = Field(description="Exactly as the provider's tokens say it in `iss`.")
    subject: Key = Field(description="What they say in `sub`. Only a digest of it is kept.")


class RoleBody(Body):
    model_config = _example(reason="She looks after the programme.")
    reason: Prose | None = None
