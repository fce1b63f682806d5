"""Metrics for Prometheus: by route template, never by anything that a client can make up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app import __version__
from app.database import Pool

EVENTS = Counter(
    "okr_events_appended",
    "Events that were recorded through the API; imports are not among them.",
    registry=None,
)
"""Of the process; its `rate()` is the events per second."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class Metrics:
    """What one application counts. `pool` answers with its pool of connections, once there is."""

    def __init__(self, pool: Callable[[], Pool | None]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "okr_requests",
            "Requests that were answered; status 499 means that the client went away before.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "okr_request_duration_seconds",
            "From the request's head to the end of the answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.registry.register(EVENTS)
        self.registry.register(_PoolCollector(pool))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        counters = self._counters.get((method, route, status))
        if counters is None:
            # To find them by their labels takes longer than to count. There are no more of them
            # than there are routes and statuses.
            requests = self._requests.labels(method, route, str(status))
            counters = requests, self._durations.labels(method, route)
            self._counters[method, route, status] = counters
        requests, durations = counters
        requests.inc()
        durations.observe(seconds)


class _PoolCollector(Collector):
    """Read when asked: a gauge that is set on every request would be behind."""

    def __init__(self, pool: Callable[[], Pool | None]) -> None:
        self._pool = pool

    def collect(self) -> Iterator[GaugeMetricFamily]:
        built = GaugeMetricFamily("okr_build", "The version that runs.", labels=("version",))
        built.add_metric((__version__,), 1)
        yield built
        pool = self._pool()
        if pool is None:
            return
        connections = GaugeMetricFamily(
            "okr_pool_connections", "Connections to the database.", labels=("state",)
        )
        idle, size = pool.get_idle_size(), pool.get_size()
        connections.add_metric(("idle",), idle)
        connections.add_metric(("used",), size - idle)
        yield connections
        yield GaugeMetricFamily(
            "okr_pool_connections_most", "What the pool may grow to.", value=pool.get_max_size()
        )
