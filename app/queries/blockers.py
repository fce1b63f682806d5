"""Blockers with their age."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.blocker import BlockerKind
from app.domain.errors import NotFound
from app.projections.blockers import BlockerRow
from app.queries.views import Resource


class BlockerView(Resource):
    """`age_days` counts whole days from its raising to its resolution, or to the moment shown."""

    key_result_id: UUID
    cycle_id: UUID
    kind: BlockerKind
    what: str
    owner_id: UUID
    next_action: str
    raised_at: datetime
    age_days: int = Field(ge=0)
    resolved: bool
    resolved_at: datetime | None
    how: str | None


def _view(row: BlockerRow, at: datetime) -> BlockerView:
    return BlockerView(
        id=row.blocker_id,
        version=row.version,
        key_result_id=row.key_result_id,
        cycle_id=row.cycle_id,
        kind=BlockerKind(row.kind),
        what=row.what,
        owner_id=row.owner_id,
        next_action=row.next_action,
        raised_at=row.raised_at,
        age_days=((row.resolved_at or at) - row.raised_at).days,
        resolved=row.resolved,
        resolved_at=row.resolved_at,
        how=row.how,
    )


async def blockers(reader: Reader, rows: list[BlockerRow]) -> list[BlockerView]:
    return [_view(row, reader.at) for row in rows]


async def blocker(reader: Reader, blocker_id: UUID) -> BlockerView:
    row = await reader.rows.get(BlockerRow, blocker_id)
    if row is None:
        raise NotFound("blocker", blocker_id)
    return _view(row, reader.at)
