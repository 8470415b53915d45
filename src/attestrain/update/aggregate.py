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
from attestrain.update.arrays import Float64s
from attestrain.update.codec import DecodedUpdate
from attestrain.update.dense import Dense
from attestrain.update.fragments import fragment_of, share_of
from attestrain.update.parts import Part, mean, mean_of_contributors, weighted_mean, whole
from attestrain.update.robust import centered, multi_krum, trimmed
from attestrain.update.screen import Screened

Rule = Callable[[int, Sequence[Part], Mapping[str, str]], Float64s]


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
        Part(updates[worker].body.summand(), share_of(spec, round_, worker), screened[worker].factor, tokens)
        for worker in contributors
    ]
    return aggregate_parts(spec.aggregate, fragment_of(spec, round_).layout.parameters, parts)


def aggregate_parts(rule: Aggregate, size: int, parts: Sequence[Part]) -> Float64s:
    """One update of ``size`` values from at least one part."""
    return _RULES[rule.name](size, parts, rule.settings)


def _mean(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    del settings
    return mean(size, parts)


def _tokens(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Mean weighted by the tokens that each worker trained on (McMahan et al. 2017, arXiv 1602.05629).

    Weights are the tokens over their greatest common divisor, so equal ones make it the plain mean, bit for bit.
    """
    del settings
    common = math.gcd(*(part.tokens for part in parts))
    return weighted_mean(size, parts, [part.tokens // common for part in parts])


def _contributors(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
    """Value by value the mean of those that are not zero: SparseLoCo as shipped (arXiv 2508.15706)."""
    del settings
    return mean_of_contributors(size, parts)


def _compared(rule: Callable[[Sequence[Part], Mapping[str, str]], Float64s]) -> Rule:
    def apply(size: int, parts: Sequence[Part], settings: Mapping[str, str]) -> Float64s:
        if not whole(parts):
            raise FormatError("this rule compares whole updates and not shares of them")
        return rule([part._replace(summand=Dense(part.values)) for part in parts], settings)

    return apply


_RULES: Final[dict[str, Rule]] = {
    "mean": _mean,
    "tokens": _tokens,
    "contributors": _contributors,
    "trimmed": _compared(trimmed),
    "centered": _compared(centered),
    "multi-krum": _compared(multi_krum),
}
