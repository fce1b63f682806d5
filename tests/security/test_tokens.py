"""Tokens of an OpenID Connect provider: believed on its signature only, and no longer than told."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.application import tokens
from app.application.tokens import Tokens
from app.config import Settings
from app.main import create_app
from tests.api.programme import Api, Json
from tests.conftest import Database

AUDIENCE = "okr-ledger"


@dataclass
class Provider:
    """A small OpenID Connect provider on loopback: a discovery document, and its keys."""

    server: ThreadingHTTPServer
    published: list[Json] = field(default_factory=list)
    asked: int = 0
    failing: bool = False
    issuer_told: str | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> Json | None:
        self.asked += 1
        if self.failing:
            return None
        if path == "/.well-known/openid-configuration":
            told = self.issuer_told or self.issuer
            return {"issuer": told, "jwks_uri": f"{self.issuer}/keys"}
        return {"keys": self.published} if path == "/keys" else None


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = made.answer(self.path)
            body = b"" if found is None else json.dumps(found).encode()
            self.send_response(503 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing of it is worth a line."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Provider(server)
    made.published = [_published(RSAAlgorithm.to_jwk(RSA.public_key()), "main", "RS256")]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _published(jwk: str, kid: str, alg: str | None = None) -> Json:
    known: Json = {**json.loads(jwk), "kid": kid, "use": "sig"}
    return known if alg is None else {**known, "alg": alg}


def _token(provider: Provider, subject: str = "00u1", key: Any = RSA, **more: Any) -> str:
    headers = {"kid": "main", **more.pop("headers", {})}
    algorithm = more.pop("algorithm", "RS256")
    claims = {
        "iss": provider.issuer,
        "aud": AUDIENCE,
        "sub": subject,
        "exp": int(time.time()) + 300,
        **more,
    }
    stated = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(stated, key, algorithm=algorithm, headers=headers)


@pytest.fixture(scope="module")
async def client(database: Database, provider: Provider) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings().model_copy(
        update={
            "database_url": database.url,
            "allow_undurable_database": True,
            "oidc_issuer": provider.issuer,
        }
    )
    made = create_app(settings)
    transport = httpx.ASGITransport(made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


@pytest.fixture
async def admin(client: httpx.AsyncClient, operator_key: str) -> Api:
    return await Api.found(client, operator_key)


async def _linked(api: Api, provider: Provider, subject: str) -> Json:
    person = await api.person()
    identity = {"issuer": provider.issuer, "subject": subject}
    linked = await api.put(f"/people/{person['id']}/identity", identity)
    assert linked["issuer"] == provider.issuer
    return linked


# Who it speaks for ------------------------------------------------------------------------


async def test_a_token_speaks_for_the_person_it_is_linked_to(
    admin: Api, provider: Provider
) -> None:
    person = await _linked(admin, provider, "00u-ada")
    team = await admin.team()
    await admin.put(f"/teams/{team['id']}/members/{person['id']}", {"role": "member"})
    ada = admin.with_key(_token(provider, "00u-ada"))
    me = await ada.get("/me")
    assert (me["person_id"], me["actor"]) == (person["id"], f"person/{person['id']}")
    objective = await ada.objective(await admin.cycle(), team)
    assert objective["drafted_by"] == f"person/{person['id']}"
    answer = await ada.request("POST", "/people", json={"name": "Ben Ode"})
    assert answer.json()["type"] == "/problems/out-of-reach"


async def test_whoever_is_not_linked_finds_no_organization(
    admin: Api, provider: Provider, client: httpx.AsyncClient
) -> None:
    stranger = admin.with_key(_token(provider, "00u-stranger"))
    assert (await stranger.request("GET", "")).status_code == 404
    listed = await client.get(
        "/v1/organizations", headers={"Authorization": f"Bearer {stranger.key}"}
    )
    assert listed.json()["items"] == []
    founded = await client.post(
        "/v1/organizations",
        json={"name": "Mine"},
        headers={"Authorization": f"Bearer {stranger.key}"},
    )
    assert founded.json()["type"] == "/problems/forbidden"


async def test_one_identity_may_belong_to_several_organizations(
    admin: Api, provider: Provider, operator_key: str
) -> None:
    other = await Api.found(admin.client, operator_key)
    people = [await _linked(api, provider, "00u-both") for api in (admin, other)]
    token = _token(provider, "00u-both")
    for api, person in zip((admin, other), people, strict=True):
        assert (await api.with_key(token).get("/me"))["person_id"] == person["id"]
    listed = await admin.client.get(
        "/v1/organizations", headers={"Authorization": f"Bearer {token}"}
    )
    assert {item["id"] for item in listed.json()["items"]} == {admin.org, other.org}


async def test_a_link_ends_when_it_is_taken_back_and_when_the_person_leaves(
    admin: Api, provider: Provider
) -> None:
    for subject, end in (("00u-un", "unlink"), ("00u-gone", "depart"), ("00u-erased", "erase")):
        person = await _linked(admin, provider, subject)
        bearer = admin.with_key(_token(provider, subject))
        assert (await bearer.request("GET", "")).status_code == 200
        if end == "unlink":
            await admin.request("DELETE", f"/people/{person['id']}/identity")
            await admin.refused("invalid-state", "DELETE", f"/people/{person['id']}/identity")
        else:
            await admin.post(f"/people/{person['id']}:{end}")
        assert (await bearer.request("GET", "")).status_code == 404, end


async def test_an_identity_is_one_person_s(admin: Api, provider: Provider) -> None:
    first = await _linked(admin, provider, "00u-one")
    other = await admin.person("Ben Ode")
    body = {"issuer": provider.issuer, "subject": "00u-one"}
    problem = await admin.refused("already-exists", "PUT", f"/people/{other['id']}/identity", body)
    assert problem["existing_id"] == first["id"]
    before = await admin.head()
    await admin.put(f"/people/{first['id']}/identity", body)
    assert await admin.head() == before, "the same link again is nothing new"
    # Another identity takes the place of the first.
    await admin.put(f"/people/{first['id']}/identity", {**body, "subject": "00u-two"})
    assert (await admin.with_key(_token(provider, "00u-one")).request("GET", "")).status_code == 404
    assert (await admin.with_key(_token(provider, "00u-two")).request("GET", "")).status_code == 200


async def test_a_subject_is_nowhere_in_the_ledger(admin: Api, provider: Provider) -> None:
    await _linked(admin, provider, "00u-secret")
    assert "00u-secret" not in json.dumps(await admin.get("/events"))


# What is not believed ---------------------------------------------------------------------


def _unsigned(provider: Provider, **header: Any) -> str:
    claims = jwt.decode(_token(provider, "00u-attacked"), options={"verify_signature": False})
    parts = [{"typ": "JWT", **header}, claims]
    encoded = [
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts
    ]
    return ".".join([*encoded, ""])


def _with_public_key_as_secret(provider: Provider) -> str:
    """The classic: the public key, which everybody has, taken for a shared secret."""
    import hashlib
    import hmac

    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signing = _unsigned(provider, alg="HS256", kid="main").rstrip(".")
    mac = hmac.new(pem, signing.encode(), hashlib.sha256).digest()
    return f"{signing}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _attacks(provider: Provider) -> dict[str, str]:
    now = int(time.time())
    good = _token(provider, "00u-attacked")
    head, body, signature = good.split(".")
    own_jwk = json.loads(RSAAlgorithm.to_jwk(OTHER.public_key()))
    return {
        "none": _unsigned(provider, alg="none", kid="main"),
        "None": _unsigned(provider, alg="None", kid="main"),
        "no alg": _unsigned(provider, kid="main"),
        "public key as secret": _with_public_key_as_secret(provider),
        "another key": _token(provider, "00u-attacked", key=OTHER),
        "own key in the header": _token(
            provider, "00u-attacked", key=OTHER, headers={"jwk": own_jwk}
        ),
        "own key set in the header": _token(
            provider, "00u-attacked", key=OTHER, headers={"jku": "http://127.0.0.1:1/keys"}
        ),
        "unknown kid": _token(provider, "00u-attacked", headers={"kid": "other"}),
        "kid that is a path": _token(provider, "00u-attacked", headers={"kid": "../../etc/passwd"}),
        "kid that is SQL": _token(provider, "00u-attacked", headers={"kid": "' OR 1=1 --"}),
        "other algorithm of the same key": _token(provider, "00u-attacked", algorithm="PS256"),
        "expired": _token(provider, "00u-attacked", exp=now - 60),
        "no end": _token(provider, "00u-attacked", exp=None),
        "not yet": _token(provider, "00u-attacked", nbf=now + 120),
        "issued in the future": _token(provider, "00u-attacked", iat=now + 120),
        "other audience": _token(provider, "00u-attacked", aud="another-api"),
        "no audience": _token(provider, "00u-attacked", aud=None),
        "other issuer": _token(provider, "00u-attacked", iss="https://evil.example.org"),
        "issuer with a slash": _token(provider, "00u-attacked", iss=f"{provider.issuer}/"),
        "no issuer": _token(provider, "00u-attacked", iss=None),
        "no subject": _token(provider, "00u-attacked", sub=None),
        "crit": _token(provider, "00u-attacked", headers={"crit": ["b64"], "b64": False}),
        "no signature": f"{head}.{body}.",
        "cut signature": f"{head}.{body}.{signature[:-4]}",
        "changed body": f"{head}.{body[:-2]}xx.{signature}",
        "too long": _token(provider, "00u-attacked", more="x" * tokens.LARGEST_TOKEN),
        "not base64": "a.b.c",
        "empty parts": "..",
        "five parts": "a.b.c.d.e",
        "exp that is huge": _token(provider, "00u-attacked", exp=10**30),
        "exp that is text": _unsigned(provider, alg="RS256", kid="main"),
    }


async def test_no_forged_token_is_believed(admin: Api, provider: Provider) -> None:
    await _linked(admin, provider, "00u-attacked")
    good = admin.with_key(_token(provider, "00u-attacked"))
    assert (await good.request("GET", "")).status_code == 200
    for name, token in _attacks(provider).items():
        answer = await admin.with_key(token).request("GET", "")
        assert (answer.status_code, answer.json()["type"]) == (
            401,
            "/problems/unauthenticated",
        ), name
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("key", "algorithm", "to_jwk"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256", ECAlgorithm.to_jwk),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA", OKPAlgorithm.to_jwk),
        (OTHER, "PS256", RSAAlgorithm.to_jwk),
    ],
)
async def test_other_kinds_of_signatures_are_believed_of_their_kind_of_key(
    provider: Provider, key: Any, algorithm: str, to_jwk: Any
) -> None:
    fresh = Tokens(_settings(provider))
    provider.published.append(_published(to_jwk(key.public_key()), algorithm))
    token = _token(provider, key=key, algorithm=algorithm, headers={"kid": algorithm})
    found = await fresh.identity(token)
    assert found is not None
    assert found.subject == "00u1"


def _settings(provider: Provider) -> Settings:
    return Settings().model_copy(update={"oidc_issuer": provider.issuer})


# Keys of the provider ---------------------------------------------------------------------


async def test_keys_are_kept_through_an_outage(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Tokens(_settings(provider))
    assert await kept.identity(_token(provider)) is not None
    monkeypatch.setattr(tokens, "_FRESH_SECONDS", 0)
    monkeypatch.setattr(tokens, "_RETRY_SECONDS", 0)
    monkeypatch.setattr(provider, "failing", True)
    assert await kept.identity(_token(provider)) is not None
    never_fetched = Tokens(_settings(provider))
    assert await never_fetched.identity(_token(provider)) is None
    monkeypatch.setattr(tokens, "_USABLE_SECONDS", 0)
    assert await kept.identity(_token(provider)) is None, "not for ever"


async def test_a_key_that_is_published_later_is_found_and_one_that_is_withdrawn_forgotten(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Tokens(_settings(provider))
    assert await known.identity(_token(provider)) is not None
    monkeypatch.setattr(tokens, "_RETRY_SECONDS", 0)
    rotated = _published(RSAAlgorithm.to_jwk(OTHER.public_key()), "rotated", "RS256")
    monkeypatch.setattr(provider, "published", [rotated])
    token = _token(provider, key=OTHER, headers={"kid": "rotated"})
    assert await known.identity(token) is not None
    assert await known.identity(_token(provider)) is None


async def test_unknown_keys_do_not_make_the_provider_be_asked_each_time(
    provider: Provider,
) -> None:
    known = Tokens(_settings(provider))
    assert await known.identity(_token(provider)) is not None
    before = provider.asked
    for n in range(20):
        assert await known.identity(_token(provider, headers={"kid": f"unknown-{n}"})) is None
    assert provider.asked == before, "it was asked a moment ago"


async def test_a_provider_that_says_it_is_another_is_not_believed(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "issuer_told", "https://evil.example.org")
    assert await Tokens(_settings(provider)).identity(_token(provider)) is None


async def test_without_a_provider_no_token_is_believed(api: Api, provider: Provider) -> None:
    assert await Tokens(Settings()).identity(_token(provider)) is None
    assert (await api.with_key(_token(provider)).request("GET", "")).status_code == 401
