"""What a run must beat: one worker alone, and the bytes that synchronous training would upload."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from attestrain.corpus.dataset import Dataset
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.rules.beacon import epoch_beacon, round_beacon
from attestrain.train.batches import RoundBatches
from attestrain.train.engine import Engine
from attestrain.train.state import genesis_state
from attestrain.update.initial import initial_params

FLOAT32 = 4


def allreduce_bytes(spec: RunSpec) -> int:
    """Bytes one worker uploads for the same steps under AllReduce: every step its gradient once, in fp32.

    A ring sends up to twice that; the smaller figure is the stricter comparison.
    """
    return FLOAT32 * spec.layout.parameters * spec.schedule.total_steps


def train_solo(engine: Engine, dataset: Dataset) -> Iterator[tuple[Round, npt.NDArray[np.float32]]]:
    """Train one worker alone with the run's optimizer, schedule and batch size; yields its parameters every round."""
    spec, split = engine.spec, dataset.split("train")
    state = engine.adopt(genesis_state(spec), initial_params(spec), Round(0))
    for number in range(spec.schedule.rounds):
        round_ = Round(number)
        batches = RoundBatches(spec, split, round_beacon(epoch_beacon(spec), round_, ZERO_DIGEST), Worker(0))
        steps = range(spec.schedule.steps)
        rates = [spec.inner.rate_bits(number * spec.schedule.steps + step) for step in steps]
        state, _ = engine.inner(state, batches(steps), rates)
        yield round_, state["params"].view(np.float32)
