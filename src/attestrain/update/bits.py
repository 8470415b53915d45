"""Bits as bytes, and strict reading of the parts of an update's body."""

from __future__ import annotations

import numpy as np

from attestrain.errors import FormatError
from attestrain.update.arrays import Bits, Bools


def pack_bits(bits: Bits | Bools) -> bytes:
    """Eight bits a byte, the first in the highest place, zeros after the last."""
    return np.packbits(bits).tobytes()


def packed_size(bits: int) -> int:
    """Bytes that hold ``bits`` bits."""
    return -(-bits // 8)


class Reader:
    """Takes an update's body apart; nothing is copied and nothing may be left over."""

    def __init__(self, data: memoryview) -> None:
        self._left = data

    def take(self, size: int) -> memoryview:
        """The next ``size`` bytes.

        Raises:
            FormatError: fewer are left.
        """
        if size > len(self._left):
            raise FormatError(f"update ends {size - len(self._left)} bytes early")
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def take_packed(self, count: int) -> memoryview:
        """The bytes of the next ``count`` bits.

        Raises:
            FormatError: fewer are left, or the padding up to a whole byte is not zero.
        """
        data = self.take(packed_size(count))
        if count % 8 and data[-1] & (0xFF >> count % 8):
            raise FormatError("update has padding bits that are not zero")
        return data

    def take_bits(self, count: int) -> Bits:
        """The next ``count`` bits, a byte each; as `take_packed`."""
        return np.unpackbits(np.frombuffer(self.take_packed(count), dtype=np.uint8), count=count)

    def end(self) -> None:
        """Nothing more is expected.

        Raises:
            FormatError: bytes are left.
        """
        if len(self._left):
            raise FormatError(f"update has {len(self._left)} bytes too many")
