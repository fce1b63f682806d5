"""Logs: a line for each request, and nothing in them that anybody sent, wrote, or holds."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import BaseModel
from uuid_utils.compat import uuid7

from app import logs
from app.application import keys
from tests.api.programme import Api, Json, Stage
from tests.conftest import Database, Server, clone
from tests.server import OKR, environment, free_port, wait_until_ready

_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ6ZWJyYSJ9.emVicmE"
_WRITTEN = "zebra"
"""Is in everything that anybody writes below."""
_JSON, _ONCE = {"Content-Type": "application/json"}, {"Idempotency-Key": _WRITTEN}


@dataclass
class Served:
    """A server of its own, and all that it logs."""

    base: str
    owner_url: str
    out: Path

    def lines(self) -> list[Json]:
        """Whole lines; the last one may be on its way."""
        whole, _, _ = self.out.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def of(self, answer: httpx.Response) -> list[Json]:
        """What was logged of the request that was answered so; its own line is the last."""
        known = answer.headers["X-Correlation-Id"]
        end = time.monotonic() + 5
        while True:
            found = [line for line in self.lines() if line.get("correlation_id") == known]
            if found and found[-1]["message"] == "request":
                return found
            assert time.monotonic() < end, "it was not logged"
            time.sleep(0.02)


@pytest.fixture(scope="module")
async def logging_database(cluster: Server) -> Database:
    return await clone(cluster, f"okr_logs_{uuid7().hex}")


@pytest.fixture(scope="module")
def served(logging_database: Database, folder: Path) -> Iterator[Served]:
    port = free_port()
    settings = {"DATABASE_URL": logging_database.url, "OKR_ALLOW_UNDURABLE_DATABASE": "true"}
    with (folder / "err").open("w") as err, (folder / "out").open("w") as out:
        server = subprocess.Popen(
            [OKR, "serve", "--port", str(port)],
            cwd=folder,
            env=environment(**settings),
            stdout=out,
            stderr=err,
        )
    base = f"http://127.0.0.1:{port}"
    wait_until_ready(base, server)
    yield Served(base, logging_database.owner_url, folder / "err")
    server.terminate()
    server.wait(timeout=20)


@pytest.fixture(scope="module")
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.base, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
async def operator(served: Served) -> str:
    owner = await asyncpg.connect(served.owner_url)
    key = await keys.make_operator(owner, uuid7())
    await owner.close()
    return key


@pytest.fixture(scope="module")
async def stage(client: httpx.AsyncClient, operator: str) -> Stage:
    return await (await Api.found(client, operator)).one_of_each()


# What is in them --------------------------------------------------------------------------


async def test_a_request_has_one_line_with_the_template_of_its_route(
    served: Served, stage: Stage
) -> None:
    person = await stage.api.key_for("read", person_id=stage.ids["person_id"])
    for api, actor in ((stage.api, "operator"), (person, "person")):
        answer = await api.request("GET", f"/teams/{stage.ids['team_id']}?as_of=3")
        (line,) = served.of(answer)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
        assert 0 < line.pop("duration_ms") < 60_000
        assert line == {
            "level": "info",
            "logger": "app.requests",
            "message": "request",
            "method": "GET",
            "route": "/v1/organizations/{organization_id}/teams/{team_id}",
            "status": answer.status_code,
            "correlation_id": answer.headers["X-Correlation-Id"],
            "org_id": stage.api.org,
            "actor": actor,
        }


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/health/live", "/health/live", 200),
        ("GET", "/nowhere/zebra", "none", 404),
        ("TRACE", "/health/live", None, 405),
        ("GET", "/v1/organizations/zebra/teams", None, 401),
    ],
)
async def test_what_is_no_route_of_ours_is_not_repeated(
    served: Served, client: httpx.AsyncClient, method: str, path: str, route: str, status: int
) -> None:
    answer = await client.request(method, path)
    (line,) = served.of(answer)
    assert (answer.status_code, line["status"], line["org_id"]) == (status, status, None)
    assert line["method"] == ("OTHER" if method == "TRACE" else method)
    assert route in (None, line["route"])
    assert _WRITTEN not in json.dumps(line)


async def test_a_clients_own_correlation_id_is_a_uuid_or_replaced(
    served: Served, client: httpx.AsyncClient
) -> None:
    ours = str(uuid7())
    for sent, kept in ((ours, True), (_WRITTEN, False), (f'{ours}", "level": "x', False)):
        answer = await client.get("/health/live", headers={"X-Correlation-Id": sent})
        assert (answer.headers["X-Correlation-Id"] == ours) is kept
        (line,) = served.of(answer)
        assert line["level"] == "info"


# What is not ------------------------------------------------------------------------------


async def _everything(client: httpx.AsyncClient, operator: str, stage: Stage) -> list[str]:
    """Requests of all kinds with what must not be logged; the keys that were among them."""
    api = await Api.found(client, operator)
    person = await api.person(f"Ada {_WRITTEN}")
    held = await api.key_for("read", "people:write", person_id=person["id"])
    note = {"note": _WRITTEN, "next_steps": _WRITTEN, "value": 150}
    for method, path, options in (
        ("POST", "/people", {"json": {"name": _WRITTEN, "email": "zebra@example.org"}}),
        ("POST", "/people", {"json": {"name": {_WRITTEN: _WRITTEN}, "email": _WRITTEN}}),
        ("POST", "/people", {"content": b'{"name": "zebra', "headers": _JSON}),
        ("POST", "/people", {"content": b"zebra", "headers": {"Content-Type": "text/zebra"}}),
        ("POST", "/people", {"content": b"[" * 5_000 + b'"zebra"'}),
        ("POST", f"/key-results/{stage.ids['key_result_id']}/check-ins", {"json": note}),
        ("GET", f"/objectives?{_WRITTEN}={_WRITTEN}", {}),
        ("GET", f"/objectives?page_token={_WRITTEN}", {}),
        ("GET", f"/events?actor=person/{_WRITTEN}", {}),
        ("GET", f"/teams/{_WRITTEN}", {}),
        ("GET", f"/{_WRITTEN}", {}),
        ("GET", f"/teams?as_of={_WRITTEN}", {}),
        ("PATCH", "", {"json": {"name": _WRITTEN}, "headers": {"If-Match": _WRITTEN}}),
        ("PATCH", "", {"json": {"name": _WRITTEN}}),
        ("PUT", "/deployment/limits", {"json": {"decision": _WRITTEN, "rationale": _WRITTEN}}),
        ("POST", "/imports", {"json": {"source": _WRITTEN, "owners": [{"key": _WRITTEN}]}}),
        ("POST", "/teams", {"json": {"name": _WRITTEN}, "headers": _ONCE}),
        ("POST", "/teams", {"json": {"name": "Ads"}, "headers": _ONCE}),
        ("POST", "/teams", {"json": {"name": "\x00zebra"}}),
        ("POST", f"/people/{person['id']}:erase", {"json": {"reason": _WRITTEN}}),
    ):  # fmt: skip
        for key in (operator, held.key, stage.api.key):
            for org in (api.org, stage.api.org):
                await Api(client, key, org).request(method, path, **options)
    wrong = [keys.make_key(), _TOKEN, "zebra:zebra"]
    for key in wrong:
        await Api(client, key, api.org).request("GET", "")
        await client.get(f"/v1/organizations?key={key}", headers={"Authorization": f"Basic {key}"})
    return [operator, held.key, *wrong]


async def test_nothing_that_was_sent_is_in_the_log(
    served: Served, client: httpx.AsyncClient, operator: str, stage: Stage
) -> None:
    held = await _everything(client, operator, stage)
    logged = served.out.read_text()
    for secret in (*held, _WRITTEN, "example.org", "Bearer", "Basic", "Ada Park", "Because."):
        assert secret not in logged, secret
    statuses = {line.get("status") for line in served.lines()}
    assert statuses >= {200, 201, 400, 401, 404, 409, 415, 422}


@pytest.mark.parametrize("table", ["teams", "events"])
async def test_an_unhandled_error_is_logged_without_the_rows_that_it_is_about(
    served: Served, stage: Stage, table: str
) -> None:
    """Postgres's own message would show the whole row: `Failing row contains (...)`."""
    owner = await asyncpg.connect(served.owner_url)
    never = f"ALTER TABLE {table} ADD CONSTRAINT never CHECK (false) NOT VALID"
    await owner.execute(never)
    try:
        answer = await stage.api.request("POST", "/teams", json={"name": _WRITTEN})
    finally:
        await owner.execute(f"ALTER TABLE {table} DROP CONSTRAINT never")
        await owner.close()
    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    failure, request = served.of(answer)
    assert request["status"] == 500
    assert failure["level"] == "error"
    error = failure["error"]
    assert (error["type"], error["sqlstate"], error["constraint_name"], error["table_name"]) == (
        "asyncpg.exceptions.CheckViolationError",
        "23514",
        "never",
        table,
    )
    assert any(one.startswith("app/application/ledgers.py:") for one in error["at"])
    assert _WRITTEN not in served.out.read_text()
    assert "Failing row" not in served.out.read_text()
    assert _WRITTEN not in answer.text


