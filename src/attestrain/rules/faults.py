"""Faults: what counts against a worker, and from when.

Until cases are decided on chain, a fault is ``audit.votes`` findings about one segment by different assigned auditors.
It excludes the worker from every round whose commit list closes later; it never slashes. Silence, lateness and a
missing update are outages and not faults.
"""

from __future__ import annotations

from attestrain.record.names import Round, Worker
from attestrain.record.statements import Receipt
from attestrain.rules.ledger import Ledger
from attestrain.rules.votes import Fault

__all__ = ["Fault", "faults", "standing"]


def faults(ledger: Ledger, before: int | None = None) -> dict[Worker, Fault]:
    """First fault of every worker at fault, counting the entries before ``before`` (all of them by default)."""
    limit = ledger.size if before is None else before
    return {worker: fault for worker, fault in ledger.votes.proven.items() if fault.index < limit}


def standing(ledger: Ledger, round_: Round) -> dict[Worker, Receipt]:
    """Receipts of a round that count: those not from workers at fault by the close of its commit list (or by now).

    Whether a cheat that was just found out still hands in a receipt must not change what honest workers compute.
    """
    book = ledger.rounds[round_]
    excluded = faults(ledger, before=book.closed.index if book.closed else None)
    return {worker: item.statement for worker, item in book.receipts.items() if worker not in excluded}
