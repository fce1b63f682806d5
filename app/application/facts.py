"""Facts that commands ask for, looked up under the ledger's lock so that set rules cannot race.

A fact named like a stream category is that aggregate's state. Any other is a function here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from app.domain.alignment import Upstream
from app.domain.catalog import STREAMS
from app.domain.cycle import Cycle, Phase
from app.domain.key_result import KeyResult
from app.domain.objective import Objective, Outcome, Status
from app.domain.reset import Goal
from app.domain.values import ExternalRef, Level, Owner, OwnerKind, Target
from app.projections.alignments import AlignmentRow
from app.projections.cycles import CycleRow
from app.projections.external_ids import ExternalIdRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.teams import TeamRow

if TYPE_CHECKING:
    from app.application.unit_of_work import UnitOfWork

Fact = Callable[["UnitOfWork", Any], Awaitable[Any]]


async def look_up(work: UnitOfWork, name: str, key: Any) -> Any:
    """The fact `name` for a key; a stream that is not named (None) has no state."""
    if name in _FACTS:
        return await _FACTS[name](work, key)
    if name not in STREAMS:
        raise LookupError(f"no fact is called {name}")
    return None if key is None else await work.state(name, key)


async def deployment(work: UnitOfWork, _: object) -> Any:
    return await work.state("deployment", work.org_id)


async def running_cycles(work: UnitOfWork, _: object) -> tuple[str, ...]:
    rows = await work.rows()
    running = (Phase.ACTIVE, Phase.SCORING, Phase.REFLECTING)
    return tuple(cycle.name for cycle in await rows.select(CycleRow, {"phase": running}))


async def person_known(work: UnitOfWork, person_id: UUID | None) -> bool:
    person = None if person_id is None else await work.state("person", person_id)
    return person is not None and person.active


async def unknown_people(work: UnitOfWork, people: tuple[UUID, ...]) -> tuple[UUID, ...]:
    return tuple([person for person in people if not await person_known(work, person)])


async def team_known(work: UnitOfWork, team_id: UUID | None) -> bool:
    team = None if team_id is None else await work.state("team", team_id)
    return team is not None and team.active


async def owner_level(work: UnitOfWork, owner: Owner | None) -> Level | None:
    """The level of an owner; None when it is unknown, disbanded or gone."""
    if owner is None:
        return None
    if owner.kind is OwnerKind.PERSON:
        return Level.INDIVIDUAL if await person_known(work, owner.id) else None
    team = await work.state("team", owner.id)
    return team.level if team is not None and team.active else None


async def external(work: UnitOfWork, key: tuple[ExternalRef | None, str]) -> UUID | None:
    """What another system's id was recorded as."""
    ref, kind = key
    if ref is None:
        return None
    rows = await work.rows()
    known = await rows.get(ExternalIdRow, kind, ref.source, ref.external_id)
    return None if known is None else known.id


async def teams_above(work: UnitOfWork, team_id: UUID | None) -> frozenset[UUID]:
    above: set[UUID] = set()
    while team_id is not None and team_id not in above:
        above.add(team_id)
        team = await work.state("team", team_id)
        team_id = team and team.parent_id
    return frozenset(above)


async def teams_below(work: UnitOfWork, team_id: UUID) -> int:
    rows = await work.rows()
    return len(await rows.select(TeamRow, {"parent_id": team_id, "active": True}))


