"""Membership: whose update counts in a round, as a pure function of the transcript and the updates themselves."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from attestrain.record import merkle
from attestrain.record.digest import Digest
from attestrain.record.names import Round, Worker
from attestrain.rules.faults import faults, standing
from attestrain.rules.ledger import Ledger


def timely(ledger: Ledger, round_: Round) -> set[Worker]:
    """Workers that published before the aggregate (or by now, while it is not there yet); later ones close a gap."""
    book = ledger.rounds[round_]
    end = ledger.size if book.aggregated is None else book.aggregated.index
    return {worker for worker, item in book.published.items() if item.index < end}


def candidates(ledger: Ledger, round_: Round) -> list[Worker]:
    """Workers whose update is to be aggregated, before screening: committed in time, published, not at fault.

    Exclusion looks at the transcript up to the close of the commit list, publication at what stands before the
    aggregate (or now, while it is not there yet).
    """
    book = ledger.rounds[round_]
    if book.closed is None:
        return []
    published = timely(ledger, round_)
    return [worker for worker in sorted(standing(ledger, round_)) if worker in published]


def absences(ledger: Ledger, round_: Round) -> dict[Worker, str]:
    """Registered workers that are not candidates of ``round_``, each with the reason."""
    book = ledger.rounds[round_]
    excluded = faults(ledger, before=book.closed.index if book.closed else None)
    members, reasons = set(candidates(ledger, round_)), {}
    for worker in ledger.slots("worker"):
        if worker in excluded:
            reasons[worker] = f"excluded: fault in round {excluded[worker].round}"
        elif worker not in book.receipts:
            reasons[worker] = "no receipt before the close"
        elif worker not in members:
            reasons[worker] = "committed but not published in time"
    return reasons


def members_root(updates: Mapping[Worker, Digest]) -> Digest:
    """RFC 6962 root over the members (u32 worker, update root), in the order of the workers."""
    return merkle.root([struct.pack(">I", worker) + updates[worker] for worker in sorted(updates)])
