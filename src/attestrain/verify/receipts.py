"""Claim (4): one signed receipt per slot, and what was published is what the receipts commit to.

Slots and signatures were settled entry by entry (claim 2); here the published files are held against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.bundle import Bundle, trace_path, update_path
from attestrain.record.names import Round, Worker
from attestrain.record.statements import Published, Receipt
from attestrain.record.trace import Trace
from attestrain.rules.ledger import Ledger
from attestrain.verify.checks import require
from attestrain.verify.structure import read


@dataclass(frozen=True, slots=True)
class Work:
    """A published worker-round."""

    receipt: Receipt
    trace: Trace

    @property
    def name(self) -> str:
        """For messages."""
        return f"worker {self.receipt.worker} round {self.receipt.round}"


Works = Mapping[tuple[Round, Worker], Work]
"""Every published worker-round."""


def read_works(bundle: Bundle, ledger: Ledger) -> tuple[Works, str]:
    """Trace and update of every published worker-round, held against its receipt.

    Raises:
        Missing: one is not in the bundle.
        Contradiction, FormatError: one is not what was committed, or belongs to no published worker-round.
    """
    works = {
        (receipt.round, receipt.worker): Work(receipt, read_trace(bundle, receipt, published))
        for receipt, published in _published(ledger)
    }
    for work in works.values():
        read_update(bundle, work.receipt)
    paths = {path(*slot) for slot in works for path in (trace_path, update_path)}
    strays = {path for path in bundle.manifest.files if path.startswith(("traces/", "updates/"))} - paths
    require(not strays, f"{min(strays, default='')} was never published")
    receipts = sum(len(book.receipts) for book in ledger.rounds.values())
    return works, f"{receipts} receipts, {len(works)} published"


def _published(ledger: Ledger) -> Iterator[tuple[Receipt, Published]]:
    for book in ledger.rounds.values():
        for worker, item in book.published.items():
            yield book.receipts[worker].statement, item.statement


def read_trace(bundle: Bundle, receipt: Receipt, published: Published) -> Trace:
    """The trace of a worker-round, from the bundle.

    Raises:
        Missing: it is not there.
        Contradiction, FormatError: it is not the published one.
    """
    path = trace_path(receipt.round, receipt.worker)
    data = read(bundle, path)
    require(blob_ref(data) == BlobRef(published.trace_blob, published.trace_size), f"{path} is not the published trace")
    trace = Trace.from_bytes(data)
    check_trace(receipt, trace)
    return trace


def check_trace(receipt: Receipt, trace: Trace) -> None:
    """Hold a trace against the receipt that commits to it.

    Raises:
        Contradiction: it is not what the receipt signs.
    """
    name = f"the trace of worker {receipt.worker} round {receipt.round}"
    for part in ("run", "branch", "round", "worker"):
        require(getattr(trace, part) == getattr(receipt, part), f"{name} names another {part}")
    roots = trace.state_roots()
    require(trace.root_over(roots) == receipt.trace_root, f"{name} does not have the signed root")
    require(roots[0] == receipt.first_state, f"{name} begins with another state than the receipt")
    require(roots[-1] == receipt.last_state, f"{name} ends with another state than the receipt")
    require(trace.update == BlobRef(receipt.update_root, receipt.update_size), f"{name} ends with another update")


def read_update(bundle: Bundle, receipt: Receipt) -> bytes:
    """The update of a worker-round, from the bundle.

    Raises:
        Missing: it is not there.
        Contradiction, FormatError: it is not the committed one.
    """
    path = update_path(receipt.round, receipt.worker)
    data = read(bundle, path, receipt.update_size)
    require(blob_ref(data) == BlobRef(receipt.update_root, receipt.update_size), f"{path} is not the committed update")
    return data
