"""A check-in: what it says, and what of it counts for those that come after it."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal, Self, get_args
from uuid import UUID

from pydantic import Field

from app.domain.measures import Reading, Rung, Told
from app.domain.values import Health, Number, Prose, Share, Value


class CheckInTerms(Value):
    """What a check-in says: at least one of value, confidence, health and note.

    Progress (what the value gives), prediction (`confidence`, the probability of reaching the
    target) and judgement (`health`) are three things, never one.
    """

    value: Reading | None = None
    increment: Number | None = Field(
        default=None, description="Instead of a value: what is added to the last one."
    )
    confidence: Share | None = None
    health: Health | None = None
    note: Prose | None = None
    next_steps: Prose | None = None


Aspect = Literal["moment", "value", "confidence", "health"]
"""What a check-in may have the last word in; `moment` is when the key result was last heard of."""

TrackedBy = Literal["manual", "integration", "kpi"]
"""How a check-in came: by hand, from the integration that was named, or from the KPI in focus."""

ASPECTS: tuple[Aspect, ...] = get_args(Aspect)

Kept = bool | Rung | Decimal | None


@dataclass(frozen=True, slots=True)
class CheckIn:
    """What of a check-in counts for what comes after it; whatever else it says is in its event."""

    check_in_id: UUID
    occurred_at: datetime
    value: Kept = None
    confidence: Decimal | None = None
    health: Health | None = None

    @classmethod
    def of(cls, check_in_id: UUID, terms: CheckInTerms, occurred_at: datetime) -> Self:
        return cls(check_in_id, occurred_at, terms.value, terms.confidence, terms.health)

    @property
    def reading(self) -> Told:
        """Of a check-in that has a value."""
        assert self.value is not None, "only check-ins with a value are asked for it"
        return Told(self.value, self.occurred_at)

    def says(self, aspect: Aspect) -> bool:
        return aspect == "moment" or getattr(self, aspect) is not None


class CheckIns(Collection[CheckIn]):
    """Those of one key result, in the order in which they were told.

    It never changes: `with_one` answers with another. All that came of one another share what they
    hold, of which each shows the first so many; only who goes on otherwise from one that is not the
    latest makes a copy: to decide and then to evolve goes the same way twice. Each takes some 50
    bytes, as there may be thousands.
    """

    __slots__ = ("_columns", "_size")

    def __init__(self, told: Iterable[CheckIn] = ()) -> None:
        self._columns = _Columns()
        for one in told:
            self._columns.add(one)
        self._size = len(self._columns)

    def get(self, check_in_id: UUID) -> CheckIn | None:
        place = self._columns.place(check_in_id)
        return None if place is None or place >= self._size else self._columns.at(place)

    def with_one(self, told: CheckIn) -> CheckIns:
        """With one more; its id is not there yet."""
        columns = self._columns
        if len(columns) > self._size and not columns.ends_with(told, self._size):
            columns = columns.first(self._size)
        if len(columns) == self._size:
            columns.add(told)
        grown = CheckIns()
        grown._columns, grown._size = columns, self._size + 1
        return grown

    def with_told_anew(self, told: CheckIn) -> CheckIns:
        """With another in the place of the one that has its id, or behind all of them."""
        if self.get(told.check_in_id) is None:
            return self.with_one(told)
        return CheckIns(told if one.check_in_id == told.check_in_id else one for one in self)

    def without(self, check_in_id: UUID) -> CheckIns:
        return CheckIns(one for one in self if one.check_in_id != check_in_id)

    def up_to(self, moment: datetime) -> CheckIns:
        """Those that speak of no later moment."""
        return CheckIns(one for one in self if one.occurred_at <= moment)

    def __iter__(self) -> Iterator[CheckIn]:
        return (self._columns.at(place) for place in range(self._size))

    def __len__(self) -> int:
        return self._size

    def __contains__(self, told: object) -> bool:
        return isinstance(told, CheckIn) and self.get(told.check_in_id) == told

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CheckIns) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"CheckIns({list(self)!r})"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ID_BYTES = 16


class _Columns:
    """Check-ins side by side; to be added to only."""

    __slots__ = ("_latest", "confidences", "healths", "ids", "moments", "values")

    def __init__(self) -> None:
        self._latest: CheckIn | None = None
        self.ids = bytearray()
        self.moments = array("q")
        """Microseconds since 1970."""
        self.values: list[Kept] = []
        self.confidences: list[Decimal | None] = []
        self.healths: list[Health | None] = []

    def __len__(self) -> int:
        return len(self.moments)

    def add(self, one: CheckIn) -> None:
        self.ids += one.check_in_id.bytes
        self.moments.append((one.occurred_at - _EPOCH) // _MICROSECOND)
        value, confidence = one.value, one.confidence
        self.values.append(_shared(str(value)) if isinstance(value, Decimal) else value)
        self.confidences.append(None if confidence is None else _shared(str(confidence)))
        self.healths.append(one.health)
        self._latest = one

    def ends_with(self, one: CheckIn, place: int) -> bool:
        """Whether the last is at this place, and is this one."""
        return place == len(self) - 1 and self._latest == one

    def at(self, place: int) -> CheckIn:
        first = place * _ID_BYTES
        return CheckIn(
            UUID(bytes=bytes(self.ids[first : first + _ID_BYTES])),
            _EPOCH + timedelta(microseconds=self.moments[place]),
            self.values[place],
            self.confidences[place],
            self.healths[place],
        )

    def place(self, check_in_id: UUID) -> int | None:
        wanted, found = check_in_id.bytes, -1
        while (found := self.ids.find(wanted, found + 1)) >= 0:
            if found % _ID_BYTES == 0:
                return found // _ID_BYTES
        return None

    def first(self, size: int) -> _Columns:
        """A copy of the first so many."""
        copy = _Columns()
        copy.ids = self.ids[: size * _ID_BYTES]
        copy.moments = self.moments[:size]
        copy.values = self.values[:size]
        copy.confidences = self.confidences[:size]
        copy.healths = self.healths[:size]
        return copy


@lru_cache(10_000)
def _shared(number: str) -> Decimal:
    """One and the same for all that are alike."""
    return Decimal(number)
