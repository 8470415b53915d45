"""Outer optimizers: how the mean pseudo-gradient moves the parameters."""

from __future__ import annotations

from typing import Final

import numpy as np

from attestrain.record.spec import RunSpec
from attestrain.update.arrays import Float32s, Float64s

LARGEST: Final = float(np.finfo(np.float32).max)


def outer_step(
    spec: RunSpec, rate: float, params: Float32s, momentum: Float32s, aggregate: Float64s
) -> tuple[Float32s, Float32s]:
    """One outer step against the mean pseudo-gradient A.

    With rate lr and the spec's momentum mu, read as float64: M = mu * M + A; ``sgd`` moves by lr * M and ``nesterov``
    by lr * (A + mu * M), M not yet rounded. Without momentum M stays as it is and the move is lr * A. Elementwise
    float64, then one rounding to float32 per stored value, which stops at the largest float32.

    Returns:
        Parameters and momentum after the step.
    """
    decay = float(spec.outer.settings["momentum"])
    move, kept = aggregate, momentum
    if decay:
        moved = decay * momentum.astype(np.float64) + aggregate
        move = moved if spec.outer.name == "sgd" else aggregate + decay * moved
        kept = _stored(moved)
    return _stored(params.astype(np.float64) - rate * move), kept


def _stored(values: Float64s) -> Float32s:
    return np.clip(values, -LARGEST, LARGEST).astype(np.float32)
