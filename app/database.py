"""Connections: a pool that speaks as the application's role, and what a database must be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from app.config import Settings
from app.events.store import Connection
from app.migrate import newest

APPLICATION_ROLE = "okr_app"
OLDEST_POSTGRES = 14

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool


class DatabaseUnfit(Exception):
    """The database cannot be served from; the message says what to do."""


async def open_pool(url: str, *, size: int = 10, command_timeout: float = 15.0) -> Pool:
    """A pool whose connections hold the application's role, whoever logs in.

    Raises DatabaseUnfit when the server cannot be reached or the role is missing.
    """
    try:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=10,
            command_timeout=command_timeout,
            init=_prepare,
            reset=_reset,
            server_settings={
                "role": APPLICATION_ROLE,
                "application_name": "okr-ledger",
                "timezone": "UTC",
                "idle_in_transaction_session_timeout": "60s",
            },
        )
    except asyncpg.InvalidParameterValueError as missing:
        raise DatabaseUnfit(
            f"The role {APPLICATION_ROLE} does not exist: run `okr migrate`."
        ) from missing
    except asyncpg.InvalidCatalogNameError as missing:
        raise DatabaseUnfit(f"{missing}: create the database, then run `okr migrate`.") from missing
    except asyncpg.InsufficientPrivilegeError as denied:
        raise DatabaseUnfit(
            f"The login may not act as {APPLICATION_ROLE}: GRANT {APPLICATION_ROLE} TO it."
        ) from denied
    except _UNREACHABLE as down:
        raise _unreachable(down) from down


@asynccontextmanager
async def as_owner(url: str) -> AsyncIterator[Connection]:
    """One connection as the owner of the tables. Raises DatabaseUnfit."""
    try:
        conn: Connection = await asyncpg.connect(url, timeout=10)
    except asyncpg.InvalidCatalogNameError as missing:
        raise DatabaseUnfit(f"{missing}: create the database first.") from missing
    except _UNREACHABLE as down:
        raise _unreachable(down) from down
    try:
        await check_version(conn)
        yield conn
    finally:
        await conn.close()


_UNREACHABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


def _unreachable(down: BaseException) -> DatabaseUnfit:
    said = str(down) or type(down).__name__
    return DatabaseUnfit(f"The database of DATABASE_URL cannot be reached: {said}.")


@asynccontextmanager
async def checked_pool(settings: Settings, **options: Any) -> AsyncIterator[Pool]:
    """A pool on a database that is fit to serve from. Raises DatabaseUnfit."""
    if settings.database_url is None:
        raise DatabaseUnfit("Set DATABASE_URL, or start with `okr serve`.")
    pool = await open_pool(settings.database_url, **options)
    try:
        async with pool.acquire() as conn:
            await check(conn, newest(), allow_undurable=settings.allow_undurable_database)
        yield pool
    finally:
        await pool.close()


async def _reset(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    """Settings are made for a transaction only, so that ending it is all there is to reset."""
    if conn.is_in_transaction():
        await conn.execute("ROLLBACK")


async def _prepare(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    await conn.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_json, decoder=json.loads, format="text"
    )


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def check_version(conn: Connection) -> None:
    """Raise DatabaseUnfit for a server that is too old."""
    version = int(await conn.fetchval("SHOW server_version_num")) // 10_000
    if version < OLDEST_POSTGRES:
        raise DatabaseUnfit(f"Postgres {version} is too old: {OLDEST_POSTGRES} or newer is needed.")


async def check(conn: Connection, newest_migration: str, *, allow_undurable: bool) -> None:
    """Raise DatabaseUnfit unless this database is new enough, migrated, durable and locked down."""
    await check_version(conn)
    try:
        migrated = await conn.fetchval("SELECT version_num FROM alembic_version")
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        migrated = None
    if migrated != newest_migration:
        raise DatabaseUnfit(
            f"The database is at migration {migrated or 'none'}, the program at "
            f"{newest_migration}: run `okr migrate`."
        )
    unsafe = await conn.fetchrow(
        "SELECT rolsuper OR rolbypassrls AS above_policies, "
        "(SELECT bool_or(relowner = r.oid) FROM pg_class WHERE relname = 'events') AS is_owner "
        "FROM pg_roles r WHERE rolname = current_user"
    )
    if unsafe is None or unsafe["above_policies"] or unsafe["is_owner"]:
        raise DatabaseUnfit(
            f"The role {APPLICATION_ROLE} must not be a superuser, bypass row-level security or "
            "own the tables: history could be altered."
        )
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        if await conn.fetchval(f"SHOW {setting}") == "off" and not allow_undurable:
            raise DatabaseUnfit(
                f"{setting} is off, so acknowledged writes could be lost: turn it on, or set "
                "OKR_ALLOW_UNDURABLE_DATABASE=true for a throw-away database."
            )
