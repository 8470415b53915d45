"""The batches a worker must train on: the assignment applied to the training split."""

from __future__ import annotations

from attestrain.corpus.dataset import Batch, Split
from attestrain.record.digest import Digest
from attestrain.record.names import Worker
from attestrain.record.spec import RunSpec
from attestrain.rules.assignment import Assignment


class RoundBatches:
    """Batches of one worker in one round, by step.

    Args:
        spec: the run spec.
        split: the training split.
        beacon: the round's beacon.
        worker: whose batches.
    """

    def __init__(self, spec: RunSpec, split: Split, beacon: Digest, worker: Worker) -> None:
        self._assignment = Assignment(beacon, spec.schedule, split.sequences)
        self._split = split
        self._worker = worker

    def __call__(self, steps: range) -> list[Batch]:
        """Batches of ``steps`` (counted within the round), each checked against the dataset's leaves."""
        return [self._split.batch(self._assignment.sequences(self._worker, step)) for step in steps]
