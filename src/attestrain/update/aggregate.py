"""Aggregation: one update of many, by a rule of the run spec.

Whatever the rule, values are float64, added in ascending order of worker to a sum that starts at zero; nothing depends
on the order in which updates arrive. Robust rules are in `update.robust`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from attestrain.record.names import Worker
from attestrain.record.spec import Aggregate
from attestrain.update.arrays import Float32s, Float64s
from attestrain.update.codec import DecodedUpdate
from attestrain.update.robust import centered, multi_krum, trimmed
from attestrain.update.screen import Screened

CHUNK: Final = 1 << 15
"""Values at a time: sums and summands of a chunk stay in the cache."""


class Part(NamedTuple):
    """What one worker contributes: its values, the factor in 0 .. 1 from screening, the tokens it trained on."""

    values: Float32s
    factor: float
    tokens: int


def aggregate(
    rule: Aggregate,
    updates: Mapping[Worker, DecodedUpdate],
    screened: Mapping[Worker, Screened],
    tokens: int = 1,
) -> Float64s | None:
    """One update of all contributors: those whose update is not zero.

    Args:
        rule: from the run spec.
        updates: decoded.
        screened: what screening said of each.
        tokens: what each worker trained on in the round.

    Returns:
        The aggregate in layout order, or None without contributors.
    """
    contributors = [worker for worker in sorted(updates) if screened[worker].reason != "zero"]
    if not contributors:
        return None
    parts = [Part(updates[worker].values(), screened[worker].factor, tokens) for worker in contributors]
    return _RULES[rule.name](parts, rule.settings)


def _mean(parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Sum of values times factors, divided by the number of contributors."""
    del settings
    total = _sum([(part.values, part.factor) for part in parts])
    total /= len(parts)
    return total


def _tokens(parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Mean weighted by the tokens that each worker trained on (McMahan et al. 2017)."""
    del settings
    total = _sum([(part.values, part.factor * part.tokens) for part in parts])
    total /= sum(part.tokens for part in parts)
    return total


def _contributors(parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Value by value the mean of those that are not zero: SparseLoCo as shipped (arXiv 2508.15706)."""
    del settings
    total = _sum([(part.values, part.factor) for part in parts])
    for chunk in _chunks(len(total)):
        counts = np.zeros(chunk.stop - chunk.start, dtype=np.int64)
        for part in parts:
            counts += part.values[chunk] != 0
        total[chunk] /= np.maximum(counts, 1)
    return total


def _sum(weighted: Sequence[tuple[Float32s, float]]) -> Float64s:
    """Values times weights, added in the order given."""
    total = np.zeros(len(weighted[0][0]), dtype=np.float64)
    for chunk in _chunks(len(total)):
        for values, weight in weighted:
            total[chunk] += values[chunk].astype(np.float64) * weight
    return total


def _chunks(size: int) -> Iterator[slice]:
    for at in range(0, size, CHUNK):
        yield slice(at, min(at + CHUNK, size))


def _robust(rule: Callable[[Sequence[Float64s], Mapping[str, str]], Float64s]) -> Callable[..., Float64s]:
    def apply(parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
        return rule([part.values.astype(np.float64) * part.factor for part in parts], settings)

    return apply


_RULES: Final[dict[str, Callable[[Sequence[Part], Mapping[str, str]], Float64s]]] = {
    "mean": _mean,
    "tokens": _tokens,
    "contributors": _contributors,
    "trimmed": _robust(trimmed),
    "centered": _robust(centered),
    "multi-krum": _robust(multi_krum),
}
