"""Make vectors/statements.json: `python -m tests.vectors.make_statements` from the root of the repository.

A whole transcript in which little is honest work and much happens: three workers and two auditors, two rounds. Worker 0
changes its session key, worker 1 is found at fault in round 0 and still sends a receipt in round 1, worker 2 does not
publish in round 1. Digests stand for training that never took place: the rules on this page see digests only.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from attestrain.record.blob import blob_ref
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.eip712 import encode_type
from attestrain.record.keys import SigningKey
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.names import Branch, KeyEpoch, Round, Size, Text, Tokens, Worker
from attestrain.record.spec import Codec, Inner, Outer, RunSpec, Schedule, TaskSpec
from attestrain.record.statements import (
    KINDS,
    Aggregated,
    CommitClose,
    Finding,
    Join,
    LogOpen,
    Published,
    Receipt,
    RoundOpen,
    RunClose,
    Signed,
    Statement,
    sign,
)
from attestrain.record.trace import state_root
from attestrain.record.transcript import Log
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.beacon import commitment_root, round_beacon
from attestrain.rules.draws import Draw, missing_findings
from attestrain.rules.faults import faults, standing
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import absences, candidates

TARGET = Path(__file__).parents[2] / "vectors/statements.json"
TRUNK = Branch(0)
WORKERS, AUDITORS, ROUNDS = 3, 2, 2
LAYOUT = Layout((TensorSpec("w", (4, 3), Init("uniform", 129, -10)), TensorSpec("b", (3,), Init("zeros"))))


def make_spec(**changes: Any) -> RunSpec:
    """A run spec of two rounds of four steps in two segments; ``changes`` replaces whole fields."""
    schedule = Schedule(rounds=ROUNDS, steps=4, segment_steps=2, batch=2, sequence_tokens=8, workers=WORKERS)
    flat = 4 * LAYOUT.parameters
    values = {
        "name": "vectors",
        "seed": 2026,
        "code": sha256(b"code"),
        "task": TaskSpec("vectors", sha256(b"task"), {"vocab": 256}),
        "layout": LAYOUT,
        "state": {"params": flat, "opt.m": flat, "ef": flat, "cursor": 8},
        "dataset": sha256(b"dataset"),
        "schedule": schedule,
        "inner": Inner("sgd", {"momentum": "0.9"}, "3a83126f" * schedule.total_steps),
        "codec": Codec("ternary", 16, "0.95"),
        "norm_clip": "1.5",
        "outer": Outer("nesterov", "0.8", "0.5"),
        "beacon_mode": "recorded",
        "beacon": sha256(b"beacon"),
        "audit_fraction": "0.5",
        "audit_votes": 2,
    }
    return RunSpec(**(values | changes))


@functools.lru_cache
def key(name: str) -> SigningKey:
    """A key by name. Everybody can compute it: never use one for anything else."""
    return SigningKey(sha256(b"attestrain test key: " + name.encode()))


def session(role: str, slot: int, epoch: int) -> SigningKey:
    """Session key of a slot in a key epoch."""
    return key(f"{role} {slot} session {epoch}")


def participant(role: str, slot: int) -> SigningKey:
    """The participant's own key."""
    return key(f"{role} {slot}")


ENVIRONMENT = sha256(b"environment")


@dataclass(frozen=True)
class Said:
    """A statement, and the key that signs it."""

    statement: Statement
    key: SigningKey

    @property
    def signed(self) -> Signed:
        """The entry."""
        return sign(self.statement, self.key)


