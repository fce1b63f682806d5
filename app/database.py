"""Connections: a pool that speaks as the application's role, and what a database must be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import asyncpg

from app.events.store import Connection

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
    except (OSError, asyncpg.PostgresError, TimeoutError) as down:
        raise DatabaseUnfit(f"The database cannot be reached: {down}") from down


async def _prepare(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    await conn.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_json, decoder=json.loads, format="text"
    )


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def check(conn: Connection, newest_migration: str, *, allow_undurable: bool) -> None:
    """Raise DatabaseUnfit unless this database is new enough, migrated, durable and locked down."""
    version = int(await conn.fetchval("SHOW server_version_num")) // 10_000
    if version < OLDEST_POSTGRES:
        raise DatabaseUnfit(f"Postgres {version} is too old: {OLDEST_POSTGRES} or newer is needed.")
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
