"""When a sender looks: hardly ever where there is nothing to send, and at once where there is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from app.application import keys
from app.application.webhooks.schedule import DELAYS, JITTER
from app.application.webhooks.sender import IDLE_SECONDS
from app.events.statements import Connection
from app.main import create_app
from tests.api.programme import Api
from tests.conftest import Database, Server, clone_of_worker, owning
from tests.webhooks.conftest import settings_for
from tests.webhooks.receiver import Receiver, Reply

# Each look is told of: the application's own function, called by one of the same name.
_TOLD = """
ALTER FUNCTION webhooks_due(INTEGER) RENAME TO webhooks_due_untold;
CREATE FUNCTION webhooks_due(most INTEGER) RETURNS TABLE (org_id UUID, webhook_id UUID)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    PERFORM pg_notify('looks', '');
    RETURN QUERY SELECT * FROM webhooks_due_untold(most);
END $$;
REVOKE ALL ON FUNCTION webhooks_due(INTEGER) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION webhooks_due(INTEGER) TO okr_app;
"""


@pytest.fixture(scope="module")
async def alone(cluster: Server) -> Database:
    """A database that no other server knows, and that has no webhooks."""
    return await clone_of_worker(cluster, "idle")


@pytest.fixture(scope="module")
async def owner_alone(alone: Database) -> AsyncIterator[Connection]:
    async with owning(alone) as conn:
        yield conn


@asynccontextmanager
async def _server(database: Database) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    app = create_app(settings_for(database))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield app, client


async def test_where_there_are_no_webhooks_writes_wake_nobody(
    alone: Database, owner_alone: Connection
) -> None:
    looks = []
    await owner_alone.execute(_TOLD)
    await owner_alone.add_listener("looks", lambda *_: looks.append(time.monotonic()))
    key = await keys.make_operator(owner_alone, uuid7())
    async with _server(alone) as (_, client):
        api = await Api.found(client, key)
        await asyncio.sleep(0.5)
        assert looks, "it is not told of looks"
        looks.clear()
        began = time.monotonic()
        for number in range(10):
            await api.team(f"Team {number}")
            await asyncio.sleep(0.2)
        seconds = time.monotonic() - began
    assert len(looks) <= seconds / IDLE_SECONDS + 1


async def test_a_webhook_that_was_just_made_is_sent_what_is_recorded_then_at_once(
    alone: Database, owner_alone: Connection, receiver: Receiver
) -> None:
    key = await keys.make_operator(owner_alone, uuid7())
    async with _server(alone) as (_, client):
        for count in range(1, 7, 2):
            api = await Api.found(client, key)
            hook = await api.post(
                "/webhooks", {"url": receiver.url, "event_types": ["team.formed"]}
            )
            await api.team()
            await receiver.first(count, seconds=IDLE_SECONDS / 2)
            # Now it has looked, and rests.
            await asyncio.sleep(0.5)
            await api.post(f"/webhooks/{hook['id']}:disable")
            await asyncio.sleep(0.5)
            await api.post(f"/webhooks/{hook['id']}:enable")
            await api.team("Another")
            await receiver.first(count + 1, seconds=IDLE_SECONDS / 2)


async def test_a_retry_is_sent_when_it_is_due(
    alone: Database, owner_alone: Connection, receiver: Receiver
) -> None:
    replies = iter([Reply(503)])
    receiver.reply = lambda _: next(replies, Reply())
    key = await keys.make_operator(owner_alone, uuid7())
    async with _server(alone) as (_, client):
        api = await Api.found(client, key)
        await api.post("/webhooks", {"url": receiver.url, "event_types": ["team.formed"]})
        await api.team()
        first, second = await receiver.first(2)
        longest = DELAYS[1].total_seconds() * (1 + JITTER)
        assert second.at - first.at < longest + 2


async def test_what_another_process_made_and_left_behind_is_sent_within_seconds(
    alone: Database, owner_alone: Connection, receiver: Receiver
) -> None:
    key = await keys.make_operator(owner_alone, uuid7())
    async with _server(alone) as (_, client):
        api = await Api.found(client, key)
        await asyncio.sleep(0.5)
        async with _server(alone) as (other, there):
            # It sends nothing itself, as if it had no place left.
            other.state.sender._under_way = dict.fromkeys(range(100))
            away = Api(there, api.key, api.org)
            await away.post("/webhooks", {"url": receiver.url, "event_types": ["team.formed"]})
            await away.team()
            await receiver.first(1, seconds=8)
            other.state.sender._under_way = {}
