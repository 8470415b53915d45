"""What aggregation works on: the updates of a round, a slice at a time so that none is ever spelled out in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from attestrain.update.arrays import Float32s, Float64s, chunks
from attestrain.update.fragments import Fragment

CHUNK: Final = 1 << 14
"""Values at a time: sums and summands of a chunk stay in the cache."""


class Part(NamedTuple):
    """What one worker contributes.

    Attributes:
        values: of its share.
        place: of the share in the fragment that is aggregated.
        factor: in 0 .. 1, from screening.
        tokens: that it trained on.
    """

    values: Float32s
    place: Fragment
    factor: float
    tokens: int

    def scaled(self, chunk: slice, weight: int = 1) -> Float64s:
        """Some of the values, times the product of factor and weight."""
        values = self.values[chunk].astype(np.float64)
        values *= self.factor * weight
        return values


def whole(parts: Sequence[Part]) -> bool:
    """Whether every part is an update of everything, not of a share."""
    return all(part.place.whole for part in parts)


def mean(size: int, parts: Sequence[Part]) -> Float64s:
    """`weighted_mean` of equal weights."""
    return weighted_mean(size, parts, [1] * len(parts))


def weighted_mean(size: int, parts: Sequence[Part], weights: Sequence[int]) -> Float64s:
    """Sum of values times (factor times weight), divided by the sum of weights.

    The sum starts at zero and is added to in the order given. Where shares are sent, a value is divided by the weights
    of those whose share has it, and stays zero where nobody's has.

    Args:
        size: values in the result.
        parts: at least one, in ascending order of worker.
        weights: one for each part.
    """
    total = np.zeros(size, dtype=np.float64)
    if not whole(parts):
        return _mean_of_shares(total, parts, weights)
    divisor = float(sum(weights))
    for chunk in chunks(size, CHUNK):
        for part, weight in zip(parts, weights, strict=True):
            total[chunk] += part.scaled(chunk, weight)
        total[chunk] /= divisor
    return total


def _mean_of_shares(total: Float64s, parts: Sequence[Part], weights: Sequence[int]) -> Float64s:
    divisors: dict[Fragment, int] = {}
    for part, weight in zip(parts, weights, strict=True):
        part.place.add(total, part.scaled(slice(None), weight))
        divisors[part.place] = divisors.get(part.place, 0) + weight
    for place, divisor in divisors.items():
        for start, end in place.spans:
            total[start:end] /= float(divisor)
    return total
