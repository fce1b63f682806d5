"""A programme over HTTP, step by step: what most API tests begin with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import httpx
import pytest
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.main import ROUTERS

Json = dict[str, Any]

METRIC: Json = {"kind": "metric", "unit": "customers", "baseline": 100, "target": 200}
UNKNOWN = "01980000-0000-7000-8000-00000000dead"
"""An id that nothing has."""
NOWHERE = "https://hooks.example.invalid/okr"
"""A name that nothing has, and never will."""
QUARTER: Json = {"name": "2026 Q1", "starts_on": "2026-01-01", "ends_on": "2026-03-31"}

ROUTES: list[APIRoute] = [
    route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)
]
"""Every route there is: what tests that must forget none of them are made from."""
CHANGES_NOTHING = {"validate_draft", "score_what_if"}
"""What is posted to be judged, and not recorded."""
OF_SOMEBODY = {"list_my_objectives", "list_my_check_ins_due"}
"""What is asked with a person's key, and is refused to one that stands for nobody."""


def each_of(routes: Iterable[APIRoute]) -> pytest.MarkDecorator:
    """A test of every one of these, named by its operation."""
    return pytest.mark.parametrize("route", list(routes), ids=lambda route: route.operation_id)


def method_of(route: APIRoute) -> str:
    assert route.methods
    return min(route.methods)


def example_of(route: APIRoute) -> Json | None:
    """The documented example of what a route is sent."""
    for body in route.dependant.body_params:
        # An optional body is a union with None.
        model: Any = (*get_args(body.field_info.annotation), body.field_info.annotation)[0]
        example: Json = TypeAdapter(model).json_schema()["examples"][0]
        return example
    return None


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

    async def refused(self, name: str, method: str, path: str, body: Json | None = None) -> Json:
        """The problem that a request meets, having left the ledger as it was."""
        before = await self.head()
        headers = {"If-Match": "*"} if method in ("PATCH", "PUT") else {}
        answer = await self.request(method, path, json=body, headers=headers)
        problem: Json = answer.json()
        assert problem.get("type") == f"/problems/{name}", answer.text
        assert await self.head() == before, f"{method} {path} was refused and yet recorded"
        return problem

    async def head(self) -> int:
        """The ledger's last position."""
        return int((await self.get("/ledger"))["head"])

    # Phase by phase

    async def decide(self, question: str, **decision: Any) -> Json:
        system = {"system": "measure_what_matters"} if question == "scoring" else {}
        answer = {"question": question, **system, **decision}
        body = {"decision": answer, "rationale": "Because."}
        return await self.put(f"/deployment/{question}", body, if_match="*")

    async def team(self, name: str = "Growth", **more: Any) -> Json:
        return await self.post("/teams", {"name": name, **more})

    async def person(self, name: str = "Ada Park") -> Json:
        return await self.post("/people", {"name": name, "email": "ada@example.org"})

    async def admin(self, name: str = "Ines Roth") -> Json:
        """A person who may do everything that their key lets them."""
        person = await self.person(name)
        await self.put(f"/people/{person['id']}/roles/admin", {"reason": "She runs it."})
        return person

    async def workshop(self, kind: str = "leadership", *people: Json, **more: Any) -> Json:
        """A workshop that was held: everybody who was invited came."""
        body = {"kind": kind, "title": "OKRs", "scheduled_at": "2026-01-12T09:00:00Z", **more}
        made = await self.post("/workshops", body)
        here, everybody = f"/workshops/{made['id']}", {"people": [one["id"] for one in people]}
        await self.post(f"{here}:invite", everybody)
        await self.post(f"{here}:record-attendance", everybody)
        return await self.post(f"{here}:complete")

    async def coach(self, person: Json, *teams: Json) -> Json:
        """A person designated, certified after a workshop, and given teams."""
        workshop = await self.workshop("coach", person)
        here = f"/coaches/{person['id']}"
        await self.post("/coaches", {"person_id": person["id"]})
        await self.post(f"{here}:certify", {"workshop_id": workshop["id"]})
        covered = {"teams": [team["id"] for team in teams]}
        return await self.post(f"{here}:cover-teams", covered)

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

    async def open_anyway(self, cycle: Json) -> Json:
        """Open what may be the first cycle, before deployment and training are done."""
        override = {"person_id": (await self.person())["id"], "reason": "We learn by doing."}
        return await self.post(f"/cycles/{cycle['id']}:open", {"override": override})

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

    async def move(self, cycle: Json, *commands: str) -> Json:
        """A cycle brought further, command by command."""
        for command in commands:
            cycle = await self.post(f"/cycles/{cycle['id']}:{command}")
        return cycle

    async def kpi(self, owner: Json, *readings: float, **more: Any) -> Json:
        """A KPI that is healthy from 500 on, after these readings."""
        body = {
            "name": "Weekly active customers",
            "unit": "customers",
            "owner": {"kind": owner.get("kind", "team"), "id": owner["id"]},
            "direction": "higher_is_better",
            "healthy": {"low": 500},
            **more,
        }
        kpi = await self.post("/kpis", body)
        for value in readings:
            await self.read(kpi, value)
        return await self.get(f"/kpis/{kpi['id']}")

    async def read(self, kpi: Json, value: float, **said: Any) -> Json:
        return await self.post(f"/kpis/{kpi['id']}/readings", {"value": value, **said})

    async def align(self, objective: Json, target: Json, kind: str = "objective") -> Json:
        return await self.post(
            f"/objectives/{objective['id']}/alignments",
            {"target": {"kind": kind, "id": target["id"]}, "rationale": "It helps."},
        )

    async def depend(self, objective: Json, on: Json, kind: str = "team", **more: Any) -> Json:
        """What an objective needs from a team, or from an objective of another team."""
        body = {
            "on": {"kind": kind, "id": on["id"]},
            "needed": "A sign-in that takes no password.",
            "needed_by": "2026-02-13",
            **more,
        }
        return await self.post(f"/objectives/{objective['id']}/dependencies", body)

    async def answer(self, dependency: Json, word: str, person: Json) -> Json:
        """What somebody of the other side says to a dependency: accept or decline."""
        said = {"accept": "note", "decline": "reason"}[word]
        body = {"person_id": person["id"], said: "We have looked at our plan."}
        return await self.post(f"/dependencies/{dependency['id']}:{word}", body)

    async def block(self, key_result: Json, person: Json, what: str = "Nobody is free.") -> Json:
        body = {
            "kind": "resource",
            "what": what,
            "owner_id": person["id"],
            "next_action": "Ask for one person.",
        }
        return await self.post(f"/key-results/{key_result['id']}/blockers", body, 201)

    async def score(self, key_result: Json, **said: Any) -> Json:
        path = f"/key-results/{key_result['id']}/score"
        return await self.put(path, {"comment": "As it went.", **said}, if_match="*")

    async def webhook(self, **more: Any) -> Json:
        """A webhook to where nobody is, of what does not happen here."""
        body = {"url": NOWHERE, "event_types": ["objective.handed_over"], **more}
        return await self.post("/webhooks", body, 201)

    async def try_out(self, webhook: Json) -> Json:
        """A test message that has failed, as it does where nobody is."""
        here = f"/webhooks/{webhook['id']}"
        made = await self.post(f"{here}:test", status=201)
        for _ in range(600):
            seen = await self.get(f"{here}/deliveries/{made['id']}")
            if seen["status"] == "failed":
                return seen
            await asyncio.sleep(0.05)
        raise AssertionError(f"it is not sent: {seen}")

    # For what concerns every route

    async def key_for(self, *scopes: str, **more: Any) -> Api:
        """The same organisation, reached with a fresh key of these scopes."""
        issued = await self.post("/api-keys", {"name": "Test", "scopes": scopes, **more})
        return self.with_key(issued["key"])

    async def one_of_each(self) -> Stage:
        """One of everything there is."""
        person = await self.admin()
        await self.put(f"/people/{person['id']}/roles/auditor", {})
        identity = {"issuer": "https://login.example.org", "subject": person["id"]}
        await self.put(f"/people/{person['id']}/identity", identity)
        cycle, objective = await self.running()
        team, key_result = objective["owner"], objective["key_results"][0]
        await self.put(f"/teams/{team['id']}/members/{person['id']}", {"role": "member"})
        check_in = await self.check_in(key_result, value=150)
        above = await self.objective(cycle, team)
        alignment = await self.align(objective, above)
        dependency = await self.depend(objective, await self.team("Sales"))
        blocker = await self.block(key_result, person)
        kpi = await self.kpi(team)
        reading = await self.read(kpi, 520)
        await self.decide("limits", max_objectives=2)
        key = await self.post("/api-keys", {"name": "Test", "scopes": ["read"]})
        ended = await self.cycle("scoring")
        said = await self.post(f"/cycles/{ended['id']}/reflections", {"worked": ["Check-ins"]})
        await self.coach(person, team)
        workshop = await self.post(
            "/workshops",
            {"kind": "leadership", "title": "OKRs", "scheduled_at": "2026-01-12T09:00:00Z"},
        )
        webhook = await self.webhook()
        delivery = await self.try_out(webhook)
        ids = {
            "organization_id": self.org,
            "question": "limits",
            "person_id": person["id"],
            "workshop_id": workshop["id"],
            "team_id": team["id"],
            "cycle_id": cycle["id"],
            "objective_id": objective["id"],
            "key_result_id": key_result["id"],
            "check_in_id": check_in["id"],
            "alignment_id": alignment["id"],
            "dependency_id": dependency["id"],
            "key_id": key["id"],
            "role": "auditor",
            "kpi_id": kpi["id"],
            "reading_id": reading["id"],
            "blocker_id": blocker["id"],
            "reflection_id": said["id"],
            "ended_cycle_id": ended["id"],
            "webhook_id": webhook["id"],
            "delivery_id": delivery["id"],
            "name": "not-found",
        }
        return Stage(self, ids)


