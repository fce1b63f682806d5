"""Every error as an RFC 9457 problem document, from one table.

422 means that a request does not fit its schema, whatever the ledger says; 409 that it does, and
the ledger as it is refuses it. A problem's `type` is a relative reference, `/problems/NAME`,
which this server answers with what the problem means and how to mend it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app import logs
from app.application.idempotency import KeyInFlight, KeyReused
from app.application.pointers import pointed
from app.domain import errors
from app.events.store import WrongExpectedVersion
from app.transactions import work_at_hand

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)


class ProblemKind(BaseModel):
    """One line of the table: what a `type` stands for."""

    name: str
    status: int
    title: str
    mend: str


_TABLE = [
    ProblemKind(
        name="malformed-json", status=400, title="The body is no JSON",
        mend="Send one complete JSON document in UTF-8.",
    ),
    ProblemKind(
        name="bad-request", status=400, title="The request cannot be read",
        mend="See detail for what the server could not read.",
    ),
    ProblemKind(
        name="page-token", status=400, title="The page token does not fit",
        mend="Use next_page_token with the same query that it came from, or begin without one.",
    ),
    ProblemKind(
        name="idempotency-key-required", status=400, title="An Idempotency-Key is needed",
        mend="Send an Idempotency-Key header, so that a retry cannot act twice; a check-in or "
        "a KPI's reading may carry its source and external_id instead.",
    ),
    ProblemKind(
        name="unauthenticated", status=401, title="No valid key",
        mend="Send `Authorization: Bearer KEY` with a key that is neither expired nor revoked.",
    ),
    ProblemKind(
        name="forbidden", status=403, title="The key may not do this",
        mend="Ask for a key with the scope named in detail.",
    ),
    ProblemKind(
        name="out-of-reach", status=403, title="Your roles do not reach so far",
        mend="See detail: it says what it takes, and who may do it.",
    ),
    ProblemKind(
        name="no-signing-key", status=409, title="This server signs no checkpoints",
        mend="Whoever runs the server makes a key, and names its file in OKR_SIGNING_KEY_FILE.",
    ),
    ProblemKind(
        name="scores-withheld", status=403, title="These scores are not yours to see",
        mend="Ask whom the decision about performance reviews names, or an auditor.",
    ),
    ProblemKind(
        name="stands-for-nobody", status=409, title="The key stands for nobody",
        mend="Ask with a key that was issued for a person, or with a token of theirs.",
    ),
    ProblemKind(
        name="not-found", status=404, title="There is no such thing",
        mend="Check the id; ids of other organisations are unknown here.",
    ),
    ProblemKind(
        name="method-not-allowed", status=405, title="The method does not apply here",
        mend="Use one of the methods in the Allow header.",
    ),
    ProblemKind(
        name="request-timeout", status=408, title="The body did not arrive in time",
        mend="Send it again, faster or in smaller parts; nothing was recorded.",
    ),
    ProblemKind(
        name="already-exists", status=409, title="It was recorded before",
        mend="Use existing_id.",
    ),
    ProblemKind(
        name="invalid-state", status=409, title="The state does not allow this command",
        mend="See detail: it names the state, and the command that would work.",
    ),
    ProblemKind(
        name="in-flight", status=409, title="A request with this Idempotency-Key is under way",
        mend="Wait a moment and send the same request again.",
    ),
    ProblemKind(
        name="stale-version", status=412, title="Somebody changed it meanwhile",
        mend="Read it again, and repeat the change with the new ETag in If-Match.",
    ),
    ProblemKind(
        name="too-large", status=413, title="The body is too large",
        mend="Send less at once.",
    ),
    ProblemKind(
        name="uri-too-long", status=414, title="The address is too long",
        mend="Send a shorter path and query.",
    ),
    ProblemKind(
        name="unsupported-media-type", status=415, title="The body is of another type",
        mend="Send `Content-Type: application/json`.",
    ),
    ProblemKind(
        name="invalid", status=422, title="A value is not valid",
        mend="Each entry of errors points to a value and says what it must be.",
    ),
    ProblemKind(
        name="refused", status=409, title="The command does not make sense here",
        mend="See detail.",
    ),
    ProblemKind(
        name="decision-refuses", status=409, title="A deployment decision forbids this",
        mend="Follow the decision that is named, or decide anew: PUT .../deployment/{question}.",
    ),
    ProblemKind(
        name="wrong-kind", status=409, title="The value does not fit the kind of key result",
        mend="A metric takes a number, a milestone true or false.",
    ),
    ProblemKind(
        name="alignment-loop", status=409, title="A goal would contribute to itself",
        mend="Withdraw the alignment that leads back, or align elsewhere.",
    ),
    ProblemKind(
        name="team-loop", status=409, title="A team would stand above itself",
        mend="Choose a team that does not stand below this one.",
    ),
    ProblemKind(
        name="outside-cycle", status=409, title="The moment lies outside the cycle",
        mend="Choose a moment from the cycle's beginning up to now.",
    ),
    ProblemKind(
        name="outside-ledger", status=404, title="The moment lies outside the ledger",
        mend="Choose a position or a moment that the ledger has reached.",
    ),
    ProblemKind(
        name="reason-missing", status=409, title="This change needs a reason",
        mend="Say why: the history keeps it.",
    ),
    ProblemKind(
        name="not-ready", status=409, title="Deployment and training are not done",
        mend="Do what is in missing, or open the first cycle with an override that names a person "
        "and a reason.",
    ),
    ProblemKind(
        name="reset-incomplete", status=409, title="Key results are without a choice",
        mend="Choose keep, modify or remove for each key result in missing.",
    ),
    ProblemKind(
        name="idempotency-key-reused", status=422, title="The key was used for another request",
        mend="Use a fresh Idempotency-Key for a different request.",
    ),
    ProblemKind(
        name="document-invalid", status=422, title="The import document cannot be used",
        mend="Each entry of errors points into the document; its schema is at /import.schema.json.",
    ),
    ProblemKind(
        name="target-refused", status=409, title="Messages may not be sent there",
        mend="Name an https address of the public internet; whoever runs the server may allow "
        "other networks with OKR_WEBHOOK_NETWORKS.",
    ),
    ProblemKind(
        name="unknown-reference", status=409, title="The document has no such item",
        mend="Add the item that is referred to, or correct the key.",
    ),
    ProblemKind(
        name="wrong-reference", status=409, title="The item referred to is of another kind",
        mend="Refer to an item of the kind that detail names.",
    ),
    ProblemKind(
        name="depends-on-refused", status=409, title="The item referred to was refused",
        mend="Mend that item first: its own problem says how.",
    ),
    ProblemKind(
        name="key-in-use", status=409, title="The key names something else already",
        mend="Choose another key for the item, or another source for the document.",
    ),
    ProblemKind(
        name="differs", status=409, title="It is there already, and says something else",
        mend="An import never changes what is there: change it through its own operations.",
    ),
    ProblemKind(
        name="version-required", status=428, title="This change needs If-Match",
        mend="Read the resource and send its ETag in If-Match, so that no change is lost.",
    ),
    ProblemKind(
        name="too-many-requests", status=429, title="Too many requests",
        mend="Try again after Retry-After seconds; RateLimit says what is left, and until when.",
    ),
    ProblemKind(
        name="too-many-streams", status=429, title="Too many event streams",
        mend="Close one of those that this key has open; one can follow all types of events.",
    ),
    ProblemKind(
        name="headers-too-large", status=431, title="The headers are too large",
        mend="Send fewer headers, or shorter ones.",
    ),
    ProblemKind(
        name="internal", status=500, title="The server failed",
        mend="Nothing was recorded. Report the correlation id.",
    ),
    ProblemKind(
        name="overloaded", status=503, title="The server has too much to do",
        mend="Nothing was recorded. Try again after Retry-After seconds.",
    ),
    ProblemKind(
        name="unavailable", status=503, title="The database does not answer",
        mend="Try again after Retry-After seconds, with the same Idempotency-Key. Where outcome "
        "is `unknown`, the request may have been recorded: without an Idempotency-Key, look "
        "before you send it again.",
    ),
]  # fmt: skip

KINDS: dict[str, ProblemKind] = {kind.name: kind for kind in _TABLE}

_HTTP = {
    400: "bad-request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    413: "too-large",
    415: "unsupported-media-type",
    503: "overloaded",
}


class FieldError(BaseModel):
    """Where in the request, as a JSON pointer (or a parameter's name), and what is wrong there."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457. Further members depend on the type."""

    type: str = Field(examples=["/problems/invalid-state"])
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[FieldError] | None = None


class ApiProblem(Exception):
    """A problem that only HTTP knows of."""

    def __init__(
        self,
        name: str,
        detail: str,
        *,
        pointer: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail
        self.pointer = pointer
        self.headers = dict(headers or {})


def render(
    name: str,
    detail: str,
    *,
    instance: str | None = None,
    field_errors: Sequence[Mapping[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> Response:
    """A problem of the table as a response."""
    body = document(name, detail, instance=instance, field_errors=field_errors, **facts)
    return _response(body, headers)


def _response(body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded(body), body["status"], dict(headers or {}), MEDIA_TYPE)


def encoded(body: Mapping[str, Any]) -> bytes:
    """ASCII only: what a client sent (a lone surrogate, say) must not break the answer."""
    return json.dumps(body, ensure_ascii=True, default=str).encode()


def document(
    name: str,
    detail: str,
    *,
    instance: str | None = None,
    field_errors: Sequence[Mapping[str, str]] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """A problem of the table, as it is answered with or stands in an answer of several."""
    kind = KINDS[name]
    body: dict[str, Any] = {
        "type": f"/problems/{name}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    if instance is not None:
        body["instance"] = instance
    if field_errors:
        body["errors"] = list(field_errors)
    return body | facts


def refusal_document(error: errors.Refusal, *, instance: str | None = None) -> dict[str, Any]:
    """What a refused command is answered with."""
    facts: dict[str, Any] = {**error.facts}
    listed = facts.pop("errors", None)
    if listed is None and error.pointer is not None:
        listed = [{"pointer": error.pointer, "detail": error.detail}]
    return document(error.name, error.detail, instance=instance, field_errors=listed, **facts)


def summary(listed: Sequence[Mapping[str, str]]) -> str:
    """The first of what validation found, in a sentence."""
    return "; ".join(f"{one['pointer'] or '/'}: {one['detail']}" for one in listed[:3])


def _field_errors(found: Sequence[Any], body: Any) -> list[dict[str, str]]:
    """What validation found: by a JSON pointer into the body, or by a parameter's name."""
    in_body = [{**one, "loc": one["loc"][1:]} for one in found if one["loc"][0] == "body"]
    elsewhere = [
        {"pointer": str(one["loc"][-1]), "detail": str(one["msg"]).removeprefix("Value error, ")}
        for one in found
        if one["loc"][0] != "body"
    ]
    return [*elsewhere, *pointed(in_body, body)][:100]


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.Refusal)
    return _response(refusal_document(error, instance=_path(request)))


async def _api_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiProblem)
    pointed = [{"pointer": error.pointer, "detail": error.detail}] if error.pointer else None
    return render(
        error.name,
        error.detail,
        instance=_path(request),
        field_errors=pointed,
        headers=error.headers,
    )


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    _let_go(error)
    if any(one["type"] == "json_invalid" for one in found):
        return _malformed(request)
    if isinstance(error.body, bytes) and error.body:
        # It was not even read as JSON.
        told = request.headers.get("content-type", "nothing")
        return render(
            "unsupported-media-type",
            f"The body is said to be of type {told}.",
            instance=_path(request),
        )
    listed = _field_errors(found, error.body)
    return render("invalid", summary(listed), instance=_path(request), field_errors=listed)


def _let_go(error: RequestValidationError) -> None:
    """Forget how it came about: the calls that it came through hold it, and the body.

    So all of it would stay until somebody looked for garbage.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    for one in error.errors():
        raised = one.get("ctx", {}).get("error")
        if isinstance(raised, Exception):
            raised.__traceback__ = None


def _malformed(request: Request) -> Response:
    return render(
        "malformed-json", "The body is no complete JSON document.", instance=_path(request)
    )


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, UnicodeDecodeError):
        return _malformed(request)
    name = _HTTP.get(error.status_code)
    if name is None:
        name = "internal" if error.status_code >= 500 else "bad-request"
    if error.status_code == 404:
        detail = f"There is nothing at {_path(request)}."
    elif error.status_code == 405:
        detail = f"{request.method} does not apply to {_path(request)}."
    else:
        detail = str(error.detail or HTTPStatus(error.status_code).phrase)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request)) or headers.get("Allow", "GET, HEAD")
    return render(name, detail, instance=_path(request), headers=headers)


def _methods(request: Request) -> list[str]:
    """All methods of a path: the router names only those of the first route that fits."""
    found: set[str] = set()
    for route in request.app.state.routes:
        fits, _ = route.matches(request.scope)
        if fits is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


async def _stale(request: Request, error: Exception) -> Response:
    assert isinstance(error, WrongExpectedVersion)
    return render(
        "stale-version",
        f"{error.stream.category} {error.stream.id} is at version {error.actual}, "
        f"If-Match expects {error.expected}.",
        instance=_path(request),
        current_version=error.actual,
    )


async def _key_reused(request: Request, error: Exception) -> Response:
    return render(
        "idempotency-key-reused",
        "This Idempotency-Key was used with another body or path.",
        instance=_path(request),
    )


async def _in_flight(request: Request, error: Exception) -> Response:
    return render(
        "in-flight",
        "The first request with this Idempotency-Key is still under way.",
        instance=_path(request),
        headers={"Retry-After": "1"},
    )


async def _unavailable(request: Request, error: Exception) -> Response:
    correlation_id = request.scope.get("correlation_id")
    logs.report(_log, "database", error, correlation_id=str(correlation_id))
    return unavailable(_path(request))


def unavailable(path: str) -> Response:
    """What a request is told whose database did not answer: whether anything was recorded, too."""
    work = work_at_hand.get()
    retry = {"Retry-After": "1"}
    if work is None or not work.committing:
        told = "The database did not answer in time. Nothing was recorded."
        return render("unavailable", told, instance=path, headers=retry)
    told = (
        "The database did not say in time whether the request was recorded: it may have been. "
        "Send it again with the same Idempotency-Key; without one, look before you do."
    )
    return render("unavailable", told, instance=path, headers=retry, outcome="unknown")


def _path(request: Request) -> str:
    return request.url.path


# Database errors that a moment's waiting may heal.
OUTAGES: tuple[type[Exception], ...] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What the driver says of a connection that was lost between two messages of one statement.
    asyncpg.InternalClientError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
)


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""
    app.add_exception_handler(errors.Refusal, _refusal)
    app.add_exception_handler(ApiProblem, _api_problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(WrongExpectedVersion, _stale)
    app.add_exception_handler(KeyReused, _key_reused)
    app.add_exception_handler(KeyInFlight, _in_flight)
    for outage in OUTAGES:
        app.add_exception_handler(outage, _unavailable)


def declared(*names: str) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: its problems by status, each named in the description."""
    responses: dict[int | str, dict[str, Any]] = {}
    for name in dict.fromkeys(names):
        kind = KINDS[name]
        response = responses.setdefault(
            kind.status, {"description": "", "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
        )
        told = f"`/problems/{name}`: {kind.title}."
        response["description"] = f"{response['description']} {told}".strip()
    return responses


_SCHEMA = {"$ref": "#/components/schemas/Problem"}
ALWAYS = (
    "unauthenticated",
    "forbidden",
    "out-of-reach",
    "not-found",
    "bad-request",
    "uri-too-long",
    "invalid",
    "too-many-requests",
    "headers-too-large",
    "internal",
    "overloaded",
    "unavailable",
)
WRITES = (
    *ALWAYS,
    "malformed-json",
    "request-timeout",
    "unsupported-media-type",
    "idempotency-key-required",
    "in-flight",
    "already-exists",
    "invalid-state",
    "stale-version",
    "too-large",
    "refused",
    "idempotency-key-reused",
)
_UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "What If-None-Match names is still what is there."}
}
READING = _UNCHANGED | declared(*ALWAYS, "outside-ledger")
"""Of a route that shows one resource."""
SHEET: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}}
}
"""Of a route that shows a list: it can be had as CSV."""
LISTING = SHEET | _UNCHANGED | declared(*ALWAYS, "outside-ledger", "page-token")
"""Of a route that shows a page of a list of one organisation's."""
