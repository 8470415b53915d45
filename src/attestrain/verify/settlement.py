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
    """

    stakes: Mapping[Address, AccountWords]
    cases: Mapping[tuple[Round, Worker, int], str]
    owed: Payouts | None
    paid: int
    unstaked: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)


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
        Contradiction: payouts are posted that do not follow from the transcript, or a case accuses another account.
    """
    stakes = {account: state.stake(account) for account in sorted(_accounts(ledger))}
    cases = _cases(ledger, state)
    payout = state.payout(ledger.spec.run_id)
    owed = payouts(ledger, members, payout.funded, state.facts.chain_id)
    posted = payout.root != bytes(32)
    if posted:
        same = (payout.root, payout.total) == (owed.root, owed.total)
        require(same, "the payouts on chain do not follow from the transcript")
    settled = Settled(stakes, cases, owed if posted else None, payout.claimed)
    settled.unstaked.extend(_unstaked(ledger, state, run, stakes))
    settled.unsettled.extend([] if posted else ["no payouts are posted"])
    settled.unsettled.extend(_undecided(ledger, cases))
    lost = sum(words.slashed for words in stakes.values())
    return settled, f"{len(stakes)} stakes, {len(cases)} cases, {lost} wei slashed, {payout.total} wei owed"


def _accounts(ledger: Ledger) -> set[Address]:
    return {item.statement.participant for held in ledger.joins.values() for item in held}


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


def _unstaked(
    ledger: Ledger, state: ChainState, run: RunWords, stakes: Mapping[Address, AccountWords]
) -> Iterable[str]:
    """Who has less at stake than the run asks, or could have taken it back before the last case could be opened."""
    least = {"worker": run.worker_stake, "auditor": run.auditor_stake}
    for (role, slot), held in sorted(ledger.joins.items()):
        words = stakes[held[-1].statement.participant]
        if not least[role]:
            yield f"the run asks no stake of a {role}"
        elif words.stake + words.slashed < least[role]:
            yield f"{role} {slot} has {words.stake} wei at stake, the run asks {least[role]}"
        elif not words.holds:
            yield f"the stake of {role} {slot} is released"
    if not run.closed and state.header.timestamp > run.deadline:
        yield "the run's deadline has passed, so stakes are released"


def _undecided(ledger: Ledger, cases: Mapping[tuple[Round, Worker, int], str]) -> Iterable[str]:
    """Proven faults whose case has no verdict: a void one found nobody guilty and nobody innocent."""
    for fault in faults(ledger).values():
        outcome = cases.get((fault.round, fault.worker, fault.segment), "never opened")
        if outcome in ("open", "void", "never opened"):
            yield f"the case about worker {fault.worker} in round {fault.round} is {outcome}"
