"""The list of all projections."""

from __future__ import annotations

from collections.abc import Iterator

from app.events.envelope import Recorded
from app.projections import (
    alignments,
    api_keys,
    check_ins,
    cycles,
    decisions,
    external_ids,
    key_results,
    members,
    objectives,
    organizations,
    people,
    reflections,
    teams,
    warnings,
)
from app.projections.changes import Change, Projection

PROJECTIONS: tuple[Projection, ...] = (
    organizations.projection,
    decisions.projection,
    people.projection,
    teams.projection,
    members.projection,
    api_keys.projection,
    cycles.projection,
    reflections.projection,
    objectives.projection,
    key_results.projection,
    check_ins.projection,
    alignments.projection,
    warnings.projection,
    external_ids.projection,
)


def project(recorded: Recorded) -> Iterator[Change]:
    """All row changes that one event makes, over every read model."""
    for projection in PROJECTIONS:
        yield from projection.project(recorded)
