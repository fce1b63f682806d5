"""Two organisations on one server: each is unknown to the other."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from app.domain.access import Scope
from tests.api.programme import (
    METRIC,
    QUARTER,
    ROUTES,
    UNKNOWN,
    Api,
    Stage,
    each_of,
    method_of,
    pointers,
)


async def _tenant(http: httpx.AsyncClient, operator_key: str) -> Stage:
    """An organisation with one of everything, reached with a key of its own."""
    stage = await (await Api.found(http, operator_key)).one_of_each()
    own = await stage.api.key_for(*Scope, person_id=stage.ids["person_id"])
    return stage.with_key(own.key)


@pytest.fixture(scope="module")
async def ours(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await _tenant(http, operator_key)


@pytest.fixture(scope="module")
async def theirs(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await _tenant(http, operator_key)


def _with(*names: str) -> list[APIRoute]:
    """Every route with one of these in its path."""
    return [route for route in ROUTES if any(f"{{{name}}}" in route.path_format for name in names)]


@each_of(_with("organization_id"))
async def test_another_organization_is_answered_like_one_that_does_not_exist(
    route: APIRoute, ours: Stage, theirs: Stage
) -> None:
    before = await theirs.api.head()
    there = ours.at(**theirs.ids)
    answer = await there.call(route)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    unknown = await there.at(organization_id=UNKNOWN).call(route)
    assert answer.text.replace(theirs.api.org, UNKNOWN) == unknown.text
    assert await theirs.api.head() == before


@each_of(
    _with(
        "person_id",
        "workshop_id",
        "team_id",
        "cycle_id",
        "objective_id",
        "key_result_id",
        "check_in_id",
        "alignment_id",
        "dependency_id",
        "blocker_id",
        "key_id",
        "kpi_id",
        "reading_id",
    )
)
async def test_what_another_organization_has_is_not_found_in_ones_own(
    route: APIRoute, ours: Stage, theirs: Stage
) -> None:
    before = await ours.api.head(), await theirs.api.head()
    here = ours.at(**{**theirs.ids, "organization_id": ours.api.org})
    headers = {"If-Match": "*"} if method_of(route) in ("PATCH", "PUT") else {}
    answer = await here.call(route, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
    kept = {"organization_id": ours.api.org, "role": "auditor"}
    nothing = dict.fromkeys(theirs.ids, UNKNOWN) | kept
    unknown = await here.at(**nothing).call(route, headers=headers)
    assert _without_ids(answer) == _without_ids(unknown)
    assert (await ours.api.head(), await theirs.api.head()) == before


def _without_ids(answer: httpx.Response) -> str:
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", answer.text)


_OBJECTIVE = {"cycle_id": "our cycle_id", "owner": {"kind": "team", "id": "our team_id"}}
_DRAFT = {"title": "Customers stay", "measure": METRIC}
_KPI = {"name": "Active customers", "unit": "customers", "healthy": {"low": 500}}


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("POST", "/teams", {"name": "Growth", "parent_id": "their team_id"}, "/parent_id"),
        ("PATCH", "/teams/our team_id", {"parent_id": "their team_id"}, "/parent_id"),
        ("PUT", "/teams/our team_id/members/their person_id", {"role": "leader"}, None),
        ("POST", "/coaches", {"person_id": "their person_id"}, "/person_id"),
        (
            "POST",
            "/coaches/our person_id:certify",
            {"workshop_id": "their workshop_id"},
            "/workshop_id",
        ),
        (
            "POST",
            "/coaches/our person_id:cover-teams",
            {"teams": ["our team_id", "their team_id"]},
            "/teams",
        ),
        (
            "POST",
            "/workshops/our workshop_id:invite",
            {"people": ["our person_id", "their person_id"]},
            "/people",
        ),
        ("POST", "/cycles", {**QUARTER, "parent_id": "their cycle_id"}, "/parent_id"),
        (
            "POST",
            "/objectives",
            {**_OBJECTIVE, "title": "Stay", "cycle_id": "their cycle_id"},
            "/cycle_id",
        ),
        (
            "POST",
            "/objectives",
            {**_OBJECTIVE, "title": "Stay", "owner": {"kind": "team", "id": "their team_id"}},
            "/owner",
        ),
        (
            "POST",
            "/objectives",
            {**_OBJECTIVE, "title": "Stay", "owner": {"kind": "person", "id": "their person_id"}},
            "/owner",
        ),
        (
            "POST",
            "/objectives/our objective_id/key-results",
            {**_DRAFT, "owner": {"kind": "person", "id": "their person_id"}},
            "/owner",
        ),
        (
            "PATCH",
            "/key-results/our key_result_id",
            {"owner": {"kind": "team", "id": "their team_id"}, "reason": "Handed over."},
            "/owner",
        ),
        (
            "POST",
            "/objectives/our objective_id/alignments",
            {"target": {"kind": "objective", "id": "their objective_id"}, "rationale": "It helps."},
            "/target/id",
        ),
        (
            "POST",
            "/objectives/our objective_id/alignments",
            {
                "target": {"kind": "key_result", "id": "their key_result_id"},
                "rationale": "It helps.",
            },
            "/target/id",
        ),
        (
            "POST",
            "/objectives/our objective_id/alignments",
            {
                "target": {"kind": "objective", "id": "our other_id"},
                "rationale": "It helps.",
                "agreed_by": ["our person_id", "their person_id"],
            },
            "/agreed_by/1",
        ),
        (
            "POST",
            "/objectives/our objective_id:hand-over",
            {"owner": {"kind": "team", "id": "their team_id"}, "reason": "They have people."},
            "/owner",
        ),
        (
            "POST",
            "/cycles:plan",
            {"year": 2027, "levels": ["team"], "parent_id": "their cycle_id"},
            "/parent_id",
        ),
        ("POST", "/kpis", {**_KPI, "owner": {"kind": "team", "id": "their team_id"}}, "/owner"),
        (
            "PATCH",
            "/kpis/our kpi_id",
            {"owner": {"kind": "person", "id": "their person_id"}},
            "/owner",
        ),
        (
            "POST",
            "/kpis/our kpi_id:focus",
            {"objective_id": "their objective_id", "target": 600},
            "/objective_id",
        ),
        (
            "POST",
            "/api-keys",
            {"name": "Test", "scopes": ["read"], "person_id": "their person_id"},
            "/person_id",
        ),
        (
            "PUT",
            "/deployment/limits",
            {
                "decision": {"question": "limits"},
                "rationale": "Because.",
                "decided_by": "their person_id",
            },
            "/decided_by",
        ),
    ],
)
async def test_nothing_of_another_organization_can_be_named_in_a_body(
    ours: Stage, theirs: Stage, method: str, path: str, body: dict[str, Any], pointer: str | None
) -> None:
    other = await ours.api.objective(
        {"id": ours.ids["cycle_id"]}, {"id": ours.ids["team_id"]}, key_results=[]
    )
    names = {f"our {name}": id for name, id in ours.ids.items()}
    names |= {f"their {name}": id for name, id in theirs.ids.items()}
    names["our other_id"] = other["id"]
    problem = await ours.api.refused(
        "not-found", method, _filled(path, names), json.loads(_filled(json.dumps(body), names))
    )
    assert pointers(problem) == ([pointer] if pointer else [])


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, id in names.items():
        text = text.replace(name, id)
    return text


async def test_nothing_of_another_organization_can_be_named_at_a_cycles_end(
    ours: Stage, theirs: Stage
) -> None:
    cycle = await ours.api.cycle("scoring")
    reflection = {"team_id": theirs.ids["team_id"], "worked": ["Short check-ins"]}
    path = f"/cycles/{cycle['id']}/reflections"
    assert pointers(await ours.api.refused("not-found", "POST", path, reflection)) == ["/team_id"]
    reflection = {"participants": [theirs.ids["person_id"]], "worked": ["Short check-ins"]}
    problem = await ours.api.refused("not-found", "POST", path, reflection)
    assert pointers(problem) == ["/participants/0"]

    await ours.api.move(cycle, "begin-reflection")
    choice = {"key_result_id": theirs.ids["key_result_id"], "choice": "keep"}
    path = f"/cycles/{cycle['id']}:reset"
    reset = {"next_cycle": QUARTER, "choices": [choice]}
    problem = await ours.api.refused("not-found", "POST", path, reset)
    assert pointers(problem) == ["/choices/0/key_result_id"]
    reset = {"next_cycle_id": theirs.ids["cycle_id"], "choices": []}
    assert pointers(await ours.api.refused("not-found", "POST", path, reset)) == ["/next_cycle_id"]


@pytest.mark.parametrize(
    ("path", "filter"),
    [
        ("/objectives", "cycle_id"),
        ("/objectives", "owner_id"),
        ("/key-results", "cycle_id"),
        ("/key-results", "objective_id"),
        ("/alignments", "cycle_id"),
        ("/alignments", "objective_id"),
        ("/alignments", "target_id"),
        ("/teams", "parent_id"),
        ("/kpis", "owner_id"),
        ("/events", "stream"),
    ],
)
async def test_a_filter_by_what_another_organization_has_finds_nothing(
    ours: Stage, theirs: Stage, path: str, filter: str
) -> None:
    for id in theirs.ids.values():
        wanted = f"objective/{id}" if filter == "stream" else id
        answer = await ours.api.request("GET", path, params={filter: wanted})
        assert answer.status_code == 422 or answer.json()["items"] == []


async def test_the_health_of_a_programme_is_not_asked_for_by_what_another_one_has(
    ours: Stage, theirs: Stage
) -> None:
    await ours.api.refused("not-found", "GET", f"/health?cycle_id={theirs.ids['cycle_id']}")
    report = await ours.api.get("/health", team_id=theirs.ids["team_id"])
    assert {one["denominator"] for one in report["failure_modes"]} == {0}


async def test_lists_show_only_what_is_ones_own(ours: Stage, theirs: Stage) -> None:
    foreign = {id for name, id in theirs.ids.items() if name not in ("question", "name", "role")}
    for route in ROUTES:
        if method_of(route) == "GET" and route.path.startswith("/v1/"):
            answer = await ours.call(route)
            assert answer.status_code == 200, answer.text
            assert not [id for id in foreign if id in answer.text], route.operation_id
