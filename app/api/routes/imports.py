"""Import of a whole cycle from one document."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.api.demands import demands
from app.api.problems import ALWAYS, declared
from app.api.reading import json_response
from app.api.writing import Write, runs
from app.application.import_document import ImportDocument, parse
from app.application.importing import ImportReport, run_import
from app.domain.access import Scope

router = APIRouter(prefix="/v1/organizations/{organization_id}/imports", tags=["imports"])
WriteImports = Annotated[Write, runs(Scope.IMPORTS_WRITE)]


@router.post(
    "",
    operation_id="import_document",
    response_model=ImportReport,
    responses=declared(*ALWAYS, "malformed-json", "too-large", "refused", "document-invalid"),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/ImportDocument"}}
            },
        }
    },
)
@demands(long=True, large_body=True)
async def import_document(
    organization_id: UUID,
    request: Request,
    write: WriteImports,
    dry_run: Annotated[bool, Query(description="Say what would happen; record nothing.")] = False,
) -> Response:
    """Import owners, objectives, key results, check-ins and scores, item by item.

    Each item goes through the same commands as elsewhere. What is there already stays as it is,
    so that an import may be repeated; it needs no Idempotency-Key.
    """
    document: ImportDocument = parse(await request.body())
    report = await run_import(
        write.ledgers,
        organization_id,
        document,
        meta=write.meta,
        admit=write.admit,
        dry_run=dry_run,
    )
    return json_response(
        report.model_dump_json().encode(), headers={"Ledger-Position": str(report.position)}
    )
