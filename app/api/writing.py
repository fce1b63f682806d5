"""What a route that writes is given: a writer that commits before it answers."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response
from uuid_utils.compat import uuid7

from app.api.callers import AnyCaller, permit
from app.api.metrics import EVENTS
from app.api.problems import ApiProblem
from app.api.reading import IdempotencyKey, IfMatch, entity_tag, expected_version, json_response
from app.application.idempotency import Answer, Once
from app.application.keys import Caller
from app.application.ledgers import Ledgers, Reader
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.messages import Command
from app.events.envelope import Meta
from app.queries.views import View


@dataclass(frozen=True, slots=True)
class Write:
    """Runs a route's commands in one transaction, committed before it answers."""

    ledgers: Ledgers
    org_id: UUID
    caller: Caller
    scope: Scope
    meta: Meta
    once: Once | None = None
    expected: int | None = None
    has_if_match: bool = False
    once_required: bool = False

    async def __call__(
        self,
        work: Callable[[UnitOfWork], Awaitable[Answer]],
        *,
        founding: bool = False,
        recognised: bool = False,
    ) -> Response:
        """`recognised`: a second delivery of the same thing would be told by its external id."""
        if self.once_required and self.once is None and not recognised:
            raise ApiProblem(
                "idempotency-key-required",
                "An integration retries by itself, so it must send an Idempotency-Key.",
                pointer="Idempotency-Key",
            )

        recorded = 0

        async def allowed(unit: UnitOfWork) -> Answer:
            nonlocal recorded
            await self.admit(unit)
            before = unit.position
            made = await work(unit)
            recorded = unit.position - before
            return made

        answer = await self.ledgers.write(
            self.org_id, self.meta, allowed, once=self.once, founding=founding
        )
        EVENTS.inc(recorded)
        return json_response(answer.body, answer.status, answer.headers)

    async def admit(self, unit: UnitOfWork) -> None:
        """Have every command of a transaction judged by the caller's roles. Raises OutOfReach."""
        await unit.admit(self.caller, self.scope)

    async def apply(
        self,
        command: Command,
        query: Callable[..., Awaitable[View]],
        *arguments: Any,
        overwrites: Callable[[Any], bool] = lambda state: False,
    ) -> Response:
        """Run one command, based on If-Match where there is one, and answer with the state after.

        `overwrites` tells from the state before whether the change could overwrite another's: it
        needs If-Match then.
        """

        async def work(unit: UnitOfWork) -> Answer:
            if overwrites(await unit.state(*command.stream)):
                self.require_version()
            await unit.execute(command, expected=self.expected)
            return await answer(unit, query, *arguments)

        return await self(work)

    def require_version(self) -> int | None:
        """For changes that could overwrite another's: raises 428 without If-Match.

        `*` says that any version will do.
        """
        if not self.has_if_match:
            raise ApiProblem(
                "version-required", "Send the ETag that you read in If-Match.", pointer="If-Match"
            )
        return self.expected


async def answer(
    unit: UnitOfWork,
    query: Callable[..., Awaitable[View]],
    *arguments: Any,
    status: int = 200,
    location: str | None = None,
) -> Answer:
    """The state after a command, read in its own transaction."""
    rows = await unit.rows()
    caller = unit.leave.caller if unit.leave else None
    reader = Reader(rows.conn, unit.texts, rows, rows, unit.position, unit.at, False, caller)
    view = await query(reader, *arguments)
    body = view.model_dump_json().encode()
    headers = {"ETag": entity_tag(view, body)}
    if location:
        headers["Location"] = location
    return Answer(status, body, headers)


def _once(request: Request, caller: Caller, key: str | None, body: bytes) -> Once | None:
    if key is None:
        return None
    method, scope = request.method, request.scope
    fingerprint = hashlib.sha256(
        b"\n".join((method.encode(), scope["query_string"], body))
    ).digest()
    return Once(caller.credential, f"{method} {scope['path']}", key.strip('"'), fingerprint)


async def meta_of(request: Request, caller: Caller, source: str = "api") -> Meta:
    return Meta(caller.actor, source, request.scope.get("correlation_id") or uuid7())


def creates(scope: Scope) -> Any:
    """The dependency of a route that makes a new thing: there is nothing yet to match."""

    async def dependency(
        request: Request,
        organization_id: UUID,
        caller: AnyCaller,
        idempotency_key: IdempotencyKey = None,
    ) -> Write:
        permit(caller, scope, organization_id)
        return Write(
            request.app.state.ledgers,
            organization_id,
            caller,
            scope,
            await meta_of(request, caller),
            _once(request, caller, idempotency_key, await request.body()),
            once_required=caller.is_integration,
        )

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


def runs(scope: Scope) -> Any:
    """The dependency of a route whose repetition changes nothing anyway."""

    async def dependency(request: Request, organization_id: UUID, caller: AnyCaller) -> Write:
        permit(caller, scope, organization_id)
        meta = await meta_of(request, caller)
        return Write(request.app.state.ledgers, organization_id, caller, scope, meta)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


def writes(scope: Scope) -> Any:
    """The dependency of a route that writes to one organisation's ledger."""

    async def dependency(
        request: Request,
        organization_id: UUID,
        caller: AnyCaller,
        idempotency_key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> Write:
        return await write_of(request, organization_id, caller, scope, idempotency_key, if_match)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


async def write_of(
    request: Request,
    organization_id: UUID,
    caller: Caller,
    scope: Scope,
    idempotency_key: str | None,
    if_match: str | None,
) -> Write:
    """What a request may write with, whose headers are valid. Raises ApiProblem, NotFound."""
    permit(caller, scope, organization_id)
    return Write(
        request.app.state.ledgers,
        organization_id,
        caller,
        scope,
        await meta_of(request, caller),
        _once(request, caller, idempotency_key, await request.body()),
        expected_version(if_match),
        if_match is not None,
        request.method == "POST" and caller.is_integration,
    )


async def _founding(
    request: Request, caller: AnyCaller, idempotency_key: IdempotencyKey = None
) -> Write:
    if not caller.is_operator:
        raise ApiProblem("forbidden", "Only an operator's key founds organisations.")
    once = _once(request, caller, idempotency_key, await request.body())
    ledgers: Ledgers = request.app.state.ledgers
    scope, meta = Scope.ORGANIZATION_WRITE, await meta_of(request, caller)
    return Write(ledgers, uuid7(), caller, scope, meta, once)


_founding.scope = Scope.ORGANIZATION_WRITE  # type: ignore[attr-defined]
Founding = Annotated[Write, Depends(_founding)]
