"""Evidence as it is shown: checkpoints and proofs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from app.application import evidence
from app.application.evidence import NoSigningKey, Signed
from app.application.ledgers import OutsideLedger, Reader
from app.evidence.merkle import consistency_proof, inclusion_proof, root
from app.evidence.notes import SigningKey
from app.queries.views import View


class CheckpointView(View):
    """What the ledger was at a size: the root of its Merkle tree (base64, 32 bytes), signed.

    `note` is a signed note as transparency logs write them (C2SP tlog-checkpoint). Whoever keeps it
    can prove later that nothing up to `size` was altered.
    """

    size: int = Field(description="So many events; the position of the last.")
    root: str
    note: str
    made_at: datetime | None = Field(description="Null where it was not kept here.")


class CheckpointsView(View):
    """Those that were kept, smallest first, and the key that verifies their signatures."""

    verifier_key: str | None
    items: list[CheckpointView]


class InclusionView(View):
    """That an event is in the ledger of a size (RFC 9162, 2.1.3): hashes in base64."""

    position: int
    size: int
    leaf_hash: str
    root: str
    proof: list[str]


class ConsistencyView(View):
    """That the ledger of size `to` begins with that of size `from_size` (RFC 9162, 2.1.4)."""

    from_size: int
    to: int
    from_root: str
    to_root: str
    proof: list[str]


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def checkpoint_view(signed: Signed) -> CheckpointView:
    made = signed.checkpoint
    return CheckpointView(
        size=made.size, root=_text(made.root), note=signed.note, made_at=signed.made_at
    )


async def checkpoints(reader: Reader, key: SigningKey | None) -> CheckpointsView:
    kept = await evidence.kept_checkpoints(reader.conn, reader.org_id)
    return CheckpointsView(
        verifier_key=None if key is None else str(key.verifier),
        items=[checkpoint_view(one) for one in kept],
    )


async def checkpoint(reader: Reader, key: SigningKey | None) -> str:
    """A signed note of the ledger at the moment shown. Raises NoSigningKey."""
    if key is None:
        raise NoSigningKey
    return await evidence.checkpoint(reader.conn, reader.org_id, reader.position, key)


def _within(reader: Reader, name: str, size: int | None) -> int:
    """A size of the ledger, by default what it is now. Raises OutsideLedger."""
    if size is None:
        return reader.position
    if size > reader.position:
        raise OutsideLedger(
            f"{name} must be at most {reader.position}, the ledger's head.", pointer=name
        )
    return size


async def inclusion(reader: Reader, asked: int | None, size: int | None) -> InclusionView:
    """Raises OutsideLedger."""
    upto = _within(reader, "size", size)
    position = upto if asked is None else asked
    if position > upto:
        raise OutsideLedger(f"position must be at most {upto}.", pointer="position")
    leaves = await evidence.leaves(reader.conn, reader.org_id, upto)
    return InclusionView(
        position=position,
        size=upto,
        leaf_hash=_text(leaves[position - 1]),
        root=_text(root(leaves)),
        proof=_texts(inclusion_proof(leaves, position - 1)),
    )


async def consistency(reader: Reader, earlier: int, later: int | None) -> ConsistencyView:
    """Raises OutsideLedger."""
    upto = _within(reader, "to", later)
    if earlier > upto:
        raise OutsideLedger(f"from must be at most {upto}.", pointer="from")
    leaves = await evidence.leaves(reader.conn, reader.org_id, upto)
    return ConsistencyView(
        from_size=earlier,
        to=upto,
        from_root=_text(root(leaves[:earlier])),
        to_root=_text(root(leaves)),
        proof=_texts(consistency_proof(leaves, earlier)),
    )


def _texts(hashes: Sequence[bytes]) -> list[str]:
    return [_text(one) for one in hashes]
