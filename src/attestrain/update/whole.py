"""Exact products of matrices: integers in float64, which BLAS may add in any order because no sum is ever rounded.

The only place of the exact path that calls BLAS. Every factor carries the bits of its integers, and a product whose
sums could leave the 53 bits of float64 is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from attestrain.update.arrays import Float64s, Int64s

FLOAT64_BITS: Final = 53
"""Every integer up to 2^53 is a float64."""
COEFFICIENT_BITS: Final = 24
"""Bits of the coefficients of a row in those of the matrix."""
DEPENDENT: Final = math.ldexp(1.0, -20)
"""A row is dropped when less than this share of its square is orthogonal to the rows before it, """
MAX_COEFFICIENT: Final = math.ldexp(1.0, 12)
"""or when it takes larger multiples of them to make it so: little of it would survive the rounding of coefficients."""


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """A matrix of integers of magnitude at most 2^bits, as float64."""

    values: Float64s
    bits: int

    @property
    def transposed(self) -> Whole:
        """The transpose; nothing is copied."""
        return Whole(self.values.T, self.bits)


def product(left: Whole, right: Whole) -> Whole:
    """Matrix product, exact.

    Raises:
        ValueError: the sums might need more than 53 bits.
    """
    inner = left.values.shape[1]
    bits = left.bits + right.bits + (inner - 1).bit_length()
    if bits > FLOAT64_BITS:
        raise ValueError(f"a product of {left.bits} and {right.bits} bits over {inner} terms is not exact")
    sums: Float64s = np.matmul(left.values, right.values)
    sums += 0.0  # BLAS may leave the sign of a zero open; -0.0 + 0.0 is 0.0
    return Whole(sums, bits)


def round_rows(matrix: Float64s, bits: int) -> Whole:
    """Scale every row by a power of two so that its largest magnitude is in 2^(bits - 1) .. 2^bits, and round.

    Rows of zeros stay. Halves are rounded to even.
    """
    exponents = np.frexp(np.max(np.abs(matrix), axis=1))[1]
    factors = np.ldexp(np.ones(len(matrix), dtype=np.float64), bits - exponents)
    return Whole(np.rint(matrix * factors[:, np.newaxis]), bits)


def row_squares(matrix: Whole) -> Int64s:
    """Sum of the squares of each row; at most 2^(2 bits) times the columns, which has to stay below 2^63."""
    integers = matrix.values.astype(np.int64)
    sums: Int64s = (integers * integers).sum(axis=1, dtype=np.int64)
    return sums


def orthogonal_rows(matrix: Whole) -> Float64s:
    """Rows with the same span as those of ``matrix``, each orthogonal to the ones before it, of any length.

    Gram-Schmidt on the exact Gram matrix instead of the rows: elementwise float64 in one order, so the same on every
    machine. A row that is nearly a combination of the ones before it becomes zero.

    Raises:
        ValueError: the sums might need more than 53 bits.
    """
    coefficients = round_rows(_eliminate(product(matrix, matrix.transposed).values), COEFFICIENT_BITS)
    return product(coefficients, matrix).values


def _eliminate(gram: Float64s) -> Float64s:
    """Coefficients M, lower triangular, such that the rows of M Y are orthogonal, where ``gram`` is Y Y^T."""
    left, rows, places = gram.copy(), np.zeros_like(gram), np.arange(len(gram))
    least = gram[places, places] * DEPENDENT
    rows[places, places] = 1.0
    for j in range(len(gram)):
        pivot = left[j, j]
        if not (pivot > least[j] and np.max(np.abs(rows[j])) <= MAX_COEFFICIENT):
            rows[j] = 0.0
            continue
        shares = (left[j + 1 :, j] / pivot)[:, np.newaxis]
        left[j + 1 :, j + 1 :] -= shares * left[j, j + 1 :]
        rows[j + 1 :, : j + 1] -= shares * rows[j, : j + 1]
    return rows
