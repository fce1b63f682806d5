"""Facts that commands ask for, looked up under the ledger's lock so that set rules cannot race.

A fact named like a stream category is that aggregate's state. Any other is a function here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from app.application import draft_sets
from app.application.preparation import prepared
from app.domain.alignment import Upstream
from app.domain.carry_over import Bonds, CarryOver, Link, Need
from app.domain.catalog import STREAMS
from app.domain.cycle import Cycle, Phase
from app.domain.dependency import Dependency, DependencyStatus, OtherSide
from app.domain.key_result import KeyResult
from app.domain.kpi import Kpi
from app.domain.objective import Objective, Outcome, Status
from app.domain.person import Entry
from app.domain.quality import DraftSet
from app.domain.readiness import Preparation
from app.domain.reset import Goal, KeyResultChoice
from app.domain.values import ExternalRef, Level, Owner, OwnerKind, Target
from app.events.statements import Connection
from app.events.tables import DirectoryRow
from app.projections.alignments import AlignmentRow
from app.projections.cycles import CycleRow
from app.projections.dependencies import DependencyRow
from app.projections.key_results import KeyResultRow
from app.projections.kpis import KpiRow
from app.projections.members import MemberRow
from app.projections.objectives import ObjectiveRow
from app.projections.rows import Rows
from app.projections.teams import TeamRow
from app.projections.webhooks import WebhookRow


class Ledger(Protocol):
    """What facts are found in: one ledger as its transaction sees it, what is pending included."""

    @property
    def conn(self) -> Connection: ...

    @property
    def org_id(self) -> UUID: ...

    def new_id(self, category: str) -> UUID: ...

    async def state(self, category: str, id: UUID) -> Any: ...

    async def states(self, category: str, ids: Sequence[UUID]) -> list[Any]: ...

    async def named(self, kind: str, refs: Sequence[ExternalRef]) -> list[UUID | None]: ...

    async def rows(self) -> Rows: ...

    async def flush(self) -> None: ...


Fact = Callable[[Ledger, Any], Awaitable[Any]]


async def look_up(ledger: Ledger, name: str, key: Any) -> Any:
    """The fact `name` for a key; a stream that is not named (None) has no state."""
    if name in _FACTS:
        return await _FACTS[name](ledger, key)
    if name not in STREAMS:
        raise LookupError(f"no fact is called {name}")
    return None if key is None else await ledger.state(name, key)


async def deployment(ledger: Ledger, _: object) -> Any:
    return await ledger.state("deployment", ledger.org_id)


async def running_cycles(ledger: Ledger, _: object) -> tuple[str, ...]:
    rows = await ledger.rows()
    running = (Phase.ACTIVE, Phase.SCORING, Phase.REFLECTING)
    return tuple(cycle.name for cycle in await rows.select(CycleRow, {"phase": running}))


async def cycles_not_cancelled(ledger: Ledger, _: object) -> tuple[Cycle, ...]:
    rows = await (await ledger.rows()).select(CycleRow)
    ids = [row.cycle_id for row in rows if row.phase != Phase.CANCELLED]
    return tuple(await ledger.states("cycle", ids))


async def person_known(ledger: Ledger, person_id: UUID | None) -> bool:
    person = None if person_id is None else await ledger.state("person", person_id)
    return person is not None and person.active


async def webhooks_there(ledger: Ledger, _: object) -> int:
    return len(await (await ledger.rows()).select(WebhookRow, {"removed": False}))


async def took_part(ledger: Ledger, key: tuple[UUID, UUID | None]) -> bool:
    """Whether somebody answered the survey of a cycle already."""
    cycle_id, person_id = key
    return person_id is not None and bool(
        await ledger.conn.fetchval(
            "SELECT 1 FROM survey_participants "
            "WHERE org_id = $1 AND cycle_id = $2 AND person_id = $3",
            ledger.org_id,
            cycle_id,
            person_id,
        )
    )


async def person_of_identity(ledger: Ledger, digest: bytes) -> UUID | None:
    """Whom tokens of an identity speak for here."""
    found: UUID | None = await ledger.conn.fetchval(
        "SELECT person_id FROM identities WHERE org_id = $1 AND digest = $2", ledger.org_id, digest
    )
    return found


async def directory_entry(ledger: Ledger, person_id: UUID) -> Entry | None:
    """What the directory says of a person; None once they were erased from it."""
    row = await (await ledger.rows()).get(DirectoryRow, person_id)
    return None if row is None else {"name": row.name, "email": row.email}


async def unknown_people(ledger: Ledger, people: tuple[UUID, ...]) -> tuple[UUID, ...]:
    return tuple([person for person in people if not await person_known(ledger, person)])


async def teams_of_person(ledger: Ledger, person_id: UUID) -> tuple[UUID, ...]:
    rows = await ledger.rows()
    return tuple(row.team_id for row in await rows.select(MemberRow, {"person_id": person_id}))


async def team_known(ledger: Ledger, team_id: UUID | None) -> bool:
    team = None if team_id is None else await ledger.state("team", team_id)
    return team is not None and team.active


async def unknown_teams(ledger: Ledger, teams: tuple[UUID, ...]) -> tuple[UUID, ...]:
    return tuple([team for team in teams if not await team_known(ledger, team)])


async def preparation(ledger: Ledger, _: object) -> Preparation:
    return await prepared(await ledger.rows())


async def owner_level(ledger: Ledger, owner: Owner | None) -> Level | None:
    """The level of an owner; None when it is unknown, disbanded or gone."""
    return await draft_sets.level_of(await ledger.rows(), owner)


async def external(ledger: Ledger, key: tuple[ExternalRef | None, str]) -> UUID | None:
    """What another system's id was recorded as."""
    ref, kind = key
    if ref is None:
        return None
    (known,) = await ledger.named(kind, [ref])
    return known


