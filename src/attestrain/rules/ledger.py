"""The transcript by subject: who joined, and per round who opened, committed, closed, published, aggregated, found.

The ledger only files statements; whether they may stand is `rules.admission`, what follows from them is
`rules.membership`, `rules.draws` and `rules.faults`. The sequencer, every worker, every auditor and the verifier build
the same ledger from the same entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from attestrain.record.digest import Digest
from attestrain.record.names import Address, Index, Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import (
    Aggregated,
    Beacon,
    CommitClose,
    Finding,
    Join,
    Leave,
    LogOpen,
    Published,
    Receipt,
    RoundOpen,
    RunClose,
    Signed,
    Statement,
)
from attestrain.rules.beacon import draw_seed, epoch_beacon
from attestrain.rules.votes import Votes

S = TypeVar("S", bound=Statement)


@dataclass(frozen=True, slots=True)
class Filed(Generic[S]):
    """A statement with its place in the transcript."""

    index: Index
    statement: S


@dataclass(slots=True)
class RoundBook:
    """All statements about one round.

    Attributes:
        auditors: slots whose key is in force for the round at its close, ascending: only they can answer.
        answered: worker, segment and auditor of every finding.
    """

    opened: Filed[RoundOpen]
    receipts: dict[Worker, Filed[Receipt]] = field(default_factory=dict)
    closed: Filed[CommitClose] | None = None
    published: dict[Worker, Filed[Published]] = field(default_factory=dict)
    aggregated: Filed[Aggregated] | None = None
    findings: list[Filed[Finding]] = field(default_factory=list)
    auditors: tuple[Worker, ...] = ()
    answered: set[tuple[Worker, int, Worker]] = field(default_factory=set)


class Ledger:
    """The transcript of a run, filed.

    Attributes:
        spec: the run spec.
        log_open: the opening statement, once filed.
        joins: by role and slot, every key epoch in order.
        left: slots whose latest key epoch was given up.
        beacons: by epoch, what the chain said; empty with a recorded beacon.
        rounds: by round.
        run_close: the closing statement, once filed.
        size: number of entries filed.
        sessions: every session key ever named.
        participants: who holds a slot, by role.
        votes: findings of a fault, counted.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.log_open: LogOpen | None = None
        self.joins: dict[tuple[str, Worker], list[Filed[Join]]] = {}
        self.left: set[tuple[str, Worker]] = set()
        self.beacons: dict[Round, Filed[Beacon]] = {}
        self.rounds: dict[Round, RoundBook] = {}
        self.run_close: RunClose | None = None
        self.size = 0
        self.sessions: set[Address] = set()
        self.participants: set[tuple[str, Address]] = set()
        self.votes = Votes(spec.audit_votes)
        self._auditors: tuple[Worker, ...] = ()

    def file(self, signed: Signed) -> Index:
        """File the next entry, which must have been admitted; returns its index."""
        index = Index(self.size)
        statement = signed.statement
        match statement:
            case LogOpen():
                self.log_open = statement
            case Join():
                self._file_join(index, statement)
            case Leave():
                self.left.add((statement.role, statement.worker))
            case Beacon():
                self.beacons[statement.epoch] = Filed(index, statement)
            case RoundOpen():
                self.rounds[statement.round] = RoundBook(Filed(index, statement))
            case RunClose():
                self.run_close = statement
            case _:
                self._file_in_round(index, statement)
        self.size += 1
        return index

    def _file_join(self, index: Index, join: Join) -> None:
        self.joins.setdefault((join.role, join.worker), []).append(Filed(index, join))
        self.left.discard((join.role, join.worker))
        self.sessions.add(join.session)
        self.participants.add((join.role, join.participant))
        if join.role == "auditor" and join.worker not in self._auditors:
            self._auditors = tuple(sorted((*self._auditors, join.worker)))

    def _file_in_round(self, index: Index, statement: Statement) -> None:
        match statement:
            case Receipt():
                self.rounds[statement.round].receipts[statement.worker] = Filed(index, statement)
            case CommitClose():
                book, round_ = self.rounds[statement.round], statement.round
                book.closed = Filed(index, statement)
                book.auditors = tuple(slot for slot in self._auditors if self.in_force("auditor", slot, round_))
            case Published():
                self.rounds[statement.round].published[statement.worker] = Filed(index, statement)
            case Aggregated():
                self.rounds[statement.round].aggregated = Filed(index, statement)
            case Finding():
                self._file_finding(index, statement)
            case _:
                raise TypeError(f"{type(statement).__name__} has no place in a ledger")

    def _file_finding(self, index: Index, finding: Finding) -> None:
        book = self.rounds[finding.round]
        book.findings.append(Filed(index, finding))
        book.answered.add((finding.worker, finding.segment, finding.auditor))
        self.votes.count(index, finding)

    def epoch(self, epoch: Round) -> Digest | None:
        """Beacon of an epoch; None while the chain has not been heard on it."""
        if self.spec.beacon_mode == "recorded":
            return epoch_beacon(self.spec)
        filed = self.beacons.get(epoch)
        return None if filed is None else epoch_beacon(self.spec, filed.statement.value)

    def draw_seed(self, round_: Round) -> Digest | None:
        """Seed of the draw over a round; None until its commit list is closed and the chain was heard on it."""
        closed, epoch = self.rounds[round_].closed, self.epoch(Round(round_ + 1))
        if closed is None or epoch is None:
            return None
        return draw_seed(epoch, round_, closed.statement.commitment)

    def checkpoint(self, number: Round) -> Digest | None:
        """What the transcript says checkpoint ``number`` is; None while it does not say so yet."""
        if number == 0:
            first = self.rounds.get(number)
            return None if first is None else first.opened.statement.base
        before = self.rounds.get(Round(number - 1))
        return None if before is None or before.aggregated is None else before.aggregated.statement.checkpoint

    def last_round(self) -> Round | None:
        """The latest round opened."""
        return next(reversed(self.rounds), None)

    def registered(self, role: str, worker: Worker) -> Join | None:
        """The join that is in force for a slot."""
        joins = self.joins.get((role, worker))
        return joins[-1].statement if joins else None

    def participant(self, worker: Worker) -> Address:
        """The account that holds a worker's slot, which is the same in all its key epochs.

        Raises:
            KeyError: nobody ever took it.
        """
        return self.joins["worker", worker][0].statement.participant

    def in_force(self, role: str, worker: Worker, round_: Round) -> bool:
        """Whether a slot has a key that signs about ``round_``: taken, not given up, not at its end before."""
        join = self.registered(role, worker)
        return join is not None and (role, worker) not in self.left and round_ <= join.until

    def present(self, role: str) -> list[Worker]:
        """Slots of ``role`` that are taken and were not given up, ascending."""
        return [worker for worker in self.slots(role) if (role, worker) not in self.left]

    def slots(self, role: str) -> list[Worker]:
        """Slots of ``role`` that are taken, ascending."""
        return sorted(worker for kind, worker in self.joins if kind == role)
