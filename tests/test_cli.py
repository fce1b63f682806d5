"""`okr` as a person runs it: processes of its own, on an embedded Postgres of their own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest

from app import __version__
from app.embedded import EmbeddedPostgres
from tests.server import imported, run, serve, stop

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "quarter.json"


def _postgres_runs(folder: Path) -> bool:
    return (folder / ".okr" / "postgres" / "postmaster.pid").exists()


def test_serve_shows_the_way_to_the_demonstrations_tree_and_keeps_it(folder: Path) -> None:
    server, base = serve(folder, "--demo")
    said = (folder / "out").read_text()
    assert f"Documentation: {base}/docs" in said
    assert re.search(r"shown only now: okr_live_\w{38}", said)
    curl = next(line.strip() for line in said.splitlines() if "curl" in line)
    words = dict(line.split("=", 1) for line in (folder / ".okr/demo.env").read_text().split())
    assert "$OKR/cycles/$CYCLE/tree" in curl
    assert (folder / ".okr/demo.env").stat().st_mode & 0o077 == 0
    shown = httpx.get(
        f"{words['OKR']}/cycles/{words['CYCLE']}/tree",
        headers={"Authorization": f"Bearer {words['OKR_KEY']}"},
    )
    assert shown.status_code == 200
    assert shown.json()["summary"]["levels"] >= 3
    assert stop(server, signal.SIGTERM) == 0
    assert not _postgres_runs(folder)

    # Again, on another port: no new key, and the note leads to the same tree.
    server, base = serve(folder, "--demo")
    assert "shown only now" not in (folder / "out").read_text()
    again = dict(line.split("=", 1) for line in (folder / ".okr/demo.env").read_text().split())
    assert (again["OKR_KEY"], again["CYCLE"]) == (words["OKR_KEY"], words["CYCLE"])
    assert again["OKR"].startswith(base)
    kept = httpx.get(
        f"{again['OKR']}/cycles/{again['CYCLE']}/tree",
        headers={"Authorization": f"Bearer {again['OKR_KEY']}"},
    )
    assert kept.json()["cycle"]["id"] == words["CYCLE"]
    assert kept.json()["summary"]["objectives"] == shown.json()["summary"]["objectives"]
    assert stop(server, signal.SIGINT) == 0
    assert not _postgres_runs(folder)


_HEAVY = {
    *("alembic", "asyncpg", "cryptography", "fastapi", "httpx", "sqlalchemy", "sqlmodel"),
    *("starlette", "uvicorn"),
}
"""What takes most of the time until a command begins, each with all that it brings along.

