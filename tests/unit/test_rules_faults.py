from __future__ import annotations

import pytest

from attestrain.record.digest import sha256
from attestrain.record.names import Index, Round, Worker
from attestrain.rules.draws import missing_findings
from attestrain.rules.faults import faults, standing
from attestrain.rules.membership import absences, candidates, members_root
from tests.vectors.teller import Teller, make_spec


def audited_round(told: Teller, round_: int, accused: tuple[int, ...] = (), votes: int = 9) -> None:
    """A round of everybody's work; of each accused worker's first segment drawn, ``votes`` findings are of a fault."""
    told.round_open(round_)
    for slot in (0, 1, 2):
        told.receipt(round_, slot)
    told.close(round_)
    for slot in (0, 1, 2):
        told.publish(round_, slot)
    told.aggregate(round_)
    given: dict[int, list[int]] = {}
    for draw in missing_findings(told.ledger, Round(round_)):
        first = given.setdefault(draw.worker, [draw.segment, 0])
        if draw.worker in accused and draw.segment == first[0] and first[1] < votes:
            first[1] += 1
            told.find(draw, "fault")
        else:
            told.find(draw)


def begun(auditors: int = 2, **changes: object) -> Teller:
    told = Teller(make_spec(**changes))
    told.open()
    for slot in (0, 1, 2):
        told.join("worker", slot)
    for slot in range(auditors):
        told.join("auditor", slot)
    return told


def test_as_many_votes_as_the_spec_asks_prove_a_fault():
    told = begun()
    audited_round(told, 0, accused=(1,))
    proven = faults(told.ledger)
    assert list(proven) == [1]
    fault = proven[Worker(1)]
    assert (fault.round, fault.detail) == (0, "params differ")
    accusing = [f for f in told.ledger.rounds[Round(0)].findings if f.statement.outcome == "fault"]
    assert fault.index == accusing[1].index
    assert fault.segment == accusing[0].statement.segment


@pytest.mark.parametrize(("auditors", "votes"), [(2, 1), (1, 9)])
def test_fewer_votes_prove_nothing(auditors: int, votes: int):
    told = begun(auditors)
    audited_round(told, 0, accused=(0, 1, 2), votes=votes)
    assert faults(told.ledger) == {}
    assert absences(told.ledger, Round(0)) == {}


def test_votes_about_different_segments_do_not_add_up():
    told = begun()
    told.round_open(0)
    told.receipt(0, 0)
    told.close(0)
    told.publish(0, 0)
    first = {draw.segment: draw for draw in missing_findings(told.ledger, Round(0)) if draw.auditor == 0}
    second = {draw.segment: draw for draw in missing_findings(told.ledger, Round(0)) if draw.auditor == 1}
    one, other = sorted(first)
    told.find(first[one], "fault")
    told.find(second[other], "fault")
    assert faults(told.ledger) == {}
    told.find(second[one], "fault")
    assert faults(told.ledger)[Worker(0)].segment == one


def test_exclusion_acts_from_the_next_close_and_changes_no_past_round():
    told = begun()
    audited_round(told, 0, accused=(1,))
    assert candidates(told.ledger, Round(0)) == [0, 1, 2]
    audited_round(told, 1)
    assert candidates(told.ledger, Round(1)) == [0, 2]
    assert absences(told.ledger, Round(1)) == {1: "excluded: fault in round 0"}
    assert standing(told.ledger, Round(1)).keys() == {0, 2}
    assert standing(told.ledger, Round(0)).keys() == {0, 1, 2}


def test_faults_before_an_entry_are_those_that_were_proven_there():
    told = begun()
    audited_round(told, 0, accused=(1, 2))
    proven = faults(told.ledger)
    for worker, fault in proven.items():
        assert worker not in faults(told.ledger, before=fault.index)
        assert worker in faults(told.ledger, before=Index(fault.index + 1))


def test_absences_name_every_reason():
    told = begun()
    told.round_open(0)
    told.receipt(0, 0)
    told.receipt(0, 2)
    told.close(0)
    told.publish(0, 0)
    told.aggregate(0)
    told.publish(0, 2)
    assert candidates(told.ledger, Round(0)) == [0]
    assert absences(told.ledger, Round(0)) == {
        1: "no receipt before the close",
        2: "committed but not published in time",
    }


def test_there_are_no_candidates_before_the_close():
    told = begun()
    told.round_open(0)
    told.receipt(0, 0)
    assert candidates(told.ledger, Round(0)) == []


def test_a_members_root_depends_on_who_and_what_and_not_on_order():
    one = {Worker(0): sha256(b"a"), Worker(3): sha256(b"b")}
    assert members_root(one) == members_root(dict(reversed(one.items())))
    others = [
        {Worker(0): sha256(b"b"), Worker(3): sha256(b"a")},
        {Worker(0): sha256(b"a")},
        {Worker(1): sha256(b"a"), Worker(3): sha256(b"b")},
    ]
    assert len({members_root(item) for item in [one, *others]}) == 4
