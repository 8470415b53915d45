"""Merged updates: the same checkpoint from one byte string as from everybody's, and nothing but that byte string."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.blob import blob_ref
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.layout import Init, TensorSpec
from attestrain.record.names import Worker
from attestrain.record.spec import MERGES, Merge, RunSpec, Schedule
from attestrain.update.checkpoint import Advance, Checkpoint, advance, follow, genesis
from attestrain.update.codec import encode
from attestrain.update.merge import LARGEST, merge, read_merged
from attestrain.update.settings import codec_settings
from tests.vectors.make_update import header_of, make_spec, make_values

WIDE = (TensorSpec("w", (64, 64), Init("uniform", 81, -12)), TensorSpec("b", (40,), Init("zeros")))


def merging(name: str, **changes: object) -> RunSpec:
    """A run that merges with a codec."""
    kept = {"keep": "8"} if name == "topk" else {}
    return make_spec("ternary", merge=Merge(name, 16, codec_settings(name, kept)), **changes)


def step_of(spec: RunSpec, checkpoint: Checkpoint, workers: int = 3) -> Advance:
    """One round of honest updates."""
    size = spec.layout.parameters
    updates = {
        Worker(i): encode(spec, header_of(spec, checkpoint, i), make_values(size, f"{checkpoint.record.round}/{i}"))
        for i in range(workers)
    }
    step = advance(spec, checkpoint, updates)
    assert not step.rejected
    return step


@pytest.mark.parametrize("name", MERGES)
def test_the_merged_update_leads_where_all_updates_lead(name: str) -> None:
    spec = merging(name)
    derived = followed = genesis(spec)
    for _ in range(2):
        step = step_of(spec, derived)
        followed = follow(spec, followed, step.merged)
        derived = step.checkpoint
        assert step.merged is not None
        assert derived.record.merged == blob_ref(step.merged)
        assert followed.record == derived.record
        assert np.array_equal(followed.params, derived.params)
        assert CheckpointRecord.from_bytes(derived.record.to_bytes()) == derived.record


def test_a_dense_merge_rounds_the_aggregate_to_float32_and_changes_nothing_else() -> None:
    merged, plain = step_of(merging("dense"), genesis(merging("dense"))), None
    spec = make_spec("ternary")
    plain = step_of(spec, genesis(spec))
    assert np.allclose(merged.checkpoint.params, plain.checkpoint.params, rtol=0, atol=1e-9)
    assert plain.merged is None
    assert plain.checkpoint.record.merged is None


def test_twenty_peers_cost_one_download_instead_of_nineteen() -> None:
    schedule = Schedule(rounds=3, steps=1, segment_steps=1, batch=1, accumulate=1, workers=20, sequence_tokens=8)
    spec = make_spec("ternary", block=1024, tensors=WIDE, schedule=schedule, merge=Merge("int4", 1024, {}))
    step = step_of(spec, genesis(spec), workers=20)
    assert step.merged is not None
    one = len(encode(spec, header_of(spec, genesis(spec), 0), make_values(spec.layout.parameters, "0/0")))
    assert len(step.merged) * 6 < 19 * one


def test_without_contributors_nothing_is_merged_and_nothing_moves() -> None:
    spec = merging("int4")
    first = genesis(spec)
    step = advance(spec, first, {Worker(0): b"noise"})
    assert step.merged is None
    assert step.checkpoint.record.merged is None
    assert follow(spec, first, None).record == step.checkpoint.record


def test_another_run_round_or_checkpoint_is_refused() -> None:
    spec = merging("int4")
    first = genesis(spec)
    step = step_of(spec, first)
    assert step.merged is not None
    with pytest.raises(FormatError, match="merged update of round 1"):
        follow(spec, step.checkpoint, step.merged)
    with pytest.raises(FormatError, match="merged update of round 0"):
        read_merged(spec, replace(first.record, momentum=blob_ref(b"other")), step.merged)
    other = merging("int4", seed=1)
    with pytest.raises(FormatError, match="merged update of round 0"):
        read_merged(other, genesis(other).record, step.merged)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MERGES), st.data())
def test_one_changed_byte_is_refused_or_leads_elsewhere(name: str, data: st.DataObject) -> None:
    spec = merging(name)
    first = genesis(spec)
    step = step_of(spec, first)
    assert step.merged is not None
    at = data.draw(st.integers(0, len(step.merged) - 1))
    changed = bytearray(step.merged)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = follow(spec, first, bytes(changed)).record
    except FormatError:
        return
    assert found != step.checkpoint.record


def test_an_aggregate_beyond_what_a_codec_can_say_is_cut_off() -> None:
    spec = merging("int8")
    huge = np.full(spec.layout.parameters, 2.0**110)
    data, values = merge(spec, genesis(spec).record, huge)
    assert float(values.max()) <= float(LARGEST) * 1.01
    assert np.array_equal(read_merged(spec, genesis(spec).record, data), values)


def test_a_spec_says_how_it_merges_only_if_it_does() -> None:
    plain, spec = make_spec("ternary"), merging("topk")
    assert b'"merge"' not in plain.to_bytes()
    assert RunSpec.from_bytes(spec.to_bytes()) == spec
    assert spec.run_id != plain.run_id
    for wrong in (b'"name":"lowrank"', b'"name":"zip"'):
        changed = spec.to_bytes().replace(b'"merge":{"block":16,"name":"topk"', b'"merge":{"block":16,' + wrong)
        with pytest.raises(FormatError, match=r"merge"):
            RunSpec.from_bytes(changed)
