"""Many check-ins in one transaction: the same command, with what it needs loaded together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from app.application.unit_of_work import UnitOfWork
from app.domain.check_in import CheckInTerms
from app.domain.check_in_commands import RecordCheckIn
from app.domain.errors import AlreadyExists, NotFound, Refusal
from app.domain.values import ExternalRef


@dataclass(frozen=True, slots=True)
class Wanted:
    """A check-in that shall be recorded; without a moment, it is of now."""

    key_result_id: UUID
    terms: CheckInTerms
    occurred_at: datetime | None = None
    external: ExternalRef | None = None


async def load(unit: UnitOfWork, items: Sequence[Wanted]) -> None:
    """Have in memory what these will be judged by: a round trip for each kind of thing."""
    ids = dict.fromkeys(item.key_result_id for item in items)
    key_results = [found for found in await unit.states("key_result", list(ids)) if found]
    await unit.states("objective", list({one.objective_id for one in key_results}))
    await unit.states("cycle", list({one.cycle_id for one in key_results}))
    await unit.named("check_in", [item.external for item in items if item.external])


async def record(unit: UnitOfWork, item: Wanted) -> UUID:
    """The id of the check-in. Raises Refusal, which points into the item."""
    id = uuid7()
    command = RecordCheckIn(
        key_result_id=item.key_result_id,
        check_in_id=id,
        terms=item.terms,
        occurred_at=item.occurred_at or unit.at,
        external=item.external,
    )
    try:
        await unit.execute(command)
    except Refusal as refusal:
        if refusal.pointer is None:
            refusal.pointer = _place(refusal)
        raise
    return id


def _place(refusal: Refusal) -> str:
    """What of an item a refusal is about: alone, a check-in has its key result in its path."""
    if isinstance(refusal, AlreadyExists):
        return "/external"
    return "/key_result_id" if isinstance(refusal, NotFound) else ""
