"""Keys: what they open, how they stop, and what is kept of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi.routing import APIRoute

from app.application.keys import digest, make_key
from app.domain.access import Scope
from app.events.statements import Connection
from tests.api.programme import ROUTES, UNKNOWN, Api, Stage, each_of, method_of

# Whoever asks may see these; the list of organisations shows a key its own.
_WITHOUT_SCOPE = {
    "list_organizations",
    "health_live",
    "health_ready",
    "explain_problem",
    "get_import_schema",
}


def _scope(route: APIRoute) -> Scope | None:
    """The scope that a route's dependency was made for."""
    found = [getattr(needed.call, "scope", None) for needed in route.dependant.dependencies]
    return next((scope for scope in found if isinstance(scope, Scope)), None)


_SCOPED = [route for route in ROUTES if _scope(route)]


async def _seconds_until_refused(api: Api) -> float:
    began = time.monotonic()
    while (await api.request("GET", "")).status_code == 200:
        assert time.monotonic() - began < 3, "the key goes on working"
        await asyncio.sleep(0.02)
    assert (await api.request("GET", "")).status_code == 401
    return time.monotonic() - began


# Scopes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


@pytest.fixture(scope="module")
async def all_but(stage: Stage) -> Mapping[Scope, Api]:
    """For each scope, a key that has all the others."""
    return {scope: await stage.api.key_for(*(set(Scope) - {scope})) for scope in Scope}


@pytest.fixture(scope="module")
async def only(stage: Stage) -> Mapping[Scope, Api]:
    """For each scope, the key of a person that has nothing else."""
    person = stage.ids["person_id"]
    return {scope: await stage.api.key_for(scope, person_id=person) for scope in Scope}


def test_every_route_needs_a_scope_but_for_a_few_that_are_named() -> None:
    assert {route.operation_id for route in ROUTES if not _scope(route)} == _WITHOUT_SCOPE


def test_every_scope_opens_something() -> None:
    assert {_scope(route) for route in _SCOPED} == set(Scope)


@each_of(_SCOPED)
async def test_a_key_with_every_scope_but_the_one_needed_is_refused(
    route: APIRoute, stage: Stage, all_but: Mapping[Scope, Api]
) -> None:
    scope = _scope(route)
    assert scope is not None
    before = await stage.api.head()
    answer = await stage.with_key(all_but[scope].key).call(route)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert answer.headers["Content-Type"] == "application/problem+json"
    if route.operation_id != "found_organization":
        assert answer.json()["detail"] == f"The key lacks the scope {scope}."
    assert await stage.api.head() == before


@each_of(route for route in _SCOPED if route.operation_id != "found_organization")
async def test_the_scope_needed_is_all_that_is_needed(
    route: APIRoute, stage: Stage, only: Mapping[Scope, Api]
) -> None:
    scope = _scope(route)
    assert scope is not None
    # Ids that nothing has: the key is asked about first, and nothing on the stage is changed.
    nothing = dict.fromkeys(stage.ids, UNKNOWN) | {"question": "limits", "role": "auditor"}
    nowhere = stage.at(**{**nothing, "organization_id": stage.api.org})
    answer = await nowhere.with_key(only[scope].key).call(route)
    assert answer.status_code not in (401, 403), answer.text
    assert answer.status_code < 500, answer.text


# Keys that open nothing -------------------------------------------------------------------


@each_of(route for route in ROUTES if route.path.startswith("/v1/"))
async def test_without_a_key_nothing_is_answered(
    route: APIRoute, http: httpx.AsyncClient, stage: Stage
) -> None:
    answer = await http.request(method_of(route), route.path_format.format(**stage.ids))
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="okr-ledger"'


