"""Ternary codec: -1, 0 or 1 times one scale per block, about 1.6 bits a value.

Values of at least 3/4 of the block's mean magnitude are kept and sent as their mean, next to the least square error for
Gaussian values. The usual 0.7 (Li, Zhang and Liu, "Ternary Weight Networks", 2016) takes 2 % more bytes and is no
nearer.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import NOTHING, Float32s, Int8s
from attestrain.update.bits import Reader, pack_bits
from attestrain.update.blocks import Blocks, blocks_of
from attestrain.update.gaps import read_plane, write_positions
from attestrain.update.planes import Plane, count, spell_kept
from attestrain.update.quantised import Magnitudes, Quantised
from attestrain.update.scales import SCALE_SIZE, Scales, joined, mean_scales

THRESHOLD: Final = (3, 4)
"""Kept from this fraction of the block's mean magnitude on."""


class Ternary(Quantised):
    """An update as levels -1, 0, 1 and one class of scales. A block's scale is zero where all its levels are."""

    __slots__ = ()

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s = NOTHING) -> Ternary:
        """Choose levels and scales, by integers alone."""
        blocks = blocks_of(layout, codec.block)
        levels, scales = np.empty(blocks.parameters, dtype=np.int8), list[Scales]()
        for place, piece in blocks.pieces():
            levels[place], found = _quantised(piece, values[place])
            scales.append(found)
        return cls(blocks, levels, (joined(scales),), (count(blocks, levels != 0),))

    def to_bytes(self) -> bytes:
        """Scales, positions of the values that are not zero, their signs (1 is negative)."""
        positions = np.flatnonzero(self.levels != 0)
        return self.scales[0].to_bytes() + write_positions(positions) + pack_bits(self.levels[positions] < 0)

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> Ternary:
        """Read strictly: one byte string for each update.

        Raises:
            FormatError: malformed, out of bounds or not canonical.
        """
        blocks = blocks_of(layout, codec.block)
        reader = Reader(body)
        scales = Scales.from_bytes(reader.take(SCALE_SIZE * blocks.count))
        kept = read_plane(reader, blocks.parameters)
        negative = Plane.of(reader.take_packed(kept.ones), kept.ones)
        reader.end()
        counts = kept.total(blocks)
        if not np.array_equal(counts > 0, scales.mantissas > 0):
            raise FormatError("update has a scale without values or values without a scale")
        return cls(blocks, spell_kept(kept, negative), (scales,), (counts,))


def _quantised(blocks: Blocks, values: Float32s) -> tuple[Int8s, Scales]:
    magnitudes = Magnitudes.of(blocks, values)
    kept = magnitudes.at_least(*THRESHOLD)
    totals = blocks.total(np.where(kept, magnitudes.integers, 0))
    scales = mean_scales(totals, count(blocks, kept), magnitudes.units)
    kept &= blocks.spread(scales.mantissas > 0)
    return kept.view(np.int8) * (1 - 2 * (values < 0).view(np.int8)), scales
