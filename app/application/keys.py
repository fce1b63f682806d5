"""API keys: made once, shown once, and kept as nothing but a digest."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import re
import secrets
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from app.application.tokens import Identity
from app.domain.access import Scope
from app.events import store
from app.events.statements import Connection
from app.projections.api_keys import ApiKeyRow
from app.projections.changes import columns
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
_GATHERED_SECONDS = 0.1
"""For so long such keys are gathered, to be looked up together: many are in use at once."""
_BELIEVED_MAX = 10_000
_TOGETHER_MAX = 1_000
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
        self._asked: dict[bytes, asyncio.Future[Caller | None]] = {}
        self._due: set[bytes] = set()
        """Of those that are asked for, the ones that nobody looks up yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def caller(self, key: str, *, afresh: bool = False) -> Caller | None:
        """Whose key this is; None when it is unknown, expired or revoked.

        `afresh` believes nothing that was found before.
        """
        digested = digest(key)
        if digested is None:
            return None
        if afresh:
            async with transaction(self._pool, readonly=True) as conn:
                caller = (await _look_up(conn, [digested])).get(digested)
        else:
            caller = await self._found(digested)
        if caller and caller.expires_at and caller.expires_at <= datetime.now(UTC):
            return None
        return caller

    async def _found(self, digested: bytes) -> Caller | None:
        asked_at, caller = self._believed.get(digested, (float("-inf"), None))
        age = time.monotonic() - asked_at
        if age >= _BELIEVED_SECONDS:
            # Whoever waits for it may go; the others wait on.
            return await asyncio.shield(self._ask(digested, within=0))
        if age >= _RENEWED_SECONDS:
            self._ask(digested, within=_GATHERED_SECONDS)
        return caller

    def _ask(self, digested: bytes, *, within: float) -> asyncio.Future[Caller | None]:
        """What the one look-up of a key that is under way will tell; it begins so soon."""
        loop = asyncio.get_running_loop()
        told = self._asked.get(digested)
        if told is None:
            told = self._asked[digested] = loop.create_future()
            # Nobody may be there to hear of a failure.
            told.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._due.add(digested)
            if within and len(self._due) == 1:
                # It is nobody's request: not the first one's, either.
                loop.call_later(within, self._begin, context=contextvars.Context())
        if not within and digested in self._due:
            contextvars.Context().run(self._begin)
        return told

    def _begin(self) -> None:
        """Look up all that are due."""
        due, self._due = list(self._due), set()
        for first in range(0, len(due), _TOGETHER_MAX):
            task = asyncio.create_task(self._tell(due[first : first + _TOGETHER_MAX]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, due: list[bytes]) -> None:
        asked_at = time.monotonic()
        waiting = {digested: self._asked[digested] for digested in due}
        try:
            async with (
                asyncio.timeout(_LOOK_UP_SECONDS),
                transaction(self._pool, readonly=True) as conn,
            ):
                found = await _look_up(conn, due)
        except Exception as error:
            for told in waiting.values():
                told.set_exception(error)
        else:
            if len(self._believed) + len(due) > _BELIEVED_MAX:
                self._believed.clear()
            for digested, told in waiting.items():
                self._believed[digested] = asked_at, found.get(digested)
                told.set_result(found.get(digested))
        finally:
            for digested, told in waiting.items():
                del self._asked[digested]
                # Where this was cut short, nothing is to be heard any more.
                told.cancel()

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


async def _look_up(conn: Connection, digests: Sequence[bytes]) -> dict[bytes, Caller]:
    """Whose keys these are, of those that are known and were not revoked."""
    await hold_key(conn, *digests)
    operators = await conn.fetch(
        "SELECT digest, operator_id FROM operators WHERE digest = ANY($1)", digests
    )
    found = {row["digest"]: _operator(row["operator_id"], row["digest"]) for row in operators}
    credentials = await conn.fetch(
        "SELECT digest, org_id, key_id FROM credentials WHERE digest = ANY($1)", digests
    )
    held = {(row["org_id"], row["key_id"]): row["digest"] for row in credentials}
    if not held:
        return found
    await store.as_organization(conn, *{org_id for org_id, _ in held})
    # A key that stands for a person is theirs for as long as they are there.
    rows = await conn.fetch(
        f"SELECT {_KEY_COLUMNS} FROM api_keys AS k "  # noqa: S608 (names from code)
        "JOIN unnest($1::uuid[], $2::uuid[]) AS held (org_id, key_id) USING (org_id, key_id) "
        "LEFT JOIN people AS p ON p.org_id = k.org_id AND p.person_id = k.person_id "
        "WHERE k.revoked_at IS NULL AND (k.person_id IS NULL OR p.active)",
        [org_id for org_id, _ in held],
        [key_id for _, key_id in held],
    )
    for row in rows:
        key = record(ApiKeyRow, row)
        digested = held[key.org_id, key.key_id]
        found[digested] = _holder(key, digested)
    return found


_KEY_COLUMNS = ", ".join(f"k.{name}" for name in columns(ApiKeyRow))


def _operator(operator_id: UUID, digested: bytes) -> Caller:
    name = f"operator/{operator_id}"
    return Caller(name, name, frozenset(Scope), None, digested)


def _holder(row: ApiKeyRow, digested: bytes) -> Caller:
    return Caller(
        actor=f"person/{row.person_id}" if row.person_id else f"key/{row.key_id}",
        credential=f"key/{row.key_id}",
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        orgs=frozenset({row.org_id}),
        digest=digested,
        expires_at=row.expires_at,
        person_id=row.person_id,
        teams=None if row.teams is None else tuple(UUID(id) for id in row.teams),
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


async def hold_key(conn: Connection, *digests: bytes) -> None:
    """Show row-level security the key that this transaction was asked with, or several."""
    held = ",".join(f'"\\\\x{digested.hex()}"' for digested in digests)
    await conn.execute("SELECT set_config('app.key_digest', $1, true)", f"{{{held}}}")


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
