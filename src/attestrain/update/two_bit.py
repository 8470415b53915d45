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
from attestrain.update.arrays import NOTHING, Bools, Float32s, Int8s
from attestrain.update.bits import Reader, pack_bits
from attestrain.update.blocks import Blocks, blocks_of
from attestrain.update.gaps import read_positions, write_positions
from attestrain.update.quantised import Magnitudes, Quantised
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
        return cls(blocks, levels, (low, high))

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
        large = np.zeros(blocks.parameters, dtype=np.bool_)
        large[read_positions(reader, blocks.parameters)] = True
        negative = reader.take_bits(blocks.parameters).view(np.bool_)
        reader.end()
        _check_classes(blocks, large, negative, low, high)
        return cls(blocks, _levels(large, negative), (low, high))


def _levels(large: Bools, negative: Bools) -> Int8s:
    levels = 1 + large.view(np.int8)
    return np.where(negative, -levels, levels)


def _check_classes(blocks: Blocks, large: Bools, negative: Bools, low: Scales, high: Scales) -> None:
    counts = blocks.total(large)
    has_low, has_high = low.mantissas > 0, high.mantissas > 0
    if not np.array_equal(counts > 0, has_high) or np.any(has_low & (counts == blocks.lengths)):
        raise FormatError("update has a scale without values or values without a scale")
    if np.any(has_high & (low.values() >= high.values())):
        raise FormatError("update has a small scale that is not below the large one")
    if np.any(negative & ~large & ~blocks.spread(has_low)):
        raise FormatError("update has a negative zero")


def _quantised(blocks: Blocks, values: Float32s) -> tuple[Int8s, tuple[Scales, Scales]]:
    magnitudes = Magnitudes.of(blocks, values)
    large = magnitudes.at_least(*THRESHOLD)
    upper, count = blocks.total(np.where(large, magnitudes.integers, 0)), blocks.total(large)
    low = mean_scales(magnitudes.totals - upper, blocks.lengths - count, magnitudes.units)
    high = mean_scales(upper, count, magnitudes.units)
    large &= blocks.spread(high.mantissas > 0)
    negative = (values < 0) & (large | blocks.spread(low.mantissas > 0))
    return _levels(large, negative), (low, high)