_GOOD = make_key()


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        f"Basic {_GOOD}",
        _GOOD,
        f"Bearer {_GOOD}",
        f"Bearer {_GOOD[:-1]}{'0' if _GOOD[-1] != '0' else '1'}",
        f"Bearer {_GOOD.swapcase()}",
        f"Bearer {_GOOD} {_GOOD}",
        f"Bearer okr_live_{'0' * 38}",
        "Bearer " + "x" * 50_000,
        "Bearer okr_live_\N{SNOWMAN}",
        "Bearer ' OR 1=1 --",
    ],
    ids=range(14),
)
async def test_what_is_no_key_of_ours_opens_nothing(api: Api, sent: str) -> None:
    answer = await api.client.get(
        f"/v1/organizations/{api.org}", headers={b"Authorization": sent.encode()}
    )
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")


async def test_a_key_with_a_typing_error_is_told_by_its_checksum_and_never_looked_up() -> None:
    key = make_key()
    assert digest(key) is not None
    for at in range(len("okr_live_"), len(key)):
        typed = key[:at] + ("a" if key[at] != "a" else "b") + key[at + 1 :]
        assert digest(typed) is None


async def test_a_revoked_key_stops_within_a_second(api: Api) -> None:
    holder = await api.key_for("read")
    (key,) = (await api.get("/api-keys"))["items"]
    assert (await holder.request("GET", "")).status_code == 200
    await api.post(f"/api-keys/{key['id']}:revoke")
    assert await _seconds_until_refused(holder) < 1
    assert (await api.get(f"/api-keys/{key['id']}"))["revoked_at"] is not None


async def test_keys_in_use_at_once_are_renewed_together_and_told_apart(
    api: Api, operator_key: str
) -> None:
    """For longer than a key is believed; one of them is revoked meanwhile, and no other stops."""
    other = await Api.found(api.client, operator_key)
    person = await api.person()
    holders = [
        await api.key_for("read"),
        await api.key_for("read", person_id=person["id"]),
        await other.key_for("read"),
    ]
    operator = api.with_key(operator_key)
    doomed = await other.key_for("read", "history:read")
    (revoked,) = [key for key in (await other.get("/api-keys"))["items"] if len(key["scopes"]) == 2]

    async def keep_on(holder: Api) -> set[tuple[int, int]]:
        end = asyncio.get_running_loop().time() + 2
        told = set()
        while asyncio.get_running_loop().time() < end:
            strange = replace(holder, org=(api if holder.org == other.org else other).org)
            own, others = [await one.request("GET", "") for one in (holder, strange)]
            told.add((own.status_code, others.status_code))
            await asyncio.sleep(0.02)
        return told

    async def revoke() -> float:
        await asyncio.sleep(0.5)
        await other.post(f"/api-keys/{revoked['id']}:revoke")
        return await _seconds_until_refused(doomed)

    told, seconds = await asyncio.gather(asyncio.gather(*map(keep_on, holders)), revoke())
    assert told == [{(200, 404)}] * 3
    # Nothing is believed for as long as a second; the rest is for the requests before it.
    assert seconds < 2
    assert (await operator.request("GET", "")).status_code == 200


async def test_a_key_stops_with_the_departure_of_its_person(api: Api) -> None:
    person = await api.person()
    holder = await api.key_for("read", person_id=person["id"])
    other = await api.key_for("read", person_id=(await api.person("Ben Ode"))["id"])
    assert (await holder.request("GET", "")).status_code == 200
    await api.post(f"/people/{person['id']}:depart")
    assert await _seconds_until_refused(holder) < 1
    assert (await other.request("GET", "")).status_code == 200


async def test_a_key_stops_at_its_expiry(api: Api) -> None:
    end = datetime.now(UTC) + timedelta(seconds=1)
    holder = await api.key_for("read", expires_at=end.isoformat())
    assert (await holder.request("GET", "")).status_code == 200
    await asyncio.sleep((end - datetime.now(UTC)).total_seconds())
    assert (await holder.request("GET", "")).status_code == 401


async def test_no_key_is_issued_that_has_expired_already(api: Api) -> None:
    body = {"name": "Late", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}
    problem = await api.refused("refused", "POST", "/api-keys", body)
    assert problem["errors"][0]["pointer"] == "/expires_at"


