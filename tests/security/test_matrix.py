"""Every route, asked by every role and with every scope: who may do what, and who may not.

Three things say what must come out: the scope that a route declares, the table of roles and
scopes (`app/domain/access.py`, docs/roles.md), and whom each change concerns, which is written
down here once more, by hand. A new route fails until somebody says whom it concerns.

What single keys and teams change is told at length in tests/api/test_access.py and test_roles.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from fastapi.routing import APIRoute
from uuid_utils.compat import uuid7

from app.application.idempotency import Answer, Once
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.config import Settings
from app.domain.access import SCOPES_OF, Role, Scope
from app.events.envelope import Meta
from app.events.statements import Connection
from app.main import create_app
from tests.api.programme import (
    CHANGES_NOTHING,
    METRIC,
    QUARTER,
    ROUTES,
    Api,
    Json,
    Stage,
    each_of,
    example_of,
    method_of,
)
from tests.conftest import Database

T = TypeVar("T")

# What each change concerns, on the stage below: the team that owns the goals, the team that is
# depended on, everybody, or the whole organisation.
TEAM, OTHER_TEAM, EVERYBODY, ORGANIZATION = "team", "other team", "everybody", "organization"

_CONCERNS: Mapping[str, str] = {
    "rename_organization": ORGANIZATION,
    "make_decision": ORGANIZATION,
    "register_person": ORGANIZATION,
    "correct_person": ORGANIZATION,
    "record_departure": ORGANIZATION,
    "erase_person": ORGANIZATION,
    "link_identity": ORGANIZATION,
    "unlink_identity": ORGANIZATION,
    "grant_role": ORGANIZATION,
    "withdraw_role": ORGANIZATION,
    "form_team": TEAM,
    "change_team": TEAM,
    "disband_team": TEAM,
    "add_member": TEAM,
    "remove_member": TEAM,
    "schedule_workshop": TEAM,
    "invite_people": ORGANIZATION,
    "record_attendance": ORGANIZATION,
    "record_outcome": ORGANIZATION,
    "complete_workshop": ORGANIZATION,
    "cancel_workshop": ORGANIZATION,
    "reschedule_workshop": ORGANIZATION,
    "designate_coach": ORGANIZATION,
    "certify_coach": ORGANIZATION,
    "cover_teams": ORGANIZATION,
    "relieve_coach": ORGANIZATION,
    "plan_cycle": ORGANIZATION,
    "plan_cycles": ORGANIZATION,
    "change_cycle": ORGANIZATION,
    "cancel_cycle": ORGANIZATION,
    "begin_drafting": ORGANIZATION,
    "open_cycle": ORGANIZATION,
    "begin_scoring": ORGANIZATION,
    "begin_reflection": ORGANIZATION,
    "close_cycle": ORGANIZATION,
    "reset_cycle": ORGANIZATION,
    "record_reflection": TEAM,
    "answer_survey": EVERYBODY,
    "keep_checkpoint": EVERYBODY,
    "draft_objective": TEAM,
    "revise_objective": TEAM,
    "propose_objective": TEAM,
    "commit_objective": TEAM,
    "hand_over_objective": TEAM,
    "abandon_objective": TEAM,
    "report_result": TEAM,
    "draft_key_result": TEAM,
    "amend_key_result": TEAM,
    "remove_key_result": TEAM,
    "record_check_in": TEAM,
    "record_check_ins": TEAM,
    # Judged line by line: tests/api/test_batches.py.
    "stream_check_ins": EVERYBODY,
    "correct_check_in": TEAM,
    "retract_check_in": TEAM,
    "succeed_baseline": TEAM,
    "score_key_result": TEAM,
    "register_kpi": TEAM,
    "revise_kpi": TEAM,
    "retire_kpi": TEAM,
    "record_reading": TEAM,
    "focus_kpi": TEAM,
    "return_kpi": TEAM,
    "align_objective": TEAM,
    "withdraw_alignment": TEAM,
    "declare_dependency": TEAM,
    "accept_dependency": OTHER_TEAM,
    "decline_dependency": OTHER_TEAM,
    "deliver_dependency": OTHER_TEAM,
    "withdraw_dependency": TEAM,
    "raise_blocker": TEAM,
    "hand_over_blocker": TEAM,
    "resolve_blocker": TEAM,
    "issue_api_key": ORGANIZATION,
    "revoke_api_key": ORGANIZATION,
    "register_webhook": ORGANIZATION,
    "change_webhook": ORGANIZATION,
    "disable_webhook": ORGANIZATION,
    "enable_webhook": ORGANIZATION,
    "rotate_webhook_secret": ORGANIZATION,
    "remove_webhook": ORGANIZATION,
    "test_webhook": ORGANIZATION,
    "redeliver": ORGANIZATION,
    "redeliver_all": ORGANIZATION,
    # Judged item by item: tests/api/test_roles.py.
    "import_document": EVERYBODY,
    "import_csv": EVERYBODY,
}

_WITHOUT_SCOPE = {
    "list_organizations",
    "health_live",
    "health_ready",
    "explain_problem",
    "get_import_schema",
}
"""Routes that need none. A route that declares no scope and is not here fails."""

_FOUNDING = "found_organization"
"""An operator's, in no organisation."""


