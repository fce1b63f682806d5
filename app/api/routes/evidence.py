"""Evidence: signed checkpoints, and proofs that history only ever grew."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.api import bundles
from app.api.bundles import BundleResponse
from app.api.callers import caller_still, permit
from app.api.demands import demands
from app.api.problems import ALWAYS, READING, WRITES, declared
from app.api.reading import Read, digest_tag, reads, reads_now
from app.api.writing import Write, creates
from app.application.bundle import Plan
from app.application.evidence import NoSigningKey, keep_checkpoint
from app.application.idempotency import Answer
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.events import store
from app.events.envelope import Recorded
from app.events.store import Filter
from app.evidence.notes import SigningKey
from app.queries import cycles, evidence
from app.queries.evidence import (
    CheckpointsView,
    CheckpointView,
    ConsistencyView,
    InclusionView,
    checkpoint_view,
)

router = APIRouter(prefix="/v1/organizations/{organization_id}/ledger", tags=["history"])
ReadHistory = Annotated[Read, reads(Scope.HISTORY_READ)]
ReadLedger = Annotated[Read, reads_now(Scope.HISTORY_READ)]
Keep = Annotated[Write, creates(Scope.HISTORY_READ)]
Size = Annotated[int | None, Query(ge=1, le=2**62, description="A size; without it, all there is.")]

_BUNDLE = """\
{"bundle":{"format":"okr-ledger-bundle/1","organization_id":"...","cycle_id":null,"size":42}}
{"checkpoint":"ledger.example.org/...\\n42\\n..."}
{"event":{"position":1,"type":"organization.founded"},"leaf_hash":"...","proof":["..."]}
{"end":{"events":42}}
"""


@router.get(
    "/checkpoint",
    operation_id="get_checkpoint",
    responses={
        **READING,
        **declared(*ALWAYS, "no-signing-key", "outside-ledger"),
        200: {
            "description": "A signed note: origin, size, root, and the signature.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
    },
    response_class=Response,
)
@demands(long=True)
async def get_checkpoint(organization_id: UUID, request: Request, read: ReadHistory) -> Response:
    """What the ledger is now, or was (`as_of`), signed, for whoever wants to hold it to that."""
    async with read.reader() as reader:
        note = await evidence.checkpoint(reader, request.app.state.signing_key)
    body = note.encode()
    return read.send(body, digest_tag(body), reader, "text/plain; charset=utf-8")


@router.get(
    "/checkpoints",
    operation_id="list_checkpoints",
    response_model=CheckpointsView,
    responses=READING,
)
@demands(long=True)
async def list_checkpoints(organization_id: UUID, request: Request, read: ReadHistory) -> Response:
    """The checkpoints that were kept here, and the key that verifies them."""
    return await read(evidence.checkpoints, request.app.state.signing_key)


@router.post(
    "/checkpoints",
    operation_id="keep_checkpoint",
    status_code=201,
    response_model=CheckpointView,
    responses=declared(*WRITES, "no-signing-key"),
)
@demands(long=True)
async def keep_checkpoint_now(organization_id: UUID, request: Request, write: Keep) -> Response:
    """Sign what the ledger is now, and keep it: `ledger:verify` holds the ledger to it.

    The ledger itself is not changed. A second one of the same size is the first.
    """
    key: SigningKey | None = request.app.state.signing_key

    async def work(unit: UnitOfWork) -> Answer:
        if key is None:
            raise NoSigningKey
        signed = await keep_checkpoint(unit.conn, organization_id, unit.position, key, unit.at)
        return Answer(201, checkpoint_view(signed).model_dump_json().encode())

    return await write(work)


@router.get(
    "/proofs/inclusion",
    operation_id="prove_inclusion",
    response_model=InclusionView,
    responses=READING,
)
@demands(long=True)
async def prove_inclusion(
    organization_id: UUID,
    read: ReadHistory,
    position: Annotated[
        int | None, Query(ge=1, le=2**62, description="The event's; without it, the last one's.")
    ] = None,
    size: Size = None,
) -> Response:
    """The hashes that lead from one event to the root of a checkpoint."""
    return await read(evidence.inclusion, position, size)


@router.get(
    "/proofs/consistency",
    operation_id="prove_consistency",
    response_model=ConsistencyView,
    responses=READING,
)
@demands(long=True)
async def prove_consistency(
    organization_id: UUID,
    read: ReadHistory,
    earlier: Annotated[int, Query(alias="from", ge=1, le=2**62, description="A size before.")] = 1,
    to: Size = None,
) -> Response:
    """The hashes that show one checkpoint to have grown out of an earlier one."""
    return await read(evidence.consistency, earlier, to)


@router.get(
    "/export",
    operation_id="export_ledger",
    response_class=Response,
    responses={
        200: {
            "description": "A bundle, one JSON object a line (docs/bundle.md). The last line has "
            "`end`: without it, the answer was cut.",
            "content": {bundles.MEDIA_TYPE: {"schema": {"type": "string"}, "example": _BUNDLE}},
        },
        **declared(*ALWAYS, "no-signing-key"),
    },
)
@demands(long=True)
async def export_ledger(
    organization_id: UUID,
    request: Request,
    read: ReadLedger,
    cycle_id: Annotated[
        UUID | None, Query(description="Only this cycle, and what it was judged by.")
    ] = None,
) -> Response:
    """The whole ledger as it is now, or a cycle of it, as a bundle that proves itself.

    It is what `okr export` writes, and `okr audit` checks without a server: signed, with a proof
    for each event. Free text stays sealed. What fails once it has begun cuts the connection.
    """
    key: SigningKey | None = request.app.state.signing_key
    # The place itself is taken once the bundle is sent: nothing between here and there can keep it.
    request.app.state.bundles.require_place(read.caller)
    async with read.reader() as reader:
        if cycle_id is not None:
            await cycles.row(reader, cycle_id)
        if key is None:
            raise NoSigningKey
        plan = await Plan.of(reader, key, cycle_id)

    async def look(after: int, up_to: int) -> list[Recorded]:
        async with read.reader() as reader:
            wanted = Filter(after=after, up_to=up_to)
            events = await store.read_page(reader.conn, reader.texts, wanted, up_to - after)
        permit(await caller_still(request), read.scope, organization_id)
        return events

    return BundleResponse(request, read.caller, plan, look)
