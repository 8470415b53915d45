from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from attestrain.errors import FormatError
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.names import Round, Worker
from attestrain.record.spec import Schedule
from attestrain.rules.assignment import MAX_PASSES, Assignment
from attestrain.rules.beacon import commitment_root, draw_seed, epoch_beacon, round_beacon
from tests.vectors.stories import story
from tests.vectors.teller import make_spec

SCHEDULE = Schedule(rounds=2, steps=4, segment_steps=2, batch=3, accumulate=1, sequence_tokens=8, workers=5)
PLACES = 5 * 4 * 3


def everything(assigned: Assignment, schedule: Schedule = SCHEDULE) -> list[int]:
    slots = [(worker, step) for worker in range(schedule.workers) for step in range(schedule.steps)]
    return [index for worker, step in slots for index in assigned.sequences(Worker(worker), step)]


@pytest.mark.parametrize("sequences", [PLACES, PLACES + 1, 1000])
def test_no_sequence_is_assigned_twice_in_a_round(sequences: int):
    taken = everything(Assignment(sha256(b"beacon"), SCHEDULE, sequences))
    assert len(set(taken)) == len(taken) == PLACES
    assert max(taken) < sequences


@pytest.mark.parametrize("sequences", [1, 7, 20, 59])
def test_a_small_dataset_is_gone_through_again_evenly_and_in_another_order(sequences: int):
    taken = everything(Assignment(sha256(b"beacon"), SCHEDULE, sequences))
    counts = Counter(taken)
    assert len(counts) == sequences
    assert max(counts.values()) - min(counts.values()) <= 1
    if sequences == 20:
        passes = [taken[at : at + 20] for at in (0, 20, 40)]
        assert all(sorted(one) == list(range(20)) for one in passes)
        assert len(set(map(tuple, passes))) == 3


def test_rounds_get_other_batches():
    first, second = (everything(Assignment(sha256(b), SCHEDULE, 1000)) for b in (b"a", b"b"))
    assert first != second


def test_a_batch_does_not_depend_on_what_was_asked_before():
    assigned = Assignment(sha256(b"beacon"), SCHEDULE, 20)
    batch = assigned.sequences(Worker(4), 3)
    everything(assigned)
    assert assigned.sequences(Worker(4), 3) == batch


@pytest.mark.parametrize("sequences", [0, 1])
def test_a_dataset_out_of_proportion_is_refused(sequences: int):
    huge = replace(SCHEDULE, batch=MAX_PASSES)
    with pytest.raises(FormatError, match="out of proportion"):
        Assignment(sha256(b"beacon"), huge, sequences)


def test_a_beacon_depends_on_run_value_round_and_commitment():
    spec, other = make_spec(), sha256(b"commitment")
    beacons = {
        round_beacon(epoch_beacon(spec), Round(0), ZERO_DIGEST),
        round_beacon(epoch_beacon(spec), Round(1), ZERO_DIGEST),
        round_beacon(epoch_beacon(spec), Round(0), other),
        round_beacon(epoch_beacon(make_spec(beacon=sha256(b"x"))), Round(0), ZERO_DIGEST),
        round_beacon(epoch_beacon(make_spec(seed=1)), Round(0), ZERO_DIGEST),
        draw_seed(epoch_beacon(spec), Round(0), ZERO_DIGEST),
        draw_seed(epoch_beacon(spec), Round(1), ZERO_DIGEST),
        draw_seed(epoch_beacon(spec), Round(0), other),
        epoch_beacon(spec),
        epoch_beacon(make_spec(beacon=sha256(b"x"))),
    }
    assert len(beacons) == 10


def test_a_commitment_covers_the_work_and_not_the_keys():
    receipts = [item.statement for item in story().ledger.rounds[Round(0)].receipts.values()]
    root = commitment_root(receipts)
    assert commitment_root(reversed(receipts)) == root
    first, *rest = receipts
    for field in ("base", "trace_root", "update_root"):
        assert commitment_root([replace(first, **{field: sha256(b"x")}), *rest]) != root
    assert commitment_root([replace(first, worker=Worker(7)), *rest]) != root
    assert commitment_root(rest) != root
    assert commitment_root([replace(first, key_epoch=5, environment=Digest(bytes(32))), *rest]) == root  # type: ignore[arg-type]
