"""Merkle-Patricia proofs: what an Ethereum state trie holds under a key, or that it holds nothing.

A proof is the list of nodes from the root down (Yellow Paper, appendix D). Each node's Keccak-256 is named by the one
above it, nodes shorter than 32 bytes stand inside it. A proof with something left over is malformed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.eip712 import keccak256
from attestrain.rules.rlp import Item, decode, decode_list, encode, integer

MAX_NODES = 65
"""Longest proof: one node for each of the 64 digits of a hashed key, and the root."""
MAX_NODE = 576
"""Largest node in bytes: a branch of sixteen hashes has 532; leaves of accounts about 110."""
EMPTY_TRIE = Digest(keccak256(b"\x80"))
"""Root of a trie that holds nothing."""
EMPTY_CODE = Digest(keccak256(b""))
"""Code hash of an account without code."""


class Account(NamedTuple):
    """An account of the state trie."""

    nonce: int
    balance: int
    storage_root: Digest
    code_hash: Digest


def read_account(state_root: Digest, address: bytes, proof: Sequence[bytes]) -> Account | None:
    """The account at ``address``; None if the state proves that there is none.

    Raises:
        FormatError: the proof does not hang together, or the account is malformed.
    """
    data = lookup(state_root, address, proof)
    if data is None:
        return None
    fields = decode_list(data)
    if len(fields) != 4:
        raise FormatError("an account has four fields")
    nonce, balance, storage, code = fields
    return Account(integer(nonce, 8), integer(balance, 32), _digest(storage), _digest(code))


def read_slot(storage_root: Digest, slot: bytes, proof: Sequence[bytes]) -> bytes:
    """The 32 bytes in a storage slot; zeros if the storage proves that nothing is there.

    Raises:
        FormatError: the proof does not hang together, or the value is malformed.
    """
    data = lookup(storage_root, slot, proof)
    if data is None:
        return bytes(32)
    value = integer(decode(data), 32)
    if not value:
        raise FormatError("a storage trie holds no zeros")
    return value.to_bytes(32, "big")


def lookup(root: Digest, key: bytes, proof: Sequence[bytes]) -> bytes | None:
    """What the trie holds under the hash of ``key``; None if the proof shows that it holds nothing there.

    Args:
        root: of the trie.
        key: as the EVM names it, before hashing: 20 bytes of an address, 32 of a slot.
        proof: nodes from the root on, exactly those on the way.

    Raises:
        FormatError: a node is malformed, is not the one its parent names, or is missing or superfluous.
    """
    if len(proof) > MAX_NODES or any(len(node) > MAX_NODE for node in proof):
        raise FormatError("a trie proof is longer than any key, or has a node larger than any")
    nodes = iter(proof)
    value = None if root == EMPTY_TRIE else _walk(root, _nibbles(keccak256(key)), nodes)
    if next(nodes, None) is not None:
        raise FormatError("a trie proof has nodes beside the way")
    return value


def _walk(root: Digest, path: Sequence[int], nodes: Iterator[bytes]) -> bytes | None:
    """Follow ``path`` from ``root``; one node a turn, taken from the proof or embedded in the last one."""
    node = _fetch(root, nodes)
    while True:
        if len(node) == 17:
            if not path:
                return _value(node[16]) or None
            below, path = node[path[0]], path[1:]
        elif len(node) == 2:
            part, is_leaf = _path(node[0])
            if is_leaf:
                return _value(node[1]) if tuple(path) == part else None
            if tuple(path[: len(part)]) != part:
                return None
            below, path = node[1], path[len(part) :]
        else:
            raise FormatError("a trie node has two items or seventeen")
        if below == b"":
            return None
        node = _below(below, nodes)


def _below(reference: Item, nodes: Iterator[bytes]) -> list[Item]:
    if isinstance(reference, list):
        if len(encode(reference)) >= 32:
            raise FormatError("a trie node of 32 bytes or more stands inside another")
        return reference
    return _fetch(_digest(reference), nodes)


def _fetch(digest: Digest, nodes: Iterator[bytes]) -> list[Item]:
    node = next(nodes, None)
    if node is None:
        raise FormatError("a trie proof ends early")
    if keccak256(node) != digest:
        raise FormatError("a trie node is not the one that its parent names")
    return decode_list(node)


def _path(item: Item) -> tuple[tuple[int, ...], bool]:
    """Digits of a leaf or extension, and whether it is a leaf (hex-prefix encoding, Yellow Paper, appendix C)."""
    if not isinstance(item, bytes) or not item or item[0] > 0x3F:
        raise FormatError("a trie node has a malformed path")
    odd, is_leaf = bool(item[0] & 0x10), bool(item[0] & 0x20)
    if not odd and item[0] & 0x0F:
        raise FormatError("a trie path is not filled up with zero")
    digits = _nibbles(item)
    part = tuple(digits[1:] if odd else digits[2:])
    if not part and not is_leaf:
        raise FormatError("a trie extension extends by nothing")
    return part, is_leaf


def _nibbles(data: bytes) -> list[int]:
    return [digit for byte in data for digit in (byte >> 4, byte & 0x0F)]


def _value(item: Item) -> bytes:
    if not isinstance(item, bytes):
        raise FormatError("a trie holds byte strings")
    return item


def _digest(item: Item) -> Digest:
    if not isinstance(item, bytes) or len(item) != 32:
        raise FormatError("not a digest of 32 bytes")
    return Digest(item)
