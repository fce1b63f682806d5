"""What requests say. Terms of goals are the domain's own; here is only what HTTP adds."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.domain.access import Scope
from app.domain.deployment import Decision
from app.domain.key_result import CheckInTerms, KeyResultTerms, Weight
from app.domain.measures import Measure
from app.domain.objective import ObjectiveTerms
from app.domain.reset import KeyResultChoice, NextCycle
from app.domain.team import MemberRole, TeamLevel
from app.domain.values import (
    Day,
    ExternalRef,
    Level,
    Line,
    Moment,
    Origin,
    Owner,
    Prose,
    Share,
    Target,
)

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


class ReflectionBody(Body):
    model_config = _example(
        worked=["Check-ins stayed short"], did_not_work=["Two goals nobody looked at"],
        change=["Two objectives, not three"],
    )  # fmt: skip
    team_id: UUID | None = None
    worked: tuple[Prose, ...] = Field(default=(), max_length=50)
    did_not_work: tuple[Prose, ...] = Field(default=(), max_length=50)
    change: tuple[Prose, ...] = Field(default=(), max_length=50)
    external: ExternalRef | None = None


class ResetBody(Body):
    model_config = _example(
        next_cycle={"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"},
        choices=[{"key_result_id": f"{_ID}1", "choice": "keep", "learning": "Start earlier."}],
    )
    next_cycle: NextCycle
    choices: tuple[KeyResultChoice, ...] = Field(max_length=20_000)


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


class ReviseObjectiveBody(Body):
    """Only what is stated changes. Once committed, a reason is needed."""

    model_config = _example(title="Customers stay because they succeed", reason="Sharper words.")
    title: Line = unstated()
    why: Prose | None = None
    why_now: Prose | None = None
    origin: Origin = unstated()
    reason: Prose | None = None


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


class CheckInBody(CheckInTerms):
    model_config = _example(
        value=150, confidence=0.6, health="on_track", note="Two large customers went live."
    )
    occurred_at: Moment | None = Field(default=None, description="When it was true; else now.")
    external: ExternalRef | None = None


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
    person_id: UUID | None = None
    expires_at: Moment | None = None