# Callers ----------------------------------------------------------------------------------

_ALL = frozenset({TEAM, OTHER_TEAM, EVERYBODY, ORGANIZATION})
_OWN = frozenset({TEAM, EVERYBODY})
_NOBODY = frozenset({EVERYBODY})

_PEOPLE: Mapping[str, tuple[tuple[Role, frozenset[str]], ...]] = {
    "admin": ((Role.ADMIN, _ALL), (Role.MEMBER, _NOBODY)),
    "leader of the company": ((Role.LEADER, _ALL), (Role.MEMBER, _NOBODY)),
    "leader of the team": ((Role.LEADER, _OWN), (Role.MEMBER, _OWN)),
    "coach of the team": ((Role.COACH, _OWN), (Role.MEMBER, _NOBODY)),
    "member of the team": ((Role.MEMBER, _OWN),),
    "member of no team": ((Role.MEMBER, _NOBODY),),
    "auditor": ((Role.AUDITOR, _NOBODY), (Role.MEMBER, _NOBODY)),
}
"""The roles that people have on the stage, and what these reach. Their keys have every scope."""


@dataclass
class _Caller:
    api: Api
    scopes: frozenset[Scope]
    grants: tuple[tuple[Role, frozenset[str]], ...]
    is_operator: bool = False
    is_stranger: bool = False

    def refused(self, route: APIRoute, scope: Scope) -> str | None:
        """The problem that a request must meet; None where it must be let through."""
        if route.operation_id == _FOUNDING:
            return None if self.is_operator else "forbidden"
        if self.is_stranger:
            return "not-found"
        if scope not in self.scopes:
            return "forbidden"
        able = [reach for role, reach in self.grants if scope in SCOPES_OF[role]]
        if scope != Scope.READ and not able:
            return "out-of-reach"
        concerned = _CONCERNS.get(str(route.operation_id))
        if concerned is None or any(concerned in reach for reach in able):
            return None
        return "out-of-reach"


@dataclass
class _House:
    """The stage, with a caller of each kind."""

    stage: Stage
    callers: dict[str, _Caller]
    bodies: dict[str, Json]

    async def ask(self, route: APIRoute, api: Api) -> httpx.Response:
        """Any route, with a body that names what is there. Nothing of it stays."""
        headers = {"If-Match": "*"} if method_of(route) in ("PUT", "PATCH") else {}
        if method_of(route) == "POST":
            headers["Idempotency-Key"] = uuid7().hex
        body = self.bodies.get(str(route.operation_id), example_of(route))
        there = Stage(api, self.stage.ids, self.stage.instead)
        return await there.call(route, headers=headers, json=body)


class _Unkept(Ledgers):
    """Every transaction runs to its end, and is rolled back: each request meets the same stage."""

    async def write(
        self,
        org_id: UUID,
        meta: Meta,
        work: Callable[[UnitOfWork], Awaitable[Answer]],
        *,
        once: Once | None = None,
        founding: bool = False,
    ) -> Answer:
        # What is shared with others is not to be rolled back for one.
        return await self._write_alone(org_id, meta, work, once, founding=founding)

    async def _committed(
        self,
        transaction: Callable[[Connection], Awaitable[T]],
        *,
        of: Collection[UUID] = (),
        dry: bool = False,
    ) -> T:
        return await super()._committed(transaction, of=of, dry=True)


