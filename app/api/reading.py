"""What routes are given: a caller who may, a writer that commits, a reader of one moment."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, TypeAdapter, ValidationError, WithJsonSchema
from uuid_utils.compat import uuid7

from app.api.limits import Limits
from app.api.metrics import EVENTS
from app.api.problems import ApiProblem
from app.application.authority import Leave, grants_of
from app.application.idempotency import Answer, Once
from app.application.keys import Caller, Keys
from app.application.ledgers import Ledgers, Reader
from app.application.tokens import Tokens
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.errors import NotFound
from app.domain.messages import Command
from app.domain.values import Moment
from app.events.envelope import Meta
from app.queries.views import View

T = TypeVar("T")

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="Bearer",
    description="`Authorization: Bearer okr_...`, a key issued for the organisation; or a JWT of "
    "the OpenID Connect provider that the server is set up with, whose subject is linked to a "
    "person.",
)


# Who asks ---------------------------------------------------------------------------------


async def _caller(
    request: Request,
    presented: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> Caller:
    limits: Limits = request.app.state.limits
    caller = None
    if presented:
        limits.before(request.scope, presented.credentials)
        caller = await _known(request, presented.credentials)
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
    limits.spend(request.scope, presented.credentials, caller.digest)
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


# Headers and parameters -------------------------------------------------------------------

_ETAG = r'(W/)?"?([0-9]{1,9})(\.[0-9a-f]{16})?"?'
_KEY = r'"?[!#-~]([ !#-~]{0,253}[!#-~])?"?'

IfMatch = Annotated[
    str | None,
    Header(
        max_length=100,
        pattern=rf"^(\*|{_ETAG})$",
        description="The ETag that the change is based on.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=257,
        pattern=f"^{_KEY}$",
        description="Makes a retry safe: the first answer is kept and given again.",
    ),
]


def expected_version(if_match: str | None) -> int | None:
    """The version in If-Match; None when there is no header, or it is `*`."""
    found = None if if_match is None else re.fullmatch(_ETAG, if_match)
    return None if found is None else int(found[2])


_moment = TypeAdapter(Moment)


def moment_asked(as_of: str | None, pointer: str = "as_of") -> int | datetime | None:
    """A ledger position, or a moment."""
    if as_of is None:
        return None
    if re.fullmatch(r"[0-9]{1,18}", as_of):
        return int(as_of)
    return _moment_of(as_of, pointer, "a ledger position, or an RFC 3339 moment with a time zone")


def _moment_of(stated: str, pointer: str, wanted: str) -> datetime:
    try:
        # In a query string a plus sign reads as a space.
        return _moment.validate_python(stated.replace(" ", "+"))
    except ValidationError as error:
        raise ApiProblem("invalid", f"{pointer} must be {wanted}.", pointer=pointer) from error


PointInTime = Annotated[
    str | None,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]
AsOf = Annotated[
    PointInTime,
    Query(
        description="Look back: a ledger position, or an RFC 3339 moment of recording.",
        examples=["42"],
    ),
]
EffectiveAt = Annotated[
    Annotated[str | None, WithJsonSchema({"type": "string", "format": "date-time"})],
    Query(
        description="What was true at this moment, as it is known now, or was known `as_of`: "
        "check-ins that occurred later do not count, nor what was recorded later of how it ended.",
        examples=["2026-02-15T12:00:00Z"],
    ),
]


async def only_known_parameters(request: Request) -> None:
    """A misspelt filter must not be taken for none."""
    route = request.scope.get("route")
    if isinstance(route, APIRoute) and request.query_params:
        known = _parameters(route.dependant)
        for name in request.query_params:
            if name not in known:
                raise ApiProblem(
                    "invalid", f"There is no parameter {name[:100]!r} here.", pointer=name[:100]
                )


def _parameters(needed: Dependant) -> frozenset[str]:
    """The names of all query parameters of a route."""
    own = frozenset(field.alias for field in needed.query_params)
    return own.union(*(_parameters(part) for part in needed.dependencies))


# Reading ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """Answers with what a query finds, in one consistent view."""

    ledgers: Ledgers
    org_id: UUID
    caller: Caller
    scope: Scope
    as_of: int | datetime | None = None
    if_none_match: str | None = None
    effective_at: datetime | None = None

    async def __call__(
        self, query: Callable[..., Awaitable[View]], *arguments: Any, **options: Any
    ) -> Response:
        async with self.reader() as reader:
            view = await query(reader, *arguments, **options)
        return self.show(view, reader)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        """One consistent view, for this caller. Raises NotFound, OutsideLedger, OutOfReach."""
        async with self.ledgers.read(self.org_id, self.as_of, self.effective_at) as reader:
            if self.scope != Scope.READ:
                grants = await grants_of(reader.present, self.caller)
                Leave(self.caller, self.scope, grants).require_scope()
            yield replace(reader, caller=self.caller)

    def show(self, view: BaseModel, reader: Reader, **headers: str) -> Response:
        """The view, or 304 where the client has just that. Who keeps it must ask again."""
        body = view.model_dump_json().encode()
        return self.send(body, entity_tag(view, body), reader, **headers)

    def send(
        self,
        body: bytes,
        etag: str,
        reader: Reader,
        media_type: str = "application/json",
        **headers: str,
    ) -> Response:
        """Like `show`, for what was made into bytes already."""
        headers |= {
            "ETag": etag,
            "Ledger-Position": str(reader.position),
            "Cache-Control": "private, no-cache",
        }
        if self.if_none_match and _matches(self.if_none_match, etag):
            return Response(status_code=304, headers=headers)
        return Response(body, 200, headers, media_type)


def digest_tag(body: bytes) -> str:
    """The ETag of what has no version."""
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def entity_tag(view: BaseModel, body: bytes) -> str:
    """The stream's version, where there is one, and a digest of everything shown.

    The digest makes it strong: silence, a renamed owner or a moved cycle change what is shown,
    though the stream stands still. If-Match heeds the version alone.
    """
    digest = hashlib.sha256(body).hexdigest()[:16]
    version = getattr(view, "version", None)
    return f'"{digest}"' if version is None else f'"{version}.{digest}"'


def _matches(if_none_match: str, etag: str) -> bool:
    given = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in ("*", etag) for tag in given)


def json_response(
    body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return Response(body, status, headers, "application/json")


def reads(scope: Scope) -> Any:
    """The dependency of a route that reads one organisation's state."""

    async def dependency(
        request: Request,
        organization_id: UUID,
        caller: AnyCaller,
        as_of: AsOf = None,
        if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
    ) -> Read:
        permit(caller, scope, organization_id)
        moment, ledgers = moment_asked(as_of), request.app.state.ledgers
        return Read(ledgers, organization_id, caller, scope, moment, if_none_match)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


