"""The checker finds every kind of forged history, and nothing in one that is as it should be."""

from __future__ import annotations

import random

import pytest

from tests.faults.history import Append, Entry, History, Read, check

A, B = "stream a", "stream b"
FINAL: list[Entry] = [(A, 1), (B, 2), (A, 3), (B, 4), (A, 5)]
SENT = [
    Append(A, 1, began=0, ended=1),
    Append(B, 2, began=2, ended=3),
    Append(A, 3, began=4, ended=5),
    Append(B, 4, began=6, ended=7),
    Append(A, 5, began=8, ended=9),
]


def _found(*reads: Read, appends: list[Append] = SENT, final: list[Entry] = FINAL) -> list[str]:
    return [line.partition(":")[0] for line in check(History(appends, list(reads)), final)]


def _but(value: int, append: Append) -> list[Append]:
    return [append if one.value == value else one for one in SENT]


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [Read(A, (1,), 1.1, 1.2), Read(A, (1, 3), 5.1, 5.2), Read(A, (1, 3, 5), 9.1, 9.2)],
        [Read(None, (1, 2, 3, 4), 7.1, 7.2), Read(None, (5,), 9.1, 9.2, skipped=4)],
        # What is on its way may be shown or not.
        [Read(A, (1, 3), 4.1, 4.2), Read(A, (1,), 4.1, 4.2)],
        # Two that overlap may be of either order.
        [Read(A, (1, 3), 4.1, 4.9), Read(A, (1,), 4.2, 4.8), Read(B, (2,), 4.3, 4.7)],
        [Read(B, (), 0, 1), Read("a stream that nobody wrote to", (), 0, 20)],
    ],
)
def test_a_history_without_fault_is_left_alone(reads: list[Read]) -> None:
    assert _found(*reads) == []


def test_what_was_never_acknowledged_may_be_there_or_not() -> None:
    unknown = Append(A, 5, began=8)
    assert _found(appends=_but(5, unknown)) == []
    assert _found(appends=_but(5, unknown), final=FINAL[:-1]) == []


def test_an_acknowledged_append_that_is_not_there_is_lost() -> None:
    assert _found(final=FINAL[:-1]) == ["lost"]
    assert _found(final=[FINAL[0], *FINAL[2:]]) == ["lost"]


def test_an_append_that_is_there_twice_is_duplicated() -> None:
    assert _found(final=[*FINAL, (A, 3)]) == ["duplicated"]


@pytest.mark.parametrize("entry", [(A, 6), (B, 5)], ids=["never sent", "in another stream"])
def test_what_nobody_sent_is_invented(entry: Entry) -> None:
    final = [one for one in FINAL if one[1] != entry[1]]
    assert _found(final=[*final, entry]) == ["invented"]


def test_what_was_refused_and_is_there_is_invented() -> None:
    assert _found(appends=_but(5, Append(A, 5, began=8, refused=True))) == ["invented"]


def test_an_append_before_one_that_was_acknowledged_earlier_is_disordered() -> None:
    assert _found(final=[(A, 1), (A, 3), (B, 2), (B, 4), (A, 5)]) == ["disordered"]
    # Side by side, either may be the first.
    assert _found(final=[(A, 1), (A, 3), (B, 2)], appends=[SENT[0], _wide(2), _wide(3)]) == []


def _wide(value: int) -> Append:
    return Append(A if value % 2 else B, value, began=2, ended=9)


@pytest.mark.parametrize(
    "read",
    [
        Read(A, (3,), 10, 11),
        Read(A, (1, 5), 10, 11),
        Read(A, (3, 1, 5), 10, 11),
        Read(A, (1, 1, 3, 5), 10, 11),
        Read(A, (1, 3, 5, 5), 10, 11),
        Read(A, (1, 3, 5, 7), 10, 11),
        Read(A, (1, 2, 3), 10, 11),
        Read(None, (1, 3, 2, 4, 5), 10, 11),
        Read(None, (4,), 10, 11, skipped=2),
        Read(None, (), 10, 11, skipped=6),
    ],
)
def test_a_read_that_is_not_the_ledgers_own_order_is_no_prefix(read: Read) -> None:
    assert _found(read) == ["no prefix"]


def test_a_read_of_what_was_sent_after_it_is_early() -> None:
    assert _found(Read(A, (1, 3, 5), 7, 7.5)) == ["early"]


@pytest.mark.parametrize(
    "read",
    [
        Read(A, (1,), 5.1, 5.2),
        Read(A, (), 1.1, 1.2),
        Read(None, (1, 2, 3), 7.1, 7.2),
        Read(None, (2, 3), 9.1, 9.2, skipped=1),
    ],
)
def test_a_read_without_what_was_acknowledged_before_is_missing_it(read: Read) -> None:
    assert _found(read) == ["missing"]


def test_a_stream_that_lags_behind_another_is_missing_what_came_before() -> None:
    # The fifth was acknowledged, so the third was there, though nobody was told of it.
    unheard = _but(3, Append(A, 3, began=0))
    assert _found(Read(A, (1,), 9.1, 9.2), appends=unheard) == ["missing"]


@pytest.mark.parametrize(
    "later",
    [Read(A, (1,), 10, 11), Read(None, (1, 2), 10, 11), Read(B, (), 10, 11)],
    ids=["of the same stream", "of the ledger", "of another stream"],
)
def test_a_read_that_shows_less_than_one_before_it_goes_backwards(later: Read) -> None:
    unknown = [Append(one.stream, one.value, began=0) for one in SENT]
    first = Read(A, (1, 3), 8, 9)
    assert _found(first, later, appends=unknown) == ["backwards"]
    beside = Read(later.stream, later.values, 8.5, 11)
    assert _found(first, beside, appends=unknown) == []


def test_any_one_forgery_in_a_long_history_is_found() -> None:
    rng = random.Random(1)
    final = [(rng.choice((A, B)), value) for value in range(1_000)]
    sent = [Append(stream, n, began=n, ended=n + 0.5) for stream, n in final]
    reads = []
    for moment in range(0, 1_000, 7):
        stream = rng.choice((A, B, None))
        shown = tuple(n for of, n in final[: moment + 1] if stream in (None, of))
        reads.append(Read(stream, shown, moment + 0.6, moment + 0.7))
    assert check(History(sent, reads), final) == []
    for _ in range(50):
        at = rng.randrange(20, len(reads))
        read = reads[at]
        cut = rng.randrange(len(read.values))
        forged = Read(read.stream, read.values[:cut], read.began, read.ended)
        assert check(History(sent, [*reads[:at], forged, *reads[at + 1 :]]), final)
        lost = rng.randrange(len(final))
        assert check(History(sent, reads), final[:lost] + final[lost + 1 :])
