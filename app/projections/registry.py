"""The list of all projections."""

from __future__ import annotations

from collections.abc import Iterator

from app.events.envelope import Recorded
from app.projections import (
    alignments,
    api_keys,
    blockers,
    check_ins,
    coaches,
    cycles,
    decisions,
    dependencies,
    external_ids,
    key_results,
    kpi_readings,
    kpis,
    members,
    objectives,
    organizations,
    people,
    reflections,
    survey_answers,
    teams,
    warnings,
    workshops,
)
from app.projections.changes import Change, Projection

PROJECTIONS: tuple[Projection, ...] = (
    organizations.projection,
    decisions.projection,
    people.projection,
    teams.projection,
    members.projection,
    workshops.projection,
    coaches.projection,
    api_keys.projection,
    cycles.projection,
    reflections.projection,
    blockers.projection,
    survey_answers.projection,
    objectives.projection,
    key_results.projection,
    check_ins.projection,
    kpis.projection,
    kpi_readings.projection,
    alignments.projection,
    dependencies.projection,
    warnings.projection,
    external_ids.projection,
)


def project(recorded: Recorded) -> Iterator[Change]:
    """All row changes that one event makes, over every read model."""
    for projection in PROJECTIONS:
        yield from projection.project(recorded)
