"""Blocks: runs of values that share a scale. No block crosses from one tensor into the next."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from attestrain.record.layout import Layout
from attestrain.update.arrays import Float32s, Int64s, chunks

PIECE: Final = 1 << 16
"""Values computed at a time."""
CHUNK: Final = 1 << 16
"""Values added at a time: their sums and those of one worker stay in the cache, and calls take little of the time."""
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

    def total(self, values: NDArray[np.integer]) -> Int64s:
        """Sum of the integers of each block. For counts of trues there is `planes.count`."""
        return np.add.reduceat(values, self.starts, dtype=np.int64)

    def largest(self, values: Float32s) -> Float32s:
        """Largest value of each block."""
        return np.maximum.reduceat(values, self.starts)


@functools.lru_cache(maxsize=64)
def blocks_of(layout: Layout, block: int) -> Blocks:
    """Cut every tensor of ``layout`` into blocks of ``block`` values, the last of a tensor possibly shorter."""
    starts = np.concatenate([np.arange(at, end, block, dtype=np.int64) for _, at, end in layout.offsets()])
    lengths = np.diff(starts, append=np.int64(layout.parameters))
    return Blocks(starts, lengths)


class Strip(NamedTuple):
    """Neighbouring runs of ``length`` values that each have a scale of their own.

    ``values`` counts from the beginning of the chunk.
    """

    values: slice
    blocks: slice
    length: int


@functools.lru_cache(maxsize=1 << 14)
def strips_of(blocks: Blocks, start: int, stop: int) -> tuple[Strip, ...]:
    """The values ``start`` .. ``stop`` - 1 as strips: whole blocks of one length together, cut ones alone."""
    first = int(np.searchsorted(blocks.starts, start, side="right")) - 1
    last = int(np.searchsorted(blocks.starts, stop, side="left"))
    starts = np.maximum(blocks.starts[first:last], start) - start
    ends = np.concatenate([starts[1:], [stop - start]])
    changes = np.flatnonzero(np.diff(ends - starts)) + 1
    edges = [0, *changes.tolist(), last - first]
    return tuple(
        Strip(slice(int(starts[a]), int(ends[b - 1])), slice(first + a, first + b), int(ends[a] - starts[a]))
        for a, b in itertools.pairwise(edges)
    )


@functools.lru_cache(maxsize=64)
def chunks_of(blocks: Blocks) -> tuple[slice, ...]:
    """About ``CHUNK`` values at a time; no block is cut that is not longer."""
    edges = np.searchsorted(blocks.starts, np.arange(0, blocks.parameters, CHUNK, dtype=np.int64), side="right") - 1
    starts = np.unique(blocks.starts[edges]).tolist()
    whole = [slice(start, end) for start, end in itertools.pairwise([*starts, blocks.parameters])]
    return tuple(
        slice(part.start + cut.start, part.start + cut.stop)
        for part in whole
        for cut in chunks(part.stop - part.start, 2 * CHUNK)
    )
