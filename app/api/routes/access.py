"""API keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field

from app.api.bodies.organization import IssueKeyBody
from app.api.lists import ListState, each
from app.api.problems import LISTING, READING, WRITES, declared
from app.api.reading import ReadState
from app.api.writing import Write, answer, creates, writes
from app.application.idempotency import Answer
from app.application.keys import keep_key, make_key
from app.application.ledgers import Reader
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.api_key import IssueApiKey, RevokeApiKey
from app.projections.api_keys import ApiKeyRow
from app.queries import programme
from app.queries.programme import ApiKeyView
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}/api-keys", tags=["api keys"])
CreateKeys = Annotated[Write, creates(Scope.KEYS_WRITE)]
WriteKeys = Annotated[Write, writes(Scope.KEYS_WRITE)]


class IssuedKeyView(ApiKeyView):
    """The one time that the key itself is shown."""

    key: str | None = Field(
        description="Keep it now: only its digest is stored. Null in a repeated answer."
    )


@router.post(
    "",
    operation_id="issue_api_key",
    status_code=201,
    response_model=IssuedKeyView,
    responses=declared(*WRITES),
)
async def issue_api_key(organization_id: UUID, body: IssueKeyBody, write: CreateKeys) -> Response:
    """Issue a key with no more scopes than one's own. It is shown in this answer only.

    A retry with the same Idempotency-Key is answered without the key: a secret is not kept.
    """
    key = make_key()

    async def work(unit: UnitOfWork) -> Answer:
        id = unit.new_id("api_key")
        await unit.execute(
            IssueApiKey(
                key_id=id,
                name=body.name,
                scopes=body.scopes,
                held=write.caller.scopes,
                person_id=body.person_id,
                teams=body.teams,
                key_results=body.key_results,
                sources=body.sources,
                expires_at=body.expires_at,
            )
        )
        await keep_key(unit.conn, organization_id, id, key)
        location = f"/v1/organizations/{organization_id}/api-keys/{id}"
        shown = await answer(unit, programme.api_key, id, status=201, location=location)
        return replace(shown, body=(await answer(unit, _issued, id)).body)

    response = await write(work)
    if "Idempotency-Replayed" in response.headers:
        return response
    # Only what is not kept for a retry may hold the secret.
    view = IssuedKeyView.model_validate_json(bytes(response.body))
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    shown = view.model_copy(update={"key": key})
    return Response(shown.model_dump_json(), 201, headers, "application/json")


async def _issued(reader: Reader, key_id: UUID) -> IssuedKeyView:
    return IssuedKeyView(**dict(await programme.api_key(reader, key_id)), key=None)


@router.get(
    "",
    operation_id="list_api_keys",
    response_model=Page[ApiKeyView],
    responses=LISTING,
)
async def list_api_keys(
    organization_id: UUID,
    page: ListState,
) -> Response:
    """The keys of the organisation, without their secrets."""
    return await page.rows(ApiKeyRow, each(programme.api_key_view))


@router.get(
    "/{key_id:id}",
    operation_id="get_api_key",
    response_model=ApiKeyView,
    responses=READING,
)
async def get_api_key(organization_id: UUID, key_id: UUID, read: ReadState) -> Response:
    """One key, without its secret."""
    return await read(programme.api_key, key_id)


@router.post(
    "/{key_id:id}:revoke",
    operation_id="revoke_api_key",
    response_model=ApiKeyView,
    responses=declared(*WRITES),
)
async def revoke_api_key(organization_id: UUID, key_id: UUID, write: WriteKeys) -> Response:
    """The key stops working within a second."""
    return await write.apply(RevokeApiKey(key_id=key_id), programme.api_key, key_id)
