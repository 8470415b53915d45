"""A worker's state as named arrays, and as bytes.

Components are contiguous little-endian arrays: float32, except counters (8 bytes, u64 little-endian). Arrays of a state
are read-only, so that states can share what did not change.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from attestrain.errors import FormatError
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.spec import RunSpec
from attestrain.update.components import COUNTER_BYTES, COUNTERS, CURSOR

Component = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
State = dict[str, Component]
"""Component name to its values."""


def genesis_state(spec: RunSpec) -> State:
    """What every worker starts with: zeros throughout, the parameters too, until it adopts a checkpoint."""
    return {name: _component(name, bytes(size)) for name, size in spec.state.items()}


def frozen(values: Component) -> Component:
    """``values``, made read-only."""
    values.flags.writeable = False
    return values


def cursor_of(state: State) -> int:
    """Inner steps that the worker has executed."""
    return counter_of(state, CURSOR)


def counter_of(state: State, name: str) -> int:
    """Value of a counter, such as ``cursor``."""
    return int.from_bytes(state[name].tobytes(), "little")


def counter(value: int) -> Component:
    """A counter's component."""
    return np.frombuffer(value.to_bytes(COUNTER_BYTES, "little"), np.uint8)


def state_refs(state: State) -> dict[str, BlobRef]:
    """Content address of every component."""
    return {name: _ref(values) for name, values in state.items()}


def changed_refs(state: State, before: State, refs: Mapping[str, BlobRef]) -> dict[str, BlobRef]:
    """Content addresses of ``state``, taking those of arrays it shares with ``before`` (whose are ``refs``)."""
    return {name: refs[name] if values is before.get(name) else _ref(values) for name, values in state.items()}


def state_to_blobs(state: State) -> dict[str, bytes]:
    """Every component as bytes."""
    return {name: values.tobytes() for name, values in state.items()}


def state_from_blobs(spec: RunSpec, blobs: Mapping[str, bytes]) -> State:
    """A state from bytes.

    Raises:
        FormatError: components missing or unknown, or one that is not of the size in the spec.
    """
    if wrong := sorted(blobs.keys() ^ spec.state.keys()):
        raise FormatError(f"state has unknown or missing components: {', '.join(wrong)[:200]}")
    for name, size in spec.state.items():
        if len(blobs[name]) != size:
            raise FormatError(f"state component {name} has {len(blobs[name])} bytes, not {size}")
    return {name: _component(name, blobs[name]) for name in spec.state}


def _component(name: str, data: bytes) -> Component:
    """Values over immutable ``data``: read-only, nothing copied."""
    return np.frombuffer(data, np.uint8) if name in COUNTERS else np.frombuffer(data, "<f4")


def _ref(values: Component) -> BlobRef:
    # A memoryview over no values cannot be seen as bytes.
    return blob_ref(values.data if values.size else b"")
