"""When garbage is looked for."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MADE_BETWEEN = 20_000


def settled() -> None:
    """What is there now stays: it is not looked through any more, and what is new less often.

    For a process that is about to serve. Nearly everything that a request makes is gone with the
    last reference to it; to look for the rest after each 700 things took a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_MADE_BETWEEN, 10, 10)


@contextmanager
def undisturbed() -> Iterator[None]:
    """No garbage is looked for while thousands of things are made, of which none is garbage.

    Not across an `await`, so that nobody else is concerned.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
