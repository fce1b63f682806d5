"""Draft sets as the read models have them: what the quality checks judge, now or in the past."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from pydantic import TypeAdapter

from app.domain.dependency import DependencyStatus
from app.domain.measures import Measure
from app.domain.objective import Outcome
from app.domain.quality import DraftedKeyResult, DraftSet
from app.domain.scoring import roll_up
from app.domain.values import Level, Owner, OwnerKind, Target
from app.projections.alignments import AlignmentRow
from app.projections.cycles import CycleRow
from app.projections.dependencies import DependencyRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.people import PersonRow
from app.projections.rows import Rows
from app.projections.teams import TeamRow

_MEASURE: TypeAdapter[Measure] = TypeAdapter(Measure)


async def drafted(rows: Rows, objective_id: UUID) -> DraftSet | None:
    """An objective with its key results and all that is known around it; None if it is unknown."""
    objective = await rows.get(ObjectiveRow, objective_id)
    if objective is None:
        return None
    here = {"objective_id": objective_id}
    key_results = await rows.select(KeyResultRow, {**here, "removed": False})
    alignments = await rows.select(AlignmentRow, {**here, "withdrawn": False})
    owner = Owner(kind=OwnerKind(objective.owner_kind), id=objective.owner_id)
    return DraftSet(
        title=objective.title,
        why_now=objective.why_now,
        owner_level=await level_of(rows, owner),
        key_results=tuple(
            DraftedKeyResult(one.title, _MEASURE.validate_python(one.measure))
            for one in key_results
        ),
        confidence=roll_up((one.confidence, one.weight) for one in key_results),
        contributes_to=tuple(
            Target.model_validate({"kind": one.target_kind, "id": one.target_id})
            for one in alignments
        ),
        objectives=await held(rows, owner, objective.cycle_id),
        open_dependencies=await _open_dependencies(rows, objective_id),
    )


async def level_of(rows: Rows, owner: Owner | None) -> Level | None:
    """The level of an owner; None when it is not stated, unknown, disbanded or gone."""
    if owner is None:
        return None
    if owner.kind is OwnerKind.PERSON:
        person = await rows.get(PersonRow, owner.id)
        return Level.INDIVIDUAL if person is not None and person.active else None
    team = await rows.get(TeamRow, owner.id)
    return Level(team.level) if team is not None and team.active else None


async def held(rows: Rows, owner: Owner, cycle_id: UUID) -> int | None:
    """How many objectives an owner has in a cycle, the abandoned left out; None: no such cycle."""
    if await rows.get(CycleRow, cycle_id) is None:
        return None
    owned = {"cycle_id": cycle_id, "owner_kind": owner.kind, "owner_id": owner.id}
    return sum(row.outcome != Outcome.ABANDONED for row in await rows.select(ObjectiveRow, owned))


async def known(rows: Rows, targets: Iterable[Target]) -> tuple[Target, ...]:
    """Those of the targets that are goals here."""
    return tuple([target for target in targets if await _is_goal(rows, target)])


async def _is_goal(rows: Rows, target: Target) -> bool:
    if target.kind == "objective":
        return await rows.get(ObjectiveRow, target.id) is not None
    key_result = await rows.get(KeyResultRow, target.id)
    return key_result is not None and not key_result.removed


async def _open_dependencies(rows: Rows, objective_id: UUID) -> tuple[str, ...]:
    """What is needed from others who have not accepted it, with nobody who carries the risk."""
    unanswered = (DependencyStatus.OPEN, DependencyStatus.DECLINED)
    found = await rows.select(DependencyRow, {"objective_id": objective_id, "status": unanswered})
    return tuple(row.needed for row in found if row.risk_owner_id is None)
