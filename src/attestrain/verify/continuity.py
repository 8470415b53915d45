"""Claim (5): nothing moves between rounds, and inside a round only what the kind of a segment may move.

Every function works on names of states alone. The sequencer asks `check_chain` and `check_segments` too, before it
believes that a worker-round is published.
"""

from __future__ import annotations

from collections.abc import Iterator

from attestrain.record.blob import CELL, BlobRef, blob_ref
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.digest import Digest
from attestrain.record.merkle import EMPTY_ROOT, leaf_hash, node_hash
from attestrain.record.names import Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Receipt
from attestrain.record.trace import StateRefs, Trace, state_root
from attestrain.rules.ledger import Ledger
from attestrain.update.components import (
    COUNTER_BYTES,
    CURSOR,
    FEEDBACK,
    GRADIENTS,
    MEMORY,
    PARAMS,
    START,
    SYNCED,
)
from attestrain.verify.checks import require
from attestrain.verify.receipts import Works

OPTIMIZER = "opt."
"""How the names of an optimizer's components begin."""
ADOPTED = (PARAMS, START, SYNCED)
"""What may move when a checkpoint is taken; summed gradients begin anew there as well."""


def check_continuity(ledger: Ledger, works: Works, checkpoints: list[CheckpointRecord]) -> tuple[list[str], str]:
    """The chain of every worker's states, and the inside of every published worker-round.

    Returns:
        What could not be followed: worker-rounds that build on one whose trace was never published.

    Raises:
        Contradiction: something moved that may not.
    """
    gaps: list[str] = []
    for worker in ledger.slots("worker"):
        gaps += _check_worker(ledger, works, checkpoints, worker)
    components = len(ledger.spec.state)
    return gaps, f"{len(works)} worker-rounds, {components} components each, {len(gaps)} gaps"


def _check_worker(ledger: Ledger, works: Works, checkpoints: list[CheckpointRecord], worker: Worker) -> list[str]:
    gaps: list[str] = []
    state, hole = genesis_root(ledger.spec), ""
    for turn, receipt in enumerate(receipts_of(ledger, worker)):
        name = f"worker {worker} round {receipt.round}"
        require(receipt.first_state == state, f"{name} begins with another state than the one before ended with")
        state = receipt.last_state
        work = works.get((receipt.round, worker))
        if work is None:
            hole = name
            continue
        base = checkpoints[ledger.spec.overlap.base(receipt.round)]
        check_segments(ledger.spec, base, work.trace, turn * ledger.spec.schedule.steps)
        if hole:
            gaps.append(f"{name} builds on {hole}, which was never published")
    return gaps


def receipts_of(ledger: Ledger, worker: Worker) -> Iterator[Receipt]:
    """All receipts of a worker, in the order of the rounds."""
    for round_ in sorted(ledger.rounds):
        if (item := ledger.rounds[round_].receipts.get(worker)) is not None:
            yield item.statement


def check_chain(ledger: Ledger, receipt: Receipt) -> None:
    """Check that a receipt not yet filed starts from the state that its worker's receipt before it ended with.

    Raises:
        Contradiction: it does not.
    """
    state = genesis_root(ledger.spec)
    for before in receipts_of(ledger, receipt.worker):
        state = before.last_state if before.round < receipt.round else state
    name = f"worker {receipt.worker} round {receipt.round}"
    require(receipt.first_state == state, f"{name} begins with another state than the one before ended with")


def check_segments(spec: RunSpec, base: CheckpointRecord, trace: Trace, executed: int) -> None:
    """Check what may move inside a worker-round: adopt, inner and compress segments of the spec's shape.

    Args:
        spec: the run spec.
        base: the checkpoint that the round starts from.
        trace: what the worker claims.
        executed: inner steps that the worker had executed before the round.

    Raises:
        Contradiction: a component has the wrong size, or moved where it may not.
    """
    name = f"worker {trace.worker} round {trace.round}"
    schedule = spec.schedule
    kinds = ["adopt", *["inner"] * (schedule.segments - 2), "compress"]
    require([segment.kind for segment in trace.segments] == kinds, f"{name} does not have the segments of the schedule")
    for state in trace.states:
        sizes = {component: ref.size for component, ref in state.items()}
        require(sizes == spec.state, f"{name} has a state of other components than the spec's")
    for index, segment in enumerate(trace.segments):
        before, after, steps = trace.states[index], trace.states[index + 1], schedule.steps_of(index)
        where = f"{name} segment {index} ({segment.kind})"
        require(len(segment.steps) == len(steps), f"{where} has {len(segment.steps)} steps, not {len(steps)}")
        moved = {component for component in after if after[component] != before[component]}
        illegal = {component for component in moved if not _may_move(spec, segment.kind, component)}
        require(not illegal, f"{where} changes {min(illegal, default='')}, which it may not")
        executed += len(steps)
        require(after[CURSOR] == counter_ref(executed), f"{where} leaves the cursor elsewhere than at step {executed}")
        if segment.kind == "adopt":
            _check_adopted(spec, base, trace, after, where)


def _check_adopted(spec: RunSpec, base: CheckpointRecord, trace: Trace, after: StateRefs, where: str) -> None:
    """A checkpoint taken whole shows by its name; what is mixed with a worker's own values, only a replay can tell."""
    overlap = spec.overlap
    if overlap.whole:
        require(after[PARAMS] == base.params, f"{where} does not adopt the checkpoint's parameters")
    if START in after:
        require(after[START] == after[PARAMS], f"{where} does not start from the parameters it adopted")
    if SYNCED in after:
        taken = counter_ref(overlap.base(trace.round))
        require(after[SYNCED] == taken, f"{where} says that it adopted another checkpoint")
    if GRADIENTS in after:
        require(after[GRADIENTS] == zeros_ref(spec.state[GRADIENTS]), f"{where} does not begin its gradients anew")


def _may_move(spec: RunSpec, kind: str, component: str) -> bool:
    match kind:
        case "adopt":
            return component in (*ADOPTED, GRADIENTS)
        case "inner":
            own = component == PARAMS and spec.inner.name != "gradient"
            return own or component == CURSOR or component.startswith(OPTIMIZER)
    return component in (FEEDBACK, MEMORY)


def counter_ref(value: int) -> BlobRef:
    """Content address of a counter, such as the cursor after so many inner steps."""
    return blob_ref(value.to_bytes(COUNTER_BYTES, "little"))


def genesis_root(spec: RunSpec) -> Digest:
    """Root of the state that every worker starts with: all components zero."""
    state: StateRefs = {component: zeros_ref(size) for component, size in spec.state.items()}
    return state_root(state)


def zeros_ref(size: int) -> BlobRef:
    """Content address of ``size`` zero bytes, in time and memory logarithmic in their number."""
    full, rest = divmod(size, CELL)
    peaks, perfect, left = [], leaf_hash(bytes(CELL)), full
    while left:
        if left & 1:
            peaks.append(perfect)
        perfect, left = node_hash(perfect, perfect), left >> 1
    # Smallest subtree first: the short last cell, if any, stands to the right of all full ones.
    nodes = ([leaf_hash(bytes(rest))] if rest else []) + peaks
    if not nodes:
        return BlobRef(EMPTY_ROOT, 0)
    root = nodes[0]
    for peak in nodes[1:]:
        root = node_hash(peak, root)
    return BlobRef(root, size)
