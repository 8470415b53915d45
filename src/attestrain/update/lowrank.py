"""Low-rank codec: matrices as two thin quantised factors, everything else as int8.

DiLoCoX's compressor (arXiv 2506.21263), which is PowerSGD's (arXiv 1905.13727) with quantised factors: one power
iteration a round, started from the factor of the round before, so that over the rounds the factors turn towards the
largest singular vectors. Error feedback sends the rest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from attestrain.update.arrays import NOTHING, Float32s, Summand
from attestrain.update.bits import Reader
from attestrain.update.blocks import blocks_of
from attestrain.update.dense import Dense
from attestrain.update.factors import MAX_SIDE, Factors, Shape
from attestrain.update.integer import Int4, Int8, Levels
from attestrain.update.power import factorise

KINDS: Final[dict[str, type[Levels]]] = {"4": Int4, "8": Int8}
"""Factors by the setting ``bits``."""


@dataclass(frozen=True, slots=True)
class Parts:
    """How a layout falls apart: matrices to factorise with the place of their first value, and all other tensors."""

    parameters: int
    matrices: tuple[tuple[int, Shape], ...]
    rest: Layout
    rest_ranges: tuple[tuple[int, int], ...]


@functools.lru_cache(maxsize=8)
def parts_of(layout: Layout, rank: int, block: int) -> Parts:
    """Take ``layout`` apart. A tensor of more axes is a matrix with its first axis as rows.

    Matrices whose shorter side is at most ``rank``, or the longer one above ``MAX_SIDE``, are not factorised.
    """
    matrices, tensors, ranges = [], [], []
    for tensor, at, end in layout.offsets():
        rows, columns = tensor.shape[0] if tensor.shape else 1, math.prod(tensor.shape[1:])
        if rank < min(rows, columns) and max(rows, columns) <= MAX_SIDE:
            matrices.append((at, Shape(rows, columns, rank, block)))
        else:
            tensors.append(tensor)
            ranges.append((at, end))
    return Parts(layout.parameters, tuple(matrices), Layout(tuple(tensors)), tuple(ranges))


def memory_size(codec: Codec, layout: Layout) -> int:
    """Float32 values carried from round to round: the right factors of all matrices."""
    return sum(shape.rank * shape.columns for _, shape in _parts(codec, layout).matrices)


def resize_memory(memory: Float32s, layout: Layout, before: Codec, after: Codec) -> Float32s:
    """What ``memory`` of codec ``before`` is to ``after`` of another rank: the leading components of each matrix.

    Components and matrices that were not factorised before start anew, from zeros.
    """
    old, place = {}, 0
    for at, shape in _parts(before, layout).matrices:
        size = shape.rank * shape.columns
        old[at] = memory[place : place + size]
        place += size
    resized = []
    for at, shape in _parts(after, layout).matrices:
        size = shape.rank * shape.columns
        kept = old.get(at, NOTHING)[:size]
        resized.append(np.concatenate([kept, np.zeros(size - len(kept), dtype=np.float32)]))
    return np.concatenate([NOTHING, *resized])


def at_rank(codec: Codec, rank: int | None) -> Codec:
    """The low-rank ``codec`` with factors of another rank; any codec as it is for None."""
    return codec if rank is None else replace(codec, settings={**codec.settings, "rank": str(rank)})


def _parts(codec: Codec, layout: Layout) -> Parts:
    return parts_of(layout, int(codec.settings["rank"]), codec.block)


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """An update as factors of its matrices, in layout order, and int8 for the rest, None if there is none."""

    parts: Parts
    factors: tuple[Factors, ...]
    rest: Int8 | None

    @classmethod
    def quantise(cls, codec: Codec, layout: Layout, values: Float32s, memory: Float32s = NOTHING) -> LowRank:
        """Factorise each matrix, starting from ``memory``, and quantise the rest.

        Args:
            codec: rank, bits and block.
            layout: of the values.
            values: what to send.
            memory: ``memory_size`` values from the update before, zeros or empty in the first round.

        Raises:
            ValueError: memory of another size.
        """
        parts, kind = _parts(codec, layout), KINDS[codec.settings["bits"]]
        size = memory_size(codec, layout)
        if len(memory) not in (0, size):
            raise ValueError(f"expected {size} values of memory, got {len(memory)}")
        memory = memory if len(memory) else np.zeros(size, dtype=np.float32)
        factors, place = [], 0
        for at, shape in parts.matrices:
            matrix = values[at : at + shape.rows * shape.columns].reshape(shape.rows, shape.columns)
            start = memory[place : place + shape.rank * shape.columns].reshape(shape.rank, shape.columns)
            factors.append(factorise(kind, shape, matrix, start))
            place += start.size
        rest = None
        if parts.rest_ranges:
            others = np.concatenate([values[at:end] for at, end in parts.rest_ranges])
            rest = Int8.of(blocks_of(parts.rest, codec.block), others)
        return cls(parts, tuple(factors), rest)

    def _pieces(self) -> Iterator[tuple[int, Float32s]]:
        """All values in consecutive pieces, each with the place of its first value."""
        for (at, shape), factors in zip(self.parts.matrices, self.factors, strict=True):
            for row, piece in factors.pieces():
                yield at + row * shape.columns, piece.reshape(-1)
        if self.rest is not None:
            others, place = self.rest.values(), 0
            for at, end in self.parts.rest_ranges:
                yield at, others[place : place + end - at]
                place += end - at

    def values(self) -> Float32s:
        """The values as float32: sums over the components are exact and then rounded once."""
        values = np.empty(self.parts.parameters, dtype=np.float32)
        for at, piece in self._pieces():
            values[at : at + len(piece)] = piece
        return values

    def summand(self) -> Summand:
        """The values, to be added: spelled out, since each takes a product of matrices."""
        return Dense(self.values())

    def norm_squared(self) -> Fraction:
        """Sum of the squares: of each matrix as of a dense update, exact for the rest."""
        rest = self.rest.norm_squared() if self.rest is not None else Fraction(0)
        return sum((factors.norm_squared() for factors in self.factors), start=rest)

    def memory(self) -> Float32s:
        """The right factors, from which the next round starts."""
        return np.concatenate([NOTHING, *[factors.right.values() for factors in self.factors]])

    def spectrum(self) -> list[Fraction]:
        """Squared norms of the components, of all matrices together, descending; empty without matrices."""
        spectra = [factors.spectrum() for factors in self.factors]
        return [sum(column, start=Fraction(0)) for column in zip(*spectra, strict=True)]

    def to_bytes(self) -> bytes:
        """The factors of each matrix, then the rest."""
        rest = self.rest.to_bytes() if self.rest is not None else b""
        return b"".join(factors.to_bytes() for factors in self.factors) + rest

    @classmethod
    def from_bytes(cls, codec: Codec, layout: Layout, body: memoryview) -> LowRank:
        """Read strictly: one byte string for each list of factors.

        Raises:
            FormatError: malformed, out of bounds or not canonical.
        """
        parts, kind = _parts(codec, layout), KINDS[codec.settings["bits"]]
        reader = Reader(body)
        factors = tuple(Factors.read(kind, shape, reader) for _, shape in parts.matrices)
        rest = Int8.read(blocks_of(parts.rest, codec.block), reader) if parts.rest_ranges else None
        reader.end()
        return cls(parts, factors, rest)
