"""What is shared by everything that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from app.application.ledgers import Reader
from app.domain.values import OwnerKind, as_json_number
from app.events.tables import DirectoryRow
from app.projections.teams import TeamRow

T = TypeVar("T")


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True, slots=True)
class Written:
    """A view that is JSON already. It has no version."""

    body: bytes


Q = TypeVar("Q", bound=Callable[..., Any])

_settled: set[Callable[..., Any]] = set()


def settled(query: Q) -> Q:
    """Says of a query that its answer changes with nothing but the ledger, what goes with it in one
    transaction (the directory), and time; and that it tells its reader's horizon of the time.
    """
    _settled.add(query)
    return query


def is_settled(query: Callable[..., Any]) -> bool:
    return query in _settled


class Resource(View):
    """A thing with a stream of its own: its version is its ETag."""

    id: UUID
    version: int = Field(ge=1, description="Version of its stream; its ETag begins with it.")


class Page(View, Generic[T]):
    """`next_page_token` is null on the last page."""

    items: list[T]
    next_page_token: str | None = None


Figure = Annotated[
    Any,
    PlainSerializer(lambda d: None if d is None else as_json_number(d)),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}),
]
"""A share of 0 to 1 with at most 4 decimals, or null where there is none yet."""


class OwnerView(View):
    """A team or a person; the name is null for a person erased from the directory."""

    kind: OwnerKind
    id: UUID
    name: str | None


Ref = tuple[str, UUID]


async def owners(reader: Reader, refs: Iterable[Ref]) -> dict[Ref, OwnerView]:
    """Owners with their names, in at most two round trips."""
    wanted = set(refs)
    teams = [id for kind, id in wanted if kind == OwnerKind.TEAM]
    people = [id for kind, id in wanted if kind == OwnerKind.PERSON]
    names: dict[Ref, str] = {}
    if teams:
        for row in await reader.rows.select(TeamRow, {"team_id": teams}):
            names[OwnerKind.TEAM, row.team_id] = row.name
    if people:
        for person in await directory(reader, people):
            names[OwnerKind.PERSON, person.person_id] = person.name
    return {
        (kind, id): OwnerView(kind=OwnerKind(kind), id=id, name=names.get((kind, id)))
        for kind, id in wanted
    }


async def directory(reader: Reader, people: list[UUID]) -> list[DirectoryRow]:
    """Directory entries. They have no history: what was erased is gone from the past too."""
    return await reader.present.select(DirectoryRow, {"person_id": people})
