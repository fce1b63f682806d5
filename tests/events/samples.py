"""One sample of every event as it is written today; together they tell a small story."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from app.domain import (
    access,
    alignment,
    cycle,
    deployment,
    key_result,
    objective,
    organization,
    person,
    team,
)
from app.domain.messages import Event
from app.domain.scoring import FORMULA
from app.domain.values import ExternalRef, Finding, Health, Level, Target
from tests.domain.builders import (
    CHECK_IN,
    CYCLE,
    IDS,
    KEY_IDS,
    KEY_TERMS,
    NEXT_CYCLE,
    NOW,
    OBJECTIVE,
    ORG,
    OTHER_KEY_RESULT,
    OTHER_OBJECTIVE,
    OWNER,
    PERSON,
    TEAM,
    TERMS,
    uid,
)

EXTERNAL = ExternalRef(source="sheet", external_id="row 7")
WARNING = Finding(rule="limits.max_objectives", message="Too many.", decision="limits")
COMPANY, KEY, LINK = uid(50), uid(51), uid(52)

SAMPLES: list[Event] = [
    organization.OrganizationFounded(organization_id=ORG, name="Harbour", external=EXTERNAL),
    organization.OrganizationRenamed(organization_id=ORG, name="Harbour & Sons"),
    person.PersonRegistered(person_id=PERSON, external=EXTERNAL),
    deployment.DecisionMade(
        organization_id=ORG,
        decision=deployment.Limits(max_objectives=2),
        rationale="Few.",
        decided_by=PERSON,
    ),
    team.TeamFormed(team_id=COMPANY, name="Harbour", level=Level.COMPANY),
    team.TeamFormed(team_id=TEAM, name="Growth", level=Level.TEAM, external=EXTERNAL),
    team.TeamRenamed(team_id=TEAM, name="Sales"),
    team.TeamMoved(team_id=TEAM, parent_id=COMPANY),
    team.MemberJoined(team_id=TEAM, person_id=PERSON, role="leader"),
    team.MemberRoleChanged(team_id=TEAM, person_id=PERSON, role="member"),
    access.ApiKeyIssued(key_id=KEY, name="Bridge", scopes=(access.Scope.READ,), expires_at=NOW),
    access.ApiKeyRevoked(key_id=KEY),
    cycle.CyclePlanned(
        cycle_id=CYCLE,
        name="2026 Q1",
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 3, 31),
        external=EXTERNAL,
    ),
    cycle.CycleDraftingBegun(cycle_id=CYCLE),
    objective.ObjectiveDrafted(
        **IDS, owner=OWNER, terms=TERMS, external=EXTERNAL, warnings=(WARNING,)
    ),
    objective.ObjectiveRevised(
        **IDS, terms=TERMS.model_copy(update={"why": "They told us."}), reason="Clearer."
    ),
    objective.ObjectiveProposed(**IDS),
    key_result.KeyResultDrafted(**KEY_IDS, terms=KEY_TERMS, external=EXTERNAL),
    objective.ObjectiveCommitted(**IDS, warnings=(WARNING,)),
    objective.ObjectiveDrafted(
        objective_id=OTHER_OBJECTIVE, cycle_id=CYCLE, owner=OWNER, terms=TERMS
    ),
    key_result.KeyResultDrafted(
        key_result_id=OTHER_KEY_RESULT,
        objective_id=OTHER_OBJECTIVE,
        cycle_id=CYCLE,
        terms=KEY_TERMS,
    ),
    alignment.AlignmentAgreed(
        alignment_id=LINK,
        cycle_id=CYCLE,
        objective_id=OBJECTIVE,
        target=Target(kind="key_result", id=OTHER_KEY_RESULT),
        target_objective_id=OTHER_OBJECTIVE,
        rationale="One leads to the other.",
        agreed_by=(PERSON,),
    ),
    cycle.CycleOpened(cycle_id=CYCLE, opened_at=NOW, scoring=deployment.Scoring()),
    key_result.CheckInRecorded(
        **KEY_IDS,
        check_in_id=CHECK_IN,
        terms=key_result.CheckInTerms(
            value=Decimal("150.5"),
            confidence=Decimal("0.6"),
            health=Health.AT_RISK,
            note="Half way.",
            next_steps="Call them.",
        ),
        progress=Decimal("0.505"),
        last_word=("moment", "value", "confidence", "health"),
        occurred_at=NOW,
        external=EXTERNAL,
    ),
    key_result.KeyResultAmended(
        **KEY_IDS,
        terms=KEY_TERMS.model_copy(update={"weight": Decimal(2)}),
        progress=Decimal("0.5"),
        reason="It counts double.",
    ),
    alignment.AlignmentWithdrawn(alignment_id=LINK, cycle_id=CYCLE, reason="Other goals."),
    key_result.KeyResultRemoved(
        key_result_id=OTHER_KEY_RESULT,
        objective_id=OTHER_OBJECTIVE,
        cycle_id=CYCLE,
        reason="Wrong measure.",
    ),
    cycle.CycleScoringBegun(cycle_id=CYCLE),
    objective.ObjectiveResultReported(**IDS, text="81%"),
    key_result.KeyResultScored(
        **KEY_IDS,
        computed=Decimal("0.5"),
        score=Decimal("0.7"),
        formula=FORMULA,
        comment="Well.",
        adjustment_reason="Two start next week.",
    ),
    cycle.CycleReflectionBegun(cycle_id=CYCLE),
    cycle.ReflectionRecorded(
        cycle_id=CYCLE,
        reflection_id=uid(53),
        team_id=TEAM,
        worked=("Short check-ins",),
        external=EXTERNAL,
    ),
    key_result.KeyResultReset(
        **KEY_IDS, choice=key_result.Choice.KEEP, learning="Earlier.", successor_id=uid(54)
    ),
    objective.ObjectiveClosed(**IDS, outcome=objective.Outcome.CARRIED_ON, reason="Goes on."),
    cycle.CycleClosed(cycle_id=CYCLE, next_cycle_id=NEXT_CYCLE),
    team.MemberLeft(team_id=TEAM, person_id=PERSON),
    team.TeamDisbanded(team_id=TEAM),
    person.PersonLeft(person_id=PERSON),
]
