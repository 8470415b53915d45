"""Reading ``safetensors`` strictly: one spelling per model, every byte accounted for.

The format is an 8-byte little-endian header length, a JSON header, the values. Readers in the wild accept white space,
free metadata and padding; a delivered model that may hold such freight could differ without a claim noticing.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from attestrain.errors import FormatError
from attestrain.record.canonical import check_nesting
from attestrain.record.layout import Layout

ALIGNMENT = 8
"""Values start at a multiple of eight bytes, filled up with spaces."""
MAX_HEADER = 64 << 20
"""Longest header: a hundred thousand tensors with names of the longest kind."""
METADATA_KEY = "__metadata__"
METADATA = {"format": "pt"}
"""The only metadata accepted: which framework's axis order the tensors follow."""


def read_safetensors(layout: Layout, data: bytes) -> npt.NDArray[np.float32]:
    """Values of a model, flat, in layout order.

    Raises:
        FormatError: not exactly the tensors of ``layout`` as float32, one after the other, or a header that is not
            spelled the one way.
    """
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 0 < size <= min(MAX_HEADER, len(data) - 8):
        raise FormatError("model has no header of a possible length")
    places = _places(layout, data[8 : 8 + size])
    values = np.frombuffer(data, "<f4", offset=8 + size) if not (len(data) - size) % 4 else None
    if values is None or values.size != layout.parameters:
        raise FormatError(f"model does not hold {layout.parameters} values")
    return np.concatenate(
        [values[places[tensor.name] : places[tensor.name] + tensor.size] for tensor in layout.tensors]
    )


def _places(layout: Layout, data: bytes) -> dict[str, int]:
    """Where each tensor's values begin, counted in values. Tensors lie one after the other in the header's order."""
    check_nesting(data)
    try:
        names = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise FormatError("model header is not JSON in ASCII") from error
    tensors = {tensor.name: tensor for tensor in layout.tensors}
    if not isinstance(names, dict) or names.keys() - {METADATA_KEY} != tensors.keys():
        raise FormatError("model does not hold exactly the tensors of the layout")
    places: dict[str, int] = {}
    expected: dict[str, object] = {}
    at = 0
    for name in names:
        if name == METADATA_KEY:
            expected[name] = METADATA
            continue
        places[name], end = at, at + tensors[name].size
        expected[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [4 * at, 4 * end]}
        at = end
    text = json.dumps(expected, separators=(",", ":")).encode("ascii")
    # Bytes and not values are compared: in Python 5.0 equals 5 and true equals 1.
    if text + b" " * (-len(text) % ALIGNMENT) != data:
        raise FormatError("model header is not the one spelling of the layout's tensors")
    return places
