"""Validation loss along the way. It is the conductor's own statement: nothing in the bundle rests on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from attestrain.corpus.dataset import Dataset
from attestrain.record.dataset import SplitName
from attestrain.record.spec import RunSpec
from attestrain.run.apart import Pause, apart
from attestrain.train.device import Device
from attestrain.train.engine import Engine
from attestrain.train.evaluate import mean_loss
from attestrain.train.task import Task

Evaluate = Callable[[npt.NDArray[np.float32]], float | None]
"""Mean loss of parameters in nats per token, or None if there is nothing to evaluate on."""


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


def conductors_evaluator(
    spec: RunSpec, task: Task, dataset: Dataset, count: int, device: Device, pause: Pause
) -> Evaluate:
    """An evaluator for the process that forks the roles: on a GPU every evaluation is a process of its own."""
    if not device.is_cuda:
        return Evaluator(Engine(spec, task, device), dataset, count)
    return lambda params: apart(lambda: Evaluator(Engine(spec, task, device), dataset, count)(params), pause)
