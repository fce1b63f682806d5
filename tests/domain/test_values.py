"""What a value may be, and what it becomes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from app.domain.values import (
    Count,
    Day,
    Key,
    Line,
    Moment,
    Number,
    Prose,
    Share,
    Value,
    made,
    share,
)

LINE, PROSE, KEY = TypeAdapter(Line), TypeAdapter(Prose), TypeAdapter(Key)
NUMBER, SHARE = TypeAdapter(Number), TypeAdapter(Share)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "\t", "x" * 301, "a\x00b", "a\x1bb", "two\nlines", "a\u2028b", "\ud800", 7, None],
)
def test_a_line_refuses_what_is_no_line(text: Any) -> None:
    with pytest.raises(ValidationError):
        LINE.validate_python(text)


def test_a_line_loses_the_space_around_it_and_nothing_else() -> None:
    assert LINE.validate_python("  Größe & “Mut” 世界 שלום \u00a0") == "Größe & “Mut” 世界 שלום"


def test_prose_keeps_line_breaks_but_no_control_characters() -> None:
    assert PROSE.validate_python("one\ntwo\ttabs") == "one\ntwo\ttabs"
    with pytest.raises(ValidationError, match="control characters"):
        PROSE.validate_python("one\x07two")


def test_a_key_is_compared_exactly() -> None:
    assert KEY.validate_python(" a ") == " a "


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), 10**20, 2**63, 1e400, "12", True, None, [1]],
)
def test_a_number_refuses_what_is_no_bounded_number(value: Any) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(value)


@given_any(st.decimals(min_value=-(10**9), max_value=10**9, places=6))
def test_a_number_survives_the_way_through_json_exactly(value: Decimal) -> None:
    number = NUMBER.validate_python(value)
    assert NUMBER.validate_json(NUMBER.dump_json(number)) == value
    assert json.loads(NUMBER.dump_json(number)) == float(value)


def test_what_arithmetic_in_doubles_left_behind_is_rounded_away() -> None:
    assert NUMBER.validate_python(0.1 + 0.2) == Decimal("0.3")
    assert SHARE.validate_python(1 / 3) == Decimal("0.3333")


@pytest.mark.parametrize("value", [-0.01, 1.01, "0.5", False, float("nan")])
def test_a_share_lies_between_0_and_1(value: Any) -> None:
    with pytest.raises(ValidationError):
        SHARE.validate_python(value)


@given_any(st.decimals(allow_nan=False, allow_infinity=False, min_value=-5, max_value=5))
def test_share_clips_and_rounds(value: Decimal) -> None:
    clipped = share(value)
    assert 0 <= clipped <= 1
    assert clipped == clipped.quantize(Decimal("0.0001"))
    if 0 <= value <= 1:
        assert abs(clipped - value) <= Decimal("0.00005")


def test_a_moment_is_kept_in_utc() -> None:
    kept = TypeAdapter(Moment).validate_python("2026-03-01T12:00:00+02:00")
    assert kept == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert kept.tzinfo is UTC


@pytest.mark.parametrize(
    "value", ["2026-03-01T12:00:00", 5, "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"]
)
def test_a_moment_needs_a_time_zone_and_a_year_in_reach(value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Moment).validate_python(value)


def test_days_and_counts_are_not_read_from_other_types() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Day).validate_python(20_000)
    with pytest.raises(ValidationError):
        TypeAdapter(Count).validate_python("3")


def test_what_is_made_of_fitting_values_is_as_if_it_were_validated() -> None:
    class Said(Value):
        share: Share
        note: Prose | None = None
        listed: list[int] = Field(default_factory=list)

    stated: dict[str, Any] = {"share": Decimal("0.5"), "listed": [1]}
    one = made(Said, **stated)
    assert one == Said(**stated)
    assert one.model_dump_json() == Said(**stated).model_dump_json()
    assert one.model_copy(update={"note": "x"}) == Said(**stated, note="x")
    with pytest.raises(ValidationError):
        one.note = "frozen"  # type: ignore[misc]
