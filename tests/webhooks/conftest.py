"""A server of this folder's own: its database has no other sender, and loopback is permitted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network

import httpx
import pytest
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from app.application import keys
from app.config import Settings
from app.events.statements import Connection
from app.main import create_app
from tests.api.programme import Api
from tests.conftest import Database, Server, clone_of_worker, owning
from tests.webhooks.receiver import Receiver, receiving

LOOPBACK = (ip_network("127.0.0.0/8"),)


def settings_for(database: Database) -> Settings:
    return Settings().model_copy(
        update={
            "database_url": database.url,
            "allow_undurable_database": True,
            "webhook_networks": LOOPBACK,
            "request_timeout": 30.0,
        }
    )


@pytest.fixture(scope="session")
async def sending_database(cluster: Server) -> Database:
    return await clone_of_worker(cluster, "webhooks")


@pytest.fixture(scope="session")
async def sending_owner(sending_database: Database) -> AsyncIterator[Connection]:
    async with owning(sending_database) as conn:
        yield conn


@pytest.fixture(scope="session")
async def sending_app(sending_database: Database) -> AsyncIterator[FastAPI]:
    made = create_app(settings_for(sending_database))
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture(scope="session")
async def sending_client(sending_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(sending_app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture(scope="session")
async def sending_key(sending_owner: Connection) -> str:
    return await keys.make_operator(sending_owner, uuid7())


@pytest.fixture
async def api(sending_client: httpx.AsyncClient, sending_key: str) -> Api:
    """A fresh organisation on this server."""
    return await Api.found(sending_client, sending_key)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
