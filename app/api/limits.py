"""Rate limits: a token bucket for each credential, and for each address that presents wrong ones.

They are in memory, so each process has its own: with N of them, a client may do N times as much.
There is no library for it here on purpose: those at hand keep their buckets in Redis or in tables
without a bound, have no token bucket, or take no clock.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from app.api.problems import ApiProblem
from app.config import Settings

Clock = Callable[[], float]
"""Seconds, from any beginning, that never run backwards."""

_WINDOW_SECONDS = 60
_MOST_BUCKETS = 20_000
_MOST_KNOWN = 20_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How a bucket stands after a request; `retry_after` is 0 where the request was allowed."""

    remaining: int
    full_in: int
    retry_after: int


class Buckets:
    """The buckets of one policy: a minute's quota at most, refilled evenly.

    The least recently used are forgotten first. A forgotten bucket is a full one, so whoever has
    the addresses to push out 20,000 others gains a minute's quota for each of them, and no more.
    """

    def __init__(self, name: str, per_minute: int, clock: Clock = time.monotonic) -> None:
        self.name = name
        self.per_minute = per_minute
        self._per_second = per_minute / _WINDOW_SECONDS
        self._clock = clock
        self._levels: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: bytes) -> Standing:
        """Take one token, if there is one."""
        level, now = self._level(key)
        allowed = level >= 1
        if allowed:
            level -= 1
        self._levels[key] = (level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > _MOST_BUCKETS:
            self._levels.popitem(last=False)
        return self._standing(level, allowed=allowed)

    def look(self, key: bytes) -> Standing:
        """How it would stand, with nothing taken."""
        level, _ = self._level(key)
        return self._standing(level, allowed=level >= 1)

    def _level(self, key: bytes) -> tuple[float, float]:
        now = self._clock()
        level, since = self._levels.get(key, (float(self.per_minute), now))
        return min(self.per_minute, level + (now - since) * self._per_second), now

    def _standing(self, level: float, *, allowed: bool) -> Standing:
        return Standing(
            remaining=int(level),
            full_in=math.ceil((self.per_minute - level) / self._per_second),
            retry_after=0 if allowed else max(1, math.ceil((1 - level) / self._per_second)),
        )

    def headers(self, standing: Standing) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers: `t` is when the whole quota is there again."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.per_minute};w={_WINDOW_SECONDS}',
            "RateLimit": f'"{self.name}";r={standing.remaining};t={standing.full_in}',
        }


class Limits:
    """What each request is held to. What it says for the answer's headers goes with the scope."""

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._credentials = _buckets("credential", settings.rate_per_minute, clock)
        self._failures = _buckets("failed-authentication", settings.rate_failed_per_minute, clock)
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def before(self, scope: Scope, presented: str) -> None:
        """Before a credential is looked up: raise 429 where too many wrong ones came from there.

        One that was right a while ago passes: whoever shares an address with somebody who guesses
        goes on working.
        """
        if self._failures is None or _digest(presented) in self._known:
            return
        standing = self._failures.look(_address(scope))
        if standing.retry_after:
            self._refuse(scope, self._failures, standing)

    def failed(self, scope: Scope) -> None:
        """A credential was wrong. Raises 429 where there were too many from this address."""
        if self._failures is not None:
            self._take(scope, self._failures, _address(scope))

    def spend(self, scope: Scope, presented: str, credential: bytes) -> None:
        """A credential was right: one request less. Raises 429 where it has none left."""
        if self._failures is not None:
            digest = _digest(presented)
            self._known[digest] = None
            self._known.move_to_end(digest)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        if self._credentials is not None:
            self._take(scope, self._credentials, credential)

    def _take(self, scope: Scope, buckets: Buckets, key: bytes) -> None:
        standing = buckets.take(key)
        scope["rate_limit"] = buckets.headers(standing)
        if standing.retry_after:
            self._refuse(scope, buckets, standing)

    def _refuse(self, scope: Scope, buckets: Buckets, standing: Standing) -> None:
        scope["rate_limit"] = buckets.headers(standing)
        of = "This key" if buckets is self._credentials else "Your address"
        told = "requests" if buckets is self._credentials else "wrong keys"
        raise ApiProblem(
            "too-many-requests",
            f"{of} has sent more than {buckets.per_minute} {told} in a minute.",
            headers={"Retry-After": str(standing.retry_after)},
        )


def _buckets(name: str, per_minute: int, clock: Clock) -> Buckets | None:
    return Buckets(name, per_minute, clock) if per_minute else None


def _digest(presented: str) -> bytes:
    return hashlib.sha256(presented.encode(errors="surrogatepass")).digest()


def _address(scope: Scope) -> bytes:
    """Where a request comes from; of IPv6 the network, since whoever has one has all of it."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host).encode()
    return address.packed[:8] if address.version == 6 else address.packed
