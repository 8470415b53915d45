"""Sorting coordinate by coordinate across a few vectors: a network of minima and maxima, each over whole slices.

A sort of many short columns spends its time between them; a network does the same comparisons for all at once.
"""

from __future__ import annotations

import functools

import numpy as np

from attestrain.update.arrays import Float64s


def sort_columns(rows: list[Float64s]) -> None:
    """Sort each column of ``rows``, smallest first. The rows are written to and change places.

    Which zero of unequal sign comes first is left open.
    """
    spare = np.empty_like(rows[0])
    for low, high in comparators(len(rows)):
        np.minimum(rows[low], rows[high], out=spare)
        np.maximum(rows[low], rows[high], out=rows[high])
        rows[low], spare = spare, rows[low]


@functools.lru_cache(maxsize=64)
def comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of places to bring into order, one after the other, so that ``count`` values end up sorted.

    Batcher's merge exchange (Knuth, The Art of Computer Programming, 5.2.2, algorithm M).
    """
    pairs: list[tuple[int, int]] = []
    top = (1 << (count - 1).bit_length()) >> 1
    reach = top
    while reach:
        bit, distance, step = 0, reach, top
        while distance:
            pairs += [(i, i + distance) for i in range(count - distance) if i & reach == bit]
            bit, distance, step = reach, step - reach, step >> 1
        reach >>= 1
    return tuple(pairs)
