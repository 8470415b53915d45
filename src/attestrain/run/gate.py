"""The gate: what a worker's statement must withstand, besides the rules of the transcript, before it is appended.

A verifier later contradicts a whole run over one published worker-round that moved state between rounds or took the
wrong batches, or over one finding that misquotes what it is about. So the sequencer asks the verifier's own questions
first: such work is refused, and whoever sent it is absent instead of spoiling the run for everyone.
"""

from __future__ import annotations

from attestrain.errors import FormatError
from attestrain.record.blob import BlobRef
from attestrain.record.digest import DIGEST_SIZE
from attestrain.record.names import Worker
from attestrain.record.statements import Finding, Published, Receipt, Statement
from attestrain.record.trace import Trace
from attestrain.rules.assignment import Assignment
from attestrain.rules.beacon import draw_seed
from attestrain.rules.draws import drawn_segments
from attestrain.rules.ledger import Ledger, RoundBook
from attestrain.run.follower import History
from attestrain.run.states import fetchable
from attestrain.store.blobs import BlobStore
from attestrain.verify.assignment import check_steps
from attestrain.verify.continuity import check_chain, check_segments, receipts_of
from attestrain.verify.receipts import check_trace
from attestrain.verify.replays import check_quote


class Gate:
    """Checks receipts, publications and findings.

    Args:
        store: where workers put what they publish.
        history: the checkpoints that rounds start from.
        leaves: leaves of the training split.
    """

    def __init__(self, store: BlobStore, history: History, leaves: bytes) -> None:
        self._store = store
        self._history = history
        self._leaves = leaves

    def check(self, ledger: Ledger, statement: Statement) -> None:
        """Check an admissible statement that is about to be appended to ``ledger``.

        Raises:
            Contradiction: a verifier would contradict it.
            FormatError: what it publishes is malformed.
            Unreachable: what it publishes is not in the store.
        """
        match statement:
            case Receipt():
                check_chain(ledger, statement)
            case Finding():
                check_quote(statement, self._published_trace(ledger.rounds[statement.round], statement.worker))
            case Published():
                trace = self._read(statement)
                check_trace(ledger.rounds[statement.round].receipts[statement.worker].statement, trace)
                self._check_work(ledger, trace)
                self._require_retrievable(ledger, trace)

    def _read(self, published: Published) -> Trace:
        return Trace.from_bytes(self._store.get(BlobRef(published.trace_blob, published.trace_size)))

    def _published_trace(self, book: RoundBook, worker: Worker) -> Trace | None:
        return self._read(book.published[worker].statement) if worker in book.published else None

    def _check_work(self, ledger: Ledger, trace: Trace) -> None:
        """Only what may move moved, and the batches are the assigned ones."""
        spec, book = ledger.spec, ledger.rounds[trace.round]
        turns = sum(receipt.round < trace.round for receipt in receipts_of(ledger, trace.worker))
        base = self._history.at(ledger, trace.round).record
        check_segments(spec, base, trace, turns * spec.schedule.steps)
        place = Assignment(book.opened.statement.beacon, spec.schedule, len(self._leaves) // DIGEST_SIZE)
        check_steps(spec, place, self._leaves, trace)

    def _require_retrievable(self, ledger: Ledger, trace: Trace) -> None:
        """Published means that update and drawn states can be fetched; later, keepers certify it."""
        spec, closed = ledger.spec, ledger.rounds[trace.round].closed
        if not self._store.has(trace.update):
            raise FormatError("the update is not in the store")
        if closed is None:
            raise FormatError(f"round {trace.round} is not closed")
        seed = draw_seed(spec, trace.round, closed.statement.commitment)
        for segment in drawn_segments(spec, seed, trace.worker):
            if not fetchable(self._store, trace, segment):
                raise FormatError(f"the state before drawn segment {segment} is not in the store")
