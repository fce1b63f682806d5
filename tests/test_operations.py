"""The page on operations is true: its commands are run as they are written."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from app.application import keys
from app.application.ledgers import Ledgers
from app.application.unit_of_work import UnitOfWork
from app.database import DatabaseUnfit, as_owner, open_pool
from app.domain.organization import FoundOrganization
from app.domain.team import FormTeam
from app.embedded import EmbeddedPostgres
from app.events.envelope import Meta
from app.migrate import migrate
from tests.server import OKR, environment

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text()
STEPS = re.findall(r"```sh operations\n(.*?)```", PAGE, re.S)
DUMP, RESTORE, BASE, RECOVER, UPGRADE, ROTATE = STEPS
META = Meta("operator/test", "test", uuid7())


class Installation:
    """A Postgres that archives its log, with a migrated database of one organisation in it."""

    def __init__(self, folder: Path, server: EmbeddedPostgres) -> None:
        self.folder = folder
        self.server = server
        self.backups, self.archive = folder / "backups", folder / "archive"
        self.url = server.url("okr")
        self.org = uuid7()

    def run(self, script: str, **more: str) -> str:
        """A block of the page, with the tools of this Postgres first on the path."""
        tools = EmbeddedPostgres.binary("psql").parent
        variables = {
            "PATH": f"{tools}:{OKR.parent}:{os.environ['PATH']}",
            "DATABASE_URL": self.url,
            "MAINTENANCE_URL": self.server.url("postgres"),
            "RESTORED_URL": self.server.url("okr_restored"),
            "REPLICATION_URL": self.server.url("postgres"),
            "BACKUPS": str(self.backups),
            "ARCHIVE": str(self.archive),
            **more,
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def prepare(self) -> None:
        """Folders that Postgres, which may run as a user of its own, can write to."""
        owner = self.server.data_dir.stat()
        for folder in (self.backups, self.archive):
            folder.mkdir()
            os.chown(folder, owner.st_uid, owner.st_gid)
            folder.chmod(0o777)

    async def found(self) -> None:
        async with as_owner(self.server.url("postgres")) as admin:
            await admin.execute("CREATE DATABASE okr")
        await migrate(self.url)
        pool = await open_pool(self.url)
        try:

            async def work(unit: UnitOfWork) -> None:
                await unit.execute(FoundOrganization(organization_id=self.org, name="Harbour"))

            await Ledgers(pool).run(self.org, META, work, founding=True)
        finally:
            await pool.close()

    async def now(self) -> str:
        async with as_owner(self.url) as conn:
            return str(await conn.fetchval("SELECT clock_timestamp()::text"))

    async def switch_log(self) -> None:
        """Have the log archived up to here, which otherwise waits until a segment is full."""
        async with as_owner(self.server.url("postgres")) as conn:
            segment = await conn.fetchval("SELECT pg_walfile_name(pg_current_wal_lsn())")
            await conn.execute("SELECT pg_switch_wal()")
        for _ in range(600):
            if (self.archive / segment).exists():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the log is not archived")

    def _started(self, data: Path, log: Path) -> subprocess.Popen[bytes]:
        command = [
            str(EmbeddedPostgres.binary("postgres")),
            "-D",
            str(data),
            "-k",
            str(self.backups),
        ]
        options: dict[str, Any] = {}
        if os.geteuid() == 0:
            # Postgres refuses to be run by root: whoever owns the first server runs this, too.
            owner = self.server.data_dir.stat()
            options = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
            for path in [data, *data.rglob("*")]:
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        with log.open("ab") as said:
            return subprocess.Popen(
                [*command, "-c", "listen_addresses=", "-c", "archive_mode=off"],
                stdout=said,
                stderr=said,
                **options,
            )

    @asynccontextmanager
    async def recovered(self) -> AsyncIterator[str]:
        """A server on the copy, once it has gone back and takes connections."""
        data = self.backups / "base"
        data.chmod(0o700)
        log = self.folder / "recovered.log"
        process = self._started(data, log)
        url = f"postgresql://postgres@/okr?host={self.backups}&port=5432"
        try:
            for _ in range(300):
                try:
                    async with as_owner(url) as conn:
                        if not await conn.fetchval("SELECT pg_is_in_recovery()"):
                            break
                except DatabaseUnfit:
                    pass
                assert process.poll() is None, log.read_text()
                await asyncio.sleep(0.1)
            else:
                raise AssertionError(log.read_text())
            yield url
        finally:
            process.terminate()
            process.wait(30)

    async def form_team(self, name: str) -> None:
        pool = await open_pool(self.url)
        try:

            async def work(unit: UnitOfWork) -> None:
                await unit.execute(FormTeam(team_id=uuid7(), name=name))

            await Ledgers(pool).run(self.org, META, work)
        finally:
            await pool.close()

    async def teams(self, url: str) -> list[str]:
        async with as_owner(url) as conn:
            rows = await conn.fetch("SELECT name FROM teams ORDER BY position")
            return [row["name"] for row in rows]


@pytest.fixture(scope="module")
async def installed(folder: Path) -> AsyncIterator[Installation]:
    archive = folder / "archive"
    settings = {
        "wal_level": "replica",
        "archive_mode": "on",
        "archive_command": f"cp %p {archive}/%f",
    }
    with EmbeddedPostgres(folder / "postgres", settings) as server:
        here = Installation(folder, server)
        here.prepare()
        await here.found()
        yield here


async def test_a_backup_is_restored_and_verifies(installed: Installation) -> None:
    await installed.form_team("Before the backup")
    installed.run(DUMP)
    await installed.form_team("After the backup")
    said = installed.run(RESTORE)
    assert "live == rebuilt" in said, said
    restored = await installed.teams(installed.server.url("okr_restored"))
    assert restored[-1] == "Before the backup"
    assert (await installed.teams(installed.url))[-1] == "After the backup"
    # What is restored can be written to, and its free text read.
    async with as_owner(installed.server.url("okr_restored")) as conn:
        assert await conn.fetchval("SELECT count(*) FROM text_keys") == 1


async def test_a_moment_is_gone_back_to(installed: Installation) -> None:
    installed.run(BASE)
    await installed.form_team("Just before")
    moment = await installed.now()
    await asyncio.sleep(0.05)
    await installed.form_team("The mistake")
    await installed.switch_log()
    installed.run(RECOVER, MOMENT=moment)
    async with installed.recovered() as url:
        names = await installed.teams(url)
        assert names[-1] == "Just before"
        assert "live == rebuilt" in installed.run("okr verify", DATABASE_URL=url)


async def test_an_upgrade_leaves_what_was_there(installed: Installation) -> None:
    before = await installed.teams(installed.url)
    said = installed.run(UPGRADE)
    assert "live == rebuilt" in said, said
    assert await installed.teams(installed.url) == before


async def test_an_operators_key_is_rotated(installed: Installation) -> None:
    async with as_owner(installed.url) as owner:
        old = await keys.make_operator(owner, uuid7())
    new = re.search(r"okr_live_\w+", installed.run(ROTATE))
    assert new is not None
    pool = await open_pool(installed.url)
    try:
        assert await keys.Keys(pool).caller(old) is None
        caller = await keys.Keys(pool).caller(new[0])
        assert caller is not None
        assert caller.is_operator
    finally:
        await pool.close()


def test_every_command_on_the_page_is_run() -> None:
    assert PAGE.count("```sh") == len(STEPS) == 6
