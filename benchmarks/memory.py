"""The memory of a process, sampled while it is under load."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

_EVERY_SECONDS = 1.0


@dataclass(slots=True)
class Memory:
    """Resident memory in MiB, by seconds since the watch began."""

    seconds: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)

    def among(self, first: float, last: float) -> float:
        """The median of a part of the watch: 0 is its beginning, 1 its end."""
        count = len(self.mib)
        return median(self.mib[int(first * count) : max(int(last * count), int(first * count) + 1)])


@contextmanager
def watching(pid: int) -> Iterator[Memory]:
    """Look once a second, by `ps`, as long as it is not left."""
    found, over, began = Memory(), threading.Event(), time.monotonic()

    def look() -> None:
        while True:
            told = subprocess.run(
                ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False
            )
            if told.stdout.strip():
                found.seconds.append(time.monotonic() - began)
                found.mib.append(int(told.stdout) / 1024)
            if over.wait(_EVERY_SECONDS):
                return

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
