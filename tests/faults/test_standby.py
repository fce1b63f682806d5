"""A synchronous standby that takes over, and a primary that takes no more writes."""

from __future__ import annotations

import time

import pytest

from app.database import each_host, open_pool
from tests.faults.cluster import Place
from tests.faults.proxy import Proxy
from tests.faults.standby import demotions, failovers, lone_primaries


async def test_writes_come_back_on_the_standby_and_nothing_acknowledged_is_lost(seed: int) -> None:
    outcome = await failovers(1, seed, lambda: None)
    assert outcome.acknowledged >= 120


async def test_nothing_is_acknowledged_that_the_standby_has_not(seed: int) -> None:
    outcome = await lone_primaries(1, seed, lambda: None)
    assert outcome.acknowledged >= 60


async def test_a_database_that_takes_no_writes_is_told_as_one_that_is_away(
    place: Place, seed: int
) -> None:
    outcome = await demotions(place, 1, seed, lambda: None)
    assert outcome.acknowledged >= 40


@pytest.mark.parametrize("is_first_dead", [True, False])
async def test_a_host_that_says_nothing_does_not_use_up_the_time_of_the_other(
    place: Place, is_first_dead: bool
) -> None:
    proxies = [Proxy(place.postgres.data / ".s.PGSQL.5432") for _ in range(2)]
    for proxy in proxies:
        await proxy.start()
    try:
        proxies[not is_first_dead].blackhole()
        hosts = ",".join(f"127.0.0.1:{proxy.port}" for proxy in proxies)
        began = time.monotonic()
        pool = await open_pool(f"postgresql://okr_app@{hosts}/okr?target_session_attrs=read-write")
        took = time.monotonic() - began
        await pool.close()
    finally:
        for proxy in proxies:
            proxy.stop()
    assert took < 3


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://a:b@one/okr", ["postgresql://a:b@one/okr"]),
        ("postgresql://a@/okr?host=/x&port=1", ["postgresql://a@/okr?host=/x&port=1"]),
        (
            "postgresql://a:b@one:1,two:2/okr?ssl=on",
            ["postgresql://a:b@one:1/okr?ssl=on", "postgresql://a:b@two:2/okr?ssl=on"],
        ),
        (
            "postgresql://a@/okr?host=one,two&port=1,2",
            ["postgresql://a@/okr?host=one&port=1", "postgresql://a@/okr?host=two&port=2"],
        ),
        (
            "postgresql://a@/okr?host=one,two&port=1",
            ["postgresql://a@/okr?host=one&port=1", "postgresql://a@/okr?host=two&port=1"],
        ),
    ],
)
def test_a_url_of_several_hosts_is_one_of_each(url: str, each: list[str]) -> None:
    assert each_host(url) == each
