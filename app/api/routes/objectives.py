"""Objectives."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.bodies.common import ReasonBody, narrow, patched
from app.api.bodies.goals import (
    DraftKeyResultBody,
    DraftObjectiveBody,
    HandOverBody,
    ResultBody,
    ReviseObjectiveBody,
)
from app.api.lists import Choice, ListThen, Text
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState, ReadThen
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.ledgers import Reader
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.errors import NotFound, Refusal
from app.domain.hand_over import HandOverObjective
from app.domain.key_result import KeyResultTerms
from app.domain.key_result_commands import DraftKeyResult
from app.domain.objective import (
    AbandonObjective,
    CommitObjective,
    DraftObjective,
    ObjectiveTerms,
    ProposeObjective,
    ReportResult,
    ReviseObjective,
    Status,
)
from app.domain.values import Level, OwnerKind
from app.projections.objectives import ObjectiveRow
from app.queries import explain, goals, series
from app.queries.choice import SORTED, GoalSort, ShownHealth, by, holds
from app.queries.explain import RollUpView
from app.queries.goals import KeyResultView, ObjectiveView
from app.queries.series import ObjectiveSeriesView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}/objectives", tags=["objectives"])
CreateObjectives = Annotated[Write, creates(Scope.OBJECTIVES_WRITE)]
WriteObjectives = Annotated[Write, writes(Scope.OBJECTIVES_WRITE)]


def _draft_key_result(
    unit: UnitOfWork, objective_id: UUID, body: DraftKeyResultBody
) -> DraftKeyResult:
    return DraftKeyResult(
        key_result_id=unit.new_id("key_result"),
        objective_id=objective_id,
        terms=narrow(KeyResultTerms, body),
        external=body.external,
    )


@router.post(
    "",
    operation_id="draft_objective",
    status_code=201,
    response_model=ObjectiveView,
    responses=declared(*WRITES, "decision-refuses"),
)
async def draft_objective(
    organization_id: UUID, body: DraftObjectiveBody, write: CreateObjectives
) -> Response:
    """Draft an objective, with its key results if they are known: all or nothing."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("objective")
        await unit.execute(
            DraftObjective(
                objective_id=id,
                cycle_id=body.cycle_id,
                owner=body.owner,
                terms=narrow(ObjectiveTerms, body),
                external=body.external,
            )
        )
        for number, key_result in enumerate(body.key_results):
            earlier = [one.external for one in body.key_results[:number] if one.external]
            try:
                if key_result.external in earlier:
                    raise Refusal("Two key results have this external id.", pointer="/external")
                await unit.execute(_draft_key_result(unit, id, key_result))
            except Refusal as refusal:
                raise refusal.within(f"/key_results/{number}") from None
        location = f"/v1/organizations/{organization_id}/objectives/{id}"
        return await answer(unit, goals.objective, id, status=201, location=location)

    return await write(work)


@router.get(
    "",
    operation_id="list_objectives",
    response_model=Page[ObjectiveView],
    responses=LISTING,
)
async def list_objectives(
    organization_id: UUID,
    page: ListThen,
    cycle_id: UUID | None = None,
    owner_kind: OwnerKind | None = None,
    owner_id: UUID | None = None,
    level: Annotated[Level | None, Query(description="Of the owner.")] = None,
    status: Status | None = None,
    health: ShownHealth | None = None,
    text: Annotated[Text | None, Query(description="In its title, whatever the case.")] = None,
    sort: Annotated[GoalSort | None, Query(description=SORTED)] = None,
) -> Response:
    """Objectives with their key results, in the order of their drafting, or sorted."""

    async def narrow(reader: Reader) -> dict[str, Any]:
        return await goals.owned_at(reader, level, owner_kind, owner_id)

    return await page.rows(
        ObjectiveRow,
        goals.objectives,
        narrow=narrow,
        choice=narrowed(health, text, sort),
        cycle_id=cycle_id,
        status=status,
    )


def narrowed(health: str | None, text: str | None, sort: str | None) -> Choice:
    """What of a list of goals is shown, by what only their views tell, and in which order."""

    async def titled(_: Reader, rows: list[Any]) -> list[Any]:
        return [row for row in rows if holds(text or "", row.title)]

    key, downwards = (None, False) if sort is None else by(sort)
    return Choice(
        rows=None if text is None else titled,
        views=None if health is None else lambda view: view.health == health,
        key=key,
        downwards=downwards,
    )


@router.get(
    "/{objective_id:id}",
    operation_id="get_objective",
    response_model=ObjectiveView,
    responses=READING,
)
async def get_objective(organization_id: UUID, objective_id: UUID, read: ReadThen) -> Response:
    """One objective with its key results and what it contributes to."""
    return await read(goals.objective, objective_id)


