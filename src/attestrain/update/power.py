"""One step of power iteration: the factors of a matrix as PowerSGD finds them, in exact arithmetic.

PowerSGD (Vogels et al., arXiv 1905.13727), with quantised factors as in DiLoCoX (arXiv 2506.21263). Where the papers
divide each vector of the left factor by its length, ours are divided by their largest magnitude and the right factor
makes up for it: what is sent is the same up to rounding and needs no square root.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from attestrain.record.digest import sha256
from attestrain.update.arrays import Float32s, Float64s
from attestrain.update.factors import LEFT_WINDOW, RIGHT_WINDOWS, Factors, Shape, first_levels
from attestrain.update.integer import Levels
from attestrain.update.whole import Whole, orthogonal_rows, product, round_rows, row_squares

MATRIX_BITS: Final = 20
"""The matrix enters as integers in a unit of 2^-20 of a power of two above its largest value."""
START_BITS: Final = 12
SKETCH_BITS: Final = 16
LEFT_BITS: Final = 12
"""Bits of the right factor to start from, of its product with the matrix, and of the left factor when it is multiplied
with the matrix in turn. What they cut off is far below the error of four bits."""

MAX_MATRIX_EXPONENT: Final = 60
"""A matrix with larger values is scaled down to below 2^60; the rest of it stays in the error feedback."""

START_LABEL: Final = b"attestrain.dev/lowrank-start@v1\n"


def factorise(kind: type[Levels], shape: Shape, matrix: Float32s, memory: Float32s) -> Factors:
    """Factorise a matrix.

    Args:
        kind: how the factors are quantised.
        shape: of ``matrix`` and its factors.
        matrix: rows x columns.
        memory: rank x columns, where to start. Vectors of zeros are replaced by signs from SHA-256.
    """
    exponent = int(np.frexp(np.max(np.abs(matrix)))[1])
    unit = math.ldexp(1.0, MATRIX_BITS - exponent)
    whole = Whole(np.rint(np.multiply(matrix, unit, dtype=np.float64)), MATRIX_BITS)
    sketch = round_rows(product(_start(memory), whole.transposed).values, SKETCH_BITS)
    left = _left_factor(kind, shape, orthogonal_rows(sketch))
    scale = math.ldexp(1.0, min(exponent, MAX_MATRIX_EXPONENT) - MATRIX_BITS)
    values = (_projected(left.values().reshape(shape.rank, -1), whole) * scale).astype(np.float32)
    right = kind.of(shape.right, values.reshape(-1), RIGHT_WINDOWS[kind])
    return Factors(shape, left, right).canonical()


def _start(memory: Float32s) -> Whole:
    """The right factor to start from."""
    usable = np.any(memory != 0, axis=1) & np.all(np.isfinite(memory), axis=1)
    start = memory.astype(np.float64)
    for component in np.flatnonzero(~usable):
        start[component] = _signs(int(component), memory.shape[1])
    return round_rows(start, START_BITS)


def _signs(component: int, count: int) -> Float64s:
    """Signs of a vector to start from, the same in every matrix: bits of SHA-256 in counter mode (1 is negative)."""
    heads = START_LABEL + component.to_bytes(4, "little")
    stream = b"".join(sha256(heads + number.to_bytes(4, "little")) for number in range(-(-count // 256)))
    bits = np.unpackbits(np.frombuffer(stream, dtype=np.uint8), count=count)
    return 1.0 - 2.0 * bits.astype(np.float64)


def _left_factor(kind: type[Levels], shape: Shape, vectors: Float64s) -> Levels:
    """Quantise the left factor, each vector scaled to the same largest value and turned to begin positive."""
    largest = np.maximum(np.max(np.abs(vectors), axis=1), 1.0)[:, np.newaxis]
    scaled = vectors / largest * (kind.LARGEST / (kind.LARGEST + 1))
    left = kind.of(shape.left, scaled.astype(np.float32).reshape(-1), LEFT_WINDOW)
    turned = left.levels.reshape(shape.rank, -1) * np.where(first_levels(left, shape.rank) < 0, np.int8(-1), np.int8(1))
    return kind(left.blocks, turned.reshape(-1), left.scales)


def _projected(left: Float32s, matrix: Whole) -> Float64s:
    """The right factor that fits best to each vector of the left one by itself, in units of the matrix."""
    exact = Whole(np.rint(np.multiply(left, 1 << LEFT_BITS, dtype=np.float64)), LEFT_BITS)
    squares = np.maximum(row_squares(exact), 1).astype(np.float64)[:, np.newaxis]
    return product(exact, matrix).values / squares * float(1 << LEFT_BITS)
