"""Every event and command of the domain, read off the modules' own unions.

A new module is one line in `MODULES`; a new event or command is none.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, get_args

from app.domain import (
    alignment,
    api_key,
    blocker,
    coach,
    cycle,
    dependency,
    deployment,
    hand_over,
    key_result,
    key_result_commands,
    kpi,
    kpi_commands,
    objective,
    organization,
    person,
    planning,
    reset,
    roles,
    survey,
    team,
    webhook,
    workshop,
)
from app.domain.messages import Command, Decider, Event

MODULES: dict[ModuleType, tuple[Any, Any]] = {
    organization: (organization.OrganizationCommands, organization.OrganizationEvents),
    deployment: (deployment.MakeDecision, deployment.DeploymentEvents),
    person: (person.PersonCommands, person.PersonEvents),
    team: (team.TeamCommands, team.TeamEvents),
    workshop: (workshop.WorkshopCommands, workshop.WorkshopEvents),
    coach: (coach.CoachCommands, coach.CoachEvents),
    roles: (roles.RolesCommands, roles.RolesEvents),
    api_key: (api_key.ApiKeyCommands, api_key.ApiKeyEvents),
    cycle: (cycle.CycleCommands, cycle.CycleEvents),
    planning: (planning.PlanningCommands, ()),
    objective: (objective.ObjectiveCommands, objective.ObjectiveEvents),
    hand_over: (hand_over.HandOverObjective, ()),
    key_result_commands: (
        key_result_commands.KeyResultCommands,
        key_result.KeyResultEvents,
    ),
    kpi_commands: (kpi_commands.KpiCommands, kpi.KpiEvents),
    alignment: (alignment.AlignmentCommands, alignment.AlignmentEvents),
    dependency: (dependency.DependencyCommands, dependency.DependencyEvents),
    blocker: (blocker.BlockerCommands, blocker.BlockerEvents),
    survey: (survey.AnswerSurvey, survey.SurveyAnswered),
    reset: (reset.ResetCommands, ()),
    webhook: (webhook.WebhookCommands, webhook.WebhookEvents),
}


def _members(union: Any) -> tuple[Any, ...]:
    if union == ():
        return ()
    return get_args(union) or (union,)


EVENTS: dict[str, type[Event]] = {
    event.type_name: event for _, events in MODULES.values() for event in _members(events)
}
"""Every event class, by its stored type name."""

DECIDERS: dict[type[Command], Decider[Any, Any, Any]] = {
    command: module.decider
    for module, (commands, _) in MODULES.items()
    for command in _members(commands)
}
"""The decider of every command."""

STREAMS: dict[str, Decider[Any, Any, Any]] = {
    module.decider.category: module.decider
    for module in MODULES
    if module not in (planning, hand_over, reset)
}
"""The decider that folds each category of stream."""
