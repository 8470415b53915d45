"""Reading ``safetensors`` strictly: one spelling per model, every byte accounted for.

The format is an 8-byte little-endian header length, a JSON header, the values. Readers in the wild accept white space,
free metadata and padding; a delivered model that may hold such freight could differ without a claim noticing.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from attestrain.errors import FormatError
from attestrain.record.layout import Layout, TensorSpec

ALIGNMENT = 8
"""Values start at a multiple of eight bytes, filled up with spaces."""
MAX_HEADER = 64 << 20
"""Longest header: a hundred thousand tensors with names of the longest kind."""
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
    header = _parse(data[8 : 8 + size])
    values = np.frombuffer(data, "<f4", offset=8 + size) if not (len(data) - size) % 4 else None
    if values is None or values.size != layout.parameters:
        raise FormatError(f"model does not hold {layout.parameters} values")
    places = _places(layout, header)
    return np.concatenate(
        [values[places[tensor.name] : places[tensor.name] + tensor.size] for tensor in layout.tensors]
    )


def _parse(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise FormatError("model header is not JSON in ASCII") from error
    if not isinstance(header, dict):
        raise FormatError("model header is not an object")
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    if text + b" " * (-len(text) % ALIGNMENT) != data:
        raise FormatError("model header is not spelled without white space and padded to eight bytes")
    if header.pop("__metadata__", METADATA) != METADATA:
        raise FormatError("model header has metadata of its own")
    return header


def _places(layout: Layout, header: dict[str, Any]) -> dict[str, int]:
    """Where each tensor's values begin, counted in values. Tensors lie one after the other in the header's order."""
    tensors = {tensor.name: tensor for tensor in layout.tensors}
    if header.keys() != tensors.keys():
        raise FormatError("model does not hold exactly the tensors of the layout")
    places, at = {}, 0
    for name, entry in header.items():
        if list(entry.items() if isinstance(entry, dict) else ()) != _entry(tensors[name], at):
            raise FormatError(f"model header describes tensor {name[:80]} wrongly")
        places[name] = at
        at += tensors[name].size
    return places


def _entry(tensor: TensorSpec, at: int) -> list[tuple[str, object]]:
    return [("dtype", "F32"), ("shape", list(tensor.shape)), ("data_offsets", [4 * at, 4 * (at + tensor.size)])]
