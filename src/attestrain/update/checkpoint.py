"""From checkpoint to checkpoint: the one computation that the sequencer, every worker and every verifier repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from attestrain.errors import FormatError
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.digest import Digest
from attestrain.record.names import Branch, Round, Worker
from attestrain.record.plan import Plan
from attestrain.record.spec import RunSpec
from attestrain.update.aggregate import aggregate_pieces
from attestrain.update.arrays import NOTHING, STORED, Float32s, Pieces, joined
from attestrain.update.codec import DecodedUpdate, decode
from attestrain.update.fragments import fragment_of
from attestrain.update.header import UpdateHeader, read_opening
from attestrain.update.initial import initial_params
from attestrain.update.merge import merge, read_merged
from attestrain.update.outer import Step, memory_values, step_by_pieces
from attestrain.update.plan import check_plan, first_plan, following_plan
from attestrain.update.screen import Screened, screen


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint with its values, flat and in layout order. The arrays are never written to.

    ``momentum`` is all that the outer optimizer remembers, plane after plane (`update.outer`).
    """

    record: CheckpointRecord
    params: Float32s
    momentum: Float32s


@dataclass(frozen=True, slots=True, eq=False)
class Advance:
    """The next checkpoint, what screening said of each decoded update, and why the others were refused.

    ``merged`` is the round's merged update; None where the run merges none, or there was nothing to merge. ``rank`` is
    that of the round's updates, where the run adapts it.
    """

    checkpoint: Checkpoint
    screened: dict[Worker, Screened]
    rejected: dict[Worker, str]
    merged: bytes | None = None
    rank: int | None = None

    @property
    def members(self) -> list[Worker]:
        """Workers whose update moved the checkpoint, ascending."""
        return sorted(worker for worker, judged in self.screened.items() if judged.reason != "zero")


def genesis(spec: RunSpec) -> Checkpoint:
    """Checkpoint 0: the initial parameters and no momentum."""
    momentum = np.zeros(memory_values(spec.outer, spec.layout), dtype=np.float32)
    return _named(spec, Branch(0), Round(0), initial_params(spec), momentum, plan=first_plan(spec))


def advance(
    spec: RunSpec, checkpoint: Checkpoint, updates: Mapping[Worker, bytes], base: Digest | None = None
) -> Advance:
    """Close a round: decode, screen, aggregate, take the outer step.

    A function of the contents of ``updates`` alone, whatever their order. Bytes that are not an update of their slot
    are refused with a reason and never raise. Without contributors, parameters and momentum stay.

    Args:
        spec: the run.
        checkpoint: of the round.
        updates: their bytes, by worker.
        base: digest of the checkpoint that the workers started from, if a delay makes it an earlier one.
    """
    base = base or checkpoint.record.digest
    decoded: dict[Worker, DecodedUpdate] = {}
    rejected: dict[Worker, str] = {}
    for worker in sorted(updates):
        try:
            decoded[worker] = open_update(spec, checkpoint.record, base, worker, updates[worker])
        except FormatError as error:
            rejected[worker] = str(error)
    screened = screen(decoded, spec.norm_clip)
    pieces, merged = aggregate_pieces(spec, checkpoint.record.round, decoded, screened), None
    if pieces is not None and spec.merge is not None:
        size = fragment_of(spec, checkpoint.record.round).layout.parameters
        merged, values = merge(spec, checkpoint.record, joined(size, pieces))
        pieces = _piece(values)
    contributors = [update for worker, update in decoded.items() if screened[worker].reason != "zero"]
    plan = following_plan(spec, checkpoint.record.plan, contributors)
    following, rank = _next(spec, checkpoint, pieces, merged, plan), checkpoint.record.rank_of(checkpoint.record.round)
    return Advance(following, screened, rejected, merged, rank)


def follow(spec: RunSpec, checkpoint: Checkpoint, merged: bytes | None) -> Checkpoint:
    """The next checkpoint by the round's merged update alone, None if there was nothing to merge.

    It is as good as the word of whoever sent the bytes, until its digest is held against one that follows from the
    updates.

    Raises:
        FormatError: not the merged update of this round.
    """
    pieces = None if merged is None else _piece(read_merged(spec, checkpoint.record, merged))
    return _next(spec, checkpoint, pieces, merged)


