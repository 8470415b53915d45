"""Bit planes as they lie in an update, eight bits a byte: counted and spelled out without a position of any one.

Ones are counted a word of 64 bits at a time, values spelled out a byte at a time through tables of all bytes, or of all
pairs of a byte of the plane and the bits that belong to its ones.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from attestrain.update.arrays import Bools, Int8s, Int64s
from attestrain.update.bits import packed_size
from attestrain.update.blocks import Blocks

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

WORD: Final = 64
STEP: Final = 1 << 12
"""Words spelled out at a time: all that this takes, 64 bytes a word and array, stays in the cache."""
_ONE, _HIGHEST, _LAST = np.uint64(1), np.uint64(56), np.uint64(WORD - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """``size`` bits, the first in the highest place of the first byte, and how many ones lie before every word.

    Both arrays go on with zeros for a word more than the bits need.
    """

    size: int
    packed: Bytes
    words: Words
    before: Int64s

    @classmethod
    def of(cls, data: memoryview | Bytes, size: int) -> Plane:
        """The plane of ``size`` bits that begins with those of ``data``; what else it has must be zeros."""
        found = np.frombuffer(data, dtype=np.uint8)[: packed_size(size)]
        packed = np.zeros((size // WORD + 2) * WORD // 8, dtype=np.uint8)
        packed[: len(found)] = found
        words = packed.view(">u8").astype(np.uint64)
        before = np.zeros(len(words), dtype=np.int64)
        np.cumsum(np.bitwise_count(words[:-1]), dtype=np.int64, out=before[1:])
        return cls(size, packed, words, before)

    @classmethod
    def of_bools(cls, bits: Bools) -> Plane:
        """The plane with a one for every true."""
        return cls.of(np.packbits(bits), len(bits))

    @property
    def ones(self) -> int:
        """How many there are."""
        return int(self.before[-1])

    def rank(self, at: Int64s) -> Int64s:
        """Ones before each of the places ``at``, 0 .. ``size``."""
        words, inside = self.words[at >> 6], (at & 63).astype(np.uint64)
        head = (words >> (_LAST - inside)) >> _ONE  # two shifts: one by 64 has no defined result
        ranks: Int64s = self.before[at >> 6] + np.bitwise_count(head)
        return ranks

    def total(self, blocks: Blocks) -> Int64s:
        """Ones of each block."""
        return np.diff(self.rank(blocks.starts), append=np.int64(self.ones))

    def bits_from(self, at: Int64s) -> Words:
        """The 64 bits from each of the places ``at`` on."""
        words, inside = at >> 6, (at & 63).astype(np.uint64)
        following = (self.words[np.minimum(words + 1, len(self.words) - 1)] >> (_LAST - inside)) >> _ONE
        found: Words = (self.words[words] << inside) | following
        return found


def count(blocks: Blocks, bits: Bools) -> Int64s:
    """Trues of each block."""
    return Plane.of_bools(bits).total(blocks)


def spell_signs(negative: Plane) -> Int8s:
    """-1 for every one, 1 for every zero."""
    levels = np.empty(len(negative.packed), dtype=np.uint64)
    np.take(_sign_table(), negative.packed, out=levels, mode="clip")
    return levels.view(np.int8)[: negative.size]


def spell_both(large: Plane, negative: Plane) -> Int8s:
    """1, or 2 for every one of ``large``; below zero for every one of ``negative``."""
    levels = np.empty(len(large.packed), dtype=np.uint64)
    for at in range(0, len(levels), 8 * STEP):
        part = slice(at, at + 8 * STEP)
        pairs = (large.packed[part].astype(np.intp) << 8) | negative.packed[part]
        np.take(_pair_table(), pairs, out=levels[part], mode="clip")
    return levels.view(np.int8)[: large.size]


def spell_kept(kept: Plane, negative: Plane) -> Int8s:
    """0 for every zero of ``kept``; for its ones -1 or 1, as the bits of ``negative``, one for each, say."""
    levels = np.empty(len(kept.packed), dtype=np.uint64)
    for at in range(0, len(kept.words), STEP):
        part = slice(8 * at, 8 * (at + STEP))
        pairs = pairs_of(kept, negative, slice(at, at + STEP))
        np.take(_kept_table(), pairs, out=levels[part], mode="clip")
    return levels.view(np.int8)[: kept.size]


def pairs_of(plane: Plane, bits: Plane, words: slice) -> NDArray[np.intp]:
    """For each byte of some words: 256 times itself plus the eight of ``bits`` that begin with those of its ones."""
    part = plane.packed[8 * words.start : 8 * words.stop]
    window = bits.bits_from(plane.before[words])
    shifts = _ahead_of_eight(np.bitwise_count(part)).reshape(-1, 8)
    np.left_shift(window[:, np.newaxis], shifts, out=shifts)
    np.right_shift(shifts, _HIGHEST, out=shifts)
    pairs = part.astype(np.intp)
    pairs <<= 8
    pairs |= shifts.view(np.int64).reshape(-1)
    return pairs


def ahead_of_four(counts: Bytes) -> Words:
    """For each of four bytes after four the sum of those before it among its four; these sums are below 256."""
    sums = (counts.view("<u4") * np.uint32(0x01010101)) << np.uint32(8)
    return sums.astype("<u4", copy=False).view(np.uint8).astype(np.uint64)


def _ahead_of_eight(counts: Bytes) -> Words:
    sums = (counts.view("<u8") * np.uint64(0x0101010101010101)) << np.uint64(8)
    return sums.astype("<u8", copy=False).view(np.uint8).astype(np.uint64)


def odd_gaps(packed: Bytes) -> int:
    """How many ones have an odd number of zeros between themselves and the one before, or the beginning."""
    inner, first, last = _odd_tables()
    found = packed[packed != 0]  # a byte of zeros adds eight, which is even
    ends = last[found]
    across = first[found]
    across[1:] ^= ends[:-1]
    return int(inner[found].sum(dtype=np.int64)) + int(np.count_nonzero(across))


def _bits(count: int) -> Bytes:
    """The bits of all numbers of ``count`` bits, a row each, the highest first."""
    numbers = np.arange(1 << count, dtype=np.int64)[:, np.newaxis]
    return ((numbers >> np.arange(count - 1, -1, -1, dtype=np.int64)) & 1).astype(np.uint8)


@functools.cache
def _sign_table() -> Words:
    """Eight levels for each byte."""
    return np.ascontiguousarray(1 - 2 * _bits(8).view(np.int8)).view(np.uint64).reshape(-1)


@functools.cache
def _pair_table() -> Words:
    """Eight levels for each byte of large ones and byte of signs."""
    levels = (1 + _bits(8).view(np.int8))[:, np.newaxis] * (1 - 2 * _bits(8).view(np.int8))
    return np.ascontiguousarray(levels).view(np.uint64).reshape(-1)


@functools.cache
def _kept_table() -> Words:
    """Eight levels for each byte of kept ones and the eight next signs, of which each of the ones takes one."""
    kept = _bits(8)
    number = np.cumsum(kept, axis=1, dtype=np.int64) - kept
    signs = np.take(1 - 2 * _bits(8).view(np.int8), number, axis=1)  # signs, kept, place
    levels = np.swapaxes(signs, 0, 1) * kept.view(np.int8)[:, np.newaxis]
    return np.ascontiguousarray(levels).view(np.uint64).reshape(-1)


@functools.cache
def _odd_tables() -> tuple[Bytes, Bytes, Bytes]:
    """For each byte: odd gaps between its own ones, whether the first one has one, whether zeros after the last do."""
    inner, first, last = (np.zeros(256, dtype=np.uint8) for _ in range(3))
    for byte in range(1, 256):
        gaps = [len(zeros) for zeros in f"{byte:08b}".split("1")]
        inner[byte] = sum(gap % 2 for gap in gaps[1:-1])
        first[byte], last[byte] = gaps[0] % 2, gaps[-1] % 2
    return inner, first, last
