"""Programmes to check in on, made over HTTP as any client would make them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from uuid_utils.compat import uuid7

from app.application import keys
from benchmarks.common import HOST, BenchmarkFailed, Programme, check_in

_ALL = "/v1/organizations"


async def operator_key(owner_url: str) -> str:
    """The key that founds organisations."""
    owner = await asyncpg.connect(owner_url)
    try:
        return await keys.make_operator(owner, uuid7())
    finally:
        await owner.close()


def make(port: int, operator: str, count: int, *, keys: int = 1) -> Iterator[Programme]:
    """Fresh organisations, each in an active cycle, with one check-in on one key result.

    The one check-in is there so that none that is measured is a first one. The first organisation
    has so many `keys`, the others one each.
    """
    with httpx.Client(base_url=f"http://{HOST}:{port}") as client:
        for number in range(count):
            founded = _post(client, operator, _ALL, {"name": f"Company {number}"})
            org = f"{_ALL}/{founded['id']}"
            key_result_id = _running(client, operator, org)
            body = {"name": "Benchmark", "scopes": ["history:read", "check-ins:write"]}
            made = Programme(
                org_id=founded["id"],
                key_result_id=key_result_id,
                keys=tuple(
                    _post(client, operator, f"{org}/api-keys", body)["key"]
                    for _ in range(1 if number else keys)
                ),
            )
            _post(client, made.keys[0], made.path, check_in(100))
            yield made


def _running(client: httpx.Client, key: str, org: str) -> str:
    """Open a cycle with one committed objective; returns the id of its key result."""
    today = datetime.now(UTC).date()
    first, last = today - timedelta(days=30), today + timedelta(days=60)
    dates = {"starts_on": first.isoformat(), "ends_on": last.isoformat()}
    measure = {"kind": "metric", "unit": "customers", "baseline": 100, "target": 200}

    team = _post(client, key, f"{org}/teams", {"name": "Growth"})
    cycle = _post(client, key, f"{org}/cycles", {"name": "This quarter", **dates})
    _post(client, key, f"{org}/cycles/{cycle['id']}:begin-drafting")
    objective = {
        "cycle_id": cycle["id"],
        "owner": {"kind": "team", "id": team["id"]},
        "title": "Customers stay because they succeed",
        "key_results": [{"title": "Active customers", "measure": measure}],
    }
    objective = _post(client, key, f"{org}/objectives", objective)
    _post(client, key, f"{org}/objectives/{objective['id']}:commit")
    # What is measured is a check-in, not the way there.
    person = _post(client, key, f"{org}/people", {"name": "Ada Park"})
    override = {"person_id": person["id"], "reason": "A benchmark trains nobody."}
    _post(client, key, f"{org}/cycles/{cycle['id']}:open", {"override": override})
    return str(objective["key_results"][0]["id"])


def _post(
    client: httpx.Client, key: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(uuid4())}
    answer = client.post(path, json=body, headers=headers)
    if answer.status_code not in (200, 201):
        raise BenchmarkFailed(f"{path} answered {answer.status_code}: {answer.text}")
    made: dict[str, Any] = answer.json()
    return made
