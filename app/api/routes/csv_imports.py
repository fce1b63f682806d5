"""Import of a spreadsheet."""

from __future__ import annotations

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.demands import demands
from app.api.problems import ALWAYS, declared
from app.api.reading import json_response
from app.api.routes.imports import WriteImports
from app.application.import_csv import CsvNote, translate
from app.application.import_csv_mapping import CsvMapping
from app.application.import_csv_table import MAX_BYTES
from app.application.importing import ImportReport, run_import

router = APIRouter(prefix="/v1/organizations/{organization_id}/imports/csv", tags=["imports"])

_EXAMPLE = """\
Objective,Owner,Key result,Start,Target,Current,Unit,Period,Status
Customers stay because they succeed,Growth,Customers who renew,70,85,72,%,2026 Q1,On track
,,The guide is out,,yes,no,,,Not started
"""


class CsvImportBody(BaseModel):
    """`csv` is the whole file; `mapping` says what it does not say by itself."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"csv": _EXAMPLE, "mapping": {"source": "planning-sheet"}}]
        },
    )

    csv: str = Field(min_length=1, max_length=MAX_BYTES)
    mapping: CsvMapping = CsvMapping()


class CsvImportReport(BaseModel):
    """What was inferred from the file, and a report for each period in it, earliest first."""

    warnings: list[CsvNote]
    imports: list[ImportReport]


@router.post(
    "",
    operation_id="import_csv",
    response_model=CsvImportReport,
    responses=declared(
        *ALWAYS,
        "malformed-json",
        "request-timeout",
        "too-large",
        "unsupported-media-type",
        "refused",
        "document-invalid",
    ),
)
@demands(long=True, large_body=True)
async def import_csv(
    organization_id: UUID,
    body: CsvImportBody,
    write: WriteImports,
    dry_run: Annotated[bool, Query(description="Say what would happen; record nothing.")] = False,
) -> Response:
    """Import a spreadsheet: its rows become import documents, one for each period.

    Rows that must be changed are told all at once, and then nothing is imported. It may be
    repeated as any import may; it needs no Idempotency-Key.
    """
    found = await asyncio.to_thread(translate, body.csv, body.mapping)
    report = CsvImportReport(warnings=found.warnings, imports=[])
    for document in found.documents:
        imported = await run_import(
            write.ledgers,
            organization_id,
            document,
            meta=write.meta,
            admit=write.admit,
            dry_run=dry_run,
        )
        report.imports.append(imported)
    position = str(report.imports[-1].position)
    return json_response(report.model_dump_json().encode(), headers={"Ledger-Position": position})
