"""An organisation on a real server of its own, whose cycle is under way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from app.application import keys
from tests.api.programme import METRIC, Api, Json
from tests.conftest import Server, clone
from tests.server import serving

KEY_RESULTS = 4


@dataclass(frozen=True)
class Workplace:
    """What somebody finds who comes to work; `api` is an operator's."""

    base: str
    api: Api
    team: Json
    cycle: Json
    key_results: list[str]


@pytest.fixture(scope="module")
async def workplace(cluster: Server) -> AsyncIterator[Workplace]:
    database = await clone(cluster, f"okr_day_{uuid7().hex[-8:]}")
    owner = await asyncpg.connect(database.owner_url)
    operator = await keys.make_operator(owner, uuid7())
    await owner.close()
    with pytest.MonkeyPatch.context() as patch:
        # A busy machine is no reason to refuse here.
        patch.setenv("OKR_REQUEST_TIMEOUT", "60")
        with serving(database.url) as base:
            async with httpx.AsyncClient(base_url=base, timeout=60) as client:
                api = await Api.found(client, operator)
                team, cycle = await api.team(), await api.cycle()
                parts = [{"title": f"Figure {n}", "measure": METRIC} for n in range(KEY_RESULTS)]
                objective = await api.commit(await api.objective(cycle, team, key_results=parts))
                await api.open_anyway(cycle)
                made = [one["id"] for one in objective["key_results"]]
                yield Workplace(base, api, team, cycle, made)
