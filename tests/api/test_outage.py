"""A database that does not answer: 503 and when to come back, then as if nothing had been."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from app.config import Settings
from app.main import create_app
from tests.api.programme import Api
from tests.conftest import Database


class Relay:
    """A socket in front of the database that can be cut and mended."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._behind = urlsplit(database.url)
        self.url = f"postgresql://{self._behind.username}@{self._behind.path}?host={folder}&port=1"
        self._path = folder / ".s.PGSQL.1"
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def mend(self) -> None:
        self._server = await asyncio.start_unix_server(self._connect, self._path)

    async def cut(self, *, remove: bool) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0.05)
        if remove:
            self._path.unlink(missing_ok=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket = parse_qs(self._behind.query)
        if "host" in socket:
            path = f"{socket['host'][0]}/.s.PGSQL.{socket['port'][0]}"
            back, forth = await asyncio.open_unix_connection(path)
        else:
            back, forth = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        self._writers += [writer, forth]
        await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def _serving(url: str) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """An application of its own, so that the one of all tests stays whole."""
    made = create_app(
        Settings().model_copy(update={"database_url": url, "allow_undurable_database": True})
    )
    transport = httpx.ASGITransport(made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield made, client


def _assert_told(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["X-Correlation-Id"]


async def _assert_unavailable(api: Api) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("GET", "/people", None),
        ("POST", "/teams", {"name": "Growth"}),
    ):
        answer = await api.request(method, path, json=body)
        _assert_told(answer)
    _assert_told(await api.client.get("/health/ready"))
    assert (await api.client.get("/health/live")).json() == {"status": "ok"}


@pytest.mark.parametrize("remove", [False, True], ids=["refused", "socket gone"])
async def test_a_database_that_went_away_is_told_and_found_again(
    api: Api, database: Database, tmp_path: Path, remove: bool
) -> None:
    relay = Relay(database, tmp_path)
    await relay.mend()
    async with _serving(relay.url) as (_, client):
        here = Api(client, api.key, api.org)
        before = await here.head()
        await relay.cut(remove=remove)
        await _assert_unavailable(here)
        await relay.mend()
        assert await here.head() == before
        assert (await here.team())["name"] == "Growth"
        await relay.cut(remove=True)


async def test_a_closed_pool_is_told_as_a_database_that_does_not_answer(
    api: Api, database: Database
) -> None:
    async with _serving(database.url) as (made, client):
        await made.state.ledgers.pool.close()
        await _assert_unavailable(Api(client, api.key, api.org))
