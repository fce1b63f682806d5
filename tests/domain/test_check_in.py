"""Check-ins that are kept side by side, and never change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from app.domain.check_in import CheckIn, CheckIns
from app.domain.measures import Rung
from app.domain.values import Health

AT = datetime(2026, 3, 4, 5, 6, 7, 891_011, tzinfo=UTC)


def _told(n: int, value: int = 1) -> CheckIn:
    return CheckIn(UUID(int=n), AT + timedelta(days=n), Decimal(value))


A, B, C = (_told(n) for n in (1, 2, 3))


def test_each_shows_what_it_was_made_with_whatever_grew_from_it() -> None:
    empty = CheckIns()
    one = empty.with_one(A)
    two = one.with_one(B)
    assert (list(empty), list(one), list(two)) == ([], [A], [A, B])
    assert B not in one
    assert one.get(B.check_in_id) is None
    assert two.get(B.check_in_id) == B
    assert (len(empty), len(one), len(two)) == (0, 1, 2)


def test_two_may_grow_from_the_same_one() -> None:
    one = CheckIns([A])
    left, right = one.with_one(_told(2, 5)), one.with_one(_told(2, 6))
    again = one.with_one(C)
    assert list(left) == [A, _told(2, 5)]
    assert list(right) == [A, _told(2, 6)]
    assert list(again) == [A, C]


def test_who_goes_the_same_way_twice_shares_it() -> None:
    one = CheckIns([A])
    decided, evolved = one.with_one(B), one.with_one(B)
    later = decided.with_one(C)
    assert evolved == decided == CheckIns([A, B])
    assert later == CheckIns([A, B, C])
    assert one.with_one(B) == decided
    assert one.with_one(C) == CheckIns([A, C])


def test_they_stay_in_the_order_in_which_they_were_told() -> None:
    told = [_told(n) for n in (5, 3, 9, 1)]
    kept = CheckIns(told)
    assert list(kept) == told
    corrected = kept.with_told_anew(_told(3, 7))
    assert list(corrected) == [_told(5), _told(3, 7), _told(9), _told(1)]
    assert list(kept.with_told_anew(_told(4))) == [*told, _told(4)]
    assert list(kept.without(UUID(int=9))) == [_told(5), _told(3), _told(1)]
    assert list(kept.without(UUID(int=4))) == told
    assert list(kept.up_to(AT + timedelta(days=3))) == [_told(3), _told(1)]
    assert list(kept) == told


def test_an_id_is_found_where_one_begins_only() -> None:
    """The bytes of one may stand across two others."""
    left, right = bytes(range(16)), bytes(range(100, 116))
    across = UUID(bytes=left[8:] + right[:8])
    told = [CheckIn(UUID(bytes=one), AT) for one in (left, right)]
    assert CheckIns(told).get(across) is None
    assert CheckIns(told).without(across) == CheckIns(told)
    last = CheckIn(across, AT)
    assert CheckIns([*told, last]).get(across) == last


_CHECK_INS = st.builds(
    CheckIn,
    st.uuids(),
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),
    st.none() | st.booleans() | st.sampled_from(Rung) | st.decimals(-(10**9), 10**9, places=6),
    st.none() | st.decimals(0, 1, places=4),
    st.none() | st.sampled_from(Health),
)


@given(st.lists(_CHECK_INS, unique_by=lambda one: one.check_in_id))
def test_what_is_kept_is_what_was_told(told: list[CheckIn]) -> None:
    kept = CheckIns()
    for one in told:
        kept = kept.with_one(one)
    assert list(kept) == told
    # Decimals that are equal may be written in several ways.
    assert [repr(one.value) for one in kept] == [repr(one.value) for one in told]
    assert all(kept.get(one.check_in_id) == one for one in told)
