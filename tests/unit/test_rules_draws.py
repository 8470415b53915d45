from __future__ import annotations

from collections import Counter
from itertools import product
from math import ceil

import pytest

from attestrain.record.digest import sha256
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec, Schedule
from attestrain.rules.draws import Draw, drawn_segments, draws, is_drawn, missing_findings
from tests.vectors.stories import story
from tests.vectors.teller import Teller, make_spec

FIRST = Round(0)


def shaped(segments: int, **changes: object) -> RunSpec:
    schedule = Schedule(2, steps=segments - 2, segment_steps=1, batch=2, accumulate=1, sequence_tokens=8, workers=3)
    return make_spec(schedule=schedule, **changes)


def closed(spec: RunSpec, auditors: int, workers: tuple[int, ...] = (0, 1, 2), late: int = 0) -> Teller:
    told = Teller(spec)
    told.open()
    for slot in workers:
        told.join("worker", slot)
    for slot in range(auditors):
        told.join("auditor", slot)
    told.round_open(0)
    for slot in workers:
        told.receipt(0, slot)
    told.close(0)
    for slot in range(auditors, auditors + late):
        told.join("auditor", slot)
    return told


@pytest.mark.parametrize("segments", [3, 4, 10, 52])
@pytest.mark.parametrize("fraction", ["0", "0.01", "0.25", "0.5", "0.999", "1"])
def test_every_worker_round_has_its_share_of_distinct_segments_drawn(segments: int, fraction: str):
    spec = shaped(segments, audit_fraction=fraction)
    for worker in range(3):
        drawn = drawn_segments(spec, sha256(b"seed"), Worker(worker))
        assert len(set(drawn)) == len(drawn) == ceil(float(fraction) * segments)
        assert drawn == sorted(drawn)
        assert all(0 <= segment < segments for segment in drawn)


def test_no_segment_is_drawn_more_often_than_another():
    spec = shaped(10, audit_fraction="0.2")
    counts = Counter(s for i in range(1000) for s in drawn_segments(spec, sha256(f"{i}".encode()), Worker(0)))
    assert sum((counts[segment] - 200) ** 2 / 200 for segment in range(10)) < 33.7  # 99.99 % at 9 degrees of freedom


@pytest.mark.parametrize(("auditors", "votes"), [(1, 1), (2, 1), (3, 2), (3, 3), (1, 3)])
def test_votes_come_from_different_auditors_who_had_joined(auditors: int, votes: int):
    told = closed(make_spec(audit_votes=votes), auditors, late=3 - auditors)
    drawn = draws(told.ledger, FIRST)
    places = Counter((draw.worker, draw.segment) for draw in drawn)
    assert len(drawn) == len(set(drawn)) == 3 * 2 * min(votes, auditors)
    assert set(places.values()) == {min(votes, auditors)}
    assert {draw.auditor for draw in drawn} <= set(range(auditors))
    assert {draw.worker for draw in drawn} == {0, 1, 2}


def test_nothing_is_drawn_before_the_close_or_without_auditors():
    told = Teller(make_spec())
    told.open()
    told.join("worker", 0)
    told.join("auditor", 0)
    told.round_open(0)
    told.receipt(0, 0)
    assert draws(told.ledger, FIRST) == []
    assert draws(closed(make_spec(), 0, late=2).ledger, FIRST) == []


def test_a_draw_depends_on_the_work_and_not_on_the_keys():
    first, second = closed(make_spec(), 2), closed(make_spec(), 2)
    rekeyed = Teller(make_spec())
    rekeyed.open()
    for role, slots in (("auditor", (1, 0)), ("worker", (2, 1, 0))):
        for slot in slots:
            rekeyed.join(role, slot)
            rekeyed.join(role, slot, epoch=1)
    rekeyed.round_open(0)
    for slot in (1, 2, 0):
        rekeyed.receipt(0, slot)
    rekeyed.close(0)
    assert draws(first.ledger, FIRST) == draws(second.ledger, FIRST) == draws(rekeyed.ledger, FIRST)
    assert draws(closed(make_spec(), 2, workers=(0, 1)).ledger, FIRST) != draws(first.ledger, FIRST)[:8]


@pytest.mark.parametrize(("segments", "fraction", "votes"), [(4, "0.5", 2), (12, "0.3", 1), (5, "1", 3), (5, "0", 2)])
def test_one_draw_is_judged_as_all_are(segments: int, fraction: str, votes: int):
    told = closed(shaped(segments, audit_fraction=fraction, audit_votes=votes), 2, workers=(0, 2), late=1)
    grid = [
        Draw(FIRST, Worker(worker), segment, Worker(auditor))
        for worker, segment, auditor in product(range(4), range(segments + 2), range(4))
    ]
    assert [draw for draw in grid if is_drawn(told.ledger, draw)] == sorted(draws(told.ledger, FIRST))


def test_answered_draws_are_not_missing():
    told = closed(make_spec(), 2)
    told.publish(0, 1)
    missing = missing_findings(told.ledger, FIRST)
    assert missing == draws(told.ledger, FIRST)
    answer = next(draw for draw in missing if draw.worker == 1)
    told.find(answer)
    assert missing_findings(told.ledger, FIRST) == [draw for draw in missing if draw != answer]


def test_nothing_is_drawn_of_an_excluded_worker():
    ledger = story().ledger
    assert 1 in ledger.rounds[Round(1)].receipts
    assert {draw.worker for draw in draws(ledger, Round(1))} == {0, 2}
    places = [Draw(Round(1), Worker(1), segment, Worker(auditor)) for segment in range(4) for auditor in range(2)]
    assert not any(is_drawn(ledger, draw) for draw in places)
