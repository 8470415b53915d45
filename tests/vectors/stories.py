"""Three small transcripts to test rules with, in which little is honest work and much happens."""

from __future__ import annotations

from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.rules.draws import missing_findings
from tests.vectors.teller import AUDITORS, WORKERS, Teller, chain_spec, delayed_spec, make_spec


def begun(spec: RunSpec, workers: int = 0, auditors: int = 0, **until: int) -> Teller:
    """The log is open, so many have joined, and the chain's first word was heard.

    ``until`` ends the keys of single slots, as in ``worker0=1``.
    """
    told = Teller(spec)
    told.open()
    for role, count in (("worker", workers), ("auditor", auditors)):
        for slot in range(count):
            told.join(role, slot, until=until.get(f"{role}{slot}"))
    told.hear(0)
    return told


def story() -> Teller:
    """With a recorded beacon: three workers and two auditors, two rounds.

    Worker 0 changes its session key, worker 1 is found at fault in round 0 and still sends a receipt in round 1, worker
    2 does not publish in round 1.
    """
    told = begun(make_spec(), WORKERS, AUDITORS)
    play_round(told, 0, order=(2, 0, 1), published=(0, 1, 2), at_fault=(1,))
    told.join("worker", 0, epoch=1)
    play_round(told, 1, order=(0, 1, 2), published=(0,), at_fault=())
    told.run_close()
    return told


def chain_story() -> Teller:
    """On a chain: three workers and three auditors, three rounds.

    Worker 0's first key ends with round 0, and it comes back with the next one. Worker 1 is found at fault in round 0.
    Worker 2 leaves in round 1 between receipt and close, and comes back in round 2. Auditor 1 owes an answer in round
    0, leaves, is not drawn in round 1, comes back and answers late.
    """
    told = begun(chain_spec(), WORKERS, AUDITORS + 1, worker0=0)
    play_round(told, 0, order=(2, 0, 1), published=(0, 1, 2), at_fault=(1,), silent=(1,))
    told.round_open(1)
    told.leave("auditor", 1)
    told.join("worker", 0, epoch=1)
    told.receipt(1, 0)
    told.receipt(1, 2)
    told.leave("worker", 2)
    conclude(told, 1, published=(0,))
    told.round_open(2)
    told.join("auditor", 1, epoch=1)
    told.join("worker", 2, epoch=1)
    answer(told, 0, published=(0, 1, 2))
    told.receipt(2, 2)
    told.receipt(2, 0)
    conclude(told, 2, published=(2, 0))
    told.run_close()
    return told


def delayed_story() -> Teller:
    """With a recorded beacon and a delay of one round: three workers and two auditors, three rounds.

    Round 1 opens before round 0 is published and closes before it is aggregated; round 2 closes after round 1 is.
    """
    told = begun(delayed_spec(), WORKERS, AUDITORS)
    told.round_open(0)
    for slot in range(WORKERS):
        told.receipt(0, slot)
    told.close(0)
    told.round_open(1)
    for slot in range(WORKERS):
        told.publish(0, slot)
    told.receipt(1, 0)
    answer(told, 0, published=(0, 1, 2))
    told.receipt(1, 1)
    told.close(1)
    told.aggregate(0)
    told.round_open(2)
    told.receipt(2, 2)
    told.publish(1, 0)
    told.publish(1, 1)
    told.aggregate(1)
    answer(told, 1, published=(0, 1))
    told.receipt(2, 0)
    conclude(told, 2, published=(0, 2))
    told.run_close()
    return told


def play_round(
    told: Teller,
    round_: int,
    order: tuple[int, ...],
    published: tuple[int, ...],
    at_fault: tuple[int, ...] = (),
    silent: tuple[int, ...] = (),
) -> None:
    """One round: receipts in ``order``, and what `conclude` says."""
    told.round_open(round_)
    for slot in order:
        told.receipt(round_, slot)
    conclude(told, round_, published, at_fault, silent)


def conclude(
    told: Teller,
    round_: int,
    published: tuple[int, ...],
    at_fault: tuple[int, ...] = (),
    silent: tuple[int, ...] = (),
) -> None:
    """A round from its close on; findings are of a fault about the workers ``at_fault``."""
    told.close(round_)
    told.hear(round_ + 1)
    for slot in published:
        told.publish(round_, slot)
    told.aggregate(round_)
    answer(told, round_, published, at_fault, silent)


def answer(
    told: Teller,
    round_: int,
    published: tuple[int, ...],
    at_fault: tuple[int, ...] = (),
    silent: tuple[int, ...] = (),
) -> None:
    """Every finding that is missing, but for the last of each auditor that is ``silent``."""
    missing = [draw for draw in missing_findings(told.ledger, Round(round_)) if draw.worker in published]
    last = {draw.auditor: draw for draw in missing}
    for draw in missing:
        if draw.auditor not in silent or draw != last[draw.auditor]:
            told.find(draw, "fault" if draw.worker in at_fault else "exact")
