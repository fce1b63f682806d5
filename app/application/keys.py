"""API keys: made once, shown once, and kept as nothing but a digest."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import re
import secrets
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from app.application.tokens import Identity
from app.domain.access import Scope
from app.events import store
from app.events.store import Connection
from app.projections.api_keys import ApiKeyRow
from app.projections.organizations import OrganizationRow
from app.projections.people import PersonRow
from app.projections.rows import PostgresRows, column_list, record
from app.transactions import transaction

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE = re.compile(r"okr_([a-z]{2,10})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})")
# Revocation takes effect within a second: nothing is believed for longer.
_BELIEVED_SECONDS = 0.9
_RENEWED_SECONDS = 0.4
"""A key that is used after so long is looked up anew, while it is believed still."""
_BELIEVED_MAX = 10_000
_LOOK_UP_SECONDS = 10.0


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits


def make_key(environment: str = "live") -> str:
    """`okr_<environment>_<32 characters of entropy><6 of checksum>`."""
    entropy = "".join(secrets.choice(_ALPHABET) for _ in range(32))
    return f"okr_{environment}_{entropy}{_checksum(entropy)}"


def _checksum(entropy: str) -> str:
    return _base62(zlib.crc32(entropy.encode()), 6)


def digest(key: str) -> bytes | None:
    """SHA-256 of a key; None for what cannot be one, so that typing errors cost no look-up."""
    shape = _SHAPE.fullmatch(key)
    if shape is None or _checksum(shape[2]) != shape[3]:
        return None
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and in which organisations they are known; an operator is in all (None).

    `scopes` are the key's: the most it may do. A person's roles may allow less, and a key that
    stands for nobody reaches no further than `teams`, `key_results` and `sources`, where it names
    some.
    """

    actor: str
    credential: str
    scopes: frozenset[Scope]
    orgs: frozenset[UUID] | None
    digest: bytes
    expires_at: datetime | None = None
    person_id: UUID | None = None
    teams: tuple[UUID, ...] | None = None
    key_results: frozenset[UUID] | None = None
    sources: frozenset[str] | None = None

    @property
    def is_operator(self) -> bool:
        return self.orgs is None

    @property
    def is_integration(self) -> bool:
        """A key that stands for no person."""
        return self.actor.startswith("key/")


