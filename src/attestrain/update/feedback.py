"""Compression with error feedback: what an update could not express is added to the next one.

With a the value to send and d what its update decodes to, the new feedback is a - d rounded once to float32. The
subtraction is exact (Sterbenz) wherever d is zero or d/2 <= a <= 2d; elsewhere feedback and update differ from a by at
most half a unit in the last place of a - d.
"""

from __future__ import annotations

import numpy as np

from attestrain.record.spec import RunSpec
from attestrain.update.arrays import Float32s
from attestrain.update.codec import quantise
from attestrain.update.header import UpdateHeader


def compress(
    spec: RunSpec, header: UpdateHeader, base: Float32s, params: Float32s, ef: Float32s | None
) -> tuple[bytes, Float32s | None]:
    """Make a worker's update and its next error feedback.

    Every operation is elementwise float32: a = decay * ef + (base - params).

    Args:
        spec: the run.
        header: the slot and base of the update.
        base: parameters of the checkpoint that the round started from.
        params: parameters after the inner steps.
        ef: error feedback of the previous round, zeros in the first; None with the dense codec, which loses nothing.

    Returns:
        The update's bytes and the next error feedback (None with the dense codec).

    Raises:
        RunFailed: a value is not finite or at least 2^106: training diverged.
        ValueError: feedback missing, or given to the dense codec; arrays that do not fit the layout.
    """
    lossless = spec.codec.name == "dense"
    if lossless != (ef is None):
        raise ValueError(f"codec {spec.codec.name} {'takes no' if lossless else 'needs'} error feedback")
    with np.errstate(all="ignore"):  # overflow is caught as a value out of range, with a hint
        wanted = base - params
        if ef is not None:
            wanted = np.float32(spec.codec.feedback) * ef + wanted
    update = quantise(spec, header, wanted)
    return update.to_bytes(), None if lossless else wanted - update.values()
