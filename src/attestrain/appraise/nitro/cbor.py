"""CBOR (RFC 8949), as much of it as an attestation document needs, read strictly and bounded.

Read are integers, byte and text strings, arrays and maps, true, false and null. Lengths may be left open and integers
need not be the shortest, as AWS writes some; floating point, tags, strings in pieces and keys given twice are refused.
"""

from __future__ import annotations

from attestrain.appraise.cursor import Cursor
from attestrain.appraise.refused import Refused, require

MAX_DEPTH = 6
"""Deepest nesting: a document needs three."""
MAX_ITEMS = 256
"""Most items of the whole: a document with 32 registers has some eighty."""
BREAK = 0xFF
"""Ends an array or a map of open length."""
SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None}

Value = int | bytes | str | bool | None | list["Value"] | dict["Key", "Value"]
Key = int | str


def read_cbor(data: bytes, what: str) -> Value:
    """Read one item that fills ``data``.

    Args:
        data: the encoded item.
        what: what it is, for messages.

    Raises:
        Refused: malformed, cut short, with bytes behind it, too deep, too large, or using what is not read here.
    """
    reader = _Reader(Cursor(data, what, "big"), what)
    value = reader.item(MAX_DEPTH)
    reader.end()
    return value


def head(major: int, size: int) -> bytes:
    """The bytes that start an item of ``major`` type with a length or value of ``size``, in the shortest form."""
    if size < 24:
        return bytes([major << 5 | size])
    width = next(width for width in (1, 2, 4, 8) if size < 1 << 8 * width)
    return bytes([major << 5 | 24 + width.bit_length() - 1]) + size.to_bytes(width, "big")


class _Reader:
    def __init__(self, cursor: Cursor, what: str) -> None:
        self._cursor = cursor
        self._what = what
        self._items = 0

    def end(self) -> None:
        self._cursor.end()

    def item(self, depth: int) -> Value:
        """The next item, with at most ``depth`` levels in it."""
        self._items += 1
        require(self._items <= MAX_ITEMS, f"{self._what} has more than {MAX_ITEMS} items")
        require(depth >= 0, f"{self._what} is nested deeper than {MAX_DEPTH}")
        first = self._cursor.number(1)
        major, info = first >> 5, first & 31
        if major == 7:
            require(info in SIMPLE, f"{self._what} has simple value or number {first:#x}, which is not read")
            return SIMPLE[info]
        size = self._size(major, info)
        if major == 4:
            return self._array(size, depth)
        if major == 5:
            return self._map(size, depth)
        return self._plain(major, size)

    def _size(self, major: int, info: int) -> int | None:
        """The number in an item's head; None if an array's or a map's length is open."""
        if info < 24:
            return info
        if info == 31 and major in (4, 5):
            return None
        require(info < 28, f"{self._what} has a CBOR head of type {major} with {info}, which is not read")
        return self._cursor.number(1 << info - 24)

    def _plain(self, major: int, size: int | None) -> Value:
        require(size is not None and major <= 3, f"{self._what} has a tag, which is not read")
        number = size or 0
        if major <= 1:
            return -1 - number if major else number
        data = self._cursor.take(number)
        try:
            return data if major == 2 else data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(f"{self._what} has text that is not UTF-8") from error

    def _array(self, size: int | None, depth: int) -> list[Value]:
        items: list[Value] = []
        while not self._over(len(items), size):
            items.append(self.item(depth - 1))
        return items

    def _map(self, size: int | None, depth: int) -> dict[Key, Value]:
        items: dict[Key, Value] = {}
        while not self._over(len(items), size):
            key = self.item(depth - 1)
            if isinstance(key, bool) or not isinstance(key, int | str):
                raise Refused(f"{self._what} has a key that is neither a number nor text")
            require(key not in items, f"{self._what} has key {key!r} twice")
            items[key] = self.item(depth - 1)
        return items

    def _over(self, count: int, size: int | None) -> bool:
        """Whether a container is complete."""
        if size is not None:
            return count == size
        if self._cursor.peek(1) != bytes([BREAK]):
            return False
        self._cursor.take(1)
        return True
