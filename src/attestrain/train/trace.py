"""A worker-round with its trace, and one segment of it again.

Working and replaying are the same function, `run_segment`: a replay is exact by construction wherever the engine is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from attestrain.corpus.dataset import Batch
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.digest import Digest
from attestrain.record.names import Branch, Round, Worker
from attestrain.record.trace import Segment, StepRecord, Trace
from attestrain.train.engine import Engine
from attestrain.train.state import State, changed_refs, state_refs
from attestrain.update.header import UpdateHeader


@dataclass(frozen=True, slots=True)
class RoundInputs:
    """What a worker-round depends on besides the worker's state.

    Attributes:
        branch: the line of history.
        round: which round; it decides the learning rates.
        worker: which slot.
        base: digest of the checkpoint document.
        checkpoint: its parameters, flat float32 in layout order.
        batches: from a range of steps within the round to the batch of each.
    """

    branch: Branch
    round: Round
    worker: Worker
    base: Digest
    checkpoint: npt.NDArray[np.float32]
    batches: Callable[[range], list[Batch]]


@dataclass(frozen=True, slots=True)
class SegmentWork:
    """What executing a segment gives: the segment with its step records, the state after it, the update if it ends."""

    segment: Segment
    state: State
    update: bytes | None = None


@dataclass(frozen=True, slots=True)
class RoundWork:
    """What a worker-round gives. ``states`` are those of the trace, in order; the last opens the next round."""

    trace: Trace
    update: bytes
    states: list[State]


OnSegment = Callable[[int, SegmentWork], None]
"""Called after each segment with its index and what it gave: to show progress, or to stop by raising."""


LEAST_BESIDE = 1 << 24
"""Bytes of a state from which naming it takes long enough (some 10 ms) to be worth another thread."""
FREE_CORE = 0.75
"""Part of a core that must be idle for naming beside training to save time."""


def run_round(
    engine: Engine,
    inputs: RoundInputs,
    state: State,
    on_segment: OnSegment | None = None,
    *,
    beside: bool | None = None,
) -> RoundWork:
    """Execute a whole worker-round from ``state``, the one that the worker's previous round ended with.

    Args:
        engine: executes.
        inputs: what the round depends on besides the state.
        state: where it begins.
        on_segment: told of every segment, in order.
        beside: name states on another thread while the next segment is computed; None decides by `worth_a_thread`.
            The result is the same.

    Raises:
        RunFailed: training diverged.
    """
    states, segments, update = [state], [], b""
    with ThreadPoolExecutor(1) if (worth_a_thread(engine) if beside is None else beside) else nullcontext() as thread:
        names = _Names(thread)
        names.add(state)
        for index in range(engine.spec.schedule.segments):
            work = run_segment(engine, inputs, index, states[-1])
            names.add(work.state)
            states.append(work.state)
            segments.append(work.segment)
            update = work.update if work.update is not None else update
            if on_segment is not None:
                on_segment(index, work)
        trace = _trace(engine, inputs, names.all(), segments, blob_ref(update))
    return RoundWork(trace, update, states)


def worth_a_thread(engine: Engine) -> bool:
    """Whether states are large, and a core is idle to name them: always so beside a GPU, which does the training.

    The load average tells how many cores are busy, this process's own included. A wrong guess costs time alone.
    """
    if sum(engine.spec.state.values()) < LEAST_BESIDE:
        return False
    return engine.device.is_cuda or (os.cpu_count() or 1) - os.getloadavg()[0] >= FREE_CORE


class _Names:
    """Content addresses of a round's states, which are added in order.

    Args:
        thread: does it beside; None at once. One thread alone keeps the order, and states are never written to.
    """

    def __init__(self, thread: Executor | None) -> None:
        self._thread = thread
        self._pending: list[Future[None]] = []
        self._named: list[dict[str, BlobRef]] = []
        self._last: State = {}

    def add(self, state: State) -> None:
        """Name a state, sooner or later."""
        if self._thread is None:
            self._name(state)
        else:
            self._pending.append(self._thread.submit(self._name, state))

    def all(self) -> list[dict[str, BlobRef]]:
        """The names of all states, once they are known."""
        for pending in self._pending:
            pending.result()
        return self._named

    def _name(self, state: State) -> None:
        self._named.append(changed_refs(state, self._last, self._named[-1]) if self._named else state_refs(state))
        self._last = state


def run_segment(engine: Engine, inputs: RoundInputs, index: int, state: State) -> SegmentWork:
    """Execute segment ``index`` of the round: 0 adopts, the last compresses, those between take inner steps.

    Raises:
        RunFailed: training diverged.
        IndexError: the round has no such segment.
    """
    spec = engine.spec
    last = spec.schedule.segments - 1
    if not 0 <= index <= last:
        raise IndexError(f"a round has segments 0..{last}, no {index}")
    if index == 0:
        return SegmentWork(Segment("adopt"), engine.adopt(state, inputs.checkpoint, inputs.round))
    if index == last:
        header = UpdateHeader(spec.run_id, inputs.branch, inputs.round, inputs.worker, inputs.base)
        update, after = engine.compress(state, inputs.checkpoint, header)
        return SegmentWork(Segment("compress"), after, update)
    after, records = _inner(engine, inputs, spec.schedule.steps_of(index), state)
    return SegmentWork(Segment("inner", tuple(records)), after)


def _inner(engine: Engine, inputs: RoundInputs, steps: range, state: State) -> tuple[State, list[StepRecord]]:
    first = inputs.round * engine.spec.schedule.steps
    rates = [engine.spec.inner.rate_bits(first + step) for step in steps]
    return engine.inner(state, inputs.batches(steps), rates)


def _trace(
    engine: Engine, inputs: RoundInputs, refs: list[dict[str, BlobRef]], segments: list[Segment], update: BlobRef
) -> Trace:
    return Trace(
        run=engine.spec.run_id,
        branch=inputs.branch,
        round=inputs.round,
        worker=inputs.worker,
        states=tuple(refs),
        segments=tuple(segments),
        update=update,
    )
