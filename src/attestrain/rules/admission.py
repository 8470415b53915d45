"""Admission: whether a statement may stand next in the transcript.

The sequencer asks before appending, everyone else before believing, the verifier once more for every entry. A refusal
names the claim of DESIGN section 6 that the statement would break, so that a verdict can repeat it.
"""

from __future__ import annotations

from attestrain.errors import Refuted
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.names import Address, Branch, Round, Worker
from attestrain.record.statements import (
    OUTCOMES,
    ROLES,
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
from attestrain.rules.beacon import commitment_root, round_beacon
from attestrain.rules.draws import Draw, is_drawn
from attestrain.rules.faults import standing
from attestrain.rules.ledger import Ledger, RoundBook

TRUNK = Branch(0)
"""The only branch until rollbacks exist (DESIGN section 4.9)."""

SPEC, TRANSCRIPT, KEYS, RECEIPTS, ASSIGNMENT, MEMBERSHIP, DRAWS = 1, 2, 3, 4, 6, 8, 9
"""Numbers of the claims in DESIGN section 6 that a refusal can name."""


class Inadmissible(Refuted):
    """A statement that may not stand where it stands.

    Attributes:
        claim: number of the claim it breaks.
    """

    def __init__(self, claim: int, message: str) -> None:
        super().__init__(message)
        self.claim = claim


def _require(condition: bool, claim: int, message: str) -> None:
    if not condition:
        raise Inadmissible(claim, message)


def admit(ledger: Ledger, signed: Signed) -> None:
    """Check that ``signed`` may be the next entry of ``ledger``.

    Raises:
        Inadmissible: it may not.
        FormatError: its signature is malformed.
    """
    statement = signed.statement
    _require(statement.run == ledger.spec.run_id, SPEC, f"{_name(statement)} is about another run")
    _require(ledger.run_close is None, TRANSCRIPT, f"{_name(statement)} follows the end of the run")
    _require((ledger.log_open is None) == isinstance(statement, LogOpen), TRANSCRIPT, "the log is opened exactly once")
    _require(getattr(statement, "branch", TRUNK) == TRUNK, TRANSCRIPT, f"{_name(statement)} is on an unknown branch")
    _admit_content(ledger, statement)
    expected = _signer(ledger, statement)
    _require(signed.signer() == expected, RECEIPTS, f"{_name(statement)} is not signed by {expected}")


def _name(statement: Statement) -> str:
    place = [f"{key} {getattr(statement, key)}" for key in ("round", "worker") if hasattr(statement, key)]
    return " ".join([type(statement).__name__, *place])


def _signer(ledger: Ledger, statement: Statement) -> Address:
    """Whose signature a statement needs."""
    match statement:
        case LogOpen():
            return statement.sequencer
        case Join() | Leave():
            return statement.participant
        case Receipt() | Published():
            return _session(ledger, "worker", statement.worker, statement)
        case Finding():
            return _session(ledger, "auditor", statement.auditor, statement)
    if ledger.log_open is None:
        raise Inadmissible(TRANSCRIPT, "the log is not open")
    return ledger.log_open.sequencer


def _session(ledger: Ledger, role: str, slot: Worker, statement: Receipt | Published | Finding) -> Address:
    join = ledger.registered(role, slot)
    if join is None:
        raise Inadmissible(KEYS, f"{_name(statement)} comes from {role} {slot}, who has not joined")
    in_force = join.key_epoch == statement.key_epoch and (role, slot) not in ledger.left
    _require(in_force, KEYS, f"{_name(statement)} is outside its key epoch")
    _require(
        statement.round <= join.until, KEYS, f"{_name(statement)} is signed by a key that ended with round {join.until}"
    )
    return join.session


def _admit_content(ledger: Ledger, statement: Statement) -> None:
    match statement:
        case LogOpen():
            pass
        case Join():
            _admit_join(ledger, statement)
        case Leave():
            _admit_leave(ledger, statement)
        case Beacon():
            _admit_beacon(ledger, statement)
        case RoundOpen():
            _admit_round_open(ledger, statement)
        case Receipt():
            _admit_receipt(ledger, statement)
        case CommitClose():
            _admit_close(ledger, statement)
        case Published():
            _admit_published(ledger, statement)
        case Aggregated():
            _admit_aggregated(ledger, statement)
        case Finding():
            _admit_finding(ledger, statement)
        case RunClose():
            _admit_run_close(ledger, statement)


def _admit_join(ledger: Ledger, join: Join) -> None:
    name = f"{join.role} {join.worker}"
    _require(join.role in ROLES, KEYS, f"unknown role {join.role!r}")
    limit = ledger.spec.schedule.workers
    _require(join.worker < limit, KEYS, f"{name} has a slot beyond the run's {limit}")
    before = ledger.registered(join.role, join.worker)
    expected = 0 if before is None else before.key_epoch + 1
    _require(join.key_epoch == expected, KEYS, f"{name} joins with key epoch {join.key_epoch}, not {expected}")
    if before is not None:
        _require(before.participant == join.participant, KEYS, f"{name} is taken by another participant")
    _require(join.session not in ledger.sessions, KEYS, f"{name} names a session key that is in use")
    if join.role == "auditor" and before is None:
        twice = ("auditor", join.participant) in ledger.participants
        _require(not twice, KEYS, f"{name} is a participant who audits already, and would vote twice")


def _admit_leave(ledger: Ledger, leave: Leave) -> None:
    name = f"{leave.role} {leave.worker}"
    join = ledger.registered(leave.role, leave.worker)
    if join is None or (leave.role, leave.worker) in ledger.left:
        raise Inadmissible(KEYS, f"{name} leaves without having joined")
    same = (join.participant, join.key_epoch) == (leave.participant, leave.key_epoch)
    _require(same, KEYS, f"{name} leaves for somebody else, or from another key epoch")


def _admit_beacon(ledger: Ledger, beacon: Beacon) -> None:
    """One after each close, over a prefix of the log that holds that close; whether the chain said so is claim 2's."""
    name, expected = f"the beacon of epoch {beacon.epoch}", len(ledger.beacons)
    _require(ledger.spec.beacon_mode == "chain", TRANSCRIPT, f"{name} has no place in a run with a recorded beacon")
    _require(beacon.epoch == expected, TRANSCRIPT, f"{name} comes out of order: {expected} is due")
    if expected == 0:
        empty = beacon.size == 0 and beacon.root == ZERO_DIGEST
        _require(empty and not ledger.rounds, TRANSCRIPT, f"{name} does not come before everything")
        return
    book = ledger.rounds.get(Round(expected - 1))
    if book is None or book.closed is None:
        raise Inadmissible(TRANSCRIPT, f"{name} comes before round {expected - 1} is closed")
    covers = book.closed.index < beacon.size <= ledger.size
    _require(covers, TRANSCRIPT, f"{name} rests on an anchor that does not cover the close of round {expected - 1}")


def _book(ledger: Ledger, round_: Round, claim: int) -> RoundBook:
    book = ledger.rounds.get(round_)
    if book is None:
        raise Inadmissible(claim, f"round {round_} is not open")
    return book


def _admit_round_open(ledger: Ledger, opened: RoundOpen) -> None:
    last = ledger.last_round()
    expected = 0 if last is None else last + 1
    in_order = opened.round == expected and opened.round < ledger.spec.schedule.rounds
    _require(in_order, TRANSCRIPT, f"round {opened.round} opens out of order")
    commitment = ZERO_DIGEST
    if last is not None:
        number = ledger.spec.overlap.base(opened.round)
        base, closed = ledger.checkpoint(number), ledger.rounds[last].closed
        if base is None:
            raise Inadmissible(TRANSCRIPT, f"round {opened.round} opens before round {number - 1} is aggregated")
        if closed is None:
            raise Inadmissible(TRANSCRIPT, f"round {opened.round} opens before round {last} is closed")
        commitment = closed.statement.commitment
        _require(opened.base == base, MEMBERSHIP, f"round {opened.round} does not start from checkpoint {number}")
    epoch = ledger.epoch(opened.round)
    if epoch is None:
        raise Inadmissible(ASSIGNMENT, f"round {opened.round} opens before the chain was heard")
    beacon = round_beacon(epoch, opened.round, commitment)
    _require(opened.beacon == beacon, ASSIGNMENT, f"round {opened.round} has a beacon that does not follow")


def _admit_receipt(ledger: Ledger, receipt: Receipt) -> None:
    name = _name(receipt)
    book = _book(ledger, receipt.round, RECEIPTS)
    _require(book.closed is None, RECEIPTS, f"{name} comes after the close")
    _require(receipt.worker not in book.receipts, RECEIPTS, f"{name} fills a slot twice")
    _require(receipt.base == book.opened.statement.base, RECEIPTS, f"{name} builds on another checkpoint")
    most = ledger.spec.most_update
    _require(
        receipt.update_size <= most, RECEIPTS, f"{name} has an update of {receipt.update_size} bytes, beyond {most}"
    )
    tokens = ledger.spec.schedule.round_tokens
    _require(receipt.tokens == tokens, RECEIPTS, f"{name} counts {receipt.tokens} tokens, not {tokens}")
    join = ledger.registered("worker", receipt.worker)
    same = join is not None and join.environment == receipt.environment
    _require(same, KEYS, f"{name} comes from an environment its worker did not register")


def _admit_close(ledger: Ledger, close: CommitClose) -> None:
    book = _book(ledger, close.round, TRANSCRIPT)
    _require(book.closed is None, TRANSCRIPT, f"round {close.round} closes twice")
    receipts = standing(ledger, close.round)
    _require(close.receipts == len(receipts), RECEIPTS, f"the close of round {close.round} miscounts its receipts")
    commitment = commitment_root(receipts.values())
    _require(close.commitment == commitment, RECEIPTS, f"the close of round {close.round} commits to other receipts")


def _admit_published(ledger: Ledger, published: Published) -> None:
    name = _name(published)
    book = _book(ledger, published.round, RECEIPTS)
    _require(ledger.draw_seed(published.round) is not None, RECEIPTS, f"{name} comes before the close and its beacon")
    _require(published.worker in book.receipts, RECEIPTS, f"{name} has no receipt")
    _require(published.worker not in book.published, RECEIPTS, f"{name} fills a slot twice")
    receipt = book.receipts[published.worker].statement
    same = (published.trace_root, published.update_root) == (receipt.trace_root, receipt.update_root)
    _require(same, RECEIPTS, f"{name} publishes something other than was committed")


def _admit_aggregated(ledger: Ledger, aggregated: Aggregated) -> None:
    book = _book(ledger, aggregated.round, MEMBERSHIP)
    # A checkpoint follows from the one before it; with a delay two rounds can be without theirs.
    follows = aggregated.round == 0 or ledger.rounds[Round(aggregated.round - 1)].aggregated is not None
    ready = book.closed is not None and book.aggregated is None and follows
    _require(ready, MEMBERSHIP, f"round {aggregated.round} is aggregated out of order")


def _admit_finding(ledger: Ledger, finding: Finding) -> None:
    name = f"{_name(finding)} segment {finding.segment} by auditor {finding.auditor}"
    book = _book(ledger, finding.round, DRAWS)
    drawn = is_drawn(ledger, Draw(finding.round, finding.worker, finding.segment, finding.auditor))
    _require(drawn, DRAWS, f"{name} was not drawn for this auditor")
    _require(finding.worker in book.published, DRAWS, f"{name} is about work that was never published")
    place = (finding.worker, finding.segment, finding.auditor)
    _require(place not in book.answered, DRAWS, f"{name} is given twice")
    _require(finding.outcome in OUTCOMES, DRAWS, f"{name} has an unknown outcome")
    same = (finding.outcome == "exact") == (finding.claimed == finding.observed)
    _require(same, DRAWS, f"{name} says {finding.outcome} but its digests say otherwise")
    if finding.outcome == "tolerance":
        inner = 0 < finding.segment < ledger.spec.schedule.segments - 1
        other = book.receipts[finding.worker].statement.environment != finding.environment
        _require(inner and other, DRAWS, f"{name} claims tolerance where only equality counts")
    join = ledger.registered("auditor", finding.auditor)
    known = join is not None and join.environment == finding.environment
    _require(known, KEYS, f"{name} comes from an environment its auditor did not register")


def _admit_run_close(ledger: Ledger, close: RunClose) -> None:
    last = ledger.last_round()
    if last is None or (aggregated := ledger.rounds[last].aggregated) is None:
        raise Inadmissible(TRANSCRIPT, "the run closes before its last round is aggregated")
    _require(close.rounds == last + 1, TRANSCRIPT, f"the run closes after {close.rounds} rounds, not {last + 1}")
    same = close.checkpoint == aggregated.statement.checkpoint
    _require(same, MEMBERSHIP, "the run closes on a checkpoint that is not its last")
