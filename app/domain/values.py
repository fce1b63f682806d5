"""Values shared by commands, events and the API: each is declared once, here, with its bounds."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    StringConstraints,
    WithJsonSchema,
    WrapSerializer,
)

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)


def made(model: Callable[P, M], *_: P.args, **values: P.kwargs) -> M:
    """A model of values that are of its types already, as validation leaves them: nothing is
    looked at.

    What was derived from validated values need not be validated again. Like `model_construct`,
    which takes longer than validation, as it asks about every field.
    """
    cls = cast(type[M], model)
    one = cls.__new__(cls)
    object.__setattr__(one, "__dict__", {**_defaults(cls), **values})
    object.__setattr__(one, "__pydantic_fields_set__", set(values))
    object.__setattr__(one, "__pydantic_extra__", None)
    object.__setattr__(one, "__pydantic_private__", None)
    return one


@cache
def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Of every field, in order; of one that has none, what pydantic has in its place."""
    return {name: field.default for name, field in model.model_fields.items()}


class Value(BaseModel):
    """An immutable value; an unknown field is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def tagged(*fields: str) -> ConfigDict:
    """For a member of a union: the JSON Schema demands the fields that tell the members apart."""

    def demand(schema: dict[str, Any]) -> None:
        schema["required"] = sorted({*fields, *schema.get("required", ())})

    return ConfigDict(json_schema_extra=demand)


# Postgres text cannot hold NUL, and other control characters only ever arrive by accident.
_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
_BREAK = r"\t\n\r\x85\u2028\u2029"
_NOT_PRINTABLE = re.compile(f"[{_CONTROL}]")
_LINE_BREAK = re.compile(f"[{_BREAK}]")


def _printable(text: str) -> str:
    if _NOT_PRINTABLE.search(text):
        raise ValueError("remove the control characters (such as NUL) from this text")
    return text


def _single_line(text: str) -> str:
    if _LINE_BREAK.search(text):
        raise ValueError("write this on a single line, without tabs or line breaks")
    return text


def _pattern(excluded: str) -> dict[str, Any]:
    """For the JSON Schema: none of these characters, and not only white space."""
    return {"pattern": f"^[^{excluded}]*[^\\s{excluded}][^{excluded}]*$"}


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
    AfterValidator(_printable),
    AfterValidator(_single_line),
    Field(json_schema_extra=_pattern(_CONTROL + _BREAK)),
]
"""One line of text: 1 to 300 characters, surrounding white space removed."""


def _sealed(text: str, plain: SerializerFunctionWrapHandler, info: SerializationInfo[Any]) -> str:
    sealed: str = info.context["seal"](text) if info.context else plain(text)
    return sealed


Prose = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000),
    AfterValidator(_printable),
    Field(json_schema_extra=_pattern(_CONTROL)),
    WrapSerializer(_sealed, when_used="json"),
]
"""Free text: 1 to 10,000 characters, line breaks allowed. It is what can be erased.

Whoever keeps it passes `seal`, which makes it unreadable without a key, as serialisation context.
"""


def _only_a_number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("give a JSON number, not text or a boolean")
    return value


def as_json_number(value: Decimal) -> int | float:
    """A decimal of at most 15 significant digits survives the way through a JSON number exactly."""
    whole = value.to_integral_value()
    return int(whole) if whole == value else float(value)


def _rounded(places: str) -> AfterValidator:
    """Half to even, so that what arithmetic in doubles left behind is not taken for precision."""
    step = Decimal(places)
    return AfterValidator(lambda value: value.quantize(step, ROUND_HALF_EVEN).normalize())


_as_number = PlainSerializer(as_json_number, return_type=int | float, when_used="json")
LARGEST = 10**9

Number = Annotated[
    Decimal,
    BeforeValidator(_only_a_number),
    Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False),
    _rounded("0.000001"),
    _as_number,
    WithJsonSchema({"type": "number", "minimum": -LARGEST, "maximum": LARGEST}),
]
"""An exact decimal: at most a thousand million either way, rounded at 6 decimals."""

Share = Annotated[
    Decimal,
    BeforeValidator(_only_a_number),
    Field(ge=0, le=1, allow_inf_nan=False),
    _rounded("0.0001"),
    _as_number,
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]
"""A share, probability, progress or score: 0 to 1, rounded at 4 decimals."""

_FOUR_PLACES = Decimal("0.0001")


def share(value: Decimal) -> Decimal:
    """Clip to 0..1 and round half to even at 4 decimals: the one rounding rule of all figures."""
    clipped = min(max(value, Decimal(0)), Decimal(1))
    return clipped.quantize(_FOUR_PLACES, ROUND_HALF_EVEN).normalize()


def utc(moment: datetime) -> datetime:
    """The same moment in UTC. The very ends of the calendar stand for infinity in Postgres."""
    if not 2 <= moment.year <= 9998:
        raise ValueError("choose a year from 2 to 9998")
    return moment.astimezone(UTC)


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _only_text(value: Any) -> Any:
    # A bare number, even as text, would be read as seconds since 1970.
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.match(value)):
        raise ValueError("give it as text in ISO 8601: 2026-01-31, or 2026-01-31T09:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(utc)]
"""A moment with a time zone, kept in UTC."""

Day = Annotated[date, BeforeValidator(_only_text)]
"""A calendar day."""

not_text = BeforeValidator(_only_a_number)
Count = Annotated[int, not_text]
"""A whole number; never text."""


class Level(StrEnum):
    """Where in the organisation a goal is owned."""

    COMPANY = "company"
    TEAM = "team"
    INDIVIDUAL = "individual"


class OwnerKind(StrEnum):
    TEAM = "team"
    PERSON = "person"


class Owner(Value):
    """Who owns a goal: a team (the company is the team at the top of the tree) or a person."""

    kind: OwnerKind
    id: UUID


class Origin(StrEnum):
    """Where an objective came from; measured against the bottom-up decision."""

    BOTTOM_UP = "bottom_up"
    TOP_DOWN = "top_down"
    NEGOTIATED = "negotiated"


class Health(StrEnum):
    """How a person judges a key result. What is *shown* is derived, see `scoring.shown_health`."""

    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    OFF_TRACK = "off_track"


Key = Annotated[
    str,
    StringConstraints(min_length=1, max_length=400),
    AfterValidator(_printable),
    AfterValidator(_single_line),
    Field(json_schema_extra={"pattern": f"^[^{_CONTROL}{_BREAK}]+$"}),
]
"""Another system's key: 1 to 400 characters on one line, compared exactly."""


class ExternalRef(Value):
    """The name another system has for this thing: a second delivery is recognised by it."""

    source: Key
    external_id: Key


class Finding(Value):
    """What a decision in `warn` mode has to say about a command that it let pass."""

    rule: str
    message: str
    decision: str


class Target(Value):
    """What an objective contributes to."""

    kind: Literal["objective", "key_result"]
    id: UUID
