"""Loss of given parameters on given sequences."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from attestrain.errors import UsageError
from attestrain.train.engine import Engine


def mean_loss(
    engine: Engine, params: npt.NDArray[np.float32], sequences: npt.NDArray[np.int64], batch: int = 16
) -> float:
    """Mean loss in nats.

    Args:
        engine: the run's engine; its model is loaded with ``params``.
        params: flat, layout order.
        sequences: (N, T+1) tokens, every sequence of equal weight.
        batch: sequences at a time: a matter of memory, and of the last bits.

    Raises:
        UsageError: there are no sequences.
    """
    if not len(sequences):
        raise UsageError("no sequences to evaluate on", hint="give the split a larger share of the corpus")
    engine.model.load(params)
    module = engine.model.module.eval()
    total = 0.0
    with torch.no_grad():
        for at in range(0, len(sequences), batch):
            part = torch.from_numpy(np.ascontiguousarray(sequences[at : at + batch])).to(engine.device.torch)
            total += float(engine.task.loss(module, part)) * len(part)
    return total / len(sequences)
