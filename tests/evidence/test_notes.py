"""Signed notes are those of the published format, and what was altered does not open."""

from __future__ import annotations

import base64

import pytest

from app.evidence.notes import Checkpoint, NotANote, SigningKey, VerifierKey, open_note

# The example of the format's own description (Go's golang.org/x/mod/sumdb/note).
GO_KEY = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqd"
    "ngotpRZb6KE6RyyBwJnAM=\n"
)

KEY = SigningKey("ledger.example.org/okr", bytes(range(32)))
IMPOSTOR = SigningKey(KEY.name, b"i" * 32)
OTHER = SigningKey("another", b"o" * 32)
CHECKPOINT = Checkpoint("ledger.example.org/okr/1", 927, b"\x07" * 32)
NOTE = KEY.sign(CHECKPOINT.to_text())


def test_a_note_signed_by_another_program_opens() -> None:
    assert open_note(GO_NOTE, GO_KEY).startswith("If you think cryptography")


def test_a_checkpoint_survives_being_signed_opened_and_read() -> None:
    assert Checkpoint.parse(open_note(NOTE, KEY.verifier)) == CHECKPOINT


def test_keys_survive_being_written_down() -> None:
    assert SigningKey.parse(KEY.to_text() + "\n") == KEY
    assert VerifierKey.parse(str(KEY.verifier)) == KEY.verifier
    assert "PRIVATE" not in repr(KEY)


def test_signatures_of_witnesses_are_left_alone() -> None:
    witness = SigningKey.make("witness.example.org")
    text = CHECKPOINT.to_text()
    both = NOTE + witness.sign(text).removeprefix(text + "\n")
    assert open_note(both, KEY.verifier) == open_note(both, witness.verifier) == text


@pytest.mark.parametrize(
    ("note", "saying"),
    [
        (NOTE.replace("927", "928"), "does not fit"),
        (NOTE.replace("\n\n", "\nmore\n\n"), "does not fit"),
        (NOTE.replace("ledger.example.org/okr/1\n", "ledger.example.org/okr/2\n"), "does not fit"),
        (NOTE.rstrip("\n"), "empty line and signatures"),
        (CHECKPOINT.to_text(), "empty line and signatures"),
        (CHECKPOINT.to_text() + "\n", "empty line and signatures"),
        (NOTE.replace("— ", "- "), "no signature"),
        (IMPOSTOR.sign(CHECKPOINT.to_text()), "no signature by"),
        (OTHER.sign(CHECKPOINT.to_text()), "no signature by"),
    ],
)
def test_what_was_altered_does_not_open(note: str, saying: str) -> None:
    with pytest.raises(NotANote, match=saying):
        open_note(note, KEY.verifier)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+AAAA",
        str(KEY.verifier).replace("+", " "),
        str(KEY.verifier)[:-8],
        str(KEY.verifier).replace("ledger", "Ledger"),
        "name+c74f20a3+not base64",
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NotANote):
        VerifierKey.parse(text)


@pytest.mark.parametrize(
    "text", ["", "PRIVATE+KEY", KEY.to_text()[:-4], KEY.to_text().replace("okr", "OKR"), "+" * 9]
)
def test_what_is_no_signing_key_is_refused(text: str) -> None:
    with pytest.raises(NotANote):
        SigningKey.parse(text)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\nbreak"])
def test_a_name_that_would_not_read_back_is_refused(name: str) -> None:
    with pytest.raises(NotANote):
        SigningKey.make(name)


def _root(count: int) -> str:
    return base64.b64encode(b"x" * count).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        f"origin\n1\n{_root(32)}",
        f"\n1\n{_root(32)}\n",
        f"origin\n01\n{_root(32)}\n",
        f"origin\n-1\n{_root(32)}\n",
        f"origin\n1\n{_root(31)}\n",
        "origin\n1\nno base64!\n",
        f"origin\n{10**20}\n{_root(32)}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NotANote):
        Checkpoint.parse(text)