async def teams_above(ledger: Ledger, team_id: UUID | None) -> frozenset[UUID]:
    above: set[UUID] = set()
    while team_id is not None and team_id not in above:
        above.add(team_id)
        team = await ledger.state("team", team_id)
        team_id = team and team.parent_id
    return frozenset(above)


async def teams_below(ledger: Ledger, team_id: UUID) -> int:
    rows = await ledger.rows()
    return len(await rows.select(TeamRow, {"parent_id": team_id, "active": True}))


async def open_goals_of_team(ledger: Ledger, team_id: UUID) -> int:
    rows = await ledger.rows()
    open_statuses = (Status.DRAFT, Status.PROPOSED, Status.COMMITTED)
    owned = {"owner_kind": OwnerKind.TEAM, "owner_id": team_id, "status": open_statuses}
    return len(await rows.select(ObjectiveRow, owned))


async def objectives_held(ledger: Ledger, key: tuple[Owner, UUID | None]) -> int:
    """How many objectives an owner has in a cycle, the abandoned ones left out."""
    owner, cycle_id = key
    if cycle_id is None:
        return 0
    return await draft_sets.held(await ledger.rows(), owner, cycle_id) or 0


async def objectives_in_cycle(ledger: Ledger, cycle_id: UUID) -> dict[Owner, int]:
    """How many objectives each owner has in a cycle, the abandoned ones left out."""
    rows = await (await ledger.rows()).select(ObjectiveRow, {"cycle_id": cycle_id})
    return Counter(
        Owner(kind=OwnerKind(row.owner_kind), id=row.owner_id)
        for row in rows
        if row.outcome != Outcome.ABANDONED
    )


async def kpis_in_focus(ledger: Ledger, where: Mapping[str, UUID]) -> tuple[Kpi, ...]:
    """The KPIs that feed key results of a cycle, or of an objective."""
    rows = await (await ledger.rows()).select(KpiRow, {**where, "in_focus": True})
    return tuple(await ledger.states("kpi", [row.kpi_id for row in rows]))


async def key_results(ledger: Ledger, ids: Sequence[UUID]) -> tuple[KeyResult | None, ...]:
    return tuple(await ledger.states("key_result", ids))


async def key_results_held(ledger: Ledger, objective_id: UUID) -> int:
    rows = await ledger.rows()
    held = {"objective_id": objective_id, "removed": False}
    return len(await rows.select(KeyResultRow, held))


async def key_results_committed(ledger: Ledger, key: tuple[UUID, UUID | None]) -> int:
    """How many key results a team has committed to in a cycle; without a team, all together."""
    cycle_id, team_id = key
    rows = await ledger.rows()
    committed = {
        row.objective_id
        for row in await rows.select(ObjectiveRow, {"cycle_id": cycle_id})
        if row.committed_at is not None and team_id in (None, row.owner_id)
    }
    held = await rows.select(KeyResultRow, {"cycle_id": cycle_id, "removed": False})
    return sum(row.objective_id in committed for row in held)


async def draft_set(ledger: Ledger, objective_id: UUID) -> DraftSet | None:
    return await draft_sets.drafted(await ledger.rows(), objective_id)


