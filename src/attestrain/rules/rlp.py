"""RLP, the encoding of Ethereum's headers, trie nodes and accounts (Yellow Paper, appendix B), read strictly.

One value has one encoding: lengths without leading zeros, single bytes below 0x80 as themselves, nothing after the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from attestrain.errors import FormatError

MAX_DEPTH = 4
"""Deepest nesting read: a trie node inside a trie node inside a branch is three deep."""
MAX_ITEMS = 64
"""Most items of one list: a branch has 17, a header a little more than twenty."""

Item = bytes | list["Item"]
"""A byte string or a list of items."""


def encode(item: bytes | Sequence[object]) -> bytes:
    """The encoding of bytes or of a list of encodable items.

    Raises:
        TypeError: neither.
    """
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(0x80, len(item)) + item
    if not isinstance(item, list | tuple):
        raise TypeError(f"{type(item).__name__} has no RLP encoding")
    body = b"".join(map(encode, item))
    return _prefix(0xC0, len(body)) + body


def encode_integer(value: int) -> bytes:
    """A non-negative integer as its shortest big-endian bytes, encoded."""
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _prefix(base: int, length: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(size)]) + size


def decode(data: bytes) -> Item:
    """Read one item that fills ``data``.

    Raises:
        FormatError: malformed, not the one encoding of its value, too deep, too many items, or followed by something.
    """
    item, end = _read(data, 0, 0)
    if end != len(data):
        raise FormatError("RLP item is followed by something")
    return item


def decode_list(data: bytes) -> list[Item]:
    """Read one list that fills ``data``.

    Raises:
        FormatError: as `decode`, or it is not a list.
    """
    item = decode(data)
    if not isinstance(item, list):
        raise FormatError("RLP item is not a list")
    return item


def integer(item: Item, most: int) -> int:
    """Read an integer of at most ``most`` bytes.

    Raises:
        FormatError: a list, too long, or with a leading zero.
    """
    if not isinstance(item, bytes) or len(item) > most or item[:1] == b"\x00":
        raise FormatError(f"RLP item is not an integer of at most {most} bytes")
    return int.from_bytes(item, "big")


def _read(data: bytes, at: int, depth: int) -> tuple[Item, int]:
    if at >= len(data):
        raise FormatError("RLP ends early")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list = first >= 0xC0
    begin, end = _bounds(data, at, first - (0xC0 if is_list else 0x80))
    if is_list:
        return _read_list(data, begin, end, depth), end
    if end - begin == 1 and data[begin] < 0x80:
        raise FormatError("RLP encodes a small byte the long way")
    return data[begin:end], end


def _bounds(data: bytes, at: int, length: int) -> tuple[int, int]:
    """Where the payload of the item at ``at`` begins and ends; ``length`` is what its first byte says."""
    begin = at + 1
    if length > 55:
        begin += length - 55
        size = data[at + 1 : begin]
        length = int.from_bytes(size, "big")
        if len(size) != begin - at - 1 or size[:1] == b"\x00" or length < 56:
            raise FormatError("RLP length is not the shortest")
    if begin + length > len(data):
        raise FormatError("RLP ends early")
    return begin, begin + length


def _read_list(data: bytes, begin: int, end: int, depth: int) -> list[Item]:
    if depth >= MAX_DEPTH:
        raise FormatError(f"RLP is nested deeper than {MAX_DEPTH}")
    items: list[Item] = []
    while begin < end:
        item, begin = _read(data, begin, depth + 1)
        items.append(item)
        if len(items) > MAX_ITEMS or begin > end:
            raise FormatError("RLP list is too long, or an item reaches beyond it")
    return items
