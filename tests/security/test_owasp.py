"""OWASP's API Security Top 10 (2023), item by item.

Much of it is told elsewhere, and only referred to; here stands what no other test says.
"""

from __future__ import annotations

import asyncio
import copy
import gzip
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, get_args

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from fastapi.routing import APIRoute
from jwt.algorithms import RSAAlgorithm
from pydantic import TypeAdapter
from starlette.routing import Mount, Route

from app.application import lookback, tokens
from app.application.tokens import Tokens
from app.config import Settings
from app.domain.access import Scope
from app.domain.survey import ASKED
from tests.api.programme import (
    ROUTES,
    UNKNOWN,
    Api,
    Json,
    Stage,
    each_of,
    example_of,
    method_of,
    pointers,
)


@pytest.fixture(scope="module")
async def stage(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


@pytest.fixture(scope="module")
async def neighbour(http: httpx.AsyncClient, operator_key: str) -> Stage:
    return await (await Api.found(http, operator_key)).one_of_each()


_WITH_BODIES = [route for route in ROUTES if example_of(route) is not None]


class TestApi1BrokenObjectLevelAuthorization:
    """Every route with the ids of another organisation: tests/api/test_tenants.py; with the goals
    of another team: test_matrix.py and tests/api/test_roles.py; in SQL:
    test_row_level_security.py."""

    async def test_a_page_token_leads_nowhere_in_another_organization(
        self, stage: Stage, neighbour: Stage
    ) -> None:
        token = (await stage.api.get("/teams", page_size=1))["next_page_token"]
        for api, path in ((neighbour.api, "/teams"), (stage.api, "/people")):
            answer = await api.request("GET", path, params={"page_token": token, "page_size": 1})
            assert (answer.status_code, answer.json()["type"]) == (400, "/problems/page-token")

    async def test_an_id_below_another_thing_of_its_kind_is_not_found(self, stage: Stage) -> None:
        kpi = await stage.api.kpi({"id": stage.ids["team_id"]}, name="Another")
        answer = await stage.api.request(
            "GET", f"/kpis/{kpi['id']}/readings/{stage.ids['reading_id']}"
        )
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")

    async def test_an_idempotency_key_of_somebody_else_shows_nothing_of_theirs(
        self, stage: Stage
    ) -> None:
        first, second = [await stage.api.key_for("read", "people:write") for _ in range(2)]
        headers = {"Idempotency-Key": "a-key-that-can-be-guessed"}
        answers = [
            await api.request("POST", "/people", json={"name": "Ada Park"}, headers=headers)
            for api in (first, second, first)
        ]
        ids = [answer.json()["id"] for answer in answers]
        assert ids[0] == ids[2] != ids[1]

    async def test_an_etag_does_not_tell_of_what_one_may_not_see(
        self, stage: Stage, neighbour: Stage
    ) -> None:
        path = f"/teams/{neighbour.ids['team_id']}"
        etag = (await neighbour.api.request("GET", path)).headers["ETag"]
        key = await stage.api.key_for("read", "people:write")
        for method, headers in (("GET", {"If-None-Match": etag}), ("PATCH", {"If-Match": etag})):
            answers = [
                await key.request(method, there, headers=headers, json={"name": "Mine"})
                for there in (path, f"/teams/{UNKNOWN}")
            ]
            assert answers[0].status_code == answers[1].status_code == {"GET": 404}.get(method, 412)


class TestApi2BrokenAuthentication:
    """Keys that open nothing, that expire and that are revoked: tests/api/test_access.py; tokens:
    test_tokens.py; guessing: test_rate_limits.py."""

    async def test_a_key_counts_in_its_header_only(self, api: Api) -> None:
        path = f"/v1/organizations/{api.org}"
        for query, headers in (
            (f"?access_token={api.key}", {}),
            (f"?key={api.key}", {}),
            ("", {"Cookie": f"Authorization=Bearer {api.key}"}),
            ("", {"X-Api-Key": api.key}),
            ("", {"Proxy-Authorization": f"Bearer {api.key}"}),
            ("", {"X-Forwarded-Authorization": f"Bearer {api.key}"}),
        ):
            answer = await api.client.get(path + query, headers=headers)
            assert answer.status_code == (422 if query else 401)

    async def test_of_several_keys_none_is_chosen_by_chance(self, api: Api) -> None:
        """The first header counts, always: two can not be told apart later."""
        for order in ((api.key, "nonsense"), ("nonsense", api.key)):
            headers = [("Authorization", f"Bearer {key}") for key in order]
            answers = {
                (await api.client.get(f"/v1/organizations/{api.org}", headers=headers)).status_code
                for _ in range(3)
            }
            assert answers == {200 if order[0] == api.key else 401}

    async def test_who_asks_is_never_told_by_a_body(self, api: Api) -> None:
        person = await api.admin()
        key = await api.key_for("read", "people:write", person_id=person["id"])
        for claimed in ({"actor": "operator/x"}, {"person_id": UNKNOWN}, {"scopes": ["read"]}):
            answer = await key.request("POST", "/people", json={"name": "Ben Ode", **claimed})
            assert answer.status_code == 422

    async def test_nobody_widens_their_own_key(self, api: Api) -> None:
        person = await api.admin()
        key = await api.key_for("keys:write", "read", person_id=person["id"])
        body = {"name": "More", "scopes": ["history:read"], "person_id": person["id"]}
        answer = await key.request("POST", "/api-keys", json=body)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/refused")


def _objects(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where there are objects in a document."""
    if isinstance(value, dict):
        yield at
        for key, part in value.items():
            yield from _objects(part, (*at, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _objects(part, (*at, index))


# What the server alone decides; each is a member of what some route shows.
_SET_BY_THE_SERVER: Json = {
    "id": UNKNOWN,
    "org_id": UNKNOWN,
    "organization_id": UNKNOWN,
    "version": 7,
    "status": "committed",
    "phase": "closed",
    "score": 1,
    "computed_score": 1,
    "progress": 1,
    "health": "on_track",
    "created_at": "2020-01-01T00:00:00Z",
    "recorded_at": "2020-01-01T00:00:00Z",
    "drafted_by": "person/x",
    "actor": "operator/x",
    "erased": True,
    "active": False,
    "revoked_at": None,
    "roles": ["admin"],
    "digest": "00",
    "__class__": "x",
    "$where": "1",
}


def _members(route: APIRoute) -> set[str]:
    """What a body may have, at the top."""
    (body,) = route.dependant.body_params
    model: Any = (*get_args(body.field_info.annotation), body.field_info.annotation)[0]
    schema = TypeAdapter(model).json_schema()
    return set(schema.get("properties", ()))


class TestApi3BrokenObjectPropertyLevelAuthorization:
    """Who sees scores of individuals: tests/api/test_roles.py; that a key is never shown again:
    tests/api/test_access.py."""

    @each_of(_WITH_BODIES)
    async def test_no_member_can_be_set_that_is_not_asked_for(
        self, route: APIRoute, stage: Stage
    ) -> None:
        example = example_of(route)
        assert example is not None
        headers = {"If-Match": "*"} if method_of(route) in ("PUT", "PATCH") else {}
        before = await stage.api.head()
        known = _members(route)
        for name, value in _SET_BY_THE_SERVER.items():
            if name in known:
                continue
            answer = await stage.call(route, json={**example, name: value}, headers=headers)
            assert answer.status_code == 422, (name, answer.text)
            assert f"/{name}" in pointers(answer.json()), answer.text
        assert await stage.api.head() == before

    @each_of(_WITH_BODIES)
    async def test_nor_anywhere_inside(self, route: APIRoute, stage: Stage) -> None:
        example = example_of(route)
        headers = {"If-Match": "*"} if method_of(route) in ("PUT", "PATCH") else {}
        for at in _objects(example):
            body = copy.deepcopy(example)
            inside: Any = body
            for step in at:
                inside = inside[step]
            inside["surplus"] = {"admin": True}
            answer = await stage.call(route, json=body, headers=headers)
            assert answer.status_code == 422, (at, answer.text)

    async def test_no_view_shows_what_is_secret(self, stage: Stage) -> None:
        """Every GET, as somebody who may see everything."""
        hidden = ("digest", "okr_live_", "text_key")
        for route in ROUTES:
            if method_of(route) == "GET" and route.path.startswith("/v1/"):
                shown = (await stage.call(route)).text
                assert not [word for word in hidden if word in shown], route.operation_id


def _schemas(app: FastAPI) -> Json:
    found: Json = app.openapi()["components"]["schemas"]
    return found


def _parts(schema: Json, schemas: Json, seen: frozenset[str] = frozenset()) -> Iterator[Json]:
    """A schema and all that it is made of."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name not in seen:
            yield from _parts(schemas[name], schemas, seen | {name})
        return
    yield schema
    for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for part in schema.get(word, ()):
            yield from _parts(part, schemas, seen)
    for part in schema.get("properties", {}).values():
        yield from _parts(part, schemas, seen)
    if isinstance(schema.get("items"), dict):
        yield from _parts(schema["items"], schemas, seen)


class TestApi4UnrestrictedResourceConsumption:
    """Sizes, depth and time: test_bounds.py; rates: test_rate_limits.py; overload:
    tests of admission."""

    def test_every_text_and_every_list_that_is_sent_has_a_bound(self, app: FastAPI) -> None:
        schemas = _schemas(app)
        unbounded = []
        for path, methods in app.openapi()["paths"].items():
            for method, operation in methods.items():
                body = operation.get("requestBody", {}).get("content", {}).get("application/json")
                for part in _parts(body["schema"], schemas) if body else ():
                    kind = part.get("type")
                    bounded = part.keys() & {"enum", "const", "format", "pattern", "maxLength"}
                    if kind == "string" and not bounded:
                        unbounded.append((method, path, part))
                    # The lists of an import have one bound together: OKR_MAX_IMPORT_BYTES.
                    counted = part.keys() & {"maxItems", "prefixItems"}
                    if kind == "array" and not counted and not path.endswith("/imports"):
                        unbounded.append((method, path, part))
                    # Other members are refused, or are of a list of names.
                    closed = part.get("additionalProperties") is False or "propertyNames" in part
                    if kind == "object" and not closed:
                        unbounded.append((method, path, part))
        assert unbounded == []

    @pytest.mark.parametrize("size", [0, 501, 10**9, 10**30, -1])
    async def test_a_page_is_never_longer_than_the_longest(self, stage: Stage, size: int) -> None:
        for route in ROUTES:
            is_mine = "/me/" in route.path  # nothing is, of a key that stands for nobody
            if "page_size" in {field.alias for field in _query_fields(route)} and not is_mine:
                path = route.path_format.format(**stage.ids)
                headers = {"Authorization": f"Bearer {stage.api.key}"}
                answer = await stage.api.client.get(f"{path}?page_size={size}", headers=headers)
                assert answer.status_code in (200, 422), answer.text
                if answer.status_code == 200:
                    assert len(answer.json()["items"]) <= 500

    async def test_pasts_that_are_kept_in_memory_are_few(
        self, stage: Stage, app: FastAPI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lookback, "MOST_KEPT", 8)
        for position in range(1, 25):
            await stage.api.get("/teams", as_of=position)
        assert len(app.state.ledgers._lookback) == 8

    async def test_keys_that_are_believed_are_bounded(self, app: FastAPI) -> None:
        from app.application import keys

        believed = app.state.keys._believed
        believed |= {str(n).encode(): (0.0, None) for n in range(keys._BELIEVED_MAX)}
        assert await app.state.keys.caller(keys.make_key()) is None
        assert len(believed) < 10


def _query_fields(route: APIRoute) -> list[Any]:
    found = list(route.dependant.query_params)
    for part in route.dependant.dependencies:
        found += part.query_params
        for below in part.dependencies:
            found += below.query_params
    return found


class TestApi5BrokenFunctionLevelAuthorization:
    """Every route with every role and scope: test_matrix.py."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-HTTP-Method-Override": "DELETE"},
            {"X-Method-Override": "POST"},
            {"X-Original-URL": "/metrics"},
            {"X-Rewrite-URL": "/metrics"},
            {"X-Forwarded-Prefix": "/metrics"},
        ],
    )
    async def test_a_header_changes_neither_method_nor_path(
        self, stage: Stage, headers: dict[str, str]
    ) -> None:
        plain = await stage.api.request("GET", "/teams")
        answer = await stage.api.request("GET", "/teams", headers=headers)
        assert (answer.status_code, answer.json()) == (200, plain.json())

    @pytest.mark.parametrize(
        "path",
        [
            "/V1/organizations",
            "//v1/organizations",
            "/v1//organizations",
            "/v1/./organizations/../organizations/{org}/events",
            "/v1/organizations/{org}/teams/..;/events",
            "/v1/organizations/{org}/teams%2f..%2fevents",
            "/v1/organizations/{org}/events%00",
            "/v1/organizations/{org}/events.json",
            "/v1/organizations/{org}/EVENTS",
            "/v1/organizations/{org}/events/",
            "/static-offline-docs/..%2f..%2fmetrics",
        ],
    )
    async def test_no_way_of_writing_a_path_gets_around_a_check(
        self, stage: Stage, path: str
    ) -> None:
        reader = await stage.api.key_for("read")
        answer = await reader.client.request(
            "GET", path.format(org=reader.org), headers={"Authorization": f"Bearer {reader.key}"}
        )
        # A slash at the end is sent to the path without it.
        assert answer.status_code in (307, 403, 404, 422), answer.text

    async def test_what_is_an_operators_is_nobody_elses(self, stage: Stage) -> None:
        admin = await stage.api.key_for(*Scope, person_id=stage.ids["person_id"])
        headers = {"Authorization": f"Bearer {admin.key}"}
        for method, path, body in (
            ("POST", "/v1/organizations", {"name": "Mine"}),
            ("GET", "/metrics", None),
        ):
            answer = await admin.client.request(method, path, json=body, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


class TestApi6UnrestrictedAccessToSensitiveBusinessFlows:
    """A commitment, a score and a reset are made once: tests/api/test_objectives.py, test_scores.py
    and test_reset.py; retries: tests/api/test_idempotency.py."""

    async def test_a_cycle_is_reset_and_closed_once(self, api: Api) -> None:
        cycle = await api.cycle("reflecting")
        nothing = {"next_cycle": {"name": "Q2", "starts_on": "2026-04-01", "ends_on": "2026-06-30"}}
        path = f"/cycles/{cycle['id']}:reset"
        answers = await asyncio.gather(
            *(api.request("POST", path, json={**nothing, "choices": []}) for _ in range(8))
        )
        made = [answer for answer in answers if answer.status_code < 300]
        assert len(made) == 1, [answer.text for answer in answers]
        assert len((await api.get("/cycles"))["items"]) == 2
        closed = [await api.request("POST", f"/cycles/{cycle['id']}:close") for _ in range(2)]
        assert sum(answer.status_code == 200 for answer in closed) <= 1

    async def test_a_survey_is_answered_in_its_time_only(self, api: Api) -> None:
        cycle, _ = await api.running()
        answers = {"answers": dict.fromkeys(ASKED, 5)}
        await api.refused("invalid-state", "POST", f"/cycles/{cycle['id']}/survey", answers)

    async def test_nobody_stuffs_a_survey(self, api: Api) -> None:
        person = await api.person()
        key = await api.key_for("read", "reflections:write", person_id=person["id"])
        cycle = await api.cycle("scoring")
        path, answers = f"/cycles/{cycle['id']}/survey", {"answers": dict.fromkeys(ASKED, 1)}
        statuses = [(await key.request("POST", path, json=answers)).status_code for _ in range(3)]
        assert statuses == [201, 409, 409]


# SSRF and what others answer --------------------------------------------------------------

_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
_GOOD = json.dumps(
    {"keys": [{**json.loads(RSAAlgorithm.to_jwk(_RSA.public_key())), "kid": "main", "use": "sig"}]}
).encode()


@dataclass
class _Other:
    """A server that is asked for keys, and what it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        update = {"oidc_issuer": self.url, "oidc_jwks_url": f"{self.url}/keys"}
        return Settings().model_copy(update=update)

    def token(self, **more: Any) -> str:
        claims = {"iss": self.url, "aud": "okr-ledger", "sub": "x", "exp": time.time() + 300}
        headers = {"kid": "main", **more.pop("headers", {})}
        return jwt.encode({**claims, **more}, _RSA, algorithm="RS256", headers=headers)


@contextmanager
def _answering(how: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[_Other]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            try:
                how(self)
            except (BrokenPipeError, ConnectionResetError):
                """It had enough of us."""

        def log_message(self, *_: object) -> None:
            """Nothing of it is worth a line."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = _Other(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        socketserver.TCPServer.server_close(server)


def _sending(body: bytes, status: int = 200, **headers: str) -> Callable[[Any], None]:
    def how(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return how


class TestApi7ServerSideRequestForgery:
    """The provider's keys come from where the settings say; a webhook's address is held to what
    tests/webhooks/test_targets.py says of it."""

    def test_of_all_that_is_sent_only_a_webhook_has_an_address(self, app: FastAPI) -> None:
        named = {
            f"{of}.{name}"
            for of, schema in _schemas(app).items()
            for name, part in schema.get("properties", {}).items()
            if part.get("format") in ("uri", "url", "iri") or "url" in name or "uri" in name
        }
        of_webhooks = (
            "RegisterWebhookBody",
            "ChangeWebhookBody",
            "WebhookView",
            "SignedWebhookView",
        )
        assert named == {f"{of}.url" for of in of_webhooks}

    async def test_a_redirect_is_not_followed(self) -> None:
        with _answering(_sending(_GOOD)) as inside:
            to = _sending(b"", 302, Location=f"{inside.url}/keys")
            with _answering(to) as provider:
                assert await Tokens(provider.settings).identity(provider.token()) is None
                assert provider.asked
            assert inside.asked == []

    async def test_nothing_that_a_token_says_is_fetched(self) -> None:
        with _answering(_sending(_GOOD)) as trap, _answering(_sending(_GOOD)) as provider:
            known = Tokens(provider.settings)
            for headers in (
                {"jku": f"{trap.url}/keys"},
                {"x5u": f"{trap.url}/keys"},
                {"kid": f"{trap.url}/keys"},
            ):
                await known.identity(provider.token(headers=headers))
            await known.identity(provider.token(iss=trap.url))
            assert trap.asked == []

    async def test_an_issuer_that_is_linked_is_not_asked(self, api: Api) -> None:
        person = await api.person()
        with _answering(_sending(_GOOD)) as trap:
            body = {"issuer": trap.url, "subject": "x"}
            path = f"/people/{person['id']}/identity"
            await api.request("PUT", path, json=body, headers={"If-Match": "*"})
            await api.with_key(trap.token()).request("GET", "/me")
            assert trap.asked == []

    async def test_an_import_fetches_nothing(self, api: Api) -> None:
        with _answering(_sending(b"{}")) as trap:
            owner = {"key": trap.url, "name": trap.url}
            document = {
                "source": trap.url,
                "cycle": {"name": trap.url, "starts_on": "2026-01-01", "ends_on": "2026-03-31"},
                "owners": [owner],
                "objectives": [],
            }
            await api.request("POST", "/imports", json=document)
            assert trap.asked == []


class TestApi8SecurityMisconfiguration:
    """Headers: test_headers.py; encodings and heads: test_bounds.py; the database's role:
    test_row_level_security.py and tests/test_migrations.py."""

    async def test_no_answer_tells_how_the_server_is_made(self, stage: Stage) -> None:
        inside = ("Traceback", "asyncpg", "SELECT ", "INSERT ", "/site-packages/", "starlette")
        for method, path, options in (
            ("POST", "/teams", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
            ("POST", "/teams", {"json": {"name": "'; DROP TABLE teams --"}}),
            ("POST", "/teams", {"json": {"name": "${jndi:ldap://x}{{7*7}}%n"}}),
            ("GET", "/teams?as_of='", {}),
            ("GET", "/teams?page_token=%27", {}),
            ("GET", f"/teams/{UNKNOWN}'", {}),
            ("GET", "/nowhere", {}),
            ("TRACE", "/teams", {}),
        ):
            answer = await stage.api.request(method, path, **options)
            assert answer.status_code < 500
            assert not [word for word in inside if word in answer.text], answer.text
            assert not {"Server", "X-Powered-By", "Via"} & set(answer.headers)

    @pytest.mark.parametrize(
        "path",
        [
            "/static-offline-docs/",
            "/static-offline-docs/..%2fcore.py",
            "/static-offline-docs/%2e%2e/core.py",
            "/static-offline-docs/....//core.py",
            "/static-offline-docs/%2fetc%2fpasswd",
            "/.env",
            "/.git/config",
            "/debug",
            "/admin",
            "/redoc",
            "/actuator/env",
        ],
    )
    async def test_no_file_is_served_but_the_documentations(
        self, http: httpx.AsyncClient, path: str
    ) -> None:
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found"), path

    def test_nothing_is_open_by_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import os

        for name in list(os.environ):
            if name.startswith("OKR_"):
                monkeypatch.delenv(name)
        settings = Settings()
        assert settings.host == "127.0.0.1"
        assert settings.cors_origins == ()
        assert settings.metrics_open is False
        assert settings.oidc_issuer is None
        assert settings.allow_undurable_database is False
        assert settings.rate_per_minute > 0
        assert settings.rate_failed_per_minute > 0

    def test_the_framework_runs_without_its_debug_pages(self, app: FastAPI) -> None:
        assert app.debug is False


class TestApi9ImproperInventoryManagement:
    """That the document is what is served: tests/test_openapi.py."""

    UNLISTED = frozenset(
        {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/static-offline-docs", "/metrics"}
    )
    """What is served and not part of the API; docs/operations.md and the page itself tell of it."""

    def test_everything_that_is_served_is_documented_or_named_here(self, app: FastAPI) -> None:
        documented = set(app.openapi()["paths"])
        served = set()
        for route in app.routes:
            if isinstance(route, APIRoute):
                served.add(route.path_format)
            elif isinstance(route, Route | Mount):
                served.add(route.path)
        served |= {route.path_format for route in app.state.routes}
        assert served - documented == self.UNLISTED

    @pytest.mark.parametrize(
        "version", ["v0", "v2", "v1beta", "v1.0", "V1", "api/v1", "internal", "v1-test"]
    )
    async def test_there_is_no_other_version(
        self, http: httpx.AsyncClient, operator_key: str, version: str
    ) -> None:
        headers = {"Authorization": f"Bearer {operator_key}"}
        for path in ("", "/organizations"):
            answer = await http.get(f"/{version}{path}", headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")

    def test_the_document_says_which_version_runs(self, app: FastAPI) -> None:
        from app import __version__

        assert app.openapi()["info"]["version"] == __version__


def _drops(handler: BaseHTTPRequestHandler) -> None:
    """An answer that is always about to go on."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def _endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" " * 1_000_000)


_DEEP = b'{"keys":' + b"[" * 90_000 + b"]" * 90_000 + b"}"
_NONSENSE: dict[str, Callable[[Any], None]] = {
    "100 MB": _endless,
    "100 MB, packed": _sending(gzip.compress(b" " * 100_000_000), Content_Encoding="gzip"),
    "a false packing": _sending(b"nonsense", Content_Encoding="gzip"),
    "nothing": _sending(b""),
    "no JSON": _sending(b"<html>"),
    "no text": _sending(b"\xff\xfe\x00"),
    "a list": _sending(b"[]"),
    "null": _sending(b"null"),
    "no keys": _sending(b"{}"),
    "keys that are no list": _sending(b'{"keys": 7}'),
    "keys that are numbers": _sending(b'{"keys": [7, null, "x"]}'),
    "a key of no kind": _sending(b'{"keys": [{"kid": "main"}]}'),
    "a key that is broken": _sending(
        b'{"keys": [{"kty": "RSA", "kid": "main", "n": "!", "e": 1}]}'
    ),
    "a number without end": _sending(b'{"keys": ' + b"9" * 5_000 + b"}"),
    "an error": _sending(b"{}", 500),
    "no content": _sending(b"", 204),
}


class TestApi10UnsafeConsumptionOfApis:
    """An outage of the provider: test_tokens.py."""

    @pytest.mark.parametrize("name", sorted(_NONSENSE))
    async def test_no_answer_of_the_provider_is_a_failure_of_ours(self, name: str) -> None:
        with _answering(_NONSENSE[name]) as provider:
            began = time.monotonic()
            assert await Tokens(provider.settings).identity(provider.token()) is None
            assert time.monotonic() - began < 8
            assert len(provider.asked) == 1

    async def test_nor_is_one_that_is_very_deep(self) -> None:
        with _answering(_sending(_DEEP)) as provider:
            assert await Tokens(provider.settings).identity(provider.token()) is None

    async def test_nor_is_one_that_comes_drop_by_drop(self) -> None:
        with _answering(_drops) as provider:
            asked = Tokens(provider.settings).identity(provider.token())
            assert await asyncio.wait_for(asked, timeout=8) is None

    async def test_keys_that_are_known_survive_any_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        how = _sending(_GOOD)
        with _answering(lambda handler: how(handler)) as provider:
            known = Tokens(provider.settings)
            assert await known.identity(provider.token()) is not None
            monkeypatch.setattr(tokens, "_FRESH_SECONDS", 0)
            monkeypatch.setattr(tokens, "_RETRY_SECONDS", 0)
            for name in ("no JSON", "an error", "no keys", "keys that are numbers"):
                how = _NONSENSE[name]
                assert await known.identity(provider.token()) is not None, name

    async def test_a_provider_that_is_not_there_is_no_failure(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            nobody = _Other(f"http://127.0.0.1:{taken.getsockname()[1]}")
            assert await Tokens(nobody.settings).identity(nobody.token()) is None
