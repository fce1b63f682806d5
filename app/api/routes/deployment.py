"""Phase 1: the ten decisions."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response
from starlette.convertors import Convertor, register_url_convertor

from app.api.bodies.preparation import MakeDecisionBody
from app.api.lists import ListState, each
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, writes
from app.domain.access import Scope
from app.domain.deployment import ASKED, MakeDecision
from app.domain.errors import Refusal
from app.projections.decisions import DecisionRow
from app.queries import programme
from app.queries.programme import AnswerView, DecisionView, DeploymentView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}/deployment", tags=["deployment"])


class _Question(Convertor[str]):
    regex = "|".join(ASKED)

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("question", _Question())
Question = Annotated[str, Path(json_schema_extra={"enum": list(ASKED)})]
WriteDeployment = Annotated[Write, writes(Scope.DEPLOYMENT_WRITE)]


@router.get(
    "",
    operation_id="get_deployment",
    response_model=DeploymentView,
    responses=READING,
)
async def get_deployment(organization_id: UUID, read: ReadState) -> Response:
    """All ten questions, and those beside them: what is decided, what stands at its default."""
    return await read(programme.deployment)


@router.get(
    "/decisions",
    operation_id="list_decisions",
    response_model=Page[DecisionView],
    responses=LISTING,
)
async def list_decisions(
    organization_id: UUID,
    page: ListState,
) -> Response:
    """Every answer ever given, in order; a later one never rewrites an earlier one."""
    return await page.rows(DecisionRow, each(programme.decision_view))


@router.get(
    "/{question:question}",
    operation_id="get_decision",
    response_model=AnswerView,
    responses=READING,
)
async def get_decision(organization_id: UUID, question: Question, read: ReadState) -> Response:
    """One deployment decision, as it stands."""
    return await read(programme.decision, question)


@router.put(
    "/{question:question}",
    operation_id="make_decision",
    response_model=AnswerView,
    responses=declared(*WRITES, "version-required", "decision-refuses"),
)
async def make_decision(
    organization_id: UUID, question: Question, body: MakeDecisionBody, write: WriteDeployment
) -> Response:
    """Answer a question. Commands are judged by it from now on. To answer anew needs If-Match."""
    if body.decision.question != question:
        raise Refusal(
            f"The decision answers {body.decision.question!r}, the path asks {question!r}.",
            pointer="/decision/question",
        )

    command = MakeDecision(
        organization_id=organization_id,
        decision=body.decision,
        rationale=body.rationale,
        decided_by=body.decided_by,
    )
    return await write.apply(
        command,
        programme.decision,
        question,
        overwrites=lambda deployment: question in deployment.answered,
    )
