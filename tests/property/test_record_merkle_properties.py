from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from attestrain.record import merkle
from attestrain.record.digest import Digest, sha256
from attestrain.record.transcript import Log

LEAVES = st.lists(st.binary(max_size=40), min_size=1, max_size=70)


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, transcribed."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:]))


def split(n: int) -> int:
    return max(1 << i for i in range(n.bit_length()) if 1 << i < n)


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1, transcribed."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 section 2.1.2, transcribed."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


@given(LEAVES)
def test_root_equals_an_independent_implementation(leaves):
    tree = InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        tree.append_entry(leaf)
    assert merkle.root(leaves) == tree.get_root() == mth(leaves) == Log(leaves).root()


@given(LEAVES, st.data())
def test_proofs_of_both_implementations_equal_the_rfc(leaves, data):
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves[:size]]
    log = Log(leaves)
    assert log.inclusion(index, size) == merkle.inclusion_proof(hashes, index) == path(index, leaves[:size])
    old = index + 1
    assert log.consistency(old, size) == merkle.consistency_proof(hashes, old) == subproof(old, leaves[:size], True)


@given(LEAVES, st.data())
def test_an_inclusion_proof_verifies_and_nothing_close_to_it_does(leaves, data):
    size = len(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = Log(leaves).inclusion(index)
    leaf, root = merkle.leaf_hash(leaves[index]), merkle.root(leaves)
    assert merkle.verify_inclusion(leaf, index, size, proof, root)
    wrong = merkle.leaf_hash(leaves[index] + b"!")
    assert not merkle.verify_inclusion(wrong, index, size, proof, root)
    assert not merkle.verify_inclusion(leaf, size, size, proof, root)
    assert not merkle.verify_inclusion(leaf, index, size, [*proof, leaf], root)
    for at in range(len(proof)):
        assert not merkle.verify_inclusion(leaf, index, size, proof[:at] + proof[at + 1 :], root)
        assert not merkle.verify_inclusion(leaf, index, size, [*proof[:at], wrong, *proof[at + 1 :]], root)
    for other in range(size):
        if leaves[other] != leaves[index]:
            assert not merkle.verify_inclusion(leaf, other, size, proof, root)


@given(LEAVES, st.data())
def test_a_consistency_proof_verifies_and_nothing_close_to_it_does(leaves, data):
    new = len(leaves)
    old = data.draw(st.integers(1, new))
    log = Log(leaves)
    proof, old_root, new_root = log.consistency(old), log.root(old), log.root()
    assert merkle.verify_consistency(old, new, old_root, new_root, proof)
    forked = merkle.root([*leaves[: old - 1], leaves[old - 1] + b"!"])
    assert not merkle.verify_consistency(old, new, forked, new_root, proof)
    assert not merkle.verify_consistency(old, new, old_root, merkle.root([*leaves, b"more"]), proof)
    assert not merkle.verify_consistency(old, new, old_root, new_root, [*proof, old_root])
    for at in range(len(proof)):
        assert not merkle.verify_consistency(old, new, old_root, new_root, proof[:at] + proof[at + 1 :])


@given(
    st.integers(-1, 40),
    st.integers(-1, 40),
    st.lists(st.binary(min_size=32, max_size=32).map(Digest), max_size=70),
)
def test_arbitrary_proofs_are_refused_without_an_error(first, second, proof):
    root = sha256(b"nothing hashes to this root")
    assert not merkle.verify_inclusion(root, first, second, proof, sha256(root))
    assert not merkle.verify_consistency(first, second, root, sha256(root), proof)


def test_a_node_is_never_a_leaf():
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.leaf_hash(left + right) != merkle.root([b"a", b"b"])


def test_the_empty_tree_and_missing_leaves():
    assert merkle.root([]) == Log().root() == merkle.EMPTY_ROOT
    for call in (
        lambda: merkle.inclusion_proof([], 0),
        lambda: merkle.consistency_proof([], 0),
        lambda: Log().inclusion(0),
        lambda: Log([b"a"]).inclusion(1),
        lambda: Log([b"a"]).inclusion(-1),
        lambda: Log([b"a"]).consistency(0),
        lambda: Log([b"a"]).consistency(2),
        lambda: Log([b"a"]).root(2),
    ):
        with pytest.raises(IndexError):
            call()
