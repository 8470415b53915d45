"""Claim (9): what was drawn after commitment was replayed by its assigned auditor, and what came of it.

A finding is the auditor's word, under a key that the policy pins. Faults found do not refute a run: they are listed,
with the updates that had entered an aggregate by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from attestrain.record.names import Address, Round
from attestrain.record.statements import Finding
from attestrain.record.trace import Trace
from attestrain.rules.draws import draws, missing_findings
from attestrain.rules.faults import faults, standing
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import timely
from attestrain.verify.checks import Contradiction, require
from attestrain.verify.receipts import Works


@dataclass(frozen=True, slots=True)
class Replays:
    """What replaying covered.

    Attributes:
        due: draws over published work.
        missing: draws without a finding, each in words.
        late: findings that came after the next commit list was closed, too late to keep a cheat out of it.
        undrawn: published worker-rounds over which too little was drawn, because too few auditors had joined.
        outcomes: findings by outcome.
        insiders: accounts that stand behind an auditor and a worker.
        disputed: findings of a fault that have too few votes to decide.
    """

    due: int
    missing: list[str]
    late: int
    undrawn: int
    outcomes: dict[str, int]
    insiders: list[Address]
    disputed: int


def check_findings(ledger: Ledger, works: Works) -> tuple[Replays, str]:
    """Hold every finding against the trace it is about, and every draw against the findings.

    Only work published in time entered an aggregate, so only draws over it are due, each before the next list closes.

    Raises:
        Contradiction: a finding misquotes its trace, or is about something never published.
    """
    due, late, undrawn, missing, outcomes = 0, 0, 0, list[str](), {"exact": 0, "tolerance": 0, "fault": 0}
    for round_, book in ledger.rounds.items():
        for item in book.findings:
            work = works.get((round_, item.statement.worker))
            check_quote(item.statement, work.trace if work else None)
            outcomes[item.statement.outcome] += 1
        end, published = _deadline(ledger, round_), timely(ledger, round_)
        drawn = [draw for draw in draws(ledger, round_) if draw.worker in published]
        due += len(drawn)
        late += sum(item.index >= end and item.statement.worker in published for item in book.findings)
        if Fraction(ledger.spec.audit_fraction) and len(book.auditors) < ledger.spec.audit_votes:
            undrawn += len(published & standing(ledger, round_).keys())
        missing += [
            f"round {round_} worker {draw.worker} segment {draw.segment} by auditor {draw.auditor}"
            for draw in missing_findings(ledger, round_)
            if draw.worker in published
        ]
    replays = Replays(due, missing, late, undrawn, outcomes, _insiders(ledger), _disputed(ledger))
    found = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    return replays, f"{due - len(missing)} of {due} draws answered: {found}"


def _deadline(ledger: Ledger, round_: Round) -> int:
    """Index before which a finding about ``round_`` can still keep a cheat out of the next round."""
    following = ledger.rounds.get(Round(round_ + 1))
    return ledger.size if following is None or following.closed is None else following.closed.index


def check_quote(finding: Finding, trace: Trace | None) -> None:
    """A finding is about a published segment and quotes what the trace claims; the sequencer asks this too.

    Raises:
        Contradiction: it does not.
    """
    name = f"the finding on round {finding.round} worker {finding.worker} segment {finding.segment}"
    if trace is None or finding.segment >= len(trace.segments):
        raise Contradiction(f"{name} is about work that was never published")
    require(trace.result(finding.segment) == finding.claimed, f"{name} misquotes the trace")


def _disputed(ledger: Ledger) -> int:
    proven = faults(ledger)
    accusations = [item.statement for book in ledger.rounds.values() for item in book.findings]
    return sum(item.outcome == "fault" and item.worker not in proven for item in accusations)


def _insiders(ledger: Ledger) -> list[Address]:
    parties: dict[str, set[Address]] = {"worker": set(), "auditor": set()}
    for (role, _), held in ledger.joins.items():
        parties[role].update(item.statement.participant for item in held)
    return sorted(parties["worker"] & parties["auditor"])


def check_auditors(ledger: Ledger, pinned: tuple[Address, ...]) -> tuple[None, str]:
    """Hold the run's auditors against the pinned ones.

    Raises:
        Contradiction: somebody else audited.
    """
    for slot in ledger.slots("auditor"):
        account = ledger.joins["auditor", slot][0].statement.participant
        require(account in pinned, f"auditor {slot} is {account}, whom the policy does not name")
    return None, f"{len(ledger.slots('auditor'))} auditors, all pinned"
