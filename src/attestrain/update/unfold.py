"""A bit plane out of its Rice code with parameter 1, eight symbols at a time.

A zero of the unary stream stands for two zeros of the plane; a one for a one, or a zero and a one if its remainder is
1. So every symbol becomes one or two bits, and every byte of symbols with the eight remainders that begin with its own
becomes at most sixteen bits, which a table holds.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from attestrain.update.planes import STEP, WORD, Bytes, Plane, Words, ahead_of_four, pairs_of

_FULL = np.uint64(WORD)
_LAST, _ONE = np.uint64(WORD - 1), np.uint64(1)


def unfold(unary: Plane, remainders: Plane) -> Bytes:
    """The plane's bytes, with zeros to spare at the end.

    Args:
        unary: symbols.
        remainders: one bit for each of its ones.
    """
    count = len(unary.words)
    high, low = np.empty(count, dtype=np.uint64), np.empty(count, dtype=np.uint64)
    lengths = np.empty(count, dtype=np.int64)
    for at in range(0, count, STEP):
        part = slice(at, min(at + STEP, count))
        high[part], low[part], lengths[part] = _unfolded(pairs_of(unary, remainders, part))
    return _joined(high, low, lengths)


def _unfolded(pairs: NDArray[np.intp]) -> tuple[Words, Words, NDArray[np.int64]]:
    """For each word of symbols its up to 128 bits, left-aligned in two words, and how many they are."""
    bits, sizes = _tables()
    size = np.take(sizes, pairs, mode="clip")
    pieces = np.take(bits, pairs, mode="clip")
    pieces >>= ahead_of_four(size)
    quarters = [pieces[number::4] for number in range(4)]  # four pieces are at most one word
    halves = (quarters[0] | quarters[1]) | (quarters[2] | quarters[3])
    lengths = (size.view("<u4") * np.uint32(0x01010101)) >> np.uint32(24)
    first = lengths[0::2].astype(np.uint64)  # 32 to 64
    high = halves[0::2] | ((halves[1::2] >> (first - _ONE)) >> _ONE)
    return high, halves[1::2] << (_FULL - first), (lengths[0::2] + lengths[1::2]).astype(np.int64)


def _joined(high: Words, low: Words, lengths: NDArray[np.int64]) -> Bytes:
    """Bits of all words one after the other.

    A word of 64 symbols gives at least 64 bits, so no two begin in the same word of the result: each of the three
    assignments writes to every place once.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = ends - lengths
    words, shifts = starts >> 6, (starts & 63).astype(np.uint64)
    back = _LAST - shifts
    result = np.zeros(int(ends[-1]) // WORD + 3, dtype=np.uint64)
    result[words] |= high >> shifts
    result[words + 1] |= ((high << back) << _ONE) | (low >> shifts)
    result[words + 2] |= (low << back) << _ONE
    return result.astype(">u8").view(np.uint8)


@functools.cache
def _tables() -> tuple[Words, Bytes]:
    """For each byte of symbols and byte of remainders: its bits, the first in the highest place, and their number."""
    bits, sizes = np.zeros(1 << 16, dtype=np.uint64), np.zeros(1 << 16, dtype=np.uint8)
    pairs = np.arange(1 << 16, dtype=np.int64)
    used = np.zeros(1 << 16, dtype=np.int64)
    for place in range(7, -1, -1):
        one = ((pairs >> (place + 8)) & 1).astype(np.bool_)
        long = ~one | (((pairs >> (7 - used)) & 1) == 1)
        sizes += 1 + long.view(np.uint8)
        bits |= np.where(one, _ONE, np.uint64(0)) << (_FULL - sizes)
        used += one
    return bits, sizes
