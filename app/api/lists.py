"""Lists: a page at a time, with a token that leads to the next one."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request, Response
from sqlmodel import SQLModel

from app.api.dependencies import Read, reads
from app.api.problems import ApiProblem
from app.application.ledgers import Reader
from app.domain.access import Scope
from app.queries.views import Page, View

T = TypeVar("T")
R = TypeVar("R", bound=SQLModel)

DEFAULT_PAGE, LARGEST_PAGE = 50, 500


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page begins and how long it is. A token fits only the query that it came from."""

    request: Request
    after: int
    size: int

    def page(self, rows: list[T], position: Callable[[T], int]) -> tuple[list[T], str | None]:
        """The page's rows, of up to one more than fit, and the token of the next page."""
        if len(rows) <= self.size:
            return rows, None
        shown = rows[: self.size]
        token = json.dumps([position(shown[-1]), _query_of(self.request)], separators=(",", ":"))
        return shown, base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")

    def link(self, token: str) -> str:
        following = self.request.url.include_query_params(page_token=token)
        return f'<{following.path}?{following.query}>; rel="next"'


def _query_of(request: Request) -> str:
    """A fingerprint of what is asked for, whatever the page."""
    kept = sorted(
        (k, v)
        for k, v in request.query_params.multi_items()
        if k not in ("page_token", "page_size")
    )
    content = json.dumps([request.url.path, kept])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


async def _paging(
    request: Request,
    page_size: Annotated[
        int, Query(ge=1, description="At most 500; more is taken as 500.")
    ] = DEFAULT_PAGE,
    page_token: Annotated[str | None, Query(max_length=500)] = None,
) -> Paging:
    after = 0
    if page_token is not None:
        try:
            padded = page_token + "=" * (-len(page_token) % 4)
            after, of_query = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
            fits = of_query == _query_of(request) and isinstance(after, int) and 0 <= after < 2**62
        except (ValueError, TypeError, RecursionError):
            fits = False
        if not fits:
            raise ApiProblem(
                "page-token",
                "page_token belongs to another query, or is no token.",
                pointer="page_token",
            )
    return Paging(request, after, min(page_size, LARGEST_PAGE))


Show = Callable[[Reader, list[T]], Awaitable[Sequence[View]]]
"""Makes views of a page's rows."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Answers with a page of a list, in one consistent view."""

    read: Read
    paging: Paging

    async def __call__(
        self,
        fetch: Callable[[Reader, int, int], Awaitable[list[T]]],
        show: Show[T],
        position: Callable[[T], int],
    ) -> Response:
        """`fetch(reader, after, limit)` finds what follows a position, `show` makes views of it."""
        read, paging = self.read, self.paging
        async with read.reader() as reader:
            found = await fetch(reader, paging.after, paging.size + 1)
            rows, token = paging.page(found, position)
            views = await show(reader, rows)
        headers = {} if token is None else {"Link": paging.link(token)}
        return read.show(Page[Any](items=list(views), next_page_token=token), reader, **headers)

    async def rows(
        self,
        table: type[R],
        show: Show[R],
        *,
        within: Callable[[Reader], Awaitable[object]] | None = None,
        **where: Any,
    ) -> Response:
        """Rows of a table whose columns equal what is stated; None does not matter.

        `within` raises NotFound where what the list belongs to is unknown.
        """
        stated = {name: value for name, value in where.items() if value is not None}

        async def fetch(reader: Reader, after: int, limit: int) -> list[R]:
            if within is not None:
                await within(reader)
            return await reader.rows.select(table, stated, after=after, limit=limit)

        return await self(fetch, show, lambda row: int(row.position))  # type: ignore[attr-defined]


def each(view: Callable[[R], View]) -> Show[R]:
    """Shows rows one by one."""

    async def show(_: Reader, rows: list[R]) -> list[View]:
        return [view(row) for row in rows]

    return show


def lists(scope: Scope) -> Any:
    """The dependency of a route that lists one organisation's state."""

    async def dependency(read: Read = reads(scope), paging: Paging = Depends(_paging)) -> Listing:
        return Listing(read, paging)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


ListState = Annotated[Listing, lists(Scope.READ)]
