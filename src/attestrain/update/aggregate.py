"""Aggregation: one update of many, by a rule of the run spec.

Whatever the rule, values are float64, added in ascending order of worker to a sum that starts at zero; nothing depends
on the order in which updates arrive. Robust rules are in `update.robust`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from attestrain.errors import FormatError
from attestrain.record.names import Round, Worker
from attestrain.record.spec import Aggregate, RunSpec
from attestrain.update.arrays import Float64s, Pieces, joined
from attestrain.update.codec import DecodedUpdate
from attestrain.update.dense import Dense
from attestrain.update.fragments import fragment_of, share_of
from attestrain.update.parts import Part, mean_of_contributors, weighted_mean, whole
from attestrain.update.robust import centered, multi_krum, trimmed
from attestrain.update.screen import Screened

Rule = Callable[[int, Sequence[Part], Mapping[str, str]], Pieces]


def aggregate(
    spec: RunSpec, round_: Round, updates: Mapping[Worker, DecodedUpdate], screened: Mapping[Worker, Screened]
) -> Float64s | None:
    """`aggregate_pieces`, all of it."""
    pieces = aggregate_pieces(spec, round_, updates, screened)
    return None if pieces is None else joined(fragment_of(spec, round_).layout.parameters, pieces)


def aggregate_pieces(
    spec: RunSpec, round_: Round, updates: Mapping[Worker, DecodedUpdate], screened: Mapping[Worker, Screened]
) -> Pieces | None:
    """One update of all contributors: those whose update is not zero.

    Values are summed as they are asked for, so that a sum is used while it is still in the cache.

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
        Part(updates[worker].body.summand(), share_of(spec, round_, worker), screened[worker].factor, tokens)
        for worker in contributors
    ]
    return _RULES[spec.aggregate.name](fragment_of(spec, round_).layout.parameters, parts, spec.aggregate.settings)


def aggregate_parts(rule: Aggregate, size: int, parts: Sequence[Part]) -> Float64s:
    """One update of ``size`` values from at least one part."""
    return joined(size, _RULES[rule.name](size, parts, rule.settings))


def _mean(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Pieces:
    del settings
    return weighted_mean(size, parts, [1] * len(parts))


def _tokens(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Pieces:
    """Mean weighted by the tokens that each worker trained on (McMahan et al. 2017, arXiv 1602.05629).

    Weights are the tokens over their greatest common divisor, so equal ones make it the plain mean, bit for bit.
    """
    del settings
    common = math.gcd(*(part.tokens for part in parts))
    return weighted_mean(size, parts, [part.tokens // common for part in parts])


def _contributors(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Pieces:
    """Value by value the mean of those that are not zero: SparseLoCo as shipped (arXiv 2508.15706)."""
    del settings
    return mean_of_contributors(size, parts)


def _compared(rule: Callable[[Sequence[Part], Mapping[str, str]], Float64s]) -> Rule:
    def apply(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Pieces:
        if not whole(parts):
            raise FormatError("this rule compares whole updates and not shares of them")
        spelled = [part._replace(summand=Dense(part.values)) for part in parts]
        return [(slice(0, size), rule(spelled, settings))]

    return apply


_RULES: Final[dict[str, Rule]] = {
    "mean": _mean,
    "tokens": _tokens,
    "contributors": _contributors,
    "trimmed": _compared(trimmed),
    "centered": _compared(centered),
    "multi-krum": _compared(multi_krum),
}
