"""A programme over HTTP, step by step: what most API tests begin with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import httpx

Json = dict[str, Any]

METRIC: Json = {"kind": "metric", "unit": "customers", "baseline": 100, "target": 200}
QUARTER: Json = {"name": "2026 Q1", "starts_on": "2026-01-01", "ends_on": "2026-03-31"}


@dataclass(frozen=True)
class Api:
    """One organisation, reached with one key."""

    client: httpx.AsyncClient
    key: str
    org: str

    @classmethod
    async def found(cls, client: httpx.AsyncClient, key: str) -> Api:
        answer = await client.post(
            "/v1/organizations",
            json={"name": "Harbour & Sons"},
            headers={"Authorization": f"Bearer {key}"},
        )
        assert answer.status_code == 201, answer.text
        return cls(client, key, answer.json()["id"])

    def with_key(self, key: str) -> Api:
        return replace(self, key=key)

    async def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """A request below this organisation; an empty path is the organisation itself."""
        return await self.client.request(
            method,
            f"/v1/organizations/{self.org}{path}",
            headers={"Authorization": f"Bearer {self.key}", **(headers or {})},
            **options,
        )

    async def get(self, path: str, **params: Any) -> Json:
        answer = await self.request("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def post(self, path: str, body: Json | None = None, status: int | None = None) -> Json:
        answer = await self.request("POST", path, json=body)
        assert answer.status_code in ((status,) if status else (200, 201)), answer.text
        made: Json = answer.json()
        return made

    async def put(self, path: str, body: Json, if_match: str | None = None) -> Json:
        headers = {"If-Match": if_match} if if_match else {}
        answer = await self.request("PUT", path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        made: Json = answer.json()
        return made

    async def patch(self, path: str, body: Json) -> Json:
        """A change based on what is there now."""
        current = await self.request("GET", path)
        answer = await self.request(
            "PATCH", path, json=body, headers={"If-Match": current.headers["ETag"]}
        )
        assert answer.status_code == 200, answer.text
        made: Json = answer.json()
        return made

    async def patch_blindly(self, path: str, body: Json) -> None:
        """A change of whatever version is there: If-Match says that any will do."""
        answer = await self.request("PATCH", path, json=body, headers={"If-Match": "*"})
        assert answer.status_code == 200, answer.text

    async def head(self) -> int:
        """The ledger's last position."""
        return int((await self.get("/ledger"))["head"])

    # Phase by phase

    async def decide(self, question: str, **decision: Any) -> Json:
        body = {"decision": {"question": question, **decision}, "rationale": "Because."}
        return await self.put(f"/deployment/{question}", body, if_match="*")

    async def team(self, name: str = "Growth", **more: Any) -> Json:
        return await self.post("/teams", {"name": name, **more})

    async def person(self, name: str = "Ada Park") -> Json:
        return await self.post("/people", {"name": name, "email": "ada@example.org"})

    async def cycle(self, phase: str = "drafting", **dates: Any) -> Json:
        """A cycle brought to a phase."""
        cycle = await self.post("/cycles", {**QUARTER, **dates})
        steps = {
            "planned": 0,
            "drafting": 1,
            "active": 2,
            "scoring": 3,
            "reflecting": 4,
            "closed": 5,
        }
        commands = ("begin-drafting", "open", "begin-scoring", "begin-reflection", "close")
        for command in commands[: steps[phase]]:
            cycle = await self.post(f"/cycles/{cycle['id']}:{command}")
        return cycle

    async def objective(self, cycle: Json, team: Json, **more: Any) -> Json:
        body = {
            "cycle_id": cycle["id"],
            "owner": {"kind": "team", "id": team["id"]},
            "title": "Customers stay because they succeed",
            "key_results": [{"title": "Active customers", "measure": METRIC}],
            **more,
        }
        return await self.post("/objectives", body)

    async def commit(self, objective: Json) -> Json:
        return await self.post(f"/objectives/{objective['id']}:commit")

    async def running(self) -> tuple[Json, Json]:
        """An active cycle, and a committed objective with one metric from 100 to 200 in it."""
        cycle, team = await self.cycle(), await self.team()
        objective = await self.commit(await self.objective(cycle, team))
        cycle = await self.post(f"/cycles/{cycle['id']}:open")
        return cycle, objective

    async def check_in(self, key_result: Json, **said: Any) -> Json:
        return await self.post(f"/key-results/{key_result['id']}/check-ins", said)
