"""The API is what its OpenAPI document says: Schemathesis, every check on, a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx
from uuid_utils.compat import uuid7

from app.application import keys
from tests.api.programme import Api
from tests.conftest import Server, clone
from tests.server import serving

ROOT = Path(__file__).resolve().parents[2]
# Per operation, and in each phase. More find more, and take longer.
EXAMPLES = os.environ.get("OKR_CONTRACT_EXAMPLES", "5")
# A run that can be repeated; another seed goes elsewhere.
SEED = os.environ.get("OKR_CONTRACT_SEED", "1")


async def _fuzz(base: str, api: Api) -> tuple[int, str]:
    """Run every phase of Schemathesis, with every check: its exit status, and what it said."""
    program = Path(sys.executable).with_name("schemathesis")
    fuzzer = await asyncio.create_subprocess_exec(
        *(program, "run", f"{base}/openapi.json", "--checks", "all", "--workers", "1"),
        *("--max-examples", EXAMPLES, "--generation-database", "none", "--no-color"),
        *("--seed", SEED),
        cwd=ROOT,
        env={**os.environ, "OKR_KEY": api.key, "OKR_ORG": api.org},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await fuzzer.communicate()
    assert fuzzer.returncode is not None
    return fuzzer.returncode, said.decode()


async def test_the_api_keeps_its_contract(cluster: Server) -> None:
    database = await clone(cluster, "okr_contract")
    owner = await asyncpg.connect(database.owner_url)
    key = await keys.make_operator(owner, uuid7())
    await owner.close()
    with serving(database.url) as base:
        async with httpx.AsyncClient(base_url=base) as client:
            api = await Api.found(client, key)
            await api.running()
            await api.person()
            before = await api.head()
            status, said = await _fuzz(base, api)
            assert status == 0, said[-20_000:]
            for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
                assert f"✅ {phase}" in said, said[-5_000:]
            assert await api.head() > before, "the fuzzer never got through to the ledger"
            assert (await api.get("/ledger:verify"))["identical"]
