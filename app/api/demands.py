"""What a request demands beyond the ordinary: said at its route, heeded before it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

_ANY_ID = "00000000-0000-0000-0000-000000000000"
_ID = re.compile("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Demands:
    """`long`: work for a place among long work, in many statements.

    `long_statements`: these are long themselves, too. `large_body`: it carries an import.
    `by_line`: its body is of any length, and answered line by line.
    """

    long: bool = False
    long_statements: bool = False
    large_body: bool = False
    by_line: bool = False


ORDINARY = Demands()


def demands(**what: bool) -> Callable[[F], F]:
    """Mark what handles a route with what it demands."""

    def marked(handler: F) -> F:
        handler.demands = Demands(**what)  # type: ignore[attr-defined]
        return handler

    return marked


class Demanding:
    """Tells what a request demands, before any route has it."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._stated: list[tuple[BaseRoute, Demands]] = [
            (route, stated)
            for route in routes
            if (stated := getattr(getattr(route, "endpoint", None), "demands", None))
        ]
        # Ids make no difference, so that what was found once holds for all requests of its kind.
        self._found = lru_cache(maxsize=1024)(self._find)

    def of(self, scope: Scope) -> Demands:
        stated: Demands | None = scope.get("demands")
        if stated is None:
            path = _ID.sub(_ANY_ID, scope["path"])
            stated = self._found(scope["method"], path, scope.get("root_path", ""))
            scope["demands"] = stated
        return stated

    def _find(self, method: str, path: str, root_path: str) -> Demands:
        asked = {"type": "http", "method": method, "path": path, "root_path": root_path}
        for route, stated in self._stated:
            if route.matches(asked)[0] is Match.FULL:
                return stated
        return ORDINARY
