"""Screening before aggregation: what anyone can recompute from the updates alone.

Decoding has already refused what is not finite. Here an update of zeros is left out, because it would be paid for
nothing, and one much longer than its peers is shortened, so that no worker moves the model further than the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from attestrain.record.names import Worker
from attestrain.update.codec import DecodedUpdate
from attestrain.update.norms import shrinking

Reason = Literal["kept", "clipped", "zero"]


@dataclass(frozen=True, slots=True)
class Screened:
    """What becomes of an update: the factor in 0 .. 1 its values are multiplied by, and why.

    ``zero`` updates have factor 0 and do not count as contributors.
    """

    factor: float
    reason: Reason


def screen(updates: Mapping[Worker, DecodedUpdate], norm_clip: str) -> dict[Worker, Screened]:
    """Screen the updates of one round against each other.

    Args:
        updates: decoded, by worker.
        norm_clip: multiple of the median norm of the updates that are not zero (the lower one of two middles) to which
            longer updates are shortened; "0" shortens none.

    Returns:
        An entry for every worker, in ascending order.
    """
    norms = {worker: updates[worker].norm_squared() for worker in sorted(updates)}
    limit = Fraction(norm_clip) * Fraction(norm_clip) * _lower_median([norm for norm in norms.values() if norm])
    return {worker: _judge(norm, limit) for worker, norm in norms.items()}


def _lower_median(values: list[Fraction]) -> Fraction:
    return sorted(values)[(len(values) - 1) // 2] if values else Fraction(0)


def _judge(norm: Fraction, limit: Fraction) -> Screened:
    if not norm:
        return Screened(0.0, "zero")
    if not limit or norm <= limit:
        return Screened(1.0, "kept")
    return Screened(shrinking(limit / norm), "clipped")
