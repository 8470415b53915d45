"""Fragments: every value of a model is in exactly one, and a round touches its own alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from attestrain.errors import FormatError, UsageError
from attestrain.record.names import Round, Worker
from attestrain.record.spec import Overlap
from attestrain.update.checkpoint import advance, genesis
from attestrain.update.codec import decode, encode
from attestrain.update.components import protocol_components
from attestrain.update.feedback import Kept, compress
from attestrain.update.fragments import fragment, fragment_of, share, share_of
from attestrain.update.settings import require_sharable
from tests.algorithms import make_codec
from tests.vectors.make_update import header_of, make_spec, make_values


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_fragments_are_a_partition(count: int) -> None:
    layout = make_spec().layout
    values = np.arange(layout.parameters, dtype=np.float32)
    parts = [fragment(layout, count, index) for index in range(count)]
    assert sorted(np.concatenate([part.take(values) for part in parts]).tolist()) == values.tolist()
    assert sum(part.layout.parameters for part in parts) == layout.parameters
    for part in parts:
        assert np.array_equal(part.put(values, part.take(values)), values)
        moved = part.put(values, part.take(values) + 1)
        assert int((moved != values).sum()) == part.layout.parameters


def test_more_fragments_than_tensors_are_refused() -> None:
    with pytest.raises(FormatError, match="4 tensors"):
        fragment(make_spec().layout, 5, 0)


@pytest.mark.parametrize("codec", ["dense", "ternary", "two-bit"])
def test_a_round_moves_its_own_fragment_and_nothing_else(codec: str) -> None:
    spec = dataclasses.replace(make_spec(codec), overlap=Overlap(2, 1, 0, "0"))
    checkpoint, size = genesis(spec), spec.layout.parameters
    kept = [Kept(None if codec == "dense" else np.zeros(size, np.float32)) for _ in range(2)]
    for number in range(3):
        part = fragment_of(spec, Round(number))
        updates = {}
        for worker in range(2):
            drift = make_values(size, f"{number}/{worker}")
            updates[Worker(worker)], after = compress(spec, header_of(spec, checkpoint, worker), drift, kept[worker])
            if after.ef is not None and kept[worker].ef is not None:
                assert np.array_equal(part.put(after.ef, part.take(kept[worker].ef)), kept[worker].ef)
            kept[worker] = after
        following = advance(spec, checkpoint, updates)
        assert following.members == [0, 1]
        for before, now in (
            (checkpoint.params, following.checkpoint.params),
            (checkpoint.momentum, following.checkpoint.momentum),
        ):
            assert not np.array_equal(now, before)
            assert np.array_equal(part.put(now, part.take(before)), before)
        checkpoint = following.checkpoint


@pytest.mark.parametrize("shares", [2, 3, 5])
def test_shares_are_a_partition_by_blocks(shares: int) -> None:
    layout = make_spec().layout
    values = np.arange(layout.parameters, dtype=np.float32)
    parts = [share(layout, 16, shares, index) for index in range(shares)]
    assert sorted(np.concatenate([part.take(values) for part in parts]).tolist()) == values.tolist()
    for part in parts:
        assert part.layout.parameters == sum(end - start for start, end in part.spans)
        total = np.zeros(layout.parameters)
        for run in part.runs:
            rows = run.rows(total)
            rows += (part.take(values)[run.inside].astype(np.float64) + 1).reshape(rows.shape)
        assert np.array_equal(part.take(total), part.take(values).astype(np.float64) + 1)
        assert np.count_nonzero(total) == part.layout.parameters
    with pytest.raises(FormatError, match="8 blocks"):
        share(layout, 16, 9, 0)


@pytest.mark.parametrize("codec", ["dense", "ternary", "topk"])
def test_each_worker_sends_its_share_and_keeps_what_that_leaves_out(codec: str) -> None:
    spec = dataclasses.replace(make_spec(codec), overlap=Overlap(1, 3, 0, "0"))
    checkpoint, size = genesis(spec), spec.layout.parameters
    updates, wanted = {}, {}
    for worker in range(3):
        drift = make_values(size, f"share {worker}")
        ef = make_values(size, f"ef {worker}", unit=-14)
        before = Kept(None if codec == "dense" else ef)
        updates[Worker(worker)], kept = compress(spec, header_of(spec, checkpoint, worker), drift, before)
        wanted[worker] = drift if codec == "dense" else np.float32(0.95) * ef + drift
        own = share_of(spec, Round(0), Worker(worker))
        sent = decode(spec, updates[Worker(worker)]).values()
        assert len(sent) == own.layout.parameters
        if kept.ef is not None:
            assert np.array_equal(kept.ef, own.put(ef, own.take(wanted[worker]) - sent))
    following = advance(spec, checkpoint, updates).checkpoint
    if codec == "dense":  # nobody's share is another's: each place moves by one worker's value
        rate = np.float64(spec.outer.rate(Round(0))) * 1.5
        for worker in range(3):
            own = share_of(spec, Round(0), Worker(worker))
            moved = own.take(checkpoint.params).astype(np.float64) - rate * own.take(wanted[worker]).astype(np.float64)
            assert np.allclose(own.take(following.params), moved, rtol=1e-6, atol=1e-9)


def test_shares_move_on_and_robust_rules_refuse_them() -> None:
    spec = dataclasses.replace(make_spec("dense"), overlap=Overlap(1, 3, 0, "0"))
    for round_, worker in ((0, 1), (1, 0), (3, 1)):
        assert share_of(spec, Round(round_), Worker(worker)) == share(spec.layout, 16, 3, 1)
    with pytest.raises(UsageError, match="do not go with"):
        require_sharable(2, "lowrank", "mean")
    with pytest.raises(UsageError, match="do not go with"):
        require_sharable(2, "ternary", "trimmed")
    require_sharable(1, "lowrank", "trimmed")


def test_an_update_of_another_fragment_is_refused() -> None:
    spec = dataclasses.replace(make_spec("dense"), overlap=Overlap(2, 1, 0, "0"))
    checkpoint = genesis(spec)
    header = header_of(spec, checkpoint, 0)
    other = dataclasses.replace(header, round=Round(1))
    data = encode(spec, other, make_values(fragment_of(spec, Round(1)).layout.parameters, "other"))
    size = len(header.to_bytes("dense", 1))
    forged = header.to_bytes("dense", fragment_of(spec, Round(0)).layout.parameters) + data[size:]
    with pytest.raises(FormatError):
        decode(spec, forged)


def test_components_follow_from_overlap_and_codec() -> None:
    layout, flat = make_spec().layout, 4 * make_spec().layout.parameters
    plain = protocol_components(layout, make_codec(), Overlap(1, 1, 0, "0"))
    assert plain == {"params": flat, "cursor": 8, "ef": flat}
    assert protocol_components(layout, make_codec(), Overlap(1, 1, 1, "1")) == plain | {"start": flat}
    assert protocol_components(layout, make_codec(), Overlap(2, 1, 1, "1")) == plain | {"synced": 8}
    assert "ef" not in protocol_components(layout, make_codec("dense"), Overlap(1, 1, 0, "0"))
