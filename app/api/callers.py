"""Who asks: by an API key, or by a token of the OpenID Connect provider."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.limits import Limits
from app.api.problems import ApiProblem
from app.application.keys import Caller, Keys
from app.application.tokens import Tokens
from app.domain.access import Scope
from app.domain.errors import NotFound

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="Bearer",
    description="`Authorization: Bearer okr_...`, a key issued for the organisation; or a JWT of "
    "the OpenID Connect provider that the server is set up with, whose subject is linked to a "
    "person.",
)


async def _caller(
    request: Request,
    presented: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> Caller:
    return await caller_of(request, presented.credentials if presented else None)


async def caller_of(request: Request, presented: str | None) -> Caller:
    """Who presents a credential. Raises ApiProblem."""
    limits: Limits = request.app.state.limits
    caller = None
    if presented:
        limits.before(request.scope, presented)
        caller = await _known(request, presented)
        if caller is None:
            limits.failed(request.scope)
    if caller is None or presented is None:
        raise ApiProblem(
            "unauthenticated",
            "The request carries no valid key: send `Authorization: Bearer KEY`.",
            headers={"WWW-Authenticate": 'Bearer realm="okr-ledger"'},
        )
    # For the log: the kind of caller, and not who.
    request.scope["actor_kind"] = caller.actor.partition("/")[0]
    limits.spend(request.scope, presented, caller.digest)
    return caller


async def caller_still(request: Request) -> Caller:
    """Who asks, looked up anew, for what goes on for long. Raises ApiProblem."""
    presented = await bearer(request)
    caller = presented and await _known(request, presented.credentials, afresh=True)
    if not caller:
        raise ApiProblem("unauthenticated", "The key is not valid any more.")
    return caller


async def _known(request: Request, presented: str, *, afresh: bool = False) -> Caller | None:
    """Who presents a key, or a token of the provider that is configured."""
    keys: Keys = request.app.state.keys
    tokens: Tokens = request.app.state.tokens
    caller = await keys.caller(presented, afresh=afresh)
    if caller is not None or (identity := await tokens.identity(presented)) is None:
        return caller
    try:
        org_id = UUID(request.path_params.get("organization_id"))
    except (TypeError, ValueError):
        org_id = None
    return await keys.bearer(identity, org_id)


AnyCaller = Annotated[Caller, Depends(_caller)]


async def operator_or_open(
    request: Request,
    presented: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> None:
    """Raise unless an operator asks for metrics, or everybody may have them."""
    if not request.app.state.settings.metrics_open:
        caller = await _caller(request, presented)
        if not caller.is_operator:
            raise ApiProblem("forbidden", "Metrics are shown to operators only.")


def permit(caller: Caller, scope: Scope, org_id: UUID | None) -> None:
    """Raise unless the caller may do this here. Another's organisation is as good as unknown."""
    if org_id is not None and not (caller.orgs is None or org_id in caller.orgs):
        raise NotFound("organisation", org_id)
    if scope not in caller.scopes:
        raise ApiProblem("forbidden", f"The key lacks the scope {scope}.")