def _piece(values: Float32s) -> Pieces:
    return [(slice(0, len(values)), values.astype(np.float64))]


def _next(
    spec: RunSpec,
    checkpoint: Checkpoint,
    aggregate: Pieces | None,
    merged: bytes | None,
    plan: Plan | None = None,
) -> Checkpoint:
    params, momentum, record = checkpoint.params, checkpoint.momentum, checkpoint.record
    if aggregate is not None:
        params, momentum = _outer(spec, checkpoint, aggregate)
    return _named(spec, record.branch, Round(record.round + 1), params, momentum, merged, plan)


def _outer(spec: RunSpec, checkpoint: Checkpoint, aggregate: Pieces) -> tuple[Float32s, Float32s]:
    """The outer step on the fragment that the round synchronises; everything else stays."""
    round_, part = checkpoint.record.round, fragment_of(spec, checkpoint.record.round)
    step = Step(spec.outer, spec.outer.rate(round_), round_ // spec.overlap.fragments + 1, part.layout)
    planes = list(checkpoint.momentum.reshape(-1, spec.layout.parameters))
    memory = _joined([part.take(plane) for plane in planes])
    params, memory = step_by_pieces(step, part.take(checkpoint.params), memory, aggregate)
    after = memory.reshape(-1, part.layout.parameters)
    kept = _joined([part.put(plane, new) for plane, new in zip(planes, after, strict=True)])
    return part.put(checkpoint.params, params), kept


def _joined(planes: list[Float32s]) -> Float32s:
    return planes[0] if len(planes) == 1 else np.concatenate([NOTHING, *planes])


def open_update(spec: RunSpec, current: CheckpointRecord, base: Digest, worker: Worker, data: bytes) -> DecodedUpdate:
    """Decode the update of ``worker`` for the round of checkpoint ``current``, which its workers began at ``base``.

    Raises:
        FormatError: not an update of the run, or of another slot or base.
    """
    if not 0 <= worker < spec.schedule.workers:
        raise FormatError(f"the run has no worker {worker}")
    expected = UpdateHeader(spec.run_id, current.branch, current.round, worker, base)
    found = read_opening(data).header
    for part in UpdateHeader.__dataclass_fields__:
        if getattr(found, part) != getattr(expected, part):
            raise FormatError(f"update names another {part}")
    return decode(spec, data, current.rank_of(current.round))


def load_checkpoint(spec: RunSpec, record: CheckpointRecord, params: bytes, momentum: bytes) -> Checkpoint:
    """Put a stored checkpoint together again.

    Raises:
        FormatError: of another run, a plan that it cannot have, or values that are not the ones ``record`` names, or
            not finite.
    """
    if record.run != spec.run_id:
        raise FormatError("checkpoint is of another run")
    check_plan(spec, record)
    values = _load(record.params, params, spec.layout.parameters)
    return Checkpoint(record, values, _load(record.momentum, momentum, memory_values(spec.outer, spec.layout)))


def stored_bytes(values: Float32s) -> bytes:
    """A flat buffer as a checkpoint's blob holds it: little-endian float32."""
    return stored(values).tobytes()


def stored(values: Float32s) -> memoryview:
    """The same bytes, to be read where they are; nothing is copied where memory holds them as they are stored."""
    return np.ascontiguousarray(values, dtype=STORED).data


def _load(ref: BlobRef, data: bytes, count: int) -> Float32s:
    if len(data) != STORED.itemsize * count or blob_ref(data) != ref:
        raise FormatError("checkpoint has values that are not the ones it names")
    values = np.frombuffer(data, dtype=STORED).astype(np.float32)
    if not np.all(np.isfinite(values)):
        raise FormatError("checkpoint has values that are not finite")
    return values


def _named(
    spec: RunSpec,
    branch: Branch,
    number: Round,
    params: Float32s,
    momentum: Float32s,
    merged: bytes | None = None,
    plan: Plan | None = None,
) -> Checkpoint:
    refs = blob_ref(stored(params)), blob_ref(stored(momentum))
    by = None if merged is None else blob_ref(merged)
    return Checkpoint(CheckpointRecord(spec.run_id, branch, number, *refs, by, plan), params, momentum)
