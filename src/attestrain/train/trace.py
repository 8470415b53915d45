"""A worker-round with its trace, and one segment of it again.

Working and replaying are the same function, `run_segment`: a replay is exact by construction wherever the engine is.
"""

from __future__ import annotations

from collections.abc import Callable
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
from attestrain.train.meter import Meter, Unmetered
from attestrain.train.naming import Names, worth_a_thread
from attestrain.train.state import State
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
        rank: of the round's update, where the run adapts it; None: that of the spec.
    """

    branch: Branch
    round: Round
    worker: Worker
    base: Digest
    checkpoint: npt.NDArray[np.float32]
    batches: Callable[[range], list[Batch]]
    rank: int | None = None


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


def run_round(
    engine: Engine,
    inputs: RoundInputs,
    state: State,
    on_segment: OnSegment | None = None,
    *,
    beside: bool | None = None,
    meter: Meter | None = None,
) -> RoundWork:
    """Execute a whole worker-round from ``state``, the one that the worker's previous round ended with.

    Args:
        engine: executes.
        inputs: what the round depends on besides the state.
        state: where it begins.
        on_segment: told of every segment, in order.
        beside: name states on another thread while the next segment is computed; None decides
            by `naming.worth_a_thread`. The result is the same.
        meter: told when inner steps run (``training``); adopting, compressing and naming are none of it.

    Raises:
        RunFailed: training diverged.
    """
    states, segments, update = [state], [], b""
    meter = meter or Unmetered()
    with Names(beside=worth_a_thread(engine) if beside is None else beside, meter=meter) as names:
        names.add(state)
        for index in range(engine.spec.schedule.segments):
            with meter.on("training") if _has_steps(engine, index) else nullcontext():
                work = run_segment(engine, inputs, index, states[-1])
            names.add(work.state)
            states.append(work.state)
            segments.append(work.segment)
            update = work.update if work.update is not None else update
            if on_segment is not None:
                on_segment(index, work)
        trace = _trace(engine, inputs, names.all(), segments, blob_ref(update))
    return RoundWork(trace, update, states)


def _has_steps(engine: Engine, index: int) -> bool:
    return 0 < index < engine.spec.schedule.segments - 1


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
        update, after = engine.compress(state, inputs.checkpoint, header, inputs.rank)
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
