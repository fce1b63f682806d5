"""Tenants are kept apart by the database: SQL of all kinds, as the application's own role.

That every route keeps them apart is told in tests/api/test_tenants.py, and that every table is
behind a policy in tests/test_migrations.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import asyncpg
import httpx
import pytest
from uuid_utils.compat import uuid7

from app.application import keys
from app.config import Settings
from app.database import APPLICATION_ROLE, Pool, open_pool
from app.events import store
from app.events.statements import Connection
from app.main import create_app
from app.transactions import transaction
from migrations.metadata import metadata
from tests.api.programme import Api
from tests.conftest import Database

TABLES = sorted(table.name for table in metadata.tables.values() if "org_id" in table.columns)
each_table = pytest.mark.parametrize("table", TABLES)


@pytest.fixture(scope="module")
async def tenants(http: httpx.AsyncClient, operator_key: str) -> list[UUID]:
    """Two organisations with a row in every table, or nearly so."""
    apis = [await Api.found(http, operator_key) for _ in range(2)]
    for api in apis:
        stage = await api.one_of_each()
        headers = {"Idempotency-Key": "once"}
        await api.request("POST", "/teams", json={"name": "Once"}, headers=headers)
        external = {"source": "sheet", "external_id": "1"}
        await api.team("From a sheet", external=external)
        answers = dict.fromkeys(("strategy", "rhythm"), 3)
        await api.request(
            "POST", f"/cycles/{stage.ids['ended_cycle_id']}/survey", json={"answers": answers}
        )
    return [UUID(api.org) for api in apis]


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the application's, in a transaction that is not kept."""
    async with pool.acquire() as conn:
        running = conn.transaction()
        await running.start()
        yield conn
        await running.rollback()


def test_the_tables_that_belong_to_organizations_are_known() -> None:
    others = {table.name for table in metadata.tables.values()} - set(TABLES)
    assert others <= {"operators"}
    assert len(TABLES) > 20


async def test_every_table_that_has_organizations_is_looked_at(owner: Connection) -> None:
    rows = await owner.fetch(
        "SELECT table_name FROM information_schema.columns "
        "WHERE column_name = 'org_id' AND table_schema = 'public'"
    )
    assert sorted(row["table_name"] for row in rows) == TABLES


# Reading ----------------------------------------------------------------------------------


@each_table
async def test_without_where_one_sees_what_is_ones_own_and_nothing_without_an_organization(
    table: str, conn: Connection, owner: Connection, tenants: list[UUID]
) -> None:
    # Who may read a credential is told by its key, and by no organisation.
    for org_id in tenants:
        await owner.execute("SELECT set_config('app.org_id', $1, false)", str(org_id))
        there = await owner.fetchval(f"SELECT count(*) FROM {table} WHERE org_id = $1", org_id)
        await store.as_organization(conn, org_id)
        seen = [row["org_id"] for row in await conn.fetch(f"SELECT org_id FROM {table}")]
        assert set(seen) <= {org_id}
        if table not in ("credentials", "identities"):
            assert len(seen) == there
    for nobody in ("", str(uuid7())):
        await conn.execute("SELECT set_config('app.org_id', $1, true)", nobody)
        assert await conn.fetch(f"SELECT 1 FROM {table}") == []


@each_table
async def test_a_connection_that_was_never_told_an_organization_sees_nothing(
    table: str, database: Database, tenants: list[UUID]
) -> None:
    fresh = await asyncpg.connect(database.url, server_settings={"role": APPLICATION_ROLE})
    try:
        assert await fresh.fetch(f"SELECT 1 FROM {table}") == []
        # Not even by what joins, counts, or asks whether there is something.
        assert await fresh.fetchval(f"SELECT count(*) FROM {table}") == 0
        assert not await fresh.fetchval(f"SELECT EXISTS (TABLE {table})")
    finally:
        await fresh.close()


@pytest.mark.parametrize("value", ["nonsense", "' OR true --", "00000000", "*", "null"])
async def test_what_is_no_organization_is_an_error_and_shows_nothing(
    value: str, conn: Connection, tenants: list[UUID]
) -> None:
    await conn.execute("SELECT set_config('app.org_id', $1, true)", value)
    with pytest.raises(asyncpg.DataError):
        await conn.fetch("SELECT 1 FROM events")


# Writing ----------------------------------------------------------------------------------


