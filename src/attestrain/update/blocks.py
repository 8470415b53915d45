"""Blocks: runs of values that share a scale. No block crosses from one tensor into the next."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from attestrain.record.layout import Layout
from attestrain.update.arrays import Bools, Float32s, Int64s

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