async def open_goals_of_team(work: UnitOfWork, team_id: UUID) -> int:
    rows = await work.rows()
    open_statuses = (Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    owned = {"owner_kind": OwnerKind.TEAM, "owner_id": team_id, "status": open_statuses}
    return len(await rows.select(ObjectiveRow, owned))


async def objectives_held(work: UnitOfWork, key: tuple[Owner, UUID]) -> int:
    """How many objectives an owner has in a cycle, the abandoned ones left out."""
    owner, cycle_id = key
    rows = await work.rows()
    owned = {"cycle_id": cycle_id, "owner_kind": owner.kind, "owner_id": owner.id}
    return sum(row.outcome != Outcome.ABANDONED for row in await rows.select(ObjectiveRow, owned))


async def key_results_held(work: UnitOfWork, objective_id: UUID) -> int:
    rows = await work.rows()
    held = {"objective_id": objective_id, "removed": False}
    return len(await rows.select(KeyResultRow, held))


async def cycle_of_objective(work: UnitOfWork, objective_id: UUID) -> Cycle | None:
    objective: Objective | None = await work.state("objective", objective_id)
    if objective is None:
        return None
    cycle: Cycle = await work.state("cycle", objective.cycle_id)
    return cycle


# The alignments of whole programmes are few, but a walk upwards must not be one query a step.
_REACHES = """
WITH RECURSIVE above (id) AS (
    SELECT target_objective_id FROM alignments
    WHERE org_id = $1 AND objective_id = $2 AND NOT withdrawn
  UNION
    SELECT a.target_objective_id FROM alignments a JOIN above ON a.objective_id = above.id
    WHERE a.org_id = $1 AND NOT a.withdrawn
)
SELECT id FROM above
"""


async def upstream(work: UnitOfWork, target: Target) -> Upstream:
    objective_id: UUID | None = target.id
    if target.kind == "key_result":
        key_result = await work.state("key_result", target.id)
        known = key_result is not None and not key_result.removed
        objective_id = key_result.objective_id if known else None
    if objective_id is None:
        return Upstream(None, None)
    await work.flush()
    reached = await work.conn.fetch(_REACHES, work.org_id, objective_id)
    return Upstream(
        await work.state("objective", objective_id),
        await cycle_of_objective(work, objective_id),
        frozenset(row["id"] for row in reached),
    )


async def alignment_between(work: UnitOfWork, key: tuple[UUID, Target]) -> UUID | None:
    objective_id, target = key
    rows = await work.rows()
    same = {"objective_id": objective_id, "target_id": target.id, "withdrawn": False}
    found = await rows.select(AlignmentRow, same)
    return found[0].alignment_id if found else None


async def open_goals_of_cycle(work: UnitOfWork, cycle_id: UUID) -> tuple[Goal, ...]:
    """The objectives of a cycle that are not closed, with their key results, in ledger order."""
    rows = await work.rows()
    open_rows = [
        row
        for row in await rows.select(ObjectiveRow, {"cycle_id": cycle_id})
        if row.status != Status.CLOSED
    ]
    key_rows = await rows.select(KeyResultRow, {"cycle_id": cycle_id, "removed": False})
    objectives = await work.states("objective", [row.objective_id for row in open_rows])
    key_results = await work.states("key_result", [row.key_result_id for row in key_rows])
    of_objective: dict[UUID, list[KeyResult]] = defaultdict(list)
    for key_result in key_results:
        of_objective[key_result.objective_id].append(key_result)
    return tuple(Goal(o, tuple(of_objective[o.objective_id])) for o in objectives)


async def fresh_ids_of_cycle(work: UnitOfWork, cycle_id: UUID) -> dict[UUID, UUID]:
    """A new id for the successor of each open objective and key result of a cycle."""
    fresh: dict[UUID, UUID] = {}
    for goal in await open_goals_of_cycle(work, cycle_id):
        fresh[goal.objective.objective_id] = work.new_id("objective")
        for key_result in goal.key_results:
            fresh[key_result.key_result_id] = work.new_id("key_result")
    return fresh


_FACTS: dict[str, Fact] = {
    fact.__name__: fact
    for fact in (
        deployment,
        running_cycles,
        person_known,
        unknown_people,
        team_known,
        owner_level,
        external,
        teams_above,
        teams_below,
        open_goals_of_team,
        objectives_held,
        key_results_held,
        cycle_of_objective,
        upstream,
        alignment_between,
        open_goals_of_cycle,
        fresh_ids_of_cycle,
    )
}