@each_table
async def test_the_rows_of_another_cannot_be_changed_or_deleted(
    table: str, conn: Connection, owner: Connection, tenants: list[UUID]
) -> None:
    ours, theirs = tenants
    before = await _rows(owner, table, theirs)
    await store.as_organization(conn, ours)
    for statement in (
        f"UPDATE {table} SET org_id = org_id WHERE org_id = '{theirs}'",
        f"DELETE FROM {table} WHERE org_id = '{theirs}'",
    ):
        try:
            async with conn.transaction():
                assert (await conn.execute(statement)).endswith(" 0")
        except asyncpg.InsufficientPrivilegeError:
            pass
    assert await _rows(owner, table, theirs) == before


@each_table
async def test_rows_cannot_be_moved_to_another(
    table: str, conn: Connection, tenants: list[UUID]
) -> None:
    ours, theirs = tenants
    await store.as_organization(conn, ours)
    mine = await conn.fetchval(f"SELECT count(*) FROM {table}")
    try:
        async with conn.transaction():
            await conn.execute(f"UPDATE {table} SET org_id = $1", theirs)
    except asyncpg.InsufficientPrivilegeError:
        return
    assert mine == 0, "rows went over to another organisation"


@each_table
async def test_no_row_is_written_for_another(
    table: str, conn: Connection, owner: Connection, tenants: list[UUID]
) -> None:
    ours, theirs = tenants
    columns = [column.name for column in metadata.tables[table].columns]
    named = ", ".join(f'"{name}"' for name in columns)
    shown = ", ".join(f"'{theirs}'" if name == "org_id" else f'"{name}"' for name in columns)
    await store.as_organization(conn, ours)
    # A copy of one's own row, under another's name; where there is none, of nothing.
    row = await conn.fetchval(f"SELECT count(*) FROM {table}")
    nothing = ", ".join(f"'{theirs}'" if name == "org_id" else "NULL" for name in columns)
    source = f"SELECT {shown} FROM {table} LIMIT 1" if row else f"SELECT {nothing}"
    with pytest.raises(asyncpg.PostgresError) as refused:
        await conn.execute(f"INSERT INTO {table} ({named}) {source}")
    if row:
        assert isinstance(refused.value, asyncpg.InsufficientPrivilegeError), refused.value


async def _rows(owner: Connection, table: str, org_id: UUID) -> list[str]:
    await owner.execute("SELECT set_config('app.org_id', $1, false)", str(org_id))
    rows = await owner.fetch(f"SELECT t::text FROM {table} t WHERE org_id = $1", org_id)
    return sorted(row["t"] for row in rows)


# A pool of one ----------------------------------------------------------------------------


async def test_requests_of_two_tenants_that_share_one_connection_never_mix(
    database: Database, operator_key: str
) -> None:
    settings = Settings().model_copy(
        update={
            "database_url": database.url,
            "allow_undurable_database": True,
            "pool_size": 1,
        }
    )
    made = create_app(settings)
    transport = httpx.ASGITransport(made, raise_app_exceptions=False)
    async with (
        made.router.lifespan_context(made),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client,
    ):
        apis = [await Api.found(client, operator_key) for _ in range(2)]
        keys = [await api.key_for("read", "organization:write", "people:write") for api in apis]

        async def work(number: int) -> None:
            mine, other = keys[number % 2], apis[(number + 1) % 2].org
            name = f"Team {number} of {mine.org}"
            headers = {"Idempotency-Key": str(number)}
            for method, path, options in (
                ("POST", "/teams", {"json": {"name": name}, "headers": headers}),
                ("GET", "/teams", {"params": {"page_size": 200}}),
                # What fails in between leaves nothing behind on the connection.
                ("GET", f"/teams/{uuid7()}", {}),
                ("POST", "/teams", {"json": {"name": name, "parent_id": str(uuid7())}}),
                ("GET", "", {}),
            ):
                answer = await mine.request(method, path, **options)
                assert answer.status_code in (200, 201, 400, 404), answer.text
                assert other not in answer.text

        await asyncio.gather(*(work(number) for number in range(40)))
        for at, api in enumerate(apis):
            teams = (await api.get("/teams", page_size=200))["items"]
            assert {team["name"] for team in teams} == {
                f"Team {number} of {api.org}" for number in range(at, 40, 2)
            }


async def test_an_organization_is_spoken_for_in_one_transaction_only(
    database: Database, tenants: list[UUID]
) -> None:
    pool = await open_pool(database.url, size=1)
    try:
        for end in ("commit", "rollback"):
            async with pool.acquire() as conn:
                running = conn.transaction()
                await running.start()
                await store.as_organization(conn, tenants[0])
                assert await conn.fetchval("SELECT count(*) FROM events") > 0
                await getattr(running, end)()
                assert await conn.fetchval("SELECT count(*) FROM events") == 0
            async with pool.acquire() as conn:
                assert await conn.fetchval("SELECT count(*) FROM events") == 0
    finally:
        await pool.close()


