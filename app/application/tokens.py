"""Tokens of an OpenID Connect provider: who a bearer is, believed on the provider's signature only.

Algorithms, issuer and audience are pinned by the settings; nothing that a token says of itself
chooses a key from anywhere but the provider's own set.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import jwt
from jwt import PyJWK, PyJWKSet

from app.config import Settings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Signatures by a key pair. Shared secrets and `none` are no option."""

LARGEST_TOKEN = 8_192
_LARGEST_ANSWER = 200_000
_FRESH_SECONDS = 600
_USABLE_SECONDS = 24 * 3600
_RETRY_SECONDS = 10
_PATIENCE_SECONDS = 3
_LEEWAY_SECONDS = 30
_NONSENSE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_NOT_FETCHED = (httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError, TimeoutError, *_NONSENSE)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, as the provider knows them, until the token ends."""

    issuer: str
    subject: str
    expires_at: datetime

    @property
    def digest(self) -> bytes:
        return identity_digest(self.issuer, self.subject)


def identity_digest(issuer: str, subject: str) -> bytes:
    """SHA-256 that stands for somebody at a provider: 32 bytes. The subject itself is not kept."""
    return hashlib.sha256(f"oidc\n{issuer}\n{subject}".encode()).digest()


class Tokens:
    """Verifies tokens of one provider, whose keys are kept through an outage of up to a day."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.oidc_issuer
        self._audience = settings.oidc_audience
        self._jwks_url = settings.oidc_jwks_url
        self._keys: dict[str, PyJWK] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def issuer(self) -> str | None:
        """None where no provider is configured, and so no token is believed."""
        return self._issuer

    async def identity(self, token: str) -> Identity | None:
        """Who a token speaks for; None when it is not valid here, whatever the reason."""
        if self._issuer is None or len(token) > LARGEST_TOKEN:
            return None
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header.get("kid"))
            if key is None or header.get("alg") not in ALGORITHMS or "crit" in header:
                return None
            if not _fits(key, header["alg"]):
                return None
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[header["alg"]],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            subject, ends = claims["sub"], datetime.fromtimestamp(claims["exp"], UTC)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, OSError):
            return None
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            return None
        return Identity(self._issuer, subject, ends)

    async def _key(self, kid: object) -> PyJWK | None:
        """The provider's key of this id, from memory where it is fresh enough."""
        if not isinstance(kid, str):
            return None
        now = time.monotonic()
        if kid not in self._keys or now - self._fetched > _FRESH_SECONDS:
            await self._refresh()
        if time.monotonic() - self._fetched > _USABLE_SECONDS:
            return None
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        """Fetch the keys anew, unless that was tried a moment ago: unknown ids cost nothing."""
        async with self._lock:
            if time.monotonic() - self._tried < _RETRY_SECONDS:
                return
            self._tried = time.monotonic()
            try:
                async with (
                    asyncio.timeout(_PATIENCE_SECONDS),
                    httpx.AsyncClient(timeout=_PATIENCE_SECONDS) as client,
                ):
                    found = await _fetch(client, await self._where(client))
                keys = {
                    key.key_id: key
                    for key in PyJWKSet.from_dict(found).keys
                    if key.key_id and key.public_key_use in (None, "sig")
                }
            except _NOT_FETCHED as down:
                _log.warning("the keys of %s cannot be fetched: %s", self._issuer, down)
                return
            self._keys, self._fetched = keys, time.monotonic()

    async def _where(self, client: httpx.AsyncClient) -> str:
        if self._jwks_url is None:
            told = await _fetch(
                client, f"{(self._issuer or '').rstrip('/')}/.well-known/openid-configuration"
            )
            if told.get("issuer") != self._issuer:
                raise ValueError("the provider says it is another issuer")
            self._jwks_url = str(told["jwks_uri"])
        return self._jwks_url


def _fits(key: PyJWK, algorithm: str) -> bool:
    """Whether a key may have made such a signature: its kind, and what it says of itself."""
    kind = {"R": "RSA", "P": "RSA", "E": "EC"}[algorithm[0]] if algorithm != "EdDSA" else "OKP"
    data = key._jwk_data
    return data.get("kty") == kind and data.get("alg", algorithm) == algorithm


async def _fetch(client: httpx.AsyncClient, url: str) -> dict[str, object]:
    """A JSON object from a URL, of bounded size; redirects are not followed."""
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        if answer.is_redirect:
            raise ValueError("it redirects")
        content = b""
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > _LARGEST_ANSWER:
                raise ValueError("it answers too much")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise TypeError("it answers no JSON object")
    return found
