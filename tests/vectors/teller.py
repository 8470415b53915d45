"""The means to tell small transcripts that rules are tested with; `stories` tells two.

Digests stand for training that never took place, and for blocks of a chain that does not exist: the rules see digests
only.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from attestrain.record.blob import blob_ref
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.names import Branch, KeyEpoch, Round, Size, Text, Tokens, Worker
from attestrain.record.spec import Inner, RunSpec, Schedule, TaskSpec
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
    sign,
)
from attestrain.record.trace import state_root
from attestrain.record.transcript import Log
from attestrain.rules.admission import admit
from attestrain.rules.beacon import commitment_root, epoch_beacon, round_beacon
from attestrain.rules.draws import Draw
from attestrain.rules.faults import standing
from attestrain.rules.ledger import Ledger
from tests.algorithms import MEAN, PLAIN, make_codec, make_outer

TRUNK = Branch(0)
WORKERS, AUDITORS, ROUNDS = 3, 2, 2
CHAIN_ROUNDS = 3
LAYOUT = Layout((TensorSpec("w", (4, 3), Init("uniform", 129, -10)), TensorSpec("b", (3,), Init("zeros"))))


def make_spec(**changes: Any) -> RunSpec:
    """A run spec of two rounds of four steps in two segments; ``changes`` replaces whole fields."""
    plain = Schedule(ROUNDS, 4, 2, batch=2, accumulate=1, sequence_tokens=8, workers=WORKERS)
    schedule = changes.get("schedule", plain)
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
        "overlap": PLAIN,
        "codec": make_codec(block=16, feedback="0.95"),
        "norm_clip": "1.5",
        "aggregate": MEAN,
        "outer": make_outer("nesterov", "0.8", rounds=schedule.rounds, momentum="0.5"),
        "beacon_mode": "recorded",
        "beacon": sha256(b"beacon"),
        "audit_fraction": "0.5",
        "audit_votes": 2,
    }
    return RunSpec(**(values | changes))


def chain_spec(**changes: Any) -> RunSpec:
    """A run spec of three rounds whose beacons come from a chain."""
    schedule = replace(make_spec().schedule, rounds=CHAIN_ROUNDS)
    inner = replace(make_spec().inner, rates="3a83126f" * schedule.total_steps)
    name = "vectors on a chain"
    values: dict[str, Any] = {"name": name, "schedule": schedule, "inner": inner, "beacon_mode": "chain"}
    return make_spec(**(values | changes))


def delayed_spec(**changes: Any) -> RunSpec:
    """A run spec of three rounds, each of which starts while the one before is still published and aggregated."""
    plain = make_spec()
    values: dict[str, Any] = {
        "name": "vectors with a delay",
        "schedule": replace(plain.schedule, rounds=CHAIN_ROUNDS),
        "overlap": replace(PLAIN, delay=1),
        "state": {**plain.state, "start": plain.state["params"]},
    }
    return make_spec(**(values | changes))


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
        self.log = Log()
        self.ends: dict[int, Digest] = {}

    def say(self, statement: Statement, key_: SigningKey | None = None) -> None:
        """Admit and file; by the sequencer if no key is given."""
        said = Said(statement, key_ or key("sequencer"))
        signed = said.signed
        admit(self.ledger, signed)
        self.ledger.file(signed)
        self.log.append(signed.to_bytes())
        self.said.append(said)

    def open(self) -> None:
        """Open the log."""
        origin = Text("attestrain.dev/runs/vectors")
        self.say(LogOpen(self.spec.run_id, key("sequencer").address, origin, sha256(b"not a real note key")))

    def join(self, role: str, slot: int, epoch: int = 0, until: int | None = None) -> None:
        """Take a slot, or start its next key epoch."""
        self.say(self.make_join(role, slot, epoch, until), participant(role, slot))

    def make_join(self, role: str, slot: int, epoch: int = 0, until: int | None = None) -> Join:
        """What `join` says; the key lasts to the end of the run unless ``until`` names a round."""
        names = (participant(role, slot).address, session(role, slot, epoch).address)
        last = Round(self.spec.schedule.rounds - 1 if until is None else until)
        place = (self.spec.run_id, Text(role), Worker(slot))
        return Join(*place, *names, KeyEpoch(epoch), last, ENVIRONMENT, ZERO_DIGEST)

    def leave(self, role: str, slot: int) -> None:
        """Give up a slot."""
        self.say(self.make_leave(role, slot), participant(role, slot))

    def make_leave(self, role: str, slot: int) -> Leave:
        """What `leave` says."""
        account = participant(role, slot).address
        return Leave(self.spec.run_id, Text(role), Worker(slot), account, self.epoch(role, slot))

    def hear(self, epoch: int) -> None:
        """Say what the chain said, if there is one."""
        if self.spec.beacon_mode == "chain":
            self.say(self.make_beacon(epoch))

    def make_beacon(self, epoch: int) -> Beacon:
        """What `hear` says: all that was said so far is anchored, but for epoch 0."""
        size, root = (len(self.log), self.log.root()) if epoch else (0, ZERO_DIGEST)
        value = sha256(f"block of epoch {epoch}".encode())
        return Beacon(self.spec.run_id, TRUNK, Round(epoch), Size(size), root, Size(100 + 10 * epoch), value)

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
        found = self.ledger.checkpoint(self.spec.overlap.base(Round(round_)))
        base, commitment = sha256(b"checkpoint 0"), ZERO_DIGEST
        if before and before.closed and found:
            base, commitment = found, before.closed.statement.commitment
        epoch = self.ledger.epoch(Round(round_)) or epoch_beacon(self.spec)
        beacon = round_beacon(epoch, Round(round_), commitment)
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


def refile(spec: RunSpec, said: list[Said]) -> Ledger:
    """The ledger of statements that were admitted before."""
    ledger = Ledger(spec)
    for item in said:
        ledger.file(Signed(item.statement, b""))
    return ledger
