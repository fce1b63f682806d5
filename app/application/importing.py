"""Import: the same commands as everywhere else, item by item, as often as one likes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.application.import_document import ImportDocument
from app.application.import_items import BadReference
from app.application.import_steps import FOUNDED, RECORDED_AS, ImportSteps, Step
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.domain.errors import Refusal
from app.domain.values import ExternalRef
from app.events.envelope import Meta
from app.projections.external_ids import ExternalIdRow

Outcome = Literal["created", "unchanged", "differs", "refused"]
Admit = Callable[[UnitOfWork], Awaitable[None]]
Progress = Callable[[str, int, int], None]
"""Told the kind of item, how many are done, and how many there are."""


class ItemProblem(BaseModel):
    """Why an item was refused, or how what is there differs; `pointer` is into the document.

    `type` is that of the problem which the same command alone would be answered with.
    """

    type: str = Field(examples=["/problems/decision-refuses"])
    detail: str
    pointer: str


class ImportedItem(BaseModel):
    """What became of one item.

    `unchanged`: it was there already, as the document says it. `differs`: it is there, but says
    something else, and was left so. What a dry run would create has no id.
    """

    kind: str
    key: str
    outcome: Outcome
    id: UUID | None = None
    warnings: list[str] = []
    problem: ItemProblem | None = None


class ItemCounts(BaseModel):
    total: int = 0
    created: int = 0
    unchanged: int = 0
    differs: int = 0
    refused: int = 0
    warned: int = 0


class ImportReport(BaseModel):
    """A result per item, counts per kind, and the ledger's position afterwards.

    After a dry run nothing of it is recorded, and the position is as before.
    """

    source: str
    dry_run: bool
    cycle_id: UUID | None
    position: int
    counts: dict[str, ItemCounts]
    items: list[ImportedItem]


async def organization_of(
    ledgers: Ledgers, document: ImportDocument, among: Sequence[UUID]
) -> UUID | None:
    """The organisation among these that was founded by an import from this source."""
    for org_id in among:
        async with ledgers.read(org_id) as reader:
            named = ("organization", FOUNDED, document.source)
            if await reader.rows.get(ExternalIdRow, *named):
                return org_id
    return None


async def run_import(
    ledgers: Ledgers,
    org_id: UUID,
    document: ImportDocument,
    *,
    meta: Meta,
    founding: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
    admit: Admit | None = None,
    batch: int = 100,
) -> ImportReport:
    """Import a document, `batch` items to a transaction; a dry run is one, rolled back.

    A run that breaks off leaves whole items only, and the next one goes on from there.
    `founding`: the organisation is new, and is named by the document. `admit` tells every
    transaction who asks, whose roles judge each item.
    """
    steps = list(ImportSteps(document).steps(founding=founding))
    totals = Counter(step.kind for step in steps)
    size = len(steps) if dry_run else batch
    items: list[ImportedItem] = []
    counts = {kind: ItemCounts() for kind in totals}
    position = 0
    for start in range(0, len(steps), size):
        part = steps[start : start + size]
        transaction = partial(_run_steps, document.source, part, dry_run=dry_run, admit=admit)
        done, position = await ledgers.run(
            org_id, meta, transaction, founding=founding and start == 0, dry=dry_run
        )
        for item in done:
            items.append(item)
            count = counts[item.kind]
            count.total += 1
            setattr(count, item.outcome, getattr(count, item.outcome) + 1)
            count.warned += bool(item.warnings)
            if progress:
                progress(item.kind, count.total, totals[item.kind])
    return ImportReport(
        source=document.source,
        dry_run=dry_run,
        cycle_id=next(item.id for item in items if item.kind == "cycles"),
        position=position,
        counts=counts,
        items=items,
    )


async def _run_steps(
    source: str, steps: Sequence[Step], unit: UnitOfWork, *, dry_run: bool, admit: Admit | None
) -> tuple[list[ImportedItem], int]:
    if admit:
        await admit(unit)
    before = unit.position
    for kind, recorded in RECORDED_AS.items():
        keys = [step.key for step in steps if step.kind == kind]
        # In one round trip, and not in one for each of them.
        await unit.named(recorded, [ExternalRef(source=source, external_id=key) for key in keys])
    items = [await _run_step(step, unit) for step in steps]
    if not dry_run:
        return items, unit.position
    for item in items:
        if item.outcome == "created":
            item.id = None
    return items, before


async def _run_step(step: Step, unit: UnitOfWork) -> ImportedItem:
    item = ImportedItem(kind=step.kind, key=step.key, outcome="created")

    def problem(name: str, detail: str, pointer: str = "") -> ItemProblem:
        return ItemProblem(type=f"/problems/{name}", detail=detail, pointer=step.pointer + pointer)

    try:
        done = await step.run(unit)
    except BadReference as refusal:
        item.outcome = "refused"
        item.problem = problem(refusal.name, refusal.detail, refusal.pointer or "")
        return item
    except Refusal as refusal:
        # Its pointer is into the command, not into the document.
        item.outcome = "refused"
        item.problem = problem(refusal.name, refusal.detail)
        return item
    item.id = done.id
    item.warnings = list(done.warnings)
    if done.differs:
        item.outcome = "differs"
        item.problem = problem("differs", done.differs)
    elif not done.is_new:
        item.outcome = "unchanged"
    return item
