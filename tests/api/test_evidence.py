"""Checkpoints and proofs over HTTP, checked as an outsider checks them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from fastapi import FastAPI

from app.config import Settings
from app.events.statements import Connection
from app.evidence.merkle import is_consistent, is_included
from app.evidence.notes import Checkpoint, SigningKey, VerifierKey, open_note
from app.signing import SigningKeyUnfit, make_key_file, signing_key
from tests.api.programme import Api, Json


async def _note(api: Api, **asked: int) -> Checkpoint:
    """The ledger's checkpoint, once its signature was checked."""
    key = VerifierKey.parse((await api.get("/ledger/checkpoints"))["verifier_key"])
    answer = await api.request("GET", "/ledger/checkpoint", params=asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    return Checkpoint.parse(open_note(answer.text, key))


def _hash(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _hashes(found: Json) -> list[bytes]:
    return [_hash(one) for one in found["proof"]]


async def test_a_checkpoint_says_what_the_ledger_is_and_was(api: Api) -> None:
    first = await _note(api)
    await api.one_of_each()
    now = await _note(api)
    assert first.size == 1
    assert now.size == await api.head() > 30
    assert now.origin == f"ledger.example.org/{api.org}"
    assert await _note(api, as_of=1) == first


async def test_every_event_is_proved_to_be_in_the_ledger_that_was_signed(api: Api) -> None:
    await api.one_of_each()
    signed = await _note(api)
    events = (await api.get("/events", page_size=500))["items"]
    for event in events:
        found = await api.get("/ledger/proofs/inclusion", position=event["position"])
        leaf = bytes.fromhex(event["leaf_hash"])
        assert _hash(found["leaf_hash"]) == leaf
        assert is_included(leaf, event["position"] - 1, signed.size, _hashes(found), signed.root)
        other = bytes.fromhex(events[event["position"] % len(events)]["leaf_hash"])
        assert not is_included(
            other, event["position"] - 1, signed.size, _hashes(found), signed.root
        )


async def test_a_ledger_is_proved_to_have_grown_out_of_every_checkpoint_before(api: Api) -> None:
    await api.one_of_each()
    now = await _note(api)
    for size in range(1, now.size + 1):
        before = await _note(api, as_of=size)
        found = await api.get("/ledger/proofs/consistency", **{"from": size})
        assert is_consistent(size, now.size, _hashes(found), before.root, now.root)
        assert (_hash(found["from_root"]), _hash(found["to_root"])) == (before.root, now.root)


async def test_a_checkpoint_that_is_kept_binds_the_ledger_from_then_on(
    api: Api, owner: Connection
) -> None:
    await api.team()
    kept = await api.post("/ledger/checkpoints")
    assert await api.post("/ledger/checkpoints") == kept, "the same size is the same checkpoint"
    before = await api.head()
    await api.team("Sales")
    assert await api.head() == before + 1, "a checkpoint is no event"
    await api.post("/ledger/checkpoints")
    listed = await api.get("/ledger/checkpoints")
    assert [one["size"] for one in listed["items"]] == [before, before + 1]
    assert listed["items"][0] == kept
    assert (await api.get("/ledger:verify"))["identical"]

    # From here on the owner of the tables does what nobody else can.
    await owner.execute("ALTER TABLE checkpoints NO FORCE ROW LEVEL SECURITY")
    try:
        note = SigningKey.make("ledger.example.org").sign(
            Checkpoint(f"ledger.example.org/{api.org}", before, b"x" * 32).to_text()
        )
        await owner.execute(
            "UPDATE checkpoints SET note = $1 WHERE org_id = $2::uuid AND size = $3",
            note,
            api.org,
            before,
        )
    finally:
        await owner.execute("ALTER TABLE checkpoints FORCE ROW LEVEL SECURITY")
    verdict = await api.get("/ledger:verify")
    assert not verdict["identical"]
    assert any("checkpoints" in one for one in verdict["differences"])


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/ledger/proofs/inclusion", {"position": 10**6}, 404),
        ("/ledger/proofs/inclusion", {"position": 1, "size": 10**6}, 404),
        ("/ledger/proofs/inclusion", {"position": 0}, 422),
        ("/ledger/proofs/consistency", {"from": 10**6}, 404),
        ("/ledger/proofs/consistency", {"from": 1, "to": 10**6}, 404),
        ("/ledger/proofs/consistency", {"from": 2**63}, 422),
        ("/ledger/checkpoint", {"as_of": 10**6}, 404),
    ],
)
async def test_what_is_not_in_the_ledger_has_no_proof(
    api: Api, path: str, asked: dict[str, int], status: int
) -> None:
    answer = await api.request("GET", path, params=asked)
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        status,
        "application/problem+json",
    )


async def test_a_server_without_a_key_says_how_to_give_it_one(api: Api, app: FastAPI) -> None:
    kept, app.state.signing_key = app.state.signing_key, None
    try:
        await api.refused("no-signing-key", "GET", "/ledger/checkpoint")
        problem = await api.refused("no-signing-key", "POST", "/ledger/checkpoints")
        assert "OKR_SIGNING_KEY_FILE" in problem["detail"]
        assert (await api.get("/ledger/checkpoints"))["verifier_key"] is None
        assert (await api.get("/ledger/proofs/inclusion", position=1))["size"] == 1
    finally:
        app.state.signing_key = kept


# The key's file ---------------------------------------------------------------------------


def test_a_key_file_is_its_owners_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    key = make_key_file(path, "ledger.example.org")
    assert path.stat().st_mode & 0o777 == 0o600
    assert signing_key(Settings().model_copy(update={"signing_key_file": path})) == key
    with pytest.raises(FileExistsError):
        make_key_file(path, "ledger.example.org")


@pytest.mark.parametrize("content", [b"", b"PRIVATE+KEY+x", b"\xff\xfe", None])
def test_a_file_that_holds_no_key_is_told_at_the_start(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "signing.key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SigningKeyUnfit, match="okr signing-key"):
        signing_key(Settings().model_copy(update={"signing_key_file": path}))
