"""What a request demands beyond the ordinary: said at its route, heeded before it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

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

    def of(self, scope: Scope) -> Demands:
        for route, stated in self._stated:
            if route.matches(scope)[0] is Match.FULL:
                return stated
        return ORDINARY
