"""Bytes of evidence read from front to back: whatever ends too early is refused, with what was being read."""

from __future__ import annotations

from typing import Literal

from attestrain.appraise.refused import require


class Cursor:
    """A place in bytes from outside.

    Args:
        data: all of them.
        what: what they are, for messages.
        order: how integers are written.
    """

    def __init__(self, data: bytes, what: str, order: Literal["little", "big"]) -> None:
        self._data = data
        self._what = what
        self._order: Literal["little", "big"] = order
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, or as many as there are; they stay unread."""
        return self._data[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes.

        Raises:
            Refused: there are fewer.
        """
        require(size <= self.left, f"{self._what} ends at byte {len(self._data)}, within {size} bytes at {self._at}")
        part = self._data[self._at : self._at + size]
        self._at += size
        return part

    def number(self, size: int) -> int:
        """The next unsigned integer of ``size`` bytes.

        Raises:
            Refused: there are fewer.
        """
        return int.from_bytes(self.take(size), self._order)

    def sized(self, size: int) -> bytes:
        """The next bytes, as many as the integer of ``size`` bytes before them says.

        Raises:
            Refused: there are fewer.
        """
        return self.take(self.number(size))

    def end(self) -> None:
        """Nothing is left.

        Raises:
            Refused: something is.
        """
        require(not self.left, f"{self._what} goes on for {self.left} bytes behind its end")