async def cycle_of_objective(ledger: Ledger, objective_id: UUID | None) -> Cycle | None:
    objective: Objective | None = await look_up(ledger, "objective", objective_id)
    if objective is None:
        return None
    cycle: Cycle = await ledger.state("cycle", objective.cycle_id)
    return cycle


async def teams_of_objective(ledger: Ledger, objective_id: UUID) -> frozenset[UUID]:
    """The team that owns an objective, or the teams of the person who does."""
    objective: Objective | None = await ledger.state("objective", objective_id)
    if objective is None:
        return frozenset()
    if objective.owner.kind is OwnerKind.TEAM:
        return frozenset({objective.owner.id})
    return frozenset(await teams_of_person(ledger, objective.owner.id))


async def needed_of(ledger: Ledger, objective_id: UUID) -> tuple[Dependency, ...]:
    """The dependencies on an objective that may still be answered."""
    rows = await ledger.rows()
    asked = (DependencyStatus.OPEN, DependencyStatus.ACCEPTED, DependencyStatus.DECLINED)
    on_it = {"on_kind": "objective", "on_id": objective_id, "status": asked}
    found = await rows.select(DependencyRow, on_it)
    going = {"cycle_id": [row.cycle_id for row in found], "phase": (Phase.DRAFTING, Phase.ACTIVE)}
    cycles = {row.cycle_id for row in await rows.select(CycleRow, going)}
    ids = [row.dependency_id for row in found if row.cycle_id in cycles]
    return tuple(await ledger.states("dependency", ids))


async def aligned(ledger: Ledger, objective_id: UUID) -> bool:
    """Whether an objective states something that it contributes to."""
    rows = await ledger.rows()
    stated = {"objective_id": objective_id, "withdrawn": False}
    return bool(await rows.select(AlignmentRow, stated, limit=1))


async def cycle_of_key_result(ledger: Ledger, key_result_id: UUID) -> Cycle | None:
    key_result: KeyResult | None = await ledger.state("key_result", key_result_id)
    return None if key_result is None else await ledger.state("cycle", key_result.cycle_id)


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


async def upstream(ledger: Ledger, target: Target) -> Upstream:
    objective_id: UUID | None = target.id
    if target.kind == "key_result":
        key_result = await ledger.state("key_result", target.id)
        known = key_result is not None and not key_result.removed
        objective_id = key_result.objective_id if known else None
    if objective_id is None:
        return Upstream(None, None)
    await ledger.flush()  # what is noted must be there to be walked
    reached = await ledger.conn.fetch(_REACHES, ledger.org_id, objective_id)
    return Upstream(
        await ledger.state("objective", objective_id),
        await cycle_of_objective(ledger, objective_id),
        frozenset(row["id"] for row in reached),
    )


async def alignment_between(ledger: Ledger, key: tuple[UUID, Target]) -> UUID | None:
    objective_id, target = key
    rows = await ledger.rows()
    same = {"objective_id": objective_id, "target_id": target.id, "withdrawn": False}
    found = await rows.select(AlignmentRow, same)
    return found[0].alignment_id if found else None


async def open_goals_of_cycle(ledger: Ledger, cycle_id: UUID) -> tuple[Goal, ...]:
    """The objectives of a cycle that are not closed, with their key results, in ledger order."""
    rows = await ledger.rows()
    open_rows = [
        row
        for row in await rows.select(ObjectiveRow, {"cycle_id": cycle_id})
        if row.status != Status.CLOSED
    ]
    key_rows = await rows.select(KeyResultRow, {"cycle_id": cycle_id, "removed": False})
    objectives = await ledger.states("objective", [row.objective_id for row in open_rows])
    key_results = await ledger.states("key_result", [row.key_result_id for row in key_rows])
    of_objective: dict[UUID, list[KeyResult]] = defaultdict(list)
    for key_result in key_results:
        of_objective[key_result.objective_id].append(key_result)
    return tuple(Goal(o, tuple(of_objective[o.objective_id])) for o in objectives)


async def owner_levels_of_reset(
    ledger: Ledger, key: tuple[UUID, Sequence[KeyResultChoice]]
) -> dict[Owner, Level | None]:
    """The levels of everybody who owns something, or shall."""
    cycle_id, choices = key
    goals = await open_goals_of_cycle(ledger, cycle_id)
    terms = [key_result.terms for goal in goals for key_result in goal.key_results]
    terms += [choice.terms for choice in choices if choice.terms is not None]
    owners = {goal.objective.owner for goal in goals}
    owners |= {one.owner for one in terms if one.owner is not None}
    return {owner: await owner_level(ledger, owner) for owner in owners}


