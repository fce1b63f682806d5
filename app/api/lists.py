"""Lists: a page at a time, with a token that leads to the next one; or whole, as CSV."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints
from sqlmodel import SQLModel

from app.api.exports import MEDIA_TYPE as CSV
from app.api.exports import Sheet, is_wanted
from app.api.problems import ApiProblem
from app.api.reading import Read, reads, reads_then
from app.application.ledgers import Reader
from app.domain.access import Scope
from app.queries.choice import Key, ordered
from app.queries.views import Page, View, is_settled

T = TypeVar("T")
R = TypeVar("R", bound=SQLModel)

DEFAULT_PAGE, LARGEST_PAGE = 50, 500

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""What is looked for in titles, whatever the case."""

_KEYS = (str, int, float, type(None))
_KEY_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Paging:
    """Where a page begins and how long it is. A token fits only the query that it came from."""

    request: Request
    after: int
    size: int
    key: Key = None

    def token(self, after: int, *key: Key) -> str:
        """What leads to what follows a position; in a sorted list, to what follows a key, too."""
        content = [after, _query_of(self.request), *key]
        token = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")

    def page(self, rows: list[T], position: Callable[[T], int]) -> tuple[list[T], str | None]:
        """The page's rows, of up to one more than fit, and the token of the next page."""
        if len(rows) <= self.size:
            return rows, None
        shown = rows[: self.size]
        return shown, self.token(position(shown[-1]))

    def link(self, token: str) -> str:
        following = self.request.url.include_query_params(page_token=token)
        return f'<{following.path}?{following.query}>; rel="next"'


