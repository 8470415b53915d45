"""Merkle-Patricia tries and headers, written a second time the plain way, with other people's libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rlp
from eth_abi.abi import encode as abi
from eth_utils.crypto import keccak

from attestrain.record.digest import Digest

START = 1_800_000_000
"""When these chains begin, in seconds since 1970."""
Node = list[Any] | bytes
Path = tuple[int, ...]


def digits(data: bytes) -> Path:
    return tuple(int(digit, 16) for digit in data.hex())


def prefixed(path: Path, *, leaf: bool) -> bytes:
    """Hex-prefix encoding."""
    flag = 2 * leaf + len(path) % 2
    return bytes.fromhex(f"{flag:x}" + ("" if len(path) % 2 else "0") + "".join(f"{digit:x}" for digit in path))


class Trie:
    """A Merkle-Patricia trie under hashed keys."""

    def __init__(self, items: Mapping[bytes, bytes]) -> None:
        self._items = {digits(keccak(key)): value for key, value in items.items()}

    @property
    def root(self) -> Digest:
        return Digest(keccak(rlp.encode(self._node(self._items))))

    def proof(self, key: bytes) -> tuple[bytes, ...]:
        """Nodes on the way to ``key``, as far as it goes; those inside others are not named."""
        items, path, found = self._items, digits(keccak(key)), []
        is_root = True
        while items:
            encoded = rlp.encode(self._node(items))
            if is_root or len(encoded) >= 32:
                found.append(encoded)
            is_root = False
            shared = self._shared(items)
            if len(items) == 1 or path[: len(shared)] != shared:
                break
            if shared:
                items, path = {place[len(shared) :]: value for place, value in items.items()}, path[len(shared) :]
            else:
                items, path = self._branch(items, path[0]), path[1:]
        return tuple(found)

    def _node(self, items: Mapping[Path, bytes]) -> Node:
        if not items:
            return b""
        shared = self._shared(items)
        if len(items) == 1:
            return [prefixed(shared, leaf=True), next(iter(items.values()))]
        if shared:
            below = {place[len(shared) :]: value for place, value in items.items()}
            return [prefixed(shared, leaf=False), self._reference(below)]
        return [*(self._reference(self._branch(items, digit)) for digit in range(16)), b""]

    def _reference(self, items: Mapping[Path, bytes]) -> Node:
        node = self._node(items)
        encoded = rlp.encode(node)
        return node if not items or len(encoded) < 32 else keccak(encoded)

    @staticmethod
    def _branch(items: Mapping[Path, bytes], digit: int) -> dict[Path, bytes]:
        return {place[1:]: value for place, value in items.items() if place[0] == digit}

    @staticmethod
    def _shared(items: Mapping[Path, bytes]) -> Path:
        first, last = min(items), max(items)
        length = next((at for at, (one, other) in enumerate(zip(first, last, strict=True)) if one != other), len(first))
        return first[:length]


def storage_trie(slots: Mapping[int, int]) -> Trie:
    return Trie({abi(["uint256"], [slot]): rlp.encode(_big(value)) for slot, value in slots.items() if value})


def state_trie(accounts: Mapping[bytes, tuple[int, int, bytes, bytes]]) -> Trie:
    """Accounts by address: nonce, balance, storage root, code hash."""
    return Trie({key: rlp.encode([_big(n), _big(b), root, code]) for key, (n, b, root, code) in accounts.items()})


def header(number: int, timestamp: int, state_root: bytes, kind: str = "prague") -> bytes:
    """A header's RLP: ``london``, ``cancun`` or ``prague``."""
    fields = [
        keccak(b"parent"),
        keccak(rlp.encode([])),
        bytes(20),
        state_root,
        keccak(b"transactions"),
        keccak(b"receipts"),
        bytes(256),
        b"",
        _big(number),
        _big(30_000_000),
        _big(21_000),
        _big(timestamp),
        b"tests",
        keccak(b"randao"),
        bytes(8),
        _big(7),
    ]
    later = {"london": 0, "cancun": 4, "prague": 5}[kind]
    more = [keccak(b"withdrawals"), b"", b"", keccak(b"beacon root"), keccak(b"requests")]
    return rlp.encode([*fields, *more[:later]])


def _big(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