class Teller:
    """Says statements that follow from what was said before."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec, self.ledger = spec, Ledger(spec)
        self.said: list[Said] = []
        self.ends: dict[int, Digest] = {}

    def say(self, statement: Statement, key_: SigningKey | None = None) -> None:
        """Admit and file; by the sequencer if no key is given."""
        said = Said(statement, key_ or key("sequencer"))
        signed = said.signed
        admit(self.ledger, signed)
        self.ledger.file(signed)
        self.said.append(said)

    def open(self) -> None:
        """Open the log."""
        origin = Text("attestrain.dev/runs/vectors")
        self.say(LogOpen(self.spec.run_id, key("sequencer").address, origin, sha256(b"not a real note key")))

    def join(self, role: str, slot: int, epoch: int = 0) -> None:
        """Take a slot, or start its next key epoch."""
        self.say(self.make_join(role, slot, epoch), participant(role, slot))

    def make_join(self, role: str, slot: int, epoch: int = 0) -> Join:
        """What `join` says."""
        names = (participant(role, slot).address, session(role, slot, epoch).address)
        return Join(self.spec.run_id, Text(role), Worker(slot), *names, KeyEpoch(epoch), ENVIRONMENT)

    def epoch(self, role: str, slot: int) -> KeyEpoch:
        """Key epoch of a slot now."""
        join = self.ledger.registered(role, Worker(slot))
        return KeyEpoch(0) if join is None else join.key_epoch

    def session(self, role: str, slot: int) -> SigningKey:
        """Session key of a slot now."""
        return session(role, slot, self.epoch(role, slot))

    def round_open(self, round_: int) -> None:
        """Open a round."""
        self.say(self.make_round_open(round_))

    def make_round_open(self, round_: int) -> RoundOpen:
        """What `round_open` says."""
        before = self.ledger.rounds.get(Round(round_ - 1))
        base, commitment = sha256(b"checkpoint 0"), ZERO_DIGEST
        if before and before.closed and before.aggregated:
            base, commitment = before.aggregated.statement.checkpoint, before.closed.statement.commitment
        beacon = round_beacon(self.spec, Round(round_), commitment)
        return RoundOpen(self.spec.run_id, TRUNK, Round(round_), base, beacon)

    def receipt(self, round_: int, slot: int) -> None:
        """Commit."""
        receipt = self.make_receipt(round_, slot)
        self.say(receipt, self.session("worker", slot))
        self.ends[slot] = receipt.last_state

    def make_receipt(self, round_: int, slot: int) -> Receipt:
        """What `receipt` says."""
        genesis = state_root({name: blob_ref(bytes(size)) for name, size in self.spec.state.items()})
        parts = {part: sha256(f"{part} of {round_} {slot}".encode()) for part in ("trace", "update", "state")}
        return Receipt(
            run=self.spec.run_id,
            branch=TRUNK,
            round=Round(round_),
            worker=Worker(slot),
            key_epoch=self.epoch("worker", slot),
            base=self.ledger.rounds[Round(round_)].opened.statement.base,
            first_state=self.ends.get(slot, genesis),
            last_state=parts["state"],
            trace_root=parts["trace"],
            update_root=parts["update"],
            update_size=Size(100),
            environment=ENVIRONMENT,
            tokens=Tokens(self.spec.schedule.round_tokens),
        )

    def close(self, round_: int) -> None:
        """Close the commit list."""
        self.say(self.make_close(round_))

    def make_close(self, round_: int) -> CommitClose:
        """What `close` says."""
        receipts = standing(self.ledger, Round(round_))
        commitment = commitment_root(receipts.values())
        return CommitClose(self.spec.run_id, TRUNK, Round(round_), Size(len(receipts)), commitment)

    def publish(self, round_: int, slot: int) -> None:
        """Publish."""
        self.say(self.make_published(round_, slot), self.session("worker", slot))

    def make_published(self, round_: int, slot: int) -> Published:
        """What `publish` says."""
        receipt = self.ledger.rounds[Round(round_)].receipts[Worker(slot)].statement
        return Published(
            run=self.spec.run_id,
            branch=TRUNK,
            round=Round(round_),
            worker=Worker(slot),
            key_epoch=self.epoch("worker", slot),
            trace_root=receipt.trace_root,
            trace_blob=sha256(b"document of " + receipt.trace_root),
            trace_size=Size(2000),
            update_root=receipt.update_root,
        )

    def aggregate(self, round_: int) -> None:
        """Aggregate."""
        self.say(self.make_aggregated(round_))

    def make_aggregated(self, round_: int) -> Aggregated:
        """What `aggregate` says."""
        names = (sha256(f"members {round_}".encode()), sha256(f"checkpoint {round_ + 1}".encode()))
        return Aggregated(self.spec.run_id, TRUNK, Round(round_), *names)

    def find(self, draw: Draw, outcome: str = "exact") -> None:
        """Answer a draw."""
        self.say(self.make_finding(draw, outcome), self.session("auditor", draw.auditor))

    def make_finding(self, draw: Draw, outcome: str = "exact") -> Finding:
        """What `find` says."""
        claimed = sha256(f"result of {draw.round} {draw.worker} {draw.segment}".encode())
        return Finding(
            run=self.spec.run_id,
            branch=TRUNK,
            round=draw.round,
            worker=draw.worker,
            segment=Size(draw.segment),
            auditor=draw.auditor,
            key_epoch=self.epoch("auditor", draw.auditor),
            outcome=Text(outcome),
            claimed=claimed,
            observed=claimed if outcome == "exact" else sha256(claimed),
            environment=ENVIRONMENT,
            detail=Text("params differ" if outcome == "fault" else ""),
        )

    def run_close(self) -> None:
        """End the run."""
        rounds = len(self.ledger.rounds)
        last = self.ledger.rounds[Round(rounds - 1)].aggregated
        assert last is not None
        self.say(RunClose(self.spec.run_id, TRUNK, Round(rounds), last.statement.checkpoint))


def story(spec: RunSpec | None = None) -> Teller:
    """The transcript of the module's docstring."""
    told = Teller(spec or make_spec())
    told.open()
    for role, count in (("worker", WORKERS), ("auditor", AUDITORS)):
        for slot in range(count):
            told.join(role, slot)
    play_round(told, 0, order=(2, 0, 1), published=(0, 1, 2), at_fault=(1,))
    told.join("worker", 0, epoch=1)
    play_round(told, 1, order=(0, 1, 2), published=(0,), at_fault=())
    told.run_close()
    return told


