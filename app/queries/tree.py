"""The tree of a cycle: who contributes to what, with every figure on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from uuid import UUID

from pydantic import Field

from app.application.ledgers import Reader
from app.domain.objective import Outcome
from app.domain.scoring import roll_up
from app.projections.alignments import AlignmentRow
from app.projections.cycles import CycleRow
from app.projections.objectives import ObjectiveRow
from app.projections.warnings import WarningRow
from app.queries import cycles, goals
from app.queries.alignment_report import company_teams
from app.queries.cycles import CycleView
from app.queries.goals import AlignmentView, KeyResultView, ObjectiveView
from app.queries.views import Figure, View

MAX_DEPTH = 32
"""Levels of nesting shown at most: JSON nested deeper troubles many readers."""


class KeyResultNode(KeyResultView):
    """A key result, with the objectives that contribute to it."""

    children: list[ObjectiveNode]


class ObjectiveNode(ObjectiveView):
    """An objective, with the objectives that contribute to it.

    One with several parents stands below the first one agreed; the others are in
    `contributes_to`. `hidden` counts the objectives below that are nested too deeply to be shown.
    """

    key_results: list[KeyResultNode]  # type: ignore[assignment]
    children: list[ObjectiveNode]
    hidden: int = 0


class TreeSummary(View):
    """Counts over the whole cycle; `levels` is how deep alignment goes.

    What was abandoned counts among `objectives`, and nowhere else. `unaligned` leaves out the
    company's objectives: they stand at the top.
    """

    objectives: int
    key_results: int
    scored: int
    unaligned: int
    levels: int
    owners: int
    warnings: int
    progress: Figure
    score: Figure
    health: dict[str, int] = Field(description="Key results by shown health.")


class TreeView(View):
    cycle: CycleView
    summary: TreeSummary
    roots: list[ObjectiveNode]


class _Forest:
    """Which objective stands below which, by its first agreed alignment inside the cycle."""

    def __init__(self, views: list[ObjectiveView]) -> None:
        inside = {view.id for view in views}
        self.below: dict[UUID, list[ObjectiveView]] = defaultdict(list)
        self.parent: dict[UUID, UUID] = {}
        self.roots: list[ObjectiveView] = []
        removed = {part.id for view in views for part in view.key_results if part.removed}
        for view in views:
            first = self._first(view.contributes_to, inside)
            if first is None:
                self.roots.append(view)
                continue
            # What contributed to a key result that was removed stands below its objective.
            dropped = first.target.id in removed
            above = first.target_objective_id if dropped else first.target.id
            self.below[above].append(view)
            self.parent[view.id] = first.target_objective_id

    @staticmethod
    def _first(links: list[AlignmentView], inside: set[UUID]) -> AlignmentView | None:
        return next((link for link in links if link.target_objective_id in inside), None)

    def levels(self) -> int:
        """The longest way from an objective to its root, both counted."""
        known: dict[UUID, int] = {root.id: 1 for root in self.roots}
        for start in self.parent:
            way = []
            here = start
            while here not in known:
                way.append(here)
                here = self.parent[here]
            for step, passed in enumerate(reversed(way), known[here] + 1):
                known[passed] = step
        return max(known.values(), default=0)

    def children(self, view: ObjectiveView) -> list[ObjectiveView]:
        """Everything one level below an objective, through its key results or directly."""
        through = [child for part in view.key_results for child in self.below.get(part.id, ())]
        return [*self.below.get(view.id, ()), *through]

    def size_below(self, view: ObjectiveView) -> int:
        count, waiting = 0, self.children(view)
        while waiting:
            count += 1
            waiting.extend(self.children(waiting.pop()))
        return count

    def node(self, view: ObjectiveView, depth: int) -> ObjectiveNode:
        deeper = depth > 1

        def nodes(id: UUID) -> list[ObjectiveNode]:
            below = self.below.get(id, ()) if deeper else ()
            return [self.node(child, depth - 1) for child in below]

        fields = dict(view)
        fields["key_results"] = [
            KeyResultNode.model_construct(**dict(part), children=nodes(part.id))
            for part in view.key_results
            if not part.removed
        ]
        hidden = 0 if deeper else self.size_below(view)
        return ObjectiveNode.model_construct(**fields, children=nodes(view.id), hidden=hidden)


async def _nested(reader: Reader, cycle_id: UUID) -> list[UUID]:
    """The cycles inside a cycle (the quarters of a year), at any depth."""
    found: list[UUID] = []
    latest = [cycle_id]
    while latest:
        rows = await reader.rows.select(CycleRow, {"parent_id": latest})
        latest = [row.cycle_id for row in rows]
        found += latest
    return found


async def _from_nested_cycles(
    reader: Reader, cycle_id: UUID, views: list[ObjectiveView]
) -> list[ObjectiveView]:
    """The objectives of nested cycles that contribute to these, directly or through others."""
    nested = await _nested(reader, cycle_id)
    inside = {view.id for view in views}
    rows: list[ObjectiveRow] = []
    latest = list(inside)
    while nested and latest:
        live = {"target_objective_id": latest, "cycle_id": nested, "withdrawn": False}
        links = await reader.rows.select(AlignmentRow, live)
        latest = list({link.objective_id for link in links} - inside)
        inside |= set(latest)
        rows += await reader.rows.select(ObjectiveRow, {"objective_id": latest})
    return await goals.objectives(reader, sorted(rows, key=lambda row: row.position))


async def tree(
    reader: Reader, cycle_id: UUID, depth: int = MAX_DEPTH, *, across: bool = False
) -> TreeView:
    """The whole cycle, nested `depth` levels deep. Raises NotFound.

    `across` adds what contributes from nested cycles; the summary stays that of the cycle.
    """
    cycle: CycleRow = await cycles.row(reader, cycle_id)
    rows = await reader.rows.select(ObjectiveRow, {"cycle_id": cycle_id})
    views = await goals.objectives(reader, rows, whole_cycle=cycle_id)
    warnings = await reader.rows.select(WarningRow, {"cycle_id": cycle_id})
    company = await company_teams(reader)
    own = _Forest(views)
    below = await _from_nested_cycles(reader, cycle_id, views) if across else []
    forest = _Forest([*views, *below]) if below else own
    counted = [view for view in views if view.outcome != Outcome.ABANDONED]
    live = [part for view in counted for part in view.key_results if not part.removed]
    return TreeView(
        cycle=cycles.cycle_view(cycle, reader.at),
        summary=TreeSummary(
            objectives=len(views),
            key_results=len(live),
            scored=sum(part.score is not None for part in live),
            unaligned=sum(
                not view.contributes_to and view.owner.id not in company for view in counted
            ),
            levels=own.levels(),
            owners=len({(view.owner.kind, view.owner.id) for view in views}),
            warnings=len(warnings),
            progress=roll_up((part.progress, part.weight) for part in live),
            score=roll_up((part.score, part.weight) for part in live),
            health=dict(Counter(part.health for part in live)),
        ),
        roots=[forest.node(root, depth) for root in forest.roots],
    )
