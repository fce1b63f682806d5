"""An auditor's day: what they took home is all that they have, and nobody is there to ask."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.evidence.merkle import is_consistent
from app.evidence.notes import Checkpoint, VerifierKey, open_note
from tests.api.programme import Json
from tests.server import environment, run, serve, stop

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "quarter.json"
NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
"""In place of a database: whoever asked for one would fail."""


@dataclass(frozen=True)
class Taken:
    """What was taken home, in a folder; the server is gone."""

    folder: Path
    base: str
    key: str
    proof: Json
    """That the ledger of the second checkpoint grew out of the first one's."""
    objectives: list[Json]
    """What the server showed of the ledger of the first checkpoint."""


def _done(folder: Path, *arguments: str | Path) -> str:
    status, said = run(folder, *arguments)
    assert status == 0, said
    return said


@pytest.fixture(scope="module")
def taken(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """An organisation's quarter, and what an auditor's key gets of it over HTTP."""
    home = tmp_path_factory.mktemp("home")
    said = _done(folder, "import", EXAMPLE)
    ((org, cycle),) = re.findall(r"Organisation (\S+), cycle (\S+),", said)
    (operator,) = re.findall(r"okr_live_\w{38}", _done(folder, "operator-key"))
    server, base = serve(folder)
    try:
        with _client(base, org, operator) as client:
            person = client.post("/people", json={"name": "Ida Lind"}).json()
            client.put(f"/people/{person['id']}/roles/auditor", json={"reason": "Audit."})
            body = {"name": "Audit", "scopes": ["read", "history:read"], "person_id": person["id"]}
            own = client.post("/api-keys", json=body).json()["key"]
            with _client(base, org, own) as auditor:
                _keep(auditor, "/ledger/checkpoint", home / "first.checkpoint")
                size = _size(home / "first.checkpoint")
                for name in ("Archive", "Harbour"):
                    client.post("/teams", json={"name": name}).raise_for_status()
                _keep(auditor, "/ledger/checkpoint", home / "second.checkpoint")
                _keep(auditor, "/ledger/export", home / "ledger.ndjson")
                _keep(auditor, f"/ledger/export?cycle_id={cycle}", home / "cycle.ndjson")
                key = auditor.get("/ledger/checkpoints").json()["verifier_key"]
                proof = auditor.get("/ledger/proofs/consistency", params={"from": size}).json()
                asked = {"as_of": size, "page_size": 500}
                objectives = auditor.get("/objectives", params=asked).json()["items"]
    finally:
        assert stop(server, signal.SIGTERM) == 0
    return Taken(home, base, key, proof, objectives)


def _client(base: str, org: str, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"{base}/v1/organizations/{org}",
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )


def _keep(client: httpx.Client, path: str, file: Path) -> None:
    with client.stream("GET", path) as answer, file.open("wb") as out:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            out.write(part)


def _size(note: Path) -> int:
    return int(note.read_text().splitlines()[1])


def _audit(taken: Taken, *arguments: str | Path, at: Path | None = None) -> tuple[int, str]:
    """`okr audit`, where there is neither a server nor a database."""
    with pytest.raises(httpx.ConnectError):
        httpx.get(taken.base)
    done = run(at or taken.folder, "audit", *arguments, **NOWHERE)
    assert not (taken.folder / ".okr").exists(), "it made a database of its own"
    return done


# What holds -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ledger.ndjson", "cycle.ndjson"])
def test_what_was_taken_home_holds(taken: Taken, name: str) -> None:
    status, said = _audit(taken, name, "--key", taken.key)
    assert status == 0, said
    assert "Nothing was altered." in said
    assert re.search(r"[1-9]\d* scores recomputed", said)


def test_the_ledger_grew_out_of_both_checkpoints(taken: Taken) -> None:
    earlier = ("--earlier", "first.checkpoint", "--earlier", "second.checkpoint")
    status, said = _audit(taken, "ledger.ndjson", "--key", taken.key, *earlier)
    assert status == 0, said


def test_two_checkpoints_are_held_to_each_other_without_the_ledger(taken: Taken) -> None:
    key = VerifierKey.parse(taken.key)
    first, second = (
        Checkpoint.parse(open_note((taken.folder / f"{name}.checkpoint").read_text(), key))
        for name in ("first", "second")
    )
    assert first.size < second.size
    proof = [base64.b64decode(one, validate=True) for one in taken.proof["proof"]]
    assert is_consistent(first.size, second.size, proof, first.root, second.root)
    assert not is_consistent(first.size, second.size, proof, second.root, first.root)
    assert not is_consistent(first.size, second.size, proof[1:], first.root, second.root)


# What does not ----------------------------------------------------------------------------


def _position(line: str) -> int:
    return int(json.loads(line)["event"]["position"])


def _altered(lines: list[str], at: int) -> str:
    position = _position(lines[at])
    lines[at] = lines[at].replace('"actor":"', '"actor":"x', 1)
    return f"event {position} was altered"


def _dropped(lines: list[str], at: int) -> str:
    return f"event {_position(lines.pop(at))} is missing"


def _added(lines: list[str], at: int) -> str:
    """With a position that was never given out, in place of the end's."""
    end = len(lines) - 1
    more = json.loads(lines[end - 1])
    more["event"]["position"] += 1
    lines.insert(end, json.dumps(more) + "\n")
    return f"event {more['event']['position']} was altered"


def _reordered(lines: list[str], at: int) -> str:
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return f"event {_position(lines[at + 1])} stands after event {_position(lines[at])}"


def _truncated(lines: list[str], at: int) -> str:
    del lines[at:]
    return "it breaks off"


def _cut_in_a_line(lines: list[str], at: int) -> str:
    lines[at:] = [lines[at][:50]]
    return f"line {at + 1} cannot be read"


@pytest.mark.parametrize(
    "tamper", [_altered, _dropped, _added, _reordered, _truncated, _cut_in_a_line]
)
def test_a_copy_that_was_tampered_with_is_told_and_where(
    taken: Taken, tmp_path: Path, tamper: Callable[[list[str], int], str]
) -> None:
    lines = (taken.folder / "ledger.ndjson").read_text().splitlines(keepends=True)
    events = [n for n, line in enumerate(lines) if line.startswith('{"event"')]
    told = tamper(lines, events[len(events) // 2])
    (tmp_path / "copy.ndjson").write_text("".join(lines))
    status, said = _audit(taken, "copy.ndjson", "--key", taken.key, at=tmp_path)
    assert status == 1
    assert told in said


def test_a_signature_by_another_key_is_told(taken: Taken, tmp_path: Path) -> None:
    name = taken.key.partition("+")[0]
    (other,) = re.findall(rf"{re.escape(name)}\+\w{{8}}\+\S+", _done(tmp_path, "signing-key", name))
    status, said = _audit(taken, "ledger.ndjson", "--key", other)
    assert status == 1
    assert "no signature by" in said


def test_a_checkpoint_that_says_something_else_is_no_checkpoint(taken: Taken) -> None:
    note = (taken.folder / "first.checkpoint").read_text().splitlines(keepends=True)
    note[1] = f"{int(note[1]) - 1}\n"
    forged = taken.folder / "forged.checkpoint"
    forged.write_text("".join(note))
    status, said = _audit(taken, "ledger.ndjson", "--key", taken.key, "--earlier", forged)
    assert status == 1
    assert "Nothing was altered" not in said


# Looking back -----------------------------------------------------------------------------


def test_a_moment_is_replayed_from_the_file_alone(taken: Taken) -> None:
    size = _size(taken.folder / "first.checkpoint")

    def replayed(moment: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "replay.py", "ledger.ndjson", moment],
            cwd=taken.folder,
            env=environment(PYTHONPATH=str(ROOT), **NOWHERE),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout.splitlines()

    heading, *lines = replayed(str(size))
    moment = re.fullmatch(rf"Event {size}, recorded at (\S+):", heading)
    assert moment is not None
    assert [line for line in lines if not line.startswith(" ")] == [
        f"{one['title']} ({one['status']})" for one in taken.objectives
    ]
    told = re.findall(r"progress (\S+?)(?:,|$)", "\n".join(lines), re.MULTILINE)
    shown = [part["progress"] for one in taken.objectives for part in one["key_results"]]
    assert [None if one == "None" else round(float(one), 4) for one in told] == [
        None if one is None else round(one, 4) for one in shown
    ]
    assert replayed(moment[1]) == [heading, *lines]
    assert replayed("1")[0].startswith("Event 1, ")