def play_round(told: Teller, round_: int, order: tuple[int, ...], published: tuple[int, ...], at_fault: Any) -> None:
    """One round: receipts in ``order``, and findings of a fault about the workers ``at_fault``."""
    told.round_open(round_)
    for slot in order:
        told.receipt(round_, slot)
    told.close(round_)
    for slot in published:
        told.publish(round_, slot)
    told.aggregate(round_)
    for draw in missing_findings(told.ledger, Round(round_)):
        if draw.worker in published:
            told.find(draw, "fault" if draw.worker in at_fault else "exact")


def refile(spec: RunSpec, said: list[Said]) -> Ledger:
    """The ledger of statements that were admitted before."""
    ledger = Ledger(spec)
    for item in said:
        ledger.file(Signed(item.statement, b""))
    return ledger


CHANGES: list[tuple[str, type[Statement], dict[str, Any], int]] = [
    ("a participant takes a role that does not exist", Join, {"role": "judge"}, 3),
    ("a participant takes a slot beyond the run's", Join, {"worker": WORKERS}, 3),
    ("a slot starts with key epoch 1", Join, {"key_epoch": 1}, 3),
    ("a round is opened out of order", RoundOpen, {"round": 1}, 2),
    ("a round has a beacon of someone's choice", RoundOpen, {"beacon": sha256(b"mine")}, 6),
    ("a receipt is for a round that is not open", Receipt, {"round": 1}, 4),
    ("a receipt comes from a slot that nobody took", Receipt, {"worker": 9}, 3),
    ("a receipt is outside its key epoch", Receipt, {"key_epoch": 1}, 3),
    ("a receipt builds on another checkpoint", Receipt, {"base": sha256(b"older")}, 4),
    ("a receipt counts too many tokens", Receipt, {"tokens": 65}, 4),
    ("a receipt comes from an unregistered environment", Receipt, {"environment": sha256(b"x")}, 3),
    ("a close is for a round that is not open", CommitClose, {"round": 1}, 2),
    ("a close miscounts the receipts", CommitClose, {"receipts": 2}, 4),
    ("a close commits to other receipts", CommitClose, {"commitment": sha256(b"x")}, 4),
    ("work is published that was never committed", Published, {"worker": 9}, 4),
    ("another trace is published than was committed", Published, {"trace_root": sha256(b"x")}, 4),
    ("another update is published than was committed", Published, {"update_root": sha256(b"x")}, 4),
    ("work is published outside its key epoch", Published, {"key_epoch": 1}, 3),
    ("a round is aggregated that is not open", Aggregated, {"round": 1}, 8),
    ("a finding is about a worker that does not exist", Finding, {"worker": 9}, 9),
    ("a finding is about a segment that does not exist", Finding, {"segment": 2**53 - 1}, 9),
    ("a finding is by an auditor who was not drawn", Finding, {"auditor": 7}, 9),
    ("a finding has an outcome of its own", Finding, {"outcome": "fine"}, 9),
    ("a finding says exact of two results", Finding, {"observed": sha256(b"x")}, 9),
    ("a finding says fault of one result", Finding, {"outcome": "fault"}, 9),
    ("a finding comes from an unregistered environment", Finding, {"environment": sha256(b"x")}, 3),
    ("a finding is outside its key epoch", Finding, {"key_epoch": 1}, 3),
    ("the run closes after other rounds", RunClose, {"rounds": 1}, 2),
    ("the run closes on another checkpoint", RunClose, {"checkpoint": sha256(b"x")}, 8),
]
"""One-line changes to the first statement of a kind, with the number of the claim that each breaks."""

