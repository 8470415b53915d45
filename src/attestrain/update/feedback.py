"""Compression with error feedback: what an update could not express is added to the next one.

With a the value to send and d what its update decodes to, the new feedback is a - d rounded once to float32. The
subtraction is exact (Sterbenz) wherever d is zero or d/2 <= a <= 2d; elsewhere feedback and update differ from a by at
most half a unit in the last place of a - d.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attestrain.record.layout import Layout
from attestrain.record.spec import Codec, RunSpec
from attestrain.update.arrays import NOTHING, Float32s
from attestrain.update.codec import quantise
from attestrain.update.components import LOSSLESS, memory_sizes
from attestrain.update.fragments import fragment_of, share_of
from attestrain.update.header import UpdateHeader
from attestrain.update.lowrank import at_rank, resize_memory


class Kept(NamedTuple):
    """What a worker keeps from one update to the next.

    Attributes:
        ef: error feedback, flat over the whole model, zeros in the first round; None with a lossless codec.
        memory: what the codec remembers, fragment after fragment; empty where it remembers nothing.
    """

    ef: Float32s | None
    memory: Float32s = NOTHING


def compress(
    spec: RunSpec, header: UpdateHeader, drift: Float32s, kept: Kept, rank: int | None = None
) -> tuple[bytes, Kept]:
    """Make a worker's update of its share of the fragment that its round synchronises.

    Every operation is elementwise float32: a = decay * ef + drift. What other shares hold of the drift is not kept: in
    this round other workers send theirs, and by the time of this worker's own turn it would be old.

    Args:
        spec: the run.
        header: the slot and base of the update.
        drift: the pseudo-gradient over the whole model: where the worker started minus where it is.
        kept: from the previous round.
        rank: of the factors in this round, where the run adapts it (`update.plan`); None: that of the spec. What the
            codec remembers keeps the size that the spec's rank gives it, with zeros for components no longer sent.

    Returns:
        The update's bytes, and what to keep.

    Raises:
        RunFailed: a value is not finite or at least 2^106: training diverged.
        ValueError: feedback missing, or given to a lossless codec; arrays that do not fit the layout.
    """
    needed = spec.codec.name not in LOSSLESS
    if needed != (kept.ef is not None):
        raise ValueError(f"codec {spec.codec.name} {'needs' if needed else 'takes no'} error feedback")
    part, share = fragment_of(spec, header.round), share_of(spec, header.round, header.worker)
    wanted, feedback = share.take(part.take(drift)), None
    if kept.ef is not None:
        feedback = part.take(kept.ef)
        with np.errstate(all="ignore"):  # overflow is caught as a value out of range, with a hint
            wanted = np.float32(spec.codec.feedback) * share.take(feedback) + wanted
    at, end = _memory_span(spec, header)
    whole, ranked = spec.codec, at_rank(spec.codec, rank)
    update = quantise(spec, header, wanted, _resized(kept.memory[at:end], part.layout, whole, ranked), rank)
    memory = kept.memory
    if end > at:
        after = _resized(update.body.memory(), part.layout, ranked, whole)
        memory = np.concatenate([memory[:at], after, memory[end:]])
    if kept.ef is None or feedback is None:
        return update.to_bytes(), Kept(None, memory)
    left = part.put(kept.ef, share.put(feedback, wanted - update.values()))
    return update.to_bytes(), Kept(left, memory)


def _resized(memory: Float32s, layout: Layout, before: Codec, after: Codec) -> Float32s:
    return memory if before == after else resize_memory(memory, layout, before, after)


def _memory_span(spec: RunSpec, header: UpdateHeader) -> tuple[int, int]:
    sizes = memory_sizes(spec.layout, spec.codec, spec.overlap)
    index = header.round % spec.overlap.fragments
    return sum(sizes[:index]), sum(sizes[: index + 1])
