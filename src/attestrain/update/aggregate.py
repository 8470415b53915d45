"""Aggregation: one update of many, by a rule of the run spec.

Whatever the rule, values are float64, added in ascending order of worker to a sum that starts at zero; nothing depends
on the order in which updates arrive. Robust rules are in `update.robust`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.names import Round, Worker
from attestrain.record.spec import Aggregate, RunSpec
from attestrain.update.arrays import Float32s, Float64s
from attestrain.update.codec import DecodedUpdate
from attestrain.update.fragments import Fragment, fragment_of, share_of
from attestrain.update.robust import centered, multi_krum, trimmed
from attestrain.update.screen import Screened

CHUNK: Final = 1 << 15
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


def aggregate(
    spec: RunSpec, round_: Round, updates: Mapping[Worker, DecodedUpdate], screened: Mapping[Worker, Screened]
) -> Float64s | None:
    """One update of all contributors: those whose update is not zero.

    Args:
        spec: the run; its rule decides.
        round_: the round that is aggregated.
        updates: decoded.
        screened: what screening said of each.

    Returns:
        The aggregate of the round's fragment in layout order, or None without contributors.
    """
    contributors = [worker for worker in sorted(updates) if screened[worker].reason != "zero"]
    if not contributors:
        return None
    tokens = spec.schedule.round_tokens
    parts = [
        Part(updates[worker].values(), share_of(spec, round_, worker), screened[worker].factor, tokens)
        for worker in contributors
    ]
    return aggregate_parts(spec.aggregate, fragment_of(spec, round_).layout.parameters, parts)


def aggregate_parts(rule: Aggregate, size: int, parts: Sequence[Part]) -> Float64s:
    """One update of ``size`` values from at least one part."""
    return _RULES[rule.name](size, parts, rule.settings)


def _mean(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Sum of values times factors, divided by the number of contributors whose share has the value."""
    del settings
    return _divided(_sum(size, parts, [part.factor for part in parts]), parts, [1] * len(parts))


def _tokens(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Mean weighted by the tokens that each worker trained on (McMahan et al. 2017)."""
    del settings
    total = _sum(size, parts, [part.factor * part.tokens for part in parts])
    return _divided(total, parts, [part.tokens for part in parts])


def _contributors(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Value by value the mean of those that are not zero: SparseLoCo as shipped (arXiv 2508.15706)."""
    del settings
    total, counts = _sum(size, parts, [part.factor for part in parts]), np.zeros(size, dtype=np.int64)
    for part in parts:
        part.place.add(counts, (part.values != 0).astype(np.int64))
    total /= np.maximum(counts, 1)
    return total


def _sum(size: int, parts: Sequence[Part], weights: Sequence[float]) -> Float64s:
    """Values times weights, added in the order given."""
    total = np.zeros(size, dtype=np.float64)
    if not all(part.place.whole for part in parts):
        for part, weight in zip(parts, weights, strict=True):
            part.place.add(total, part.values.astype(np.float64) * weight)
        return total
    for chunk in _chunks(size):
        for part, weight in zip(parts, weights, strict=True):
            total[chunk] += part.values[chunk].astype(np.float64) * weight
    return total


def _divided(total: Float64s, parts: Sequence[Part], weights: Sequence[int]) -> Float64s:
    """``total`` over the sum of the weights of those whose share has the value; where nobody's has, zero stays."""
    by_place: dict[Fragment, int] = {}
    for part, weight in zip(parts, weights, strict=True):
        by_place[part.place] = by_place.get(part.place, 0) + weight
    for place, weight in by_place.items():
        for start, end in place.spans:
            total[start:end] /= weight
    return total


def _chunks(size: int) -> Iterator[slice]:
    for at in range(0, size, CHUNK):
        yield slice(at, min(at + CHUNK, size))


def _robust(rule: Callable[[Sequence[Float64s], Mapping[str, str]], Float64s]) -> Callable[..., Float64s]:
    def apply(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
        if any(part.place.spans != ((0, size),) for part in parts):
            raise FormatError("this rule compares whole updates and not shares of them")
        return rule([part.values.astype(np.float64) * part.factor for part in parts], settings)

    return apply


_RULES: Final[dict[str, Callable[[int, Sequence[Part], Mapping[str, str]], Float64s]]] = {
    "mean": _mean,
    "tokens": _tokens,
    "contributors": _contributors,
    "trimmed": _robust(trimmed),
    "centered": _robust(centered),
    "multi-krum": _robust(multi_krum),
}
