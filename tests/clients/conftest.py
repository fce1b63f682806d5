"""A real server, and a person's key to an organisation whose cycle is under way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from app.application import keys
from tests.api.programme import Api
from tests.conftest import Server, clone
from tests.server import serving


@dataclass(frozen=True)
class Office:
    """Where a client works: the arguments of each example."""

    base: str
    key: str
    org: str

    @property
    def arguments(self) -> tuple[str, str, str]:
        return self.base, self.key, self.org


@pytest.fixture
async def office(cluster: Server) -> AsyncIterator[Office]:
    """A member of a team, which has committed to three objectives."""
    database = await clone(cluster, f"okr_client_{uuid7().hex[-8:]}")
    owner = await asyncpg.connect(database.owner_url)
    operator = await keys.make_operator(owner, uuid7())
    await owner.close()
    with serving(database.url) as base:
        async with httpx.AsyncClient(base_url=base, timeout=30) as client:
            api = await Api.found(client, operator)
            team, cycle, person = await api.team(), await api.cycle(), await api.person()
            await api.put(f"/teams/{team['id']}/members/{person['id']}", {"role": "member"})
            for title in ("Customers stay", "Support answers within a day", "Orders arrive whole"):
                await api.commit(await api.objective(cycle, team, title=title))
            await api.post(f"/cycles/{cycle['id']}:open")
            # Who follows the feed reads the history: it takes more than being a member.
            await api.put(f"/people/{person['id']}/roles/auditor", {"reason": "Builds the page."})
            scopes = ("read", "history:read", "objectives:write", "check-ins:write")
            own = await api.key_for(*scopes, person_id=person["id"])
        yield Office(base, own.key, api.org)
