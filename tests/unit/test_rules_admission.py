from __future__ import annotations

import time
from dataclasses import replace

import pytest

from attestrain.errors import FormatError
from attestrain.record.names import Address, Round, Worker
from attestrain.record.statements import Beacon, Finding, Signed, sign
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.draws import Draw, draws
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger
from tests.vectors.refused import place, refusals
from tests.vectors.stories import chain_story, delayed_story, play_round, story
from tests.vectors.teller import Said, Teller, key, make_spec, participant, refile, session

TOLD, ON_CHAIN, DELAYED = story(), chain_story(), delayed_story()
STORIES = [("recorded", TOLD), ("chain", ON_CHAIN), ("delayed", DELAYED)]
REFUSALS = [(name, told, *refusal) for name, told in STORIES for refusal in refusals(told)]


def refused(told: Teller, said: Said, claim: int, words: str) -> None:
    with pytest.raises(Inadmissible, match=words) as caught:
        admit(told.ledger, said.signed)
    assert caught.value.claim == claim


@pytest.mark.parametrize(
    ("told", "entries"), [(TOLD, 40), (ON_CHAIN, 63), (DELAYED, 58)], ids=["recorded", "chain", "delayed"]
)
def test_an_honest_transcript_is_admitted_entry_by_entry(told: Teller, entries: int):
    ledger = refile(told.spec, [])
    go_on(ledger, told.said)
    assert ledger.size == len(told.said) == entries


@pytest.mark.parametrize("case", REFUSALS, ids=[f"{case[0]}: {case[2]}" for case in REFUSALS])
def test_a_transcript_with_one_change_is_refused(case: tuple[str, Teller, str, int, Said, int]):
    _, told, _, after, said, claim = case
    with pytest.raises(Inadmissible) as caught:
        admit(refile(told.spec, told.said[:after]), said.signed)
    assert caught.value.claim == claim


@pytest.mark.parametrize("index", range(len(TOLD.said)))
def test_leaving_out_an_entry_that_others_build_on_shows(index: int):
    # Answers to draws can be withheld, and in the last round work by somebody who is at fault or does not publish.
    ledger = refile(TOLD.spec, TOLD.said[:index])
    broken = False
    for item in TOLD.said[index + 1 :]:
        try:
            admit(ledger, item.signed)
        except Inadmissible:
            broken = True
            break
        ledger.file(item.signed)
    kind = type(TOLD.said[index].statement).__name__
    harmless = {"Finding", "RunClose"} | ({"Published", "Receipt"} if index > 25 else set())
    assert broken or kind in harmless


def go_on(ledger: Ledger, said: list[Said]) -> None:
    for item in said:
        admit(ledger, item.signed)
        ledger.file(item.signed)


@pytest.mark.parametrize("index", range(place(ON_CHAIN.said, Beacon, epoch=3)))
def test_leaving_out_what_was_anchored_shows(index: int):
    ledger = refile(ON_CHAIN.spec, ON_CHAIN.said[:index])
    with pytest.raises(Inadmissible):
        go_on(ledger, ON_CHAIN.said[index + 1 :])


def test_a_malformed_signature_is_a_format_error():
    with pytest.raises(FormatError, match="65 bytes"):
        admit(refile(TOLD.spec, []), Signed(TOLD.said[0].statement, b"\0" * 64))


def begun() -> Teller:
    told = Teller(make_spec())
    told.open()
    return told


def test_a_slot_stays_with_its_participant():
    told = begun()
    told.join("worker", 0)
    thief = participant("worker", 1)
    stolen = replace(told.make_join("worker", 0, epoch=1), participant=thief.address)
    refused(told, Said(stolen, thief), 3, "taken by another participant")


def test_a_key_epoch_is_the_next_one():
    told = begun()
    told.join("worker", 0)
    for epoch in (0, 2):
        refused(told, Said(told.make_join("worker", 0, epoch), participant("worker", 0)), 3, "joins with key epoch")


@pytest.mark.parametrize("role", ["worker", "auditor"])
def test_a_session_key_serves_one_slot_in_one_epoch(role: str):
    told = begun()
    told.join("worker", 0)
    told.join("worker", 0, epoch=1)
    for epoch in (0, 1):
        used = session("worker", 0, epoch).address
        join = replace(told.make_join(role, 1), session=used)
        refused(told, Said(join, participant(role, 1)), 3, "session key that is in use")


def test_nobody_audits_in_two_slots():
    told = begun()
    told.join("auditor", 0)
    double = replace(told.make_join("auditor", 1), participant=participant("auditor", 0).address)
    refused(told, Said(double, participant("auditor", 0)), 3, "would vote twice")
    told.join("auditor", 0, epoch=1)
    told.join("auditor", 1)


def test_one_participant_may_work_in_two_slots():
    told = begun()
    told.join("worker", 0)
    double = replace(told.make_join("worker", 1), participant=participant("worker", 0).address)
    told.say(double, participant("worker", 0))


def test_an_old_session_key_signs_nothing_in_a_new_epoch():
    told = begun()
    told.join("worker", 0)
    told.join("worker", 0, epoch=1)
    told.round_open(0)
    receipt = told.make_receipt(0, 0)
    refused(told, Said(receipt, session("worker", 0, 0)), 4, "is not signed by")
    refused(told, Said(replace(receipt, key_epoch=0), session("worker", 0, 0)), 3, "outside its key epoch")  # type: ignore[arg-type]
    told.receipt(0, 0)


