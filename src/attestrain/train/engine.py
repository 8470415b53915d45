"""The three things a worker does to its state: adopt a checkpoint, take inner steps, compress.

Each depends on its arguments alone: buffers are loaded from the given state and copied out into a new one, and the
given one is never written to. Replaying a segment is calling the same function with the same arguments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from attestrain.corpus.dataset import Batch
from attestrain.errors import RunFailed, UsageError
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.record.trace import StepRecord
from attestrain.train.adoption import adopted, drift
from attestrain.train.determinism import determinism
from attestrain.train.device import Device, put, taken
from attestrain.train.flat import FlatModel
from attestrain.train.optimizers import make_optimizer
from attestrain.train.schedule import bits_float, float_bits
from attestrain.train.settings import state_sizes
from attestrain.train.state import State, counter, cursor_of, frozen
from attestrain.train.task import Task, positive_setting
from attestrain.update.arrays import NOTHING
from attestrain.update.components import CURSOR, FEEDBACK, MEMORY, PARAMS
from attestrain.update.feedback import Kept, compress
from attestrain.update.header import UpdateHeader


class Engine:
    """Executes one run's segments in this process.

    Model and optimizer live on ``device``; states are host arrays, loaded before a segment, copied out after it.

    Raises:
        UsageError: the task or the optimizer is not the one that the spec describes, or the device cannot be used.
    """

    def __init__(self, spec: RunSpec, task: Task, device: Device = Device.CPU) -> None:
        determinism(device)
        self.device = device
        self.spec = spec
        self.task = task
        if spec.state != state_sizes(spec.layout, spec.inner.name, spec.codec, spec.overlap):
            raise UsageError("the run spec's state is not that of its optimizer, codec and overlap")
        if spec.schedule.sequence_tokens > positive_setting(spec.task.config, "context"):
            raise UsageError("the run spec's sequences are longer than the model's context")
        self.model = FlatModel(task.build_model(spec.task.config), spec.layout, device.torch)
        self._optimizer = make_optimizer(spec.inner, self.model)
        self._clip = float(spec.inner.settings["clip"])

    def adopt(self, state: State, checkpoint: npt.NDArray[np.float32], round_: Round) -> State:
        """Take the checkpoint's parameters (flat, layout order) as far as the run's overlap says: `adoption`."""
        params = np.ascontiguousarray(checkpoint, "<f4")
        if params.nbytes != self.spec.state[PARAMS]:
            raise UsageError(f"checkpoint of {params.size} parameters is not this run's")
        return adopted(self.spec, state, params, round_)

    def inner(self, state: State, batches: Sequence[Batch], rates: Sequence[int]) -> tuple[State, list[StepRecord]]:
        """Take one optimizer step per batch.

        Args:
            state: where to start.
            batches: what each step trains on.
            rates: float32 bits of each step's learning rate.

        Returns:
            The state with new parameters, optimizer buffers and cursor, and a record of every step. The gradient norm
            in a record is that before clipping.

        Raises:
            RunFailed: a loss or gradient is not finite.
        """
        self._load(state)
        start = cursor_of(state)
        records = [
            self._step(batch, bits, index)
            for index, (batch, bits) in enumerate(zip(batches, rates, strict=True), start + 1)
        ]
        buffers = {name: frozen(taken(buffer)) for name, buffer in self._optimizer.buffers.items()}
        cursor = counter(start + len(records))
        return {**state, PARAMS: frozen(self.model.params()), **buffers, CURSOR: cursor}, records

    def compress(
        self, state: State, base: npt.NDArray[np.float32], header: UpdateHeader, rank: int | None = None
    ) -> tuple[bytes, State]:
        """Encode the pseudo-gradient plus error feedback; only what is kept for the next update changes.

        Args:
            state: after the round's steps.
            base: parameters of the checkpoint that the round started from.
            header: the slot and base of the update.
            rank: of low-rank factors in this round, where the run adapts it; None: that of the spec.

        Raises:
            RunFailed: a value is not finite.
        """
        feedback, memory = state.get(FEEDBACK), state.get(MEMORY)
        before = Kept(None if feedback is None else feedback.view(np.float32), NOTHING)
        if memory is not None:
            before = before._replace(memory=memory.view(np.float32))
        data, kept = compress(self.spec, header, drift(self.spec, state, base), before, rank)
        after = dict(state)
        if kept.ef is not None:
            after[FEEDBACK] = frozen(np.ascontiguousarray(kept.ef, "<f4"))
        if memory is not None:
            after[MEMORY] = frozen(np.ascontiguousarray(kept.memory, "<f4"))
        return data, after

    def _load(self, state: State) -> None:
        self.model.load(state[PARAMS].view(np.float32))
        for name, buffer in self._optimizer.buffers.items():
            put(buffer, state[name])
        self.model.module.train()

    def _step(self, batch: Batch, rate_bits: int, index: int) -> StepRecord:
        # Models that draw random numbers, as dropout does, draw the same ones when the step is executed again.
        torch.manual_seed((self.spec.seed << 20) + index & (2**63 - 1))
        model = self.model
        model.grads.zero_()
        value, norm = self._pass(batch), model.grad_norm()
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise RunFailed(
                f"step {index}: loss {value}, gradient norm {norm}",
                hint="training diverged: lower the peak learning rate or lengthen the warm-up",
            )
        if norm > self._clip:
            model.grads.mul_(self._clip / norm)
        self._optimizer.step(bits_float(rate_bits), index)
        return StepRecord(batch.digest, float_bits(value), float_bits(norm), rate_bits)

    def _pass(self, batch: Batch) -> float:
        """Loss of a batch, whose gradients are added to the model's: in equal parts, so that large batches fit."""
        value, parts = 0.0, self.spec.schedule.accumulate
        for part in torch.from_numpy(batch.tokens).to(self.device.torch).chunk(parts):
            loss = self.task.loss(self.model.module, part)
            (loss if parts == 1 else loss / parts).backward()
            value += float(loss.detach())
        return value / parts