# What a key may hand out ------------------------------------------------------------------


async def test_nobody_hands_out_a_scope_that_they_lack(api: Api) -> None:
    person = await api.admin()
    holder = await api.key_for("keys:write", "read", "history:read", person_id=person["id"])
    for beyond in sorted(set(Scope) - {"keys:write", "read", "history:read"}):
        body = {"name": "More", "scopes": ["read", beyond]}
        problem = await holder.refused("refused", "POST", "/api-keys", body)
        assert beyond in problem["detail"]
        assert problem["errors"][0]["pointer"] == "/scopes"
    less = await holder.key_for("read", person_id=person["id"])
    assert (await less.request("GET", "/people")).status_code == 200
    assert (await less.request("GET", "/events")).status_code == 403


async def test_a_key_is_shown_once_and_only_its_digest_is_kept(api: Api, owner: Connection) -> None:
    answer = await api.request(
        "POST",
        "/api-keys",
        json={"name": "Metrics bridge 7f3a", "scopes": ["read"]},
        headers={"Idempotency-Key": "once"},
    )
    issued = answer.json()
    digested = digest(issued["key"])
    assert digested is not None
    # The name is found, in text and in a kept answer's bytes: so the key would be found too.
    assert await _tables_with(owner, issued["name"]) >= {"events", "api_keys", "idempotency_keys"}
    assert await _tables_with(owner, issued["key"]) == set()
    assert await _tables_with(owner, issued["key"].removeprefix("okr_live_")[:32]) == set()
    assert await _tables_holding(owner, digested.hex()) == {"credentials"}
    shown = await api.get(f"/api-keys/{issued['id']}")
    assert "key" not in shown
    assert issued["key"] not in (await api.request("GET", "/api-keys")).text
    assert issued["key"] not in (await api.request("GET", "/events")).text


async def test_an_operators_key_is_kept_as_a_digest_too(
    owner: Connection, operator_key: str
) -> None:
    digested = digest(operator_key)
    assert digested is not None
    assert await _tables_with(owner, operator_key) == set()
    assert await _tables_holding(owner, digested.hex()) == {"operators"}


async def _tables_with(owner: Connection, text: str) -> set[str]:
    """The tables in which a text stands somewhere, readable or as bytes."""
    return await _tables_holding(owner, text) | await _tables_holding(owner, text.encode().hex())


async def _tables_holding(owner: Connection, text: str) -> set[str]:
    tables = [
        row["table_name"]
        for row in await owner.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
    ]
    return {
        table
        for table in tables
        if await owner.fetchval(
            f'SELECT EXISTS (SELECT FROM "{table}" AS row WHERE strpos(row::text, $1) > 0)', text
        )
    }


# Organisations ----------------------------------------------------------------------------


async def test_only_operators_found_organizations(api: Api) -> None:
    everything = await api.key_for(*Scope)
    mine = [page["id"] for page in (await _organizations(everything))]
    answer = await everything.client.post(
        "/v1/organizations",
        json={"name": "Another"},
        headers={"Authorization": f"Bearer {everything.key}"},
    )
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert [page["id"] for page in (await _organizations(everything))] == mine


async def test_a_key_sees_its_own_organization_and_an_operator_sees_all(
    api: Api, http: httpx.AsyncClient, operator_key: str
) -> None:
    other = await Api.found(http, operator_key)
    holder = await api.key_for("read")
    assert [shown["id"] for shown in await _organizations(holder)] == [api.org]
    assert {api.org, other.org} <= {shown["id"] for shown in await _organizations(api)}


async def _organizations(api: Api) -> list[dict[str, str]]:
    answer = await api.client.get(
        "/v1/organizations", headers={"Authorization": f"Bearer {api.key}"}
    )
    assert answer.status_code == 200, answer.text
    items: list[dict[str, str]] = answer.json()["items"]
    return items
