"""The alignment of a cycle: who contributes to something, to what, and who waits for whom.

What is counted is told apart by pure functions over rows (`count`); the rest fetches and shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Generic, Literal, TypeVar
from uuid import UUID

from app.application.ledgers import Reader
from app.domain.cycle import Phase
from app.domain.dependency import DependencyStatus
from app.domain.objective import Outcome
from app.domain.values import Level, OwnerKind, share
from app.projections.alignments import AlignmentRow
from app.projections.cycles import CycleRow
from app.projections.dependencies import DependencyRow
from app.projections.key_results import KeyResultRow
from app.projections.objectives import ObjectiveRow
from app.projections.teams import TeamRow
from app.queries import cycles
from app.queries.dependencies import DependencyView, dependency_view
from app.queries.views import Figure, OwnerView, Ref, View, owners

T = TypeVar("T")


class GoalItem(View):
    """An objective or key result behind a figure; the owner is the objective's."""

    kind: Literal["objective", "key_result"]
    id: UUID
    objective_id: UUID
    title: str
    owner: OwnerView


class Count(View):
    """`share` is numerator by denominator; null where there is nothing to count among."""

    numerator: int
    denominator: int
    share: Figure


class GoalCount(Count):
    items: list[GoalItem]


class DependencyCount(Count):
    items: list[DependencyView]


class AlignmentReportView(View):
    """What was abandoned is left out, and so is what an abandoned objective needs.

    - `aligned`, `unaligned`: with and without an alignment that stands, among the objectives below
      the company's, which stand at the top.
    - `orphaned`: every alignment that was ever agreed is withdrawn, or its target was removed or
      abandoned or lies in a closed cycle, though this one is not; among those that ever had one.
    - `several_parents`: contribute to more than one objective, among those with an alignment.
    - `objectives_without_contributors`, `key_results_without_contributors`: among the company's;
      a contributor may be of another cycle. Who contributes to the objective as a whole does not
      count for its key results.
    - `open`, `declined`, `overdue` (needed by a day that is past, and not delivered) and
      `without_risk_owner` (not delivered): among the dependencies that were not withdrawn.
    """

    cycle_id: UUID
    cycle_name: str
    aligned: GoalCount
    unaligned: GoalCount
    orphaned: GoalCount
    several_parents: GoalCount
    objectives_without_contributors: GoalCount
    key_results_without_contributors: GoalCount
    open: DependencyCount
    declined: DependencyCount
    overdue: DependencyCount
    without_risk_owner: DependencyCount


