"""Health, documentation and the pages that problems point to: nothing here needs a key."""

from __future__ import annotations

import logging
from typing import Annotated, Literal

import asyncpg
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.callers import operator_or_open
from app.api.problems import KINDS, ProblemKind, declared, render
from app.application.import_document import schema as import_schema
from app.queries.views import View

router = APIRouter(tags=["operations"])
unlisted = APIRouter(include_in_schema=False)
"""What is no part of the API: docs/operations.md tells of it."""
_log = logging.getLogger(__name__)


class HealthView(View):
    status: Literal["ok"]


@router.get("/health/live", operation_id="health_live", response_model=HealthView)
async def health_live() -> HealthView:
    """The process answers."""
    return HealthView(status="ok")


@router.get(
    "/health/ready",
    operation_id="health_ready",
    response_model=HealthView,
    responses=declared("unavailable"),
)
async def health_ready(request: Request) -> Response:
    """The database answers too."""
    try:
        async with request.app.state.ledgers.pool.acquire(timeout=2) as conn:
            await conn.fetchval("SELECT 1", timeout=2)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as down:
        _log.warning("not ready: %s", type(down).__name__)
        return render("unavailable", "The database does not answer.", headers={"Retry-After": "1"})
    return JSONResponse({"status": "ok"})


@router.get(
    "/problems/{name}",
    operation_id="explain_problem",
    response_model=ProblemKind,
    responses=declared("not-found", "invalid"),
)
async def explain_problem(
    name: Annotated[str, Path(max_length=100)], request: Request
) -> ProblemKind | Response:
    """What a problem's `type` means, and how to mend it."""
    kind = KINDS.get(name)
    return kind or render(
        "not-found", "There is no such problem; see /openapi.json.", instance=request.url.path
    )


@router.get(
    "/import.schema.json", operation_id="get_import_schema", response_model=dict[str, object]
)
async def get_import_schema() -> JSONResponse:
    """The JSON Schema of import documents."""
    return JSONResponse(import_schema())


@unlisted.get("/metrics", dependencies=[Depends(operator_or_open)])
async def show_metrics(request: Request) -> Response:
    """For Prometheus."""
    return Response(
        generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST
    )
