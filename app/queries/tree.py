"""The tree of a cycle: who contributes to what, with every figure on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from pydantic import ConfigDict, Field
from pydantic_core import from_json, to_json

from app.application.ledgers import Reader
from app.domain.errors import NotFound
from app.domain.objective import Outcome, Status
from app.domain.scoring import roll_up
from app.domain.values import OwnerKind
from app.garbage import undisturbed
from app.projections.alignments import AlignmentRow
from app.projections.cycles import CycleRow
from app.projections.objectives import ObjectiveRow
from app.queries import choice, cycles, goals
from app.queries.alignment_report import company_teams
from app.queries.cycles import CycleView
from app.queries.goals import KeyResultView, ObjectiveView
from app.queries.kept import Goal, Link, goals_of
from app.queries.views import Figure, View, Written, settled

MAX_DEPTH = 32
"""Levels of nesting shown at most: JSON nested deeper troubles many readers."""


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

    def fits(self, goal: Goal) -> bool:
        return (
            self.owner_kind in (None, goal.owner.kind)
            and self.owner_id in (None, goal.owner.id)
            and self.status in (None, goal.status)
            and self.health in (None, goal.health)
            and (self.text is None or choice.holds(self.text, *_titles(goal)))
        )


WHOLE = Wanted()


def _titles(goal: Goal) -> Iterator[str]:
    yield goal.title
    yield from (part.title for part in goal.key_results if not part.removed)


class _Forest:
    """Which objective stands below which, by its first agreed alignment inside the cycle."""

    def __init__(self, goals: list[Goal]) -> None:
        inside = {goal.id for goal in goals}
        self.below: dict[UUID, list[Goal]] = defaultdict(list)
        self.parent: dict[UUID, UUID] = {}
        self.roots: list[Goal] = []
        removed = {part.id for goal in goals for part in goal.key_results if part.removed}
        for goal in goals:
            first = self._first(goal.contributes_to, inside)
            if first is None:
                self.roots.append(goal)
                continue
            # What contributed to a key result that was removed stands below its objective.
            dropped = first.target_id in removed
            above = first.target_objective_id if dropped else first.target_id
            self.below[above].append(goal)
            self.parent[goal.id] = first.target_objective_id

    @staticmethod
    def _first(links: Iterable[Link], inside: set[UUID]) -> Link | None:
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

    def children(self, goal: Goal) -> list[Goal]:
        """Everything one level below an objective, through its key results or directly."""
        through = [child for part in goal.key_results for child in self.below.get(part.id, ())]
        return [*self.below.get(goal.id, ()), *through]

    def below_all(self, tops: list[Goal]) -> Iterator[Goal]:
        """Everything below these, at any depth."""
        waiting = [child for top in tops for child in self.children(top)]
        while waiting:
            here = waiting.pop()
            yield here
            waiting.extend(self.children(here))

    def on_top(self, root: UUID | None) -> list[Goal]:
        """The roots, or the one objective that is to stand on top. Raises NotFound."""
        if root is None:
            return self.roots
        for top in self.roots:
            if top.id == root:
                return [top]
        for goal in self.below_all(self.roots):
            if goal.id == root:
                return [goal]
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
            self.fitting = {goal.id for goal in whole if wanted.fits(goal)}
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

    def write(self, out: list[bytes], goals: list[Goal], depth: int) -> None:
        """Write these as a JSON array, nested `depth` levels deep."""
        if self.shown is not None:
            goals = [goal for goal in goals if goal.id in self.shown]
        if self.wanted.sort is not None:
            goals = choice.ordered(goals, self._key, downwards=self._downwards)
        out.append(b"[")
        for number, goal in enumerate(goals):
            if number:
                out.append(b",")
            self._write(out, goal, depth)
        out.append(b"]")

    def _write(self, out: list[bytes], goal: Goal, depth: int) -> None:
        below = self.forest.below if depth > 1 else {}
        out += (self._told(goal.written), b',"key_results":[')
        separator = b""
        for part in goal.key_results:
            if part.removed:
                continue
            out += (separator, self._told(part.written), b',"children":')
            separator = b"},"
            if part.id in below:
                self.write(out, below[part.id], depth - 1)
            else:
                out.append(b"[]")
        out.append(b'}],"children":' if separator else b'],"children":')
        if goal.id in below:
            self.write(out, below[goal.id], depth - 1)
        else:
            out.append(b"[]")
        hidden = self._hidden(goal) if depth == 1 else 0
        fits = self.fitting is None or goal.id in self.fitting
        out.append(b',"hidden":%d,"matches":%s}' % (hidden, b"true" if fits else b"false"))

    def _told(self, written: bytes) -> bytes:
        """As much of an object that is not closed yet as is asked for."""
        kept = self.wanted.fields
        if kept is None:
            return written
        fields = from_json(written + b"}").items()
        return to_json({name: value for name, value in fields if name in kept | {"id"}})[:-1]

    def _hidden(self, goal: Goal) -> int:
        below = self.forest.below_all([goal])
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


async def _from_nested_cycles(reader: Reader, cycle_id: UUID, own: list[Goal]) -> list[Goal]:
    """The objectives of nested cycles that contribute to these, directly or through others."""
    nested = await _nested(reader, cycle_id)
    inside = {goal.id for goal in own}
    rows: list[ObjectiveRow] = []
    latest = list(inside)
    while nested and latest:
        live = {"target_objective_id": latest, "cycle_id": nested, "withdrawn": False}
        links = await reader.rows.select(AlignmentRow, live)
        latest = list({link.objective_id for link in links} - inside)
        inside |= set(latest)
        rows += await reader.rows.select(ObjectiveRow, {"objective_id": latest})
    views = await goals.objectives(reader, sorted(rows, key=lambda row: row.position))
    return [Goal.of(view, reader.at) for view in views]


@settled
async def tree(
    reader: Reader,
    cycle_id: UUID,
    depth: int = MAX_DEPTH,
    *,
    across: bool = False,
    wanted: Wanted = WHOLE,
) -> Written:
    """The cycle as far as it is wanted, nested `depth` levels deep: a `TreeView`, or a sparse one.

    Raises NotFound. `across` adds what contributes from nested cycles. Whatever is wanted, the
    summary stays that of the cycle.
    """
    cycle = await cycles.cycle(reader, cycle_id)
    own, warnings = await goals_of(reader, cycle_id)
    company = await company_teams(reader)
    below = await _from_nested_cycles(reader, cycle_id, own) if across else []
    with undisturbed():
        alone = _Forest(own)
        picture = _Picture(_Forest([*own, *below]) if below else alone, wanted)
        summary = _summary(own, company, levels=alone.levels(), warnings=warnings)
        out = [b'{"cycle":', cycle.model_dump_json().encode()]
        out += [b',"summary":', summary.model_dump_json().encode(), b',"roots":']
        picture.write(out, picture.tops, depth)
        out.append(b"}")
        return Written(b"".join(out))


def _summary(
    goals: list[Goal], company: frozenset[UUID], *, levels: int, warnings: int
) -> TreeSummary:
    counted = [goal for goal in goals if goal.outcome != Outcome.ABANDONED]
    live = [part for goal in counted for part in goal.key_results if not part.removed]
    return TreeSummary(
        objectives=len(goals),
        key_results=len(live),
        scored=sum(part.score is not None for part in live),
        unaligned=sum(not goal.contributes_to and goal.owner.id not in company for goal in counted),
        levels=levels,
        owners=len({(goal.owner.kind, goal.owner.id) for goal in goals}),
        warnings=warnings,
        progress=roll_up((part.progress, part.weight) for part in live),
        score=roll_up((part.score, part.weight) for part in live),
        health=dict(Counter(part.health for part in live)),
    )
