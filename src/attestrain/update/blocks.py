"""Blocks: runs of values that share a scale. No block crosses from one tensor into the next."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from attestrain.record.layout import Layout
from attestrain.update.arrays import Bools, Float32s, Int64s

PIECE: Final = 1 << 16
"""Values computed at a time."""
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Where each block of a flat buffer starts and how many values it has."""

    starts: Int64s
    lengths: Int64s

    @property
    def count(self) -> int:
        """Number of blocks."""
        return len(self.starts)

    @property
    def parameters(self) -> int:
        """Number of values in the flat buffer."""
        return int(self.starts[-1] + self.lengths[-1])

    def pieces(self) -> Iterator[tuple[slice, Blocks]]:
        """These blocks some at a time: where their values lie, and the blocks from there on.

        What is computed block by block is computed several times faster where all of it stays in the cache.
        """
        step = max(1, PIECE // max(1, int(self.lengths[0])))
        for first in range(0, self.count, step):
            starts, lengths = self.starts[first : first + step], self.lengths[first : first + step]
            begin = int(starts[0])
            yield slice(begin, int(starts[-1] + lengths[-1])), Blocks(starts - begin, lengths)

    def spread(self, per_block: NDArray[Scalar]) -> NDArray[Scalar]:
        """Give every value the entry of its block."""
        return np.repeat(per_block, self.lengths)

    def total(self, values: NDArray[np.integer] | Bools) -> Int64s:
        """Sum of the integers, or count of the trues, of each block."""
        return np.add.reduceat(values, self.starts, dtype=np.int64)

    def largest(self, values: Float32s) -> Float32s:
        """Largest value of each block."""
        return np.maximum.reduceat(values, self.starts)


@functools.lru_cache(maxsize=8)
def blocks_of(layout: Layout, block: int) -> Blocks:
    """Cut every tensor of ``layout`` into blocks of ``block`` values, the last of a tensor possibly shorter."""
    starts = np.concatenate([np.arange(at, end, block, dtype=np.int64) for _, at, end in layout.offsets()])
    lengths = np.diff(starts, append=np.int64(layout.parameters))
    return Blocks(starts, lengths)