Typer takes in Pydantic by itself.
"""


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("--help", set()),
        ("--version", set()),
        ("version", set()),
        ("check-in --help", set()),
        ("import --help", set()),
        ("webhooks listen --help", set()),
        ("signing-key okr.example.org", {"cryptography"}),
    ],
)
def test_a_command_takes_in_only_what_it_needs(
    tmp_path: Path, command: str, needed: set[str]
) -> None:
    found = imported(tmp_path, *command.split())
    assert "typer" in found
    assert found & _HEAVY == needed


def test_the_version_is_said_in_both_ways(tmp_path: Path) -> None:
    for command in ("version", "--version"):
        assert run(tmp_path, command) == (0, f"{__version__}\n")


def test_import_counts_what_it_made_and_verify_agrees(folder: Path) -> None:
    status, said = run(folder, "import", EXAMPLE, "--dry-run")
    assert status == 0
    assert "Dry run: nothing recorded" in said

    status, said = run(folder, "import", EXAMPLE)
    assert status == 0
    assert re.search(r"objectives\s+│ 3\s+│ 3\s+│ 0", said), said
    position = re.findall(r"ledger position (\d+)", said)

    status, said = run(folder, "import", EXAMPLE)
    assert status == 0
    assert re.search(r"objectives\s+│ 3\s+│ 0\s+│ 3", said), said
    assert re.findall(r"ledger position (\d+)", said) == position

    status, said = run(folder, "rebuild")
    assert status == 0
    assert f"rebuilt from {position[0]} events" in said
    status, said = run(folder, "verify")
    assert status == 0
    assert "live == rebuilt" in said
    assert "live != rebuilt" not in said


def test_what_cannot_be_imported_is_said_in_a_line_each(folder: Path) -> None:
    broken = folder / "broken.json"
    broken.write_bytes(EXAMPLE.read_bytes()[:-20])
    status, said = run(folder, "import", broken)
    assert (status, said.count("\n")) == (1, 1)
    assert "Invalid JSON" in said

    broken.write_text(EXAMPLE.read_text().replace('"owner": "web"', '"proprietor": "web"'))
    status, said = run(folder, "import", broken)
    assert status == 1
    assert "/owner: Field required" in said

    status, said = run(folder, "import", "nowhere.json")
    assert (status, said) == (1, "nowhere.json cannot be read: No such file or directory.\n")


def test_a_refused_item_makes_the_import_exit_with_2(folder: Path) -> None:
    odd = folder / "odd.json"
    odd.write_text(EXAMPLE.read_text().replace('"owner": "web"', '"owner": "moon"'))
    status, said = run(folder, "import", odd, "--dry-run", OKR_DATA_DIR=".okr-odd")
    assert status == 2
    assert "The document has no owner 'moon'" in said


_NOWHERE = {"DATABASE_URL": "postgresql://okr@127.0.0.1:1/okr"}


@pytest.mark.parametrize(
    ("command", "settings", "complaint"),
    [
        ("serve", {"OKR_PORT": "many"}, "OKR_PORT: Input should be a valid integer"),
        ("serve", {"DATABASE_URL": "nonsense"}, "cannot be reached: invalid DSN"),
        ("serve", _NOWHERE, "cannot be reached"),
        ("migrate", _NOWHERE, "cannot be reached"),
        ("verify", _NOWHERE, "cannot be reached"),
    ],
)
def test_settings_that_do_not_work_are_named(
    folder: Path, command: str, settings: dict[str, str], complaint: str
) -> None:
    status, said = run(folder, command, **settings)
    assert status == 1
    assert complaint in said
    assert said.count("\n") == 1


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, said = run(folder, "serve", "--port", port)
    assert status == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in said
    assert not _postgres_runs(folder)


def test_a_database_is_never_migrated_unasked(cluster: EmbeddedPostgres, folder: Path) -> None:
    psql = [str(EmbeddedPostgres.binary("psql")), cluster.url("postgres"), "--quiet", "--command"]
    for statement in (
        "DROP DATABASE IF EXISTS okr_cli",
        "CREATE DATABASE okr_cli",
        "ALTER DATABASE okr_cli SET synchronous_commit = off",
    ):
        subprocess.run([*psql, statement], check=True, timeout=30)
    owner = {"DATABASE_URL": cluster.url("okr_cli"), "OKR_ALLOW_UNDURABLE_DATABASE": "true"}

    status, said = run(folder, "serve", **owner)
    assert status == 1
    assert "run `okr migrate`" in said

    status, said = run(folder, "migrate", **owner)
    assert status == 0
    assert re.search(r"shown only now: okr_live_\w{38}", said)
    status, said = run(folder, "migrate", **owner)
    assert status == 0
    assert "shown only now" not in said
    assert re.search(r"okr_live_\w{38}", run(folder, "operator-key", **owner)[1])

    status, said = run(folder, "import", EXAMPLE, **owner)
    assert status == 0
    status, said = run(folder, "verify", **owner)
    assert "live == rebuilt" in said

    status, said = run(folder, "serve", DATABASE_URL=owner["DATABASE_URL"])
    assert status == 1
    assert "is off, so acknowledged writes could be lost" in said