def reads_then(scope: Scope) -> Any:
    """Like `reads`, for what can be shown of a moment that occurred."""

    async def dependency(read: Read = reads(scope), effective_at: EffectiveAt = None) -> Read:
        if effective_at is None:
            return read
        moment = _moment_of(effective_at, "effective_at", "an RFC 3339 moment with a time zone")
        return replace(read, effective_at=moment)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


def reads_between(scope: Scope) -> Any:
    """Like `reads`, for what states its own points in time."""

    async def dependency(
        request: Request,
        organization_id: UUID,
        caller: AnyCaller,
        if_none_match: Annotated[str | None, Header(max_length=1000)] = None,
    ) -> Read:
        permit(caller, scope, organization_id)
        ledgers = request.app.state.ledgers
        return Read(ledgers, organization_id, caller, scope, None, if_none_match)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


def reads_now(scope: Scope) -> Any:
    """Like `reads`, for what has no past."""

    async def dependency(request: Request, organization_id: UUID, caller: AnyCaller) -> Read:
        permit(caller, scope, organization_id)
        return Read(request.app.state.ledgers, organization_id, caller, scope)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


ReadState = Annotated[Read, reads(Scope.READ)]
ReadThen = Annotated[Read, reads_then(Scope.READ)]


# Writing ----------------------------------------------------------------------------------


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
        grants = await grants_of(await unit.rows(), self.caller)
        unit.leave = Leave(self.caller, self.scope, grants)
        unit.leave.require_scope()

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
    reader = Reader(unit.conn, unit.texts, rows, rows, unit.position, unit.at, False, caller)
    view = await query(reader, *arguments)
    body = view.model_dump_json().encode()
    headers = {"ETag": entity_tag(view, body)}
    if location:
        headers["Location"] = location
    return Answer(status, body, headers)


def _once(request: Request, caller: Caller, key: str | None, body: bytes) -> Once | None:
    if key is None:
        return None
    fingerprint = hashlib.sha256(
        b"\n".join((request.method.encode(), str(request.url.query).encode(), body))
    ).digest()
    route = f"{request.method} {request.url.path}"
    return Once(caller.credential, route, key.strip('"'), fingerprint)


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

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


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
