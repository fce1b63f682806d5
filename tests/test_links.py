"""The document's links are true: a client that only follows them walks through a whole cycle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from app.publish import FOLDER
from tests.api.programme import METRIC, QUARTER, Api, Json

_DOCUMENT: Json = json.loads((FOLDER / "openapi.json").read_text())
_OPERATIONS: dict[str, tuple[str, str, Json]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, operations in _DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


@dataclass
class _Walker:
    """Knows of the API what the document says, and of ids what it was answered."""

    api: Api

    async def follow(self, answered: httpx.Response, operation: str, by: str, **body: Any) -> Json:
        """Call `operation` with what its link, from the answer of `by`, says."""
        _, _, before = _OPERATIONS[by]
        link = before["responses"]["201"]["links"][operation]
        parameters = {
            name: self._value(expression, answered)
            for name, expression in link["parameters"].items()
        }
        method, path, _ = _OPERATIONS[link["operationId"]]
        self.last = await self.api.client.request(
            method,
            path.format(**parameters),
            json=body,
            headers={"Authorization": f"Bearer {self.api.key}", "If-Match": "*"},
        )
        assert self.last.status_code in (200, 201), (operation, self.last.text)
        found: Json = self.last.json()
        return found

    def _value(self, expression: str, answered: httpx.Response) -> str:
        if expression == "$request.path.organization_id":
            return self.api.org
        value = answered.json()
        for step in expression.removeprefix("$response.body#/").split("/"):
            value = value[int(step)] if step.isdigit() else value[step]
        return str(value)


async def _made(api: Api, path: str, body: Json) -> httpx.Response:
    answer = await api.request("POST", path, json=body)
    assert answer.status_code == 201, answer.text
    return answer


async def test_links_lead_from_the_first_draft_to_the_next_cycle(api: Api) -> None:
    walker, team = _Walker(api), await api.team()
    cycle = await _made(api, "/cycles", QUARTER)
    await walker.follow(cycle, "begin_drafting", by="plan_cycle")
    draft = {
        "cycle_id": cycle.json()["id"],
        "owner": {"kind": "team", "id": team["id"]},
        "title": "Customers stay because they succeed",
    }
    above = await _made(api, "/objectives", draft)
    parts = [{"title": "Active customers", "measure": METRIC}]
    objective = await _made(api, "/objectives", {**draft, "key_results": parts})
    target = {"kind": "objective", "id": above.json()["id"]}
    by = "draft_objective"
    await walker.follow(objective, "align_objective", by, target=target, rationale="It helps.")
    await walker.follow(objective, "commit_objective", by)
    override = {"person_id": (await api.person())["id"], "reason": "We learn by doing."}
    await walker.follow(cycle, "open_cycle", by="plan_cycle", override=override)
    told = await walker.follow(objective, "record_check_in", by, value=150)
    assert told["progress"] == 0.5
    await walker.follow(walker.last, "retract_check_in", by="record_check_in", reason="Wrong.")
    await walker.follow(objective, "record_check_in", by, value=180)
    await walker.follow(cycle, "begin_scoring", by="plan_cycle")
    scored = await walker.follow(objective, "score_key_result", by, comment="Well done.")
    assert scored["score"] == 0.8
    await walker.follow(cycle, "begin_reflection", by="plan_cycle")
    kept = {"key_result_id": objective.json()["key_results"][0]["id"], "choice": "keep"}
    following = {"name": "2026 Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}
    drafted = await walker.follow(
        cycle, "reset_cycle", by="plan_cycle", choices=[kept], next_cycle=following
    )
    assert drafted["previous_id"] == cycle.json()["id"]
    shown = await walker.follow(walker.last, "get_tree", by="reset_cycle")
    assert [root["title"] for root in shown["roots"]] == [draft["title"]]


def test_every_link_names_an_operation_and_its_parameters() -> None:
    found = 0
    for _, _, operation in _OPERATIONS.values():
        for link in operation["responses"].get("201", {}).get("links", {}).values():
            _, path, _ = _OPERATIONS[link["operationId"]]
            named = {f"{{{name}}}" for name in link["parameters"]}
            assert named == {part for part in path.replace(":", "/").split("/") if "{" in part}
            found += 1
    assert found > 100
