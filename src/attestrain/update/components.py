"""Components of a worker's state whose meaning and size the protocol fixes; an optimizer's begin with ``opt.``."""

from __future__ import annotations

from attestrain.record.layout import Layout
from attestrain.record.spec import Codec, Overlap
from attestrain.update.codec import memory_size
from attestrain.update.fragments import fragment

PARAMS, CURSOR, FEEDBACK, MEMORY, START, SYNCED = "params", "cursor", "ef", "codec", "start", "synced"
GRADIENTS = "opt.sum"
"""Component of the inner optimizer ``gradient``: the sum of the round's gradients, anew in every round."""
COUNTERS = (CURSOR, SYNCED)
"""Components that are one integer of eight bytes; all others are float32."""
COUNTER_BYTES = 8
LOSSLESS = ("dense",)
"""Codecs that leave nothing out, and so nothing to feed back."""


def protocol_components(layout: Layout, codec: Codec, overlap: Overlap) -> dict[str, int]:
    """Size in bytes of every component but the optimizer's.

    ``params``; ``cursor``, the inner steps that this worker has executed; ``ef``, what compression has left out so far
    (not for a lossless codec); ``codec``, what the codec remembers, fragment after fragment (where it remembers
    anything); ``start``, the parameters that the round started from (with a delay, where that is no checkpoint);
    ``synced``, the last checkpoint taken (with fragments, which are taken one at a time).

    Raises:
        FormatError: more fragments than tensors.
    """
    flat = 4 * layout.parameters
    sizes = {PARAMS: flat, CURSOR: COUNTER_BYTES}
    if codec.name not in LOSSLESS:
        sizes[FEEDBACK] = flat
    if remembered := sum(memory_sizes(layout, codec, overlap)):
        sizes[MEMORY] = 4 * remembered
    if overlap.fragments > 1:
        sizes[SYNCED] = COUNTER_BYTES
    elif overlap.delay:
        sizes[START] = flat
    return sizes


def memory_sizes(layout: Layout, codec: Codec, overlap: Overlap) -> list[int]:
    """How many float32 values the codec remembers of each fragment."""
    count = overlap.fragments
    return [memory_size(codec, fragment(layout, count, index).layout) for index in range(count)]
