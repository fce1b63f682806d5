"""Phase 3: cycles, from planning to the reset into the next one."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, Field, WithJsonSchema
from uuid_utils.compat import uuid7

from app.api.bodies.cycles import (
    OpenCycleBody,
    PlanCycleBody,
    ReflectionBody,
    ResetBody,
    WhatIfBody,
)
from app.api.lists import ListState, Text, each
from app.api.problems import ALWAYS, LISTING, READING, WRITES, declared
from app.api.reading import ReadState, ReadThen
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.cycle import (
    BeginDrafting,
    BeginReflection,
    BeginScoring,
    OpenCycle,
    Phase,
    PlanCycle,
    RecordReflection,
)
from app.domain.objective import Status
from app.domain.reset import CloseCycle, ResetCycle
from app.domain.values import OwnerKind
from app.projections.cycles import CycleRow
from app.projections.reflections import ReflectionRow
from app.projections.warnings import WarningRow
from app.queries import cycles, explain, tree
from app.queries.choice import SORTED, GoalSort, ShownHealth
from app.queries.cycles import CycleView, ReflectionView, WarningView
from app.queries.explain import WhatIfView
from app.queries.tree import FIELDS, MAX_DEPTH, STANDING, SparseTreeView, TreeView, Wanted
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}/cycles", tags=["cycles"])
CreateCycles = Annotated[Write, creates(Scope.CYCLES_WRITE)]
WriteCycles = Annotated[Write, writes(Scope.CYCLES_WRITE)]
WriteReflections = Annotated[Write, writes(Scope.REFLECTIONS_WRITE)]

_IN_TITLES = (
    "In the title of an objective, or in that of one of its key results, whatever the case."
)
_FIELDS = (
    "Only these fields of nodes, separated by commas, beside what says where they stand: "
    f"{', '.join(sorted(STANDING))}. A name of objectives alone, or of key results alone, is left "
    "out of the others."
)
_NAME = "|".join(FIELDS)


def _known_fields(text: str) -> str:
    for name in text.split(","):
        if name not in FIELDS and name not in STANDING:
            raise ValueError(f"there is no field {name[:100]!r}; there are: {', '.join(FIELDS)}")
    return text


_Fields = Annotated[
    str,
    Field(max_length=1_000),
    AfterValidator(_known_fields),
    WithJsonSchema({"type": "string", "maxLength": 1_000, "pattern": f"^({_NAME})(,({_NAME}))*$"}),
]


@router.post(
    "",
    operation_id="plan_cycle",
    status_code=201,
    response_model=CycleView,
    responses=declared(*WRITES, "decision-refuses"),
)
async def plan_cycle(organization_id: UUID, body: PlanCycleBody, write: CreateCycles) -> Response:
    """Plan a cycle whose length fits a cadence decided."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("cycle")
        await unit.execute(
            PlanCycle(
                cycle_id=id,
                name=body.name,
                starts_on=body.starts_on,
                ends_on=body.ends_on,
                parent_id=body.parent_id,
                external=body.external,
            )
        )
        location = f"/v1/organizations/{organization_id}/cycles/{id}"
        return await answer(unit, cycles.cycle, id, status=201, location=location)

    return await write(work)


@router.get(
    "",
    operation_id="list_cycles",
    response_model=Page[CycleView],
    responses=LISTING,
)
async def list_cycles(
    organization_id: UUID,
    page: ListState,
    phase: Phase | None = None,
) -> Response:
    """Cycles, in the order in which they were planned."""
    return await page.rows(CycleRow, cycles.cycle_views, phase=phase)


@router.get(
    "/{cycle_id:id}",
    operation_id="get_cycle",
    response_model=CycleView,
    responses=READING,
)
async def get_cycle(organization_id: UUID, cycle_id: UUID, read: ReadState) -> Response:
    """One cycle: its dates, its phase, and the step that comes next."""
    return await read(cycles.cycle, cycle_id)


