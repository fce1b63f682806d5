"""Many check-ins at once: a batch that is answered when it is done, and a stream of any length."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Send
from starlette.types import Scope as Asked

from app.api.admission import Overloaded
from app.api.bodies.check_ins import CheckInBatchBody, CheckInItem, StreamedCheckIn, Unfit
from app.api.bodies.common import narrow
from app.api.callers import caller_still
from app.api.demands import demands
from app.api.lines import LONGEST_LINE, Line, LineReader
from app.api.middleware import DEEPEST, too_deep
from app.api.problems import (
    ALWAYS,
    OUTAGES,
    WRITES,
    ApiProblem,
    Problem,
    declared,
    document,
    encoded,
    refusal_document,
    summary,
    unavailable,
)
from app.api.writing import Write, creates, runs
from app.application.batches import Wanted, load, record
from app.application.idempotency import Answer
from app.application.pointers import pointed
from app.application.unit_of_work import UnitOfWork
from app.domain.access import Scope
from app.domain.check_in import CheckInTerms
from app.domain.errors import Refusal
from app.queries.check_ins import CheckInView, check_in_row, check_in_view
from app.transactions import Work, work_at_hand

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["check-ins"])
NDJSON = "application/x-ndjson"
_PROBLEMS = ("wrong-kind", "outside-cycle", "decision-refuses")


class CheckInBatchView(BaseModel):
    """The check-ins, in the order of the items."""

    items: list[CheckInView]


class ItemResultView(BaseModel):
    """What became of an item: the check-in, or the problem that it alone would have met."""

    status: int = Field(examples=[201])
    check_in: CheckInView | None = None
    problem: Problem | None = None


class BatchResultView(BaseModel):
    """A result for each item, in the order of the items."""

    items: list[ItemResultView]


class LineResultView(ItemResultView):
    """What became of a line, by its number, from 1."""

    line: int


# A batch ----------------------------------------------------------------------------------


@router.post(
    "/check-ins:batch",
    operation_id="record_check_ins",
    status_code=201,
    response_model=CheckInBatchView,
    responses={
        207: {"model": BatchResultView, "description": "Of `partial`: a result for each item."},
        **declared(*WRITES, *_PROBLEMS),
    },
)
@demands(long=True)
async def record_check_ins(
    organization_id: UUID,
    body: CheckInBatchBody,
    write: Annotated[Write, creates(Scope.CHECK_INS_WRITE)],
    partial: Annotated[
        bool, Query(description="Decide each item by itself; a refused one leaves the others.")
    ] = False,
) -> Response:
    """Check in on up to 1,000 key results: all or nothing, or each item by itself (`partial`).

    A refusal points to the item. Integrations send an Idempotency-Key, or an external id with
    every item.
    """
    items = body.items
    unfit = {n: item for n, item in enumerate(items) if isinstance(item, Unfit)}
    if unfit and not partial:
        raise RequestValidationError(
            [
                {**error, "loc": ("body", "items", n, *error["loc"])}
                for n, item in unfit.items()
                for error in item.errors
            ],
            body={"items": [item.sent if isinstance(item, Unfit) else {} for item in items]},
        )

    async def whole(unit: UnitOfWork) -> Answer:
        wanted = [_wanted(item) for item in items]
        await load(unit, wanted)
        ids = []
        for n, item in enumerate(wanted):
            try:
                ids.append(await record(unit, item))
            except Refusal as refusal:
                raise refusal.within(f"/items/{n}") from None
        views = await _views(unit, ids)
        made = [views[id].model_dump_json().encode() for id in ids]
        return Answer(201, _listed(made))

    async def each(unit: UnitOfWork) -> Answer:
        told = {n: _unfit(item, f"/items/{n}") for n, item in unfit.items()}
        fit = {n: _wanted(item) for n, item in enumerate(items) if n not in told}
        results = await _decide(unit, fit, told, lambda n: f"/items/{n}")
        return Answer(207, _listed([_result(*results[n]) for n in range(len(items))]))

    named = (not isinstance(item, Unfit) and item.external is None for item in items)
    return await write(each if partial else whole, recognised=not any(named))


def _listed(items: Sequence[bytes]) -> bytes:
    return b'{"items":[' + b",".join(items) + b"]}"


def _wanted(item: CheckInItem) -> Wanted:
    terms = narrow(CheckInTerms, item)
    return Wanted(item.key_result_id, terms, item.occurred_at, item.external)


def _unfit(item: Unfit, place: str = "") -> dict[str, Any]:
    listed = pointed(item.errors, item.sent)[:100]
    placed = [{**one, "pointer": place + one["pointer"]} for one in listed]
    return document("invalid", summary(placed), field_errors=placed)


async def _decide(
    unit: UnitOfWork,
    fit: Mapping[int, Wanted],
    told: Mapping[int, dict[str, Any]],
    place: Any,
) -> dict[int, tuple[CheckInView | None, dict[str, Any]]]:
    """Each item by itself: a check-in or a problem, by number."""
    await load(unit, list(fit.values()))
    problems, ids = dict(told), dict[int, UUID]()
    for n, item in fit.items():
        try:
            ids[n] = await record(unit, item)
        except Refusal as refusal:
            problems[n] = refusal_document(refusal.within(place(n)))
    views = await _views(unit, list(ids.values()))
    made: dict[int, tuple[CheckInView | None, dict[str, Any]]]
    made = {n: (views[id], {}) for n, id in ids.items()}
    return made | {n: (None, problem) for n, problem in problems.items()}


async def _views(unit: UnitOfWork, ids: Sequence[UUID]) -> dict[UUID, CheckInView]:
    rows = await unit.rows()
    return {id: check_in_view(await check_in_row(rows, id)) for id in ids}


def _result(made: CheckInView | None, problem: Mapping[str, Any], line: int | None = None) -> bytes:
    """An item's result as JSON."""
    at = b"" if line is None else b'"line":%d,' % line
    if made is not None:
        return b'{%b"status":201,"check_in":%b}' % (at, made.model_dump_json().encode())
    return b'{%b"status":%d,"problem":%b}' % (at, problem["status"], encoded(problem))


