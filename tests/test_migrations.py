"""The migrated schema is the one that the program declares, and has all its locks."""

from __future__ import annotations

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

from app import migrate
from app.database import DatabaseUnfit, Pool, check
from migrations.metadata import metadata
from tests.conftest import Database

NEWEST = migrate.newest()


async def test_the_migrated_schema_is_what_the_tables_declare(database: Database) -> None:
    def differences(connection: sa.Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    engine = create_async_engine(database.owner_url.replace("postgresql", "postgresql+asyncpg", 1))
    async with engine.connect() as conn:
        assert await conn.run_sync(differences) == []
    await engine.dispose()


async def test_every_table_is_behind_row_level_security(
    owner: asyncpg.Connection[asyncpg.Record],
) -> None:
    rows = await owner.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS locked FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    assert {row["relname"] for row in rows if not row["locked"]} == {"alembic_version"}


async def test_every_unique_key_starts_with_the_organisation(
    owner: asyncpg.Connection[asyncpg.Record],
) -> None:
    rows = await owner.fetch(
        "SELECT i.indrelid::regclass::text AS name, a.attname AS first FROM pg_index i "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "JOIN pg_class c ON c.oid = i.indrelid "
        "WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace"
    )
    others = {row["name"] for row in rows if row["first"] != "org_id"}
    # Looked up before the organisation is known.
    assert others == {"alembic_version", "credentials", "operators"}


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await migrate.migrate(database.owner_url)


@pytest.mark.parametrize(
    ("newest", "undurable", "remedy"),
    [("9999", True, "run `okr migrate`"), (NEWEST, False, "OKR_ALLOW_UNDURABLE_DATABASE")],
)
async def test_an_unfit_database_is_refused_with_the_remedy(
    pool: Pool, newest: str, undurable: bool, remedy: str
) -> None:
    async with pool.acquire() as conn:
        await check(conn, NEWEST, allow_undurable=True)
        with pytest.raises(DatabaseUnfit, match=remedy):
            await check(conn, newest, allow_undurable=undurable)


async def test_the_owner_of_the_tables_is_refused_as_the_application(
    owner: asyncpg.Connection[asyncpg.Record],
) -> None:
    with pytest.raises(DatabaseUnfit, match="history could be altered"):
        await check(owner, NEWEST, allow_undurable=True)
