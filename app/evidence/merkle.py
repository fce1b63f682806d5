"""Merkle trees over hashes of leaves (RFC 6962, RFC 9162): roots, proofs, and how to check them.

A leaf's hash is SHA-256 of a zero byte and the leaf, a node's that of a one byte and its two
children. All hashes are 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


# Roots ------------------------------------------------------------------------------------


@dataclass(slots=True)
class Frontier:
    """The perfect subtrees of a growing tree, largest first: all that its next root needs.

    There are as many as one bits in `size`, so that a tree of a million leaves takes 20 hashes.
    """

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def add(self, leaf: bytes) -> None:
        """Append the hash of the next leaf."""
        merging = self.size
        self.size += 1
        self.hashes.append(leaf)
        while merging & 1:
            right = self.hashes.pop()
            self.hashes.append(node_hash(self.hashes.pop(), right))
            merging >>= 1

    def root(self) -> bytes:
        if not self.hashes:
            return EMPTY
        *rest, top = self.hashes
        for left in reversed(rest):
            top = node_hash(left, top)
        return top

    def to_bytes(self) -> bytes:
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, kept: bytes) -> Frontier:
        """Raises ValueError when these are not the subtrees of such a tree."""
        hashes = [kept[i : i + 32] for i in range(0, len(kept), 32)]
        if len(kept) % 32 or len(hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} perfect subtrees")
        return cls(size, hashes)


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over hashes of leaves, in order."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


# Proofs -----------------------------------------------------------------------------------


def _split(count: int) -> int:
    """The largest power of two below a count of two or more."""
    return 1 << (count - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes that lead from one leaf to the root, lowest first. Raises IndexError."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} among {len(leaves)}")
    proof: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(root(leaves[middle:high]))
            high = middle
        else:
            proof.append(root(leaves[low:middle]))
            low = middle
    return proof[::-1]


def inclusion_proofs(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The proof of every leaf, at the cost of the tree and not of a tree for each."""
    proofs: list[list[bytes]] = [[] for _ in leaves]

    def descend(low: int, high: int) -> bytes:
        if high - low == 1:
            return leaves[low]
        middle = low + _split(high - low)
        left, right = descend(low, middle), descend(middle, high)
        for index in range(low, middle):
            proofs[index].append(right)
        for index in range(middle, high):
            proofs[index].append(left)
        return node_hash(left, right)

    if leaves:
        descend(0, len(leaves))
    return proofs


def consistency_proof(leaves: Sequence[bytes], earlier: int) -> list[bytes]:
    """The nodes that show a tree to have grown out of its first `earlier` leaves.

    Raises IndexError. Nothing has to be shown of an empty tree, nor of the same one.
    """
    if not 0 <= earlier <= len(leaves):
        raise IndexError(f"there are {len(leaves)} leaves, not {earlier}")
    if earlier in (0, len(leaves)):
        return []
    proof: list[bytes] = []
    low, high, is_whole = 0, len(leaves), True
    while earlier != high:
        middle = low + _split(high - low)
        if earlier <= middle:
            proof.append(root(leaves[middle:high]))
            high = middle
        else:
            proof.append(root(leaves[low:middle]))
            low, is_whole = middle, False
    if not is_whole:
        proof.append(root(leaves[low:high]))
    return proof[::-1]


# Checks (RFC 9162, 2.1.3.2 and 2.1.4.2) ----------------------------------------------------


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], top: bytes) -> bool:
    """Whether a proof shows a leaf (by its hash) at an index of the tree with this root."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for node in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(node, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, node)
        place, last = place >> 1, last >> 1
    return last == 0 and found == top


def is_consistent(
    earlier: int, later: int, proof: Sequence[bytes], earlier_root: bytes, later_root: bytes
) -> bool:
    """Whether a proof shows the later tree to begin with all of the earlier one."""
    if not 0 <= earlier <= later:
        return False
    if earlier == later:
        return not proof and earlier_root == later_root
    if earlier == 0:
        return not proof and earlier_root == EMPTY
    path = list(proof)
    if earlier & (earlier - 1) == 0:
        path.insert(0, earlier_root)
    if not path:
        return False
    place, last = earlier - 1, later - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, node)
        place, last = place >> 1, last >> 1
    return last == 0 and old == earlier_root and new == later_root