# A stream ---------------------------------------------------------------------------------


@router.post(
    "/check-ins:stream",
    operation_id="stream_check_ins",
    response_class=Response,
    responses={
        200: {
            "description": "A line for each line, in order, as soon as it stands; in the end "
            "`lines`, `recorded` and `refused`.",
            "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/LineResultView"}}},
        },
        **declared(*ALWAYS, "too-large", "unsupported-media-type"),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/StreamedCheckIn"}}},
        }
    },
)
@demands(by_line=True)
async def stream_check_ins(
    organization_id: UUID,
    request: Request,
    write: Annotated[Write, runs(Scope.CHECK_INS_WRITE)],
) -> Response:
    """Check in line by line, as many as there are: NDJSON in, NDJSON out.

    Every line has an external id, and is decided by itself, in transactions of some hundred. What
    was answered stands. If the connection breaks, send all of it again, or from the first line
    without an answer: what was recorded is told as already-exists.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != NDJSON:
        raise ApiProblem("unsupported-media-type", f"Send `Content-Type: {NDJSON}`.")
    return _Stream(request, write)


class _Cut(Exception):
    """A stream ends before its body does: why, as a problem."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.problem = problem


class _Stream(Response):
    """Reads and answers at the same time."""

    def __init__(self, request: Request, write: Write) -> None:
        super().__init__(media_type=NDJSON)
        # Its end is not known.
        del self.headers["content-length"]
        self._request = request
        self._write = write
        self._settings = request.app.state.settings
        self._counts = {"lines": 0, "recorded": 0, "refused": 0}

    async def __call__(self, scope: Asked, receive: Receive, send: Send) -> None:
        # Nothing to decide yet: refuses who may not, while there is a status to say so with.
        await self._decided([])
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        reader = LineReader(receive, patience=self._settings.body_seconds)
        # The first line that is not answered.
        line = 1
        try:
            while lines := await self._next(reader):
                line = lines[0].number
                await caller_still(self._request)
                await self._send(send, await self._decided(lines))
                line = lines[-1].number + 1
            end = encoded({**self._counts, "lines": reader.number}) + b"\n"
        except (ClientDisconnect, _Slow):
            return
        except _Cut as cut:
            end = _result(None, cut.problem, line) + b"\n"
        except ApiProblem as ended:
            end = _result(None, document(ended.name, ended.detail), line) + b"\n"
        finally:
            reader.close()
        await send({"type": "http.response.body", "body": end})

    async def _next(self, reader: LineReader) -> list[Line]:
        try:
            return await reader.some()
        except HTTPException as slow:
            raise _Cut(document("request-timeout", slow.detail)) from slow

    async def _send(self, send: Send, text: bytes) -> None:
        """A client that takes no answers while it sends is let go."""
        message = {"type": "http.response.body", "body": text, "more_body": True}
        try:
            await asyncio.wait_for(send(message), self._settings.body_seconds)
        except TimeoutError as slow:
            raise _Slow from slow

    async def _decided(self, lines: Sequence[Line]) -> bytes:
        """The answers to some lines, in one transaction, in a place among long work."""
        held = work_at_hand.set(Work(self._settings.request_timeout, is_long=True))
        lane = self._request.app.state.lanes.long
        try:
            await lane.enter()
            try:
                async with asyncio.timeout(self._settings.long_request_timeout):
                    return await self._recorded(lines)
            finally:
                lane.leave()
        except Overloaded as busy:
            if not lines:
                raise
            told = "There is more long work than the server can take. Go on from this line."
            raise _Cut(document("overloaded", told)) from busy
        except Refusal as refusal:
            if not lines:
                raise
            raise _Cut(refusal_document(refusal)) from refusal
        except OUTAGES as outage:
            if not lines:
                raise
            problem = json.loads(bytes(unavailable(self._request.url.path).body))
            raise _Cut(problem) from outage
        finally:
            work_at_hand.reset(held)

    async def _recorded(self, lines: Sequence[Line]) -> bytes:
        parsed = {line.number: _parsed(line) for line in lines}
        told = {n: one for n, one in parsed.items() if isinstance(one, dict)}
        fit = {n: one for n, one in parsed.items() if isinstance(one, Wanted)}
        results: dict[int, tuple[CheckInView | None, dict[str, Any]]] = {}

        async def work(unit: UnitOfWork) -> Answer:
            nonlocal results
            results = await _decide(unit, fit, told, lambda _: "")
            return Answer(200, b"")

        await self._write(work)
        recorded = sum(made is not None for made, _ in results.values())
        self._counts["recorded"] += recorded
        self._counts["refused"] += len(results) - recorded
        return b"".join(_result(*results[line.number], line.number) + b"\n" for line in lines)


class _Slow(Exception):
    """The client does not take what it is sent."""


def _parsed(line: Line) -> Wanted | dict[str, Any]:
    """What a line asks for, or why it cannot."""
    if line.text is None:
        return document("too-large", f"A line may have at most {LONGEST_LINE} bytes.")
    if too_deep(line.text):
        return document("bad-request", f"The line is nested more than {DEEPEST} levels deep.")
    try:
        sent = json.loads(line.text.decode())
    except (ValueError, RecursionError):
        return document("malformed-json", "The line is no complete JSON document in UTF-8.")
    try:
        return _wanted(StreamedCheckIn.model_validate(sent))
    except ValidationError as error:
        return _unfit(Unfit(sent, error.errors(include_url=False, include_context=False)))
