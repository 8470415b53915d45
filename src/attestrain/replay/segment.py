"""One segment executed again: what its worker claims against what comes out here.

In one environment class the result is the same to the last bit or the worker is at fault. Between classes inner steps
may differ within calibrated tolerance; batches, learning rates, and everything computed without an engine may not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from attestrain.corpus.dataset import Batch
from attestrain.errors import RunFailed, Undecided
from attestrain.record.blob import blob_ref
from attestrain.record.digest import Digest, tagged
from attestrain.record.spec import RunSpec
from attestrain.record.trace import Segment, StateRefs, StepRecord, Trace, result_digest, state_root
from attestrain.replay.compare import METRICS, TOLERATED, Tolerance, measure, measure_steps
from attestrain.train.engine import Engine
from attestrain.train.state import State, changed_refs, state_refs
from attestrain.train.trace import RoundInputs, SegmentWork, run_segment
from attestrain.update.checkpoint import Checkpoint

Outcome = Literal["exact", "tolerance", "fault"]

MAX_DETAIL = 200
"""Longest detail: it is signed as a statement's text (`record.names.MAX_TEXT`) with room for a place."""
NO_RESULT_TAG = "attestrain.dev/no-result@v1"

_GIVEN = {"batch": "batch", "rate": "learning rate"}
"""Fields of a step record that the run decides: no machine has another value."""
_COMPUTED = {"loss": "loss", "grad_norm": "gradient norm"}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What re-executing a segment gave.

    Attributes:
        kind: adopt, inner or compress.
        outcome: the same bits, within tolerance, or neither.
        claimed: result digest from the trace (`record.trace.result_digest`).
        observed: result digest of the replay.
        detail: what differs, ASCII, at most `MAX_DETAIL` characters; empty if nothing does.
    """

    kind: str
    outcome: Outcome
    claimed: Digest
    observed: Digest
    detail: str


@dataclass(frozen=True, slots=True)
class Reexecuted:
    """A segment's replay with what it computed, for whoever goes on from there.

    Attributes:
        replayed: how it compares, bit for bit.
        work: what was computed; None if the replay could not finish.
        refs: components of the state it ended in; empty without one.
        tolerable: whether it differs, and only in ways that a machine of another class honestly may.
    """

    replayed: Replayed
    work: SegmentWork | None
    refs: StateRefs
    tolerable: bool


@dataclass(frozen=True, slots=True)
class _Difference:
    text: str
    tolerable: bool


def replay_segment(
    engine: Engine,
    spec: RunSpec,
    trace: Trace,
    segment: int,
    state_in: State,
    checkpoint: Checkpoint,
    batches: Callable[[range], list[Batch]],
    *,
    claimed_out: State | None = None,
    tolerance: Tolerance | None = None,
) -> Replayed:
    """Execute segment ``segment`` of ``trace`` again and compare.

    Args:
        engine: executes the run's segments.
        spec: the run.
        trace: what the worker claims, with all the run's segments.
        segment: which one.
        state_in: the state before it, the one that the trace names.
        checkpoint: the checkpoint that the trace's round starts from.
        batches: the assigned batches of a range of steps of the round.
        claimed_out: the worker's state after the segment; needed only where a tolerance applies.
        tolerance: what the worker's environment class may differ by; None where it is the same class.

    Raises:
        Undecided: only tolerance can tell, and ``claimed_out`` is missing.
        ValueError: ``state_in`` or ``claimed_out`` is not the state that the trace names.
    """
    refs = state_refs(state_in)
    if refs != dict(trace.states[segment]):
        raise ValueError(f"the state at hand is not the one before segment {segment}")
    done = reexecute(engine, trace, segment, state_in, refs, checkpoint, batches)
    if tolerance is None or not done.tolerable:
        return done.replayed
    if claimed_out is None:
        raise Undecided(
            f"segment {segment} of round {trace.round} by worker {trace.worker} differs across classes",
            hint="to compare within tolerance, the worker's state after the segment is needed",
        )
    if state_refs(claimed_out) != dict(trace.states[segment + 1]):
        raise ValueError(f"the state at hand is not the one after segment {segment}")
    return judge(spec, trace.segments[segment], state_in, claimed_out, done, tolerance)


def reexecute(
    engine: Engine,
    trace: Trace,
    segment: int,
    state_in: State,
    refs: StateRefs,
    checkpoint: Checkpoint,
    batches: Callable[[range], list[Batch]],
) -> Reexecuted:
    """Execute a segment from ``state_in``, whose components are ``refs``, and compare bit for bit."""
    base, rank = checkpoint.record.digest, checkpoint.record.rank_of(trace.round)
    inputs = RoundInputs(trace.branch, trace.round, trace.worker, base, checkpoint.params, batches, rank)
    kind, claimed = trace.segments[segment].kind, trace.result(segment)
    try:
        work = run_segment(engine, inputs, segment, state_in)
    except RunFailed as error:
        # A state doctored to break the replay is the worker's fault: honest steps from it would have failed as well.
        nothing = tagged(NO_RESULT_TAG, kind.encode(), trace.result(segment))
        replayed = Replayed(kind, "fault", claimed, nothing, _detail([f"the replay fails: {error}"]))
        return Reexecuted(replayed, None, {}, tolerable=False)
    after = changed_refs(work.state, state_in, refs)
    update = None if work.update is None else blob_ref(work.update)
    observed = result_digest(work.segment, state_root(after), update)
    if observed == claimed:
        return Reexecuted(Replayed(kind, "exact", claimed, observed, ""), work, after, tolerable=False)
    found = _differences(trace, segment, work, after, engine.spec.schedule.steps_of(segment))
    replayed = Replayed(kind, "fault", claimed, observed, _detail([item.text for item in found]))
    return Reexecuted(replayed, work, after, tolerable=all(item.tolerable for item in found))


def judge(
    spec: RunSpec, claimed: Segment, state_in: State, claimed_out: State, done: Reexecuted, tolerance: Tolerance
) -> Replayed:
    """A replay that differs tolerably, held against ``tolerance``."""
    replayed = done.replayed
    if done.work is None or not done.tolerable:
        return replayed
    measured = measure(spec, state_in, claimed_out, done.work.state)
    measured |= measure_steps(claimed.steps, done.work.segment.steps)
    beyond = tolerance.exceeded(measured)
    if beyond:
        texts = [f"{name} {measured[name]:.2g} over {tolerance.bounds.get(name, 0.0):.2g}" for name in beyond]
        return Replayed(replayed.kind, "fault", replayed.claimed, replayed.observed, _detail(texts))
    texts = [f"{name} {measured[name]:.2g}" for name in METRICS if name in measured]
    return Replayed(replayed.kind, "tolerance", replayed.claimed, replayed.observed, _detail(texts))


def component_difference(claimed: StateRefs, observed: StateRefs) -> list[str]:
    """Names of the components that two states do not share, in order."""
    return sorted(name for name in claimed.keys() | observed.keys() if claimed.get(name) != observed.get(name))


def _differences(trace: Trace, segment: int, work: SegmentWork, after: StateRefs, steps: range) -> list[_Difference]:
    """What differs: the kind, the first step that does, components, the update."""
    claimed, found = trace.segments[segment], list[_Difference]()
    if claimed.kind != work.segment.kind:
        found.append(_Difference(f"claimed as {claimed.kind}, is {work.segment.kind}", tolerable=False))
    found += _step_differences(claimed.steps, work.segment.steps, steps)
    if names := component_difference(trace.states[segment + 1], after):
        tolerable = work.segment.kind == "inner" and _only_values(trace.states[segment + 1], after, names)
        found.append(_Difference(", ".join(names), tolerable))
    if work.update is not None and trace.update != blob_ref(work.update):
        found.append(_Difference("update", tolerable=False))
    return found


def _only_values(claimed: StateRefs, observed: StateRefs, names: list[str]) -> bool:
    """Whether the components ``names`` are ones that may differ in value, and differ in nothing else."""
    both = claimed.keys() & observed.keys()
    return all(name in TOLERATED and name in both and claimed[name].size == observed[name].size for name in names)


def _step_differences(
    claimed: tuple[StepRecord, ...], observed: tuple[StepRecord, ...], steps: range
) -> list[_Difference]:
    """The first step (counted within the round) that was given something else, and the first that gave something."""
    found: list[_Difference] = []
    if len(claimed) != len(observed):
        found.append(_Difference(f"{len(claimed)} steps instead of {len(observed)}", tolerable=False))
    for fields, tolerable in ((_GIVEN, False), (_COMPUTED, True)):
        places = [
            f"step {step}: {text}"
            for step, a, b in zip(steps, claimed, observed, strict=False)
            for field, text in fields.items()
            if getattr(a, field) != getattr(b, field)
        ]
        found += [_Difference(place, tolerable) for place in places[:1]]
    return found


def _detail(texts: list[str]) -> str:
    """Texts as one line of printable ASCII."""
    line = "; ".join(texts).encode("ascii", "replace").decode("ascii")
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 3] + "..."
