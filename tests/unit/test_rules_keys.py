"""Keys that ended, participants who left, and words that come before the chain's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attestrain.record.digest import sha256
from attestrain.record.names import KeyEpoch, Round, Size, Worker
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.draws import draws, missing_findings
from attestrain.rules.membership import absences, candidates
from tests.vectors.stories import begun, conclude, play_round
from tests.vectors.teller import Said, Teller, chain_spec, key, make_spec, participant, session

FIRST, SECOND = Round(0), Round(1)
SEQUENCER = key("sequencer")


def refused(told: Teller, said: Said, claim: int, words: str) -> None:
    with pytest.raises(Inadmissible, match=words) as caught:
        admit(told.ledger, said.signed)
    assert caught.value.claim == claim


def test_a_key_signs_about_its_last_round_even_later():
    told = begun(chain_spec(), workers=2, auditors=2, worker0=0, auditor0=0)
    told.round_open(0)
    told.receipt(0, 0)
    told.receipt(0, 1)
    told.close(0)
    told.hear(1)
    told.publish(0, 1)
    told.aggregate(0)
    told.round_open(1)
    told.publish(0, 0)
    for draw in missing_findings(told.ledger, FIRST):
        told.find(draw)
    refused(told, Said(told.make_receipt(1, 0), session("worker", 0, 0)), 3, "a key that ended with round 0")


def test_an_auditor_whose_key_ended_is_not_drawn_and_answers_nothing():
    told = begun(chain_spec(audit_votes=1), workers=2, auditors=2, auditor1=0)
    play_round(told, 0, (0, 1), (0, 1))
    told.round_open(1)
    told.receipt(1, 0)
    conclude(told, 1, published=())
    told.publish(1, 0)
    drawn = draws(told.ledger, SECOND)
    assert {draw.auditor for draw in drawn} == {0}
    finding = told.make_finding(replace(drawn[0], auditor=Worker(1)))
    refused(told, Said(finding, session("auditor", 1, 0)), 9, "not drawn")


def test_a_key_whose_last_round_was_shortened_leaves_its_draws_unanswered():
    told = begun(chain_spec(), workers=1, auditors=2)
    play_round(told, 0, (0,), (0,))
    told.round_open(1)
    told.receipt(1, 0)
    conclude(told, 1, published=())
    told.publish(1, 0)
    told.join("auditor", 1, epoch=1, until=0)
    draw = next(draw for draw in missing_findings(told.ledger, SECOND) if draw.auditor == 1)
    refused(told, Said(told.make_finding(draw), session("auditor", 1, 1)), 3, "ended with round 0")
    told.join("auditor", 1, epoch=2)
    told.find(draw)


@pytest.mark.parametrize("spec", [make_spec(), chain_spec()], ids=["recorded", "chain"])
def test_an_auditor_who_left_before_the_close_is_not_drawn(spec: object):
    told = begun(spec, workers=1, auditors=3)  # type: ignore[arg-type]
    told.round_open(0)
    told.receipt(0, 0)
    told.leave("auditor", 0)
    told.close(0)
    told.hear(1)
    told.join("auditor", 0, epoch=1)
    assert {draw.auditor for draw in draws(told.ledger, FIRST)} == {1, 2}


def test_nobody_is_drawn_from_when_all_auditors_left():
    told = begun(make_spec(), workers=1, auditors=2)
    told.leave("auditor", 0)
    told.leave("auditor", 1)
    play_round(told, 0, (0,), (0,))
    assert draws(told.ledger, FIRST) == []


def test_an_auditor_who_left_after_the_close_answers_once_it_is_back():
    told = begun(make_spec(), workers=1, auditors=2)
    told.round_open(0)
    told.receipt(0, 0)
    conclude(told, 0, published=())
    told.publish(0, 0)
    told.leave("auditor", 0)
    draw = next(draw for draw in missing_findings(told.ledger, FIRST) if draw.auditor == 0)
    refused(told, Said(told.make_finding(draw), session("auditor", 0, 0)), 3, "outside its key epoch")
    told.join("auditor", 0, epoch=1)
    refused(told, Said(told.make_finding(draw), session("auditor", 0, 0)), 4, "is not signed by")
    told.find(draw)


def test_a_worker_who_leaves_after_its_receipt_publishes_only_when_it_is_back():
    told = begun(make_spec(), workers=2)
    told.round_open(0)
    told.receipt(0, 0)
    told.receipt(0, 1)
    told.leave("worker", 1)
    told.close(0)
    refused(told, Said(told.make_published(0, 1), session("worker", 1, 0)), 3, "outside its key epoch")
    told.publish(0, 0)
    assert candidates(told.ledger, FIRST) == [0]
    assert absences(told.ledger, FIRST) == {1: "committed but not published in time"}
    told.join("worker", 1, epoch=1)
    told.publish(0, 1)
    assert candidates(told.ledger, FIRST) == [0, 1]


def test_whoever_left_cannot_take_another_auditors_slot():
    told = begun(make_spec(), auditors=1)
    told.leave("auditor", 0)
    account = participant("auditor", 0)
    double = replace(told.make_join("auditor", 1), participant=account.address)
    refused(told, Said(double, account), 3, "would vote twice")


def test_a_slot_that_was_left_stays_its_participants():
    told = begun(make_spec(), workers=1)
    told.leave("worker", 0)
    thief = participant("worker", 1)
    stolen = replace(told.make_join("worker", 0, epoch=1), participant=thief.address)
    refused(told, Said(stolen, thief), 3, "taken by another participant")


def test_a_leave_works_once_and_for_one_key_epoch():
    told = begun(make_spec(), workers=1)
    leave = Said(told.make_leave("worker", 0), participant("worker", 0))
    told.say(leave.statement, leave.key)
    refused(told, leave, 3, "leaves without having joined")
    told.join("worker", 0, epoch=1)
    refused(told, leave, 3, "from another key epoch")
    ahead = replace(told.make_leave("worker", 0), key_epoch=KeyEpoch(2))
    refused(told, Said(ahead, participant("worker", 0)), 3, "from another key epoch")
    told.leave("worker", 0)


def test_only_the_participant_leaves_not_its_session_key_and_not_the_sequencer():
    told = begun(make_spec(), workers=1)
    leave = told.make_leave("worker", 0)
    for signer in (session("worker", 0, 0), SEQUENCER, participant("worker", 1)):
        refused(told, Said(leave, signer), 4, "is not signed by")


def test_the_next_round_opens_only_when_the_chain_was_heard():
    told = begun(chain_spec(), workers=1)
    told.round_open(0)
    told.receipt(0, 0)
    told.close(0)
    told.aggregate(0)
    refused(told, Said(told.make_round_open(1), SEQUENCER), 6, "before the chain was heard")
    told.hear(1)
    told.round_open(1)


def test_work_that_is_aggregated_before_the_beacon_has_no_members():
    told = begun(chain_spec(), workers=1, auditors=1)
    told.round_open(0)
    told.receipt(0, 0)
    told.close(0)
    refused(told, Said(told.make_published(0, 0), session("worker", 0, 0)), 4, "before the close and its beacon")
    told.aggregate(0)
    told.hear(1)
    told.publish(0, 0)
    assert candidates(told.ledger, FIRST) == []


def test_an_anchor_covers_the_close_and_nothing_that_comes_later():
    told = begun(chain_spec(), workers=1)
    told.round_open(0)
    told.receipt(0, 0)
    told.close(0)
    told.join("worker", 1)
    beacon, closed = told.make_beacon(1), told.ledger.size - 1
    for size in (0, closed - 1, told.ledger.size + 1, 2**53 - 1):
        wrong = replace(beacon, size=Size(size))
        refused(told, Said(wrong, SEQUENCER), 2, "does not cover the close")
    told.say(replace(beacon, size=Size(closed), root=told.log.root(closed)))


def test_nobody_but_the_sequencer_says_what_the_chain_said():
    told = Teller(chain_spec())
    told.open()
    told.join("worker", 0)
    for signer in (participant("worker", 0), session("worker", 0, 0)):
        refused(told, Said(told.make_beacon(0), signer), 4, "is not signed by")
    told.hear(0)


def test_a_second_word_of_the_chain_about_an_epoch_is_refused():
    told = begun(chain_spec(), workers=1)
    other = replace(told.make_beacon(0), value=sha256(b"a better block"))
    refused(told, Said(other, SEQUENCER), 2, "out of order")
    told.round_open(0)
    refused(told, Said(other, SEQUENCER), 2, "out of order")
    told.receipt(0, 0)
    told.close(0)
    told.hear(1)
    again = replace(told.make_beacon(1), value=sha256(b"a better block"))
    refused(told, Said(again, SEQUENCER), 2, "out of order")


def test_a_chains_draw_depends_on_what_the_chain_said():
    drawn = set()
    for block in range(20):
        told = begun(chain_spec(audit_fraction="0.3"), workers=3, auditors=3)
        told.round_open(0)
        for slot in range(3):
            told.receipt(0, slot)
        told.close(0)
        told.say(replace(told.make_beacon(1), value=sha256(bytes([block]))))
        drawn.add(tuple(draws(told.ledger, FIRST)))
    assert len(drawn) == 20


def test_a_run_with_a_recorded_beacon_has_no_beacons():
    told = begun(make_spec(), workers=1)
    refused(told, Said(told.make_beacon(0), SEQUENCER), 2, "has no place")
