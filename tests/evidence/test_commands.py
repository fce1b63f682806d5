"""An auditor's day at a shell: a checkpoint kept, a bundle checked where there is no server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.server import imported, run

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "quarter.json"


@pytest.fixture(scope="module")
def exported(folder: Path) -> tuple[str, str]:
    """A ledger in an embedded database, exported with its cycle beside it: org, verifier key."""
    status, said = run(folder, "import", EXAMPLE)
    assert status == 0, said
    org, cycle = re.findall(r"Organisation (\S+), cycle (\S+),", said)[0]
    status, note = run(folder, "checkpoint")
    assert status == 0, note
    (folder / "kept.txt").write_text(note[note.index("okr-ledger.localhost") :].rstrip("\n") + "\n")
    for name, more in (("ledger.ndjson", ()), ("cycle.ndjson", ("--cycle", cycle))):
        status, said = run(folder, "export", org, name, *more)
        assert status == 0, said
    line = (folder / "ledger.ndjson").read_text().splitlines()[0]
    key = re.search(r'"verifier_key":"([^"]+)"', line)
    assert key is not None
    return org, key[1]


def _elsewhere(tmp_path: Path, folder: Path, *names: str) -> Path:
    """A place that knows no server and no database, with copies of these files."""
    for name in names:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", ["ledger.ndjson", "cycle.ndjson"])
def test_a_bundle_is_checked_where_there_is_nothing_else(
    exported: tuple[str, str], folder: Path, tmp_path: Path, name: str
) -> None:
    _, key = exported
    here = _elsewhere(tmp_path, folder, name)
    status, said = run(here, "audit", name, "--key", key)
    assert status == 0, said
    assert "Nothing was altered." in said
    assert re.search(r"[1-9]\d* scores recomputed", said)
    assert not (here / ".okr").exists(), "it took neither a database nor a key of its own"


@pytest.mark.parametrize("name", ["ledger.ndjson", "cycle.ndjson"])
def test_an_audit_takes_in_nothing_of_a_server_or_a_database(
    exported: tuple[str, str], folder: Path, name: str
) -> None:
    found = imported(folder, "audit", name)
    assert {"pydantic", "cryptography"} <= found
    servers = {"fastapi", "starlette", "uvicorn", "httpx"}
    assert not found & (servers | {"asyncpg", "sqlalchemy", "sqlmodel", "alembic"})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("{}", "its first lines do not say what it is"), ("nonsense", "line 1 cannot be read")],
)
def test_what_is_no_bundle_is_said_in_a_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "ledger.ndjson").write_text(text)
    for command in ("audit", "restore"):
        status, said = run(tmp_path, command, "ledger.ndjson")
        assert status == 1
        assert complaint in said


def test_a_ledger_is_held_to_a_checkpoint_that_was_kept(
    exported: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    here = _elsewhere(tmp_path, folder, "ledger.ndjson", "kept.txt")
    status, said = run(here, "audit", "ledger.ndjson", "--earlier", "kept.txt")
    assert status == 0, said
    assert "--key" in said, "whose key it was is not known"
    status, said = run(folder, "verify", "--checkpoint", "kept.txt")
    assert status == 0, said


def test_tampering_is_named_and_ends_with_1(
    exported: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    _, key = exported
    here = _elsewhere(tmp_path, folder, "ledger.ndjson")
    bundle = here / "ledger.ndjson"
    bundle.write_text(bundle.read_text().replace('"actor":"operator/cli"', '"actor":"x"', 1))
    status, said = run(here, "audit", "ledger.ndjson", "--key", key)
    assert status == 1
    assert "event 1 was altered" in said


def test_a_bundle_is_taken_in_by_an_empty_installation_and_verifies(
    exported: tuple[str, str], folder: Path
) -> None:
    org, _ = exported
    fresh = folder / "fresh"
    fresh.mkdir()
    status, said = run(fresh, "restore", folder / "ledger.ndjson")
    assert status == 0, said
    status, said = run(fresh, "verify")
    assert status == 0, said
    assert f"{org}: " in said
    status, said = run(fresh, "restore", folder / "ledger.ndjson")
    assert status == 1
    assert "here already" in said


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (("audit", "missing.ndjson"), "cannot be read"),
        (("audit", "ledger.ndjson", "--key", "no key"), "verifier key reads"),
        (("audit", "ledger.ndjson", "--key", "x+00000000+AAAA"), "verifier key"),
        (("audit", "kept.txt"), "line 1 cannot be read"),
        (("audit", "ledger.ndjson", "--earlier", "missing.txt"), "cannot be read"),
        (("audit", "ledger.ndjson", "--earlier", "ledger.ndjson"), "a note is"),
        (("signing-key", "two words"), "cannot be a key's name"),
        (("signing-key", "name", "--file", "kept.txt"), "is there already"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    exported: tuple[str, str], folder: Path, tmp_path: Path, arguments: tuple[str, ...], saying: str
) -> None:
    here = _elsewhere(tmp_path, folder, "ledger.ndjson", "kept.txt")
    status, said = run(here, *arguments)
    assert status == 1
    assert saying in said, said


def test_a_signing_key_is_made_with_the_key_that_verifies_it(tmp_path: Path) -> None:
    status, said = run(tmp_path, "signing-key", "ledger.example.org")
    assert status == 0, said
    assert re.search(r"ledger\.example\.org\+[0-9a-f]{8}\+A", said)
    assert (tmp_path / "signing.key").read_text().startswith("PRIVATE+KEY+ledger.example.org+")
