"""A mapping that grows, and never changes."""

from __future__ import annotations

import pytest

from app.domain.growing import Growing


def test_each_shows_what_it_was_made_with_whatever_grew_from_it() -> None:
    empty: Growing[str, int] = Growing()
    one = empty.with_one("a", 1)
    two = one.with_one("b", 2)
    assert (dict(empty), dict(one), dict(two)) == ({}, {"a": 1}, {"a": 1, "b": 2})
    assert "b" not in one
    with pytest.raises(KeyError):
        one["b"]
    assert len(one) == 1


def test_two_may_grow_from_the_same_one() -> None:
    one: Growing[str, int] = Growing({"a": 1})
    left, right = one.with_one("b", 2), one.with_one("b", 3)
    again = one.with_one("c", 4)
    assert dict(left) == {"a": 1, "b": 2}
    assert dict(right) == {"a": 1, "b": 3}
    assert list(again.items()) == [("a", 1), ("c", 4)]


def test_entries_stay_in_the_order_in_which_they_were_added() -> None:
    grown: Growing[int, int] = Growing()
    for n in (5, 3, 9, 1):
        grown = grown.with_one(n, n)
    assert list(grown) == [5, 3, 9, 1]
    assert grown == {5: 5, 3: 3, 9: 9, 1: 1}


def test_who_goes_the_same_way_twice_shares_it() -> None:
    one: Growing[str, int] = Growing({"a": 1})
    decided, evolved = one.with_one("b", 2), one.with_one("b", 2)
    later = decided.with_one("c", 3)
    assert evolved == decided == {"a": 1, "b": 2}
    assert later == {"a": 1, "b": 2, "c": 3}
    assert one.with_one("b", 2) == decided
    assert one.with_one("c", 3) == {"a": 1, "c": 3}
