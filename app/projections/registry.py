"""The list of all projections."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from app.domain.messages import Event
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
    roles,
    survey_answers,
    teams,
    warnings,
    webhooks,
    workshops,
)
from app.projections.changes import Change, Projection, Row

PROJECTIONS: tuple[Projection, ...] = (
    organizations.projection,
    decisions.projection,
    people.projection,
    teams.projection,
    members.projection,
    roles.projection,
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
    webhooks.projection,
)


def project(recorded: Recorded) -> Iterator[Change]:
    """All row changes that one event makes, over every read model. Raises UnreadableEvent."""
    for projection in _heeding(type(recorded.event)):
        yield from projection.project(recorded)


@cache
def tables_of(event: type[Event]) -> frozenset[Row]:
    """The read models that such an event may change."""
    return frozenset(one.table for one in _heeding(event))


@cache
def _heeding(event: type[Event]) -> tuple[Projection, ...]:
    return tuple(one for one in PROJECTIONS if issubclass(event, one.heeds))
