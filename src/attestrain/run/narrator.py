"""Tells watchers what the transcript says, entry by entry, and keeps the byte counts."""

from __future__ import annotations

from collections import defaultdict

from attestrain.corpus.dataset import Dataset
from attestrain.record.blob import BlobRef
from attestrain.record.names import Index, Round, Worker
from attestrain.record.statements import CommitClose, Finding, Join, Published, Receipt, RoundOpen, Signed, Statement
from attestrain.rules.faults import faults
from attestrain.rules.membership import absences
from attestrain.run.baseline import allreduce_bytes
from attestrain.run.events import EventLog
from attestrain.run.sequencer import Sequencer
from attestrain.update.checkpoint import Advance


class Narrator:
    """Observes a sequencer.

    Args:
        events: where to tell.
        sequencer: whose entries; those that its journal already holds are counted, not told again.
    """

    def __init__(self, events: EventLog, sequencer: Sequencer) -> None:
        self._events = events
        self._ledger = sequencer.ledger
        self._uploaded: defaultdict[Worker, int] = defaultdict(int)
        self._excluded: set[Worker] = set(faults(sequencer.ledger))
        for entry in sequencer.log.entries():
            self._count(Signed.from_bytes(entry).statement)
        sequencer.observers.append(self)

    def announce(self, dataset: Dataset, auditors: int, device: str) -> None:
        """Tell what the run is, and what it is computed on here."""
        spec = self._ledger.spec
        self._events.emit(
            "start",
            run=spec.run_id.hex(),
            name=spec.name,
            parameters=spec.layout.parameters,
            rounds=spec.schedule.rounds,
            steps=spec.schedule.steps,
            batch=spec.schedule.batch,
            workers=spec.schedule.workers,
            auditors=auditors,
            device=str(device),
            sequences=dataset.split("train").sequences,
            dataset=dataset.manifest.name,
            dataset_digest=dataset.manifest.digest.hex(),
            allreduce=allreduce_bytes(spec),
        )

    def __call__(self, index: Index, statement: Statement) -> None:
        """Tell one entry."""
        self._count(statement)
        match statement:
            case Join():
                address = statement.participant
                self._events.emit("join", role=statement.role, worker=statement.worker, address=address)
            case RoundOpen():
                self._events.emit("round-open", round=statement.round)
            case Receipt():
                self._events.emit("receipt", round=statement.round, worker=statement.worker)
            case CommitClose():
                self._events.emit("close", round=statement.round, receipts=statement.receipts)
            case Published():
                size = self._update(statement).size
                self._events.emit("published", round=statement.round, worker=statement.worker, bytes=size)
            case Finding():
                self._tell_exclusion()

    def _update(self, published: Published) -> BlobRef:
        receipt = self._ledger.rounds[published.round].receipts[published.worker].statement
        return BlobRef(receipt.update_root, receipt.update_size)

    def _count(self, statement: Statement) -> None:
        if isinstance(statement, Published):
            self._uploaded[statement.worker] += self._update(statement).size

    def _tell_exclusion(self) -> None:
        for worker, fault in faults(self._ledger).items():
            if worker not in self._excluded:
                self._excluded.add(worker)
                place = {"worker": worker, "round": fault.round, "segment": fault.segment}
                self._events.emit("excluded", **place, detail=fault.detail)

    def aggregated(self, round_: Round, outcome: Advance, seconds: float, aggregating: float) -> None:
        """Tell the end of a round, which took so many seconds, and making its checkpoint so many of them."""
        book = self._ledger.rounds[round_]
        receipts = [book.receipts[worker].statement for worker in outcome.members]
        rank = {} if outcome.rank is None else {"rank": outcome.rank}
        self._events.emit(
            "aggregated",
            round=round_,
            members=outcome.members,
            absent={str(worker): reason for worker, reason in absences(self._ledger, round_).items()},
            rejected={str(worker): reason for worker, reason in outcome.rejected.items()},
            tokens=sum(receipt.tokens for receipt in receipts),
            bytes=sum(receipt.update_size for receipt in receipts),
            seconds=round(seconds, 3),
            aggregating=round(aggregating, 4),
            **rank,
        )

    def mean_upload(self, exclude: set[Worker]) -> int:
        """Mean bytes of updates that a worker uploaded over the run, without ``exclude``."""
        sizes = [size for worker, size in self._uploaded.items() if worker not in exclude]
        return round(sum(sizes) / len(sizes)) if sizes else 0
