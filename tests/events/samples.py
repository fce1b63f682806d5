"""One sample of every event as it is written today; together they tell a small story."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from app.domain import (
    alignment,
    api_key,
    blocker,
    coach,
    cycle,
    dependency,
    deployment,
    key_result,
    kpi,
    kpi_terms,
    objective,
    organization,
    person,
    roles,
    survey,
    team,
    webhook,
    workshop,
)
from app.domain.access import Role, Scope
from app.domain.calendar import Windows
from app.domain.check_in import CheckInTerms
from app.domain.messages import Event
from app.domain.scoring import FORMULAS
from app.domain.values import ExternalRef, Finding, Health, Level, Owner, OwnerKind, Target
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
    YESTERDAY,
    uid,
)

EXTERNAL = ExternalRef(source="sheet", external_id="row 7")
WARNING = Finding(rule="limits.max_objectives", message="Too many.", decision="limits")
COMPANY, KEY, LINK, YEAR = uid(50), uid(51), uid(52), uid(70)
NEED, OTHER_NEED = uid(61), uid(62)

KPI, READING = uid(71), uid(72)
KPI_TERMS = kpi_terms.KpiTerms(
    name="Weekly active customers",
    unit="customers",
    owner=OWNER,
    healthy=kpi_terms.HealthyRange(low=Decimal(500)),
)
WORKSHOP = uid(55)
WEBHOOK = uid(59)

BLOCKER = {"blocker_id": uid(72), "key_result_id": KEY_IDS["key_result_id"], "cycle_id": CYCLE}

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
    workshop.WorkshopScheduled(
        workshop_id=WORKSHOP,
        kind=workshop.WorkshopKind.LEADERSHIP,
        title="What OKRs mean for us",
        scheduled_at=YESTERDAY,
        agenda=("Why now", "What we stop doing"),
        quorum=workshop.ShareQuorum(share=Decimal("0.75")),
    ),
    workshop.PeopleInvited(workshop_id=WORKSHOP, invited=(PERSON,)),
    workshop.WorkshopRescheduled(workshop_id=WORKSHOP, scheduled_at=NOW, reason="Two are away."),
    workshop.AttendanceRecorded(workshop_id=WORKSHOP, attended=(PERSON,)),
    workshop.OutcomeRecorded(workshop_id=WORKSHOP, outcome=("Pay stays apart.",)),
    workshop.WorkshopCompleted(
        workshop_id=WORKSHOP,
        completed_at=NOW,
        invited=1,
        attended=1,
        needed=1,
        quorum_reached=True,
    ),
    workshop.WorkshopScheduled(
        workshop_id=uid(56),
        kind=workshop.WorkshopKind.TEAM,
        title="Growth",
        scheduled_at=NOW,
        team_id=TEAM,
    ),
    workshop.WorkshopCancelled(workshop_id=uid(56), reason="The season began."),
    coach.CoachDesignated(person_id=PERSON),
    coach.CoachCertified(
        person_id=PERSON,
        workshop_id=WORKSHOP,
        certified_on=date(2026, 2, 1),
        expires_on=date(2027, 2, 1),
    ),
    coach.TeamsCovered(person_id=PERSON, teams=(TEAM,)),
    coach.CoachRelieved(person_id=PERSON, reason="Another task."),
    person.IdentityLinked(person_id=PERSON, issuer="https://login.example.org"),
    person.IdentityUnlinked(person_id=PERSON),
    person.PersonErased(person_id=PERSON, reason="She asked for it."),
    roles.RoleGranted(person_id=PERSON, role=Role.AUDITOR, reason="The yearly audit."),
    roles.RoleWithdrawn(person_id=PERSON, role=Role.AUDITOR),
    api_key.ApiKeyIssued(key_id=KEY, name="Bridge", scopes=(Scope.READ,), expires_at=NOW),
    api_key.ApiKeyRevoked(key_id=KEY),
    webhook.WebhookRegistered(
        webhook_id=WEBHOOK,
        url="https://hooks.example.org/okr",
        event_types=("check_in.recorded",),
        description="To the warehouse.",
    ),
    webhook.WebhookChanged(webhook_id=WEBHOOK, url="https://hooks.example.org/v2"),
    webhook.WebhookDisabled(
        webhook_id=WEBHOOK, because=webhook.Because.ASKED, reason="They move house."
    ),
    webhook.WebhookEnabled(webhook_id=WEBHOOK),
    webhook.WebhookSecretRotated(webhook_id=WEBHOOK),
    webhook.WebhookRemoved(webhook_id=WEBHOOK, reason="Nobody listens."),
    cycle.CyclePlanned(
        cycle_id=CYCLE,
        name="2026 Q1",
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 3, 31),
        external=EXTERNAL,
    ),
    cycle.CyclePlanned(
        cycle_id=YEAR,
        name="2026",
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 12, 31),
        levels=(Level.COMPANY,),
        windows=Windows(
            drafting_from=date(2025, 12, 18),
            scoring_from=date(2026, 12, 25),
            reflection_announced_on=date(2026, 12, 17),
            check_in_every_days=14,
        ),
    ),
    cycle.CycleRenamed(cycle_id=YEAR, name="The year"),
    cycle.CycleRescheduled(
        cycle_id=YEAR,
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 12, 30),
        windows=Windows(
            drafting_from=date(2025, 12, 18),
            scoring_from=date(2026, 12, 24),
            reflection_announced_on=date(2026, 12, 16),
            check_in_every_days=14,
        ),
    ),
    cycle.CycleContinued(cycle_id=YEAR, previous_id=CYCLE),
    cycle.CycleCancelled(cycle_id=YEAR, reason="Quarters are enough."),
    cycle.CycleDraftingBegun(cycle_id=CYCLE),
    objective.ObjectiveDrafted(
        **IDS, owner=OWNER, terms=TERMS, external=EXTERNAL, warnings=(WARNING,)
    ),
    objective.ObjectiveRevised(
        **IDS, terms=TERMS.model_copy(update={"why": "They told us."}), reason="Clearer."
    ),
    objective.ObjectiveHandedOver(
        **IDS,
        previous_owner=OWNER,
        owner=Owner(kind=OwnerKind.PERSON, id=PERSON),
        reason="She asked for it.",
        warnings=(WARNING,),
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
        previous_id=uid(57),
    ),
    dependency.DependencyDeclared(
        dependency_id=NEED,
        cycle_id=CYCLE,
        objective_id=OBJECTIVE,
        on=dependency.OtherSide(kind="team", id=COMPANY),
        on_team_id=COMPANY,
        needed="A sign-in without a password.",
        needed_by=date(2026, 2, 13),
        risk_owner_id=PERSON,
        previous_id=uid(58),
        external=EXTERNAL,
    ),
    dependency.DependencyAccepted(
        dependency_id=NEED, cycle_id=CYCLE, person_id=PERSON, note="In our second sprint."
    ),
    dependency.DependencyDeclared(
        dependency_id=OTHER_NEED,
        cycle_id=CYCLE,
        objective_id=OTHER_OBJECTIVE,
        on=dependency.OtherSide(kind="objective", id=OBJECTIVE),
        on_team_id=TEAM,
        needed="Prices per city.",
        needed_by=date(2026, 3, 1),
    ),
    dependency.DependencyPassedOn(dependency_id=OTHER_NEED, cycle_id=CYCLE),
    dependency.DependencyDeclined(
        dependency_id=OTHER_NEED, cycle_id=CYCLE, person_id=PERSON, reason="Nobody is free."
    ),
    dependency.DependencyWithdrawn(
        dependency_id=OTHER_NEED, cycle_id=CYCLE, reason="We do it ourselves."
    ),
    dependency.DependencyDelivered(dependency_id=NEED, cycle_id=CYCLE, note="Live since Monday."),
    cycle.CycleOpened(cycle_id=CYCLE, opened_at=NOW, scoring=deployment.MeasureWhatMatters()),
    key_result.CheckInRecorded(
        **KEY_IDS,
        check_in_id=CHECK_IN,
        terms=CheckInTerms(
            value=Decimal("150.5"),
            confidence=Decimal("0.6"),
            health=Health.AT_RISK,
            note="Half way.",
            next_steps="Call them.",
        ),
        progress=Decimal("0.505"),
        last_word=("moment", "value", "confidence", "health"),
        standing=key_result.Standing(
            value=Decimal("150.5"),
            read_at=NOW,
            progress=Decimal("0.505"),
            confidence=Decimal("0.6"),
            health=Health.AT_RISK,
            last_check_in_at=NOW,
        ),
        tracking="manual",
        occurred_at=NOW,
        external=EXTERNAL,
    ),
    key_result.CheckInCorrected(
        **KEY_IDS,
        check_in_id=CHECK_IN,
        terms=CheckInTerms(value=Decimal(140), health=Health.ON_TRACK),
        occurred_at=NOW,
        progress=Decimal("0.4"),
        reason="The report was of the week before.",
        standing=key_result.Standing(
            value=Decimal(140),
            read_at=NOW,
            progress=Decimal("0.4"),
            health=Health.ON_TRACK,
            last_check_in_at=NOW,
        ),
    ),
    key_result.KeyResultAmended(
        **KEY_IDS,
        committed_terms=KEY_TERMS,
        terms=KEY_TERMS.model_copy(update={"weight": Decimal(2)}),
        progress=Decimal("0.4"),
        standing=key_result.Standing(
            value=Decimal(140),
            read_at=NOW,
            progress=Decimal("0.4"),
            health=Health.ON_TRACK,
            last_check_in_at=NOW,
        ),
        reason="It counts double.",
    ),
    alignment.AlignmentWithdrawn(alignment_id=LINK, cycle_id=CYCLE, reason="Other goals."),
    key_result.KeyResultRemoved(
        key_result_id=OTHER_KEY_RESULT,
        objective_id=OTHER_OBJECTIVE,
        cycle_id=CYCLE,
        reason="Wrong measure.",
    ),
    kpi.KpiRegistered(kpi_id=KPI, terms=KPI_TERMS, external=EXTERNAL),
    kpi.ReadingRecorded(
        kpi_id=KPI,
        reading_id=READING,
        value=Decimal("480.5"),
        in_range=False,
        latest=True,
        occurred_at=NOW,
        note="The holidays.",
        check_in_id=CHECK_IN,
        external=EXTERNAL,
    ),
    kpi.KpiLeftRange(
        kpi_id=KPI,
        value=Decimal("480.5"),
        proposal=kpi_terms.propose(KPI_TERMS, Decimal("480.5")),
    ),
    kpi.KpiFocused(kpi_id=KPI, **KEY_IDS),
    kpi.KpiReturned(kpi_id=KPI, **KEY_IDS, reason="Watching it is enough."),
    kpi.KpiRevised(
        kpi_id=KPI,
        terms=KPI_TERMS.model_copy(
            update={"healthy": kpi_terms.HealthyRange(low=Decimal(450), high=Decimal(900))}
        ),
        in_range=True,
        reason="We are fewer.",
    ),
    kpi.KpiReturnedToRange(kpi_id=KPI, value=Decimal("480.5")),
    kpi.KpiRetired(kpi_id=KPI, reason="Nobody looks at it."),
    cycle.CycleScoringBegun(cycle_id=CYCLE),
    objective.ObjectiveResultReported(**IDS, text="81%"),
    key_result.CheckInRetracted(
        **KEY_IDS,
        check_in_id=CHECK_IN,
        reason="It was another key result's.",
        standing=key_result.Standing(),
    ),
    key_result.KeyResultSucceeded(**KEY_IDS, successor_id=uid(70)),
    blocker.BlockerRaised(
        **BLOCKER,
        kind=blocker.BlockerKind.DEPENDENCY,
        what="Nobody is free before May.",
        owner_id=PERSON,
        next_action="Ask for one person.",
    ),
    blocker.BlockerHandedOver(**BLOCKER, owner_id=uid(73), next_action="Decide on Monday."),
    blocker.BlockerResolved(**BLOCKER, how="They lent us Ben."),
    survey.SurveyAnswered(
        answer_id=uid(71),
        cycle_id=CYCLE,
        answers=survey.SurveyAnswers(
            stayed_visible=4, real_cadence=5, outcomes_not_activity=3, few_enough=4, said_early=2
        ),
    ),
    key_result.KeyResultScored(
        **KEY_IDS,
        computed=Decimal("0.5"),
        score=Decimal("0.7"),
        formula=FORMULAS["measure_what_matters"],
        comment="Well.",
        adjustment_reason="Two start next week.",
    ),
    cycle.CycleReflectionBegun(cycle_id=CYCLE),
    cycle.ReflectionRecorded(
        cycle_id=CYCLE,
        reflection_id=uid(53),
        team_id=TEAM,
        worked=("Short check-ins",),
        minutes=70,
        participants=(PERSON,),
        external=EXTERNAL,
        warnings=(
            Finding(rule="reflection.minutes", message="Too long.", decision="cycle_length"),
        ),
    ),
    key_result.KeyResultReset(
        **KEY_IDS, choice=key_result.Choice.KEEP, learning="Earlier.", successor_id=uid(54)
    ),
    objective.ObjectiveClosed(**IDS, outcome=objective.Outcome.CARRIED_ON, reason="Goes on."),
    cycle.CycleClosed(cycle_id=CYCLE, next_cycle_id=NEXT_CYCLE),
    team.MemberLeft(team_id=TEAM, person_id=PERSON),
    team.TeamDisbanded(team_id=TEAM),
    person.PersonCorrected(person_id=PERSON, corrected=("name", "email")),
    person.PersonLeft(person_id=PERSON),
]