TWICE = {LogOpen: 2, Join: 3, RoundOpen: 2, Receipt: 4, CommitClose: 2, Published: 4, Aggregated: 8, Finding: 9}
"""Claim that the same statement breaks when it comes again."""


def place(said: list[Said], kind: type[Statement]) -> int:
    """Index of the first statement of a kind."""
    return next(index for index, item in enumerate(said) if isinstance(item.statement, kind))


def refusals(told: Teller) -> Iterator[tuple[str, int, Said, int]]:
    """What may not stand: why, after how many entries of the transcript, the statement, the claim it breaks."""
    for why, kind, changes, claim in CHANGES:
        index = place(told.said, kind)
        yield why, index, change(told.said[index], changes), claim
    for kind in KINDS.values():
        index = place(told.said, kind)
        item, name = told.said[index], kind.__name__
        yield f"{name} is about another run", index, change(item, {"run": sha256(b"another run")}), 1
        yield f"{name} is signed by somebody else", index, Said(item.statement, key("nobody")), 4
        if kind in TWICE:
            yield f"{name} comes twice", index + 1, item, TWICE[kind]
        yield f"{name} follows the end", len(told.said), item, 2
        if index:
            yield f"{name} precedes the opening of the log", 0, item, 2
        if "branch" in {field.name for field in fields(kind)}:
            yield f"{name} is on another branch", index, change(item, {"branch": 1}), 2


def change(item: Said, changes: dict[str, Any]) -> Said:
    """The same statement with other values, signed by the same key."""
    return Said(replace(item.statement, **changes), item.key)


def example(kind: type[Statement], said: list[Said]) -> dict[str, Any]:
    """One statement from type to entry."""
    item = said[place(said, kind)]
    return {
        "format": kind.FORMAT,
        "type": encode_type(kind.__name__, kind.type_fields()),
        "digest": item.statement.signing_digest().hex(),
        "secret": item.key.to_bytes().hex(),
        "signer": item.key.address,
        "entry": item.signed.to_bytes().decode(),
    }


def derived(ledger: Ledger) -> dict[str, Any]:
    """What follows from the whole transcript."""
    return {
        "candidates": {str(round_): candidates(ledger, round_) for round_ in ledger.rounds},
        "absences": {
            str(round_): {str(worker): reason for worker, reason in absences(ledger, round_).items()}
            for round_ in ledger.rounds
        },
        "faults": {
            str(fault.worker): {"round": fault.round, "segment": fault.segment, "entry": fault.index}
            for fault in faults(ledger).values()
        },
    }


def make() -> dict[str, Any]:
    """Everything in the file."""
    told = story()
    entries = [item.signed.to_bytes() for item in told.said]
    refused = []
    for why, after, item, claim in refusals(told):
        try:
            admit(refile(told.spec, told.said[:after]), item.signed)
        except Inadmissible as error:
            text = item.signed.to_bytes().decode()
            refused.append({"why": why, "after": after, "entry": text, "claim": error.claim})
            assert error.claim == claim, (why, error.claim, str(error))
        else:
            raise AssertionError(f"admitted although {why}")
    return {
        "spec": told.spec.to_bytes().decode(),
        "run": told.spec.run_id.hex(),
        "statements": [example(kind, told.said) for kind in KINDS.values()],
        "transcript": {
            "entries": [entry.decode() for entry in entries],
            "root": Log(entries).root().hex(),
            **derived(told.ledger),
        },
        "refused": refused,
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")
