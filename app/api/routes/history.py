"""History: events as they were recorded, and the proof that what is shown is what they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import WithJsonSchema

from app.api import streams
from app.api.callers import caller_still, permit
from app.api.demands import demands
from app.api.lists import Listing, lists
from app.api.problems import ALWAYS, LISTING, ApiProblem, declared
from app.api.reading import Read, json_response, reads_now
from app.api.streams import EventStream, Found, Told
from app.application import verification
from app.application.ledgers import OutsideLedger, Reader
from app.domain.access import Scope
from app.domain.catalog import EVENTS, STREAMS
from app.domain.messages import Stream
from app.domain.values import Key
from app.events.store import Filter
from app.queries import cycles, history
from app.queries.history import EventView
from app.queries.views import Page, View

router = APIRouter(prefix="/v1/organizations/{organization_id}", tags=["history"])
ListHistory = Annotated[Listing, lists(Scope.HISTORY_READ)]
ReadLedger = Annotated[Read, reads_now(Scope.HISTORY_READ)]

_Type = Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(EVENTS)})]
Types = Annotated[
    list[_Type] | None,
    Query(alias="type", max_length=50, description="Only events of these types."),
]
After = Annotated[int, Query(ge=0, le=2**62, description="A ledger position.")]
Actor = Annotated[Key | None, Query(description="Only events by this actor, as recorded.")]
StreamName = Annotated[
    str | None,
    Query(
        alias="stream",
        max_length=100,
        description="Only events of this stream: `category/id`.",
        pattern=f"^({'|'.join(STREAMS)})/[0-9a-f]{{8}}-([0-9a-f]{{4}}-){{3}}[0-9a-f]{{12}}$",
        examples=["objective/01980000-0000-7000-8000-000000000001"],
    ),
]


def _stream(name: str | None) -> Stream | None:
    if name is None:
        return None
    category, _, id = name.partition("/")
    return Stream(category, UUID(id))


def _types(wanted: list[str] | None) -> list[str] | None:
    unknown = sorted(set(wanted or ()) - set(EVENTS))
    if unknown:
        raise ApiProblem("invalid", f"There are no events of type {unknown[0]!r}.", pointer="type")
    return wanted


async def _page(
    page: Listing,
    cycle_id: UUID | None,
    types: list[str] | None,
    actor: str | None,
    stream: str | None,
    after: int = 0,
) -> Response:
    wanted_types, wanted_stream = _types(types), _stream(stream)

    async def fetch(reader: Reader, page_after: int, limit: int) -> list[EventView]:
        if cycle_id is not None:
            await cycles.row(reader, cycle_id)
        wanted = Filter(
            after=max(page_after, after),
            up_to=reader.position,
            cycle_id=cycle_id,
            types=wanted_types,
            actor=actor,
            stream=wanted_stream,
        )
        return await history.events(reader, wanted, limit)

    async def show(_: Reader, found: list[EventView]) -> list[EventView]:
        return found

    return await page(fetch, show, lambda event: event.position)


@router.get(
    "/cycles/{cycle_id:id}/history",
    operation_id="get_cycle_history",
    response_model=Page[EventView],
    responses=LISTING,
)
async def get_cycle_history(
    organization_id: UUID,
    cycle_id: UUID,
    page: ListHistory,
    types: Types = None,
    actor: Actor = None,
    stream: StreamName = None,
) -> Response:
    """Every event of a cycle, in ledger order."""
    return await _page(page, cycle_id, types, actor, stream)


@router.get(
    "/events",
    operation_id="list_events",
    response_model=Page[EventView],
    responses=LISTING,
)
async def list_events(
    organization_id: UUID,
    page: ListHistory,
    after: After = 0,
    types: Types = None,
    actor: Actor = None,
    stream: StreamName = None,
) -> Response:
    """The whole ledger after a position. Positions have no gaps, so a reader misses nothing."""
    return await _page(page, None, types, actor, stream, after)


LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=18,
        pattern="^[0-9]{1,18}$",
        description="The position of the last event that arrived; it goes before `after`.",
    ),
]
Follow = Annotated[
    bool, Query(description="`false` ends the stream once all that is there was told.")
]


def _streaming(data: str, example: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {
            "description": "Server-Sent Events. `id` is an event's position, `event` its type, and "
            f"{data} Lines that begin with a colon say that the stream is there.",
            "content": {
                streams.MEDIA_TYPE: {
                    "schema": {"type": "string"},
                    "example": f"id: 42\nevent: check_in.recorded\ndata: {example}\n\n",
                }
            },
        }
    }


@router.get(
    "/events/stream",
    operation_id="stream_events",
    response_class=Response,
    responses=_streaming(
        "`data` the same JSON on one line as in GET .../events.", '{"position":42}'
    )
    | declared(*ALWAYS, "outside-ledger", "too-many-streams"),
)
async def stream_events(
    organization_id: UUID,
    request: Request,
    read: ReadLedger,
    after: After = 0,
    last_event_id: LastEventId = None,
    types: Types = None,
    actor: Actor = None,
    stream: StreamName = None,
    follow: Follow = True,
) -> Response:
    """The ledger after a position, and then each event as it is recorded (Server-Sent Events).

    Every event comes once, in ledger order; a client that connects again with `Last-Event-ID` goes
    on with the one after it. The stream ends when the key may read it no more, when the server is
    told to go, and when nothing of it is taken for a while.
    """
    wanted = Filter(types=_types(types), actor=actor, stream=_stream(stream))
    begin = _Beginning(after, last_event_id)
    return await _streamed(request, read, wanted, begin, history.events, follow=follow)


@router.get(
    "/changes/stream",
    operation_id="stream_changes",
    response_class=Response,
    responses=_streaming(
        "`data` says what changed, and nothing of what was said: read that again.",
        '{"position":42,"type":"check_in.recorded"}',
    )
    | declared(*ALWAYS, "outside-ledger", "too-many-streams"),
)
async def stream_changes(
    organization_id: UUID,
    request: Request,
    read: Annotated[Read, reads_now(Scope.READ)],
    after: After = 0,
    last_event_id: LastEventId = None,
    types: Types = None,
    follow: Follow = True,
) -> Response:
    """What changes, as it does (Server-Sent Events): for a page that is to stay true.

    As `stream_events`, for whoever may read goals: a change's position, its type, what it was made
    to, and its cycle. What becomes of keys, webhooks and answers to surveys is not told.
    """
    wanted, begin = Filter(types=_types(types)), _Beginning(after, last_event_id)
    return await _streamed(request, read, wanted, begin, history.changes, follow=follow)


class _Beginning(NamedTuple):
    """Where a stream goes on: what arrived last goes before what was asked for first."""

    after: int
    last_event_id: str | None

    @property
    def position(self) -> int:
        return self.after if self.last_event_id is None else int(self.last_event_id)

    @property
    def pointer(self) -> str:
        return "after" if self.last_event_id is None else "Last-Event-ID"


async def _streamed(
    request: Request,
    read: Read,
    wanted: Filter,
    begin: _Beginning,
    page: Callable[[Reader, Filter, int], Awaitable[Sequence[Told]]],
    *,
    follow: bool,
) -> EventStream:
    """Raises OutsideLedger."""
    async with read.reader() as reader:
        if begin.position > reader.position:
            raise OutsideLedger(
                f"The ledger has come to position {reader.position}, and not to {begin.position}.",
                pointer=begin.pointer,
            )

    async def look(position: int) -> Found:
        async with read.reader() as reader:
            here = replace(wanted, after=position, up_to=reader.position)
            told = await page(reader, here, streams.PAGE)
            seen = told[-1].position if len(told) == streams.PAGE else reader.position
        # Asked after reading: of what follows a revocation, nothing is told.
        caller = await caller_still(request)
        permit(caller, read.scope, read.org_id)
        return Found(told, seen, caller)

    return EventStream(request.app, read.org_id, read.caller, look, begin.position, follow=follow)


class LedgerView(View):
    """The head of a ledger: its last position, and the database's clock."""

    head: int
    at: datetime


class VerdictView(View):
    """`differences` is empty when the live rows are exactly what the events say.

    Of more than 1,000 the last line says how many more there are.
    """

    position: int
    rows: int
    identical: bool
    differences: list[str]


@router.get(
    "/ledger",
    operation_id="get_ledger",
    response_model=LedgerView,
    responses=declared(*ALWAYS),
)
async def get_ledger(organization_id: UUID, read: ReadLedger) -> Response:
    """The ledger's last position, and when it was recorded."""

    async def head(reader: Reader) -> LedgerView:
        return LedgerView(head=reader.position, at=reader.at)

    return await read(head)


@router.get(
    "/ledger:verify",
    operation_id="verify_ledger",
    response_model=VerdictView,
    responses=declared(*ALWAYS),
)
@demands(long_statements=True)
async def verify_ledger(organization_id: UUID, read: ReadLedger) -> Response:
    """Replay every event, and compare with every live row and every hash."""
    async with read.reader() as reader:
        verdict = await verification.verify(reader.conn, organization_id)
    view = VerdictView(
        position=verdict.position,
        rows=verdict.rows,
        identical=not verdict.differences,
        differences=list(verdict.differences),
    )
    return json_response(view.model_dump_json().encode())
