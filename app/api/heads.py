"""The head of a request, read once for all who ask."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Scope


def headers_of(scope: Scope) -> Mapping[str, str]:
    """The headers by their names in lower case; of several with one name, the first."""
    read: dict[str, str] | None = scope.get("headers_read")
    if read is None:
        read = scope["headers_read"] = {}
        for name, value in scope["headers"]:
            read.setdefault(name.decode("latin-1"), value.decode("latin-1"))
    return read
