"""The tree is the one of RFC 6962: its published vectors, and what must hold of every tree."""

from __future__ import annotations

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from app.evidence.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    is_consistent,
    is_included,
    leaf_hash,
    node_hash,
    root,
)

# The inputs and roots that implementations of RFC 6962 are tested with (Certificate Transparency).
_INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_LEAVES = [leaf_hash(leaf) for leaf in _INPUTS]

sizes = st.integers(1, 70)


def _leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(n).encode()) for n in range(count)]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_the_published_vectors(size: int) -> None:
    assert root(_LEAVES[:size]).hex() == _ROOTS[size - 1]


def test_an_empty_tree_has_the_root_of_nothing() -> None:
    assert root([]) == EMPTY
    assert EMPTY.hex().startswith("e3b0c44298fc1c14")


def _plainly(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, word by word."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(_plainly(leaves[:k]), _plainly(leaves[k:]))


@given_any(sizes)
def test_a_root_is_what_the_definition_says(size: int) -> None:
    assert root(_leaves(size)) == _plainly(_leaves(size))


@given_any(sizes)
def test_a_frontier_goes_on_where_it_was_kept(size: int) -> None:
    frontier = Frontier()
    for leaf in _leaves(size):
        frontier.add(leaf)
    kept = Frontier.from_bytes(size, frontier.to_bytes())
    kept.add(b"x" * 32)
    assert kept.root() == root([*_leaves(size), b"x" * 32])


@pytest.mark.parametrize(
    ("size", "kept"), [(3, b"x" * 32), (2, b"x" * 64), (1, b"x" * 31), (0, b"x")]
)
def test_what_is_no_frontier_is_refused(size: int, kept: bytes) -> None:
    with pytest.raises(ValueError, match="perfect subtrees"):
        Frontier.from_bytes(size, kept)


# Proofs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(1, 34))
def test_every_leaf_is_shown_to_be_in_its_tree_and_nowhere_else(size: int) -> None:
    leaves = _leaves(size)
    top = root(leaves)
    for index, leaf in enumerate(leaves):
        proof = inclusion_proof(leaves, index)
        assert is_included(leaf, index, size, proof, top)
        assert not is_included(leaf_hash(b"another"), index, size, proof, top)
        for wrong in {0, index - 1, index + 1, size - 1, size} - {index}:
            assert not is_included(leaf, wrong, size, proof, top)
        assert not is_included(leaf, index, size, [*proof, top], top)
        assert not proof or not is_included(leaf, index, size, proof[:-1], top)
        assert not is_included(leaf, index, size, proof, leaf_hash(b"root"))


@given_any(st.integers(0, 70))
def test_all_proofs_at_once_are_those_of_each(size: int) -> None:
    leaves = _leaves(size)
    assert inclusion_proofs(leaves) == [inclusion_proof(leaves, n) for n in range(size)]


@given_any(st.integers(1, 70), st.sampled_from([2, 4, 8]))
def test_a_proof_within_a_block_goes_on_above_it(size: int, block: int) -> None:
    """Blocks of a power of two are subtrees, the last and shorter one, too."""
    leaves = _leaves(size)
    blocks = [leaves[start : start + block] for start in range(0, size, block)]
    roots = [root(one) for one in blocks]
    assert root(roots) == root(leaves)
    for index in range(size):
        below = inclusion_proof(blocks[index // block], index % block)
        above = inclusion_proof(roots, index // block)
        assert below + above == inclusion_proof(leaves, index)


@pytest.mark.parametrize("later", range(1, 34))
def test_a_tree_is_shown_to_have_grown_out_of_every_earlier_one(later: int) -> None:
    leaves = _leaves(later)
    top = root(leaves)
    for earlier in range(later + 1):
        before = root(leaves[:earlier])
        proof = consistency_proof(leaves, earlier)
        assert is_consistent(earlier, later, proof, before, top)
        changed = root([leaf_hash(b"changed"), *leaves[1:earlier]]) if earlier else leaves[0]
        assert not is_consistent(earlier, later, proof, changed, top)
        assert not is_consistent(earlier, later, [*proof, top], before, top)
        assert not proof or not is_consistent(earlier, later, proof[:-1], before, top)
        if earlier < later:
            assert not is_consistent(later, earlier, proof, top, before)


@given_any(st.data(), st.integers(2, 70))
def test_a_history_that_was_altered_is_consistent_with_nothing(
    data: st.DataObject, later: int
) -> None:
    leaves = _leaves(later)
    earlier = data.draw(st.integers(1, later - 1))
    altered = list(leaves)
    altered[data.draw(st.integers(0, earlier - 1))] = leaf_hash(b"altered")
    proof = consistency_proof(altered, earlier)
    assert not is_consistent(earlier, later, proof, root(leaves[:earlier]), root(altered))


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_of_what_is_not_there(index: int) -> None:
    with pytest.raises(IndexError):
        inclusion_proof(_leaves(3), index)
    with pytest.raises(IndexError):
        consistency_proof(_leaves(2), index)
