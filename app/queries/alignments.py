"""Alignments: agreements that an objective contributes to a goal."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.errors import NotFound
from app.domain.values import Target, made
from app.projections.alignments import AlignmentRow
from app.queries.views import Resource, settled


class AlignmentView(Resource):
    """An agreement that an objective contributes to a goal."""

    cycle_id: UUID
    objective_id: UUID
    target: Target
    target_objective_id: UUID
    rationale: str
    why_now: str | None
    agreed_by: list[UUID]
    agreed_at: datetime
    withdrawn: bool
    withdrawn_reason: str | None
    previous_id: UUID | None = Field(description="The agreement of the cycle before.")


def alignment_view(row: AlignmentRow) -> AlignmentView:
    kind = row.target_kind
    target = Target(kind="objective" if kind == "objective" else "key_result", id=row.target_id)
    fields = {
        "id": row.alignment_id,
        "version": row.version,
        "cycle_id": row.cycle_id,
        "objective_id": row.objective_id,
        "target": target,
        "target_objective_id": row.target_objective_id,
        "rationale": row.rationale,
        "why_now": row.why_now,
        "agreed_by": [UUID(str(id)) for id in row.agreed_by],
        "agreed_at": row.agreed_at,
        "withdrawn": row.withdrawn,
        "withdrawn_reason": row.withdrawn_reason,
        "previous_id": row.previous_id,
    }
    return made(AlignmentView, **fields)


@settled
async def alignment(reader: Reader, alignment_id: UUID) -> AlignmentView:
    row = await reader.rows.get(AlignmentRow, alignment_id)
    if row is None:
        raise NotFound("alignment", alignment_id)
    return alignment_view(row)
