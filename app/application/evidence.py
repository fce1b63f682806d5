"""Checkpoints of a ledger, and proofs from the hashes of its events.

The tree is over the events' leaf hashes, in ledger order: an append needs no earlier hash, and the
root is computed beside the write path.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.errors import Refusal
from app.events import store
from app.events.statements import Connection
from app.evidence.merkle import Frontier
from app.evidence.notes import Checkpoint, SigningKey, text_of


class NoSigningKey(Refusal):
    """The server was given no key to sign with."""

    name = "no-signing-key"

    def __init__(self) -> None:
        super().__init__(
            "This server signs no checkpoints: make a key (`okr signing-key NAME`), and name its "
            "file in OKR_SIGNING_KEY_FILE."
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint as it was signed, and when."""

    checkpoint: Checkpoint
    note: str
    made_at: datetime


def origin(key_name: str, org_id: UUID) -> str:
    """What tells the ledgers of one signer apart."""
    return f"{key_name}/{org_id}"


async def frontier_at(conn: Connection, org_id: UUID, size: int) -> Frontier:
    """The tree over the first `size` events, from the last checkpoint before on."""
    kept = await conn.fetchrow(
        "SELECT size, frontier FROM checkpoints WHERE org_id = $1 AND size <= $2 "
        "ORDER BY size DESC LIMIT 1",
        org_id,
        size,
    )
    frontier = Frontier.from_bytes(kept["size"], kept["frontier"]) if kept else Frontier()
    async for leaf in store.read_leaf_hashes(conn, org_id, after=frontier.size, up_to=size):
        frontier.add(leaf)
    return frontier


async def checkpoint(conn: Connection, org_id: UUID, size: int, key: SigningKey) -> str:
    """A signed note of what the ledger was at a size."""
    return key.sign(_stated(await frontier_at(conn, org_id, size), org_id, key).to_text())


def _stated(frontier: Frontier, org_id: UUID, key: SigningKey) -> Checkpoint:
    return Checkpoint(origin(key.name, org_id), frontier.size, frontier.root())


async def keep_checkpoint(
    conn: Connection, org_id: UUID, size: int, key: SigningKey, at: datetime
) -> Signed:
    """Sign a checkpoint and keep it; the one that was kept of this size before, where there is one.

    The ledger's lock is held.
    """
    for signed in await kept_checkpoints(conn, org_id):
        if signed.checkpoint.size == size:
            return signed
    frontier = await frontier_at(conn, org_id, size)
    made = _stated(frontier, org_id, key)
    note = key.sign(made.to_text())
    await conn.execute(
        "INSERT INTO checkpoints (org_id, size, root, frontier, note, made_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        org_id,
        size,
        made.root,
        frontier.to_bytes(),
        note,
        at,
    )
    return Signed(made, note, at)


async def kept_notes(conn: Connection, org_id: UUID) -> list[tuple[str, datetime]]:
    """The notes of all checkpoints that were kept, smallest first, and when they were."""
    rows = await conn.fetch(
        "SELECT note, made_at FROM checkpoints WHERE org_id = $1 ORDER BY size", org_id
    )
    return [(row["note"], row["made_at"]) for row in rows]


async def kept_checkpoints(conn: Connection, org_id: UUID) -> list[Signed]:
    """What was signed in them. Raises NotANote for what cannot have been."""
    return [
        Signed(Checkpoint.parse(text_of(note)), note, made_at)
        for note, made_at in await kept_notes(conn, org_id)
    ]


async def leaves(conn: Connection, org_id: UUID, size: int) -> list[bytes]:
    """The hashes of the first `size` events: 32 MB for a million."""
    return [leaf async for leaf in store.read_leaf_hashes(conn, org_id, up_to=size)]
