from __future__ import annotations

import pytest

from attestrain.record.digest import tagged
from attestrain.record.names import Round, Worker
from attestrain.rules.beacon import draw_seed, epoch_beacon
from tests.vectors.stories import begun, chain_story, play_round, story
from tests.vectors.teller import chain_spec, make_spec

ZERO, ONE = Worker(0), Worker(1)
FIRST, SECOND, THIRD = Round(0), Round(1), Round(2)


def test_who_left_holds_a_slot_and_is_not_present():
    told = begun(make_spec(), workers=3, auditors=2)
    told.leave("worker", 1)
    assert told.ledger.slots("worker") == [0, 1, 2]
    assert told.ledger.present("worker") == [0, 2]
    assert told.ledger.present("auditor") == [0, 1]
    assert told.ledger.left == {("worker", 1)}
    told.join("worker", 1, epoch=1)
    assert told.ledger.present("worker") == [0, 1, 2]
    assert not told.ledger.left


def test_leaving_one_role_is_not_leaving_the_other():
    told = begun(make_spec(), workers=2, auditors=2)
    told.leave("auditor", 1)
    assert told.ledger.present("worker") == [0, 1]
    assert told.ledger.present("auditor") == [0]
    assert told.ledger.in_force("worker", ONE, FIRST)
    assert not told.ledger.in_force("auditor", ONE, FIRST)


def test_a_key_is_in_force_from_its_join_to_its_last_round_or_leave():
    told = begun(chain_spec(), workers=2, worker1=1)
    ledger = told.ledger
    assert [ledger.in_force("worker", ONE, round_) for round_ in (FIRST, SECOND, THIRD)] == [True, True, False]
    assert all(ledger.in_force("worker", ZERO, round_) for round_ in (FIRST, SECOND, THIRD))
    assert not ledger.in_force("worker", Worker(2), FIRST)
    assert not ledger.in_force("auditor", ZERO, FIRST)
    told.join("worker", 1, epoch=1)
    assert ledger.in_force("worker", ONE, THIRD)
    told.leave("worker", 1)
    assert not ledger.in_force("worker", ONE, FIRST)


def test_a_key_may_be_renewed_for_a_shorter_time():
    told = begun(chain_spec(), workers=1)
    told.join("worker", 0, epoch=1, until=0)
    assert not told.ledger.in_force("worker", ZERO, SECOND)


def test_a_recorded_beacon_is_that_of_every_epoch():
    ledger = begun(make_spec()).ledger
    assert {ledger.epoch(Round(epoch)) for epoch in range(5)} == {epoch_beacon(ledger.spec)}
    assert not ledger.beacons


def test_a_chain_has_no_beacon_before_it_was_heard():
    told = begun(chain_spec(), workers=1)
    ledger = told.ledger
    value = ledger.beacons[FIRST].statement.value
    assert ledger.epoch(FIRST) == tagged("attestrain.dev/epoch-beacon@v1", ledger.spec.run_id, value)
    assert ledger.epoch(SECOND) is None
    play_round(told, 0, (0,), (0,))
    assert ledger.epoch(SECOND) not in (None, ledger.epoch(FIRST))
    assert ledger.epoch(THIRD) is None


def test_a_value_from_a_chain_is_not_the_recorded_one_of_the_spec():
    ledger = chain_story().ledger
    beacons = {ledger.epoch(Round(epoch)) for epoch in range(4)}
    assert len(beacons) == 4
    assert epoch_beacon(ledger.spec) not in beacons


def test_a_seed_is_known_after_the_close_and_the_next_epochs_beacon():
    told = begun(chain_spec(), workers=1, auditors=2)
    told.round_open(0)
    told.receipt(0, 0)
    assert told.ledger.draw_seed(FIRST) is None
    told.close(0)
    assert told.ledger.draw_seed(FIRST) is None
    told.hear(1)
    closed, epoch = told.ledger.rounds[FIRST].closed, told.ledger.epoch(SECOND)
    assert closed is not None
    assert epoch is not None
    assert told.ledger.draw_seed(FIRST) == draw_seed(epoch, FIRST, closed.statement.commitment)


def test_a_seed_with_a_recorded_beacon_is_known_at_the_close():
    told = begun(make_spec(), workers=1)
    told.round_open(0)
    told.receipt(0, 0)
    assert told.ledger.draw_seed(FIRST) is None
    told.close(0)
    assert told.ledger.draw_seed(FIRST) is not None


STORIES = pytest.mark.parametrize("make", [story, chain_story])


@STORIES
def test_a_seed_never_changes_once_known(make: object):
    told = make()  # type: ignore[operator]
    seeds = [told.ledger.draw_seed(round_) for round_ in told.ledger.rounds]
    assert None not in seeds
    again = make()  # type: ignore[operator]
    assert [again.ledger.draw_seed(round_) for round_ in again.ledger.rounds] == seeds
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(("until", "away", "auditors"), [(2, (), (0, 1, 2)), (0, (), (0, 2)), (2, (1,), (0, 2))])
def test_auditors_of_a_round_are_those_whose_keys_are_in_force_at_its_close(
    until: int, away: tuple[int, ...], auditors: tuple[int, ...]
):
    told = begun(chain_spec(), workers=1, auditors=3, auditor1=until)
    play_round(told, 0, (0,), (0,))
    told.round_open(1)
    told.receipt(1, 0)
    for slot in away:
        told.leave("auditor", slot)
    told.close(1)
    told.join("auditor", 1, epoch=1)
    assert told.ledger.rounds[FIRST].auditors == (0, 1, 2)
    assert told.ledger.rounds[SECOND].auditors == auditors


def test_the_auditors_of_a_closed_round_stay_when_one_leaves():
    told = begun(chain_spec(), workers=1, auditors=2)
    play_round(told, 0, (0,), (0,))
    told.leave("auditor", 1)
    assert told.ledger.rounds[FIRST].auditors == (0, 1)
