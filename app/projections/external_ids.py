"""The names that other systems have for our things: a second delivery is recognised by them."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.domain.cycle import ReflectionRecorded
from app.domain.key_result import CheckInRecorded
from app.domain.kpi import ReadingRecorded
from app.domain.values import ExternalRef
from app.events.envelope import Recorded
from app.projections.changes import Change, Projection, insert, saying


class ExternalIdRow(SQLModel, table=True):
    __tablename__ = "external_ids"

    org_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    external_id: str = Field(primary_key=True)
    id: UUID


def project(recorded: Recorded) -> Iterator[Change]:
    external: ExternalRef | None = getattr(recorded.event, "external", None)
    if external is None:
        return
    # Most events name their stream's own thing; these name a part of it.
    match recorded.event:
        case CheckInRecorded() as event:
            kind, named = "check_in", event.check_in_id
        case ReflectionRecorded() as event:
            kind, named = "reflection", event.reflection_id
        case ReadingRecorded() as event:
            kind, named = "kpi_reading", event.reading_id
        case _:
            kind, named = recorded.stream
    yield insert(
        ExternalIdRow,
        org_id=recorded.org_id,
        kind=kind,
        source=external.source,
        external_id=external.external_id,
        id=named,
    )


projection = Projection(ExternalIdRow, project, heeds=saying("external"))
