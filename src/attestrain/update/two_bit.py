"""Two-bit codec: a sign and one of two magnitudes per value, each magnitude a scale of the block.

The two scales are the mean magnitudes of the values below and from 5/4 of the block's mean on: for Gaussian values
the least square error that four levels can have (Lloyd and Max, 0.117; levels 1 and 3 times one scale: 0.119, and more
for heavier tails), and the plane that says which values are large codes below one bit a value.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import NOTHING, Bools, Float32s, Int8s, Int64s
from attestrain.update.bits import Reader, pack_bits
from attestrain.update.blocks import Blocks, blocks_of
from attestrain.update.gaps import read_plane, write_positions
from attestrain.update.planes import Plane, count, spell_both
from attestrain.update.quantised import Magnitudes, Quantised
from attestrain.update.scaled import scale
from attestrain.update.scales import SCALE_SIZE, Scales, joined, mean_scales

THRESHOLD: Final = (5, 4)
"""Large from this multiple of the block's mean magnitude on."""


class TwoBit(Quantised):
    """An update as levels -2, -1, 1, 2 and two classes of scales, small and large.

    A scale is zero where its class is empty; the small one also where its values are zeros, whose sign is then plus.
    """

    __slots__ = ()

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s = NOTHING) -> TwoBit:
        """Choose levels and scales, by integers alone."""
        blocks = blocks_of(layout, codec.block)
        levels, scales = np.empty(blocks.parameters, dtype=np.int8), list[tuple[Scales, Scales]]()
        for place, piece in blocks.pieces():
            levels[place], found = _quantised(piece, values[place])
            scales.append(found)
        low, high = (joined(part) for part in zip(*scales, strict=True))
        counts = count(blocks, np.abs(levels) == 2)
        return cls(blocks, levels, (low, high), (blocks.lengths - counts, counts))

    def to_bytes(self) -> bytes:
        """Small scales, large scales, positions of the large values, all signs (1 is negative)."""
        large = np.flatnonzero(np.abs(self.levels) == 2)
        scales = b"".join(scales.to_bytes() for scales in self.scales)
        return scales + write_positions(large) + pack_bits(self.levels < 0)

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> TwoBit:
        """Read strictly: one byte string for each update.

        Raises:
            FormatError: malformed, out of bounds or not canonical.
        """
        blocks = blocks_of(layout, codec.block)
        reader = Reader(body)
        low = Scales.from_bytes(reader.take(SCALE_SIZE * blocks.count))
        high = Scales.from_bytes(reader.take(SCALE_SIZE * blocks.count))
        large = read_plane(reader, blocks.parameters)
        negative = Plane.of(reader.take_packed(blocks.parameters), blocks.parameters)
        reader.end()
        counts = large.total(blocks)
        _check_classes(blocks, counts, low, high)
        _check_zeros(blocks, large, negative, low)
        return cls(blocks, spell_both(large, negative), (low, high), (blocks.lengths - counts, counts))

    def levels_in(self, chunk: slice) -> tuple[Int8s, ...]:
        """The levels of some values as -1, 0, 1: of the small ones, and of the large ones."""
        signs = np.sign(self.levels[chunk])
        large = self.levels[chunk] - signs
        signs -= large
        return signs, large

    def nonzero(self, chunk: slice) -> Bools:
        """Which of some values are not zero: the large ones, and where the small scale is not."""
        if np.all(self.scales[0].mantissas):
            return np.ones(chunk.stop - chunk.start, dtype=np.bool_)
        small, large = self.levels_in(chunk)
        scale(small, self.blocks, chunk, self.scales[0].mantissas.view(np.int8))
        found: Bools = (small | large) != 0
        return found


def _check_classes(blocks: Blocks, counts: Int64s, low: Scales, high: Scales) -> None:
    has_low, has_high = low.mantissas > 0, high.mantissas > 0
    if not np.array_equal(counts > 0, has_high) or np.any(has_low & (counts == blocks.lengths)):
        raise FormatError("update has a scale without values or values without a scale")
    if np.any(has_high & (low.values() >= high.values())):
        raise FormatError("update has a small scale that is not below the large one")


def _check_zeros(blocks: Blocks, large: Plane, negative: Plane, low: Scales) -> None:
    """A small value of a block without a small scale is zero, and no zero is negative."""
    small = Plane.of(negative.packed & ~large.packed, blocks.parameters)
    if np.any(small.total(blocks)[low.mantissas == 0]):
        raise FormatError("update has a negative zero")


def _levels(large: Bools, negative: Bools) -> Int8s:
    levels = 1 + large.view(np.int8)
    return np.where(negative, -levels, levels)


def _quantised(blocks: Blocks, values: Float32s) -> tuple[Int8s, tuple[Scales, Scales]]:
    magnitudes = Magnitudes.of(blocks, values)
    large = magnitudes.at_least(*THRESHOLD)
    upper, counts = blocks.total(np.where(large, magnitudes.integers, 0)), count(blocks, large)
    low = mean_scales(magnitudes.totals - upper, blocks.lengths - counts, magnitudes.units)
    high = mean_scales(upper, counts, magnitudes.units)
    large &= blocks.spread(high.mantissas > 0)
    negative = (values < 0) & (large | blocks.spread(low.mantissas > 0))
    return _levels(large, negative), (low, high)