async def test_a_database_that_fails_is_logged_with_the_correlation_id(
    served: Served, stage: Stage
) -> None:
    owner = await asyncpg.connect(served.owner_url)
    await owner.execute("ALTER TABLE teams RENAME TO lost")
    try:
        answer = await stage.api.request("POST", "/teams", json={"name": _WRITTEN})
    finally:
        await owner.execute("ALTER TABLE lost RENAME TO teams")
        await owner.close()
    assert answer.status_code == 500
    assert [line["message"].split(":")[0] for line in served.of(answer)] == [
        "unhandled error",
        "request",
    ]
    assert _WRITTEN not in served.out.read_text()


def test_the_whole_log_is_json_and_ends_with_no_traceback(served: Served) -> None:
    assert all(line["time"] and line["level"] for line in served.lines())
    assert "Traceback" not in served.out.read_text()


# Formats ----------------------------------------------------------------------------------


class _Note(BaseModel):
    count: int


def _failed() -> Exception:
    """An error caused by others, each of which repeats a value."""
    try:
        _fail()
    except ExceptionGroup as found:
        return found
    raise AssertionError("it did not fail")


def _fail() -> None:
    try:
        try:
            _Note.model_validate({"count": "zebra in a model"})
        except ValueError as invalid:
            raise KeyError("zebra as a key") from invalid
    except KeyError:
        several = [ValueError("zebra one"), OSError("zebra two")]
        raise ExceptionGroup("zebras", several)  # noqa: B904


