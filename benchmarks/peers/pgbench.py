"""The SQL side: the same writes as one check-in, in one function call, driven by pgbench."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from uuid import UUID

import asyncpg

from app.embedded import EmbeddedPostgres
from benchmarks.common import NOTE, BenchmarkFailed

_FUNCTION = Path(__file__).with_name("check_in.sql")
_SCRIPT = f"""
\\set n random(1, :ledgers)
\\set value random(100, 199)
SELECT bench.check_in(:n, :value, 0.6, 'on_track', '{NOTE}', gen_random_uuid()::text);
"""
_THREADS = 2
_GRACE_SECONDS = 60

# One row per ledger: what the product wrote for the check-in that is there already.
_SAID = """
CREATE TABLE bench.said AS
SELECT n::integer, e.org_id, e.category, e.type, e.schema_version, e.data::text,
    c.key_result_id, c.objective_id, c.cycle_id, c.is_milestone, c.progress,
    c.next_steps, c.actor, c.source,
    i.credential, i.route, i.fingerprint, i.status, i.headers::text, i.body
FROM unnest($1::uuid[]) WITH ORDINALITY AS ledger (org_id, n)
JOIN check_ins c USING (org_id)
JOIN events e ON e.org_id = c.org_id AND e.position = c.position
JOIN idempotency_keys i ON i.org_id = c.org_id AND i.route LIKE '%/check-ins'
"""


async def install(owner_url: str, org_ids: list[UUID]) -> None:
    """Make the function, in a schema of its own, for ledgers with one check-in each."""
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute("CREATE SCHEMA bench")
        await owner.execute(_SAID, org_ids)
        await owner.execute("ALTER TABLE bench.said ADD PRIMARY KEY (n)")
        await owner.execute(_FUNCTION.read_text())
        if await owner.fetchval("SELECT count(*) FROM bench.said") != len(org_ids):
            raise BenchmarkFailed("Each ledger of the SQL side needs exactly one check-in.")
        await owner.execute("ANALYZE bench.said")
    finally:
        await owner.close()


def run(owner_url: str, *, ledgers: int, clients: int, seconds: float) -> float:
    """Check-ins per second on the first `ledgers` of those installed. Raises BenchmarkFailed."""
    done = subprocess.run(
        [
            *(str(EmbeddedPostgres.binary("pgbench")), "--no-vacuum", "--protocol=prepared"),
            *(f"--client={clients}", f"--jobs={_THREADS}", f"--time={max(1, round(seconds))}"),
            *(f"--define=ledgers={ledgers}", "--file=-", owner_url),
        ],
        input=_SCRIPT,
        capture_output=True,
        text=True,
        timeout=seconds + _GRACE_SECONDS,
    )
    rate = re.search(r"^tps = ([0-9.]+) \(without initial", done.stdout, re.MULTILINE)
    failed = re.search(r"^number of failed transactions: ([0-9]+)", done.stdout, re.MULTILINE)
    if done.returncode or rate is None or failed is None or failed[1] != "0":
        raise BenchmarkFailed(f"pgbench failed: {done.stdout}{done.stderr}")
    return float(rate[1])
