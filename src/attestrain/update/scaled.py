"""Values in blocks as small integers times the scale of their block, in one or more classes: spelled out and added.

A value belongs to one class, in all others its level is 0. So the sum over the classes of level times scale is exact
in float32, and so is each product with a power of two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from attestrain.update.arrays import NOTHING, Adder, Bools, Float32s, Float64s, Int8s, Summand
from attestrain.update.blocks import Blocks, chunks_of, strips_of
from attestrain.update.scales import Scales

Number = TypeVar("Number", np.float64, np.float32, np.int16, np.int8)


class Scaled(ABC):
    """An update whose values are levels times scales."""

    __slots__ = ()

    LARGEST: ClassVar[int] = 1
    """Largest magnitude of a level in its class."""

    blocks: Blocks

    @property
    @abstractmethod
    def classes(self) -> tuple[Scales, ...]:
        """The scales of each class."""

    @abstractmethod
    def levels_in(self, chunk: slice) -> tuple[Int8s, ...]:
        """The levels of some values, class by class."""

    @abstractmethod
    def nonzero(self, chunk: slice) -> Bools:
        """Which of some values are not zero."""

    def summand(self) -> Summand:
        """Itself."""
        return self

    def pieces(self) -> Iterable[slice]:
        """All values, as many at a time as are best worked on together."""
        return chunks_of(self.blocks)

    def values(self) -> Float32s:
        """The values as float32, exact."""
        values = np.empty(self.blocks.parameters, dtype=np.float32)
        scales = [scales.values().astype(np.float32) for scales in self.classes]
        for chunk in self.pieces():
            values[chunk] = self.spelled(chunk, scales)
        return values

    def adder(self, factor: float) -> Adder:
        """What adds some of the values times ``factor``, products and sums in float64.

        A level of 1 or -1 times the rounded product of scale and factor is the rounded product of value and factor;
        larger levels are multiplied by the scale first, which is exact.
        """
        inside = factor if self.LARGEST == 1 else 1.0
        scales = [scales.values() * inside for scales in self.classes]

        def add(total: Float64s, chunk: slice) -> None:
            values = self.spelled(chunk, scales)
            if inside != factor:
                values *= factor
            total += values

        return add

    def spelled(self, chunk: slice, scales: list[NDArray[Number]]) -> NDArray[Number]:
        """Some of the values: levels times ``scales``, one for each block in every class, in their type."""
        levels = self.levels_in(chunk)
        values = scaled(levels[0], self.blocks, chunk, scales[0])
        for more, their in zip(levels[1:], scales[1:], strict=True):
            values += scaled(more, self.blocks, chunk, their)
        return values

    def memory(self) -> Float32s:
        """Nothing."""
        return NOTHING


def scaled(levels: Int8s, blocks: Blocks, chunk: slice, per_block: NDArray[Number]) -> NDArray[Number]:
    """The levels of a chunk in the type of ``per_block``, times the entry of their block."""
    values = levels.astype(per_block.dtype)
    scale(values, blocks, chunk, per_block)
    return values


def scale(values: NDArray[Number], blocks: Blocks, chunk: slice, per_block: NDArray[Number]) -> None:
    """Multiply the values of a chunk by the entry of their block, in place."""
    for strip in strips_of(blocks, chunk.start, chunk.stop):
        rows = values[strip.values].reshape(-1, strip.length)
        np.multiply(rows, per_block[strip.blocks, np.newaxis], out=rows)
