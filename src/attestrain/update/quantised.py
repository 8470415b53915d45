"""Values in blocks as small signed levels times scales: what the low-bit codecs share."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.update.arrays import NOTHING, Bools, Float32s, Int8s, Int64s
from attestrain.update.blocks import Blocks
from attestrain.update.scales import Scales

UNIT_BITS: Final = 24
"""Values enter an encoder as integers of this many bits, counted in 2^-24 of a power of two above their block's
largest: as precise as float32, and a block of 2^20 of them sums within 45 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """Level of every value and scales of every class.

    A level is the sign times the number of the class, counted from 1; 0 is a zero. ``scales[c - 1]`` is class c's.
    """

    blocks: Blocks
    levels: Int8s
    scales: tuple[Scales, ...]

    def values(self) -> Float32s:
        """The values as float32, exact."""
        per_class = [self.blocks.spread(scales.values().astype(np.float32)) for scales in self.scales]
        magnitudes = per_class[0]
        for number, more in enumerate(per_class[1:], start=2):
            magnitudes = np.where(np.abs(self.levels) == number, more, magnitudes)
        return magnitudes * np.sign(self.levels)

    def norm_squared(self) -> Fraction:
        """Sum of the squares, exact."""
        magnitudes = np.abs(self.levels)
        parts = [
            scales.squares(self.blocks.total(magnitudes == number))
            for number, scales in enumerate(self.scales, start=1)
        ]
        return sum(parts, start=Fraction(0))

    def memory(self) -> Float32s:
        """Nothing."""
        return NOTHING


@dataclass(frozen=True, slots=True, eq=False)
class Magnitudes:
    """Absolute values as integers in a unit 2^units of their block."""

    blocks: Blocks
    integers: Int64s
    units: Int64s
    totals: Int64s

    @classmethod
    def of(cls, blocks: Blocks, values: Float32s) -> Magnitudes:
        """Take ``values`` apart, cutting off what lies below the unit."""
        absolute = np.abs(values)
        units = np.frexp(blocks.largest(absolute))[1].astype(np.int64) - UNIT_BITS
        factors = np.ldexp(np.ones(blocks.count, dtype=np.float64), -units)
        integers = (absolute * blocks.spread(factors)).astype(np.int64)
        return cls(blocks, integers, units, blocks.total(integers))

    def at_least(self, numerator: int, denominator: int) -> Bools:
        """Which values are at least numerator / denominator times the mean of their block (all, in one of zeros)."""
        bounds = -(-numerator * self.totals // (denominator * self.blocks.lengths))
        return self.integers >= self.blocks.spread(bounds)
