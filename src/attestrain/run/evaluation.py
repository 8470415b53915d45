"""Validation loss along the way. It is the conductor's own statement: nothing in the bundle rests on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from attestrain.corpus.dataset import Dataset
from attestrain.record.dataset import SplitName
from attestrain.train.engine import Engine
from attestrain.train.evaluate import mean_loss


class Evaluator:
    """Mean loss on sequences spread evenly over a split, the same ones every time.

    Args:
        engine: its model is overwritten.
        dataset: where the sequences come from.
        count: how many.
        split: validation for choosing, test for reporting.
    """

    def __init__(self, engine: Engine, dataset: Dataset, count: int, split: SplitName = "validation") -> None:
        self._engine = engine
        source = dataset.split(split)
        chosen = np.linspace(0, source.sequences - 1, min(count, source.sequences)).astype(np.int64)
        self._sequences = source.batch([int(index) for index in chosen]).tokens if source.sequences else None

    def __call__(self, params: npt.NDArray[np.float32]) -> float | None:
        """Mean loss in nats per token, or None if the split is empty."""
        return None if self._sequences is None else mean_loss(self._engine, params, self._sequences)
