"""One round, as DESIGN section 4 tells it.

Every step looks at what the transcript already holds and does what is missing, so playing a round again after a crash
goes on where it stopped. The conductor does nothing that others could not check: it opens, waits, closes, aggregates.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from attestrain.errors import RunFailed
from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.record.names import Round, Size, Worker
from attestrain.record.statements import Aggregated, Beacon, CommitClose, RoundOpen
from attestrain.rules.admission import TRUNK
from attestrain.rules.beacon import commitment_root, round_beacon
from attestrain.rules.draws import missing_findings
from attestrain.rules.faults import faults, standing
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import members_root, timely
from attestrain.run.follower import History
from attestrain.run.patience import Patience
from attestrain.run.sequencer import Sequencer
from attestrain.update.checkpoint import Advance

MISSES = 3
"""Deadlines in a row after which a worker is not waited for."""


T = TypeVar("T")


class Network(Protocol):
    """The processes around the conductor."""

    def wait(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Serve everybody until ``condition`` holds (True) or ``deadline`` seconds have passed (False)."""
        ...

    def meanwhile(self, work: Callable[[], T]) -> T:
        """Serve everybody until ``work``, done in another thread, has its result."""
        ...

    def lost(self, name: str) -> set[Worker]:
        """Slots of the role called ``name`` that will not come back by themselves."""
        ...


@dataclass(frozen=True, slots=True)
class Captured:
    """What the chain answered to an anchor: the prefix of the log it holds, and the block that this fixed."""

    size: Size
    root: Digest
    height: Size
    value: Digest


class Chain(Protocol):
    """The chain, as far as rounds need it. Both calls may be repeated: they find what they did before."""

    def open(self) -> Captured:
        """Open the run on chain; the prefix is empty."""
        ...

    def anchor(self, epoch: Round, size: Size, root: Digest, checkpoint: Digest) -> Captured:
        """Tell the chain the log's prefix and a checkpoint, and wait for the block that this fixes."""
        ...