@router.get(
    "/{objective_id:id}/series",
    operation_id="get_objective_series",
    response_model=ObjectiveSeriesView,
    responses=READING,
)
async def get_objective_series(
    organization_id: UUID, objective_id: UUID, read: ReadState
) -> Response:
    """Its progress after each check-in on one of its key results, as a line to plot."""
    return await read(series.of_objective, objective_id)


@router.patch(
    "/{objective_id:id}",
    operation_id="revise_objective",
    response_model=ObjectiveView,
    responses=declared(*WRITES, "version-required", "reason-missing"),
)
async def revise_objective(
    organization_id: UUID, objective_id: UUID, body: ReviseObjectiveBody, write: WriteObjectives
) -> Response:
    """Change what is said of an objective. Once it is committed, a reason is needed."""
    expected = write.require_version()

    async def work(unit: UnitOfWork) -> Answer:
        current = await unit.state("objective", objective_id)
        if current is None:
            raise NotFound("objective", objective_id)
        command = ReviseObjective(
            objective_id=objective_id,
            terms=patched(ObjectiveTerms, current.terms, body),
            reason=body.reason,
        )
        await unit.execute(command, expected=expected)
        return await answer(unit, goals.objective, objective_id)

    return await write(work)


@router.post(
    "/{objective_id:id}:propose",
    operation_id="propose_objective",
    response_model=ObjectiveView,
    responses=declared(*WRITES),
)
async def propose_objective(
    organization_id: UUID, objective_id: UUID, write: WriteObjectives
) -> Response:
    """Put a draft up for a commitment."""
    command = ProposeObjective(objective_id=objective_id)
    return await write.apply(command, goals.objective, objective_id)


@router.post(
    "/{objective_id:id}:commit",
    operation_id="commit_objective",
    response_model=ObjectiveView,
    responses=declared(*WRITES, "decision-refuses"),
)
async def commit_objective(
    organization_id: UUID, objective_id: UUID, write: WriteObjectives
) -> Response:
    """From now on changes need a reason; check-ins are taken once the cycle is open."""
    command = CommitObjective(objective_id=objective_id)
    return await write.apply(command, goals.objective, objective_id)


@router.post(
    "/{objective_id:id}:hand-over",
    operation_id="hand_over_objective",
    response_model=ObjectiveView,
    responses=declared(*WRITES, "decision-refuses"),
)
async def hand_over_objective(
    organization_id: UUID, objective_id: UUID, body: HandOverBody, write: WriteObjectives
) -> Response:
    """Name another owner, judged by the decisions of now as if it were drafted for them."""
    command = HandOverObjective(objective_id=objective_id, owner=body.owner, reason=body.reason)
    return await write.apply(command, goals.objective, objective_id)


@router.post(
    "/{objective_id:id}:abandon",
    operation_id="abandon_objective",
    response_model=ObjectiveView,
    responses=declared(*WRITES),
)
async def abandon_objective(
    organization_id: UUID, objective_id: UUID, body: ReasonBody, write: WriteObjectives
) -> Response:
    """Give an objective up, and say why."""
    command = AbandonObjective(objective_id=objective_id, reason=body.reason)
    return await write.apply(command, goals.objective, objective_id)


@router.post(
    "/{objective_id:id}:report-result",
    operation_id="report_result",
    response_model=ObjectiveView,
    responses=declared(*WRITES),
)
async def report_result(
    organization_id: UUID, objective_id: UUID, body: ResultBody, write: WriteObjectives
) -> Response:
    """Say in words what came of the objective as a whole. It is no score."""
    command = ReportResult(objective_id=objective_id, text=body.text)
    return await write.apply(command, goals.objective, objective_id)


@router.post(
    "/{objective_id:id}/key-results",
    operation_id="draft_key_result",
    status_code=201,
    response_model=KeyResultView,
    responses=declared(*WRITES, "decision-refuses"),
)
async def draft_key_result(
    organization_id: UUID, objective_id: UUID, body: DraftKeyResultBody, write: CreateObjectives
) -> Response:
    """Add a key result to an objective."""

    async def work(unit: UnitOfWork) -> Answer:
        command = _draft_key_result(unit, objective_id, body)
        await unit.execute(command)
        id = command.key_result_id
        location = f"/v1/organizations/{organization_id}/key-results/{id}"
        return await answer(unit, goals.key_result, id, status=201, location=location)

    return await write(work)


@router.get(
    "/{objective_id:id}/explain",
    operation_id="explain_objective",
    response_model=RollUpView,
    responses=READING,
)
async def explain_objective(organization_id: UUID, objective_id: UUID, read: ReadState) -> Response:
    """The roll-up that an objective's score is, part by part."""
    return await read(explain.objective, objective_id)
