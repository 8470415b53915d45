"""The gate: what a worker's statement must withstand, besides the rules of the transcript, before it is appended.

A verifier later contradicts a whole run over one published worker-round that moved state between rounds or took the
wrong batches, or over one finding that misquotes what it is about. So the sequencer asks the verifier's own questions
first: such work is refused, and whoever sent it is absent instead of spoiling the run for everyone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from attestrain.errors import FormatError
from attestrain.record.blob import BlobRef
from attestrain.record.digest import DIGEST_SIZE, sha256
from attestrain.record.names import Address, Worker
from attestrain.record.statements import Finding, Join, Published, Receipt, Statement
from attestrain.record.trace import Trace
from attestrain.rules.assignment import Assignment
from attestrain.rules.draws import drawn_segments
from attestrain.rules.ledger import Ledger, RoundBook
from attestrain.run.follower import History
from attestrain.run.states import needed
from attestrain.store.blobs import BlobStore
from attestrain.verify.assignment import check_steps
from attestrain.verify.checks import require
from attestrain.verify.continuity import check_chain, check_segments, receipts_of
from attestrain.verify.receipts import check_trace
from attestrain.verify.replays import check_quote

LATEST = 1
"""Rounds that a publication may be late: enough for a straggler to close its gap, too few to make us derive old
checkpoints over and over. With a delay, one more: then the next round is open when a publication is due."""

Cast = Mapping[tuple[str, Worker], Address]
"""Who may take which slot: role and slot to the participant's account."""


class Gate:
    """Checks joins, receipts, publications and findings.

    Args:
        store: where workers put what they publish.
        history: the checkpoints that rounds start from.
        leaves: leaves of the training split.
        cast: who was invited. A run that admitted everybody would let a stranger take an auditor's draws.
        environments: folder with the descriptions of environments, by digest.
        examine: what a join must withstand besides; None where there is no chain to ask.
    """

    def __init__(
        self,
        store: BlobStore,
        history: History,
        leaves: bytes,
        cast: Cast,
        environments: Path,
        examine: Callable[[Join], None] | None = None,
    ) -> None:
        self._store = store
        self._history = history
        self._leaves = leaves
        self._cast = cast
        self._environments = environments
        self._examine = examine

    def check(self, ledger: Ledger, statement: Statement) -> None:
        """Check an admissible statement that is about to be appended to ``ledger``.

        Raises:
            Contradiction: a verifier would contradict it.
            FormatError: what it publishes is malformed.
            Unreachable: what it publishes is not in the store.
        """
        match statement:
            case Join():
                self._check_join(statement)
            case Receipt():
                check_chain(ledger, statement)
                self._require_no_gap(ledger, statement)
            case Finding():
                check_quote(statement, self._published_trace(ledger.rounds[statement.round], statement.worker))
            case Published():
                self._require_recent(ledger, statement)
                trace = self._read(statement)
                check_trace(ledger.rounds[statement.round].receipts[statement.worker].statement, trace)
                self._check_work(ledger, trace)
                self._require_retrievable(ledger, trace)

    def _check_join(self, join: Join) -> None:
        invited = self._cast.get((join.role, join.worker)) == join.participant
        require(invited, f"{join.role} {join.worker} was not given to this participant")
        path = self._environments / f"{join.environment.hex()}.json"
        described = path.is_file() and sha256(path.read_bytes()) == join.environment
        require(described, f"{join.role} {join.worker} names an environment that nobody described")
        if self._examine is not None:
            self._examine(join)

    def _require_no_gap(self, ledger: Ledger, receipt: Receipt) -> None:
        """A worker that goes on without showing its last round would leave a hole that no verifier can look into."""
        earlier = (book for round_, book in ledger.rounds.items() if round_ < receipt.round)
        shown = all(receipt.worker in book.published for book in earlier if receipt.worker in book.receipts)
        require(shown, f"worker {receipt.worker} has not published an earlier round")

    def _require_recent(self, ledger: Ledger, published: Published) -> None:
        last, latest = ledger.last_round(), LATEST + ledger.spec.overlap.delay
        recent = last is not None and published.round >= last - latest
        require(recent, f"worker {published.worker} publishes round {published.round} too late")

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
        """Published means that update and drawn states can be had, to the last byte; later, keepers certify it."""
        spec, seed = ledger.spec, ledger.draw_seed(trace.round)
        if seed is None:
            raise FormatError(f"round {trace.round} is not drawn from yet")
        self._store.check(trace.update)
        for segment in drawn_segments(spec, seed, trace.worker):
            for ref in needed(spec, trace, segment).values():
                self._store.check(ref)
