"""Bodies of the first two phases: deployment and training."""

from __future__ import annotations

from uuid import UUID

from pydantic import (
    Field,
)

from app.api.bodies.common import ID, Body, example
from app.domain.deployment import Decision
from app.domain.values import (
    Day,
    Line,
    Moment,
    Prose,
)
from app.domain.workshop import Quorum, WorkshopKind


class MakeDecisionBody(Body):
    model_config = example(
        decision={"question": "limits", "max_objectives": 3, "enforcement": "refuse"},
        rationale="Three goals are what a team can recite.",
    )
    decision: Decision
    rationale: Prose
    decided_by: UUID | None = None


class ScheduleWorkshopBody(Body):
    model_config = example(
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
    model_config = example(people=[f"{ID}5"])
    people: tuple[UUID, ...] = Field(max_length=500)


class OutcomeBody(Body):
    model_config = example(outcome=["Three goals a team, and no more.", "Pay stays apart."])
    outcome: tuple[Prose, ...] = Field(min_length=1, max_length=50)


class RescheduleWorkshopBody(Body):
    model_config = example(scheduled_at="2026-01-19T09:00:00Z", reason="Two leaders are away.")
    scheduled_at: Moment
    reason: Prose | None = None


class DesignateCoachBody(Body):
    model_config = example(person_id=f"{ID}5")
    person_id: UUID


class CertifyCoachBody(Body):
    model_config = example(workshop_id=f"{ID}6")
    workshop_id: UUID
    expires_on: Day | None = Field(default=None, description="The last day; a year by default.")


class CoverTeamsBody(Body):
    model_config = example(teams=[f"{ID}3"])
    teams: tuple[UUID, ...] = Field(max_length=500)
