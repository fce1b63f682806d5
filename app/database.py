"""Connections: a pool that speaks as the application's role, and what a database must be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from app.config import Settings
from app.events.statements import Connection
from app.migrate import newest
from app.transactions import Link

APPLICATION_ROLE = "okr_app"
OLDEST_POSTGRES = 14
CLOSE_SECONDS = 2
"""For connections that are in use when a pool is closed; then they are cut."""
_CONNECT_SECONDS = 10
_NEXT_HOST_SECONDS = 1
_SPEAKS = {
    "role": APPLICATION_ROLE,
    "timezone": "UTC",
    # A client whose machine is gone says no word of it.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool


class DatabaseUnfit(Exception):
    """The database cannot be served from; the message says what to do."""


async def open_pool(
    url: str,
    *,
    size: int = 10,
    command_timeout: float = 15.0,
    lock_timeout: float = 0,
    idle_timeout: float = 60.0,
) -> Pool:
    """A pool whose connections hold the application's role, whoever logs in.

    All bounds are in seconds, and the server keeps them too, for when nobody is left at this end:
    of a statement, of waiting for a lock (0: like any statement), and of a transaction in which
    nothing happens. Raises DatabaseUnfit when the server cannot be reached or the role is missing.
    """
    # The driver's types do not know that it hands on whatever is to be connected with.
    connect: Any = _Hosts(url).connect
    try:
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            command_timeout=command_timeout,
            connect=connect,
            connection_class=Link,
            reset=_reset,
            server_settings={
                **_SPEAKS,
                "application_name": "okr-ledger",
                # Later than this end gives up: it says more of why.
                "statement_timeout": _milliseconds(command_timeout + 5),
                "lock_timeout": _milliseconds(lock_timeout),
                "idle_in_transaction_session_timeout": _milliseconds(idle_timeout),
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


def listeners(url: str) -> Callable[[], Awaitable[Connection]]:
    """What makes a connection beside the pool's, for one that listens; as the same role.

    It raises what the driver does. No statement takes longer than 5 seconds.
    """
    hosts = _Hosts(url)
    # Nothing is written, so nothing can be lost by not waiting for the disk.
    quick = {"synchronous_commit": "off"}
    settings = {**_SPEAKS, **quick, "application_name": "okr-ledger feed"}

    async def connect() -> Connection:
        return await hosts.connect(
            url, command_timeout=5.0, connection_class=Link, server_settings=settings
        )

    return connect


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


class _Hosts:
    """The servers that a URL names, each asked by itself: a dead one must not use up the time.

    The last that was found is asked first.
    """

    def __init__(self, url: str) -> None:
        self._urls = each_host(url)

    async def connect(self, _: str, **options: Any) -> Link:
        """Connect to the first that answers and is what the URL asks for, ready for use."""
        is_one = len(self._urls) == 1
        failed: Exception | None = None
        for url in list(self._urls):
            try:
                async with asyncio.timeout(_CONNECT_SECONDS if is_one else _NEXT_HOST_SECONDS):
                    conn: Any = await asyncpg.connect(url, **options)
                    await _prepare(conn)
            except _ANOTHER_MAY_DO as error:
                failed = error
            else:
                self._urls.remove(url)
                self._urls.insert(0, url)
                return conn  # type: ignore[no-any-return]
        assert failed is not None, "a URL names at least one server"
        raise failed


def each_host(url: str) -> list[str]:
    """A URL with one host for each that it names: before the path, or as a parameter."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    if "," in hosts:
        each = [login + at + host for host in hosts.split(",")]
        return [urlunsplit(parts._replace(netloc=netloc)) for netloc in each]
    query = dict(parse_qsl(parts.query))
    named = query.get("host", "").split(",")
    ports = query.get("port", "").split(",")
    if len(named) == 1:
        return [url]
    ports = ports if len(ports) == len(named) else ports[:1] * len(named)
    alone = [
        {**query, "host": host} | ({"port": port} if port else {})
        for host, port in zip(named, ports, strict=True)
    ]
    return [urlunsplit(parts._replace(query=urlencode(one))) for one in alone]


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


_ANOTHER_MAY_DO = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.TargetServerAttributeNotMatched,
)
_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


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
        # Whoever still waits for an answer is not waited for; closing cuts them off then.
        with suppress(TimeoutError):
            await asyncio.wait_for(pool.close(), CLOSE_SECONDS)


async def _reset(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    """Settings are made for a transaction only, so that ending it is all there is to reset."""
    if conn.is_in_transaction():
        await conn.execute("ROLLBACK")


async def _prepare(conn: Link) -> None:
    """Make a new connection ready. If that is cut short, it is ended, not waited for."""
    try:
        await conn.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=_to_json, decoder=json.loads, format="text"
        )
        # What nobody waits for any more gives its locks back. Not every system can tell.
        with suppress(asyncpg.InvalidParameterValueError):
            await conn.execute("SET client_connection_check_interval = '1s'")
    except BaseException:
        conn.terminate()
        raise


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
