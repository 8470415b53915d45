"""Assignment: which sequences of the dataset a worker trains on at each step of a round.

All (worker, step, row) places of a round are numbered and sent through one keyed bijection over the dataset, so the
slices are disjoint and nobody chooses their own data. A round larger than the dataset goes through it again under
another key.
"""

from __future__ import annotations

import struct

from attestrain.errors import FormatError
from attestrain.record.digest import Digest, tagged
from attestrain.record.names import Worker
from attestrain.record.spec import Schedule
from attestrain.rules.bijection import Bijection

MAX_PASSES = 65_536
"""Most passes of one round through the dataset: each costs a permutation in memory, and a run that needs more than a
few would rather have another dataset."""


class Assignment:
    """The assignment of one round.

    Args:
        beacon: the round's beacon.
        schedule: shape of the run.
        sequences: number of sequences in the training split.

    Raises:
        FormatError: the split is empty, or so small that the round goes through it more than `MAX_PASSES` times.
    """

    def __init__(self, beacon: Digest, schedule: Schedule, sequences: int) -> None:
        places = schedule.workers * schedule.steps * schedule.batch
        if not 0 < places <= sequences * MAX_PASSES:
            raise FormatError(f"a round of {places} sequences is out of proportion to a dataset of {sequences}")
        self._beacon = beacon
        self._schedule = schedule
        self._sequences = sequences
        self._passes: dict[int, Bijection] = {}

    def sequences(self, worker: Worker, step: int) -> list[int]:
        """Indices of the sequences of ``worker`` at ``step`` of the round, in the order of the batch's rows."""
        first = (worker * self._schedule.steps + step) * self._schedule.batch
        return [self._sequence(first + row) for row in range(self._schedule.batch)]

    def _sequence(self, place: int) -> int:
        turn, index = divmod(place, self._sequences)
        if turn not in self._passes:
            key = tagged("attestrain.dev/assignment@v1", self._beacon, struct.pack(">I", turn))
            self._passes[turn] = Bijection(key, self._sequences)
        return self._passes[turn](index)
