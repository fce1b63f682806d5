"""What a route that reads is given: a reader of one moment; and headers that routes share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError, WithJsonSchema

from app.api.callers import AnyCaller, permit
from app.api.problems import ApiProblem
from app.api.validators import Given, Validators, head_of
from app.application.authority import Leave, grants_of
from app.application.keys import Caller
from app.application.ledgers import Ledgers, Reader
from app.domain.access import Scope
from app.domain.values import Moment
from app.queries.views import View, Written, is_settled

T = TypeVar("T")

# Headers and parameters -------------------------------------------------------------------

_ETAG = r'(W/)?"?([0-9]{1,9})(\.[0-9a-f]{16})?"?'
_KEY = r'"?[!#-~]([ !#-~]{0,253}[!#-~])?"?'

IF_MATCH = re.compile(rf"^(?=.{{0,100}}$)(\*|{_ETAG})$")
IDEMPOTENCY_KEY = re.compile(f"^(?=.{{0,257}}$){_KEY}$")

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

_given = Validators()
_KEPT = frozenset({"etag", "ledger-position", "cache-control", "link", "vary"})


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
    asked: str = ""

    async def __call__(
        self, query: Callable[..., Awaitable[View | Written]], *arguments: Any, **options: Any
    ) -> Response:
        async def answered(reader: Reader) -> Response:
            return self.show(await query(reader, *arguments, **options), reader)

        async with self.reader() as reader:
            if is_settled(query):
                return await self.unless_known(reader, answered)
            return await answered(reader)

    async def unless_known(
        self, reader: Reader, answered: Callable[[Reader], Awaitable[Response]]
    ) -> Response:
        """Answer, or 304 without a query where the ledger and the time say that nothing changed.

        For what is settled alone.
        """
        asked, head = (self.org_id, self.caller, self.asked), await head_of(reader)
        headers = _given.get(asked, head, reader.at)
        if headers is not None and _matches(self.if_none_match or "", headers["etag"]):
            return Response(status_code=304, headers=dict(headers))
        answer = await answered(reader)
        headers = {name: text for name, text in answer.headers.items() if name in _KEPT}
        _given.put(asked, Given(head, reader.at, reader.horizon.until, headers))
        return answer

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        """One consistent view, for this caller. Raises NotFound, OutsideLedger, OutOfReach."""
        async with self.ledgers.read(self.org_id, self.as_of, self.effective_at) as reader:
            if self.scope != Scope.READ:
                grants = await grants_of(reader.present, self.caller)
                Leave(self.caller, self.scope, grants).require_scope()
            yield replace(reader, caller=self.caller)

    def show(self, view: BaseModel | Written, reader: Reader, **headers: str) -> Response:
        """The view, or 304 where the client has just that. Who keeps it must ask again."""
        if isinstance(view, Written):
            return self.send(view.body, digest_tag(view.body), reader, **headers)
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
        asked = _asked(request)
        return Read(ledgers, organization_id, caller, scope, moment, if_none_match, asked=asked)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


def _asked(request: Request) -> str:
    """What an answer is to, for the same caller."""
    return f"{request.url.path}?{request.url.query} {request.headers.getlist('accept')}"


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
