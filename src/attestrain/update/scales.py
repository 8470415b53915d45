"""Scales: one small integer times a power of two per block.

Seven bits of mantissa cost nothing against exact class means (relative error of a Gaussian block 0.124 either way;
plain powers of two: 0.160), and a product with them is exact in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from attestrain.errors import FormatError
from attestrain.update.arrays import Float64s, Int64s

MANTISSA_BITS: Final = 7
MIN_MANTISSA: Final = 1 << (MANTISSA_BITS - 1)
MAX_MANTISSA: Final = (1 << MANTISSA_BITS) - 1
MIN_EXPONENT: Final = -120
"""Smallest exponent: 64 x 2^-120 is a normal float32, so no decoded value depends on how a machine treats subnormals.
A block whose scale would be smaller is sent as zeros and stays in the error feedback."""
MAX_EXPONENT: Final = 100
"""Largest exponent: what values below ``arrays.MAX_MAGNITUDE`` can round up to."""
SCALE_SIZE: Final = 2
"""Bytes of a scale: the mantissa, then the exponent as a signed byte. Zero is two zero bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """One scale per block: mantissa (64..127, or 0 with exponent 0) x 2^exponent."""

    mantissas: NDArray[np.uint8]
    exponents: Int64s

    def values(self) -> Float64s:
        """The scales as numbers, exact (also after a cast to float32)."""
        return np.ldexp(self.mantissas.astype(np.float64), self.exponents)

    @property
    def top(self) -> int:
        """Largest exponent of a scale that is not zero; ``MIN_EXPONENT`` if all are."""
        return int(np.max(np.where(self.mantissas > 0, self.exponents, MIN_EXPONENT)))

    def from_exponent(self, lowest: int) -> Scales:
        """These scales, zero where the exponent is below ``lowest``."""
        kept = (self.mantissas > 0) & (self.exponents >= lowest)
        return Scales(self.mantissas * kept, self.exponents * kept)

    def squares(self, counts: Int64s) -> Fraction:
        """Sum of count x scale^2 over the blocks, exact for counts below 2^48 (int8: 2^20 values of 127^2 = 2^34)."""
        mantissas = self.mantissas.astype(np.int64)
        products = mantissas * mantissas * counts
        total = 0
        for exponent in np.unique(self.exponents):
            part = products[self.exponents == exponent]
            high, low = (part >> 31).sum(dtype=np.int64), (part & 0x7FFFFFFF).sum(dtype=np.int64)
            total += ((int(high) << 31) + int(low)) << 2 * (int(exponent) - MIN_EXPONENT)
        return Fraction(total, 1 << -2 * MIN_EXPONENT)

    def to_bytes(self) -> bytes:
        """Two bytes per block, in block order."""
        return np.stack([self.mantissas.view(np.int8), self.exponents.astype(np.int8)], axis=1).tobytes()

    @classmethod
    def from_bytes(cls, data: memoryview) -> Scales:
        """Read scales strictly.

        Raises:
            FormatError: a mantissa or exponent out of range.
        """
        pairs = np.frombuffer(data, dtype=np.int8).reshape(-1, SCALE_SIZE)
        mantissas = np.ascontiguousarray(pairs[:, 0]).view(np.uint8)
        exponents = pairs[:, 1].astype(np.int64)
        normal = (mantissas >= MIN_MANTISSA) & (mantissas <= MAX_MANTISSA)
        normal &= (exponents >= MIN_EXPONENT) & (exponents <= MAX_EXPONENT)
        if not np.all(normal | ((mantissas == 0) & (exponents == 0))):
            raise FormatError("update has a scale out of range")
        return cls(mantissas, exponents)


def joined(parts: Sequence[Scales]) -> Scales:
    """Scales of consecutive runs of blocks as one."""
    return Scales(
        np.concatenate([part.mantissas for part in parts]), np.concatenate([part.exponents for part in parts])
    )


def mean_scales(totals: Int64s, counts: Int64s, units: Int64s) -> Scales:
    """Round the means totals / counts x 2^units to scales, halves up.

    Integers only, hence the same everywhere. A mean of nothing, of zeros, or below the smallest scale becomes zero.

    Args:
        totals: per block, below 2^45.
        counts: per block, at most 2^20.
        units: per block, exponent of the unit in which totals are counted.
    """
    counts = np.maximum(counts, 1)
    bits = _bit_lengths(totals) - _bit_lengths(counts)
    bits += (totals << np.maximum(-bits, 0)) >= (counts << np.maximum(bits, 0))
    shifts = bits - MANTISSA_BITS
    numerators = totals << np.maximum(-shifts, 0)
    denominators = counts << np.maximum(shifts, 0)
    mantissas = (2 * numerators + denominators) // (2 * denominators)
    carried = mantissas > MAX_MANTISSA
    mantissas = np.where(carried, MIN_MANTISSA, mantissas)
    exponents = shifts + carried + units
    zero = (totals == 0) | (exponents < MIN_EXPONENT)
    return Scales(np.where(zero, 0, mantissas).astype(np.uint8), np.where(zero, 0, exponents))


def _bit_lengths(integers: Int64s) -> Int64s:
    """Bits of each integer, which float64 holds exactly (below 2^53)."""
    return np.frexp(integers.astype(np.float64))[1].astype(np.int64)
