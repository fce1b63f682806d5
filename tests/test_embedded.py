"""The embedded Postgres, when it takes its time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg

from app.embedded import EmbeddedPostgres


def test_a_server_that_takes_long_to_recover_is_waited_for(folder: Path) -> None:
    data = folder / "data"
    with EmbeddedPostgres(data) as server:
        asyncio.run(_executed(server, "CREATE TABLE kept AS SELECT 1 AS one"))
    # Its first question for more of the log is answered, with a no, after 13 seconds.
    asked = data / "asked"
    slowly = f"test -e {asked} || (touch {asked}; sleep 13); false"
    with (data / "postgresql.auto.conf").open("a") as config:
        config.write(f"restore_command = '{slowly}'\n")
    (data / "recovery.signal").touch()
    began = time.monotonic()
    with EmbeddedPostgres(data) as server:
        assert time.monotonic() - began > 12
        assert asyncio.run(_executed(server, "SELECT one FROM kept")) == 1


async def _executed(server: EmbeddedPostgres, sql: str) -> object:
    conn = await asyncpg.connect(server.url("postgres"))
    try:
        return await conn.fetchval(sql)
    finally:
        await conn.close()
