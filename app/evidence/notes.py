"""Signed notes and checkpoints, in the formats of C2SP (signed-note, tlog-checkpoint).

A note is text and the signatures under it, readable by people and by the tools of transparency
logs. A checkpoint is a note that commits to a ledger: its origin, its size and its root.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+]+")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+=*)")


class NotANote(ValueError):
    """This is no note of the kind expected; the message says where it goes wrong."""


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise NotANote(f"{what} is not base64") from error


def _key_hash(name: str, public: bytes) -> bytes:
    """The 4 bytes that tell keys of one name apart."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


# Keys -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name that signs: `name+hash+key` as text."""

    name: str
    public: bytes

    def __str__(self) -> str:
        hashed = _key_hash(self.name, self.public).hex()
        return f"{self.name}+{hashed}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises NotANote."""
        name, _, rest = text.strip().partition("+")
        hashed, _, encoded = rest.partition("+")
        key = _base64(encoded, "the key")
        if not _NAME.fullmatch(name) or key[:1] != _ED25519 or len(key) != 33:
            raise NotANote("a verifier key reads `name+hash+key`, of an Ed25519 key")
        if _key_hash(name, key[1:]).hex() != hashed:
            raise NotANote("the hash of the verifier key is not that of its name and key")
        return cls(name, key[1:])

    def verifies(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its name: `PRIVATE+KEY+name+hash+key` as text. Keep it secret."""

    name: str
    private: bytes

    @classmethod
    def make(cls, name: str) -> Self:
        """A fresh key. Raises NotANote for a name with white space or a plus sign."""
        if not _NAME.fullmatch(name):
            raise NotANote("the name of a key has neither white space nor a plus sign")
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    def __repr__(self) -> str:
        return f"SigningKey({self.name})"

    def to_text(self) -> str:
        hashed = _key_hash(self.name, self.verifier.public).hex()
        encoded = base64.b64encode(_ED25519 + self.private).decode()
        return f"PRIVATE+KEY+{self.name}+{hashed}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises NotANote."""
        private, word, name, hashed, *rest = [*text.strip().split("+", 4), "", "", "", ""]
        key = _base64(rest[0], "the key")
        if (private, word) != ("PRIVATE", "KEY") or key[:1] != _ED25519 or len(key) != 33:
            raise NotANote("a signing key reads `PRIVATE+KEY+name+hash+key`, of an Ed25519 key")
        made = cls(name, key[1:])
        if not _NAME.fullmatch(name) or _key_hash(name, made.verifier.public).hex() != hashed:
            raise NotANote("the hash of the signing key is not that of its name and key")
        return made

    @property
    def verifier(self) -> VerifierKey:
        private = Ed25519PrivateKey.from_private_bytes(self.private)
        return VerifierKey(self.name, private.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """The note: the text, which ends with a line break, and the signature under it."""
        if not text.endswith("\n"):
            raise NotANote("the text of a note ends with a line break")
        signature = Ed25519PrivateKey.from_private_bytes(self.private).sign(text.encode())
        hashed = _key_hash(self.name, self.verifier.public)
        return f"{text}\n— {self.name} {base64.b64encode(hashed + signature).decode()}\n"


def text_of(note: str) -> str:
    """The text of a note, whoever signed it. Raises NotANote."""
    text, separator, signatures = note.rpartition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise NotANote("a note is a text, an empty line and signatures")
    return text + "\n"


def open_note(note: str, key: VerifierKey) -> str:
    """The text of a note that this key signed. Raises NotANote.

    Signatures by others are left alone: witnesses may add theirs.
    """
    text = text_of(note)
    signatures = note[len(text) + 1 :]
    known = _key_hash(key.name, key.public)
    for line in signatures[:-1].split("\n"):
        found = _SIGNATURE.fullmatch(line)
        if found is None:
            raise NotANote(f"this is no signature: {line[:80]!r}")
        signature = _base64(found["signature"], "a signature")
        if found["name"] != key.name or signature[:4] != known:
            continue
        if key.verifies(text, signature[4:]):
            return text
        raise NotANote(f"the signature by {key.name} does not fit the text")
    raise NotANote(f"there is no signature by {key}")


# Checkpoints ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a ledger was: of this origin, with so many events, under this root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def to_text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises NotANote. Lines beyond the third are extensions, and mean nothing here."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not lines[0] or not _DECIMAL.fullmatch(lines[1]):
            raise NotANote("a checkpoint has an origin, a size and a root, each on a line")
        root = _base64(lines[2], "the root")
        if len(root) != 32:
            raise NotANote("the root of a checkpoint has 32 bytes")
        return cls(lines[0], int(lines[1]), root)
