"""A run without its protocol: the same segments, updates and checkpoints, in one process, one worker after another.

What it computes is what `attestrain train` computes with the same spec, to the last bit: a test holds the two
checkpoints against each other. Keys, audits and the wire are left out, so a second measures training alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from attestrain.corpus.dataset import Dataset
from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.record.names import Branch, Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.rules.beacon import epoch_beacon, round_beacon
from attestrain.train.batches import RoundBatches
from attestrain.train.engine import Engine
from attestrain.train.state import State, genesis_state
from attestrain.update.checkpoint import Checkpoint, advance, genesis
from attestrain.update.header import UpdateHeader

TRUNK = Branch(0)


@dataclass(slots=True)
class Costs:
    """Processor seconds by what they went to, and payload bytes of one worker on average."""

    training: float = 0.0
    compressing: float = 0.0
    aggregating: float = 0.0
    uploaded: float = 0.0
    downloaded: float = 0.0
    rounds: list[int] = field(default_factory=list)


class Simulation:
    """Workers of one run.

    Args:
        spec: with a recorded beacon.
        engine: executes every worker's segments.
        dataset: the run's.
    """

    def __init__(self, spec: RunSpec, engine: Engine, dataset: Dataset) -> None:
        self._spec = spec
        self._engine = engine
        self._split = dataset.split("train")
        self._states: list[State] = [genesis_state(spec) for _ in range(spec.schedule.workers)]
        self._bases: list[Checkpoint] = [genesis(spec)]
        self.costs = Costs()

    def rounds(self, commitments: Iterator[Digest] | None = None) -> Iterator[Checkpoint]:
        """The checkpoints, one for each round.

        Args:
            commitments: commitment root of each round, which decides the next one's batches; zeros, with which nobody
                could commit to anything, if nobody does.
        """
        commitment = ZERO_DIGEST
        for number in range(self._spec.schedule.rounds):
            yield self._play(Round(number), round_beacon(epoch_beacon(self._spec), Round(number), commitment))
            commitment = next(commitments) if commitments is not None else commitment

    def _play(self, round_: Round, beacon: Digest) -> Checkpoint:
        spec = self._spec
        base = self._bases[max(0, len(self._bases) - 1 - spec.overlap.delay)]
        updates = {Worker(slot): self._work(round_, Worker(slot), base, beacon) for slot in range(len(self._states))}
        begin = time.process_time()
        step = advance(spec, self._bases[-1], updates, base.record.digest)
        checkpoint = step.checkpoint
        self.costs.aggregating += time.process_time() - begin
        self._bases = [*self._bases[-spec.overlap.delay - 1 :], checkpoint]
        sizes = [len(update) for update in updates.values()]
        self.costs.rounds.append(sum(sizes))
        self.costs.uploaded += sum(sizes) / len(sizes)
        others = sum(sizes) - sum(sizes) / len(sizes)
        self.costs.downloaded += others if spec.merge is None else len(step.merged or b"")
        return checkpoint

    def _work(self, round_: Round, slot: Worker, base: Checkpoint, beacon: Digest) -> bytes:
        """One worker's round: adopt, inner steps, compress."""
        spec, engine = self._spec, self._engine
        begin = time.process_time()
        state = engine.adopt(self._states[slot], base.params, round_)
        first, steps = round_ * spec.schedule.steps, range(spec.schedule.steps)
        batches = RoundBatches(spec, self._split, beacon, slot)(steps)
        state, _ = engine.inner(state, batches, [spec.inner.rate_bits(first + step) for step in steps])
        trained = time.process_time()
        header = UpdateHeader(spec.run_id, TRUNK, round_, slot, base.record.digest)
        update, self._states[slot] = engine.compress(state, base.params, header, base.record.rank_of(round_))
        self.costs.training += trained - begin
        self.costs.compressing += time.process_time() - trained
        return update