class Keys:
    """Tells callers by their keys."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._believed: dict[bytes, tuple[float, Caller | None]] = {}
        self._asked: dict[bytes, asyncio.Task[Caller | None]] = {}

    async def caller(self, key: str, *, afresh: bool = False) -> Caller | None:
        """Whose key this is; None when it is unknown, expired or revoked.

        `afresh` believes nothing that was found before.
        """
        digested = digest(key)
        if digested is None:
            return None
        caller = await (self._look_up(digested) if afresh else self._found(digested))
        if caller and caller.expires_at and caller.expires_at <= datetime.now(UTC):
            return None
        return caller

    async def _found(self, digested: bytes) -> Caller | None:
        asked_at, caller = self._believed.get(digested, (float("-inf"), None))
        age = time.monotonic() - asked_at
        if age >= _BELIEVED_SECONDS:
            # Whoever waits for it may go; the others wait on.
            return await asyncio.shield(self._ask(digested))
        if age >= _RENEWED_SECONDS:
            self._ask(digested)
        return caller

    def _ask(self, digested: bytes) -> asyncio.Task[Caller | None]:
        """The one look-up of a key that is under way."""
        task = self._asked.get(digested)
        if task is None:
            # It is nobody's request: not the first one's, either.
            context = contextvars.Context()
            task = asyncio.get_running_loop().create_task(self._keep(digested), context=context)
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._asked[digested] = task
        return task

    async def _keep(self, digested: bytes) -> Caller | None:
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                caller = await self._look_up(digested)
        finally:
            del self._asked[digested]
        if len(self._believed) >= _BELIEVED_MAX:
            self._believed.clear()
        self._believed[digested] = asked_at, caller
        return caller

    async def bearer(self, identity: Identity, org_id: UUID | None) -> Caller:
        """Whoever a token speaks for, in an organisation or, without one, in all that know them."""
        async with transaction(self._pool, readonly=True) as conn:
            await hold_key(conn, identity.digest)
            rows = await conn.fetch(
                "SELECT org_id, person_id FROM identities WHERE digest = $1", identity.digest
            )
            known = {}
            for row in rows:
                if org_id in (None, row["org_id"]):
                    await store.as_organization(conn, row["org_id"])
                    if await _is_there(conn, row["org_id"], row["person_id"]):
                        known[row["org_id"]] = row["person_id"]
        person_id = None if org_id is None else known.get(org_id)
        actor = "nobody" if person_id is None else f"person/{person_id}"
        return Caller(
            actor=actor,
            credential=actor,
            scopes=frozenset(Scope),
            orgs=frozenset(known),
            digest=identity.digest,
            expires_at=identity.expires_at,
            person_id=person_id,
        )

    async def _look_up(self, digested: bytes) -> Caller | None:
        async with transaction(self._pool, readonly=True) as conn:
            await hold_key(conn, digested)
            operator = await conn.fetchval(
                "SELECT operator_id FROM operators WHERE digest = $1", digested
            )
            if operator is not None:
                name = f"operator/{operator}"
                return Caller(name, name, frozenset(Scope), None, digested)
            credential = await conn.fetchrow(
                "SELECT org_id, key_id FROM credentials WHERE digest = $1", digested
            )
            if credential is None:
                return None
            org_id, key_id = credential["org_id"], credential["key_id"]
            await store.as_organization(conn, org_id)
            row = await PostgresRows(conn, org_id).get(ApiKeyRow, key_id)
            if row is None or row.revoked_at is not None:
                return None
            if row.person_id is not None and not await _is_there(conn, org_id, row.person_id):
                return None
            actor = f"person/{row.person_id}" if row.person_id else f"key/{key_id}"
            scopes = frozenset(Scope(scope) for scope in row.scopes)
            teams = None if row.teams is None else tuple(UUID(id) for id in row.teams)
            return Caller(
                actor=actor,
                credential=f"key/{key_id}",
                scopes=scopes,
                orgs=frozenset({org_id}),
                digest=digested,
                expires_at=row.expires_at,
                person_id=row.person_id,
                teams=teams,
                key_results=None if row.key_results is None else _ids(row.key_results),
                sources=None if row.sources is None else frozenset(row.sources),
            )


def _ids(texts: Iterable[str]) -> frozenset[UUID]:
    return frozenset(UUID(text) for text in texts)


async def visible_organizations(
    pool: asyncpg.Pool[asyncpg.Record], caller: Caller
) -> list[OrganizationRow]:
    """The organisations that row-level security shows to whoever holds this key, oldest first."""
    async with transaction(pool, readonly=True) as conn:
        await hold_key(conn, caller.digest)
        found = []
        for org_id in [None] if caller.orgs is None else sorted(caller.orgs):
            if org_id is not None:
                await store.as_organization(conn, org_id)
            found += await conn.fetch(
                f"SELECT {column_list(OrganizationRow)} FROM organizations"  # noqa: S608
            )
    shown = [record(OrganizationRow, row) for row in found]
    return sorted(shown, key=lambda row: (row.founded_at, row.org_id))


async def _is_there(conn: Connection, org_id: UUID, person_id: UUID) -> bool:
    person = await PostgresRows(conn, org_id).get(PersonRow, person_id)
    return person is not None and person.active


async def hold_key(conn: Connection, digested: bytes) -> None:
    """Show row-level security the key that this transaction was asked with."""
    await conn.execute("SELECT set_config('app.key_digest', $1, true)", digested.hex())


async def keep_key(conn: Connection, org_id: UUID, key_id: UUID, key: str) -> None:
    """Remember an issued key by its digest, in the transaction of its event."""
    await conn.execute(
        "INSERT INTO credentials (digest, org_id, key_id) VALUES ($1, $2, $3)",
        digest(key),
        org_id,
        key_id,
    )


async def bootstrap(owner: Connection, operator_id: UUID) -> str | None:
    """The first operator's key, for a database that has none; runs as the tables' owner."""
    async with owner.transaction():
        await owner.execute("LOCK TABLE operators IN EXCLUSIVE MODE")
        if await owner.fetchval("SELECT count(*) FROM operators"):
            return None
        return await make_operator(owner, operator_id)


async def make_operator(owner: Connection, operator_id: UUID) -> str:
    """A new operator's key, shown now and never again; runs as the tables' owner."""
    key = make_key()
    digested = digest(key)
    await owner.execute(
        "INSERT INTO operators (digest, operator_id, created_at) VALUES ($1, $2, now())",
        digested,
        operator_id,
    )
    return key