@dataclass(frozen=True)
class Stage:
    """An organisation with one of everything; the ids by the names that they have in paths.

    Reflections are of a cycle that has ended.
    """

    api: Api
    ids: Mapping[str, str]
    instead: Mapping[str, str] = field(default_factory=dict)

    def with_key(self, key: str) -> Stage:
        return replace(self, api=self.api.with_key(key))

    def at(self, **ids: str) -> Stage:
        """With other ids in the paths."""
        return replace(self, instead={**self.instead, **ids})

    async def call(
        self, route: APIRoute, *, headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """A request to any route, with the documented example as its body."""
        if not options.keys() & {"json", "content"}:
            options["json"] = example_of(route)
        if route.operation_id in ("stream_events", "stream_changes"):
            # What is there, and then no waiting for more.
            options["params"] = {"follow": "false", **(options.get("params") or {})}
        ids = {**self.ids, **self.instead}
        if "{reflection_id}" in route.path_format:
            ids = {**self.ids, "cycle_id": self.ids["ended_cycle_id"], **self.instead}
        return await self.api.client.request(
            method_of(route),
            route.path_format.format(**ids),
            headers={"Authorization": f"Bearer {self.api.key}", **(headers or {})},
            **options,
        )


def pointers(problem: Json) -> list[str]:
    """Where in the request a problem lies."""
    return [error["pointer"] for error in problem.get("errors", ())]
