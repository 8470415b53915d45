"""Claim (10): what is at stake, what it cost those who cheated, and that payouts equal what the transcript implies.

What the chain owes somebody must be what the transcript implies: otherwise the claim fails. Stakes that are too small
or were released early contradict nothing; they make the guarantee unmet, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from attestrain.record.names import Address, Round, Worker
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger
from attestrain.rules.payouts import Payouts, payouts
from attestrain.rules.slots import OUTCOMES, AccountWords, CaseWord, RunWords
from attestrain.verify.chain import ChainState
from attestrain.verify.checks import require


@dataclass(frozen=True, slots=True)
class Settled:
    """What the chain says about money. Amounts are in wei.

    Attributes:
        stakes: accounts of everybody who joined.
        cases: outcome of the case about each segment that had one, by round, worker and segment.
        owed: what each account is paid; None if nothing was posted.
        paid: wei claimed so far.
        unstaked: why the run is not staked, each in words.
        unsettled: why it is not settled, each in words.
        remarks: where cases and transcript disagree about somebody's guilt, each in words.
    """

    stakes: Mapping[Address, AccountWords]
    cases: Mapping[tuple[Round, Worker, int], str]
    owed: Payouts | None
    paid: int
    unstaked: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check_settlement(
    ledger: Ledger, state: ChainState, run: RunWords, members: Mapping[Round, Iterable[Worker]]
) -> tuple[Settled, str]:
    """Stakes, cases and payouts in the pinned block's state.

    Args:
        ledger: the transcript.
        state: the chain.
        run: the run's words in the RunLedger.
        members: per round, the workers whose update moved the checkpoint.

    Raises:
        Missing: the bundle does not prove something of this.
        Contradiction: payouts are posted that do not follow from the transcript, or a case is about nobody.
    """
    stakes = {account: state.stake(account) for account in sorted(_slots(ledger))}
    cases = _cases(ledger, state)
    payout = state.payout(ledger.spec.run_id)
    owed = payouts(ledger, members, payout.funded, state.facts.chain_id)
    posted = payout.root != bytes(32)
    if posted:
        same = (payout.root, payout.total) == (owed.root, owed.total)
        require(same, "the payouts on chain do not follow from the transcript")
    settled = Settled(stakes, cases, owed if posted else None, payout.claimed)
    settled.unstaked.extend(_unstaked(ledger, run, settled))
    settled.unsettled.extend([] if posted else ["no payouts are posted"])
    settled.unsettled.extend(_undecided(ledger, cases))
    settled.remarks.extend(_disagreements(ledger, cases))
    lost = sum(words.slashed for words in stakes.values())
    figures = f"{len(stakes)} stakes, {len(cases)} cases, {lost} wei slashed, {payout.total} wei owed"
    return settled, "; ".join([figures, *settled.remarks])


def _cases(ledger: Ledger, state: ChainState) -> dict[tuple[Round, Worker, int], str]:
    """Outcomes of the cases that the bundle names, which may leave none out that a proven fault asks for."""
    found = {}
    named = {(fact.round, fact.worker, fact.segment) for fact in state.facts.cases}
    for place in sorted(named | {(fault.round, fault.worker, fault.segment) for fault in faults(ledger).values()}):
        round_, worker, segment = place
        require(("worker", worker) in ledger.joins, f"there is a case about worker {worker}, who never joined")
        accused = ledger.participant(worker)
        case: CaseWord = state.case(ledger.spec.run_id, round_, worker, segment, accused)
        if case.status in OUTCOMES:
            found[place] = OUTCOMES[case.status]
    return found


def _unstaked(ledger: Ledger, run: RunWords, settled: Settled) -> Iterable[str]:
    """Who has less at stake than the run asks for all its slots together, or can take it back.

    What is asked back can be lost while it is held, so it counts; so does what a case of this very run has taken.
    """
    least = {"worker": run.worker_stake, "auditor": run.auditor_stake}
    yield from (f"the run asks no stake of a {role}" for role, amount in least.items() if not amount)
    guilty = {ledger.participant(place[1]) for place, outcome in settled.cases.items() if outcome == "guilty"}
    for account, slots in _slots(ledger).items():
        words, asked = settled.stakes[account], sum(least[role] for role, _ in slots)
        left, name = words.stake + words.pending, " and ".join(f"{role} {slot}" for role, slot in slots)
        if left + (words.slashed if account in guilty else 0) < asked:
            yield f"{name} has {left} wei at stake, the run asks {asked}"
        elif not words.holds:
            yield f"the stake of {name} is released"


def _slots(ledger: Ledger) -> dict[Address, list[tuple[str, Worker]]]:
    """Slots by the account behind them, which is the same in all key epochs of a slot."""
    found: dict[Address, list[tuple[str, Worker]]] = {}
    for (role, slot), held in sorted(ledger.joins.items()):
        found.setdefault(held[0].statement.participant, []).append((role, slot))
    return found


def _undecided(ledger: Ledger, cases: Mapping[tuple[Round, Worker, int], str]) -> Iterable[str]:
    """Proven faults whose case has no verdict: a void one found nobody guilty and nobody innocent."""
    for fault in faults(ledger).values():
        outcome = cases.get((fault.round, fault.worker, fault.segment), "never opened")
        if outcome in ("open", "void", "never opened"):
            yield f"the case about worker {fault.worker} in round {fault.round} is {outcome}"


def _disagreements(ledger: Ledger, cases: Mapping[tuple[Round, Worker, int], str]) -> Iterable[str]:
    """Who is guilty on chain and not in the transcript, or the reverse: stakes follow the one, pay the other."""
    proven = {(fault.round, fault.worker, fault.segment) for fault in faults(ledger).values()}
    for place, outcome in sorted(cases.items()):
        if (outcome, place in proven) in (("guilty", False), ("innocent", True)):
            word = "proves" if place in proven else "does not prove"
            round_, worker, _ = place
            yield f"a case found worker {worker} {outcome} in round {round_}, where the transcript {word} a fault"