class Conductor:
    """Plays rounds.

    Args:
        sequencer: orders and signs.
        history: re-derives checkpoints.
        network: the other processes.
        deadline: most seconds that a step waits for somebody.
        chain: where the log is anchored and beacons come from; None if the spec records its beacon.
        elsewhere: whether workers come from other machines, where nobody can start them: then a round without any
            receipt waits for one, however long that takes.

    Attributes:
        silent: auditors that let a deadline pass.
        missed: deadlines in a row that each worker let pass.
        opened: when rounds that are not yet committed to were opened, by the monotonic clock.
        aggregating: seconds that the latest checkpoint took to make.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        history: History,
        network: Network,
        deadline: float,
        chain: Chain | None = None,
        *,
        elsewhere: bool = False,
    ) -> None:
        self.sequencer = sequencer
        self.ledger: Ledger = sequencer.ledger
        self.history = history
        self.network = network
        self.chain = chain
        self.elsewhere = elsewhere
        self.patience = Patience(deadline)
        self.silent: set[Worker] = set()
        self.missed: Counter[Worker] = Counter()
        self.opened: dict[Round, float] = {}
        self.aggregating = 0.0

    def open(self) -> None:
        """Before everything: the run stands on chain, where participants enrol, and the first beacon is known."""
        if self.chain is not None and not self.ledger.beacons:
            self.hear(Round(0), self.chain.open)

    def play(self, round_: Round) -> Advance:
        """Play ``round_`` to its end, or to the end of what is missing of it.

        With a delay, the next round opens as soon as this one's list is closed and anchored: its workers train while
        this one's updates are published and aggregated.
        """
        self.assign(round_)
        self.train(round_)
        self.close(round_)
        self.anchor(round_)
        if self.ledger.spec.overlap.delay and round_ + 1 < self.ledger.spec.schedule.rounds:
            self.assign(Round(round_ + 1))
        self.publish(round_)
        return self.aggregate(round_)

    def assign(self, round_: Round) -> None:
        """4.1: name the checkpoint and the beacon, from which every worker knows its batches."""
        if round_ in self.ledger.rounds:
            return
        base, commitment = self.history.first.record.digest, ZERO_DIGEST
        if round_ > 0:
            found = self.ledger.checkpoint(self.ledger.spec.overlap.base(round_))
            before = self.ledger.rounds[Round(round_ - 1)]
            if before.closed is None or found is None:
                raise AssertionError(f"round {round_} cannot follow an unfinished one")
            base, commitment = found, before.closed.statement.commitment
        epoch = self.ledger.epoch(round_)
        if epoch is None:
            raise AssertionError(f"round {round_} opens before the chain was heard")
        beacon = round_beacon(epoch, round_, commitment)
        self.sequencer.state(RoundOpen(self.ledger.spec.run_id, TRUNK, round_, base, beacon))
        self.opened[round_] = time.monotonic()

    def train(self, round_: Round) -> None:
        """4.2 to 4.4: workers train, compress and commit; meanwhile auditors replay what was drawn before.

        Raises:
            RunFailed: nobody committed.
        """
        book = self.ledger.rounds[round_]
        if book.closed is not None:
            return
        begin = self.opened.pop(round_, time.monotonic())
        if self.network.wait(lambda: self.working(round_) <= book.receipts.keys(), self.patience.seconds):
            self.patience.note(time.monotonic() - begin)
        if self.elsewhere:
            self.network.wait(lambda: bool(standing(self.ledger, round_)), math.inf)
        self.count_missed(round_)
        self.hear_audits(round_)
        if not standing(self.ledger, round_):
            raise RunFailed(f"no worker committed in round {round_}", hint="what they last said is in the run's logs")

    def working(self, round_: Round) -> set[Worker]:
        """Workers expected to commit: those that joined, are not at fault or lost, were not refused, and come at all.

        One that let `MISSES` deadlines pass in a row is not waited for until it commits again: it must not slow down
        everybody in every round. A straggler has time to get back into step before that.
        """
        idle = {worker for worker, count in self.missed.items() if count >= MISSES}
        absent = faults(self.ledger).keys() | self.network.lost("worker") | self.sequencer.refused[round_] | idle
        return set(self.ledger.present("worker")) - absent

    def count_missed(self, round_: Round) -> None:
        """Note who let this round's deadline pass; whoever committed, or left and comes back, starts again at none."""
        waited = set(self.ledger.present("worker")) - self.ledger.rounds[round_].receipts.keys()
        for worker in self.ledger.slots("worker"):
            self.missed[worker] = self.missed[worker] + 1 if worker in waited else 0

    def hear_audits(self, before: Round) -> None:
        """Wait for the findings of the round before ``before``: a cheat must be out before the next list closes.

        An auditor that lets a deadline pass is not waited for until it speaks again. Without its findings, or with late
        ones, the verdict says that less was replayed than the policy asks for.
        """
        if before > 0:
            heard = self.ledger.rounds[Round(before - 1)].findings
            self.silent -= {item.statement.auditor for item in heard}
        if not self.network.wait(lambda: not self.unheard(before), self.patience.seconds):
            self.silent |= self.unheard(before)

    def unheard(self, before: Round) -> set[Worker]:
        """Auditors that owe a finding on published work of the round before ``before`` and may still give it."""
        if before == 0:
            return set()
        missing = missing_findings(self.ledger, Round(before - 1))
        owing = {draw.auditor for draw in missing if draw.worker in timely(self.ledger, Round(before - 1))}
        return owing - self.silent - self.network.lost("auditor")

    def close(self, round_: Round) -> None:
        """4.5: close the commit list; only now may updates be seen, so nobody can copy one in time."""
        if self.ledger.rounds[round_].closed is None:
            receipts = standing(self.ledger, round_)
            commitment = commitment_root(receipts.values())
            run = self.ledger.spec.run_id
            self.sequencer.state(CommitClose(run, TRUNK, round_, Size(len(receipts)), commitment))

    def anchor(self, round_: Round) -> None:
        """4.7: tell the chain what the log holds; the block that this fixes decides what is replayed and trained next.

        Nobody could know that block when the list was closed, and nobody can change the list now without showing.
        """
        epoch, chain = Round(round_ + 1), self.chain
        if chain is None or epoch in self.ledger.beacons:
            return
        size, base = Size(len(self.sequencer.log)), self.ledger.rounds[round_].opened.statement.base
        root = self.sequencer.log.root(size)
        self.hear(epoch, lambda: chain.anchor(epoch, size, root, base))

    def hear(self, epoch: Round, ask: Callable[[], Captured]) -> None:
        """Ask the chain while serving everybody, and write down what it said."""
        said = self.network.meanwhile(ask)
        run = self.ledger.spec.run_id
        self.sequencer.state(Beacon(run, TRUNK, epoch, said.size, said.root, said.height, said.value))

    def publish(self, round_: Round) -> None:
        """4.5: wait for the updates of everyone who committed."""
        book = self.ledger.rounds[round_]
        if book.aggregated is None:
            expected = standing(self.ledger, round_).keys()
            self.network.wait(lambda: expected & self.working(round_) <= book.published.keys(), self.patience.seconds)

    def aggregate(self, round_: Round) -> Advance:
        """4.6: from the members' updates to the next checkpoint, as everyone else computes it too."""
        begin, book = time.monotonic(), self.ledger.rounds[round_]
        self.history.checkpoint(self.ledger, round_)
        outcome = self.history.derive(self.ledger, round_)
        if book.aggregated is None:
            members = members_root({w: book.receipts[w].statement.update_root for w in outcome.members})
            checkpoint = outcome.checkpoint.record.digest
            self.sequencer.state(Aggregated(self.ledger.spec.run_id, TRUNK, round_, members, checkpoint))
        self.aggregating = time.monotonic() - begin
        return outcome
