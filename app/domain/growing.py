"""A mapping that grows by one entry at a time, and costs no copy of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Growing(Mapping[K, V], Generic[K, V]):
    """Never changes: `with_one` answers with another, in the order in which entries were added.

    All that came of one another share their entries, of which each shows the first so many. Only
    who goes on otherwise from one that is not the latest makes a copy: to decide and then to evolve
    goes the same way twice.
    """

    __slots__ = ("_entries", "_size")

    def __init__(self, entries: Mapping[K, V] | None = None) -> None:
        numbered = enumerate((entries or {}).items())
        self._entries: dict[K, tuple[int, V]] = {key: (n, value) for n, (key, value) in numbered}
        self._size = len(self._entries)

    def with_one(self, key: K, value: V) -> Growing[K, V]:
        """With a new entry; the key is not there yet."""
        entries, new = self._entries, (self._size, value)
        if len(entries) != self._size and entries.get(key) != new:
            entries = dict(islice(entries.items(), self._size))
        grown: Growing[K, V] = Growing()
        grown._entries, grown._size = entries, self._size + 1
        entries.setdefault(key, new)
        return grown

    def __getitem__(self, key: K) -> V:
        n, value = self._entries[key]
        if n >= self._size:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[K]:
        return islice(self._entries, self._size)

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"Growing({dict(self)!r})"
