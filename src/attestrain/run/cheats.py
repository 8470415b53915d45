"""Cheats, for demonstrations and tests: engines and workers that do something else than they say.

Each lies in one way and is otherwise honest, so that what catches it is the check that is meant to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attestrain.corpus.dataset import Batch, Split
from attestrain.errors import UsageError
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.record.trace import StepRecord
from attestrain.run.follower import Follower
from attestrain.run.worker import Seat, WorkerRole
from attestrain.train.device import Device
from attestrain.train.engine import Engine
from attestrain.train.state import State
from attestrain.train.task import Task
from attestrain.update.arrays import Float32s
from attestrain.update.header import UpdateHeader


class Cheat(Engine):
    """An engine that is honest until round ``from_round``."""

    def __init__(self, spec: RunSpec, task: Task, from_round: int, device: Device = Device.CPU) -> None:
        super().__init__(spec, task, device)
        self._honest_steps = from_round * spec.schedule.steps
        self._from_round = from_round

    def cheats_at(self, state: State) -> bool:
        """Whether the round that ``state`` stands in is one to cheat in."""
        return int(state["cursor"].view("<u8")[0]) >= self._honest_steps


class SkipSteps(Cheat):
    """Does every other step and reports them all."""

    def inner(self, state: State, batches: Sequence[Batch], rates: Sequence[int]) -> tuple[State, list[StepRecord]]:
        """Half the work, all the claims."""
        if not self.cheats_at(state):
            return super().inner(state, batches, rates)
        out, done = super().inner(state, batches[::2], rates[::2])
        claimed = [
            replace(done[step // 2], batch=batch.digest, rate=rate)
            for step, (batch, rate) in enumerate(zip(batches, rates, strict=True))
        ]
        cursor = state["cursor"].view("<u8") + np.uint64(len(batches))
        return {**out, "cursor": cursor.astype("<u8").view(np.uint8)}, claimed


class WrongData(Cheat):
    """Trains on the first batch of each segment again and again."""

    def inner(self, state: State, batches: Sequence[Batch], rates: Sequence[int]) -> tuple[State, list[StepRecord]]:
        """The same batch every step."""
        if not self.cheats_at(state):
            return super().inner(state, batches, rates)
        out, done = super().inner(state, [batches[0]] * len(batches), rates)
        return out, [replace(step, batch=batch.digest) for step, batch in zip(done, batches, strict=True)]


class DoctorOptimizer(Cheat):
    """Zeroes the optimizer's buffers between rounds, inside adopt."""

    def adopt(self, state: State, checkpoint: Float32s, round_: Round) -> State:
        """Adopts the checkpoint and forgets the optimizer."""
        out = super().adopt(state, checkpoint, round_)
        if not self.cheats_at(state):
            return out
        return {name: np.zeros_like(value) if name.startswith("opt.") else value for name, value in out.items()}


class DoctorFeedback(Cheat):
    """Throws the error feedback away inside compress, after the update was made."""

    def compress(
        self, state: State, base: Float32s, header: UpdateHeader, rank: int | None = None
    ) -> tuple[bytes, State]:
        """Compresses and keeps nothing back."""
        data, out = super().compress(state, base, header, rank)
        if header.round < self._from_round:
            return data, out
        return data, {name: np.zeros_like(value) if name == "ef" else value for name, value in out.items()}


class Poison(Cheat):
    """Trains honestly and publishes the opposite of what it learned."""

    def compress(
        self, state: State, base: Float32s, header: UpdateHeader, rank: int | None = None
    ) -> tuple[bytes, State]:
        """Compresses the pseudo-gradient with its sign turned."""
        if header.round < self._from_round:
            return super().compress(state, base, header, rank)
        turned = (2 * base - state["params"]).astype(np.float32)
        data, out = super().compress({**state, "params": turned}, base, header, rank)
        return data, {**out, "params": state["params"]}


CHEATS: dict[str, type[Cheat]] = {
    "skip-steps": SkipSteps,
    "wrong-data": WrongData,
    "doctor-optimizer": DoctorOptimizer,
    "doctor-feedback": DoctorFeedback,
    "poison": Poison,
}
"""Cheats inside a worker-round."""

CARRIED: dict[str, str] = {"carry-optimizer": "opt.", "carry-feedback": "ef"}
"""Cheats between rounds, which zero carried components: kind to the beginning of their names."""


def require_cheat(kind: str) -> None:
    """Check the name of a cheat.

    Raises:
        UsageError: no cheat is called that.
    """
    if kind not in CHEATS and kind not in CARRIED:
        raise UsageError(f"no cheat is called {kind!r}", hint=f"there are: {', '.join([*CHEATS, *CARRIED])}")


def make_cheat(kind: str, spec: RunSpec, task: Task, from_round: Round, device: Device = Device.CPU) -> Engine:
    """The engine of a cheat; one that cheats between rounds has an honest engine.

    Raises:
        UsageError: no cheat is called that.
    """
    require_cheat(kind)
    return Engine(spec, task, device) if kind in CARRIED else CHEATS[kind](spec, task, from_round, device)


class DoctoringWorker(WorkerRole):
    """A worker that zeroes carried components between rounds, from a round on; `WorkerRole` has the other arguments."""

    def __init__(
        self,
        seat: Seat,
        follower: Follower,
        engine: Engine,
        split: Split,
        keep_states_every: int,
        *,
        kind: str,
        from_round: int,
    ) -> None:
        super().__init__(seat, follower, engine, split, keep_states_every)
        self._prefix = CARRIED[kind]
        self._from_round = from_round

    def begin(self, round_: Round) -> State:
        """The carried state, doctored."""
        state = super().begin(round_)
        if round_ < self._from_round:
            return state
        zeroed = {name for name in state if name.startswith(self._prefix)}
        return {name: np.zeros_like(values) if name in zeroed else values for name, values in state.items()}
