"""Aggregation: the mean of the screened updates, in one order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attestrain.record.names import Worker
from attestrain.update.arrays import Float64s
from attestrain.update.codec import DecodedUpdate
from attestrain.update.screen import Screened


def mean(updates: Mapping[Worker, DecodedUpdate], screened: Mapping[Worker, Screened]) -> Float64s | None:
    """Mean of the contributors' values, each times its factor.

    Float64, elementwise: products are added to zero in ascending order of worker, then divided by the number of
    contributors.

    Returns:
        The mean in layout order, or None without contributors.
    """
    contributors = [worker for worker in sorted(updates) if screened[worker].reason != "zero"]
    if not contributors:
        return None
    total = np.zeros(len(updates[contributors[0]].values()), dtype=np.float64)
    for worker in contributors:
        total += updates[worker].values().astype(np.float64) * screened[worker].factor
    return total / len(contributors)
