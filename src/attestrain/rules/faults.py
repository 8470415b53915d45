"""Faults: what counts against a worker, and from when.

Until cases are decided on chain, a fault is ``audit.votes`` findings about one segment by different assigned auditors.
It excludes the worker from every round whose commit list closes later; it never slashes. Silence, lateness and a
missing update are outages and not faults.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from attestrain.record.names import Index, Round, Worker
from attestrain.record.statements import Receipt
from attestrain.rules.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Fault:
    """A worker's first proven fault: the segment, how it shows, and the entry that completed the votes."""

    worker: Worker
    round: Round
    segment: int
    detail: str
    index: Index


def faults(ledger: Ledger, before: int | None = None) -> dict[Worker, Fault]:
    """First fault of every worker at fault, counting the entries before ``before`` (all of them by default)."""
    limit = ledger.size if before is None else before
    accusers: dict[tuple[Round, Worker, int], set[Worker]] = defaultdict(set)
    proven: dict[Worker, Fault] = {}
    filed = sorted((item for book in ledger.rounds.values() for item in book.findings), key=lambda item: item.index)
    for item in filed:
        finding = item.statement
        if item.index >= limit or finding.outcome != "fault" or finding.worker in proven:
            continue
        votes = accusers[finding.round, finding.worker, finding.segment]
        votes.add(finding.auditor)
        if len(votes) >= ledger.spec.audit_votes:
            where = (finding.worker, finding.round, finding.segment)
            proven[finding.worker] = Fault(*where, str(finding.detail), item.index)
    return proven


def standing(ledger: Ledger, round_: Round) -> dict[Worker, Receipt]:
    """Receipts of a round that count: those not from workers at fault by the close of its commit list (or by now).

    Whether a cheat that was just found out still hands in a receipt must not change what honest workers compute.
    """
    book = ledger.rounds[round_]
    excluded = faults(ledger, before=book.closed.index if book.closed else None)
    return {worker: item.statement for worker, item in book.receipts.items() if worker not in excluded}
