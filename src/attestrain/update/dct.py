"""Cosine codec: the strongest components of square tiles, as DeMo sends them (arXiv 2411.19870).

Matrices are cut into tiles of ``side`` x ``side`` values, smaller ones at the right and bottom edge; vectors into rows
of ``side``. What a chunk keeps of the coefficients, and how that becomes bytes, is `update.topk`'s business.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.spec import Codec
from attestrain.update.arrays import MAX_MAGNITUDE, NOTHING, Float32s, Float64s, Int64s, Summand
from attestrain.update.cosines import TABLE_BITS, VALUE_BITS, backward, forward
from attestrain.update.dense import Dense
from attestrain.update.topk import TopK

LARGEST: Final = math.ldexp(MAX_MAGNITUDE, -10)
"""No coefficient is sent larger than this, and so no value of up to 2^16 of them either; nothing honest comes near."""
COEFFICIENT_BITS: Final = 14
"""Before the inverse transform, coefficients are integers of this many bits, counted from the tile's largest."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of one size: ``count`` of ``rows`` x ``columns``, where a tensor's matrix has them."""

    start: int
    stride: int
    top: int
    left: int
    down: int
    across: int
    rows: int
    columns: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of tiles, rows and columns of each."""
        return self.down * self.across, self.rows, self.columns

    def take(self, values: Float32s) -> Float32s:
        """The tiles, (N, rows, columns), row of tiles after row of tiles."""
        height, width = self.down * self.rows, self.across * self.columns
        lines = values[self.start + self.top * self.stride :][: height * self.stride].reshape(height, self.stride)
        area = lines[:, self.left : self.left + width]
        grid = area.reshape(self.down, self.rows, self.across, self.columns)
        return np.swapaxes(grid, 1, 2).reshape(self.shape)

    def put(self, values: Float32s, tiles: Float32s) -> None:
        """Write tiles back where `take` found them."""
        height, width = self.down * self.rows, self.across * self.columns
        grid = np.swapaxes(tiles.reshape(self.down, self.across, self.rows, self.columns), 1, 2)
        lines = values[self.start + self.top * self.stride :][: height * self.stride].reshape(height, self.stride)
        lines[:, self.left : self.left + width] = grid.reshape(height, width)


@functools.lru_cache(maxsize=8)
def tilings_of(layout: Layout, side: int) -> tuple[Tiling, ...]:
    """How a layout is tiled: of every tensor the whole tiles, then those at the right, the bottom, in the corner."""
    found = []
    for tensor, start, _ in layout.offsets():
        many = len(tensor.shape) > 1
        height, width = (tensor.shape[0], math.prod(tensor.shape[1:])) if many else (1, tensor.size)
        for top, down, rows in _cuts(height, side):
            for left, across, columns in _cuts(width, side):
                found.append(Tiling(start, width, top, left, down, across, rows, columns))
    return tuple(found)


def _cuts(length: int, side: int) -> Iterator[tuple[int, int, int]]:
    """First place, number and length of the whole pieces of a line, and of the rest."""
    whole, rest = divmod(length, side)
    if whole:
        yield 0, whole, side
    if rest:
        yield whole * side, 1, rest


@functools.lru_cache(maxsize=8)
def _coefficients(layout: Layout, side: int) -> Layout:
    """Layout of the coefficients: one tensor for each tiling, tile after tile."""
    zeros = Init("zeros")
    return Layout(
        tuple(TensorSpec(str(i), (math.prod(t.shape),), zeros) for i, t in enumerate(tilings_of(layout, side)))
    )


def _chunked(codec: Codec) -> Codec:
    """The codec of the coefficients: a chunk is a whole tile."""
    side = int(codec.settings["side"])
    return replace(codec, name="topk", block=side * side)


@dataclass(frozen=True, slots=True, eq=False)
class DctTopK:
    """An update as coefficients; ``array`` are the values that they give."""

    coefficients: TopK
    array: Float32s

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s = NOTHING) -> DctTopK:
        """Transform, and keep the strongest coefficients."""
        side = int(codec.settings["side"])
        parts = [_transformed(tiling.take(values)).reshape(-1) for tiling in tilings_of(layout, side)]
        together = np.clip(np.concatenate(parts), -LARGEST, LARGEST)
        kept = TopK.quantise(_chunked(codec), _coefficients(layout, side), together)
        return cls(kept, _values(kept.values(), layout, side))

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> DctTopK:
        """Read strictly.

        Raises:
            FormatError: as `TopK`, or the coefficients give a value that is too large.
        """
        side = int(codec.settings["side"])
        kept = TopK.from_bytes(_chunked(codec), _coefficients(layout, side), body)
        values = _values(kept.values(), layout, side)
        if not np.max(np.abs(values)) < MAX_MAGNITUDE:
            raise FormatError("update has a value that is not finite or too large")
        return cls(kept, values)

    def to_bytes(self) -> bytes:
        """The bytes of the coefficients."""
        return self.coefficients.to_bytes()

    def values(self) -> Float32s:
        """The values as float32: exact sums of the coefficients' integers, rounded once."""
        return self.array

    def summand(self) -> Summand:
        """The values, to be added."""
        return Dense(self.array)

    def norm_squared(self) -> Fraction:
        """Sum of the squares, after the cut that `Dense` makes."""
        return Dense(self.array).norm_squared()

    def memory(self) -> Float32s:
        """Nothing."""
        return NOTHING


def _transformed(tiles: Float32s) -> Float32s:
    """Coefficients of each tile, from its values as integers of 20 bits."""
    integers, exponents = _integers(tiles, VALUE_BITS)
    return np.ldexp(forward(integers), (exponents - VALUE_BITS)[:, np.newaxis, np.newaxis]).astype(np.float32)


def _values(coefficients: Float32s, layout: Layout, side: int) -> Float32s:
    values, at = np.empty(layout.parameters, dtype=np.float32), 0
    for tiling in tilings_of(layout, side):
        size = math.prod(tiling.shape)
        integers, exponents = _integers(coefficients[at : at + size].reshape(tiling.shape), COEFFICIENT_BITS)
        shifts = exponents - COEFFICIENT_BITS - 2 * TABLE_BITS
        sums = np.ldexp(backward(integers, COEFFICIENT_BITS), shifts[:, np.newaxis, np.newaxis])
        with np.errstate(over="ignore"):  # hostile coefficients: refused by whoever reads them
            tiling.put(values, sums.astype(np.float32))
        at += size
    return values


def _integers(tiles: Float32s, bits: int) -> tuple[Float64s, Int64s]:
    """Each tile as integers of at most ``bits``, halves to even, and the exponent of a power of two above all of it."""
    exponents = np.frexp(np.max(np.abs(tiles), axis=(1, 2)))[1].astype(np.int64)
    scaled = np.ldexp(tiles.astype(np.float64), (bits - exponents)[:, np.newaxis, np.newaxis])
    return np.rint(scaled), exponents