@router.get(
    "/{cycle_id:id}/tree",
    operation_id="get_tree",
    response_model=TreeView | SparseTreeView,
    responses=READING,
)
async def get_tree(
    organization_id: UUID,
    cycle_id: UUID,
    read: ReadThen,
    depth: Annotated[int, Query(ge=1, le=MAX_DEPTH)] = MAX_DEPTH,
    across: Annotated[
        bool,
        Query(description="Show what contributes from nested cycles too: a year's quarters."),
    ] = False,
    root: Annotated[UUID | None, Query(description="The objective on top.")] = None,
    owner_kind: OwnerKind | None = None,
    owner_id: UUID | None = None,
    status: Status | None = None,
    health: ShownHealth | None = None,
    text: Annotated[Text | None, Query(description=_IN_TITLES)] = None,
    fields: Annotated[_Fields | None, Query(description=_FIELDS, examples=["title,health"])] = None,
    sort: Annotated[GoalSort | None, Query(description=SORTED)] = None,
) -> Response:
    """Who contributes to what: nested objectives and key results with every figure.

    Objectives that all the filters fit are shown with those that lead to them; `matches` tells
    one from the other.
    """
    wanted = Wanted(
        root=root,
        owner_kind=owner_kind,
        owner_id=owner_id,
        status=status,
        health=health,
        text=text,
        fields=None if fields is None else frozenset(fields.split(",")),
        sort=sort,
    )
    return await read(tree.tree, cycle_id, depth, across=across, wanted=wanted)


@router.post(
    "/{cycle_id:id}:begin-drafting",
    operation_id="begin_drafting",
    response_model=CycleView,
    responses=declared(*WRITES),
)
async def begin_drafting(organization_id: UUID, cycle_id: UUID, write: WriteCycles) -> Response:
    """Let objectives be drafted in a planned cycle."""
    return await write.apply(BeginDrafting(cycle_id=cycle_id), cycles.cycle, cycle_id)


@router.post(
    "/{cycle_id:id}:open",
    operation_id="open_cycle",
    response_model=CycleView,
    responses=declared(*WRITES, "not-ready"),
)
async def open_cycle(
    organization_id: UUID, cycle_id: UUID, write: WriteCycles, body: OpenCycleBody | None = None
) -> Response:
    """Begin execution: check-ins are taken, and the scoring decision is fixed for the cycle.

    The first cycle waits until the organisation is ready, or is opened by an override; one that is
    over already is history, and waits for nothing.
    """
    command = OpenCycle(cycle_id=cycle_id, override=body.override if body else None)
    return await write.apply(command, cycles.cycle, cycle_id)


@router.post(
    "/{cycle_id:id}:begin-scoring",
    operation_id="begin_scoring",
    response_model=CycleView,
    responses=declared(*WRITES),
)
async def begin_scoring(organization_id: UUID, cycle_id: UUID, write: WriteCycles) -> Response:
    """End the work of an active cycle: from now on its key results are scored."""
    return await write.apply(BeginScoring(cycle_id=cycle_id), cycles.cycle, cycle_id)


@router.post(
    "/{cycle_id:id}:begin-reflection",
    operation_id="begin_reflection",
    response_model=CycleView,
    responses=declared(*WRITES),
)
async def begin_reflection(organization_id: UUID, cycle_id: UUID, write: WriteCycles) -> Response:
    """End scoring: from now on those who took part look back."""
    return await write.apply(BeginReflection(cycle_id=cycle_id), cycles.cycle, cycle_id)


@router.post(
    "/{cycle_id:id}:close",
    operation_id="close_cycle",
    response_model=CycleView,
    responses=declared(*WRITES),
)
async def close_cycle(organization_id: UUID, cycle_id: UUID, write: WriteCycles) -> Response:
    """Close with nothing carried over; what is unscored is scored from its latest check-in."""
    return await write.apply(CloseCycle(cycle_id=cycle_id), cycles.cycle, cycle_id)


