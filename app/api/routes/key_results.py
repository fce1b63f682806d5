"""Key results, their check-ins and scores."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from uuid_utils.compat import uuid7

from app.api.bodies.check_ins import CheckInBody, CorrectCheckInBody, ScoreBody, SucceedBody
from app.api.bodies.common import OptionalReasonBody, ReasonBody, narrow, patched
from app.api.bodies.goals import AmendKeyResultBody
from app.api.lists import ListThen, Text, each
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState, ReadThen
from app.api.routes.objectives import narrowed
from app.api.writing import Write, answer, writes
from app.application.idempotency import Answer
from app.application.ledgers import Reader
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.check_in import CheckInTerms
from app.domain.check_in_commands import CorrectCheckIn, RecordCheckIn, RetractCheckIn
from app.domain.errors import NotFound
from app.domain.key_result import KeyResultTerms
from app.domain.key_result_commands import (
    AmendKeyResult,
    RemoveKeyResult,
    ScoreKeyResult,
    SucceedBaseline,
)
from app.domain.messages import Stream
from app.domain.objective import Status
from app.domain.values import Level, OwnerKind
from app.events.store import WrongExpectedVersion
from app.projections.check_ins import CheckInRow
from app.projections.key_results import KeyResultRow
from app.queries import check_ins, explain, goals, series
from app.queries.check_ins import CheckInView
from app.queries.choice import SORTED, KeyResultSort, ShownHealth
from app.queries.explain import ExplanationView
from app.queries.goals import KeyResultView, ScoreView
from app.queries.series import KeyResultSeriesView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}/key-results")
WriteObjectives = Annotated[Write, writes(Scope.OBJECTIVES_WRITE)]
WriteCheckIns = Annotated[Write, writes(Scope.CHECK_INS_WRITE)]
WriteScores = Annotated[Write, writes(Scope.SCORES_WRITE)]
_OWNER = "Of whoever it was given to, or else of the owner of its objective."


@router.get(
    "",
    operation_id="list_key_results",
    tags=["key results"],
    response_model=Page[KeyResultView],
    responses=LISTING,
)
async def list_key_results(
    organization_id: UUID,
    page: ListThen,
    cycle_id: UUID | None = None,
    objective_id: UUID | None = None,
    removed: bool = False,
    owner_kind: OwnerKind | None = None,
    owner_id: Annotated[UUID | None, Query(description=_OWNER)] = None,
    level: Annotated[Level | None, Query(description=_OWNER)] = None,
    status: Annotated[Status | None, Query(description="Of its objective.")] = None,
    health: ShownHealth | None = None,
    text: Annotated[Text | None, Query(description="In its title, whatever the case.")] = None,
    sort: Annotated[KeyResultSort | None, Query(description=SORTED)] = None,
) -> Response:
    """Key results, in the order of their drafting, or sorted."""
    choice = narrowed(health, text, sort)
    titled = choice.rows

    async def owned(reader: Reader, rows: list[KeyResultRow]) -> list[KeyResultRow]:
        stated = await goals.owned_at(reader, level, owner_kind, owner_id)
        rows = await goals.key_results_owned(reader, rows, stated, status)
        return rows if titled is None else await titled(reader, rows)

    if any(one is not None for one in (owner_kind, owner_id, level, status)):
        choice = replace(choice, rows=owned)
    return await page.rows(
        KeyResultRow,
        goals.key_results,
        choice=choice,
        cycle_id=cycle_id,
        objective_id=objective_id,
        removed=None if removed else False,
    )


@router.get(
    "/{key_result_id:id}",
    operation_id="get_key_result",
    tags=["key results"],
    response_model=KeyResultView,
    responses=READING,
)
async def get_key_result(organization_id: UUID, key_result_id: UUID, read: ReadThen) -> Response:
    """One key result: its measure, and what it stands at."""
    return await read(goals.key_result, key_result_id)


@router.get(
    "/{key_result_id:id}/series",
    operation_id="get_key_result_series",
    tags=["key results"],
    response_model=KeyResultSeriesView,
    responses=READING,
)
async def get_key_result_series(
    organization_id: UUID, key_result_id: UUID, read: ReadState
) -> Response:
    """Its check-ins as a line to plot, with the ideal line and the forecast."""
    return await read(series.of_key_result, key_result_id)


@router.patch(
    "/{key_result_id:id}",
    operation_id="amend_key_result",
    tags=["key results"],
    response_model=KeyResultView,
    responses=declared(*WRITES, "version-required", "reason-missing"),
)
async def amend_key_result(
    organization_id: UUID, key_result_id: UUID, body: AmendKeyResultBody, write: WriteObjectives
) -> Response:
    """Change a key result. Once its objective is committed, a reason is needed, and kept."""
    expected = write.require_version()

    async def work(unit: UnitOfWork) -> Answer:
        current = await unit.state("key_result", key_result_id)
        if current is None:
            raise NotFound("key result", key_result_id)
        command = AmendKeyResult(
            key_result_id=key_result_id,
            terms=patched(KeyResultTerms, current.terms, body),
            reason=body.reason,
        )
        await unit.execute(command, expected=expected)
        return await answer(unit, goals.key_result, key_result_id)

    return await write(work)


@router.post(
    "/{key_result_id:id}:remove",
    operation_id="remove_key_result",
    tags=["key results"],
    response_model=KeyResultView,
    responses=declared(*WRITES, "reason-missing"),
)
async def remove_key_result(
    organization_id: UUID,
    key_result_id: UUID,
    write: WriteObjectives,
    body: OptionalReasonBody | None = None,
) -> Response:
    """Take a key result out of its objective; its history stays."""
    command = RemoveKeyResult(key_result_id=key_result_id, reason=body.reason if body else None)
    return await write.apply(command, goals.key_result, key_result_id)


@router.post(
    "/{key_result_id:id}/check-ins",
    operation_id="record_check_in",
    tags=["check-ins"],
    status_code=201,
    response_model=CheckInView,
    responses=declared(*WRITES, "wrong-kind", "outside-cycle", "decision-refuses"),
)
async def record_check_in(
    organization_id: UUID, key_result_id: UUID, body: CheckInBody, write: WriteCheckIns
) -> Response:
    """Check in: a value, how likely the target is, how it goes, and what is next."""

    async def work(unit: UnitOfWork) -> Answer:
        id = uuid7()
        command = RecordCheckIn(
            key_result_id=key_result_id,
            check_in_id=id,
            terms=narrow(CheckInTerms, body),
            occurred_at=body.occurred_at or unit.at,
            external=body.external,
        )
        await unit.execute(command, expected=write.expected)
        location = f"/v1/organizations/{organization_id}/check-ins/{id}"
        return await answer(unit, check_ins.check_in, id, status=201, location=location)

    return await write(work, recognised=body.external is not None)


@router.get(
    "/{key_result_id:id}/check-ins",
    operation_id="list_check_ins",
    tags=["check-ins"],
    response_model=Page[CheckInView],
    responses=LISTING,
)
async def list_check_ins(
    organization_id: UUID,
    key_result_id: UUID,
    page: ListThen,
) -> Response:
    """Every check-in on a key result, in the order in which they were recorded."""
    return await page.rows(
        CheckInRow,
        each(check_ins.check_in_view),
        within=lambda reader: goals.key_result_row(reader, key_result_id),
        key_result_id=key_result_id,
    )


@router.post(
    "/{key_result_id:id}:succeed",
    operation_id="succeed_baseline",
    tags=["key results"],
    status_code=201,
    response_model=KeyResultView,
    responses=declared(*WRITES, "decision-refuses"),
)
async def succeed_baseline(
    organization_id: UUID, key_result_id: UUID, body: SucceedBody, write: WriteObjectives
) -> Response:
    """Draft the metric that a measured baseline seeds; lineage leads back."""

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("key_result")
        command = SucceedBaseline(
            key_result_id=key_result_id,
            successor_id=id,
            title=body.title,
            target=body.target,
            commit=body.commit,
            stretch=body.stretch,
        )
        await unit.execute(command, expected=write.expected)
        location = f"/v1/organizations/{organization_id}/key-results/{id}"
        return await answer(unit, goals.key_result, id, status=201, location=location)

    return await write(work)


@router.put(
    "/{key_result_id:id}/score",
    operation_id="score_key_result",
    tags=["scores"],
    response_model=ScoreView,
    responses=declared(*WRITES, "version-required", "reason-missing"),
)
async def score_key_result(
    organization_id: UUID, key_result_id: UUID, body: ScoreBody, write: WriteScores
) -> Response:
    """Give the final score. Where it differs from the computed one, say why; both are kept.

    Scoring anew needs If-Match.
    """
    command = ScoreKeyResult(
        key_result_id=key_result_id,
        score=body.score,
        comment=body.comment,
        adjustment_reason=body.adjustment_reason,
    )
    return await write.apply(
        command,
        goals.score,
        key_result_id,
        overwrites=lambda key_result: key_result is not None and key_result.score is not None,
    )


@router.get(
    "/{key_result_id:id}/score",
    operation_id="get_score",
    tags=["scores"],
    response_model=ScoreView,
    responses=READING,
)
async def get_score(organization_id: UUID, key_result_id: UUID, read: ReadState) -> Response:
    """The score of a key result."""
    return await read(goals.score, key_result_id)


@router.get(
    "/{key_result_id:id}/explain",
    operation_id="explain_score",
    tags=["scores"],
    response_model=ExplanationView,
    responses=READING,
)
async def explain_score(organization_id: UUID, key_result_id: UUID, read: ReadState) -> Response:
    """Formula, decision in force, and events behind a score; before it is given, what it is now."""
    return await read(explain.score, key_result_id)


check_in_routes = APIRouter(
    prefix="/v1/organizations/{organization_id}/check-ins", tags=["check-ins"]
)


@check_in_routes.get(
    "/{check_in_id:id}",
    operation_id="get_check_in",
    response_model=CheckInView,
    responses=READING,
)
async def get_check_in(organization_id: UUID, check_in_id: UUID, read: ReadState) -> Response:
    """One check-in, as it stands after corrections."""
    return await read(check_ins.check_in, check_in_id)


async def _check_in_at(unit: UnitOfWork, check_in_id: UUID, expected: int | None) -> CheckInRow:
    """The check-in, unless it changed since the version that somebody saw."""
    row = await check_ins.check_in_row(await unit.rows(), check_in_id)
    if expected is not None and expected != row.version:
        raise WrongExpectedVersion(Stream("check_in", check_in_id), expected, row.version)
    return row


@check_in_routes.put(
    "/{check_in_id:id}",
    operation_id="correct_check_in",
    response_model=CheckInView,
    responses=declared(*WRITES, "version-required", "wrong-kind", "outside-cycle"),
)
async def correct_check_in(
    organization_id: UUID, check_in_id: UUID, body: CorrectCheckInBody, write: WriteCheckIns
) -> Response:
    """State anew what a check-in says. What it did say stays in the history."""
    expected = write.require_version()

    async def work(unit: UnitOfWork) -> Answer:
        row = await _check_in_at(unit, check_in_id, expected)
        command = CorrectCheckIn(
            key_result_id=row.key_result_id,
            check_in_id=check_in_id,
            terms=narrow(CheckInTerms, body),
            occurred_at=body.occurred_at,
            reason=body.reason,
        )
        await unit.execute(command)
        return await answer(unit, check_ins.check_in, check_in_id)

    return await write(work)


@check_in_routes.post(
    "/{check_in_id:id}:retract",
    operation_id="retract_check_in",
    response_model=CheckInView,
    responses=declared(*WRITES),
)
async def retract_check_in(
    organization_id: UUID, check_in_id: UUID, body: ReasonBody, write: WriteCheckIns
) -> Response:
    """Take a check-in back: it counts no more, and stays to be seen."""

    async def work(unit: UnitOfWork) -> Answer:
        row = await _check_in_at(unit, check_in_id, write.expected)
        command = RetractCheckIn(
            key_result_id=row.key_result_id, check_in_id=check_in_id, reason=body.reason
        )
        await unit.execute(command)
        return await answer(unit, check_ins.check_in, check_in_id)

    return await write(work)
