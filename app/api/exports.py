"""Lists as CSV (RFC 4180): flat columns with dotted names, the same whatever is listed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import types
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from app.queries.views import Resource

MEDIA_TYPE = "text/csv; charset=utf-8; header=present"
_IN_MEMORY = 1_000_000
_PART = 65_536
# A spreadsheet takes these for the beginning of a formula; OWASP names the last two as well.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def is_wanted(accept: str) -> bool:
    """Whether an Accept header names CSV, and likes nothing that is JSON better."""
    liked: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        given = (one.partition("=") for one in parameters)
        try:
            liked[kind] = next((float(value) for name, _, value in given if name == "q"), 1.0)
        except ValueError:
            liked[kind] = 0.0
    return liked.get("text/csv", 0.0) > liked.get("application/json", 0.0)


# Columns ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a cell is found. Of a list of resources or people, the cell has the ids.

    Of a list of texts, or of what has no id, it `is_json`: no character could part them.
    """

    path: tuple[str, ...]
    id: str | None = None
    is_json: bool = False

    @property
    def name(self) -> str:
        return ".".join((*self.path, self.id) if self.id else self.path)

    def cell(self, item: dict[str, Any]) -> str:
        found: Any = item
        for name in self.path:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, list) and self.is_json:
            return _as_json(found) if found else ""
        if isinstance(found, list):
            return " ".join(_plain(one[self.id] if self.id else one) for one in found)
        return _plain(found)


def _plain(value: Any) -> str:
    """A value as it is written; text that a spreadsheet would compute gets an apostrophe."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if value is None:
        return ""
    if isinstance(value, dict):
        return _as_json(value)
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@cache
def columns(view: type[BaseModel]) -> tuple[_Column, ...]:
    """The columns of a view, in the order of its fields. A union has those of all its members."""
    return tuple(dict.fromkeys(_columns(view, ())))


def _columns(annotation: Any, path: tuple[str, ...]) -> Iterator[_Column]:
    members = list(_members(annotation))
    models = [one for one in members if _is_model(one)]
    for model in models:
        for name, field in model.model_fields.items():
            yield from _columns(field.annotation, (*path, name))
    for one in members:
        if get_origin(one) in (list, tuple):
            inside = list(_members(get_args(one)[0]))
            id = _id_of(inside)
            yield _Column(path, id, is_json=id is None and not _are_words(inside))
        elif not models:
            yield _Column(path)


def _id_of(inside: list[Any]) -> str | None:
    """By which of its fields a thing in a list can be asked for."""
    models = [one for one in inside if _is_model(one)]
    if any(issubclass(one, Resource) for one in models):
        return "id"
    return "person_id" if any("person_id" in one.model_fields for one in models) else None


def _are_words(inside: list[Any]) -> bool:
    """Whether things in a list have no spaces: ids, and words that are defined."""
    return not any(one is str or get_origin(one) is dict or _is_model(one) for one in inside)


def _members(annotation: Any) -> Iterator[Any]:
    """The types that a field may have, None aside."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _members(one)
    elif annotation is not type(None):
        yield annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


# Sheets -----------------------------------------------------------------------------------


class Sheet:
    """A sheet that is written row by row: in memory up to a megabyte, then in a file.

    It is whole before any of it is sent. So whoever takes it slowly holds no transaction open, and
    what fails is a problem rather than half a sheet.
    """

    def __init__(self, view: type[BaseModel]) -> None:
        self._columns = columns(view)
        self._file: IO[bytes] = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (sent later)
        self._digest = hashlib.sha256()
        self.length = 0
        self._write([[column.name for column in self._columns]])

    def add(self, views: Iterable[BaseModel]) -> None:
        dumped = (view.model_dump(mode="json") for view in views)
        self._write([column.cell(item) for column in self._columns] for item in dumped)

    def _write(self, rows: Iterable[list[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        part = text.getvalue().encode()
        self._digest.update(part)
        self.length += len(part)
        self._file.write(part)

    @property
    def etag(self) -> str:
        return f'"{self._digest.hexdigest()[:16]}"'

    async def parts(self) -> AsyncIterator[bytes]:
        with self._file:
            self._file.seek(0)
            while part := self._file.read(_PART):
                yield part

    def drop(self) -> None:
        self._file.close()
