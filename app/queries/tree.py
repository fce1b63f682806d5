"""The tree of a cycle: who contributes to what, with every figure on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from pydantic import ConfigDict, Field

from app.application.ledgers import Reader
from app.domain.errors import NotFound
from app.domain.objective import Outcome, Status
from app.domain.scoring import roll_up
from app.domain.values import OwnerKind
from app.projections.alignments import AlignmentRow
from app.projections.cycles import CycleRow
from app.projections.objectives import ObjectiveRow
from app.projections.warnings import WarningRow
from app.queries import choice, cycles, goals
from app.queries.alignment_report import company_teams
from app.queries.alignments import AlignmentView
from app.queries.cycles import CycleView
from app.queries.goals import KeyResultView, ObjectiveView
from app.queries.views import Figure, View, trusted, undisturbed

MAX_DEPTH = 32
"""Levels of nesting shown at most: JSON nested deeper troubles many readers."""


N = TypeVar("N", bound=View)


class KeyResultNode(KeyResultView):
    """A key result, with the objectives that contribute to it."""

    children: list[ObjectiveNode]


class ObjectiveNode(ObjectiveView):
    """An objective, with the objectives that contribute to it.

    One with several parents stands below the first one agreed; the others are in
    `contributes_to`. `hidden` counts the objectives below that are nested too deeply to be shown,
    of those that the filters leave.
    """

    key_results: list[KeyResultNode]  # type: ignore[assignment]
    children: list[ObjectiveNode]
    hidden: int = 0
    matches: bool = Field(
        default=True,
        description="Whether the filters fit it; if not, it is on the way to one that they fit.",
    )


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


class SparseKeyResultNode(View):
    """A key result with the fields that were asked for, and where it stands."""

    model_config = ConfigDict(extra="allow")
    id: UUID
    children: list[SparseObjectiveNode]


class SparseObjectiveNode(View):
    """An objective with the fields that were asked for, and where it stands."""

    model_config = ConfigDict(extra="allow")
    id: UUID
    key_results: list[SparseKeyResultNode]
    children: list[SparseObjectiveNode]
    hidden: int
    matches: bool


class SparseTreeView(View):
    """A tree whose nodes have the `fields` that were asked for, and no others."""

    cycle: CycleView
    summary: TreeSummary
    roots: list[SparseObjectiveNode]


STANDING = frozenset({"id", "key_results", "children", "hidden", "matches"})
"""What every node says, whatever is asked for: where it stands."""
FIELDS = tuple(sorted((ObjectiveView.model_fields | KeyResultView.model_fields).keys() - STANDING))
"""What may be asked for: of objectives, of key results, or of both."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a tree is asked for; None does not matter.

    `root` is the objective on top. What the filters fit is shown with all that leads to it.
    `text` is found in the title of an objective, or in that of one of its key results.
    """

    root: UUID | None = None
    owner_kind: OwnerKind | None = None
    owner_id: UUID | None = None
    status: Status | None = None
    health: str | None = None
    text: str | None = None
    fields: frozenset[str] | None = None
    sort: str | None = None

    @property
    def filters(self) -> bool:
        given = (self.owner_kind, self.owner_id, self.status, self.health, self.text)
        return any(one is not None for one in given)

    def fits(self, view: ObjectiveView) -> bool:
        return (
            self.owner_kind in (None, view.owner.kind)
            and self.owner_id in (None, view.owner.id)
            and self.status in (None, view.status)
            and self.health in (None, view.health)
            and (self.text is None or choice.holds(self.text, *_titles(view)))
        )


WHOLE = Wanted()


def _titles(view: ObjectiveView) -> Iterator[str]:
    yield view.title
    yield from (part.title for part in view.key_results if not part.removed)


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

    def below_all(self, tops: list[ObjectiveView]) -> Iterator[ObjectiveView]:
        """Everything below these, at any depth."""
        waiting = [child for top in tops for child in self.children(top)]
        while waiting:
            here = waiting.pop()
            yield here
            waiting.extend(self.children(here))

    def on_top(self, root: UUID | None) -> list[ObjectiveView]:
        """The roots, or the one objective that is to stand on top. Raises NotFound."""
        if root is None:
            return self.roots
        for top in self.roots:
            if top.id == root:
                return [top]
        for view in self.below_all(self.roots):
            if view.id == root:
                return [view]
        raise NotFound("objective of this tree", root)


class _Picture:
    """The nodes of a forest that are asked for."""

    def __init__(self, forest: _Forest, wanted: Wanted) -> None:
        self.forest = forest
        self.wanted = wanted
        self.tops = forest.on_top(wanted.root)
        self.fitting: set[UUID] | None = None
        self.shown: set[UUID] | None = None
        if wanted.filters:
            whole = [*self.tops, *forest.below_all(self.tops)]
            self.fitting = {view.id for view in whole if wanted.fits(view)}
            self.shown = self._ways_up(self.fitting)
        if wanted.sort is not None:
            self._key, self._downwards = choice.by(wanted.sort)

    def _ways_up(self, fitting: set[UUID]) -> set[UUID]:
        """These, and all that stands above them."""
        ends, shown = {top.id for top in self.tops}, set(fitting)
        for here in fitting:
            while here not in ends and self.forest.parent[here] not in shown:
                here = self.forest.parent[here]
                shown.add(here)
        return shown

    def nodes(self, views: list[ObjectiveView], depth: int) -> list[ObjectiveNode]:
        if self.shown is not None:
            views = [view for view in views if view.id in self.shown]
        if self.wanted.sort is not None:
            views = choice.ordered(views, self._key, downwards=self._downwards)
        return [self._node(view, depth) for view in views]

    def _node(self, view: ObjectiveView, depth: int) -> ObjectiveNode:
        below = self.forest.below if depth > 1 else {}

        def nodes(id: UUID) -> list[Any]:
            return self.nodes(below[id], depth - 1) if id in below else []

        keys = [
            self._made(KeyResultNode, part, children=nodes(part.id))
            for part in view.key_results
            if not part.removed
        ]
        return self._made(
            ObjectiveNode,
            view,
            key_results=keys,
            children=nodes(view.id),
            hidden=self._hidden(view) if depth == 1 else 0,
            matches=self.fitting is None or view.id in self.fitting,
        )

    def _made(self, node: type[N], view: View, **standing: Any) -> N:
        if self.wanted.fields is None:
            return trusted(node, {**view.__dict__, **standing})
        kept = self.wanted.fields
        fields = {name: value for name, value in view.__dict__.items() if name in kept}
        return trusted(node, {"id": view.__dict__["id"], **fields, **standing})

    def _hidden(self, view: ObjectiveView) -> int:
        below = self.forest.below_all([view])
        return sum(self.shown is None or one.id in self.shown for one in below)


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
    reader: Reader,
    cycle_id: UUID,
    depth: int = MAX_DEPTH,
    *,
    across: bool = False,
    wanted: Wanted = WHOLE,
) -> TreeView:
    """The cycle as far as it is wanted, nested `depth` levels deep. Raises NotFound.

    `across` adds what contributes from nested cycles. Whatever is wanted, the summary stays that
    of the cycle.
    """
    cycle: CycleRow = await cycles.row(reader, cycle_id)
    rows = await reader.rows.select(ObjectiveRow, {"cycle_id": cycle_id})
    views = await goals.objectives(reader, rows, whole_cycle=cycle_id)
    warnings = await reader.rows.select(WarningRow, {"cycle_id": cycle_id})
    company = await company_teams(reader)
    own = _Forest(views)
    below = await _from_nested_cycles(reader, cycle_id, views) if across else []
    forest = _Forest([*views, *below]) if below else own
    with undisturbed():
        picture = _Picture(forest, wanted)
        roots = picture.nodes(picture.tops, depth)
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
        roots=roots,
    )
