"""Values in blocks as small integers times the scale of their block, in one or more classes: spelled out and added.

A value belongs to one class, in all others its level is 0. So the sum over the classes of level times scale is exact
in float32, and so is each product with a power of two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from attestrain.update.arrays import NOTHING, Adder, Bools, Float32s, Float64s, Int8s, Summand, add_times
from attestrain.update.blocks import Blocks, chunks_of, strips_of
from attestrain.update.scales import Scales
from attestrain.update.scratch import Scratch

Number = TypeVar("Number", np.float32, np.int8)


class Scaled(ABC):
    """An update whose values are levels times scales."""

    __slots__ = ()
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
        values, spell = np.empty(self.blocks.parameters, dtype=np.float32), self._speller(Scratch())
        for chunk in self.pieces():
            values[chunk] = spell(chunk)
        return values

    def adder(self, factor: float, scratch: Scratch) -> Adder:
        """What adds some of the values times ``factor``, products and sums in float64."""
        spell = self._speller(scratch)

        def add(total: Float64s, chunk: slice) -> None:
            add_times(factor, spell(chunk), total, scratch)

        return add

    def _speller(self, scratch: Scratch) -> Callable[[slice], Float32s]:
        """What gives some of the values: levels times the scales of their blocks, in every class."""
        scales = [scales.values().astype(np.float32) for scales in self.classes]

        def spell(chunk: slice) -> Float32s:
            values, more = (scratch.take(use, chunk.stop - chunk.start, np.float32) for use in ("spelled", "class"))
            for number, (levels, their) in enumerate(zip(self.levels_in(chunk), scales, strict=True)):
                room = more if number else values
                np.copyto(room, levels)
                scale(room, self.blocks, chunk, their)
                if number:
                    values += more
            return values

        return spell

    def memory(self) -> Float32s:
        """Nothing."""
        return NOTHING


def scale(values: NDArray[Number], blocks: Blocks, chunk: slice, per_block: NDArray[Number]) -> None:
    """Multiply the values of a chunk by the entry of their block, in place."""
    for strip in strips_of(blocks, chunk.start, chunk.stop):
        rows = values[strip.values].reshape(-1, strip.length)
        np.multiply(rows, per_block[strip.blocks, np.newaxis], out=rows)
