from __future__ import annotations

import numpy as np
import pytest

from attestrain.errors import FormatError
from attestrain.record.blob import blob_ref
from attestrain.train.state import changed_refs, cursor_of, genesis_state, state_from_blobs, state_refs, state_to_blobs
from tests.training import make_spec


def test_genesis_is_zeros_of_the_spec_sizes() -> None:
    spec = make_spec()
    blobs = state_to_blobs(genesis_state(spec))
    assert blobs == {name: bytes(size) for name, size in spec.state.items()}
    assert set(blobs) == {"params", "opt.momentum", "opt.m", "opt.v", "ef", "cursor"}


def test_states_are_read_only() -> None:
    for values in genesis_state(make_spec()).values():
        with pytest.raises(ValueError, match="read-only"):
            values[:1] = 1


def test_blobs_and_states_are_one_to_one() -> None:
    spec = make_spec()
    blobs = {name: np.random.default_rng(0).bytes(size) for name, size in spec.state.items()}
    state = state_from_blobs(spec, blobs)
    assert state_to_blobs(state) == blobs
    assert state_refs(state) == {name: blob_ref(data) for name, data in blobs.items()}
    assert cursor_of(state) == int.from_bytes(blobs["cursor"], "little")


def test_blobs_that_are_not_the_specs_are_refused() -> None:
    spec = make_spec()
    blobs = state_to_blobs(genesis_state(spec))
    with pytest.raises(FormatError, match="ef"):
        state_from_blobs(spec, {name: data for name, data in blobs.items() if name != "ef"})
    with pytest.raises(FormatError, match="extra"):
        state_from_blobs(spec, blobs | {"extra": b""})
    with pytest.raises(FormatError, match="has 7 bytes, not 8"):
        state_from_blobs(spec, blobs | {"cursor": bytes(7)})


def test_refs_of_shared_components_are_reused_and_others_recomputed() -> None:
    spec = make_spec()
    before = genesis_state(spec)
    known = {name: blob_ref(b"stand-in") for name in before}
    after = {**before, "params": before["params"] + np.float32(1)}
    refs = changed_refs(after, before, known)
    assert refs["ef"] == known["ef"]
    assert refs["params"] == state_refs(after)["params"]


def test_empty_components_have_a_name_too() -> None:
    assert state_refs({"opt.momentum": np.zeros(0, np.float32)}) == {"opt.momentum": blob_ref(b"")}
