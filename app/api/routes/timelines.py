"""Looking back over time: what changed between two moments, and all that befell one thing."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.api.demands import demands
from app.api.lists import LARGEST_PAGE, Listing, ListState, lists
from app.api.problems import LISTING, ApiProblem
from app.api.reading import PointInTime, moment_asked, reads_between
from app.application.ledgers import Reader
from app.domain.access import Scope
from app.queries import diff, timeline
from app.queries.diff import ChangeView, Difference, DiffView, Found
from app.queries.timeline import TimelineEventView, Told, Wanted
from app.queries.views import Page

router = APIRouter(prefix="/v1/organizations/{organization_id}")
ListBetween = Annotated[Listing, lists(Scope.HISTORY_READ, reads_between)]
_TOGETHER = 10 * LARGEST_PAGE
"""Events of a timeline's sheet at once: each time, all that came before are folded again."""


@router.get(
    "/diff",
    operation_id="get_diff",
    tags=["history"],
    response_model=DiffView,
    responses=LISTING,
)
@demands(long=True)
async def get_diff(
    organization_id: UUID,
    page: ListBetween,
    begin: Annotated[
        PointInTime,
        Query(
            alias="from",
            description="The earlier point: a ledger position, or an RFC 3339 moment of "
            "recording. By default the ledger's first event.",
            examples=["42"],
        ),
    ] = None,
    end: Annotated[
        PointInTime,
        Query(
            alias="to",
            description="The later point, by default now. State it, so that pages fit together.",
            examples=["57"],
        ),
    ] = None,
    cycle_id: Annotated[UUID | None, Query(description="Only what is of this cycle.")] = None,
    objective_id: Annotated[
        UUID | None,
        Query(description="Only this objective, what it consists of and what it is tied to."),
    ] = None,
) -> Response:
    """What is different between two points of the ledger, resource by resource.

    In data and in words, with the events that it came of. Keys, answers to surveys, warnings and
    external ids are left out. A sheet does not say between which positions: state both.
    """
    first = 1 if begin is None else moment_asked(begin, "from")
    last = moment_asked(end, "to")
    read, paging = page.read, page.paging
    async with read.reader() as reader:
        found = await diff.find(
            read.ledgers, reader, first, last, cycle_id=cycle_id, objective_id=objective_id
        )
        if found.before.position > found.after.position:
            raise ApiProblem("invalid", "from must not lie after to.", pointer="from")
        numbered = list(enumerate(found.differences, 1))[paging.after :]
        if page.as_csv:
            return await page.sheet(reader, _told(found, [one for _, one in numbered]))
        rows, token = paging.page(numbered, lambda row: row[0])
        items = await diff.show(found, [one for _, one in rows])
    view = DiffView(
        items=items,
        next_page_token=token,
        from_position=found.before.position,
        to_position=found.after.position,
        total=len(found.differences),
        left_off=len(numbered) - len(rows),
    )
    return page.page(reader, view)


async def _told(
    found: Found, differences: list[Difference]
) -> AsyncGenerator[list[ChangeView], None]:
    for begin in range(0, len(differences), LARGEST_PAGE):
        yield await diff.show(found, differences[begin : begin + LARGEST_PAGE])


async def _timeline(page: Listing, of: Wanted, id: UUID) -> Response:
    async def fetch(reader: Reader, after: int, limit: int) -> list[Told]:
        return await timeline.events(reader, await of(reader, id), after, limit)

    return await page(fetch, timeline.show, lambda one: one.recorded.position, together=_TOGETHER)


@router.get(
    "/objectives/{objective_id:id}/timeline",
    operation_id="get_objective_timeline",
    tags=["objectives"],
    response_model=Page[TimelineEventView],
    responses=LISTING,
)
@demands(long=True)
async def get_objective_timeline(
    organization_id: UUID, objective_id: UUID, page: ListState
) -> Response:
    """All that befell an objective, its key results, alignments, dependencies and blockers."""
    return await _timeline(page, timeline.of_objective, objective_id)


@router.get(
    "/key-results/{key_result_id:id}/timeline",
    operation_id="get_key_result_timeline",
    tags=["key results"],
    response_model=Page[TimelineEventView],
    responses=LISTING,
)
@demands(long=True)
async def get_key_result_timeline(
    organization_id: UUID, key_result_id: UUID, page: ListState
) -> Response:
    """All that befell a key result, its blockers, and what contributes to it."""
    return await _timeline(page, timeline.of_key_result, key_result_id)


@router.get(
    "/cycles/{cycle_id:id}/timeline",
    operation_id="get_cycle_timeline",
    tags=["cycles"],
    response_model=Page[TimelineEventView],
    responses=LISTING,
)
@demands(long=True)
async def get_cycle_timeline(organization_id: UUID, cycle_id: UUID, page: ListState) -> Response:
    """All that befell a cycle and the goals in it."""
    return await _timeline(page, timeline.of_cycle, cycle_id)
