"""What aggregation works on: the updates of a round, a slice at a time so that none is ever spelled out in float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attestrain.update.arrays import Float32s, Float64s, Pieces, Summand, joined
from attestrain.update.fragments import Fragment, Run
from attestrain.update.scratch import Scratch

CHUNK: Final = 1 << 14
"""Values at a time: sums and summands of a chunk stay in the cache."""


class Part(NamedTuple):
    """What one worker contributes.

    Attributes:
        summand: the values of its share.
        place: of the share in the fragment that is aggregated.
        factor: in 0 .. 1, from screening.
        tokens: that it trained on.
    """

    summand: Summand
    place: Fragment
    factor: float
    tokens: int

    @property
    def values(self) -> Float32s:
        """All values of the share: at once, for rules that compare them."""
        return self.summand.values()

    def scaled(self, chunk: slice) -> Float64s:
        """Some of the values, times the factor."""
        values = self.values[chunk].astype(np.float64)
        values *= self.factor
        return values

    def runs(self) -> Iterator[Run]:
        """The share's spans in the fragment, about ``CHUNK`` values at a time."""
        for run in self.place.runs:
            yield from run.pieces(CHUNK)


def whole(parts: Sequence[Part]) -> bool:
    """Whether every part is an update of everything, not of a share."""
    return all(part.place.whole for part in parts)


def mean(size: int, parts: Sequence[Part]) -> Float64s:
    """`weighted_mean` of equal weights, all of it."""
    return joined(size, weighted_mean(size, parts, [1] * len(parts)))


def weighted_mean(size: int, parts: Sequence[Part], weights: Sequence[int]) -> Pieces:
    """Sum of values times (factor times weight), divided by the sum of weights.

    The sum starts at zero and is added to in the order given. Where shares are sent, a value is divided by the weights
    of those whose share has it, and stays zero where nobody's has.

    Args:
        size: values in the result.
        parts: at least one, in ascending order of worker.
        weights: one for each part.
    """
    if not whole(parts):
        yield slice(0, size), _mean_of_shares(size, parts, weights)
        return
    scratch = Scratch()
    adders = [part.summand.adder(part.factor * weight, scratch) for part, weight in zip(parts, weights, strict=True)]
    for chunk in parts[0].summand.pieces():
        sums = scratch.zeros("sums", chunk.stop - chunk.start, np.float64)
        for add in adders:
            add(sums, chunk)
        sums /= float(sum(weights))
        yield chunk, sums


def mean_of_contributors(size: int, parts: Sequence[Part]) -> Pieces:
    """Value by value, sum of values times factor over the number of those that are not zero; as `weighted_mean`."""
    kind: np.dtype[np.uint8 | np.int64] = np.dtype(np.uint8) if len(parts) < 256 else np.dtype(np.int64)
    if not whole(parts):
        yield slice(0, size), _contributors_of_shares(size, parts, kind)
        return
    scratch = Scratch()
    adders = [part.summand.adder(part.factor, scratch) for part in parts]
    for chunk in parts[0].summand.pieces():
        length = chunk.stop - chunk.start
        sums, counts = scratch.zeros("sums", length, np.float64), np.zeros(length, dtype=kind)
        for part, add in zip(parts, adders, strict=True):
            add(sums, chunk)
            np.add(counts, part.summand.nonzero(chunk).view(np.uint8), out=counts)
        yield chunk, _divided(sums, counts)


def _contributors_of_shares(size: int, parts: Sequence[Part], kind: np.dtype[np.uint8 | np.int64]) -> Float64s:
    total, counts = np.zeros(size, dtype=np.float64), np.zeros(size, dtype=kind)
    for part in parts:
        _add_share(total, part, part.factor)
        for run in part.runs():
            rows = run.rows(counts)
            np.add(rows, part.summand.nonzero(run.inside).reshape(rows.shape), out=rows)
    return _divided(total, counts)


def _mean_of_shares(size: int, parts: Sequence[Part], weights: Sequence[int]) -> Float64s:
    total, divisors = np.zeros(size, dtype=np.float64), dict[Fragment, int]()
    for part, weight in zip(parts, weights, strict=True):
        _add_share(total, part, part.factor * weight)
        divisors[part.place] = divisors.get(part.place, 0) + weight
    for place, divisor in divisors.items():
        for run in place.runs:
            rows = run.rows(total)
            rows /= float(divisor)
    return total


def _add_share(total: Float64s, part: Part, factor: float) -> None:
    scratch = Scratch()
    add = part.summand.adder(factor, scratch)
    for run in part.runs():
        values, rows = scratch.zeros("sums", run.number * run.length, np.float64), run.rows(total)
        add(values, run.inside)
        rows += values.reshape(rows.shape)


def _divided(total: Float64s, counts: NDArray[np.uint8 | np.int64]) -> Float64s:
    total /= np.maximum(counts, 1)
    return total
