"""Integer codecs: every value a level of 8 or 4 bits times the scale of its block.

Symmetric uniform quantisation, as OpenDiLoCo and INTELLECT-1 (arXiv 2412.01152) use it at 8 bits and Streaming DiLoCo
(arXiv 2501.18512) and DiLoCoX (arXiv 2506.21263) at 4. The scale is the largest magnitude of the block over the largest
level, rounded down to seven bits. So the value of largest magnitude always becomes the largest level, which is what
makes the bytes canonical; with 8 bits a value within 1/64 of it may be sent up to two steps too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import MAX_MAGNITUDE, NOTHING, Bools, Float32s, Int8s, Int64s, chunks
from attestrain.update.bits import Reader, packed_size
from attestrain.update.blocks import CHUNK, Blocks, blocks_of, strips_of
from attestrain.update.quantised import UNIT_BITS
from attestrain.update.scaled import Scaled
from attestrain.update.scales import MANTISSA_BITS, MAX_MANTISSA, MIN_EXPONENT, SCALE_SIZE, Scales
from attestrain.update.scratch import Scratch


@dataclass(frozen=True, slots=True, eq=False)
class Levels(Scaled):
    """Values in blocks as integers -``LARGEST`` .. ``LARGEST`` times the scale of their block.

    In every block some level is the largest one, or the scale is zero and all levels are.
    """

    LARGEST: ClassVar[int]
    BITS: ClassVar[int]

    blocks: Blocks
    levels: Int8s
    scales: Scales

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s = NOTHING) -> Self:
        """Choose scales by integers alone, and round to levels."""
        return cls.of(blocks_of(layout, codec.block), values)

    @classmethod
    def of(cls, blocks: Blocks, values: Float32s, window: int | None = None) -> Self:
        """Quantise ``values``.

        Args:
            blocks: how they are cut.
            values: as many as ``blocks`` hold.
            window: blocks whose scale has an exponent more than this below the largest one become zero.
        """
        scales = largest_scales(blocks.largest(np.abs(values)), cls.LARGEST)
        if window is not None:
            scales = scales.from_exponent(scales.top - window)
        divisors = np.where(scales.mantissas > 0, scales.values(), np.inf).astype(np.float32)
        levels = values / blocks.spread(divisors)
        np.rint(levels, out=levels)
        np.clip(levels, -cls.LARGEST, cls.LARGEST, out=levels)
        return cls(blocks, levels.astype(np.int8), scales)

    @property
    def classes(self) -> tuple[Scales, ...]:
        """One, of all values."""
        return (self.scales,)

    def levels_in(self, chunk: slice) -> tuple[Int8s, ...]:
        """The levels of some values."""
        return (self.levels[chunk],)

    def nonzero(self, chunk: slice) -> Bools:
        """Which of some values are not zero."""
        found: Bools = self.levels[chunk] != 0
        return found

    def norm_squared(self) -> Fraction:
        """Sum of the squares, exact."""
        return self.scales.squares(self.squares())

    def squares(self) -> Int64s:
        """Sum of the squares of the levels of each block."""
        totals, scratch = np.zeros(self.blocks.count, dtype=np.int64), Scratch()
        for chunk in self.pieces():
            squares = scratch.take("squares", chunk.stop - chunk.start, np.int32)
            np.copyto(squares, self.levels[chunk])
            squares *= squares
            for strip in strips_of(self.blocks, chunk.start, chunk.stop):  # 2^17 values of 127^2: within 31 bits
                rows = squares[strip.values].reshape(-1, strip.length)
                totals[strip.blocks] += rows.sum(axis=1, dtype=np.int32)
        return totals

    def to_bytes(self) -> bytes:
        """Scales, then levels."""
        return self.scales.to_bytes() + self._pack()

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> Self:
        """Read strictly: one byte string for each update.

        Raises:
            FormatError: malformed, out of bounds or not canonical.
        """
        reader = Reader(body)
        update = cls.read(blocks_of(layout, codec.block), reader)
        reader.end()
        return update

    @classmethod
    def read(cls, blocks: Blocks, reader: Reader) -> Self:
        """Read the part of an update that ``to_bytes`` wrote for ``blocks``; as ``from_bytes``."""
        scales = Scales.from_bytes(reader.take(SCALE_SIZE * blocks.count))
        levels = cls._unpack(reader.take(packed_size(cls.BITS * blocks.parameters)), blocks.parameters)
        lowest = np.minimum.reduceat(levels, blocks.starts)
        if np.min(lowest) < -cls.LARGEST:
            raise FormatError(f"update has the level {-cls.LARGEST - 1}")
        largest = np.maximum(np.maximum.reduceat(levels, blocks.starts), -lowest)
        if not np.array_equal(largest, np.where(scales.mantissas > 0, cls.LARGEST, 0)):
            raise FormatError("update has a block whose scale does not belong to its largest level")
        if not np.max(scales.values()) * cls.LARGEST < MAX_MAGNITUDE:
            raise FormatError("update has a value that is too large")
        return cls(blocks, levels, scales)

    def _pack(self) -> bytes:
        raise NotImplementedError

    @classmethod
    def _unpack(cls, data: memoryview, count: int) -> Int8s:
        raise NotImplementedError


class Int8(Levels):
    """Levels -127 .. 127, a byte each."""

    __slots__ = ()
    LARGEST = 127
    BITS = 8

    def _pack(self) -> bytes:
        return self.levels.tobytes()

    @classmethod
    def _unpack(cls, data: memoryview, count: int) -> Int8s:
        return np.frombuffer(data, dtype=np.int8)


class Int4(Levels):
    """Levels -7 .. 7 in two's complement, two a byte, the first in the higher half; an odd last half is zero."""

    __slots__ = ()
    LARGEST = 7
    BITS = 4

    def _pack(self) -> bytes:
        even = np.pad(self.levels, (0, 1)) if len(self.levels) % 2 else self.levels
        return ((even[0::2] << 4) | (even[1::2] & 15)).astype(np.int8).tobytes()

    @classmethod
    def _unpack(cls, data: memoryview, count: int) -> Int8s:
        pairs = np.frombuffer(data, dtype=np.uint8)
        levels, scratch = np.empty(2 * len(pairs), dtype=np.int8), Scratch()
        for chunk in chunks(len(pairs), CHUNK):
            part = levels[2 * chunk.start : 2 * chunk.stop]
            wide, second = part.view("<u2"), scratch.take("second", chunk.stop - chunk.start, np.uint16)
            np.copyto(wide, pairs[chunk])
            np.left_shift(wide, 8, out=second)
            second &= 0x0F00
            wide >>= 4  # the first of two levels in the first byte
            wide |= second
            part ^= 8
            part -= 8  # four bits of two's complement
        if count % 2 and levels[-1]:
            raise FormatError("update has padding bits that are not zero")
        return levels[:count]


def largest_scales(largest: Float32s, level: int) -> Scales:
    """Scales largest / level, rounded down to seven bits by integers alone.

    A scale of zeros, or with an exponent below the smallest, becomes zero.

    Args:
        largest: largest magnitude of each block.
        level: largest level, 1 .. 127.
    """
    fractions, exponents = np.frexp(largest)
    integers = np.ldexp(fractions, UNIT_BITS).astype(np.int64)
    shift = UNIT_BITS - MANTISSA_BITS - level.bit_length()
    mantissas = integers // (level << shift)
    above = mantissas > MAX_MANTISSA
    mantissas = np.where(above, integers // (level << (shift + 1)), mantissas)
    exponents = exponents.astype(np.int64) + (shift - UNIT_BITS) + above
    scales = Scales(mantissas.astype(np.uint8), np.where(mantissas > 0, exponents, 0))
    return scales.from_exponent(MIN_EXPONENT)
