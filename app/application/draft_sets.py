"""Draft sets as the read models have them: what the quality checks judge, now or in the past."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar
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
    return (await drafted_each(rows, [objective_id])).get(objective_id)


async def drafted_each(rows: Rows, objective_ids: Sequence[UUID]) -> dict[UUID, DraftSet]:
    """Those that are known, by objective; in as many queries as it takes for one."""
    these = {"objective_id": objective_ids}
    objectives = await rows.select(ObjectiveRow, these)
    owners = {row.objective_id: _owner(row) for row in objectives}
    key_results = _by_objective(await rows.select(KeyResultRow, {**these, "removed": False}))
    alignments = _by_objective(await rows.select(AlignmentRow, {**these, "withdrawn": False}))
    needs = _by_objective(await rows.select(DependencyRow, {**these, "status": _UNANSWERED}))
    levels = await _levels_of(rows, set(owners.values()))
    counts = await _held_each(rows, objectives)
    return {
        id: DraftSet(
            title=one.title,
            why_now=one.why_now,
            owner_level=levels.get(owners[id]),
            key_results=tuple(
                DraftedKeyResult(row.title, _MEASURE.validate_python(row.measure))
                for row in key_results[id]
            ),
            confidence=roll_up((row.confidence, row.weight) for row in key_results[id]),
            contributes_to=tuple(
                Target.model_validate({"kind": row.target_kind, "id": row.target_id})
                for row in alignments[id]
            ),
            objectives=counts[owners[id], one.cycle_id],
            # With nobody who carries the risk.
            open_dependencies=tuple(row.needed for row in needs[id] if row.risk_owner_id is None),
        )
        for one in objectives
        for id in (one.objective_id,)
    }


_UNANSWERED = (DependencyStatus.OPEN, DependencyStatus.DECLINED)


class _OfObjective(Protocol):
    objective_id: UUID


R = TypeVar("R", bound=_OfObjective)


def _by_objective(rows: Iterable[R]) -> Mapping[UUID, list[R]]:
    found = defaultdict[UUID, list[R]](list)
    for row in rows:
        found[row.objective_id].append(row)
    return found


def _owner(objective: ObjectiveRow) -> Owner:
    return Owner(kind=OwnerKind(objective.owner_kind), id=objective.owner_id)


async def _levels_of(rows: Rows, owners: Collection[Owner]) -> dict[Owner, Level]:
    """The levels of owners; of those who are disbanded or gone there is none."""
    teams = [owner.id for owner in owners if owner.kind is OwnerKind.TEAM]
    people = [owner.id for owner in owners if owner.kind is OwnerKind.PERSON]
    found: dict[Owner, Level] = {}
    if teams:
        for team in await rows.select(TeamRow, {"team_id": teams, "active": True}):
            found[Owner(kind=OwnerKind.TEAM, id=team.team_id)] = Level(team.level)
    if people:
        for person in await rows.select(PersonRow, {"person_id": people, "active": True}):
            found[Owner(kind=OwnerKind.PERSON, id=person.person_id)] = Level.INDIVIDUAL
    return found


async def _held_each(
    rows: Rows, objectives: Sequence[ObjectiveRow]
) -> Mapping[tuple[Owner, UUID], int]:
    """How many objectives the owners of these have in their cycles, the abandoned left out."""
    owned = {
        "cycle_id": list({one.cycle_id for one in objectives}),
        "owner_id": list({one.owner_id for one in objectives}),
    }
    return Counter(
        (_owner(row), row.cycle_id)
        for row in await rows.select(ObjectiveRow, owned)
        if row.outcome != Outcome.ABANDONED
    )


async def level_of(rows: Rows, owner: Owner | None) -> Level | None:
    """The level of an owner; None when it is not stated, unknown, disbanded or gone."""
    return None if owner is None else (await _levels_of(rows, [owner])).get(owner)


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
