"""Sign codec: one bit a value, and per block the mean magnitude as scale.

signSGD (Bernstein et al. 2018) with the scale and the error feedback that make it converge: EF-SignSGD (Karimireddy et
al., "Error Feedback Fixes SignSGD", 2019).
"""

from __future__ import annotations

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import NOTHING, Float32s
from attestrain.update.bits import Reader, pack_bits
from attestrain.update.blocks import Blocks, blocks_of
from attestrain.update.planes import Plane, spell_signs
from attestrain.update.quantised import Magnitudes, Quantised
from attestrain.update.scales import SCALE_SIZE, Scales, mean_scales


class Sign(Quantised):
    """An update as levels -1 and 1 and one class of scales. Where a scale is zero all levels of its block are 0."""

    __slots__ = ()

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s = NOTHING) -> Sign:
        """Mean magnitudes by integers alone; a zero counts as positive."""
        blocks = blocks_of(layout, codec.block)
        magnitudes = Magnitudes.of(blocks, values)
        scales = mean_scales(magnitudes.totals, blocks.lengths, magnitudes.units)
        return cls._of(Plane.of_bools(values < 0), blocks, scales)

    @classmethod
    def _of(cls, negative: Plane, blocks: Blocks, scales: Scales) -> Sign:
        levels, used = spell_signs(negative), scales.mantissas > 0
        if not np.all(used):
            levels *= blocks.spread(used.view(np.int8))
        return cls(blocks, levels, (scales,), (blocks.lengths * used,))

    def to_bytes(self) -> bytes:
        """Scales, then signs (1 is negative)."""
        return self.scales[0].to_bytes() + pack_bits(self.levels < 0)

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> Sign:
        """Read strictly: one byte string for each update.

        Raises:
            FormatError: malformed, out of bounds or not canonical.
        """
        blocks = blocks_of(layout, codec.block)
        reader = Reader(body)
        scales = Scales.from_bytes(reader.take(SCALE_SIZE * blocks.count))
        negative = Plane.of(reader.take_packed(blocks.parameters), blocks.parameters)
        reader.end()
        if np.any(negative.total(blocks)[scales.mantissas == 0]):
            raise FormatError("update has a negative zero")
        return cls._of(negative, blocks, scales)
