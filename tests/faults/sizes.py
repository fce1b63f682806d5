"""How much of each scenario: for CI, and for a release."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """A release takes about two hours on two idle cores, CI about five."""

    kill_rounds: int
    acknowledged_a_round: int
    rounds_an_epoch: int
    """After so many rounds, other organisations: what is checked after a round stays short."""
    failures_an_operation: int | None
    """How many requests of one route have their commit failed; None means all of a journey."""
    list_rounds: int
    list_appends: int
    keys: int
    duplicates: int
    writers: int
    editors: int
    feed_rounds: int
    feed_writers: int
    feed_events: int
    terminations: int
    replay_ledgers: int
    replay_events: int
    """In each ledger."""
    as_of_points: int
    """In each ledger."""
    altered_rows: int | None
    """How many events have each of their columns altered; None means all."""
    overload_seconds: float
    exhaustions: int
    single_requests: int
    slow_senders: int
    stalls: int
    unheard_commits: int
    failovers: int
    lone_primaries: int
    demotions: int
    cancellations: int
    reluctances: int
    disconnects: int
    """Of event streams, over all their followers."""
    open_streams: int
    sender_kills: int
    """Of processes that send to webhooks."""


CI = Sizes(
    kill_rounds=8,
    acknowledged_a_round=60,
    rounds_an_epoch=8,
    failures_an_operation=1,
    list_rounds=1,
    list_appends=400,
    keys=5,
    duplicates=50,
    writers=100,
    editors=8,
    feed_rounds=1,
    feed_writers=16,
    feed_events=160,
    terminations=1,
    replay_ledgers=1,
    replay_events=10_000,
    as_of_points=5,
    altered_rows=5,
    overload_seconds=6,
    exhaustions=1,
    single_requests=60,
    slow_senders=30,
    stalls=2,
    unheard_commits=1,
    failovers=1,
    lone_primaries=1,
    demotions=1,
    cancellations=300,
    reluctances=1,
    disconnects=50,
    open_streams=1,
    sender_kills=10,
)

RELEASE = Sizes(
    kill_rounds=300,
    acknowledged_a_round=340,
    rounds_an_epoch=5,
    failures_an_operation=None,
    list_rounds=10,
    list_appends=4_000,
    keys=200,
    duplicates=50,
    writers=100,
    editors=30,
    feed_rounds=10,
    feed_writers=16,
    feed_events=800,
    terminations=10,
    replay_ledgers=20,
    replay_events=50_000,
    as_of_points=2,
    altered_rows=None,
    overload_seconds=60,
    exhaustions=5,
    single_requests=1_000,
    slow_senders=200,
    stalls=10,
    unheard_commits=5,
    failovers=5,
    lone_primaries=3,
    demotions=5,
    cancellations=10_000,
    reluctances=3,
    disconnects=1_000,
    open_streams=3,
    sender_kills=500,
)
