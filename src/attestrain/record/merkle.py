"""The one Merkle shape: RFC 6962 trees over SHA-256, with inclusion and consistency proofs.

Leaves and nodes are hashed under different prefixes, so a node can never be passed off as a leaf. Verification follows
RFC 9162 sections 2.1.3.2 and 2.1.4.2, which describe the same tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from attestrain.record.digest import Buffer, Digest

MAX_PROOF = 64
"""Longest proof accepted: a tree of 2^64 leaves has no longer one."""

EMPTY_ROOT = Digest(hashlib.sha256(b"").digest())


def leaf_hash(data: Buffer) -> Digest:
    """Hash of one leaf: SHA-256(0x00 || data)."""
    hashing = hashlib.sha256(b"\x00")
    hashing.update(data)  # in two steps: a leaf is not copied
    return Digest(hashing.digest())


def node_hash(left: bytes, right: bytes) -> Digest:
    """Hash of an inner node: SHA-256(0x01 || left || right)."""
    return Digest(hashlib.sha256(b"\x01" + left + right).digest())


def root_of_hashes(hashes: Sequence[Digest]) -> Digest:
    """Root of the tree whose leaf hashes are ``hashes``, in time linear in their number.

    Pairing level by level and carrying an odd last node up gives the same tree as RFC 6962's recursive split at the
    largest power of two.
    """
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def root(leaves: Sequence[Buffer]) -> Digest:
    """Root of the tree over the raw ``leaves``."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def _split(size: int) -> int:
    """Largest power of two smaller than ``size`` (size > 1)."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(hashes: Sequence[Digest], index: int) -> list[Digest]:
    """Audit path for leaf ``index`` of the tree over ``hashes`` (RFC 6962 section 2.1.1).

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(hashes):
        raise IndexError(index)
    if len(hashes) == 1:
        return []
    k = _split(len(hashes))
    if index < k:
        return [*inclusion_proof(hashes[:k], index), root_of_hashes(hashes[k:])]
    return [*inclusion_proof(hashes[k:], index - k), root_of_hashes(hashes[:k])]


def verify_inclusion(leaf: Digest, index: int, size: int, proof: Sequence[Digest], expected: Digest) -> bool:
    """Whether ``leaf`` (a leaf hash) stands at ``index`` in the tree of ``size`` leaves with root ``expected``."""
    if not 0 <= index < size or len(proof) > MAX_PROOF:
        return False
    fn, sn, current = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            current = node_hash(sibling, current)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            current = node_hash(current, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and current == expected


def consistency_proof(hashes: Sequence[Digest], old_size: int) -> list[Digest]:
    """Proof that the first ``old_size`` leaves were only appended to (RFC 6962 section 2.1.2).

    Raises:
        IndexError: the old tree is empty or larger than the new one.
    """
    if not 0 < old_size <= len(hashes):
        raise IndexError(old_size)
    return _subproof(hashes, old_size, complete=True)


def _subproof(hashes: Sequence[Digest], old_size: int, *, complete: bool) -> list[Digest]:
    if old_size == len(hashes):
        return [] if complete else [root_of_hashes(hashes)]
    k = _split(len(hashes))
    if old_size <= k:
        return [*_subproof(hashes[:k], old_size, complete=complete), root_of_hashes(hashes[k:])]
    return [*_subproof(hashes[k:], old_size - k, complete=False), root_of_hashes(hashes[:k])]


def verify_consistency(
    old_size: int, new_size: int, old_root: Digest, new_root: Digest, proof: Sequence[Digest]
) -> bool:
    """Whether the tree (``new_size``, ``new_root``) extends the tree (``old_size``, ``old_root``)."""
    if not 0 < old_size <= new_size or len(proof) > MAX_PROOF:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        return False
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new = node_hash(new, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and old == old_root and new == new_root
