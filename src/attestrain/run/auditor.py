"""An auditor: re-executes the segments drawn for it and signs what it found."""

from __future__ import annotations

import time

from attestrain.corpus.dataset import Split
from attestrain.errors import FormatError, Undecided, Unreachable
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.names import Round, Size, Text, Worker
from attestrain.record.statements import Finding, sign
from attestrain.record.trace import Trace
from attestrain.replay.segment import Replayed, replay_segment
from attestrain.rules.admission import TRUNK
from attestrain.rules.draws import Draw, missing_findings
from attestrain.rules.faults import Fault, faults
from attestrain.rules.ledger import Ledger
from attestrain.run.effort import CPU, Effort
from attestrain.run.follower import Follower
from attestrain.run.jury import Accusation, Jury
from attestrain.run.states import fetch
from attestrain.run.worker import Seat
from attestrain.train.batches import RoundBatches
from attestrain.train.engine import Engine


class AuditorRole:
    """One auditor.

    Args:
        seat: its place among the auditors.
        follower: its view of the run.
        engine: re-executes.
        split: the training split.
        jury: its part in cases on chain; None without a chain.
    """

    def __init__(self, seat: Seat, follower: Follower, engine: Engine, split: Split, jury: Jury | None = None) -> None:
        self._slot = seat.slot
        self._follower = follower
        self._engine = engine
        self._split = split
        self._session = seat.session
        self._key_epoch = seat.key_epoch
        self._environment = seat.environment
        self._effort = Effort()
        self._settled: set[Round] = set()
        self._jury = jury
        self._heard: set[Worker] = set()
        self._unanswerable: set[Draw] = set()

    def run(self) -> None:
        """Take part until the run closes."""
        while self._follower.ledger.run_close is None:
            open_draws = self._open_draws()
            for draw in open_draws:
                self._answer(draw)
            self._sit_on_jury()
            if open_draws and self._effort.due():
                self._follower.exchange.tell(CPU, **self._effort.report())
            self._follower.sync()
        self._follower.exchange.tell(CPU, **self._effort.report())

    def _open_draws(self) -> list[Draw]:
        """Draws of this auditor that can be answered: the worker has published, no finding stands yet."""
        ledger, found = self._follower.ledger, []
        for round_ in sorted(set(ledger.rounds) - self._settled):
            book = ledger.rounds[round_]
            mine = [draw for draw in missing_findings(ledger, round_) if draw.auditor == self._slot]
            found += [draw for draw in mine if draw.worker in book.published and draw not in self._unanswerable]
            if book.aggregated is not None and not mine:
                self._settled.add(round_)
        return found

    def _answer(self, draw: Draw) -> None:
        begin = time.perf_counter()
        place = {"round": draw.round, "worker": draw.worker, "segment": draw.segment}
        try:
            replayed = self._replay(draw)
        except (FormatError, Unreachable, Undecided) as error:
            # What cannot be read any more, or came from another class of machine and may differ honestly, is nobody's
            # fault: the draw stays unanswered.
            self._unanswerable.add(draw)
            self._follower.exchange.tell("unanswered", **place, detail=str(error))
            return
        finding = Finding(
            run=self._follower.spec.run_id,
            branch=TRUNK,
            round=draw.round,
            worker=draw.worker,
            segment=Size(draw.segment),
            auditor=self._slot,
            key_epoch=self._key_epoch,
            outcome=Text(replayed.outcome),
            claimed=replayed.claimed,
            observed=replayed.observed,
            environment=self._environment,
            detail=Text(replayed.detail),
        )
        self._follower.exchange.submit(sign(finding, self._session).to_bytes())
        seconds = round(time.perf_counter() - begin, 3)
        self._follower.exchange.tell(
            "finding",
            **place,
            auditor=self._slot,
            phase=replayed.kind,
            outcome=replayed.outcome,
            detail=replayed.detail,
            seconds=seconds,
        )

    def _sit_on_jury(self) -> None:
        """Execute again what was called a fault, and say on chain what came of it. One's own finding stands."""
        if self._jury is None:
            return
        ledger = self._follower.ledger
        for worker, fault in faults(ledger).items():
            if worker in self._heard:
                continue
            self._heard.add(worker)
            first = _accuser(ledger, fault)
            try:
                observed = first.observed if first.auditor == self._slot else self._replay(_as_draw(first)).observed
            except (FormatError, Unreachable, Undecided) as error:
                place = {"round": fault.round, "worker": worker, "segment": fault.segment}
                self._follower.exchange.tell("unanswered", **place, detail=str(error))
                continue
            accused = ledger.joins["worker", worker][0].statement.participant
            mine = first.auditor == self._slot
            epoch = ledger.rounds[fault.round].receipts[worker].statement.key_epoch
            where = (fault.round, worker, fault.segment, epoch, accused)
            self._jury.hear(Accusation(*where, claimed=first.claimed, observed=observed, mine=mine))

    def _replay(self, draw: Draw) -> Replayed:
        spec, ledger, store = self._follower.spec, self._follower.ledger, self._follower.store
        book = ledger.rounds[draw.round]
        published = book.published[draw.worker].statement
        if book.receipts[draw.worker].statement.environment != self._environment:
            raise Undecided("the worker's environment class is not this auditor's")
        trace = Trace.from_bytes(store.get(BlobRef(published.trace_blob, published.trace_size)))
        checkpoint = self._follower.history.at(ledger, draw.round)
        params = checkpoint.params.tobytes()
        state_in = fetch(store, spec, trace.states[draw.segment], {blob_ref(params): params})
        batches = RoundBatches(spec, self._split, book.opened.statement.beacon, draw.worker)
        with self._effort.on("replay"):
            return replay_segment(self._engine, spec, trace, draw.segment, state_in, checkpoint, batches)


def _accuser(ledger: Ledger, fault: Fault) -> Finding:
    """The first finding that calls this segment a fault."""
    found = (item.statement for item in ledger.rounds[fault.round].findings)
    return next(
        finding
        for finding in found
        if (finding.worker, finding.segment, finding.outcome) == (fault.worker, fault.segment, "fault")
    )


def _as_draw(finding: Finding) -> Draw:
    return Draw(finding.round, finding.worker, finding.segment, finding.auditor)