@router.post(
    "/{cycle_id:id}:reset",
    operation_id="reset_cycle",
    status_code=201,
    response_model=CycleView,
    responses=declared(*WRITES, "reset-incomplete", "decision-refuses"),
)
async def reset_cycle(
    organization_id: UUID, cycle_id: UUID, body: ResetBody, write: WriteCycles
) -> Response:
    """Close the cycle and draft in the next one what is kept or modified.

    The next one is planned as `next_cycle` says, or is there already as `next_cycle_id`. Answers
    with it; its `previous_id` leads back. What `carry_over` asks for and cannot go on is told as a
    warning.
    """

    async def work(unit: UnitOfWork) -> Answer:
        next_id = body.next_cycle_id or unit.new_id("cycle")
        command = ResetCycle(
            cycle_id=cycle_id,
            next_cycle_id=next_id,
            next_cycle=body.next_cycle,
            choices=body.choices,
            carry_over=frozenset(body.carry_over),
        )
        await unit.execute(command, expected=write.expected)
        location = f"/v1/organizations/{organization_id}/cycles/{next_id}"
        return await answer(unit, cycles.cycle, next_id, status=201, location=location)

    return await write(work)


@router.post(
    "/{cycle_id:id}/reflections",
    operation_id="record_reflection",
    status_code=201,
    response_model=ReflectionView,
    responses=declared(*WRITES),
)
async def record_reflection(
    organization_id: UUID, cycle_id: UUID, body: ReflectionBody, write: WriteReflections
) -> Response:
    """What worked, what did not, what to change."""

    async def work(unit: UnitOfWork) -> Answer:
        id = uuid7()
        command = RecordReflection(
            cycle_id=cycle_id,
            reflection_id=id,
            team_id=body.team_id,
            worked=body.worked,
            did_not_work=body.did_not_work,
            change=body.change,
            minutes=body.minutes,
            participants=body.participants,
            external=body.external,
        )
        await unit.execute(command, expected=write.expected)
        location = f"/v1/organizations/{organization_id}/reflections/{id}"
        return await answer(unit, cycles.reflection, id, status=201, location=location)

    return await write(work)


@router.get(
    "/{cycle_id:id}/reflections",
    operation_id="list_reflections",
    response_model=Page[ReflectionView],
    responses=LISTING,
)
async def list_reflections(
    organization_id: UUID,
    cycle_id: UUID,
    page: ListState,
) -> Response:
    """What was said in looking back on a cycle."""
    return await page.rows(
        ReflectionRow,
        each(cycles.reflection_view),
        within=lambda reader: cycles.row(reader, cycle_id),
        cycle_id=cycle_id,
    )


@router.get(
    "/{cycle_id:id}/warnings",
    operation_id="list_warnings",
    response_model=Page[WarningView],
    responses=LISTING,
)
async def list_warnings(
    organization_id: UUID,
    cycle_id: UUID,
    page: ListState,
) -> Response:
    """What decisions in `warn` mode had to say about the cycle's goals."""
    return await page.rows(
        WarningRow,
        each(cycles.warning_view),
        within=lambda reader: cycles.row(reader, cycle_id),
        cycle_id=cycle_id,
    )


@router.post(
    "/{cycle_id:id}:what-if",
    operation_id="score_what_if",
    response_model=WhatIfView,
    responses=declared(
        *ALWAYS,
        "malformed-json",
        "unsupported-media-type",
        "too-large",
        "refused",
        "outside-ledger",
    ),
)
async def score_what_if(
    organization_id: UUID, cycle_id: UUID, body: WhatIfBody, read: ReadState
) -> Response:
    """The cycle under another scoring system. Nothing is recorded."""
    return await read(explain.what_if, cycle_id, body.rules)


reflections = APIRouter(prefix="/v1/organizations/{organization_id}/reflections", tags=["cycles"])


@reflections.get(
    "/{reflection_id:id}",
    operation_id="get_reflection",
    response_model=ReflectionView,
    responses=READING,
)
async def get_reflection(organization_id: UUID, reflection_id: UUID, read: ReadState) -> Response:
    """What somebody said in looking back."""
    return await read(cycles.reflection, reflection_id)
