"""Lanes: one worker's segments in order, and which of them must be executed to reach the drawn ones.

A drawn segment can only be executed from the state before it. That state comes from executing the segments before, back
to one that is known: all zeros where the worker began, or a state that the bundle keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.bundle import Bundle
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.trace import StateRefs, Trace
from attestrain.rules.ledger import Ledger
from attestrain.train.state import State, state_from_blobs
from attestrain.update.checkpoint import Checkpoint, stored_bytes
from attestrain.update.components import PARAMS
from attestrain.verify.receipts import Works

ADOPTED = 1
"""Index of the state after adopt: bundles keep it, without parameters that are the checkpoint's."""

Place = tuple[Round, int]
"""A segment of a worker: round and index within it."""


def state_path(ref: BlobRef) -> str:
    """Where a bundle keeps a component of a state."""
    return f"states/{ref.root.hex()}.bin"


def kept(bundle: Bundle, spec: RunSpec, trace: Trace, index: int) -> bool:
    """Whether the bundle keeps state ``index`` of a trace."""
    if index >= len(trace.states):
        return False
    had = index == ADOPTED and spec.overlap.whole
    parts = [ref for name, ref in trace.states[index].items() if not (had and name == PARAMS)]
    return all(state_path(ref) in bundle for ref in parts)


def read_state(bundle: Bundle, spec: RunSpec, refs: StateRefs, checkpoint: Checkpoint) -> State | None:
    """The state named ``refs``, from the bundle and the checkpoint; None if a component is in neither.

    Raises:
        FormatError: a file is not what the manifest says, or has the wrong size for the run.
    """
    params = stored_bytes(checkpoint.params)
    known = {blob_ref(params): params}
    blobs: dict[str, bytes] = {}
    for name, ref in refs.items():
        if ref not in known and state_path(ref) not in bundle:
            return None
        blobs[name] = known[ref] if ref in known else bundle.read(state_path(ref))
    state = state_from_blobs(spec, blobs)
    return state if all(blob_ref(blobs[name]) == ref for name, ref in refs.items()) else None


@dataclass(frozen=True, slots=True)
class Standing:
    """A state at hand, its components by name, and the segment that it stands before."""

    state: State
    refs: StateRefs
    place: Place


@dataclass(slots=True)
class Lane:
    """One worker.

    Attributes:
        worker: its slot.
        rounds: rounds with a receipt of the worker's, in order.
        drawn: places drawn.
        planned: places to execute, the drawn ones that can be reached among them.
        starts: places whose state-in is known beforehand.
        standing: the state reached.
        stopped: a mismatch was found, so what follows says nothing.
    """

    worker: Worker
    rounds: list[Round]
    drawn: set[Place] = field(default_factory=set)
    planned: set[Place] = field(default_factory=set)
    starts: set[Place] = field(default_factory=set)
    standing: Standing | None = None
    stopped: bool = False

    def places(self, segments: int) -> Iterator[Place]:
        """Every segment of the worker, in order."""
        return ((round_, segment) for round_ in self.rounds for segment in range(segments))

    def after(self, place: Place, segments: int) -> Place | None:
        """The place that follows ``place``, across rounds that the worker missed; None after the last."""
        round_, segment = place
        if segment + 1 < segments:
            return round_, segment + 1
        at = self.rounds.index(round_) + 1
        return (self.rounds[at], 0) if at < len(self.rounds) else None


def make_lanes(ledger: Ledger, works: Works) -> list[Lane]:
    """A lane for every worker that published."""
    lanes = []
    for worker in sorted({worker for _, worker in works}):
        lanes.append(Lane(worker, [r for r in sorted(ledger.rounds) if worker in ledger.rounds[r].receipts]))
    return lanes


def plan(bundle: Bundle, spec: RunSpec, works: Works, lane: Lane) -> None:
    """Fill in what a lane must execute for what is drawn."""
    since: list[Place] | None = None
    for index, place in enumerate(lane.places(spec.schedule.segments)):
        work = works.get((place[0], lane.worker))
        if work is None:  # committed and never published: nobody can follow the worker through this round
            since = None
            continue
        if index == 0 or (place[1] == ADOPTED and kept(bundle, spec, work.trace, ADOPTED)):
            lane.starts.add(place)
            since = []
        if since is not None:
            since.append(place)
        if place in lane.drawn and since is not None:
            lane.planned.update(since)
            since = []
