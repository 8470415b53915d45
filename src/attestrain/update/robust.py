"""Robust aggregation: rules that a minority of arbitrary updates moves only so far.

Lengths and distances decide here, and they are exact (`update.norms`). Everything else is elementwise, in the order of
the workers or of the values, so the result depends neither on the machine nor on the order of arrival.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Final

import numpy as np

from attestrain.update.arrays import Float64s, chunks
from attestrain.update.norms import shrinking, squared_norms
from attestrain.update.ordering import sort_columns
from attestrain.update.parts import CHUNK, Part, mean

_COLUMNS: Final = 1 << 13
"""Columns sorted at a time: those of ten or twenty workers stay in the cache."""


def trimmed(parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Coordinate-wise trimmed mean (Yin et al. 2018, arXiv 1803.01498).

    Of n values the largest and the smallest floor(``trim`` x n) are left out, of the rest the mean is taken, added from
    the smallest on. Half of them trimmed is the median.
    """
    return _mean_of_middle(parts, math.floor(Fraction(settings["trim"]) * len(parts)))


def centered(parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Centered clipping (Karimireddy, He and Jaggi 2021, arXiv 2012.10333), from the coordinate-wise median on.

    In each of ``iterations``, the centre moves by the mean of the differences to it, those beyond ``radius`` times
    their median length (the lower one of two middles) shortened to that.
    """
    centre, radius = _mean_of_middle(parts, len(parts)), Fraction(settings["radius"])
    for _ in range(int(settings["iterations"])):
        norms = squared_norms(len(centre), lambda chunk: (part.scaled(chunk) - centre[chunk] for part in parts))
        limit = radius * radius * sorted(norms)[(len(norms) - 1) // 2]
        shares = [1.0 if norm <= limit else shrinking(limit / norm) for norm in norms]
        for chunk in chunks(len(centre), CHUNK):
            total = np.zeros_like(centre[chunk])
            for part, share in zip(parts, shares, strict=True):
                total += (part.scaled(chunk) - centre[chunk]) * share
            centre[chunk] += total / len(parts)
    return centre


def multi_krum(parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Multi-Krum (Blanchard et al. 2017, arXiv 1703.02757): the mean of the ``choose`` updates closest to their peers.

    With n updates and f = ``faulty``, an update's score is the sum of its squared distances to the n - f - 2 nearest
    others (at least one, if there are others); lower is better, ties go to the lower worker. The paper's guarantee
    needs n > 2 f + 2.
    """
    scores = _scores(parts, max(1, len(parts) - int(settings["faulty"]) - 2))
    best = sorted(range(len(parts)), key=lambda index: (scores[index], index))
    chosen = sorted(best[: int(settings["choose"])])
    return mean(len(parts[0].values), [parts[index] for index in chosen])


def _scores(parts: Sequence[Part], near: int) -> list[Fraction]:
    """For each part the sum of the squared distances to the ``near`` nearest others."""
    pairs = list(combinations(range(len(parts)), 2))

    def differences(chunk: slice) -> Iterator[Float64s]:
        values = [part.scaled(chunk) for part in parts]
        return (values[one] - values[other] for one, other in pairs)

    others: list[list[Fraction]] = [[] for _ in parts]
    for (one, other), distance in zip(pairs, squared_norms(len(parts[0].values), differences), strict=True):
        others[one].append(distance)
        others[other].append(distance)
    return [sum(sorted(distances)[:near], start=Fraction(0)) for distances in others]


def _mean_of_middle(parts: Sequence[Part], cut: int) -> Float64s:
    """Column by column the mean of the values in order, without ``cut`` at each end, but at least one or two."""
    cut = min(cut, (len(parts) - 1) // 2)
    result = np.empty(len(parts[0].values), dtype=np.float64)
    for chunk in chunks(len(result), _COLUMNS):
        rows = [part.scaled(chunk) for part in parts]
        sort_columns(rows)
        total = np.zeros_like(rows[0])
        for row in rows[cut : len(rows) - cut]:
            total += row
        result[chunk] = total / (len(rows) - 2 * cut)
    return result
