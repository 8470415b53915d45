"""A matrix as the product of two thin quantised factors, multiplied exactly and rounded once.

Both factors are held component by component, that is, as the transposes of the papers' P and Q.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.errors import FormatError
from attestrain.update.arrays import Bools, Float32s, Int8s
from attestrain.update.bits import Reader
from attestrain.update.blocks import Blocks
from attestrain.update.integer import Int4, Int8, Levels
from attestrain.update.norms import squared_norm
from attestrain.update.scales import MANTISSA_BITS, MIN_EXPONENT, Scales
from attestrain.update.whole import Whole, product

MAX_SIDE: Final = 1 << 21
"""Most rows or columns of a matrix that is factorised: with the bits below, sums of so many terms are exact."""
MAX_RANK: Final = 1 << 12
"""Highest rank: so many components add up exactly."""

LEFT_WINDOW: Final = 6
"""Exponents of a left factor's scales lie at most this far below the largest one. Blocks that would need smaller scales
are sent as zeros and stay in the error feedback."""
RIGHT_WINDOWS: Final[dict[type[Levels], int]] = {Int4: 16, Int8: 8}
"""The same for the right factor: what float64 leaves to it at rank ``MAX_RANK``."""
MIN_TOP: Final = -90
MAX_TOP: Final = 80
"""Range of the largest exponent of a right factor: no decoded value is subnormal, and all are below ``MAX_MAGNITUDE``.
A matrix of smaller values is sent as zeros."""
PIECE: Final = 1 << 20
"""Values of a matrix that are decoded at a time, if its rows are not longer than ``PIECE`` / ``PIECE_ROWS``."""
PIECE_ROWS: Final = 128


@dataclass(frozen=True, slots=True)
class Shape:
    """A matrix, the rank of its factors and the length of their blocks."""

    rows: int
    columns: int
    rank: int
    block: int

    @property
    def left(self) -> Blocks:
        """Blocks of the left factor: ``rank`` vectors with a value for each row."""
        return _blocks(self.rank, self.rows, self.block)

    @property
    def right(self) -> Blocks:
        """Blocks of the right factor: ``rank`` vectors with a value for each column."""
        return _blocks(self.rank, self.columns, self.block)


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """A matrix as the sum over its components of left vector times right vector.

    In each component the largest scale of the left vector is 1 / (``LARGEST`` + 1) and its first level that is not zero
    is positive, or both vectors are zero. Components come in descending order of their norm.
    """

    shape: Shape
    left: Levels
    right: Levels

    def canonical(self) -> Factors:
        """The same with components in order, and zeros for those that contribute nothing."""
        norms = self.spectrum()
        order = sorted(range(len(norms)), key=lambda component: -norms[component])
        present = np.array([norms[component] > 0 for component in order], dtype=np.bool_)
        if self.right.scales.top < MIN_TOP:
            present[:] = False
        return Factors(self.shape, _picked(self.left, order, present), _picked(self.right, order, present))

    def pieces(self) -> Iterator[tuple[int, Float32s]]:
        """The matrix, some rows at a time: the number of the first one, and the values, each rounded once."""
        left_unit = _left_top(type(self.left)) - LEFT_WINDOW
        right_unit = self.right.scales.top - RIGHT_WINDOWS[type(self.right)]
        left = _whole(self.left, self.shape.rank, left_unit, MANTISSA_BITS - 1 + LEFT_WINDOW)
        right = _whole(self.right, self.shape.rank, right_unit, MANTISSA_BITS + RIGHT_WINDOWS[type(self.right)])
        unit = math.ldexp(1.0, left_unit + right_unit)
        step = max(PIECE // self.shape.columns, PIECE_ROWS)
        for at in range(0, self.shape.rows, step):
            rows = Whole(left.values[:, at : at + step], left.bits).transposed
            yield at, (product(rows, right).values * unit).astype(np.float32)

    def norm_squared(self) -> Fraction:
        """Sum of the squares of the matrix, as of a dense update."""
        return squared_norm(np.concatenate([values.reshape(-1) for _, values in self.pieces()]))

    def spectrum(self) -> list[Fraction]:
        """Squared norm of each component: close to the squares of the largest singular values of the matrix."""
        pairs = zip(_norms(self.left, self.shape.rank), _norms(self.right, self.shape.rank), strict=True)
        return [left * right for left, right in pairs]

    def to_bytes(self) -> bytes:
        """The left factor, then the right one."""
        return self.left.to_bytes() + self.right.to_bytes()

    @classmethod
    def read(cls, kind: type[Levels], shape: Shape, reader: Reader) -> Factors:
        """Read strictly.

        Raises:
            FormatError: malformed, out of bounds or not canonical.
        """
        factors = cls(shape, kind.read(shape.left, reader), kind.read(shape.right, reader))
        _check_left(factors.left, shape.rank)
        _check_right(factors.right)
        if not np.array_equal(_present(factors.left, shape.rank), _present(factors.right, shape.rank)):
            raise FormatError("update has a component of which one factor is zero")
        norms = factors.spectrum()
        if any(earlier < later for earlier, later in itertools.pairwise(norms)):
            raise FormatError("update has components that are not in descending order")
        return factors


@functools.lru_cache(maxsize=64)
def _blocks(vectors: int, length: int, block: int) -> Blocks:
    """Blocks of ``vectors`` vectors of ``length`` values; none crosses from one into the next."""
    heads = np.arange(vectors, dtype=np.int64)[:, np.newaxis] * length
    starts = (heads + np.arange(0, length, block, dtype=np.int64)).reshape(-1)
    return Blocks(starts, np.diff(starts, append=np.int64(vectors * length)))


def _left_top(kind: type[Levels]) -> int:
    """Exponent of the scale 1 / (``LARGEST`` + 1), whose mantissa is the smallest."""
    return -(kind.BITS - 1) - (MANTISSA_BITS - 1)


def _whole(factor: Levels, rank: int, unit: int, more: int) -> Whole:
    """A factor as integers in units of 2^unit, which take ``more`` bits than its levels."""
    values = np.multiply(factor.values(), math.ldexp(1.0, -unit), dtype=np.float64)
    return Whole(values.reshape(rank, -1), factor.BITS - 1 + more)


def first_levels(factor: Levels, rank: int) -> Int8s:
    """The first level of each vector that is not zero, or zero; a column."""
    levels = factor.levels.reshape(rank, -1)
    return np.take_along_axis(levels, np.argmax(levels != 0, axis=1)[:, np.newaxis], axis=1)


def _present(factor: Levels, rank: int) -> Bools:
    """Which vectors are not zero."""
    present: Bools = np.any(factor.scales.mantissas.reshape(rank, -1) > 0, axis=1)
    return present


def _picked(factor: Levels, order: list[int], present: Bools) -> Levels:
    """The vectors in another order, those not ``present`` set to zero."""
    rank, kept = len(order), present[:, np.newaxis]
    levels = factor.levels.reshape(rank, -1)[order] * kept
    mantissas = factor.scales.mantissas.reshape(rank, -1)[order] * kept
    exponents = factor.scales.exponents.reshape(rank, -1)[order] * kept
    return type(factor)(factor.blocks, levels.reshape(-1), Scales(mantissas.reshape(-1), exponents.reshape(-1)))


def _norms(factor: Levels, rank: int) -> list[Fraction]:
    """Squared norm of each vector."""
    mantissas = factor.scales.mantissas.astype(np.int64)
    squares = (mantissas * mantissas * factor.squares()).reshape(rank, -1).tolist()
    shifts = (2 * (factor.scales.exponents - MIN_EXPONENT)).reshape(rank, -1).tolist()
    sums = [
        sum(square << shift for square, shift in zip(*row, strict=True)) for row in zip(squares, shifts, strict=True)
    ]
    return [Fraction(total, 1 << -2 * MIN_EXPONENT) for total in sums]


def _check_left(left: Levels, rank: int) -> None:
    top = _left_top(type(left))
    scales = left.scales.values().reshape(rank, -1)
    largest = np.max(scales, axis=1)
    if np.any((largest != 1 / (left.LARGEST + 1)) & (largest > 0)):
        raise FormatError("update has a left factor of another size")
    _check_window(left.scales, top - LEFT_WINDOW)
    if np.any(first_levels(left, rank) < 0):
        raise FormatError("update has a left factor that begins with a negative value")


def _check_right(right: Levels) -> None:
    top = right.scales.top
    if np.any(right.scales.mantissas) and not MIN_TOP <= top <= MAX_TOP:
        raise FormatError("update has a right factor out of range")
    _check_window(right.scales, top - RIGHT_WINDOWS[type(right)])


def _check_window(scales: Scales, lowest: int) -> None:
    if np.any((scales.mantissas > 0) & (scales.exponents < lowest)):
        raise FormatError("update has a scale too far below the largest one of its factor")
