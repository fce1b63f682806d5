"""A primary that dies, and its standby that takes over: clients of one server hear little of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.embedded import EmbeddedPostgres
from tests.conftest import Database
from tests.faults.cluster import Place, Postgres, made_place
from tests.faults.crashes import send_again
from tests.faults.ledgers import audit, verified
from tests.faults.load import made_ledger
from tests.faults.outcome import Outcome, Step, demand
from tests.faults.pressure import Pressure, improper, late
from tests.faults.proxy import served

TOLD_SECONDS = 5
BACK_SECONDS = 10
_WRITERS, _READERS = 8, 2
_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'okr-ledger'"
)


async def failovers(rounds: int, seed: int, step: Step) -> Outcome:
    """Each round with a cluster of its own: load, the primary killed, the standby promoted."""
    what = "kill -9 of a primary under load, pg_ctl promote of its synchronous standby"
    outcome = Outcome("22: failover heals", what, seed)
    for round_ in range(rounds):
        async with made_place(servers=0) as place, replicated(place) as standby:
            outcome.acknowledged += await _round(place, standby, seed, round_)
        outcome.rounds += 1
        step()
    return outcome


async def _round(place: Place, standby: Postgres, seed: int, round_: int) -> int:
    async with served(place, both(place.postgres, standby)) as here:
        ledger = await made_ledger(here, 3)
        load = Pressure(here, [ledger], seed + round_)
        async with load.running(writers=_WRITERS, readers=_READERS):
            await load.until(60, 60)
            place.postgres.kill()
            # Nobody takes over at once: somebody has to notice.
            await asyncio.sleep(0.5)
            await asyncio.to_thread(promote, standby)
            promoted = time.monotonic()
            await load.until(1, BACK_SECONDS)
            await load.until(60, promoted + BACK_SECONDS - time.monotonic())
        wrong = late(load.said, TOLD_SECONDS) + improper(load.refused)
        async with here.owner() as owner:
            wrong += await load.denied(owner, ledger)
            await send_again(here, load, [ledger])
            wrong += await audit(owner, ledger, final=True)
        wrong += await verified(here, ledger.api.org)
        demand(wrong, scenario="failovers", seed=seed, round_=round_, ledger=ledger)
    return load.acknowledged


@asynccontextmanager
async def replicated(place: Place) -> AsyncIterator[Postgres]:
    """A standby without which nothing is acknowledged."""
    folder = place.folder / "standby"
    standby = Postgres(folder)
    folder.mkdir()
    owner = place.postgres.data.stat()
    if os.geteuid() == 0:
        os.chown(folder, owner.st_uid, owner.st_gid)
    await asyncio.to_thread(_as_owner, place.postgres, "pg_basebackup", *_backup(place, standby))
    # The primary's socket is in its data folder, and so is what locks it.
    (standby.data / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    try:
        await standby.start()
        admin = await asyncpg.connect(place.postgres.url("postgres"), timeout=10)
        try:
            await admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            await admin.execute("SELECT pg_reload_conf()")
            for _ in range(500):
                if await admin.fetchval(
                    "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
                ):
                    break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError(f"the standby does not follow: {standby.said()}")
        finally:
            await admin.close()
        yield standby
    finally:
        await asyncio.to_thread(standby.stop)


def _backup(place: Place, standby: Postgres) -> list[str]:
    return [
        f"--pgdata={standby.data}",
        f"--host={place.postgres.data}",
        "--port=5432",
        "--username=postgres",
        "--write-recovery-conf",
        "--wal-method=stream",
        "--checkpoint=fast",
    ]


def promote(standby: Postgres) -> None:
    _as_owner(standby, "pg_ctl", "promote", f"--pgdata={standby.data}", "--wait")


def _as_owner(postgres: Postgres, program: str, *arguments: str) -> None:
    """Run a program of Postgres's as whoever owns the data: root may not."""
    owner = postgres.data.stat()
    other = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    done = subprocess.run(
        [EmbeddedPostgres.binary(program), *arguments],
        cwd=postgres.data,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        **(other if os.geteuid() == 0 else {}),  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout


def both(primary: Postgres, standby: Postgres) -> Database:
    """Either of them, whichever takes writes."""

    def url(user: str) -> str:
        return (
            f"postgresql://{user}@/okr?host={primary.data},{standby.data}&port=5432,5432"
            "&target_session_attrs=read-write"
        )

    return Database(url("okr_app"), url("postgres"))


async def lone_primaries(rounds: int, seed: int, step: Step) -> Outcome:
    """Each round, the standby is away: nothing is acknowledged before it is back, retries least."""
    what = "a synchronous standby that stops under load, and comes back; retries meanwhile"
    outcome = Outcome("22: acknowledged means replicated", what, seed)
    async with (
        made_place(servers=0) as place,
        replicated(place) as standby,
        served(place, both(place.postgres, standby), OKR_REQUEST_TIMEOUT="2") as here,
    ):
        for round_ in range(rounds):
            ledger = await made_ledger(here, 3)
            load = Pressure(here, [ledger], seed + round_)
            async with load.running(writers=_WRITERS, readers=_READERS):
                await load.until(30, 60)
                await asyncio.to_thread(standby.stop)
                # What was acknowledged in between was replicated.
                await asyncio.sleep(0.5)
                before = load.acknowledged
                await asyncio.sleep(2)
                async with here.owner() as owner, here.client() as client:
                    # Somebody loses patience: what is committed here becomes visible here.
                    await owner.execute(_TERMINATE)
                    await asyncio.sleep(0.5)
                    for wish in ledger.unknown[:8]:
                        await load.send(client, ledger, wish)
                alone = load.acknowledged - before
                await standby.start()
                await load.until(30, BACK_SECONDS)
            wrong = [f"{alone} acknowledged without the standby"] if alone else []
            wrong += late(load.said, TOLD_SECONDS) + improper(load.refused)
            async with here.owner() as owner:
                wrong += await load.denied(owner, ledger)
                await send_again(here, load, [ledger])
                wrong += await audit(owner, ledger, final=True)
            demand(wrong, scenario="lone primaries", seed=seed, round_=round_, ledger=ledger)
            outcome.acknowledged += load.acknowledged
            outcome.rounds += 1
            step()
    return outcome


async def demotions(place: Place, rounds: int, seed: int, step: Step) -> Outcome:
    """Each round, the database takes no writes for a while, as one does that was demoted."""
    what = "a database that takes no more writes, and then takes them again"
    outcome = Outcome("22: a demoted primary is a disconnect", what, seed)
    async with served(place, place.database) as here, here.owner() as owner:
        for round_ in range(rounds):
            ledger = await made_ledger(here, 1)
            load = Pressure(here, [ledger], seed + round_)
            async with load.running(writers=4, readers=1):
                await load.until(20, 60)
                await owner.execute("ALTER SYSTEM SET default_transaction_read_only = on")
                await owner.execute("SELECT pg_reload_conf()")
                await asyncio.sleep(1)
                before = load.acknowledged
                await asyncio.sleep(1)
                wrong = ["written while read only"] if load.acknowledged != before else []
                await owner.execute("ALTER SYSTEM RESET default_transaction_read_only")
                await owner.execute("SELECT pg_reload_conf()")
                await load.until(20, BACK_SECONDS)
            wrong += late(load.said, TOLD_SECONDS) + improper(load.refused)
            if not load.refused:
                wrong.append("nobody was refused")
            wrong += await load.denied(owner, ledger)
            await send_again(here, load, [ledger])
            wrong += await audit(owner, ledger, final=True)
            demand(wrong, scenario="demotions", seed=seed, round_=round_, ledger=ledger)
            outcome.acknowledged += load.acknowledged
            outcome.rounds += 1
            step()
    return outcome
