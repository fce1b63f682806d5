"""Bodies about goals: objectives, key results, alignments, dependencies and KPIs."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from pydantic import (
    Field,
)

from app.api.bodies.common import ID, Body, example, unstated
from app.domain.dependency import OtherSide
from app.domain.key_result import KeyResultTerms, Weight
from app.domain.kpi_terms import Direction, HealthyRange, KpiTerms
from app.domain.measures import Measure
from app.domain.objective import ObjectiveTerms
from app.domain.values import (
    Day,
    ExternalRef,
    Key,
    Line,
    Moment,
    Number,
    Origin,
    Owner,
    Prose,
    Share,
    Target,
)


class DraftKeyResultBody(KeyResultTerms):
    model_config = example(
        title="Active customers from 120 to 200",
        measure={"kind": "metric", "unit": "customers", "baseline": 120, "target": 200},
    )
    external: ExternalRef | None = None


class DraftObjectiveBody(ObjectiveTerms):
    model_config = example(
        cycle_id=f"{ID}2",
        owner={"kind": "team", "id": f"{ID}3"},
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

    model_config = example(
        title="Customers stay because they succeed",
        why_now="Churn doubled since the summer.",
        owner={"kind": "team", "id": f"{ID}3"},
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

    model_config = example(title="Customers stay because they succeed", reason="Sharper words.")
    title: Line = unstated()
    why: Prose | None = None
    why_now: Prose | None = None
    origin: Origin = unstated()
    reason: Prose | None = None


class HandOverBody(Body):
    model_config = example(
        owner={"kind": "team", "id": f"{ID}3"}, reason="Growth has the people for it now."
    )
    owner: Owner
    reason: Prose


class ResultBody(Body):
    model_config = example(text="Two of three markets opened; the third follows in May.")
    text: Prose


class AmendKeyResultBody(Body):
    """Only what is stated changes. Once the objective is committed, a reason is needed."""

    model_config = example(
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
    model_config = example(
        target={"kind": "key_result", "id": f"{ID}4"},
        rationale="Every point of activation moves the company's retention.",
    )
    target: Target
    rationale: Prose
    why_now: Prose | None = None
    agreed_by: tuple[UUID, ...] = Field(default=(), max_length=50)


class DependencyBody(Body):
    model_config = example(
        on={"kind": "team", "id": f"{ID}3"},
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
    model_config = example(person_id=f"{ID}5", note="Planned for our second sprint.")
    person_id: UUID = Field(description="Who speaks for the other side.")
    note: Prose | None = None


class DeclineDependencyBody(Body):
    model_config = example(person_id=f"{ID}5", reason="Nobody is free before April.")
    person_id: UUID = Field(description="Who speaks for the other side.")
    reason: Prose


class RegisterKpiBody(KpiTerms):
    model_config = example(
        name="Weekly active customers",
        unit="customers",
        owner={"kind": "team", "id": f"{ID}3"},
        direction="higher_is_better",
        healthy={"low": 500},
    )
    external: ExternalRef | None = None


class ReviseKpiBody(Body):
    """Only what is stated changes. What counts as healthy changes with a reason."""

    model_config = example(healthy={"low": 550}, reason="We have grown.")
    name: Line = unstated()
    owner: Owner = unstated()
    direction: Direction = unstated()
    healthy: HealthyRange = unstated()
    description: Prose | None = None
    reason: Prose | None = None


class KpiReadingBody(Body):
    model_config = example(value=480, note="The holidays.")
    value: Number
    occurred_at: Moment | None = Field(default=None, description="When it was true; else now.")
    note: Prose | None = None
    external: ExternalRef | None = None


class FocusKpiBody(Body):
    model_config = example(objective_id=f"{ID}4", target=600)
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
