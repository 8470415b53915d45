"""A keyed bijection on 0 .. n-1: the shuffle that nobody can steer and anybody can evaluate at one point.

A balanced Feistel network over the smallest even-width domain that holds n, with SHA-256 as round function; values that
fall outside are walked along their cycle until they come back in (Black and Rogaway, "Ciphers with arbitrary finite
domains", 2002). Eight rounds, twice the four that Luby and Rackoff need for a strong pseudo-random permutation.
"""

from __future__ import annotations

import hashlib

from attestrain.record.digest import Digest

ROUNDS = 8
MAX_DOMAIN = 1 << 62
MAX_KEPT = 1 << 14
"""Most results of the round function kept: all of them for domains of up to four million, about a megabyte."""


class Bijection:
    """A permutation of ``range(size)`` chosen by ``key``.

    Raises:
        ValueError: ``size`` is not in 1 .. 2^62.
    """

    def __init__(self, key: Digest, size: int) -> None:
        if not 0 < size <= MAX_DOMAIN:
            raise ValueError(f"domain of {size} is out of range")
        self._key = bytes(key)
        self._size = size
        self._half = max(1, (size - 1).bit_length() + 1 >> 1)
        self._mask = (1 << self._half) - 1
        self._mixed: dict[tuple[int, int], int] = {}

    def __call__(self, index: int) -> int:
        """Image of ``index``."""
        if not 0 <= index < self._size:
            raise ValueError(f"index {index} is outside the domain of {self._size}")
        value = self._permute(index)
        while value >= self._size:
            value = self._permute(value)
        return value

    def inverse(self, image: int) -> int:
        """The index whose image is ``image``."""
        if not 0 <= image < self._size:
            raise ValueError(f"image {image} is outside the domain of {self._size}")
        value = self._restore(image)
        while value >= self._size:
            value = self._restore(value)
        return value

    def _permute(self, value: int) -> int:
        left, right = value >> self._half, value & self._mask
        for turn in range(ROUNDS):
            left, right = right, left ^ self._mix(turn, right)
        return left << self._half | right

    def _restore(self, value: int) -> int:
        left, right = value >> self._half, value & self._mask
        for turn in reversed(range(ROUNDS)):
            left, right = right ^ self._mix(turn, left), left
        return left << self._half | right

    def _mix(self, turn: int, half: int) -> int:
        """The round function. A small domain has few halves, so what was hashed once is looked up."""
        place = (turn, half)
        if (known := self._mixed.get(place)) is not None:
            return known
        block = self._key + bytes((turn,)) + half.to_bytes(8, "big")
        mixed = int.from_bytes(hashlib.sha256(block).digest()[:8], "big") & self._mask
        if len(self._mixed) < MAX_KEPT:
            self._mixed[place] = mixed
        return mixed
