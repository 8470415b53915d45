"""A checkpoint as a ``safetensors`` file, byte for byte the same wherever it is written.

The format is an 8-byte little-endian header length, a JSON header, the values. We write it here because the delivered
model's digest is part of what a bundle proves, and a library may order or pad its header differently next year.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from attestrain.errors import UsageError
from attestrain.record.layout import Layout

_ALIGNMENT = 8
"""Values start at a multiple of eight bytes, as the reference writer has it."""


def safetensors_bytes(layout: Layout, params: npt.NDArray[np.float32]) -> bytes:
    """The file for ``params`` (flat, layout order).

    Raises:
        UsageError: the number of values is not the layout's.
    """
    if params.size != layout.parameters:
        raise UsageError(f"{params.size} values do not fill a layout of {layout.parameters}")
    # transformers refuses a file that does not name the framework that its tensors' axes follow.
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    for tensor, start, end in layout.offsets():
        header[tensor.name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [4 * start, 4 * end]}
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text + np.ascontiguousarray(params, "<f4").tobytes()
