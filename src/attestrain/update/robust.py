"""Robust aggregation: rules that a minority of arbitrary updates moves only so far.

Lengths and distances decide here, so they are sums of squares of integers (`squared_norm`): exact, hence the same on
every machine. Everything else is elementwise, in the order of the workers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from attestrain.update.arrays import Float64s

NORM_BITS: Final = 24
"""For lengths, values are cut to multiples of 2^-24 of a power of two above the largest."""
_CHUNK: Final = 1 << 14
"""Values squared at a time: their squares are below 2^48 and the sum below 2^62."""
_FACTOR_BITS: Final = 52
"""Factors are multiples of 2^-52, exact in float64."""


def trimmed(values: Sequence[Float64s], settings: Mapping[str, str]) -> Float64s:
    """Coordinate-wise trimmed mean (Yin et al. 2018).

    Of n values the largest and the smallest floor(``trim`` x n) are left out, of the rest the mean is taken, from the
    smallest on.
    """
    cut = math.floor(Fraction(settings["trim"]) * len(values))
    return _mean_of_middle(values, cut)


def centered(values: Sequence[Float64s], settings: Mapping[str, str]) -> Float64s:
    """Centered clipping (Karimireddy, He and Jaggi 2021), from the coordinate-wise median on.

    In each of ``iterations``, the centre moves by the mean of the differences to it, those beyond ``radius`` times
    their median length (the lower one of two middles) shortened to that.
    """
    centre, radius = _mean_of_middle(values, (len(values) - 1) // 2), Fraction(settings["radius"])
    for _ in range(int(settings["iterations"])):
        moves = [value - centre for value in values]
        norms = [squared_norm(move) for move in moves]
        limit = radius * radius * sorted(norms)[(len(norms) - 1) // 2]
        total = np.zeros_like(centre)
        for move, norm in zip(moves, norms, strict=True):
            total += move * (1.0 if norm <= limit else _root(limit / norm))
        centre = centre + total / len(values)
    return centre


def multi_krum(values: Sequence[Float64s], settings: Mapping[str, str]) -> Float64s:
    """Multi-Krum (Blanchard et al. 2017): the mean of the ``choose`` updates that lie closest to their neighbours.

    With n updates and f = ``faulty``, an update's score is the sum of its squared distances to the n - f - 2 nearest
    others (at least one, if there are others); lower is better, ties go to the lower worker.
    """
    count = len(values)
    near = min(max(1, count - int(settings["faulty"]) - 2), count - 1)
    distances = {
        (one, other): squared_norm(values[one] - values[other]) for one in range(count) for other in range(one)
    }

    def score(one: int) -> tuple[Fraction, int]:
        away = sorted(distances[max(one, other), min(one, other)] for other in range(count) if other != one)
        return sum(away[:near], start=Fraction(0)), one

    chosen = sorted(sorted(range(count), key=score)[: int(settings["choose"])])
    total = np.zeros_like(values[0])
    for one in chosen:
        total += values[one]
    return total / len(chosen)


def squared_norm(values: Float64s) -> Fraction:
    """Sum of the squares after cutting to ``NORM_BITS``: a definition, so exact. Zero for no values."""
    largest = float(np.max(np.abs(values), initial=0.0))
    unit = int(np.frexp(largest)[1]) - NORM_BITS
    total = 0
    for at in range(0, len(values), _CHUNK):
        integers = np.ldexp(np.abs(values[at : at + _CHUNK]), -unit).astype(np.int64)
        total += int((integers * integers).sum(dtype=np.int64))
    return total * (Fraction(1 << 2 * unit) if unit >= 0 else Fraction(1, 1 << -2 * unit))


def _mean_of_middle(values: Sequence[Float64s], cut: int) -> Float64s:
    """Coordinate by coordinate the mean of the values in order, without ``cut`` at each end (but never without all)."""
    cut = min(cut, (len(values) - 1) // 2)
    result = np.empty_like(values[0])
    for at in range(0, len(result), _CHUNK):
        rows = np.sort(np.stack([value[at : at + _CHUNK] for value in values]), axis=0, kind="stable")[
            cut : len(values) - cut
        ]
        total = np.zeros(rows.shape[1])
        for row in rows:
            total += row
        result[at : at + _CHUNK] = total / len(rows)
    return result


def _root(ratio: Fraction) -> float:
    """Square root of a ratio below 1, rounded down to ``_FACTOR_BITS`` by integers alone."""
    return math.ldexp(float(math.isqrt((ratio.numerator << 2 * _FACTOR_BITS) // ratio.denominator)), -_FACTOR_BITS)