# Getting around it ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE events DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE events NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY own_organization ON events",
        "CREATE POLICY everything ON events USING (true)",
        "ALTER POLICY own_organization ON events USING (true)",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "ALTER TABLE events ADD COLUMN extra text",
        "ALTER TABLE events OWNER TO CURRENT_USER",
        "DROP TABLE events",
        "TRUNCATE directory",
        f"ALTER ROLE {APPLICATION_ROLE} BYPASSRLS",
        f"ALTER ROLE {APPLICATION_ROLE} SUPERUSER",
        "CREATE ROLE another SUPERUSER",
        "CREATE TABLE public.mine (id int)",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "CREATE VIEW public.mine AS SELECT * FROM events",
        "CREATE EXTENSION dblink",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_shadow",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/okr-was-here'",
        "COPY directory FROM '/etc/passwd'",
        "COPY directory FROM PROGRAM 'true'",
        "SET session_replication_role = replica",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT pg_reload_conf()",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
        "SELECT * FROM pg_stat_ssl, pg_hba_file_rules",
    ],
)
async def test_the_applications_role_cannot_get_around_it(
    statement: str, conn: Connection, tenants: list[UUID]
) -> None:
    await store.as_organization(conn, tenants[0])
    with pytest.raises(asyncpg.PostgresError) as refused:
        await conn.execute(statement)
    assert isinstance(
        refused.value, asyncpg.InsufficientPrivilegeError | asyncpg.FeatureNotSupportedError
    ), f"{type(refused.value).__name__}: {refused.value}"


async def test_the_applications_role_changes_no_setting_of_the_server(pool: Pool) -> None:
    async with pool.acquire() as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("ALTER SYSTEM SET fsync = off")


async def test_the_applications_role_hands_on_no_right(conn: Connection) -> None:
    """Postgres only warns of a GRANT by whoever may not."""
    await conn.execute("GRANT ALL ON events TO PUBLIC")
    rights = "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee = 'PUBLIC'"
    assert await conn.fetchval(f"{rights} AND table_name = 'events'") == 0


async def test_switching_row_level_security_off_is_an_error_and_shows_nothing_more(
    conn: Connection, tenants: list[UUID]
) -> None:
    await store.as_organization(conn, tenants[0])
    await conn.execute("SET LOCAL row_security = off")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.fetch("SELECT 1 FROM events")


async def test_the_application_logs_in_as_a_role_that_can_become_nobody_else(
    database: Database,
) -> None:
    fresh = await asyncpg.connect(database.url)
    try:
        assert await fresh.fetchval("SELECT current_user") == APPLICATION_ROLE
        for role in ("postgres", "pg_read_all_data", "pg_execute_server_program"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await fresh.execute(f"SET ROLE {role}")
    finally:
        await fresh.close()


async def test_the_application_owns_nothing_and_bypasses_nothing(owner: Connection) -> None:
    role = await owner.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", APPLICATION_ROLE)
    assert role is not None
    powers = ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb", "rolreplication")
    assert not [power for power in powers if role[power]]
    for owned in ("pg_class WHERE relowner", "pg_auth_members WHERE member"):
        assert await owner.fetchval(f"SELECT count(*) FROM {owned} = $1", role["oid"]) == 0


async def test_the_keys_of_others_are_not_listed(conn: Connection, tenants: list[UUID]) -> None:
    """A transaction is shown the credentials whose digests it names."""
    await store.as_organization(conn, tenants[1])
    assert await conn.fetch("SELECT * FROM operators") == []
    await keys.hold_key(conn, bytes(32), b"\1" * 32)
    assert await conn.fetch("SELECT * FROM operators") == []
    foreign = await conn.fetch("SELECT * FROM credentials WHERE org_id = $1", tenants[0])
    assert foreign == []


async def test_a_connection_speaks_for_nobody_once_its_transaction_has_ended(
    database: Database, tenants: list[UUID]
) -> None:
    pool = await open_pool(database.url, size=1)
    try:
        for ends in (None, ZeroDivisionError):
            with suppress(ZeroDivisionError):
                async with transaction(pool, of=tenants) as conn:
                    rows = await conn.fetch("SELECT org_id FROM ledgers")
                    assert {row["org_id"] for row in rows} == set(tenants)
                    if ends:
                        raise ends
            async with transaction(pool) as conn:
                assert await conn.fetch("SELECT 1 FROM ledgers") == []
            async with pool.acquire() as conn, conn.transaction():
                assert await conn.fetch("SELECT 1 FROM ledgers") == []
    finally:
        await pool.close()