@pytest.fixture(scope="module")
async def unkept(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings().model_copy(
        update={"database_url": database.url, "allow_undurable_database": True}
    )
    made = create_app(settings)
    transport = httpx.ASGITransport(made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        made.state.ledgers = _Unkept(made.state.ledgers.pool)
        yield client


async def _people(api: Api, team: str, company: str) -> dict[str, Json]:
    found = {name: await api.person(name) for name in _PEOPLE if name != "admin"}
    found["admin"] = await api.admin()
    for name, where, role in (
        ("leader of the company", company, "leader"),
        ("leader of the team", team, "leader"),
        ("member of the team", team, "member"),
    ):
        await api.put(f"/teams/{where}/members/{found[name]['id']}", {"role": role})
    await api.coach(found["coach of the team"], {"id": team})
    await api.put(f"/people/{found['auditor']['id']}/roles/auditor", {})
    return found


@pytest.fixture(scope="module")
async def house(http: httpx.AsyncClient, operator_key: str, unkept: httpx.AsyncClient) -> _House:
    stage = await (await Api.found(http, operator_key)).one_of_each()
    api, ids = stage.api, stage.ids
    company = await api.team("Harbour", level="company")
    await api.patch_blindly(f"/teams/{ids['team_id']}", {"parent_id": company["id"]})
    people = await _people(api, ids["team_id"], company["id"])
    elsewhere = await Api.found(http, operator_key)
    everything = frozenset(Scope)
    callers = {}

    async def caller(
        name: str, scopes: frozenset[Scope], *grants: tuple[Role, frozenset[str]], **more: Any
    ) -> None:
        key = (await api.key_for(*sorted(scopes), **more)).key
        callers[name] = _Caller(Api(unkept, key, api.org), scopes, grants)

    for name, grants in _PEOPLE.items():
        await caller(name, everything, *grants, person_id=people[name]["id"])
    for scope in Scope:
        await caller(f"integration of {scope}", frozenset({scope}), (Role.INTEGRATION, _ALL))
    kept = everything - {Scope.HISTORY_READ}
    teams = [ids["team_id"]]
    await caller("integration of the team", kept, (Role.INTEGRATION, _OWN), teams=teams)
    stranger = await elsewhere.admin()
    outside = (await elsewhere.key_for(*everything, person_id=stranger["id"])).key
    admin = _PEOPLE["admin"]
    callers["admin of another organisation"] = _Caller(
        Api(unkept, outside, api.org), everything, admin, is_stranger=True
    )
    callers["operator"] = _Caller(
        Api(unkept, operator_key, api.org), everything, admin, is_operator=True
    )
    return _House(stage, callers, _bodies(stage, people, company))


def _bodies(stage: Stage, people: Mapping[str, Json], company: Json) -> dict[str, Json]:
    """Bodies that name what is on the stage, where the documented example names what is not."""
    ids = stage.ids
    team = {"kind": "team", "id": ids["team_id"]}
    member = people["member of the team"]["id"]
    draft = {"cycle_id": ids["cycle_id"], "owner": team, "title": "Customers stay"}
    return {
        "form_team": {"name": "Ads", "parent_id": ids["team_id"]},
        "change_team": {"name": "Growth and more"},
        "schedule_workshop": {
            "kind": "team",
            "title": "OKRs for Growth",
            "scheduled_at": "2026-01-12T09:00:00Z",
            "team_id": ids["team_id"],
        },
        "record_reflection": {"team_id": ids["team_id"], "worked": ["Check-ins"]},
        "draft_objective": {**draft, "key_results": [{"title": "Active", "measure": METRIC}]},
        "record_check_ins": {"items": [{"key_result_id": ids["key_result_id"], "value": 151}]},
        "hand_over_objective": {"owner": {"kind": "team", "id": company["id"]}, "reason": "So."},
        "register_kpi": {
            "name": "Searches",
            "unit": "searches",
            "owner": team,
            "direction": "higher_is_better",
            "healthy": {"low": 500},
        },
        "revise_kpi": {"name": "Searches a week"},
        "focus_kpi": {"objective_id": ids["objective_id"], "target": 600},
        "align_objective": {
            "target": {"kind": "objective", "id": ids["objective_id"]},
            "rationale": "It helps.",
        },
        "declare_dependency": {
            "on": {"kind": "team", "id": company["id"]},
            "needed": "A sign-in.",
            "needed_by": "2026-02-13",
        },
        "accept_dependency": {"person_id": member},
        "decline_dependency": {"person_id": member, "reason": "No time."},
        "raise_blocker": {
            "kind": "resource",
            "what": "Nobody is free.",
            "owner_id": member,
            "next_action": "Ask.",
        },
        "hand_over_blocker": {"owner_id": member},
        "designate_coach": {"person_id": member},
        "certify_coach": {"workshop_id": ids["workshop_id"]},
        "cover_teams": {"teams": [ids["team_id"]]},
        "invite_people": {"people": [member]},
        "record_attendance": {"people": [member]},
        "issue_api_key": {"name": "More", "scopes": ["read"]},
        "rename_organization": {"name": "Harbour"},
        "import_document": {"source": "sheet", "cycle": QUARTER, "owners": [], "objectives": []},
    }


# The matrix -------------------------------------------------------------------------------


def _scope(route: APIRoute) -> Scope | None:
    """The scope that a route's dependency was made for."""
    found = [getattr(needed.call, "scope", None) for needed in route.dependant.dependencies]
    return next((scope for scope in found if isinstance(scope, Scope)), None)


_JUDGED = [route for route in ROUTES if str(route.operation_id) not in _WITHOUT_SCOPE]


def test_a_route_without_a_scope_is_on_the_list_of_those_that_need_none() -> None:
    assert {str(route.operation_id) for route in ROUTES if not _scope(route)} == _WITHOUT_SCOPE


def test_of_every_change_it_is_written_down_whom_it_concerns() -> None:
    changes = {
        str(route.operation_id)
        for route in _JUDGED
        if method_of(route) != "GET" and route.operation_id not in {*CHANGES_NOTHING, _FOUNDING}
    }
    assert changes == set(_CONCERNS)


def test_the_table_in_the_documentation_is_the_one_that_is_applied() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "roles.md").read_text()
    lines = [
        line.strip().strip("|").split("|") for line in page.splitlines() if line.startswith("| ")
    ]
    rows = [[cell.strip() for cell in line] for line in lines]
    begin = next(at for at, row in enumerate(rows) if row[0] == "scope")
    heading, scopes = rows[begin], [row for row in rows[begin:] if len(row) == len(rows[begin])]
    told = {
        role: {row[0].strip("`") for row in scopes if row[at] == "yes"}
        for at, role in enumerate(heading[1:], 1)
    }
    assert told == {
        str(role): {str(scope) for scope in scopes}
        for role, scopes in SCOPES_OF.items()
        if role != Role.INTEGRATION
    }


@each_of(_JUDGED)
async def test_each_role_and_scope_is_let_through_or_refused_as_the_tables_say(
    route: APIRoute, house: _House
) -> None:
    scope = _scope(route)
    assert scope is not None, "it declares no scope, so nobody is let through"
    wrong = {}
    for name, caller in house.callers.items():
        answer = await house.ask(route, caller.api)
        refusal = caller.refused(route, scope)
        expected = f"/problems/{refusal}" if refusal else None
        got = answer.json()["type"] if answer.status_code in (401, 403, 404) else None
        # To whoever is let through, the request makes sense, or the state alone refuses it.
        makes_sense = answer.status_code in (200, 201, 401, 403, 404, 409)
        if route.operation_id == "stream_check_ins":
            makes_sense |= answer.status_code == 415  # it takes lines, and was sent one object
        if got != expected or not makes_sense:
            wrong[name] = f"{answer.status_code} {answer.text[:300]}; expected {expected}"
    assert not wrong


async def test_nothing_of_it_all_was_kept(house: _House) -> None:
    verdict = await house.stage.api.get("/ledger:verify")
    assert verdict["identical"]
    stage = await house.stage.api.get(f"/teams/{house.stage.ids['team_id']}")
    assert stage["name"] == "Growth"
