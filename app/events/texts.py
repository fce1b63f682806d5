"""Free text at rest: sealed with a key of its author's, so that it can be erased.

An event keeps what somebody wrote as AES-256-GCM under a key of the actor who wrote it, and the
event's hash covers the sealed text. Who is erased loses the key: what they wrote reads as `ERASED`
from then on, in the past too, and every hash, fold and score stays what it was.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from app.events.statements import Connection

ERASED = "[erased]"
"""Stands where text was whose key is destroyed."""

# No text that a client may send holds a control character, so none can pass for a sealed one.
_MARK = "\x01"
_SEALED = re.compile(r'"\\u0001([A-Za-z0-9+/]+=*)"')
_NONCE_BYTES, _KEY_BYTES = 12, 32
_NONCES_AT_ONCE = 100

_nonces: list[bytes] = []
# What one process drew is never to be used by another, too.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_nonces.clear)


def _nonce() -> bytes:
    """Random, and used once. The system is asked for many at a time, as that takes long."""
    while True:
        try:
            return _nonces.pop()
        except IndexError:
            drawn = secrets.token_bytes(_NONCE_BYTES * _NONCES_AT_ONCE)
            _nonces.extend(
                drawn[first : first + _NONCE_BYTES] for first in range(0, len(drawn), _NONCE_BYTES)
            )


@dataclass(slots=True)
class Texts:
    """What seals and opens the free text of one organisation, in one transaction.

    `keys` are those that were there when the ledger's `text_keys_version` was read; they are shared
    and never changed. A key made in this transaction stays in it: it may be rolled back.
    """

    org_id: UUID
    keys: dict[str, bytes]
    version: int = 0
    _fresh: dict[str, bytes] = field(default_factory=dict)

    @property
    def version_after(self) -> int:
        """That of the keys when this transaction is committed; each that is made raises it."""
        return self.version + len(self._fresh)

    def key(self, author: str) -> bytes | None:
        return self.keys.get(author) or self._fresh.get(author)

    async def key_for(self, conn: Connection, author: str) -> bytes:
        """The author's key, made now if this is their first word; the ledger's lock is held."""
        known = self.key(author)
        if known is None:
            known = self._fresh[author] = secrets.token_bytes(_KEY_BYTES)
            await conn.execute(
                "INSERT INTO text_keys (org_id, author, key) VALUES ($1, $2, $3)",
                self.org_id,
                author,
                known,
            )
            await _changed(conn, self.org_id)
        return known

    def sealer(self, author: str, key: bytes) -> Callable[[str], str]:
        """What makes sealed text of plain text; no two of it are alike."""
        cipher, context = AESGCM(key), self._context(author)

        def seal(text: str) -> str:
            nonce = _nonce()
            sealed = nonce + cipher.encrypt(nonce, text.encode(), context)
            return _MARK + base64.b64encode(sealed).decode()

        return seal

    def opened(self, author: str, data: str) -> str:
        """Stored JSON with its sealed texts in plain; they read as `ERASED` without the key."""
        if "\\u0001" not in data:
            return data
        key = self.key(author)
        cipher, context = AESGCM(key) if key else None, self._context(author)

        def plain(found: re.Match[str]) -> str:
            if cipher is None:
                return json.dumps(ERASED)
            sealed = base64.b64decode(found[1])
            nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            try:
                return json.dumps(cipher.decrypt(nonce, text, context).decode())
            except InvalidTag:
                # Altered, or of an author whose key was made anew: nobody can tell what it said.
                return json.dumps(ERASED)

        return _SEALED.sub(plain, data)

    def _context(self, author: str) -> bytes:
        return f"{self.org_id} {author}".encode()


class TextKeys:
    """Keys of all organisations, kept between transactions as long as they are those in force."""

    _MOST = 1_000

    def __init__(self) -> None:
        self._kept: dict[UUID, tuple[int, dict[str, bytes]]] = {}

    async def of(self, conn: Connection, org_id: UUID, version: int) -> Texts:
        """The keys as of a version, which this transaction read from the ledger's head."""
        kept = self._kept.get(org_id)
        if kept is None or kept[0] != version:
            rows = await conn.fetch("SELECT author, key FROM text_keys WHERE org_id = $1", org_id)
            kept = version, {row["author"]: row["key"] for row in rows}
            if len(self._kept) >= self._MOST:
                self._kept.clear()
            self._kept[org_id] = kept
        return Texts(org_id, kept[1], version)


async def destroy(conn: Connection, org_id: UUID, author: str) -> None:
    """Destroy an author's key; the ledger's lock is held. What they wrote is gone at the commit."""
    await conn.execute("DELETE FROM text_keys WHERE org_id = $1 AND author = $2", org_id, author)
    await _changed(conn, org_id)


async def _changed(conn: Connection, org_id: UUID) -> None:
    """Have every process read the keys anew."""
    await conn.execute(
        "UPDATE ledgers SET text_keys_version = text_keys_version + 1 WHERE org_id = $1", org_id
    )