# Counting ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matter:
    """The rows that a cycle's alignment is told from.

    `links` are all alignments of the cycle's objectives, the withdrawn ones too; `targets`, `lost`
    and `closed` tell of what they lead to: its objectives, the key results removed and the cycles
    closed. `contributions` lead to the cycle's objectives, from wherever they stand.
    """

    cycle: CycleRow
    today: date
    company: Collection[UUID]
    objectives: Sequence[ObjectiveRow]
    key_results: Sequence[KeyResultRow]
    links: Sequence[AlignmentRow]
    targets: Mapping[UUID, ObjectiveRow]
    lost: Collection[UUID]
    closed: Collection[UUID]
    contributions: Sequence[AlignmentRow]
    dependencies: Sequence[DependencyRow]


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What was found, among how many."""

    items: list[T]
    among: int


@dataclass(frozen=True, slots=True)
class Counts:
    aligned: Found[ObjectiveRow]
    unaligned: Found[ObjectiveRow]
    orphaned: Found[ObjectiveRow]
    several_parents: Found[ObjectiveRow]
    objectives_without_contributors: Found[ObjectiveRow]
    key_results_without_contributors: Found[KeyResultRow]
    open: Found[DependencyRow]
    declined: Found[DependencyRow]
    overdue: Found[DependencyRow]
    without_risk_owner: Found[DependencyRow]


def at_the_top(objective: ObjectiveRow, company: Collection[UUID]) -> bool:
    """Whether a team at company level owns it: it contributes to nothing, and need not."""
    return objective.owner_kind == OwnerKind.TEAM and objective.owner_id in company


def _leads_nowhere(link: AlignmentRow, matter: Matter) -> bool:
    target = matter.targets[link.target_objective_id]
    # Once a cycle is closed, so is most of what it contributed to: that is no loss.
    ended = matter.cycle.phase != Phase.CLOSED and target.cycle_id in matter.closed
    gone = target.outcome == Outcome.ABANDONED or link.target_id in matter.lost
    return link.withdrawn or gone or ended


def count(matter: Matter) -> Counts:
    """All figures of the report."""
    live = [row for row in matter.objectives if row.outcome != Outcome.ABANDONED]
    top = {row.objective_id for row in live if at_the_top(row, matter.company)}
    below = [row for row in live if row.objective_id not in top]
    links: dict[UUID, list[AlignmentRow]] = defaultdict(list)
    for link in matter.links:
        links[link.objective_id].append(link)
    parents = {
        row.objective_id: {
            link.target_objective_id for link in links[row.objective_id] if not link.withdrawn
        }
        for row in live
    }
    once = [row for row in live if links[row.objective_id]]
    stated = [row for row in live if parents[row.objective_id]]

    supported = {link.target_objective_id for link in matter.contributions}
    supported_parts = {link.target_id for link in matter.contributions}
    parts = [row for row in matter.key_results if not row.removed and row.objective_id in top]

    ids = {row.objective_id for row in live}
    needs = [
        row
        for row in matter.dependencies
        if row.status != DependencyStatus.WITHDRAWN and row.objective_id in ids
    ]
    waiting = [row for row in needs if row.status != DependencyStatus.DELIVERED]
    return Counts(
        aligned=Found([row for row in below if parents[row.objective_id]], len(below)),
        unaligned=Found([row for row in below if not parents[row.objective_id]], len(below)),
        orphaned=Found(
            [
                row
                for row in once
                if all(_leads_nowhere(link, matter) for link in links[row.objective_id])
            ],
            len(once),
        ),
        several_parents=Found(
            [row for row in stated if len(parents[row.objective_id]) > 1], len(stated)
        ),
        objectives_without_contributors=Found(
            [row for row in live if row.objective_id in top - supported], len(top)
        ),
        key_results_without_contributors=Found(
            [row for row in parts if row.key_result_id not in supported_parts], len(parts)
        ),
        open=Found([row for row in needs if row.status == DependencyStatus.OPEN], len(needs)),
        declined=Found(
            [row for row in needs if row.status == DependencyStatus.DECLINED], len(needs)
        ),
        overdue=Found([row for row in waiting if row.needed_by < matter.today], len(needs)),
        without_risk_owner=Found([row for row in waiting if row.risk_owner_id is None], len(needs)),
    )


# Fetching ---------------------------------------------------------------------------------


async def company_teams(reader: Reader) -> frozenset[UUID]:
    """The teams at company level."""
    rows = await reader.rows.select(TeamRow, {"level": Level.COMPANY})
    return frozenset(row.team_id for row in rows)


async def matter_of(reader: Reader, cycle_id: UUID) -> Matter:
    """Raises NotFound."""
    cycle = await cycles.row(reader, cycle_id)
    here = {"cycle_id": cycle_id}
    select = reader.rows.select
    objectives = await select(ObjectiveRow, here)
    links = await select(AlignmentRow, here)
    targets = await select(
        ObjectiveRow, {"objective_id": list({link.target_objective_id for link in links})}
    )
    removed = {"key_result_id": list({link.target_id for link in links}), "removed": True}
    closed = {"cycle_id": list({row.cycle_id for row in targets}), "phase": Phase.CLOSED}
    contributing = await select(
        AlignmentRow,
        {
            "target_objective_id": [row.objective_id for row in objectives],
            "withdrawn": False,
        },
    )
    contributors = await select(
        ObjectiveRow, {"objective_id": list({link.objective_id for link in contributing})}
    )
    abandoned = {row.objective_id for row in contributors if row.outcome == Outcome.ABANDONED}
    return Matter(
        cycle=cycle,
        today=reader.at.date(),
        company=await company_teams(reader),
        objectives=objectives,
        key_results=await select(KeyResultRow, here),
        links=links,
        targets={row.objective_id: row for row in targets},
        lost=frozenset(row.key_result_id for row in await select(KeyResultRow, removed)),
        closed=frozenset(row.cycle_id for row in await select(CycleRow, closed)),
        contributions=[link for link in contributing if link.objective_id not in abandoned],
        dependencies=await select(DependencyRow, here),
    )


# Showing ----------------------------------------------------------------------------------


class _Shown:
    """Makes views of what was found."""

    def __init__(self, matter: Matter, known: Mapping[Ref, OwnerView]) -> None:
        self.owner_of = {
            row.objective_id: known[row.owner_kind, row.owner_id] for row in matter.objectives
        }

    def objectives(self, found: Found[ObjectiveRow]) -> GoalCount:
        items = [
            GoalItem(
                kind="objective",
                id=row.objective_id,
                objective_id=row.objective_id,
                title=row.title,
                owner=self.owner_of[row.objective_id],
            )
            for row in found.items
        ]
        return GoalCount(**_figures(found), items=items)

    def key_results(self, found: Found[KeyResultRow]) -> GoalCount:
        items = [
            GoalItem(
                kind="key_result",
                id=row.key_result_id,
                objective_id=row.objective_id,
                title=row.title,
                owner=self.owner_of[row.objective_id],
            )
            for row in found.items
        ]
        return GoalCount(**_figures(found), items=items)


def _dependencies(found: Found[DependencyRow]) -> DependencyCount:
    return DependencyCount(**_figures(found), items=[dependency_view(row) for row in found.items])


def _figures(found: Found[T]) -> dict[str, int | Decimal | None]:
    number = len(found.items)
    part = share(Decimal(number) / found.among) if found.among else None
    return {"numerator": number, "denominator": found.among, "share": part}


async def alignment_report(reader: Reader, cycle_id: UUID) -> AlignmentReportView:
    """Raises NotFound."""
    matter = await matter_of(reader, cycle_id)
    counts = count(matter)
    known = await owners(reader, {(row.owner_kind, row.owner_id) for row in matter.objectives})
    shown = _Shown(matter, known)
    return AlignmentReportView(
        cycle_id=cycle_id,
        cycle_name=matter.cycle.name,
        aligned=shown.objectives(counts.aligned),
        unaligned=shown.objectives(counts.unaligned),
        orphaned=shown.objectives(counts.orphaned),
        several_parents=shown.objectives(counts.several_parents),
        objectives_without_contributors=shown.objectives(counts.objectives_without_contributors),
        key_results_without_contributors=shown.key_results(counts.key_results_without_contributors),
        open=_dependencies(counts.open),
        declined=_dependencies(counts.declined),
        overdue=_dependencies(counts.overdue),
        without_risk_owner=_dependencies(counts.without_risk_owner),
    )
