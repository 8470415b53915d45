"""Lengths of vectors of floats, and factors that shorten them: by integers alone, hence the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.update.arrays import Float32s, Float64s, chunks

NORM_BITS: Final = 24
"""For lengths, values are cut to multiples of 2^-24 of a power of two above the largest: what is lost is below the
rounding of the largest value itself, were it a float32."""
FACTOR_BITS: Final = 52
"""Factors are multiples of 2^-52, exact in float64."""
SMALL_UNIT: Final = 126
"""Powers of two with exponents up to this are normal float32 numbers, and so are their inverses."""
_CHUNK: Final = 1 << 14
"""Values squared at a time: their squares are below 2^48 and the sum below 2^62."""

Vectors = Callable[[slice], Iterable[Float32s | Float64s]]
"""Some vectors, a slice of each at a time."""


def squared_norm(values: Float32s | Float64s) -> Fraction:
    """Sum of the squares after cutting to ``NORM_BITS``: a definition, so exact. Zero for no values."""
    return next(iter(squared_norms(len(values), lambda part: [values[part]])), Fraction(0))


def squared_norms(size: int, vectors: Vectors) -> list[Fraction]:
    """`squared_norm` of several vectors that need not exist as a whole; none for vectors of no values.

    Every vector is cut by its own largest value: with one unit for all, a single huge one would cut the others to zero.

    Args:
        size: values in each vector.
        vectors: gives a slice of every vector, always in the same order; asked for every slice twice.
    """
    tops: list[float] = []
    for part in chunks(size, _CHUNK):
        largest = [_largest(values) for values in vectors(part)]
        tops = [max(pair) for pair in zip(tops, largest, strict=True)] if tops else largest
    units = [int(np.frexp(top)[1]) - NORM_BITS for top in tops]
    totals = [0 for _ in units]
    for part in chunks(size, _CHUNK):
        for index, values in enumerate(vectors(part)):
            totals[index] += _squares(values, units[index])
    return [total * _power_of_two(2 * unit) for total, unit in zip(totals, units, strict=True)]


def largest_of(values: Float32s) -> float:
    """Largest magnitude of some values, or a number that is not finite if one of them is not."""
    found = [_largest(values[part]) for part in chunks(len(values), _CHUNK)]
    return next((one for one in found if not math.isfinite(one)), max(found))


def _largest(values: Float32s | Float64s) -> float:
    return max(float(values.max()), -float(values.min()))


def shrinking(ratio: Fraction) -> float:
    """Square root of a ratio of squared norms below 1, rounded down to ``FACTOR_BITS``."""
    return math.ldexp(float(math.isqrt((ratio.numerator << 2 * FACTOR_BITS) // ratio.denominator)), -FACTOR_BITS)


def _squares(values: Float32s | Float64s, unit: int) -> int:
    """Sum of the squares of the values in units of 2^unit, without their fractions: whole numbers below 2^24."""
    if values.dtype == np.float32 and abs(unit) <= SMALL_UNIT:
        # Exact where the result is not below 2^-126, and that has no whole part.
        scaled: Float32s | Float64s = values * np.float32(math.ldexp(1.0, -unit))
    else:
        half = -unit // 2  # 2^-unit itself may be beyond float64
        scaled = values.astype(np.float64)
        scaled *= math.ldexp(1.0, half)
        scaled *= math.ldexp(1.0, -unit - half)
    integers = scaled.astype(np.int32).astype(np.int64)
    integers *= integers
    return int(integers.sum(dtype=np.int64))


def _power_of_two(exponent: int) -> Fraction:
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)
