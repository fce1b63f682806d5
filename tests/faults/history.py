"""What clients saw of append-only lists, and a checker that holds it against the ledger.

In the spirit of Elle's list-append: values are unique, so the final order says of every read
which appends it had seen, and which it had not. A ledger is one list of everything, each stream a
part of it in the same order; so a read of a stream also bounds how much of the whole ledger it had
seen, and reads of different streams can be held against each other. Times are of one monotonic
clock. What is reported:

- lost: an append was acknowledged, and is not in the ledger
- duplicated: an append is in the ledger twice
- invented: the ledger has what nobody sent, or what was refused
- disordered: an append came after one that was sent when it had been acknowledged already
- no prefix: a read shows anything but the ledger's own order, from where it began
- early: a read shows what nobody had sent when the read had ended
- missing: a read began after an append was acknowledged, and does not show it
- backwards: a read began after another had ended, and shows less of the ledger
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path


@dataclass(slots=True)
class Append:
    """A value sent to a stream; `ended` is when it was acknowledged, None while it is unknown."""

    stream: str
    value: int
    began: float
    ended: float | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What a stream showed to its end, or the whole ledger (None), after its first `skipped`."""

    stream: str | None
    values: tuple[int, ...]
    began: float
    ended: float
    skipped: int = 0


@dataclass
class History:
    """All that was observed of one ledger."""

    appends: list[Append] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)

    def save(self, name: str) -> Path:
        """Written down to look into; returns where."""
        path = Path(tempfile.gettempdir()) / f"okr-history-{name}.json"
        path.write_text(json.dumps(asdict(self), indent=1))
        return path


Entry = tuple[str, int]
"""A stream, and a value in it."""


def check(history: History, final: Sequence[Entry]) -> list[str]:
    """What is wrong, a line each; `final` is the ledger in its own order."""
    wrong: list[str] = []
    sent = {one.value: one for one in history.appends}
    at: dict[int, int] = {}
    for index, (stream, value) in enumerate(final):
        if value in at:
            wrong.append(f"duplicated: {value} in {stream}, at {at[value]} and at {index}")
            continue
        at[value] = index
        append = sent.get(value)
        if append is None or append.stream != stream or append.refused:
            wrong.append(f"invented: {value} in {stream} was {'refused' if append else 'not sent'}")
    wrong += (
        f"lost: {one.value} in {one.stream} was acknowledged"
        for one in history.appends
        if one.ended is not None and one.value not in at
    )
    wrong += _disordered(
        [entry for index, entry in enumerate(final) if at[entry[1]] == index], sent
    )
    seen: list[_Seen] = []
    parts = _parts(final)
    for read in history.reads:
        found = _seen(read, parts, sent)
        if isinstance(found, str):
            wrong.append(found)
        else:
            seen.append(found)
    wrong += _stale(seen, history.appends, at)
    return wrong


@dataclass(frozen=True, slots=True)
class _Seen:
    """A read as bounds on the ledger: it had seen all below `low`, and not what is at `high`."""

    read: Read
    low: int
    high: float


def _disordered(final: Sequence[Entry], sent: dict[int, Append]) -> Iterable[str]:
    """Real time: what began after another was acknowledged must come after it."""
    first: tuple[float, int] | None = None
    for _, value in reversed(final):
        append = sent.get(value)
        if append is None:
            continue
        if first is not None and first[0] < append.began:
            yield (
                f"disordered: {value} was sent after {first[1]} was acknowledged, and comes before"
            )
        if append.ended is not None and (first is None or append.ended < first[0]):
            first = (append.ended, value)


def _parts(final: Sequence[Entry]) -> dict[str | None, list[tuple[int, int]]]:
    """Of each stream, and of the whole: where in the ledger each value is."""
    parts: dict[str | None, list[tuple[int, int]]] = {None: []}
    for index, (stream, value) in enumerate(final):
        parts.setdefault(stream, []).append((index, value))
        parts[None].append((index, value))
    return parts


def _seen(
    read: Read, parts: dict[str | None, list[tuple[int, int]]], sent: dict[int, Append]
) -> _Seen | str:
    """The bounds that a read gives, or what is wrong with it."""
    part = parts.get(read.stream, [])
    end = read.skipped + len(read.values)
    expected = tuple(value for _, value in part[read.skipped : end])
    what = f"a read of {read.stream or 'the ledger'} that ended at {read.ended:.6f}"
    if read.values != expected or read.skipped > len(part):
        differs = next(
            (i for i, (a, b) in enumerate(zip(read.values, expected, strict=False)) if a != b),
            min(len(read.values), len(expected)),
        )
        shown = read.values[differs : differs + 3]
        return f"no prefix: {what} shows {shown} at {read.skipped + differs}"
    early = [value for value in read.values if value in sent and sent[value].began > read.ended]
    if early:
        return f"early: {what} shows {early[:3]}, sent later"
    low = part[end - 1][0] + 1 if end else 0
    return _Seen(read, low, part[end][0] if end < len(part) else inf)


def _stale(seen: list[_Seen], appends: Sequence[Append], at: dict[int, int]) -> Iterable[str]:
    """Sweep through time: whatever was known before a read began, that read must show."""
    known = [
        (one.ended, at[one.value], f"missing: {one.value} was acknowledged")
        for one in appends
        if one.ended is not None and one.value in at
    ]
    known += [(one.read.ended, one.low - 1, "backwards: another showed more") for one in seen]
    known.sort()
    highest, why, following = -1, "", 0
    for one in sorted(seen, key=lambda seen: seen.read.began):
        while following < len(known) and known[following][0] < one.read.began:
            if known[following][1] > highest:
                _, highest, why = known[following]
            following += 1
        # What is first in the ledger was committed first, whichever stream it is in.
        if one.high <= highest:
            what = f"a read of {one.read.stream or 'the ledger'}"
            yield f"{why}, and then {what} began at {one.read.began:.6f} and does not show it"