async def bonds_of_cycle(ledger: Ledger, key: tuple[UUID, Collection[CarryOver]]) -> Bonds:
    """What ties a cycle's objectives to others, as far as it shall be carried over."""
    cycle_id, wanted = key
    return Bonds(
        await _links(ledger, cycle_id) if CarryOver.ALIGNMENTS in wanted else (),
        await _needs(ledger, cycle_id) if CarryOver.DEPENDENCIES in wanted else (),
    )


async def _links(ledger: Ledger, cycle_id: UUID) -> tuple[Link, ...]:
    rows = await ledger.rows()
    links = await rows.select(AlignmentRow, {"cycle_id": cycle_id, "withdrawn": False})
    removed = await rows.select(
        KeyResultRow, {"key_result_id": [link.target_id for link in links], "removed": True}
    )
    gone = {row.key_result_id for row in removed}
    # In one round trip: each is looked up again below.
    await ledger.states("objective", list({link.target_objective_id for link in links}))
    found = []
    for link in links:
        above: Objective = await ledger.state("objective", link.target_objective_id)
        target = Target.model_validate({"kind": link.target_kind, "id": link.target_id})
        found.append(
            Link(
                alignment_id=link.alignment_id,
                objective_id=link.objective_id,
                target=target,
                rationale=link.rationale,
                why_now=link.why_now,
                above=above,
                cycle=await ledger.state("cycle", above.cycle_id),
                removed=link.target_id in gone,
            )
        )
    return tuple(found)


async def _needs(ledger: Ledger, cycle_id: UUID) -> tuple[Need, ...]:
    waiting = (DependencyStatus.OPEN, DependencyStatus.ACCEPTED)
    rows = await (await ledger.rows()).select(
        DependencyRow, {"cycle_id": cycle_id, "status": waiting}
    )
    found = []
    for row in rows:
        objective: Objective = await ledger.state("objective", row.objective_id)
        on = OtherSide.model_validate({"kind": row.on_kind, "id": row.on_id})
        of_objective = on.kind == "objective"
        found.append(
            Need(
                dependency_id=row.dependency_id,
                objective_id=row.objective_id,
                on=on,
                needed=row.needed,
                needed_by=row.needed_by,
                owner=objective.owner,
                own_teams=await teams_of_objective(ledger, row.objective_id),
                risk_owner_id=row.risk_owner_id,
                risk_owner_known=await person_known(ledger, row.risk_owner_id),
                team_known=not of_objective and await team_known(ledger, on.id),
                other=await ledger.state("objective", on.id) if of_objective else None,
                cycle=await cycle_of_objective(ledger, on.id) if of_objective else None,
            )
        )
    return tuple(found)


async def fresh_ids_of_cycle(ledger: Ledger, cycle_id: UUID) -> dict[UUID, UUID]:
    """A new id for the successor of all in a cycle that may have one."""
    fresh: dict[UUID, UUID] = {}
    for goal in await open_goals_of_cycle(ledger, cycle_id):
        fresh[goal.objective.objective_id] = ledger.new_id("objective")
        for key_result in goal.key_results:
            fresh[key_result.key_result_id] = ledger.new_id("key_result")
    rows = await ledger.rows()
    for link in await rows.select(AlignmentRow, {"cycle_id": cycle_id, "withdrawn": False}):
        fresh[link.alignment_id] = ledger.new_id("alignment")
    for need in await rows.select(DependencyRow, {"cycle_id": cycle_id}):
        fresh[need.dependency_id] = ledger.new_id("dependency")
    return fresh


_FACTS: dict[str, Fact] = {
    fact.__name__: fact
    for fact in (
        deployment,
        running_cycles,
        cycles_not_cancelled,
        person_known,
        directory_entry,
        person_of_identity,
        took_part,
        webhooks_there,
        unknown_people,
        teams_of_person,
        team_known,
        unknown_teams,
        preparation,
        owner_level,
        external,
        teams_above,
        teams_below,
        open_goals_of_team,
        objectives_held,
        objectives_in_cycle,
        kpis_in_focus,
        key_results,
        key_results_held,
        key_results_committed,
        draft_set,
        cycle_of_objective,
        cycle_of_key_result,
        teams_of_objective,
        needed_of,
        aligned,
        upstream,
        alignment_between,
        open_goals_of_cycle,
        owner_levels_of_reset,
        bonds_of_cycle,
        fresh_ids_of_cycle,
    )
}
