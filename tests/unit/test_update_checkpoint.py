from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from attestrain.errors import FormatError
from attestrain.record.blob import blob_ref
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.names import Branch, Round, RunId, Worker
from attestrain.record.spec import RunSpec
from attestrain.update.checkpoint import Checkpoint, advance, genesis, load_checkpoint, open_update, stored_bytes
from attestrain.update.codec import encode
from tests.algorithms import make_outer
from tests.vectors.make_update import CODECS, header_of, make_spec, make_values


def update(spec: RunSpec, checkpoint: Checkpoint, slot: int, **changes: object) -> bytes:
    header = dataclasses.replace(header_of(spec, checkpoint, slot), **changes)
    return encode(spec, header, make_values(76, f"update {slot}"))


def test_genesis_names_its_values() -> None:
    spec = make_spec()
    checkpoint = genesis(spec)
    assert (checkpoint.record.run, checkpoint.record.branch, checkpoint.record.round) == (spec.run_id, 0, 0)
    assert not np.any(checkpoint.momentum)
    stored = stored_bytes(checkpoint.params), stored_bytes(checkpoint.momentum)
    again = load_checkpoint(spec, CheckpointRecord.from_bytes(checkpoint.record.to_bytes()), *stored)
    assert again.record == checkpoint.record
    assert np.array_equal(again.params, checkpoint.params)


@pytest.mark.parametrize("codec", CODECS)
def test_order_of_the_updates_does_not_matter(codec: str) -> None:
    spec = make_spec(codec)
    checkpoint = genesis(spec)
    updates = [(Worker(i), update(spec, checkpoint, i)) for i in range(3)]
    digests = {
        advance(spec, checkpoint, dict(order)).checkpoint.record.digest for order in itertools.permutations(updates)
    }
    assert len(digests) == 1
    assert digests != {advance(spec, checkpoint, dict(updates[:2])).checkpoint.record.digest}


def test_dense_average_of_one_worker_adopts_its_parameters() -> None:
    spec = dataclasses.replace(make_spec("dense"), outer=make_outer(), norm_clip="0")
    checkpoint = genesis(spec)
    moved = make_values(76, "alone", unit=-20)
    data = encode(spec, header_of(spec, checkpoint, 0), moved)
    step = advance(spec, checkpoint, {Worker(0): data})
    assert np.array_equal(step.checkpoint.params, (checkpoint.params - moved.astype(np.float64)).astype(np.float32))
    assert step.checkpoint.record.round == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"run": RunId(ZERO_DIGEST)}, "update names another run"),
        ({"branch": Branch(1)}, "update names another branch"),
        ({"round": Round(1)}, "update names another round"),
        ({"worker": Worker(1)}, "update names another worker"),
        ({"base": ZERO_DIGEST}, "update names another base"),
    ],
)
def test_an_update_of_another_slot_is_rejected(change: dict[str, object], reason: str) -> None:
    spec = make_spec()
    checkpoint = genesis(spec)
    good = update(spec, checkpoint, 2)
    step = advance(spec, checkpoint, {Worker(0): update(spec, checkpoint, 0, **change), Worker(2): good})
    assert step.rejected == {Worker(0): reason}
    assert step.screened.keys() == {Worker(2)}
    alone = advance(spec, checkpoint, {Worker(2): good})
    assert step.checkpoint.record == alone.checkpoint.record


def test_a_copied_update_is_rejected() -> None:
    spec = make_spec()
    checkpoint = genesis(spec)
    data = update(spec, checkpoint, 0)
    assert advance(spec, checkpoint, {Worker(0): data, Worker(1): data}).rejected == {1: "update names another worker"}
    following = advance(spec, checkpoint, {Worker(0): data}).checkpoint
    assert advance(spec, following, {Worker(0): data}).rejected == {0: "update names another round"}


def test_malformed_updates_never_raise_and_change_nothing() -> None:
    spec = make_spec()
    checkpoint = genesis(spec)
    good = update(spec, checkpoint, 0)
    bad = {
        Worker(0): good[:-1],
        Worker(1): b"",
        Worker(2): good,
        Worker(3): update(spec, checkpoint, 3),
        Worker(-1): good,
    }
    step = advance(spec, checkpoint, dict(reversed(bad.items())))
    assert list(step.rejected) == [-1, 0, 1, 2, 3]
    assert step.rejected[Worker(3)] == "the run has no worker 3"
    assert step.screened == {}
    assert step.checkpoint.record.params == checkpoint.record.params
    assert step.checkpoint.record.momentum == checkpoint.record.momentum
    assert step.checkpoint.record.round == 1


def test_a_round_of_zeros_changes_nothing() -> None:
    spec = make_spec()
    checkpoint = genesis(spec)
    zeros = encode(spec, header_of(spec, checkpoint, 0), np.zeros(76, dtype=np.float32))
    step = advance(spec, checkpoint, {Worker(0): zeros})
    assert step.screened[Worker(0)].reason == "zero"
    assert step.checkpoint.record.params == checkpoint.record.params


def test_open_update_raises_where_advance_records() -> None:
    spec = make_spec()
    checkpoint = genesis(spec)
    data = update(spec, checkpoint, 0)
    assert open_update(spec, checkpoint.record, checkpoint.record.digest, Worker(0), data).to_bytes() == data
    with pytest.raises(FormatError, match="another worker"):
        open_update(spec, checkpoint.record, checkpoint.record.digest, Worker(1), data)


def test_stored_checkpoints_are_checked() -> None:
    spec = make_spec()
    checkpoint = genesis(spec)
    params, momentum = stored_bytes(checkpoint.params), stored_bytes(checkpoint.momentum)
    flipped = bytes([params[0] ^ 1]) + params[1:]
    for first, second in ((flipped, momentum), (params[:-1], momentum), (params, params)):
        with pytest.raises(FormatError, match="not the ones it names"):
            load_checkpoint(spec, checkpoint.record, first, second)
    broken = stored_bytes(np.full(76, np.nan, dtype=np.float32))
    with pytest.raises(FormatError, match="not finite"):
        load_checkpoint(spec, dataclasses.replace(checkpoint.record, params=blob_ref(broken)), broken, momentum)
    with pytest.raises(FormatError, match="another run"):
        load_checkpoint(make_spec("dense"), checkpoint.record, params, momentum)