def test_a_participant_key_is_no_session_key():
    told = begun()
    told.join("worker", 0)
    told.round_open(0)
    refused(told, Said(told.make_receipt(0, 0), participant("worker", 0)), 4, "is not signed by")


def test_a_receipt_after_the_close_is_late():
    told = begun()
    told.join("worker", 0)
    told.join("worker", 1)
    told.round_open(0)
    told.receipt(0, 0)
    told.close(0)
    refused(told, Said(told.make_receipt(0, 1), session("worker", 1, 0)), 4, "comes after the close")


def test_publishing_before_the_close_is_early():
    told = begun()
    told.join("worker", 0)
    told.round_open(0)
    told.receipt(0, 0)
    refused(told, Said(told.make_published(0, 0), session("worker", 0, 0)), 4, "comes before the close")


def test_a_finding_before_the_close_or_on_unpublished_work_is_refused():
    told = begun()
    told.join("worker", 0)
    told.join("auditor", 0)
    told.round_open(0)
    told.receipt(0, 0)
    guess = told.make_finding(Draw(Round(0), Worker(0), 1, Worker(0)))
    refused(told, Said(guess, session("auditor", 0, 0)), 9, "was not drawn")
    told.close(0)
    drawn = draws(told.ledger, Round(0))[0]
    refused(told, Said(told.make_finding(drawn), session("auditor", 0, 0)), 9, "never published")
    told.publish(0, 0)
    told.find(drawn)


def test_an_undrawn_segment_has_no_findings():
    index = next(i for i, item in enumerate(TOLD.said) if isinstance(item.statement, Finding))
    ledger, item = refile(TOLD.spec, TOLD.said[:index]), TOLD.said[index]
    drawn = {(draw.worker, draw.segment) for draw in draws(ledger, Round(0))}
    for worker in range(3):
        for segment in range(4):
            other = replace(item.statement, worker=worker, segment=segment)  # type: ignore[call-arg]
            if (worker, segment) not in drawn:
                with pytest.raises(Inadmissible, match="not drawn"):
                    admit(ledger, Said(other, item.key).signed)


def test_a_round_opens_on_the_checkpoint_before_it_and_after_its_aggregate():
    told = begun()
    told.join("worker", 0)
    told.round_open(0)
    told.receipt(0, 0)
    early = replace(told.make_round_open(0), round=Round(1))
    refused(told, Said(early, key("sequencer")), 2, "before round 0 is aggregated")
    told.close(0)
    refused(told, Said(early, key("sequencer")), 2, "before round 0 is aggregated")
    told.aggregate(0)
    wrong = replace(told.make_round_open(1), base=told.make_round_open(0).base, beacon=told.make_round_open(1).beacon)
    other = replace(wrong, base=told.ledger.rounds[Round(0)].opened.statement.base)
    refused(told, Said(other, key("sequencer")), 8, "does not start from checkpoint 1")


def test_no_round_opens_beyond_the_schedule():
    told = story()
    told.ledger.run_close = None
    refused(told, Said(told.make_round_open(2), key("sequencer")), 2, "opens out of order")


def test_a_run_cannot_close_before_its_round_is_aggregated():
    told = story()
    close = told.said[-1]
    refused(begun(), close, 2, "before its last round is aggregated")


def test_an_excluded_worker_may_send_and_changes_nothing():
    with_receipt, without = story(), Teller(make_spec())
    for item in with_receipt.said:
        statement = item.statement
        if type(statement).__name__ == "Receipt" and (statement.round, statement.worker) == (1, 1):  # type: ignore[attr-defined]
            continue
        without.say(statement, item.key)
    assert 1 in faults(without.ledger)
    assert draws(without.ledger, Round(1)) == draws(with_receipt.ledger, Round(1))


def test_messages_name_what_was_refused():
    told = begun()
    told.join("worker", 0)
    told.round_open(0)
    told.receipt(0, 0)
    refused(
        told, Said(told.make_receipt(0, 0), session("worker", 0, 0)), 4, "Receipt round 0 worker 0 fills a slot twice"
    )


def test_a_join_for_somebody_else_is_refused():
    told = begun()
    join = told.make_join("worker", 0)
    refused(told, Said(join, participant("worker", 1)), 4, "is not signed by")
    zero = replace(join, participant=Address("0x" + "0" * 40))
    refused(told, Said(zero, participant("worker", 0)), 4, "is not signed by")


def test_admitting_a_late_entry_costs_no_more_than_an_early_one():
    """Admission is asked once per entry by everybody: its cost must not grow with the transcript."""
    told = Teller(make_spec(audit_votes=1, audit_fraction="1", **wide(60)))
    told.open()
    for slot in range(60):
        told.join("worker", slot)
    for slot in range(2):
        told.join("auditor", slot)
    play_round(told, 0, tuple(range(60)), tuple(range(60)), ())
    findings = [item for item in told.said if isinstance(item.statement, Finding)]
    signed = [sign(item.statement, item.key) for item in findings]
    ledger = refile(told.spec, told.said[: -len(findings)])
    costs = []
    for entry in signed:
        begin = time.process_time()
        admit(ledger, entry)
        costs.append(time.process_time() - begin)
        ledger.file(entry)
    quarter = len(costs) // 4
    assert len(costs) == 240
    assert sum(sorted(costs[-quarter:])[: quarter // 2]) < 3 * sum(sorted(costs[:quarter])[: quarter // 2])
    assert sorted(costs)[len(costs) // 2] < 0.005


def wide(workers: int) -> dict[str, object]:
    return {"schedule": replace(make_spec().schedule, workers=workers)}