def _query_of(request: Request) -> str:
    """A fingerprint of what is asked for, whatever the page."""
    kept = sorted(
        (k, v)
        for k, v in request.query_params.multi_items()
        if k not in ("page_token", "page_size", "format")
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
    after, key = 0, list[Key]()
    if page_token is not None:
        try:
            padded = page_token + "=" * (-len(page_token) % 4)
            after, of_query, *key = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
            fits = of_query == _query_of(request) and isinstance(after, int) and 0 <= after < 2**62
            fits = fits and len(key) <= 1 and all(isinstance(one, _KEYS) for one in key)
        except (ValueError, TypeError, RecursionError):
            fits = False
        if not fits:
            raise _misfit()
    return Paging(request, after, min(page_size, LARGEST_PAGE), *key)


def _misfit() -> ApiProblem:
    told = "page_token belongs to another query, or is no token."
    return ApiProblem("page-token", told, pointer="page_token")


# What is listed ---------------------------------------------------------------------------


Show = Callable[[Reader, list[T]], Awaitable[Sequence[View]]]
"""Makes views of a page's rows."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a table's rows is listed, beyond what its columns equal, and in which order.

    `rows` leaves out rows, `views` what their views do not fit. By `key` views are sorted; equals
    stay in the order of the ledger, and what has no key comes last.
    """

    rows: Callable[[Reader, list[Any]], Awaitable[list[Any]]] | None = None
    views: Callable[[Any], bool] | None = None
    key: Callable[[Any], Key] | None = None
    downwards: bool = False

    def key_of(self, view: View) -> Key:
        found = self.key(view) if self.key else None
        # It has to fit into a token.
        return found[:_KEY_LENGTH] if isinstance(found, str) else found

    def follows(self, one: _Place, paging: Paging) -> bool:
        """Whether something comes after the page before. Raises ApiProblem for a forged token."""
        key, last = one.key, paging.key
        if (key is None) != (last is None):
            return key is None
        if key is None or key == last:
            return one.position > paging.after
        try:
            return (key > last) != self.downwards  # type: ignore[operator]
        except TypeError:
            raise _misfit() from None


ALL = Choice()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a list something stands."""

    position: int
    key: Key = None


@dataclass(frozen=True, slots=True)
class _Source:
    """The rows of a table that are listed, with their views, some at a time."""

    reader: Reader
    table: type[Any]
    show: Show[Any]
    stated: dict[str, Any]
    choice: Choice

    async def following(self, paging: Paging, size: int) -> AsyncGenerator[list[_Listed], None]:
        if self.choice.key is None:
            async for listed in self._in_order(paging.after, size):
                yield listed
            return
        places: list[_Place] = []
        async for listed in self._in_order(0, LARGEST_PAGE):
            places += [place for place, _ in listed]
        places = ordered(places, lambda one: one.key, downwards=self.choice.downwards)
        if paging.after:
            places = [one for one in places if self.choice.follows(one, paging)]
        for begin in range(0, len(places), size):
            here = places[begin : begin + size]
            rows = await self.reader.rows.select(
                self.table, {"position": [one.position for one in here]}
            )
            views = await self.show(self.reader, rows)
            found = {row.position: view for row, view in zip(rows, views, strict=True)}
            yield [(one, found[one.position]) for one in here]

    async def views(self, paging: Paging) -> AsyncGenerator[Sequence[View], None]:
        """All that follow, some at a time."""
        async with aclosing(self.following(paging, LARGEST_PAGE)) as batches:
            async for listed in batches:
                yield [view for _, view in listed]

    async def _in_order(self, after: int, size: int) -> AsyncGenerator[list[_Listed], None]:
        choice = self.choice
        while True:
            found = await self.reader.rows.select(self.table, self.stated, after=after, limit=size)
            rows = found if choice.rows is None else await choice.rows(self.reader, found)
            views = await self.show(self.reader, rows)
            yield [
                (_Place(row.position, choice.key_of(view)), view)
                for row, view in zip(rows, views, strict=True)
                if choice.views is None or choice.views(view)
            ]
            if len(found) < size:
                return
            after = found[-1].position


_Listed = tuple[_Place, View]


def _first(listed: list[_Listed], size: int) -> list[_Listed]:
    """The first so many. What one event led to is not parted: the next page follows a position.

    There are fewer of them for that, and more only where one event led to more.
    """
    positions = [place.position for place, _ in listed]
    if len(listed) <= size or positions[size - 1] != positions[size]:
        return listed[:size]
    begin = positions.index(positions[size])
    return listed[:begin] or listed[: positions.count(positions[0])]


@dataclass(frozen=True, slots=True)
class Listing:
    """Answers with a page of a list, in one consistent view."""

    read: Read
    paging: Paging
    as_csv: bool

    async def __call__(
        self,
        fetch: Callable[[Reader, int, int], Awaitable[list[T]]],
        show: Show[T],
        position: Callable[[T], int],
        *,
        together: int = LARGEST_PAGE,
    ) -> Response:
        """`fetch(reader, after, limit)` finds what follows a position, `show` makes views of it.

        For a sheet, `together` rows are fetched at once.
        """
        paging = self.paging
        async with self.read.reader() as reader:
            if self.as_csv:
                batches = _batches(reader, fetch, show, position, paging.after, together)
                return await self.sheet(reader, batches)
            found = await fetch(reader, paging.after, paging.size + 1)
            rows, token = paging.page(found, position)
            views = await show(reader, rows)
        return self.page(reader, Page[Any](items=list(views), next_page_token=token))

    def page(self, reader: Reader, page: Page[Any]) -> Response:
        """A page, with a link to the next one."""
        headers = {"Vary": "Accept"}
        if page.next_page_token is not None:
            headers["Link"] = self.paging.link(page.next_page_token)
        return self.read.show(page, reader, **headers)

    async def rows(
        self,
        table: type[R],
        show: Show[R],
        *,
        within: Callable[[Reader], Awaitable[object]] | None = None,
        narrow: Callable[[Reader], Awaitable[Mapping[str, Any]]] | None = None,
        choice: Choice = ALL,
        **where: Any,
    ) -> Response:
        """Rows of a table whose columns equal what is stated; None does not matter.

        `within` raises NotFound where what the list belongs to is unknown. `narrow` states more,
        which has to be looked up; `choice` says what of it all is shown.
        """
        stated = {name: value for name, value in where.items() if value is not None}

        async def answered(reader: Reader) -> Response:
            more = dict[str, Any]()
            if within is not None:
                await within(reader)
            if narrow is not None:
                more.update(await narrow(reader))
            source = _Source(reader, table, show, {**stated, **more}, choice)
            if self.as_csv:
                return await self.sheet(reader, source.views(self.paging))
            return await self._page(source)

        async with self.read.reader() as reader:
            if is_settled(show):
                return await self.read.unless_known(reader, answered)
            return await answered(reader)

    async def _page(self, source: _Source) -> Response:
        paging, listed, shown = self.paging, list[_Listed](), list[_Listed]()
        # Where some are left out, more are looked at than shown.
        batch = paging.size + 1 if source.choice == ALL else max(paging.size + 1, DEFAULT_PAGE)
        async with aclosing(source.following(paging, batch)) as batches:
            async for found in batches:
                listed += found
                shown = _first(listed, paging.size)
                if len(listed) > len(shown):
                    break
        token = None
        if len(listed) > len(shown):
            last = shown[-1][0]
            token = paging.token(last.position, *([last.key] if source.choice.key else []))
        items = [view for _, view in shown]
        return self.page(source.reader, Page[Any](items=items, next_page_token=token))

    async def sheet(
        self, reader: Reader, batches: AsyncGenerator[Sequence[View], None]
    ) -> Response:
        """All that follows, of whatever is listed here."""
        request = self.paging.request
        sheet = Sheet(_item_of(request))
        try:
            async with aclosing(batches):
                async for views in batches:
                    sheet.add(views)
            unsent = self.read.send(b"", sheet.etag, reader, CSV, **sheet_headers(request, sheet))
        except BaseException:
            sheet.drop()
            raise
        if unsent.status_code == 304:
            sheet.drop()
            for name in ("Content-Length", "Content-Disposition"):
                del unsent.headers[name]
            return unsent
        return StreamingResponse(sheet.parts(), 200, dict(unsent.headers), CSV)


async def _batches(
    reader: Reader,
    fetch: Callable[[Reader, int, int], Awaitable[list[T]]],
    show: Show[T],
    position: Callable[[T], int],
    after: int,
    size: int,
) -> AsyncGenerator[Sequence[View], None]:
    while True:
        found = await fetch(reader, after, size)
        yield await show(reader, found)
        if len(found) < size:
            return
        after = position(found[-1])


def _item_of(request: Request) -> type[View]:
    """What the list that is asked for consists of."""
    model = request.scope["route"].response_model
    item: type[View] = model.model_fields["items"].annotation.__args__[0]
    return item


def sheet_headers(request: Request, sheet: Sheet) -> dict[str, str]:
    name = request.url.path.rpartition("/")[2]
    return {
        "Content-Length": str(sheet.length),
        "Content-Disposition": f'attachment; filename="{name}.csv"',
        "Vary": "Accept",
    }


def each(view: Callable[[R], View]) -> Show[R]:
    """Shows rows one by one."""

    async def show(_: Reader, rows: list[R]) -> list[View]:
        return [view(row) for row in rows]

    return show


async def _as_csv(
    request: Request,
    format: Annotated[
        Literal["json", "csv"] | None,
        Query(
            description="`csv` is the whole list as one sheet, from the page token on. Without "
            "it, `Accept: text/csv` says the same."
        ),
    ] = None,
) -> bool:
    if format is not None:
        return format == "csv"
    return is_wanted(", ".join(request.headers.getlist("accept")))


AsCsv = Annotated[bool, Depends(_as_csv)]


def lists(scope: Scope, reading: Callable[[Scope], Any] = reads) -> Any:
    """The dependency of a route that lists one organisation's state."""

    async def dependency(
        as_csv: AsCsv, read: Read = reading(scope), paging: Paging = Depends(_paging)
    ) -> Listing:
        return Listing(read, paging, as_csv)

    dependency.scope = scope  # type: ignore[attr-defined]
    return Depends(dependency)


ListState = Annotated[Listing, lists(Scope.READ)]
ListThen = Annotated[Listing, lists(Scope.READ, reads_then)]