def test_an_exception_is_told_by_its_kinds_and_places() -> None:
    told = logs.described(_failed())
    assert told["type"] == "ExceptionGroup"
    assert [one["type"] for one in told["of"]] == ["ValueError", "OSError"]
    assert told["caused_by"]["type"] == "KeyError"
    assert "ValidationError" in told["caused_by"]["caused_by"]["type"]
    assert re.fullmatch(r"tests/security/test_logs\.py:\d+ _fail", told["at"][-1])
    assert _WRITTEN not in json.dumps(told)


def _record(message: str, name: str = "app.test", **more: Any) -> logging.LogRecord:
    record = logging.LogRecord(name, logging.ERROR, "x.py", 1, message, (), None)
    record.__dict__.update(more)
    return record


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_traceback_is_never_printed_whatever_logs_it(style: logs.Style) -> None:
    failed = _failed()
    line = logs.handler(style).format(
        _record("it failed", exc_info=(type(failed), failed, failed.__traceback__))
    )
    assert "\n" not in line
    assert "ExceptionGroup" in line
    assert _WRITTEN not in line


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize(
    "secret",
    [keys.make_key(), keys.make_key("test"), _TOKEN, f"Bearer {_WRITTEN}", "zebra@example.org"],
    ids=["key", "other key", "token", "header", "address"],
)
def test_what_looks_like_a_secret_is_stopped_at_the_last_moment(
    secret: str, style: logs.Style
) -> None:
    formatted = logs.handler(style).format(_record(f"by mistake {secret}", facts={"also": secret}))
    assert secret not in formatted
    assert formatted.count("[redacted]") == 2


async def test_a_task_that_nobody_waited_for_does_not_tell_either() -> None:
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(logs.Json().format(record))

    async def fails() -> None:
        raise ValueError(_WRITTEN)

    asyncio_log, keeping = logging.getLogger("asyncio"), Keeping()
    asyncio_log.addHandler(keeping)
    try:
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        del task
        await asyncio.sleep(0)
    finally:
        asyncio_log.removeHandler(keeping)
    (line,) = lines
    assert json.loads(line)["message"] == "Task exception was never retrieved"
    assert json.loads(line)["error"]["type"] == "ValueError"
    assert _WRITTEN not in line


def test_text_is_one_line_for_a_person() -> None:
    line = logs.handler("text").format(_record("request", facts={"status": 200, "org_id": None}))
    assert re.fullmatch(r"\S+ error app\.test request status=200", line)


def test_logging_that_is_set_up_already_is_left_alone() -> None:
    before = list(logging.getLogger().handlers)
    assert before, "pytest has its own"
    logs.configure("json")
    assert logging.getLogger().handlers == before
