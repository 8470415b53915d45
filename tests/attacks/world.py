"""A tiny honest world: a complete, valid bundle made from `record`, `rules` and `update` alone, in well under a second.

Training is a deterministic nudge of the parameters, because verification never re-executes an inner step. Everything
else is what a real run does, in the order of DESIGN section 4. Attack tests make one change to it: through a hook while
it is made, with all the true keys (everyone colludes), or afterwards on its files (a stranger tampers).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from attestrain.record import bundle as places
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.bundle import MemoryFiles, environment_path, make_manifest, trace_path, update_path
from attestrain.record.canonical import canonical
from attestrain.record.dataset import (
    DatasetManifest,
    SplitInfo,
    TokenizerInfo,
    batch_digest,
    derive_leaves,
    leaves_root,
)
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.names import Branch, KeyEpoch, Round, Size, Text, Tokens, Worker
from attestrain.record.note import LogKey
from attestrain.record.spec import Inner, RunSpec, Schedule, TaskSpec
from attestrain.record.statements import (
    Aggregated,
    CommitClose,
    Finding,
    Join,
    LogOpen,
    Published,
    Receipt,
    RoundOpen,
    RunClose,
    Statement,
    sign,
)
from attestrain.record.trace import Segment, StepRecord, Trace, state_root
from attestrain.record.transcript import Log
from attestrain.rules.admission import admit
from attestrain.rules.assignment import Assignment
from attestrain.rules.beacon import commitment_root, round_beacon
from attestrain.rules.draws import missing_findings
from attestrain.rules.faults import faults, standing
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import candidates, members_root
from attestrain.train.export import safetensors_bytes
from attestrain.update.checkpoint import advance, genesis
from attestrain.update.feedback import Kept, compress
from attestrain.update.header import UpdateHeader
from attestrain.verify.policy import Pins, Policy
from tests.algorithms import MEAN, PLAIN, make_codec, make_outer

TRUNK, EPOCH = Branch(0), KeyEpoch(0)
RATE_BITS = 0x3C23D70A  # float32 0.01
LAYOUT = Layout(
    (
        TensorSpec("embed", (16, 12), Init("uniform", 129, -14)),
        TensorSpec("norm", (12,), Init("ones")),
        TensorSpec("head", (12, 25), Init("uniform", 129, -14)),
    )
)
TOKENS = bytes(hashlib.shake_256(b"a tiny corpus").digest(4001))
ENVIRONMENT = canonical({"format": "attestrain.dev/environment@v1", "device": "none", "note": "synthetic"})

Edit = Callable[[Trace, bytes], tuple[Trace, bytes]]
Outcome = Callable[[Round, Worker, int], str]


def tiny_dataset() -> tuple[DatasetManifest, bytes]:
    leaves = derive_leaves(ZERO_DIGEST, "train", TOKENS, token_bytes=1, sequence_tokens=8)
    train = SplitInfo(leaves_root(leaves), len(leaves) // 32, blob_ref(TOKENS), 1, len(TOKENS))
    empty = SplitInfo(leaves_root(b""), 0, blob_ref(b""), 0, 0)
    tokenizer = TokenizerInfo("bytes", 256, None)
    documents = blob_ref(b"[]")
    return DatasetManifest("tiny", "CC0-1.0", "a hash", "public", tokenizer, 8, documents, train, empty, empty), leaves


def tiny_spec(*, rounds: int = 3, workers: int = 3, codec: str = "ternary", **changes: object) -> RunSpec:
    schedule = Schedule(rounds, steps=3, segment_steps=2, batch=2, accumulate=1, sequence_tokens=8, workers=workers)
    flat = 4 * LAYOUT.parameters
    state = {"params": flat, "opt.m": flat, "cursor": 8} | ({} if codec == "dense" else {"ef": flat})
    values: dict[str, object] = {
        "name": "tiny",
        "seed": 7,
        "code": sha256(b"code"),
        "task": TaskSpec("tests:Tiny", sha256(b"task"), {}),
        "layout": LAYOUT,
        "state": state,
        "dataset": tiny_dataset()[0].digest,
        "schedule": schedule,
        "inner": Inner("sgd", {}, f"{RATE_BITS:08x}" * schedule.total_steps),
        "overlap": PLAIN,
        "codec": make_codec(codec),
        "norm_clip": "3",
        "aggregate": MEAN,
        "outer": make_outer("nesterov", "0.7", rounds=rounds, momentum="0.9"),
        "beacon_mode": "recorded",
        "beacon": sha256(b"beacon"),
        "audit_fraction": "0.25",
        "audit_votes": 1,
    }
    return RunSpec(**(values | changes))  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def key(name: str) -> SigningKey:
    """A key by name: the same in every test."""
    return SigningKey(sha256(b"test key " + name.encode()))


@dataclass
class Party:
    """Names of the keys that a world is signed with."""

    tag: str = "true"

    def signing(self, role: str, slot: int = 0, kind: str = "session") -> SigningKey:
        return key(f"{self.tag} {role} {slot} {kind}")

    @property
    def note(self) -> LogKey:
        return LogKey("attestrain.dev/tiny", sha256(b"test note " + self.tag.encode()))


def honest(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
    return trace, update


def exact(round_: Round, worker: Worker, segment: int) -> str:
    return "exact"


@dataclass
class World:
    """Plays a run. The hooks say where it deviates from an honest one."""

    spec: RunSpec = field(default_factory=tiny_spec)
    party: Party = field(default_factory=Party)
    auditors: int = 1
    edit: Edit = honest
    outcome: Outcome = exact
    silent: frozenset[tuple[int, int]] = frozenset()
    """(round, worker) slots that are committed and never published."""
    unanswered: frozenset[int] = frozenset()
    """Rounds whose draws nobody answers."""

    dataset: tuple[DatasetManifest, bytes] = field(default_factory=tiny_dataset)

    def __post_init__(self) -> None:
        self.log, self.ledger, self.files = Log(), Ledger(self.spec), MemoryFiles()
        self.manifest, self.leaves = self.dataset
        self.checkpoint = genesis(self.spec)
        self.states: dict[Worker, dict[str, np.ndarray]] = {}
        self.traces: dict[tuple[Round, Worker], Trace] = {}
        self.works: dict[Round, dict[Worker, tuple[Trace, bytes]]] = {}

    def say(self, statement: Statement, role: str = "sequencer", slot: int = 0, kind: str = "session") -> None:
        signed = sign(statement, self.party.signing(role, slot, kind))
        admit(self.ledger, signed)
        self.log.append(signed.to_bytes())
        self.ledger.file(signed)

    def play(self) -> World:
        run, party = self.spec.run_id, self.party
        public = Digest(party.note.verifier.public)
        self.say(LogOpen(run, party.signing("sequencer").address, Text(party.note.name), public))
        for role, count in (("worker", self.spec.schedule.workers), ("auditor", self.auditors)):
            for slot in range(count):
                self.join(role, Worker(slot))
        self.rounds()
        digest = self.checkpoint.record.digest
        self.say(RunClose(run, TRUNK, Round(self.spec.schedule.rounds), digest))
        self.write()
        return self

    def join(self, role: str, slot: Worker) -> None:
        accounts = (self.party.signing(role, slot, kind).address for kind in ("participant", "session"))
        until = Round(self.spec.schedule.rounds - 1)
        join = Join(self.spec.run_id, Text(role), slot, *accounts, EPOCH, until, sha256(ENVIRONMENT), ZERO_DIGEST)
        self.say(join, role, slot, "participant")

    def rounds(self) -> None:
        for number in range(self.spec.schedule.rounds):
            self.round(Round(number))

    def round(self, round_: Round) -> None:
        self.begin(round_)
        self.close(round_)
        self.finish(round_)

    def begin(self, round_: Round) -> None:
        run, ledger = self.spec.run_id, self.ledger
        before = ledger.rounds.get(Round(round_ - 1))
        commitment = before.closed.statement.commitment if before and before.closed else ZERO_DIGEST
        epoch = ledger.epoch(round_)
        assert epoch is not None
        beacon = round_beacon(epoch, round_, commitment)
        self.say(RoundOpen(run, TRUNK, round_, self.checkpoint.record.digest, beacon))
        works = self.works[round_] = {}
        for slot in ledger.slots("worker"):
            if slot not in faults(ledger):
                works[slot] = self.edit(*self.train(round_, slot, beacon))
                self.commit(works[slot][0])

    def close(self, round_: Round) -> None:
        receipts = standing(self.ledger, round_)
        commitment = commitment_root(receipts.values())
        self.say(CommitClose(self.spec.run_id, TRUNK, round_, Size(len(receipts)), commitment))

    def finish(self, round_: Round) -> None:
        works, base = self.works[round_], self.ledger.rounds[round_].opened.statement.base
        for slot, (trace, update) in works.items():
            if (round_, slot) not in self.silent:
                self.publish(trace, update)
        updates = {slot: works[slot][1] for slot in candidates(self.ledger, round_)}
        outcome = advance(self.spec, self.checkpoint, updates, base)
        self.checkpoint = outcome.checkpoint
        members = members_root({slot: works[slot][0].update.root for slot in outcome.members})
        self.say(Aggregated(self.spec.run_id, TRUNK, round_, members, self.checkpoint.record.digest))
        if round_ not in self.unanswered:
            self.audit(round_)

    def train(self, round_: Round, slot: Worker, beacon: Digest) -> tuple[Trace, bytes]:
        spec, places_ = self.spec, Assignment(beacon, self.spec.schedule, len(self.leaves) // 32)
        state = self.states.get(slot) or {name: np.zeros(size, np.uint8) for name, size in spec.state.items()}
        states, segments, update = [refs(state)], [], b""
        for index in range(spec.schedule.segments):
            state, records = dict(state), []
            if index == 0:
                state["params"] = self.checkpoint.params.copy().view(np.uint8)
                if "start" in state:
                    state["start"] = state["params"]
            elif index == spec.schedule.segments - 1:
                update = self.compress(round_, slot, state)
            for step in spec.schedule.steps_of(index):
                nudge(state, slot, step)
                batch = batch_digest([Digest(self.leaves[32 * i : 32 * i + 32]) for i in places_.sequences(slot, step)])
                records.append(StepRecord(batch, 0x40000000, 0x3F800000, RATE_BITS))
            kind = ("adopt", "compress")[index > 0] if not records else "inner"
            segments.append(Segment(kind, tuple(records)))
            states.append(refs(state))
        self.states[slot] = state
        return Trace(spec.run_id, TRUNK, round_, slot, tuple(states), tuple(segments), blob_ref(update)), update

    def compress(self, round_: Round, slot: Worker, state: dict[str, np.ndarray]) -> bytes:
        header = UpdateHeader(self.spec.run_id, TRUNK, round_, slot, self.checkpoint.record.digest)
        feedback = state["ef"].view(np.float32) if "ef" in state else None
        drift = self.checkpoint.params - state["params"].view(np.float32)
        update, kept = compress(self.spec, header, drift, Kept(feedback))
        if kept.ef is not None:
            state["ef"] = kept.ef.view(np.uint8)
        return update

    def commit(self, trace: Trace) -> None:
        receipt = Receipt(
            run=self.spec.run_id,
            branch=TRUNK,
            round=trace.round,
            worker=trace.worker,
            key_epoch=EPOCH,
            base=self.checkpoint.record.digest,
            first_state=state_root(trace.states[0]),
            last_state=state_root(trace.states[-1]),
            trace_root=trace.root,
            update_root=trace.update.root,
            update_size=Size(trace.update.size),
            environment=sha256(ENVIRONMENT),
            tokens=Tokens(self.spec.schedule.round_tokens),
        )
        self.say(receipt, "worker", trace.worker)

    def publish(self, trace: Trace, update: bytes) -> None:
        data = trace.to_bytes()
        blob = blob_ref(data)
        published = Published(
            run=self.spec.run_id,
            branch=TRUNK,
            round=trace.round,
            worker=trace.worker,
            key_epoch=EPOCH,
            trace_root=trace.root,
            trace_blob=blob.root,
            trace_size=Size(blob.size),
            update_root=trace.update.root,
        )
        self.say(published, "worker", trace.worker)
        self.traces[trace.round, trace.worker] = trace
        self.files[trace_path(trace.round, trace.worker)] = data
        self.files[update_path(trace.round, trace.worker)] = update

    def audit(self, round_: Round) -> None:
        for draw in missing_findings(self.ledger, round_):
            if (trace := self.traces.get((round_, draw.worker))) is None:
                continue
            outcome, claimed = self.outcome(round_, draw.worker, draw.segment), trace.result(draw.segment)
            finding = Finding(
                run=self.spec.run_id,
                branch=TRUNK,
                round=round_,
                worker=draw.worker,
                segment=Size(draw.segment),
                auditor=draw.auditor,
                key_epoch=EPOCH,
                outcome=Text(outcome),
                claimed=claimed,
                observed=claimed if outcome == "exact" else sha256(claimed),
                environment=sha256(ENVIRONMENT),
                detail=Text("params differ" if outcome == "fault" else ""),
            )
            self.say(finding, "auditor", draw.auditor)

    def write(self) -> None:
        files = self.files
        files[places.SPEC] = self.spec.to_bytes()
        for path, data in self.log.files(self.log.checkpoint(self.party.note)).items():
            files[f"{places.TRANSCRIPT}/{path}"] = data
        files[environment_path(sha256(ENVIRONMENT))] = ENVIRONMENT
        files[places.DATASET] = canonical(self.manifest.to_json())
        files[places.LEAVES] = self.leaves
        files[places.MODEL] = safetensors_bytes(self.spec.layout, self.checkpoint.params)
        files["data/train.tokens"] = TOKENS
        state = self.checkpoint.params.tobytes()
        files[f"states/{blob_ref(state).root.hex()}.bin"] = state
        cover(files)

    @property
    def policy(self) -> Policy:
        """What a verifier of this world pins, knowing its true parties."""
        auditors = tuple(self.party.signing("auditor", slot, "participant").address for slot in range(self.auditors))
        pins = Pins(self.spec.run_id, self.party.note.verifier, auditors)
        return Policy(pins, allow_simulated=("assigned", "replayed"))


def refs(state: dict[str, np.ndarray]) -> dict[str, BlobRef]:
    return {name: blob_ref(values.tobytes()) for name, values in state.items()}


def nudge(state: dict[str, np.ndarray], slot: int, step: int) -> None:
    """Stands in for an inner step: moves parameters, momentum and cursor by amounts that depend on slot and step."""
    params = state["params"].view(np.float32)
    wave = ((np.arange(params.size) * 37 + 11 * slot + 5 * step) % 17 - 8).astype(np.float32) * np.float32(2**-10)
    state["params"] = (params + wave).view(np.uint8)
    state["opt.m"] = (state["opt.m"].view(np.float32) + wave).view(np.uint8)
    count = int.from_bytes(state["cursor"].tobytes(), "little") + 1
    state["cursor"] = np.frombuffer(count.to_bytes(8, "little"), np.uint8)


def cover(files: MemoryFiles) -> MemoryFiles:
    """Recompute the manifest, as anyone who tampers with a bundle would."""
    spec = files.get(places.SPEC)
    run = RunSpec.from_bytes(spec).run_id if spec else sha256(b"")
    files[places.MANIFEST] = make_manifest(run, files).to_bytes()  # type: ignore[arg-type]
    return files


@lru_cache(maxsize=1)
def _honest() -> World:
    return World().play()


def honest_world() -> tuple[MemoryFiles, Policy]:
    """A fresh copy of the honest bundle, and its policy."""
    world = _honest()
    return MemoryFiles(world.files), world.policy
