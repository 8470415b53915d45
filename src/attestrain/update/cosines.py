"""The discrete cosine transform in integers: the same table and the same coefficients on every machine.

DCT-II with orthonormal rows (Ahmed, Natarajan and Rao 1974), its matrix rounded to multiples of 2^-14. The cosines come
from their power series in fixed point, because those of libraries differ between machines in their last bits.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np

from attestrain.update.arrays import Float64s
from attestrain.update.whole import Whole, product

TABLE_BITS: Final = 14
"""The table holds cosines times 2^14: no entry is above sqrt(2 / size), so that twelve bits remain for size 64."""
_FIXED: Final = 96
"""Bits after the point while the table is computed."""
_PI: Final = 0x3243F6A8885A308D313198A2E
"""Pi times 2^96, rounded down."""
VALUE_BITS: Final = 20
"""Bits of the values that are transformed."""


@functools.lru_cache(maxsize=512)
def table(size: int) -> Whole:
    """Row k, column n: sqrt((1 if k = 0 else 2) / size) cos(pi (2 n + 1) k / (2 size)), times 2^14, rounded."""
    rows = [[_entry(size, k, n) for n in range(size)] for k in range(size)]
    bits = max(1, max(abs(entry) for row in rows for entry in row).bit_length())
    return Whole(np.array(rows, dtype=np.float64), bits)


def _entry(size: int, k: int, n: int) -> int:
    length = math.isqrt(((1 if k == 0 else 2) << 2 * _FIXED) // size)
    exact = length * _cosine((2 * n + 1) * k % (4 * size), size) >> _FIXED
    return (exact + (1 << _FIXED - TABLE_BITS - 1)) >> (_FIXED - TABLE_BITS)


@functools.cache
def _cosine(turn: int, size: int) -> int:
    """cos(pi turn / (2 size)) in fixed point, for 0 <= turn < 4 size."""
    if turn > 2 * size:
        turn = 4 * size - turn
    if turn > size:
        return -_cosine(2 * size - turn, size)
    angle = _PI * turn // (2 * size)
    square, term, total, n = angle * angle >> _FIXED, 1 << _FIXED, 0, 0
    while term:
        total += term
        n += 2
        term = (abs(term) * square >> _FIXED) // (n * (n - 1)) * (-1 if term > 0 else 1)
    return total


def forward(tiles: Float64s) -> Float64s:
    """Coefficients of tiles (N, rows, columns) of integers up to 2^20.

    After the transform in either direction they are rounded to integers, halves to even.
    """
    _, rows, columns = tiles.shape
    once = _along_rows(table(rows), tiles, VALUE_BITS)
    down = np.rint(once * math.ldexp(1.0, -TABLE_BITS))
    bits = VALUE_BITS + (rows - 1).bit_length() + 1
    across = _along_rows(table(columns), np.swapaxes(down, 1, 2), bits)
    return np.swapaxes(np.rint(across * math.ldexp(1.0, -TABLE_BITS)), 1, 2)


def backward(tiles: Float64s, bits: int) -> Float64s:
    """Values whose coefficients are ``tiles`` (N, rows, columns), integers of ``bits``, times 2^28: exact."""
    _, rows, columns = tiles.shape
    first, second = table(rows).transposed, table(columns).transposed
    down = _along_rows(first, tiles, bits)
    between = bits + first.bits + (rows - 1).bit_length()
    across = _along_rows(second, np.swapaxes(down, 1, 2), between)
    return np.swapaxes(across, 1, 2)


def _along_rows(matrix: Whole, tiles: Float64s, bits: int) -> Float64s:
    """``matrix`` times each tile."""
    count, rows, columns = tiles.shape
    side_by_side = np.ascontiguousarray(np.swapaxes(tiles, 0, 1)).reshape(rows, count * columns)
    moved = product(matrix, Whole(side_by_side, bits)).values
    return np.swapaxes(moved.reshape(rows, count, columns), 0, 1)
