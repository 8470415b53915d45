"""Values in blocks as small signed levels times scales: what the low-bit codecs share."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.update.arrays import Bools, Float32s, Int8s, Int64s
from attestrain.update.blocks import Blocks
from attestrain.update.scaled import Scaled
from attestrain.update.scales import Scales

UNIT_BITS: Final = 24
"""Values enter an encoder as integers of this many bits, counted in 2^-24 of a power of two above their block's
largest: as precise as float32, and a block of 2^20 of them sums within 45 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Quantised(Scaled):
    """Level of every value; scales of every class, and how many values of each block it has.

    A level is the sign times the number of the class, counted from 1; 0 is a zero. ``scales[c - 1]`` is class c's.
    """

    blocks: Blocks
    levels: Int8s
    scales: tuple[Scales, ...]
    counts: tuple[Int64s, ...]

    @property
    def classes(self) -> tuple[Scales, ...]:
        """The scales of each class."""
        return self.scales

    def levels_in(self, chunk: slice) -> tuple[Int8s, ...]:
        """The levels of some values as -1, 0, 1, class by class."""
        return (self.levels[chunk],)

    def nonzero(self, chunk: slice) -> Bools:
        """Which of some values are not zero."""
        found: Bools = self.levels[chunk] != 0
        return found

    def norm_squared(self) -> Fraction:
        """Sum of the squares, exact."""
        parts = [scales.squares(counts) for scales, counts in zip(self.scales, self.counts, strict=True)]
        return sum(parts, start=Fraction(0))


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
