"""What commands, events and deciders are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

from app.domain.access import ORGANIZATION, Concern
from app.domain.values import ExternalRef, Value


class Stream(NamedTuple):
    """The address of one aggregate's events inside a ledger."""

    category: str
    id: UUID

    def __str__(self) -> str:
        return f"{self.category}/{self.id}"


class Event(Value):
    """Something that happened. Its stored type name is chosen, never derived from the class.

    A subclass states `type=`; its aggregate's base class states `stream=` (category) and `key=`
    (the field that holds the stream's id). A change of fields raises `version=` and adds an
    upcaster.
    """

    type_name: ClassVar[str] = ""
    schema_version: ClassVar[int] = 1
    category: ClassVar[str] = ""
    key_field: ClassVar[str] = ""

    def __init_subclass__(
        cls, *, type: str = "", version: int = 1, stream: str = "", key: str = "", **rest: Any
    ) -> None:
        super().__init_subclass__(**rest)
        cls.type_name = type
        cls.schema_version = version
        if stream:
            cls.category = stream
            cls.key_field = key

    @property
    def stream(self) -> Stream:
        return Stream(self.category, getattr(self, self.key_field))


class _Unknown:
    def __repr__(self) -> str:
        return "<not looked up>"


_UNKNOWN: Any = _Unknown()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(ABC):
    """A wish, with everything needed to judge it: ids, the moment, and facts looked up for it.

    Whoever constructs a command states the wish; `at` and the facts are filled in under the
    ledger's lock. Tests pass them like any other field.
    """

    at: datetime = _UNKNOWN

    category: ClassVar[str] = ""

    @property
    @abstractmethod
    def stream(self) -> Stream:
        """The aggregate this command is addressed to."""

    def concerns(self, state: Any) -> tuple[Concern, ...]:
        """Whose business it is; one of them is enough. By default, the whole organisation's."""
        return (ORGANIZATION,)

    def source(self, state: Any) -> str | None:
        """The other system that speaks, where one does."""
        external: ExternalRef | None = getattr(self, "external", None)
        return None if external is None else external.source


@dataclass(frozen=True)
class Lookup:
    """A fact to be looked up, under the ledger's lock, before a command is decided.

    `name` is a stream category (the fact is that aggregate's state) or a named query of the
    application; `by` derives its key from (state, command).
    """

    name: str
    by: Callable[[Any, Any], Any]


def looked_up(name: str, by: Callable[[Any, Any], Any]) -> Any:
    """A command's field that the application fills in; tests pass it like any other."""
    return field(default=_UNKNOWN, metadata={"lookup": Lookup(name, by)}, repr=False)


def lookups(command: Command) -> Mapping[str, Lookup]:
    """The facts that a command asks for, by field."""
    kind: Any = type(command)
    return _lookups(kind)


@cache
def _lookups(kind: Any) -> Mapping[str, Lookup]:
    return {f.name: f.metadata["lookup"] for f in fields(kind) if "lookup" in f.metadata}


S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Decider(Generic[S, C, E]):
    """An aggregate in four fields. `decide` may emit events of several streams of its ledger."""

    category: str
    initial: S
    evolve: Callable[[S, E], S]
    decide: Callable[[S, C], Sequence[Event]]

    def fold(self, events: Sequence[E], onto: S | None = None) -> S:
        """The state that events lead to, from the initial one or from an earlier one."""
        state = self.initial if onto is None else onto
        for event in events:
            state = self.evolve(state, event)
        return state
